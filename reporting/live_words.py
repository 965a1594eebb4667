"""What moves, in the words of the index page: states, times, rates and shares of a bar. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from compliance.hours import load_zone
from delivery.states import Reason
from reporting.live_board import LOCAL_HOUR, NEXT, WAITS, Figures, Row

LABELS = {
    "waiting": ("Waiting", "Planned, and not handed to a provider yet"),
    "sending": ("Sending", "Handed to a provider, whose answer is awaited"),
    "accepted": ("Accepted", "The provider has it; no final report yet"),
    "delivered": ("Delivered", "The phone has it, the carrier says"),
    "failed": ("Failed", "Rejected by the provider, or not delivered"),
    "unknown": (
        "Unknown",
        "Perhaps it arrived: no report came, or perhaps it was never taken",
    ),
    "refused": ("Refused", "By our rules: opted out, no consent, the same words …"),
    "expired": ("Expired", "Its slot ended before it could leave"),
}
BAR = ("delivered", "accepted", "sending", "unknown", "failed", "refused", "expired", "waiting")
BRAKED = {
    Reason.STOP_ALL: ("so-bad", "All stopped"),
    Reason.BRAND_PAUSED: ("so-warn", "Brand paused"),
    Reason.CAMPAIGN_PAUSED: ("so-warn", "Paused"),
}
HELD = {
    Reason.BRAND_CAP.value: ("so-warn", "Brand's daily cap reached"),
    Reason.CAMPAIGN_CAP.value: ("so-warn", "Daily cap reached"),
    Reason.NUMBER_CAP.value: ("so-warn", "Number's daily limit reached"),
    Reason.ACCOUNT_CAP.value: ("so-warn", "Account's daily limit reached"),
    Reason.CARRIER_CAP.value: ("so-warn", "Carrier's daily limit reached"),
    Reason.WARM_UP.value: ("so-info", "Number warms up"),
    Reason.LANE_PAUSED.value: ("so-bad", "Number paused"),
    Reason.QUIET_HOURS.value: ("so-info", "Outside sending hours"),
    NEXT: ("so-info", "About to leave"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One group of states: how many, and their share of the bar in per cent."""

    key: str
    label: str
    help: str
    many: int
    share: str


@dataclass(frozen=True, slots=True)
class Pill:
    tone: str
    words: str
    detail: str = ""


def parts(figures: Figures, order: Iterable[str] = LABELS) -> list[Part]:
    """Every group in this order, those that are empty too."""
    return [
        Part(key, *LABELS[key], figures.of(key), share(figures.of(key), figures.audience))
        for key in order
    ]


def bar(figures: Figures) -> list[Part]:
    return [part for part in parts(figures, BAR) if part.many]


def share(many: int, of: int) -> str:
    """In per cent, as CSS reads it."""
    return f"{100 * many / of:.2f}" if of else "0"


def waits(counted: Sequence[tuple[str, int]]) -> list[Part]:
    """Why messages wait, the most frequent reason first."""
    total = sum(many for _, many in counted)
    return [Part(key, WAITS[key], "", many, share(many, total)) for key, many in counted]


def rate(a_second: float) -> str:
    if a_second >= 10:
        return f"{a_second:,.0f} a second"
    if a_second >= 1:
        return f"{a_second:.1f} a second"
    return f"{max(a_second * 60, 1):.0f} a minute" if a_second else ""


def clock_time(moment: datetime, zone: str, now: datetime) -> str:
    """The wall time in a zone, with the day where that is not today."""
    local = moment.astimezone(load_zone(zone) or UTC)
    is_today = local.date() == now.astimezone(local.tzinfo).date()
    return f"{local:%H:%M %Z}" if is_today else f"{local:%a %-d %b, %H:%M %Z}"


def zone_of(row: Row) -> str:
    return str(row.slot.campaign.brand.zone)


def slot_time(row: Row) -> str:
    return f"{row.slot.local_date:%a %-d %b}, {row.slot.local_time:%H:%M} local"


def pill(row: Row, now: datetime) -> Pill:
    """The state of a slot, in a word or two."""
    if not row.is_open:
        ended = row.slot.closed_at
        return Pill("", "Ended", ago(now - ended) if ended else "")
    if row.brake:
        reason = row.slot.campaign.pause_reason if row.brake == Reason.CAMPAIGN_PAUSED else ""
        return Pill(*BRAKED[row.brake], reason)
    if row.rate:
        return _moving(row, now)
    return _held(row, now) if row.figures.of("waiting") else _handed_over(row, now)


def _moving(row: Row, now: datetime) -> Pill:
    held = sum(many for reason, many in row.waits.items() if reason in HELD and reason != NEXT)
    if held * 2 > row.figures.of("waiting"):  # then speed is not what keeps them
        return _held(row, now)
    if row.finish and row.finish.is_late:
        ends = clock_time(row.span.end, zone_of(row), now)
        return Pill("so-warn", "Too slow", f"Some will not leave before the slot ends at {ends}")
    return Pill("so-good", "Sending")


def _held(row: Row, now: datetime) -> Pill:
    reason, _ = row.waits.most_common(1)[0]
    if reason == LOCAL_HOUR and row.next_at:
        return Pill("so-info", f"Waits for {clock_time(row.next_at, zone_of(row), now)}")
    if reason in HELD:
        return Pill(*HELD[reason])
    return Pill("so-warn", "Held", WAITS[reason])


def _handed_over(row: Row, now: datetime) -> Pill:
    if not row.span.is_planned_at(now):
        return Pill("so-info", f"More at {clock_time(row.span.last, zone_of(row), now)}")
    if row.figures.of("sending"):
        return Pill("so-good", "Sending")
    if not row.figures.audience:
        return Pill("", "Nobody to text")
    return Pill("so-good", "All handed over")


def finish(row: Row, now: datetime) -> str:
    """About when the last message leaves; empty where nobody can say."""
    if row.finish is None:
        return ""
    at = clock_time(row.finish.at, zone_of(row), now)
    return f"some will not leave by {at}" if row.finish.is_late else f"through about {at}"


def window(seconds: float) -> str:
    whole = round(seconds)
    return "minute" if whole == 60 else f"{whole} seconds" if whole > 1 else "second"


def ago(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    return f"{minutes} min ago" if minutes >= 1 else "just now"
