"""How long the numbers take: what waits, gone through in the order in which it comes due.

Pure. Messages flow like water: a number passes its segments a second, less where its account, the
brand or another limit passes less, and a daily cap is a tank that is full again at its midnight. Of
a number whose day is over, what may go by others goes by those that have nothing else to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from itertools import pairwise
from math import ceil
from zoneinfo import ZoneInfo

from compliance.hours import opening_instant
from delivery.limits import Limit
from delivery.states import Reason

DROP = 1e-6  # less than this of a message is none
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Messages that may leave by one number from `ready_at` on and before `expires_at` (UTC).

    `is_brands` and `is_campaigns` say whose caps they count on. Of those that are ready at the same
    time, what was there before comes first.
    """

    lane_id: int
    ready_at: datetime
    expires_at: datetime
    messages: int
    segments: float  # of each message
    is_brands: bool = True
    is_campaigns: bool = True
    or_by: frozenset[int] = frozenset()  # numbers that take over when its own may send no more
    carrier: str = ""  # of its people, empty where it is not known


@dataclass(frozen=True, slots=True)
class Pipe:
    """A number: the segments it passes in a second, and those of its account."""

    account_id: int
    rate: float
    account_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """Messages, or segments, a day of a zone, and how many of today's are used.

    `lanes`: the numbers that count on it, None for all; a BRAND_CAP and a CARRIER_CAP is of the
    brand and a CAMPAIGN_CAP of the campaign, whose messages alone count; `limit`: whose carrier
    it is for. `zone`: its day; the brand's where it is empty. `since`: when the day of a warm-up
    began, each of which has 24 hours; the next one is reckoned to allow no more.
    """

    reason: Reason
    a_day: int
    used: int = 0
    in_segments: bool = False
    zone: str = ""
    lanes: frozenset[int] | None = None
    limit: Limit | None = None
    since: datetime | None = None

    def next_day(self, after: datetime, zone: str) -> datetime:
        """When its next day begins, and the brand's zone is this."""
        if self.since is not None:
            return self.since + ((after - self.since) // DAY + 1) * DAY
        place = ZoneInfo(self.zone or zone)
        return opening_instant(after.astimezone(place).date() + DAY, time(0), place)

    @property
    def left(self) -> int:
        return max(self.a_day - self.used, 0)

    def counts(self, wave: Wave, lane_id: int) -> bool:
        """Whether what leaves of this wave by this number counts on it."""
        if self.lanes is not None and lane_id not in self.lanes:
            return False
        if self.limit is not None and not self.limit.counts(wave.carrier):
            return False
        if self.reason in (Reason.BRAND_CAP, Reason.CARRIER_CAP):
            return wave.is_brands
        return wave.is_campaigns or self.reason != Reason.CAMPAIGN_CAP

    def cost(self, wave: Wave) -> float:
        return wave.segments if self.in_segments else 1.0


@dataclass(frozen=True, slots=True)
class Valve:
    """A further limit a second, in messages or segments, of some numbers; of the brand's messages
    alone if it is the brand's."""

    rate: float
    in_messages: bool
    lanes: frozenset[int]
    is_brands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    pipes: Mapping[int, Pipe]
    brand_rate: float | None = None
    caps: Sequence[Cap] = ()
    zone: str = "UTC"
    valves: Sequence[Valve] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """What becomes of a wave: how many leave, between when, and why the rest does not."""

    sent: int
    first_at: datetime | None
    last_at: datetime | None
    reason: Reason = Reason.NONE


@dataclass(slots=True, eq=False)
class _Flow:
    """A wave under way; times are seconds from the beginning."""

    wave: Wave
    ready: float
    expires: float
    left: float
    first: float | None = None
    last: float = 0.0
    reason: Reason = Reason.NONE


_Head = tuple[int, _Flow]
"""A number and the wave it is at."""


@dataclass(slots=True)
class _Tanks:
    """What is left of the caps today."""

    caps: Sequence[Cap]
    left: dict[Cap, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = {cap: float(cap.left) for cap in self.caps}

    def fill(self, caps: Collection[Cap]) -> None:
        """A day of these begins."""
        self.left |= {cap: float(cap.a_day) for cap in caps}

    def of(self, wave: Wave, lane_id: int) -> list[Cap]:
        return [cap for cap in self.caps if cap.counts(wave, lane_id)]

    def full(self, wave: Wave, lane_id: int) -> Reason:
        """The cap that keeps this wave back from this number now."""
        found = (cap.reason for cap in self.of(wave, lane_id) if self.left[cap] <= 0)
        return next(found, Reason.NONE)


def simulate(waves: Sequence[Wave], limits: Limits, *, begin: datetime) -> list[Run]:
    """What becomes of each wave from `begin` on."""
    flows = [_flow(wave, begin) for wave in waves]
    lanes: dict[int, list[_Flow]] = {lane_id: [] for lane_id in limits.pipes}
    for flow in sorted(flows, key=lambda flow: (flow.ready, flow.wave.is_campaigns)):
        lanes[flow.wave.lane_id].append(flow)
    tanks, midnights = _Tanks(limits.caps), _midnights(flows, limits, begin)
    edges = {edge for flow in flows for edge in (flow.ready, flow.expires)} | midnights.keys()
    for start, end in pairwise(sorted({0.0, *(edge for edge in edges if edge > 0)})):
        tanks.fill(midnights.get(start, ()))
        _let_flow(lanes, limits, tanks, start, end)
        _end_expired(lanes, tanks, end)
    return [_run(flow, begin) for flow in flows]


def _flow(wave: Wave, begin: datetime) -> _Flow:
    ready = max((wave.ready_at - begin).total_seconds(), 0.0)
    expires = max((wave.expires_at - begin).total_seconds(), 0.0)
    return _Flow(wave, ready, expires, float(wave.messages))


def _midnights(flows: Sequence[_Flow], limits: Limits, begin: datetime) -> dict[float, set[Cap]]:
    """When days begin, and of which caps."""
    found: dict[float, set[Cap]] = defaultdict(set)
    end = begin + timedelta(seconds=max((flow.expires for flow in flows), default=0.0))
    for cap in limits.caps:
        midnight = cap.next_day(begin, limits.zone)
        while midnight < end:
            found[(midnight - begin).total_seconds()].add(cap)
            midnight = cap.next_day(midnight, limits.zone)
    return found


def _let_flow(
    lanes: Mapping[int, list[_Flow]], limits: Limits, tanks: _Tanks, now: float, end: float
) -> None:
    """Between two moments nothing comes due or expires; each turn empties a wave or a tank."""
    while end - now > DROP:
        paces = _paces(_heads(lanes, tanks, now), limits)
        if not paces:
            return
        together: dict[_Flow, float] = defaultdict(float)
        for (_, flow), pace in paces.items():
            together[flow] += pace
        drains = _drains(paces, tanks)
        emptied = [flow.left / pace for flow, pace in together.items()]
        emptied += [tanks.left[cap] / pace for cap, pace in drains.items()]
        span = min(end - now, *emptied)
        for flow, pace in together.items():
            flow.first = now if flow.first is None else flow.first
            flow.left = _less(flow.left, pace * span)
            flow.last = max(flow.first, now + span - 1 / pace)
        for cap, pace in drains.items():
            tanks.left[cap] = _less(tanks.left[cap], pace * span)
        now += span


def _less(amount: float, by: float) -> float:
    left = amount - by
    return left if left > DROP else 0.0


def _heads(lanes: Mapping[int, list[_Flow]], tanks: _Tanks, now: float) -> list[_Head]:
    """The wave each number is at: its own, else one that its own number may send no more of."""
    found, stranded, idle = [], [], []
    for lane_id, flows in lanes.items():
        waits = [flow for flow in flows if flow.ready <= now < flow.expires and flow.left]
        free = [flow for flow in waits if not tanks.full(flow.wave, lane_id)]
        if free:
            found.append((lane_id, free[0]))
            continue
        idle.append(lane_id)
        stranded += [flow for flow in waits if flow.wave.or_by]
    stranded.sort(key=lambda flow: (flow.ready, flow.wave.is_campaigns))
    for lane_id in idle:
        others = (
            flow
            for flow in stranded
            if lane_id in flow.wave.or_by and not tanks.full(flow.wave, lane_id)
        )
        if (taken := next(others, None)) is not None:
            found.append((lane_id, taken))
    return found


def _paces(heads: Sequence[_Head], limits: Limits) -> dict[_Head, float]:
    """Messages a second of each wave by each number."""
    rates = {head: limits.pipes[head[0]].rate for head in heads}
    accounts: dict[int, list[_Head]] = defaultdict(list)
    for head in heads:
        accounts[limits.pipes[head[0]].account_id].append(head)
    for some in accounts.values():
        _slow_down(rates, some, limits.pipes[some[0][0]].account_rate)
    _slow_down(rates, [head for head in heads if head[1].wave.is_brands], limits.brand_rate)
    paces = {head: rate / head[1].wave.segments for head, rate in rates.items()}
    for valve in limits.valves:
        some = [
            head
            for head in heads
            if head[0] in valve.lanes and (head[1].wave.is_brands or not valve.is_brands)
        ]
        _turn_down(paces, some, valve)
    return paces


def _slow_down(rates: dict[_Head, float], heads: Sequence[_Head], most: float | None) -> None:
    total = sum(rates[head] for head in heads)
    if most is not None and total > most:
        rates.update({head: rates[head] * most / total for head in heads})


def _turn_down(paces: dict[_Head, float], heads: Sequence[_Head], valve: Valve) -> None:
    total = sum(
        paces[head] * (1.0 if valve.in_messages else head[1].wave.segments) for head in heads
    )
    if total > valve.rate:
        paces.update({head: paces[head] * valve.rate / total for head in heads})


def _drains(paces: Mapping[_Head, float], tanks: _Tanks) -> dict[Cap, float]:
    drains: dict[Cap, float] = defaultdict(float)
    for (lane_id, flow), pace in paces.items():
        for cap in tanks.of(flow.wave, lane_id):
            drains[cap] += pace * cap.cost(flow.wave)
    return drains


def _end_expired(lanes: Mapping[int, list[_Flow]], tanks: _Tanks, now: float) -> None:
    """What is over by `now` says why it did not leave, and is looked at no more."""
    for flows in lanes.values():
        for flow in flows:
            if flow.expires <= now and flow.left:
                flow.reason = tanks.full(flow.wave, flow.wave.lane_id) or Reason.NO_CAPACITY
        flows[:] = [flow for flow in flows if flow.left and flow.expires > now]


def _run(flow: _Flow, begin: datetime) -> Run:
    sent = flow.wave.messages - ceil(flow.left - DROP)
    if not sent or flow.first is None:
        return Run(0, None, None, flow.reason or Reason.NO_CAPACITY)
    first, last = (begin + timedelta(seconds=moment) for moment in (flow.first, flow.last))
    return Run(sent, first, last, flow.reason if flow.left else Reason.NONE)
