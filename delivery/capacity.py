"""How long the numbers take: what waits, gone through in the order in which it comes due.

Pure. Messages flow like water: a number passes its segments a second, less where its account or the
brand passes less, and a daily cap is a tank that is full again at midnight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from compliance.hours import opening_instant
from delivery.states import Reason

DROP = 1e-6  # less than this of a message is none


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


@dataclass(frozen=True, slots=True)
class Pipe:
    """A number: the segments it passes in a second, and those of its account."""

    account_id: int
    rate: float
    account_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """Messages a day of the brand's zone, and how many of today's are used."""

    reason: Reason  # BRAND_CAP or CAMPAIGN_CAP
    a_day: int
    used: int = 0

    @property
    def left(self) -> int:
        return max(self.a_day - self.used, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    pipes: Mapping[int, Pipe]
    brand_rate: float | None = None
    caps: Sequence[Cap] = ()
    zone: str = "UTC"


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


@dataclass(slots=True)
class _Tanks:
    """What is left of the caps today."""

    caps: Sequence[Cap]
    left: dict[Reason, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = {cap.reason: float(cap.left) for cap in self.caps}

    def fill(self) -> None:
        self.left = {cap.reason: float(cap.a_day) for cap in self.caps}

    def full(self, wave: Wave) -> Reason:
        """The cap that keeps this wave back now."""
        found = (reason for reason in _caps_of(wave) if self.left.get(reason, 1.0) <= 0)
        return next(found, Reason.NONE)


def simulate(waves: Sequence[Wave], limits: Limits, *, begin: datetime) -> list[Run]:
    """What becomes of each wave from `begin` on."""
    flows = [_flow(wave, begin) for wave in waves]
    lanes: dict[int, list[_Flow]] = defaultdict(list)
    for flow in sorted(flows, key=lambda flow: (flow.ready, flow.wave.is_campaigns)):
        lanes[flow.wave.lane_id].append(flow)
    tanks, midnights = _Tanks(limits.caps), _midnights(flows, limits, begin)
    edges = {edge for flow in flows for edge in (flow.ready, flow.expires)} | midnights
    for start, end in pairwise(sorted({0.0, *(edge for edge in edges if edge > 0)})):
        if start in midnights:
            tanks.fill()
        _let_flow(lanes, limits, tanks, start, end)
        _end_expired(lanes, tanks, end)
    return [_run(flow, begin) for flow in flows]


def _flow(wave: Wave, begin: datetime) -> _Flow:
    ready = max((wave.ready_at - begin).total_seconds(), 0.0)
    expires = max((wave.expires_at - begin).total_seconds(), 0.0)
    return _Flow(wave, ready, expires, float(wave.messages))


def _midnights(flows: Sequence[_Flow], limits: Limits, begin: datetime) -> set[float]:
    """When days begin in the brand's zone; asked for only where a cap counts by days."""
    if not limits.caps or not flows:
        return set()
    zone = ZoneInfo(limits.zone)
    end = begin + timedelta(seconds=max(flow.expires for flow in flows))
    day, found = begin.astimezone(zone).date(), set()
    while (midnight := opening_instant(day + timedelta(days=1), time(0), zone)) < end:
        found.add((midnight - begin).total_seconds())
        day += timedelta(days=1)
    return found


def _let_flow(
    lanes: Mapping[int, list[_Flow]], limits: Limits, tanks: _Tanks, now: float, end: float
) -> None:
    """Between two moments nothing comes due or expires; each turn empties a wave or a tank."""
    while end - now > DROP:
        paces = _paces(_heads(lanes, tanks, now), limits)
        if not paces:
            return
        drains = _drains(paces, tanks)
        emptied = [flow.left / pace for flow, pace in paces.items()]
        emptied += [tanks.left[reason] / pace for reason, pace in drains.items()]
        span = min(end - now, *emptied)
        for flow, pace in paces.items():
            flow.first = now if flow.first is None else flow.first
            flow.left = _less(flow.left, pace * span)
            flow.last = max(flow.first, now + span - 1 / pace)
        for reason, pace in drains.items():
            tanks.left[reason] = _less(tanks.left[reason], pace * span)
        now += span


def _less(amount: float, by: float) -> float:
    left = amount - by
    return left if left > DROP else 0.0


def _heads(lanes: Mapping[int, list[_Flow]], tanks: _Tanks, now: float) -> list[_Flow]:
    """The wave each number is at."""
    found = []
    for flows in lanes.values():
        waits = (flow for flow in flows if flow.ready <= now < flow.expires and flow.left)
        head = next((flow for flow in waits if not tanks.full(flow.wave)), None)
        if head is not None:
            found.append(head)
    return found


def _paces(heads: Sequence[_Flow], limits: Limits) -> dict[_Flow, float]:
    """Messages a second of each wave that flows."""
    rates = {flow: limits.pipes[flow.wave.lane_id].rate for flow in heads}
    accounts: dict[int, list[_Flow]] = defaultdict(list)
    for flow in heads:
        accounts[limits.pipes[flow.wave.lane_id].account_id].append(flow)
    for flows in accounts.values():
        _slow_down(rates, flows, limits.pipes[flows[0].wave.lane_id].account_rate)
    _slow_down(rates, [flow for flow in heads if flow.wave.is_brands], limits.brand_rate)
    return {flow: rate / flow.wave.segments for flow, rate in rates.items()}


def _slow_down(rates: dict[_Flow, float], flows: Sequence[_Flow], most: float | None) -> None:
    total = sum(rates[flow] for flow in flows)
    if most is not None and total > most:
        rates.update({flow: rates[flow] * most / total for flow in flows})


def _drains(paces: Mapping[_Flow, float], tanks: _Tanks) -> dict[Reason, float]:
    drains: dict[Reason, float] = defaultdict(float)
    for flow, pace in paces.items():
        for reason in _caps_of(flow.wave):
            if reason in tanks.left:
                drains[reason] += pace
    return drains


def _caps_of(wave: Wave) -> list[Reason]:
    caps = [Reason.BRAND_CAP] if wave.is_brands else []
    return [*caps, Reason.CAMPAIGN_CAP] if wave.is_campaigns else caps


def _end_expired(lanes: Mapping[int, list[_Flow]], tanks: _Tanks, now: float) -> None:
    """What is over by `now` says why it did not leave, and is looked at no more."""
    for flows in lanes.values():
        for flow in flows:
            if flow.expires <= now and flow.left:
                flow.reason = tanks.full(flow.wave) or Reason.NO_CAPACITY
        flows[:] = [flow for flow in flows if flow.left and flow.expires > now]


def _run(flow: _Flow, begin: datetime) -> Run:
    sent = flow.wave.messages - round(flow.left)
    if not sent or flow.first is None:
        return Run(0, None, None, flow.reason or Reason.NO_CAPACITY)
    first, last = (begin + timedelta(seconds=moment) for moment in (flow.first, flow.last))
    return Run(sent, first, last, flow.reason if flow.left else Reason.NONE)
