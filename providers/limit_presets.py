"""What carriers and providers usually allow, to be chosen and never applied by itself.

The figures and where they come from stand in limit_presets.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from brands.models import Brand
from providers.models import Limit, ProviderAccount, SenderNumber

Owner = Brand | ProviderAccount | SenderNumber
OWNERS: dict[str, type[Owner]] = {
    "brand": Brand,
    "account": ProviderAccount,
    "number": SenderNumber,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Limits that go together. `kinds`: of numbers or providers it is for, none of them: all."""

    name: str
    owner: str
    label: str
    source: str
    limits: tuple[dict[str, Any], ...]
    kinds: tuple[str, ...] = ()
    segments_per_second: float | None = None

    def fits(self, owner: Owner) -> bool:
        is_owners = isinstance(owner, OWNERS[self.owner])
        return is_owners and self.is_for(getattr(owner, "kind", ""))

    def is_for(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


def _read() -> tuple[Preset, ...]:
    rows = json.loads((Path(__file__).parent / "limit_presets.json").read_text())
    made = []
    for row in rows:
        row["limits"], row["kinds"] = tuple(row["limits"]), tuple(row.get("kinds", ()))
        made.append(Preset(**row))
    return tuple(made)


PRESETS = _read()


def for_owner(owner: Owner) -> list[Preset]:
    return [preset for preset in PRESETS if preset.fits(owner)]


def is_for(name: str, kind: str) -> bool:
    """Whether a number or provider of this kind may have the preset. Raises KeyError."""
    return {one.name: one for one in PRESETS}[name].is_for(kind)


def apply(name: str, owner: Owner) -> Preset:
    """Set what the preset says and leave other limits as they are.

    A limit that counts the same gets the preset's amount. Raises KeyError for a preset that is not
    there or not for this owner.
    """
    preset = {one.name: one for one in for_owner(owner)}[name]
    with transaction.atomic():
        if preset.segments_per_second is not None:
            speed = {"segments_per_second": preset.segments_per_second}
            type(owner).objects.filter(pk=owner.pk).update(**speed)
        for limit in preset.limits:
            _set(limit, preset.owner, owner)
    return preset


def _set(limit: dict[str, Any], field: str, owner: Owner) -> None:
    """A limit whose day is another zone's counts something else, so it is set anew."""
    what = {**limit, field: owner}
    amount = what.pop("amount")
    zone = what.pop("zone", "")
    scope = {"kind": "", "carrier": "", **what}
    found = Limit.objects.filter(**scope)
    found.exclude(zone=zone).delete()
    if not found.filter(zone=zone).update(amount=amount):
        Limit.objects.create(**scope, zone=zone, amount=amount)
