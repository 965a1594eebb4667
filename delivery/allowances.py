"""How much is allowed: to one person, and of a brand and a campaign in a day. Pure.

It knows counts and times, not what they count; who takes of an allowance, says so by `take`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta


@dataclass(frozen=True, slots=True)
class PersonLimits:
    per_day: int
    per_week: int
    gap: timedelta

    def allowed_at(self, recent: list[tuple[float, int, str, str]], message_id: int) -> float:
        """The epoch second from which one more message is allowed; 0 when nothing is against it."""
        times = sorted(at for at, owner, _, _ in recent if owner != message_id) if recent else []
        allowed = 0.0
        for count, span in ((self.per_day, 86_400.0), (self.per_week, 604_800.0)):
            if count < 1:
                return float("inf")
            if len(times) >= count:
                allowed = max(allowed, times[-count] + span)
        if times:
            allowed = max(allowed, times[-1] + self.gap.total_seconds())
        return allowed


@dataclass(slots=True)
class Budget:
    """The daily caps and limits and what is left of them, by counter key.

    A key of a message's caps that is missing has no cap; one of its limits has nothing left.
    """

    caps: Mapping[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def take(self, keys: tuple[str, ...], limits: Sequence[tuple[str, int]] = ()) -> str | None:
        """Take one of each and what each limit asks for, or nothing at all.

        Returns the key that had too little left.
        """
        for key in keys:
            if self.left.get(key, 1) < 1:
                return key
        for key, cost in limits:
            if self.left.get(key, 0) < cost:
                return key
        for key, cost in limits:
            self.left[key] -= cost
        for key in keys:
            if key in self.left:
                self.left[key] -= 1
        return None


def cap_keys(brand_id: int, campaign_id: int | None, brand_day: date) -> tuple[str, ...]:
    """The counters of a message: a function of its attempt row, so a give-back finds them."""
    brand = f"brand:{brand_id}:{brand_day}"
    return (brand,) if campaign_id is None else (brand, f"campaign:{campaign_id}:{brand_day}")


def warm_keys(number_id: int, day_began_at: datetime | None) -> tuple[str, ...]:
    """The counter of a number's messages in a day of its warm-up; none where it is warm (None)."""
    if day_began_at is None:
        return ()
    return (f"warm:{number_id}:{int(day_began_at.timestamp())}",)
