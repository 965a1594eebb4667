"""Where a person may be, read independently of the code that sends.

Three sources, and all of them count: the area code as `phonenumbers` knows it, the ZIP and the
state by the ZIP table, which is read as data.
"""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import phonenumbers
from django.conf import settings
from phonenumbers import timezone as phone_timezones
from phonenumbers.tzdata import TIMEZONE_DATA

from reporting.oracle.checks import CannotCheck

FIFTY_STATES = re.findall(
    "..",
    "ALAKAZARCACOCTDEFLGAHIIDILINIAKSKYLAMEMDMAMIMNMSMOMTNENVNHNJ"
    "NMNYNCNDOHOKORPARISCSDTNTXUTVTVAWAWVWIWY",
)
UNKNOWN = "Etc/Unknown"


class ZipTable:
    """ZIP ranges in order: first, last, state, zone. Raises CannotCheck when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._firsts: list[str] = []
        self._ranges: list[tuple[str, str, str]] = []
        self.of_state: dict[str, set[str]] = defaultdict(set)
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(line for line in file if not line.startswith("#")):
                    self._firsts.append(row["first"])
                    self._ranges.append((row["last"], row["state"], row["zone"]))
                    if row["zone"]:
                        self.of_state[row["state"]].add(row["zone"])
        except (OSError, KeyError, ValueError) as error:
            raise CannotCheck(f"{path.name} cannot be read: {type(error).__name__}") from error

    def of_zip(self, code: str) -> set[str]:
        at = bisect_right(self._firsts, code) - 1
        if at < 0 or code > self._ranges[at][0]:
            return set()
        _, state, zone = self._ranges[at]
        return {zone} if zone else self.of_state[state]


@lru_cache(maxsize=1)
def zip_table() -> ZipTable:
    return ZipTable(Path(settings.BASE_DIR) / "compliance" / "data" / "zip_zones.csv")


def zones_of(phone: str, zip_code: str, state: str) -> tuple[ZoneInfo, ...]:
    """Every zone the person may be in; of a North American nobody knows where, all fifty states'.

    Empty for a number abroad of which nobody knows the zone. Raises CannotCheck.
    """
    return _zones_of(phone[:5] if phone.startswith("+1") else phone, zip_code, state)


@lru_cache(maxsize=200_000)
def _zones_of(phone: str, zip_code: str, state: str) -> tuple[ZoneInfo, ...]:
    table = zip_table()
    names = zones_of_phone(phone) | table.of_zip(zip_code) | table.of_state.get(state, set())
    if not names and phone.startswith("+1"):
        names = {name for state in FIFTY_STATES for name in table.of_state[state]}
    try:
        return tuple(ZoneInfo(name) for name in sorted(names))
    except (ValueError, KeyError, OSError) as error:  # an unknown name is a KeyError
        raise CannotCheck("a zone cannot be read from the zone data") from error


def zones_of_phone(phone: str) -> set[str]:
    """All zones of a North American area code, whatever the exchange; abroad the number's own."""
    if phone.startswith("+1"):
        return _zones_by_area_code().get(phone[1:5], set())
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return set()
    return set(phone_timezones.time_zones_for_number(number)) - {UNKNOWN}


@lru_cache(maxsize=1)
def _zones_by_area_code() -> dict[str, set[str]]:
    zones: dict[str, set[str]] = defaultdict(set)
    for prefix, names in TIMEZONE_DATA.items():
        if prefix.startswith("1") and len(prefix) >= 4:
            zones[prefix[:4]].update(names)
    return dict(zones)
