"""What one user sees of what moves: the counted figures of their brands, with names and states.

Names, pauses and faults are read at each look, so that a brake shows at once; figures come from the
last count. Totals are sums of the rows the user may see, so nobody learns of other brands.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from brands import access
from brands.access import Ability, Visitor
from brands.models import Installation
from campaigns.models import Slot
from compliance.hours import SendingHours
from delivery.limit_rows import full_lanes
from delivery.states import Reason
from providers.models import SenderNumber
from reporting.live import GROUPS, SHOWN_AFTER_END, SOON, Count, Snapshot, Tries
from reporting.live_finish import Finish, Span, Timing, finish, span_of

LOCAL_HOUR, NEXT = "local_hour", "next"
WAITS = {
    **dict(Reason.choices),
    LOCAL_HOUR: "They wait for their local hour",
    NEXT: "Next in line",
}
BRAKES = {Reason.STOP_ALL, Reason.BRAND_PAUSED, Reason.CAMPAIGN_PAUSED}
GROUP_OF = {status.value: group for group, held in GROUPS.items() for status in held}


@dataclass(slots=True)
class Figures:
    """Messages by group of states. They add up to the audience, as far as it is planned."""

    groups: Counter[str] = field(default_factory=Counter)

    def of(self, group: str) -> int:
        return self.groups[group]

    @property
    def audience(self) -> int:
        return self.groups.total()

    def add(self, other: Figures) -> None:
        self.groups.update(other.groups)


@dataclass(frozen=True, slots=True)
class Brakes:
    """What keeps messages from leaving now, whatever they were held for."""

    all_stopped: bool
    lanes: frozenset[int]  # numbers that cannot send
    full_lanes: Mapping[int, Reason]  # and those that may send no more today
    full_brands: frozenset[int]
    full_campaigns: frozenset[int]

    def of_slot(self, slot: Slot) -> Reason:
        """The brake that holds the whole slot."""
        if self.all_stopped:
            return Reason.STOP_ALL
        if slot.campaign.brand.paused_at:
            return Reason.BRAND_PAUSED
        return Reason.CAMPAIGN_PAUSED if slot.campaign.paused_at else Reason.NONE

    def of_rows(self, slot: Slot, count: Count) -> str:
        """Why these waiting messages wait: what the sweep would say, were it too late for them."""
        if brake := self.of_slot(slot):
            return brake.value
        if count.reason and count.reason not in BRAKES:
            return count.reason
        if count.is_later:
            return NEXT if count.reason else LOCAL_HOUR  # a brake let go: a minute at most
        if slot.campaign.brand_id in self.full_brands:
            return Reason.BRAND_CAP.value
        if slot.campaign_id in self.full_campaigns:
            return Reason.CAMPAIGN_CAP.value
        if full := self.full_lanes.get(count.lane_id or 0):
            return full.value
        return Reason.LANE_PAUSED.value if count.lane_id in self.lanes else NEXT


@dataclass(slots=True)
class Row:
    """One slot of a campaign, as it moves."""

    slot: Slot
    span: Span
    may_brake: bool
    brake: Reason = Reason.NONE
    figures: Figures = field(default_factory=Figures)
    waits: Counter[str] = field(default_factory=Counter)
    rate: float = 0.0  # messages a second
    next_at: datetime | None = None  # when the first of those who wait for an hour comes due
    finish: Finish | None = None

    @property
    def brand_id(self) -> int:
        return self.slot.campaign.brand_id

    @property
    def is_open(self) -> bool:
        return self.slot.state == Slot.State.OPEN

    @property
    def left(self) -> int:
        return self.figures.of("waiting") + self.figures.of("sending")

    def is_coming(self, now: datetime) -> bool:
        """Nobody of it is planned yet, and its first people's hour lies ahead."""
        return self.is_open and not self.figures.audience and self.span.first > now


@dataclass(slots=True)
class BrandSum:
    """The rows of one brand, together."""

    brand_id: int
    name: str
    rows: int = 0
    figures: Figures = field(default_factory=Figures)
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Board:
    """What moves for one user. `rows`: the busiest first; ended and coming ones stand apart."""

    now: datetime
    rows: Sequence[Row]
    ended: Sequence[Row]
    coming: Sequence[Row]
    brands: Sequence[BrandSum]
    figures: Figures
    waits: Sequence[tuple[str, int]]
    rate: float

    @property
    def is_all_on_its_way(self) -> bool:
        """Whether of every row it is known when it will be through."""
        return all(row.finish for row in self.rows if row.left)

    @property
    def last_finish(self) -> Row | None:
        """The row that is through last, of those of which it is known."""
        known = [row for row in self.rows if row.finish]
        return max(known, key=lambda row: row.finish.at, default=None)  # type: ignore[union-attr]


def board(user: Visitor, snapshot: Snapshot, installation: Installation, now: datetime) -> Board:
    """The user's part of the snapshot, with what holds it at this moment. Four queries."""
    counts: defaultdict[int, list[Count]] = defaultdict(list)
    for count in snapshot.counts:
        counts[count.slot_id].append(count)
    lately = _by_slot(snapshot.tries)
    brakes = Brakes(
        all_stopped=installation.stopped_at is not None,
        lanes=_shut_lanes({one.lane_id for one in snapshot.counts if one.lane_id}, now),
        full_lanes=full_lanes(),
        full_brands=snapshot.full_brands,
        full_campaigns=snapshot.full_campaigns,
    )
    may_send = access.brand_ids(user, Ability.SEND)
    rows = []
    for slot in _slots(user, now):
        row = _row(slot, snapshot.zones, may_send)
        _count(row, counts[slot.pk], brakes)
        _estimate(row, counts[slot.pk], lately[slot.pk], snapshot, now)
        rows.append(row)
    return _sum_up(rows, now)


def _slots(user: Visitor, now: datetime) -> Iterable[Slot]:
    just_ended = Q(state=Slot.State.CLOSED, closed_at__gt=now - SHOWN_AFTER_END)
    is_open = Q(state=Slot.State.OPEN, local_date__lte=(now + SOON).date())
    slots = Slot.objects.filter(is_open | just_ended).select_related("campaign__brand")
    slots = access.visible(slots, user, Ability.FIGURES, path="campaign__brand")
    return slots.defer("suppressed", "list_rules").order_by("local_date", "local_time", "id")


def _shut_lanes(lane_ids: Collection[int], now: datetime) -> frozenset[int]:
    """Those of the numbers that cannot send now."""
    numbers = SenderNumber.objects.filter(pk__in=lane_ids)
    own = Q(paused_at__isnull=False) | Q(retired_at__isnull=False) | Q(rests_until__gt=now)
    of_account = Q(account__paused_at__isnull=False) | Q(account__retired_at__isnull=False)
    of_account |= Q(account__halves=0)
    return frozenset(numbers.filter(own | of_account).values_list("pk", flat=True))


def _by_slot(tries: Iterable[Tries]) -> defaultdict[int, tuple[int, int]]:
    """Messages handed to a provider in the window, and lately, by slot."""
    found: defaultdict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for one in tries:
        if one.slot_id is not None and one.outcome != "not_sent":
            window, lately = found[one.slot_id]
            found[one.slot_id] = (window + one.attempts, lately + one.lately)
    return found


def _row(
    slot: Slot, zones: Mapping[int, Sequence[tuple[str, ...]]], may_send: frozenset[int] | None
) -> Row:
    brand = slot.campaign.brand
    timing = Timing(
        slot.local_date,
        slot.local_time,
        slot.length,
        SendingHours(brand.opens, brand.closes, brand.sunday_opens),
        brand.zone,
    )
    return Row(
        slot=slot,
        span=span_of(timing, zones.get(slot.campaign.lead_list_id, ())),
        may_brake=may_send is None or brand.pk in may_send,
    )


def _count(row: Row, counts: Iterable[Count], brakes: Brakes) -> None:
    row.brake = brakes.of_slot(row.slot) if row.is_open else Reason.NONE
    for count in counts:
        group = GROUP_OF[count.status]
        row.figures.groups[group] += count.messages
        if group == "waiting":
            row.waits[brakes.of_rows(row.slot, count)] += count.messages


def _estimate(
    row: Row, counts: Sequence[Count], handed: tuple[int, int], snapshot: Snapshot, now: datetime
) -> None:
    later = [one for one in counts if one.is_later]
    row.next_at = min((one.earliest for one in later if one.earliest), default=None)
    if row.brake or not row.is_open:
        return
    row.rate = rate_of(*handed, snapshot) if row.left else 0.0
    many = sum(one.messages for one in later)
    row.finish = finish(
        now=now,
        span=row.span,
        ready=row.figures.of("waiting") - many,
        later=many,
        later_at=max((one.latest for one in later if one.latest), default=None),
        rate=row.rate,
    )


def rate_of(attempts: int, lately: int, snapshot: Snapshot) -> float:
    """Messages a second: of the last seconds, or of the whole window where there were few."""
    if lately >= 10:
        return lately / snapshot.lately
    return attempts / snapshot.window


def _sum_up(rows: Sequence[Row], now: datetime) -> Board:
    moving = [row for row in rows if row.is_open and not row.is_coming(now)]
    ended = [row for row in rows if not row.is_open]
    figures, waits = Figures(), Counter[str]()
    brands: dict[int, BrandSum] = {}
    for row in moving:
        figures.add(row.figures)
        waits.update(row.waits)
        brand = row.slot.campaign.brand
        of_brand = brands.setdefault(brand.pk, BrandSum(brand.pk, brand.name))
        of_brand.figures.add(row.figures)
        of_brand.rate += row.rate
        of_brand.rows += 1
    return Board(
        now=now,
        rows=sorted(moving, key=lambda row: (-row.rate, -row.left, row.span.first, row.slot.pk)),
        ended=sorted(ended, key=_closed_at, reverse=True),
        coming=sorted((r for r in rows if r.is_coming(now)), key=lambda row: row.span.first),
        brands=sorted(brands.values(), key=lambda one: (-one.rate, -one.figures.audience)),
        figures=figures,
        waits=waits.most_common(),
        rate=sum(row.rate for row in moving),
    )


def _closed_at(row: Row) -> datetime:
    return row.slot.closed_at or row.span.end
