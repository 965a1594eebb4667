"""When a slot comes due: a local date and time over all places of a person become instants.

Pure, and the owner of three instants: when planning opens, when a message is due, when it is too
late. Whether a person may be texted at such an instant is `compliance/hours.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from compliance.hours import SendingHours, load_zone, opening_instant

PLANNING_LEAD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Moments:
    """Both in UTC; from `expires_at` on the message is not sent any more."""

    due_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NoCommonWindow:
    """No hour of the next seven days is a sending hour in all places, or a place is unreadable."""

    code: str = "no_common_window"


NO_COMMON_WINDOW = NoCommonWindow()


def moments(
    local_date: date,
    local_time: time,
    *,
    zones: Collection[str],
    window: timedelta,
    hours: SendingHours | None = None,
) -> Moments | NoCommonWindow:
    """The instants of a slot for people who may be in any of `zones`; `window` is its length.

    Without `hours` (not known yet) only the window ends it. Nobody is refused because the slot
    lies outside sending hours: hours may still be changed, and what waits too long expires.
    """
    if not zones or not all(load_zone(zone) for zone in zones):
        return NO_COMMON_WINDOW
    due = due_at(local_date, local_time, zones)
    if hours is None:
        return Moments(due, due + window)
    if hours.next_opening(due, zones) is None:
        return NO_COMMON_WINDOW
    return Moments(due, expires_at(due, window=window, zones=zones, hours=hours))


def due_at(local_date: date, local_time: time, zones: Collection[str]) -> datetime:
    """The latest (UTC) of the slot's local instants. Raises ValueError without a readable zone."""
    known = [zone for zone in map(load_zone, zones) if zone]
    if not known or len(known) < len(zones):
        raise ValueError("a slot needs zones that can be read")
    return max(opening_instant(local_date, local_time, zone) for zone in known)


def expires_at(
    due: datetime, *, window: timedelta, zones: Collection[str], hours: SendingHours
) -> datetime:
    """The end of the slot's window, or the close of the sending hours it is first open in.

    A window that begins before opening waits for it; one that ends before opening stays as it is.
    """
    end = due + window
    opening = hours.next_opening(due, zones)
    close = hours.closing(opening, zones) if opening else None
    return min(end, close or end)


def planning_opens_at(due: datetime) -> datetime:
    """Planned just before it is due, so that late leads and late changes count."""
    return due - PLANNING_LEAD
