"""The zones staff may choose from. A function, so that new zone data makes no migration."""

from __future__ import annotations

from importlib import resources


def zone_choices() -> list[tuple[str, str]]:
    """Every zone of the pinned tz data package, as (name, words)."""
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return [(name, name.replace("_", " ")) for name in sorted(names)]
