"""Which network a carrier's name belongs to, as far as limits of a network ask.

It knows names, not people: who is with which carrier is a column of the person.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.db import models


class Carrier(models.TextChoices):
    """The networks that limits are counted for."""

    T_MOBILE = "t_mobile", "T-Mobile"
    ATT = "att", "AT&T"
    VERIZON = "verizon", "Verizon"


# As look-ups write them. Sprint and Metro count as T-Mobile (Twilio, "T-Mobile daily message
# limits"; Plivo, "A2P Messaging Throughput in the US"). Resellers as Mint may be on any network.
NAMES = (
    (re.compile(r"\bt[\s_-]?mobile\b|\bmetropcs\b|\bmetro by t|\bsprint\b"), Carrier.T_MOBILE),
    (re.compile(r"\bat[\s&]?t\b|\bcingular\b"), Carrier.ATT),
    (re.compile(r"\bverizon\b"), Carrier.VERIZON),
)


@lru_cache(maxsize=4096)
def network(name: str) -> str:
    """The network of a carrier's name, or of itself; empty for a name that may be on any."""
    said = name.casefold()
    return next((carrier.value for names, carrier in NAMES if names.search(said)), "")


def counts(limit_for: str, carrier: str, *, counts_unknown: bool) -> bool:
    """Whether a person of this `carrier` counts on a limit for a network; empty: it is for all."""
    if not limit_for:
        return True
    found = network(carrier)
    return found == limit_for if found else counts_unknown
