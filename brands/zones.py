"""Time zones for staff: those they may choose from, and how one is called."""

from __future__ import annotations

from importlib import resources


def zone_choices() -> list[tuple[str, str]]:
    """Every zone of the pinned tz data package, as (name, words).

    A function, so that new zone data makes no migration.
    """
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return [(name, name.replace("_", " ")) for name in sorted(names)]


def city(zone: str) -> str:
    """As in "New York", of America/New_York."""
    return zone.rpartition("/")[2].replace("_", " ")
