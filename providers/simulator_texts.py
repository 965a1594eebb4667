"""The texts that each simulated provider took in, as its listing shows them, the newest first.

Of an account the last ten thousand are kept, in memory: its webhooks may be lost, these are not.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from providers.simulator_wire import Inbound

MOST_OF_AN_ACCOUNT = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    at: float  # seconds of the real Unix clock
    text: Inbound


class Mailbox:
    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], OrderedDict[str, Kept]] = {}

    def keep(self, provider: str, text: Inbound) -> None:
        """One that came before, by its id, stays as it was."""
        kept = self._kept.setdefault((provider, text.account), OrderedDict())
        kept.setdefault(text.provider_ref, Kept(time.time(), text))
        if len(kept) > MOST_OF_AN_ACCOUNT:
            kept.popitem(last=False)

    def listed(self, provider: str, account: str, *, to: str = "", since: float = 0) -> list[Kept]:
        """What came in at `since` or later; `to` one number, or to any."""
        kept = self._kept.get((provider, account), OrderedDict())
        return [
            one for one in reversed(kept.values()) if one.at >= since and to in ("", one.text.to)
        ]
