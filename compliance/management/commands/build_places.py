"""Make the tables of `compliance/places.py` from two offline data sets.

Both err, so an area code gets the zones that either names: `zipcodes` knows ZIPs and their
counties' area codes, `phonenumbers` the zone of a number's first digits.
"""

from __future__ import annotations

import csv
import importlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import phonenumbers
from django.core.management.base import BaseCommand, CommandError, CommandParser
from phonenumbers import PhoneMetadata, PhoneNumber
from phonenumbers.geodata import GEOCODE_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

from compliance import hours, places

NANP = 1  # the country code that North America shares
MILITARY = {"AA", "AE", "AP"}  # post abroad: the ZIP names no place
TERRITORIES = {"PR", "VI", "GU", "MP", "AS"}  # countries to phonenumbers, states to the post
# Canadian codes over one area (cnac.ca), where phonenumbers knows the zones of the oldest only.
OVERLAYS = (
    ("250", "236", "257", "672", "778"),
    ("306", "474", "639"),
    ("418", "367", "581"),
    ("709", "879"),
)


class ZipRow(TypedDict):
    zip_code: str
    state: str
    timezone: str
    area_codes: list[str]


class Command(BaseCommand):
    help = "Make the tables of area codes, ZIPs and states (needs requirements-dev.txt)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=Path, default=places.DATA, help="folder to write to")
        parser.add_argument("--check", action="store_true", help="write nothing, only compare")

    def handle(self, *args: object, **options: Any) -> None:
        folder: Path = options["to"]
        if not folder.is_dir():
            raise CommandError(f"--to: {folder} is not a folder")
        for name, text in build_tables(_read_zips()).items():
            if options["check"]:
                self._compare(folder / name, text)
            else:
                (folder / name).write_text(text, encoding="utf-8")
                self.stdout.write(f"{name}: {text.count(chr(10)) - 2} rows")

    def _compare(self, path: Path, text: str) -> None:
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise CommandError(f"{path.name} is not what the sources give: run build_places")
        self.stdout.write(f"{path.name}: as built")


def build_tables(zips: list[ZipRow]) -> dict[str, str]:
    """File name -> its text. The same sources always give the same text."""
    codes = _area_codes(zips)
    return {
        "area_codes.csv": _csv(
            ["area_code", "states", "zones"],
            ((code, _words(area.states), _words(area.zones)) for code, area in codes.items()),
        ),
        "zip_zones.csv": _csv(["first", "last", "state", "zone"], _zip_ranges(zips)),
        "state_zones.csv": _csv(
            ["state", "zones"],
            ((state, _words(zones)) for state, zones in _state_zones(zips, codes).items()),
        ),
    }


def _read_zips() -> list[ZipRow]:
    try:
        zipcodes = importlib.import_module("zipcodes")
    except ImportError as error:
        raise CommandError("the package zipcodes is missing: see requirements-dev.txt") from error
    return sorted(zipcodes.list_all(), key=lambda row: str(row["zip_code"]))


def _area_codes(zips: list[ZipRow]) -> dict[str, places.Places]:
    near: defaultdict[str, list[ZipRow]] = defaultdict(list)
    for row in zips:
        for code in row["area_codes"]:
            near[code].append(row)
    known = sorted({prefix[1:4] for prefix in TIMEZONE_DATA if re.match(r"1\d{3}", prefix)})
    codes = {code: _area(code, near[code]) for code in known}
    for overlay in OVERLAYS:
        zones = frozenset().union(*(codes[code].zones for code in overlay))
        codes.update((code, places.Places(zones, codes[code].states)) for code in overlay)
    return codes


def _area(code: str, near: list[ZipRow]) -> places.Places:
    """ZIPs outside the code's main state are left out: they touch a county on the border."""
    names = {
        name for at in TIMEZONE_DATA if at.startswith(f"1{code}") for name in TIMEZONE_DATA[at]
    }
    region = _region(code)
    if region in TERRITORIES:
        return places.Places(_readable(names), frozenset({region}))
    if region != "US":
        return places.Places(_readable(names), frozenset())
    counts = Counter(row["state"] for row in near)
    main = {counts.most_common(1)[0][0]} if counts else set()
    names.update(row["timezone"] for row in near if row["state"] in main)
    return places.Places(_readable(names), frozenset(main | _named_state(code)))


def _region(code: str) -> str | None:
    """The country of an area code; the small ones name their codes, the others fill the rest."""
    for region in phonenumbers.region_codes_for_country_code(NANP):
        metadata = PhoneMetadata.metadata_for_region(region)
        if metadata and metadata.leading_digits and re.match(metadata.leading_digits, f"{code}2"):
            return str(region)
    sample = PhoneNumber(country_code=NANP, national_number=int(f"{code}2345678"))
    return phonenumbers.region_code_for_number(sample)


def _named_state(code: str) -> set[str]:
    """The state in phonenumbers' own words: "Missouri", "Chicago, IL", or nothing."""
    words = GEOCODE_DATA.get(f"1{code}", {}).get("en", "")
    state = places.clean_state(words.rpartition(", ")[2])
    return {state} if state else set()


def _zip_ranges(zips: list[ZipRow]) -> list[tuple[str, str, str, str]]:
    """Runs of ZIPs with one state and zone; numbers not given out yet belong to the run around."""
    runs: list[tuple[str, str, str, str]] = []
    for row in zips:
        if row["state"] in MILITARY:
            continue
        code, state = row["zip_code"], row["state"]
        zone = "".join(_readable([row["timezone"]]))
        first, last, *of_run = runs[-1] if runs else ("", "", "", "")
        if of_run == [state, zone] and (last[:3] == code[:3] or int(last) + 1 == int(code)):
            runs[-1] = (first, code, state, zone)
        else:
            runs.append((code, code, state, zone))
    return runs


def _state_zones(zips: list[ZipRow], codes: dict[str, places.Places]) -> dict[str, frozenset[str]]:
    """All zones of a state's ZIPs and of the area codes that lie in it."""
    zones: defaultdict[str, set[str]] = defaultdict(set)
    for row in zips:
        zones[row["state"]] |= _readable([row["timezone"]])
    for area in codes.values():
        for state in area.states:
            zones[state] |= area.zones
    return {state: frozenset(zones[state]) for state in sorted(zones) if zones[state]}


def _readable(names: Iterable[str]) -> frozenset[str]:
    """The names that are time zones: the ZIPs hold blank ones and a village."""
    return frozenset(name for name in names if hours.load_zone(name))


def _words(names: Iterable[str]) -> str:
    return " ".join(sorted(names))


def _csv(head: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    sources = f"zipcodes {version('zipcodes')} and phonenumbers {version('phonenumbers')}"
    text = io.StringIO(f"# Made by manage.py build_places from {sources}; not edited by hand\n")
    text.seek(0, io.SEEK_END)
    csv.writer(text, lineterminator="\n").writerows([tuple(head), *rows])
    return text.getvalue()
