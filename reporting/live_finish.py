"""When a slot will be through: between which instants it sends, and about when the last leaves.

Pure. It reads what waits, how fast messages left lately and when the others come due; it knows
nothing of routes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from campaigns.schedule import Moments, moments, planning_opens_at
from compliance.hours import SendingHours


@dataclass(frozen=True, slots=True)
class Timing:
    """What a slot's instants depend on, besides the places of its people."""

    local_date: date
    local_time: time
    length: timedelta
    hours: SendingHours
    brand_zone: str


@dataclass(frozen=True, slots=True)
class Span:
    """First and last moment at which a message of the slot comes due, and the end (all UTC)."""

    first: datetime
    last: datetime
    end: datetime

    def is_planned_at(self, now: datetime) -> bool:
        """Whether the people of every zone have had their turn of being planned."""
        return planning_opens_at(self.last) <= now


@dataclass(frozen=True, slots=True)
class Finish:
    """About when the last message leaves. `is_late`: the slot ends before all have left."""

    at: datetime
    is_late: bool = False


def span_of(timing: Timing, zones: Iterable[tuple[str, ...]]) -> Span:
    """The slot for people with these sets of zones; without any, in the brand's own zone."""
    found = [one for one in (_moments(timing, each) for each in zones) if one is not None]
    found = found or [_fallback(timing)]
    return Span(
        first=min(one.due_at for one in found),
        last=max(one.due_at for one in found),
        end=max(one.expires_at for one in found),
    )


@lru_cache(maxsize=16_384)
def _moments(timing: Timing, zones: tuple[str, ...]) -> Moments | None:
    found = moments(
        timing.local_date,
        timing.local_time,
        zones=zones,
        window=timing.length,
        hours=timing.hours,
    )
    return found if isinstance(found, Moments) else None


@lru_cache(maxsize=1024)
def _fallback(timing: Timing) -> Moments:
    """Where nobody's hour is known, planning takes the brand's zone; sending hours count not."""
    found = moments(
        timing.local_date, timing.local_time, zones=[timing.brand_zone], window=timing.length
    )
    assert isinstance(found, Moments)  # noqa: S101 - a brand's zone is checked by its form
    return found


def finish(
    *, now: datetime, span: Span, ready: int, later: int, later_at: datetime | None, rate: float
) -> Finish | None:
    """About when the last of a slot leaves; None when nothing is left to, or nothing moves.

    `ready` messages wait for their turn and `later` for an hour, the last of them for `later_at`;
    `rate` messages a second left lately.
    """
    if ready and not rate:
        return None
    ends = [now + timedelta(seconds=ready / rate)] if ready else []
    if later_at is not None:
        ends.append(later_at + timedelta(seconds=later / rate if rate else 0))
    if not span.is_planned_at(now):
        ends.append(span.last)
    if not ends:
        return None
    return Finish(min(max(ends), span.end), is_late=max(ends) > span.end)
