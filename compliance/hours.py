"""Sending hours: when may a person be texted who is in one of several places, or in all of them.

Pure: the clock is an argument. An hour on the wall becomes an instant by one rule: what happens
twice opens at the later and closes at the earlier time, what is skipped happens right after the
gap. State rules join by giving `on` their own answer; nothing else here asks what a day allows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

HORIZON = timedelta(days=7)
_SUNDAY = 6


@dataclass(frozen=True, slots=True)
class SendingHours:
    """Wall-clock hours of every day, `opens` included and `closes` not.

    A day that would open at or after its close is closed; so `sunday_opens=closes` closes Sunday.
    A set of zones is open when every one is; an empty set, or an unreadable zone, never is.
    """

    opens: time
    closes: time
    sunday_opens: time | None = None

    def on(self, day: date) -> tuple[time, time] | None:
        """When a local day opens and closes; None when it stays closed."""
        opens = self.opens
        if self.sunday_opens is not None and day.weekday() == _SUNDAY:
            opens = self.sunday_opens
        return (opens, self.closes) if opens < self.closes else None

    def is_open(self, now: datetime, zones: Collection[str]) -> bool:
        return self.closing(now, zones) is not None

    def closing(self, now: datetime, zones: Collection[str]) -> datetime | None:
        """The instant (UTC) at which the first of the zones closes; None when not all are open."""
        first = None
        for zone in zones:
            window = _window(self, _local_day(now, zone), zone)
            if window is None or not window[0] <= now < window[1]:
                return None
            if first is None or window[1] < first:
                first = window[1]
        return first

    def next_opening(self, now: datetime, zones: Collection[str]) -> datetime | None:
        """The first instant (UTC) from `now` on with all zones open; None within seven days."""
        moment = now.astimezone(UTC)
        last = moment + HORIZON
        while zones and moment <= last:
            openings = [self._opening(moment, zone) for zone in zones]
            latest = max(opening or datetime.max.replace(tzinfo=UTC) for opening in openings)
            if latest == moment:
                return moment
            moment = latest
        return None

    def _opening(self, moment: datetime, zone: str) -> datetime | None:
        """The first instant from `moment` on at which this one zone is open."""
        today = _local_day(moment, zone)
        for days in range(HORIZON.days + 2):
            window = _window(self, today + timedelta(days=days), zone)
            if window and moment < window[1]:
                return max(moment, window[0])
        return None


def opening_instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The instant (UTC) of a wall time at which something begins."""
    return max(_instants(day, wall, zone))


def closing_instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The instant (UTC) of a wall time at which something must have ended."""
    return min(_instants(day, wall, zone))


@lru_cache(maxsize=2048)
def load_zone(name: str) -> ZoneInfo | None:
    """The zone, or None: a junk name in one row must not stop a batch."""
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # a name unknown to zoneinfo is a KeyError
        return None


def forget_zones() -> None:
    """Drop all that was computed from zone data, after the data was changed."""
    ZoneInfo.clear_cache()
    load_zone.cache_clear()
    _window.cache_clear()


def _local_day(now: datetime, zone: str) -> date:
    if now.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be compared with sending hours")
    return now.astimezone(load_zone(zone) or UTC).date()


@lru_cache(maxsize=65536)
def _window(hours: SendingHours, day: date, zone: str) -> tuple[datetime, datetime] | None:
    """When a day opens and closes; a clock change can put the close before the opening."""
    place, allowed = load_zone(zone), hours.on(day)
    if place is None or allowed is None:
        return None
    opens, closes = allowed
    return opening_instant(day, opens, place), closing_instant(day, closes, place)


def _instants(day: date, wall: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first = datetime.combine(day, wall, tzinfo=zone).astimezone(UTC)
    second = datetime.combine(day, wall.replace(fold=1), tzinfo=zone).astimezone(UTC)
    if first > second:  # skipped: the clock was put forward somewhere between the two
        first = second = _change_between(second, first, zone)
    return first, second


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the zone's offset changed."""
    old = before.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
