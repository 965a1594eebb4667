"""Where a person may be: the time zones and states of the phone, the ZIP and the stated state.

The places are a set and only ever grow: a message goes when it is allowed in all of them. No
single source is trusted over another, because a mobile number keeps its area code after a move.
The tables under `data/` are made by `manage.py build_places`.
"""

from __future__ import annotations

import csv
import re
import zoneinfo
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import phonenumbers
from phonenumbers import timezone as phone_zones

from compliance import hours, phones

DATA = Path(__file__).parent / "data"
_NEW_YORK = "America/New_York"


class ZonesMissing(RuntimeError):
    """The time zone data cannot be read, so no local time can be computed."""


@dataclass(frozen=True, slots=True)
class Places:
    """All the places a person may be in; `assumed` when they stand for "somewhere in the US"."""

    zones: frozenset[str]
    states: frozenset[str]
    assumed: bool = False


def places_for(
    phone_e164: str | None, zip_code: str | None, state: str | None, extra: Iterable[str] = ()
) -> Places | None:
    """All places that phone, ZIP and state point at, plus the zones in `extra`.

    A US number that nothing is known about may be in any of the fifty states. None means that
    nobody can say what time it is there: a number abroad without a zone, or no fact at all.
    """
    phone = _places_of_phone(phone_e164) if phone_e164 else None
    if phone_e164 and phone is None and not _is_from_us(phone_e164):
        return None
    candidates = (phone, _places_of_zip(zip_code), _places_of_state(state), _places_of_zones(extra))
    found = tuple(candidate for candidate in candidates if candidate)
    if found:
        return _union(found)
    return anywhere_in_us() if phone_e164 else None


@lru_cache(maxsize=1)
def anywhere_in_us() -> Places:
    """The fifty states and DC; with the territories, an hour or two a day would be left."""
    states = frozenset(row["state"] for row in _rows("state_names.csv") if row["kind"] == "state")
    zones = frozenset().union(*(_state_zones()[state] for state in states))
    return Places(zones, states, assumed=True)


def key(places: Places) -> str:
    """One text for equal sets, to store each set once: zones, states, and "assumed" or nothing."""
    parts = (",".join(sorted(places.zones)), ",".join(sorted(places.states)))
    return "|".join((*parts, "assumed" if places.assumed else ""))


def clean_zip(raw: str) -> str | None:
    """Five digits, with zeros a spreadsheet dropped; "" when blank, None when not a US ZIP."""
    text = raw.strip()
    if not text:
        return ""
    match = re.fullmatch(r"([0-9]{3,5})(?:[- ][0-9]{4})?|([0-9]{7,9})", text, re.ASCII)
    if match is None:
        return None
    return match[1].zfill(5) if match[1] else match[2].zfill(9)[:5]


def clean_state(raw: str) -> str | None:
    """The postal abbreviation of a name or abbreviation; "" when blank, None when not a US one."""
    return _state_spellings().get(_spelling(raw)) if raw.strip() else ""


def use_pinned_zones() -> str:
    """Read zones from the pinned `tzdata` only, never the system's copy; return its version.

    The two disagree about rules in force. Call before any zone is used. Raises ZonesMissing.
    """
    zoneinfo.reset_tzpath([])
    hours.forget_zones()
    _union.cache_clear()
    try:
        zoneinfo.ZoneInfo(_NEW_YORK)
        return version("tzdata")
    except (zoneinfo.ZoneInfoNotFoundError, PackageNotFoundError) as error:
        raise ZonesMissing(
            f"{_NEW_YORK} cannot be read from the tzdata package: install it as"
            " requirements.txt pins it; nothing is sent without time zones"
        ) from error


def _places_of_phone(e164: str) -> Places | None:
    if code := phones.area_code(e164):
        return _area_codes().get(code)
    number = _number(e164)
    names = phone_zones.time_zones_for_number(number) if number else ()
    readable = all(hours.load_zone(name) for name in names)  # "Etc/Unknown" is no zone
    return Places(frozenset(names), frozenset()) if names and readable else None


def _is_from_us(e164: str) -> bool:
    number = _number(e164)
    return number is not None and phonenumbers.region_code_for_number(number) == "US"


def _number(e164: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return None


@lru_cache(maxsize=65536)
def _places_of_zip(raw: str | None) -> Places | None:
    code = clean_zip(raw or "")
    if not code:
        return None
    starts, ranges = _zip_ranges()
    at = bisect_right(starts, code) - 1
    return ranges[at][1] if at >= 0 and code <= ranges[at][0] else None


@lru_cache(maxsize=1024)
def _places_of_state(raw: str | None) -> Places | None:
    state = clean_state(raw or "")
    zones = _state_zones().get(state) if state else None
    return Places(zones, frozenset({state})) if zones and state else None


def _places_of_zones(names: Iterable[str]) -> Places | None:
    zones = frozenset(names)
    return Places(zones, frozenset()) if zones else None


@lru_cache(maxsize=65536)
def _union(found: tuple[Places, ...]) -> Places:
    if not all(hours.load_zone(name) for places in found for name in places.zones):
        found = (*found, anywhere_in_us())  # what cannot be read may be any place
    readable = (name for places in found for name in places.zones if hours.load_zone(name))
    states = frozenset().union(*(places.states for places in found))
    return Places(frozenset(readable), states, any(places.assumed for places in found))


@lru_cache(maxsize=1)
def _area_codes() -> dict[str, Places]:
    return {
        row["area_code"]: Places(frozenset(row["zones"].split()), frozenset(row["states"].split()))
        for row in _rows("area_codes.csv")
    }


@lru_cache(maxsize=1)
def _zip_ranges() -> tuple[list[str], list[tuple[str, Places]]]:
    """First ZIPs in order, and for each the last of its run with the places there."""
    starts, ranges = [], []
    for row in _rows("zip_zones.csv"):
        zones = frozenset({row["zone"]}) if row["zone"] else _state_zones()[row["state"]]
        starts.append(row["first"])
        ranges.append((row["last"], Places(zones, frozenset({row["state"]}))))
    return starts, ranges


@lru_cache(maxsize=1)
def _state_zones() -> dict[str, frozenset[str]]:
    return {row["state"]: frozenset(row["zones"].split()) for row in _rows("state_zones.csv")}


@lru_cache(maxsize=1)
def _state_spellings() -> dict[str, str]:
    return {
        _spelling(text): row["state"]
        for row in _rows("state_names.csv")
        for text in (row["state"], row["name"], *filter(None, row["also"].split(";")))
    }


def _spelling(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
