"""What a start would come to: who gets a message and who does not, why, when, and what it costs.

It goes by the planner's rules and the steps' without planning or sending anything. What nobody can
know beforehand (a STOP on the way, a provider's fault) it does not guess.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import OperationalError, transaction

from brands import clock
from brands.models import Installation
from campaigns.models import Campaign, Slot, TemplateVersion
from campaigns.rendering import Mail
from campaigns.schedule import planning_opens_at
from campaigns.starting import largest_segments, route_of, version_of
from compliance.hours import SendingHours
from delivery import routing, sql
from delivery.ahead import ahead, unplanned
from delivery.allowances import PersonLimits, cap_keys
from delivery.audience import Alike, Asked, TooMany, people_of
from delivery.capacity import Cap, Limits, Pipe, Run, Wave, simulate
from delivery.facts import COUNTERS, local_day, zones_of
from delivery.fates import End, Rules, Turn, fates
from delivery.foreseen_limits import by_carrier, limits_of
from delivery.mail_steps import MAIL_MARKS
from delivery.planning import Share, shares_of
from delivery.route_capacity import SECONDS, Bound, Outlet, most_per_minute
from delivery.routing import Lane
from delivery.states import Reason
from delivery.steps import LINK_MARK
from providers.models import Channel, Route
from providers.registry import adapter

PATIENCE_MS = 20_000
CANCELED = "57014"  # SQLSTATE of a statement that ran into its time-out

# With the usual memory the groups of a long list are sorted on disk.
PATIENTLY = "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', '64MB', true)"
AS_USUAL = "SET LOCAL statement_timeout TO DEFAULT; SET LOCAL work_mem TO DEFAULT"

NUMBERS = """
SELECT n.id, a.id, sendonce_pace(n, %s), a.segments_per_second, a.price_micros,
       a.kind, a.definition
FROM providers_sendernumber n JOIN providers_provideraccount a ON a.id = n.account_id
WHERE n.id = ANY(%s::bigint[])
"""


class TooLong(Exception):
    """The list cannot be gone through while somebody waits for a page."""


@dataclass(slots=True, kw_only=True)
class SlotForecast:
    """What a draft slot will come to, in people; the audience is the sum of what is below it.

    `late` are those of `leaving` who had enough messages lately and get theirs when that is over.
    """

    slot: Slot
    suppressed: Counter[Reason] = field(default_factory=Counter)
    refused: Counter[Reason] = field(default_factory=Counter)
    waiting: Counter[Reason] = field(default_factory=Counter)
    expiring: Counter[Reason] = field(default_factory=Counter)
    leaving: int = 0
    late: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def audience(self) -> int:
        kept = (self.refused, self.waiting, self.expiring)
        return self.leaving + sum(counts.total() for counts in kept)

    def take(self, run: Run, messages: int) -> None:
        """Add what becomes of a wave of this slot."""
        self.leaving += run.sent
        if run.sent < messages:
            self.expiring[run.reason] += messages - run.sent
        if run.first_at and run.last_at:
            self.first_at = min(self.first_at or run.first_at, run.first_at)
            self.last_at = max(self.last_at or run.last_at, run.last_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`segments` are those of the largest message; `prices` of one segment, in micro-dollars, at
    the cheapest and the dearest of the route's accounts. `ahead` messages wait there already;
    `unplanned` campaigns go to people of this list too, and theirs are not known yet."""

    slots: Sequence[SlotForecast]
    segments: int
    prices: tuple[int, int]
    segments_per_second: float
    caps: Sequence[Cap]
    ahead: int
    unplanned: Sequence[Campaign]

    @property
    def people(self) -> int:
        """The audience of the largest slot: all slots are for one list."""
        return max((one.audience for one in self.slots), default=0)

    @property
    def leaving(self) -> int:
        """Messages, over all slots."""
        return sum(one.leaving for one in self.slots)

    @property
    def first_at(self) -> datetime | None:
        return min((one.first_at for one in self.slots if one.first_at), default=None)

    @property
    def last_at(self) -> datetime | None:
        return max((one.last_at for one in self.slots if one.last_at), default=None)

    @property
    def costs_micros(self) -> tuple[int, int]:
        """At the cheapest and the dearest price, if every message were the largest."""
        lowest, highest = self.prices
        return self.leaving * self.segments * lowest, self.leaving * self.segments * highest


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the route, with its account's price of a segment and longest text."""

    pipe: Pipe
    price_micros: int
    max_chars: int


Waves = Counter[tuple[Slot, int, datetime, datetime]]
"""Messages by slot, number, and when they may leave and expire."""


def forecast(campaign: Campaign) -> Forecast:
    """What starting the campaign's draft slots now would come to; nothing is changed.

    How many statements it takes hangs on the slots, not on the people. Raises TooLong, and
    CannotStart where there is no text or no route.
    """
    try:
        with transaction.atomic():
            sql.one(PATIENTLY, str(PATIENCE_MS))
            found = _forecast(campaign, clock.now())
            sql.rows(AS_USUAL)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != CANCELED:
            raise
        raise TooLong from error
    except TooMany as error:
        raise TooLong from error
    return found


def _forecast(campaign: Campaign, now: datetime) -> Forecast:
    version, route = version_of(campaign), route_of(campaign)
    lanes = routing.candidates(routing.lanes_of([route.pk], now=now)[route.pk])
    numbers = _numbers(lanes, now)
    size = largest_segments(version.text, campaign)
    coming = _coming(campaign)
    mail = version.mail if campaign.channel == Channel.EMAIL else None
    turns = _turns(coming, version, now)
    rules = _rules(campaign, version, now, has_lanes=bool(lanes))
    kinds = people_of(campaign, _asked(turns, rules, route, lanes, numbers, mail))
    slots = {one.pk: SlotForecast(slot=one) for one in coming if one.state == Slot.State.DRAFT}
    waves = _sort_out(kinds, turns, rules, slots)
    before, pipes = ahead(campaign, lanes, now)
    brand = campaign.brand
    pipes |= {number_id: number.pipe for number_id, number in numbers.items()}
    day_limits, valves = limits_of(pipes, brand.pk, now)
    limits = Limits(
        pipes=pipes,
        brand_rate=brand.segments_per_second,
        caps=[*_caps(campaign, now), *day_limits],
        zone=brand.zone,
        valves=valves,
    )
    _let_leave(slots, waves, size, before, limits, campaign.lead_list_id, now)
    prices = [number.price_micros for number in numbers.values()] or [0]
    return Forecast(
        slots=list(slots.values()),
        segments=size,
        prices=(min(prices), max(prices)),
        segments_per_second=_speed(numbers, limits),
        caps=limits.caps,
        ahead=sum(wave.messages for wave in before),
        unplanned=unplanned(campaign),
    )


def _numbers(lanes: Sequence[Lane], now: datetime) -> dict[int, Number]:
    return {
        number_id: Number(
            Pipe(account_id, rate, account_rate), price, adapter(kind, definition).max_chars
        )
        for number_id, account_id, rate, account_rate, price, kind, definition in sql.rows(
            NUMBERS, now, [lane.number_id for lane in lanes]
        )
    }


def _coming(campaign: Campaign) -> list[Slot]:
    """The campaign's slots but those that are closed."""
    slots = campaign.slots.exclude(state=Slot.State.CLOSED).select_related("template_version")
    coming = list(slots.order_by("local_date", "local_time", "ordinal"))
    for slot in coming:
        slot.campaign = campaign  # with its brand, which need not be read again
    return coming


def _turns(
    slots: Iterable[Slot], newest: TemplateVersion, now: datetime
) -> dict[int | None, list[Turn]]:
    """The turns of each set of places, in order of time.

    An open slot has its turn as long as it is to come: what it says counts for what follows.
    """
    turns: dict[int | None, list[Turn]] = defaultdict(list)
    for slot in slots:
        version = slot.template_version
        for share in shares_of(slot):
            if version is None or share.due_at > now:
                said = words_of(newest if version is None else version)
                turns[share.places_id].append(Turn(slot, share, _opens_at(slot, share, now), said))
    for of_places in turns.values():
        of_places.sort(key=lambda turn: turn.opens_at or turn.share.due_at)
    return turns


def _opens_at(slot: Slot, share: Share, now: datetime) -> datetime | None:
    if share.refusal or share.places_id is None:
        return None
    brand = slot.campaign.brand
    hours = SendingHours(brand.opens, brand.closes, brand.sunday_opens)
    zones = zones_of([share.places_id])[share.places_id]
    return hours.next_opening(max(share.due_at, now), zones)


def words_of(version: TemplateVersion) -> str:
    """What must not reach a person twice in a day: of an e-mail the subject, too."""
    return f"{version.subject}\n{version.text}" if version.subject else version.text


def _rules(
    campaign: Campaign, version: TemplateVersion, now: datetime, *, has_lanes: bool
) -> Rules:
    is_mail = campaign.channel == Channel.EMAIL
    installation = Installation.objects.get()
    limits = PersonLimits(
        installation.persons_per_day,
        installation.persons_per_week,
        timedelta(minutes=installation.person_gap_minutes),
    )
    return Rules(
        now=now,
        text=words_of(version),
        limits=limits,
        has_lanes=has_lanes,
        repeats_words=campaign.repeats_words,
        left_out=MAIL_MARKS if is_mail else (LINK_MARK, campaign.brand.opt_out_line),
    )


def _asked(
    turns: Mapping[int | None, Sequence[Turn]],
    rules: Rules,
    route: Route,
    lanes: Sequence[Lane],
    numbers: Mapping[int, Number],
    mail: Mail | None,
) -> Asked:
    every = [turn for of_places in turns.values() for turn in of_places]
    begins = [max(turn.opens_at or turn.share.due_at, rules.now) for turn in every]
    return Asked(
        now=rules.now,
        text=mail.text if mail else rules.text,
        mail=mail,
        route=route,
        lanes=lanes,
        max_chars={number_id: number.max_chars for number_id, number in numbers.items()},
        limits=rules.limits,
        first_at=min(begins, default=rules.now),
        slots=len({turn.slot.pk for turn in every}),
        days=[] if rules.repeats_words else sorted({turn.day for turn in every}),
        ended=[
            (turn.share.places_id, turn.share.expires_at)
            for turn in every
            if turn.share.expires_at <= rules.now
        ],
    )


def _sort_out(
    kinds: Iterable[Alike],
    turns: Mapping[int | None, Sequence[Turn]],
    rules: Rules,
    slots: Mapping[int, SlotForecast],
) -> Waves:
    """Count everybody's fate in every slot; what may leave is yet to find room in the numbers."""
    waves: Waves = Counter()
    for alike in kinds:
        for turn, fate in fates(alike, turns.get(alike.places_id, ()), rules):
            if fate.at is not None and alike.lane_id is not None and _is_to_plan(turn, rules.now):
                waves[turn.slot, alike.lane_id, fate.at, turn.share.expires_at] += alike.people
            if one := slots.get(turn.slot.pk):
                _count(one, fate.end, fate.reason, alike.people)
    return waves


def _is_to_plan(turn: Turn, now: datetime) -> bool:
    """What is planned already waits among the others."""
    return turn.slot.state == Slot.State.DRAFT or planning_opens_at(turn.share.due_at) > now


def _count(one: SlotForecast, end: End, reason: Reason, people: int) -> None:
    if end is End.LEAVES:
        one.late += people if reason else 0
        return
    counts = {
        End.SUPPRESSED: one.suppressed,
        End.REFUSED: one.refused,
        End.WAITS: one.waiting,
        End.EXPIRES: one.expiring,
    }[end]
    counts[reason] += people


def _caps(campaign: Campaign, now: datetime) -> list[Cap]:
    today, _ = local_day(campaign.brand.zone, now)
    of_brand, of_campaign = cap_keys(campaign.brand_id, campaign.pk, today)
    used: dict[str, int] = dict(sql.rows(COUNTERS, [of_brand, of_campaign]))
    caps = (
        (Reason.BRAND_CAP, campaign.brand.daily_cap, of_brand),
        (Reason.CAMPAIGN_CAP, campaign.daily_cap, of_campaign),
    )
    return [Cap(reason, most, used.get(key, 0)) for reason, most, key in caps if most is not None]


def _let_leave(
    slots: Mapping[int, SlotForecast],
    waves: Waves,
    size: int,
    before: Sequence[Wave],
    limits: Limits,
    lead_list_id: int,
    now: datetime,
) -> None:
    """Send what may leave through the numbers, behind what waits there already."""
    may_take_over = frozenset(lane_id for _, lane_id, *_ in waves)
    ours = [
        Wave(
            lane_id=lane_id,
            ready_at=ready_at,
            expires_at=expires_at,
            messages=messages,
            segments=size if slot.pk in slots else slot.largest_segments,
            or_by=may_take_over,
        )
        for (slot, lane_id, ready_at, expires_at), messages in waves.items()
    ]
    parts = by_carrier(ours, limits.caps, lead_list_id)
    every = [(slot, part) for (slot, *_), some in zip(waves, parts, strict=True) for part in some]
    runs = simulate([*before, *(part for _, part in every)], limits, begin=now)[len(before) :]
    for (slot, part), run in zip(every, runs, strict=True):
        if one := slots.get(slot.pk):
            one.take(run, part.messages)


def _speed(numbers: Mapping[int, Number], limits: Limits) -> float:
    """Segments a second that the route's numbers make together, of messages of one."""
    lanes: dict[int, list[int]] = defaultdict(list)
    for lane_id, number in numbers.items():
        lanes[number.pipe.account_id].append(lane_id)
    rates = {number.pipe.account_id: number.pipe.account_rate for number in numbers.values()}
    bounds = [Bound("", lanes[one], rate) for one, rate in rates.items() if rate is not None]
    if limits.brand_rate is not None:
        bounds.append(Bound("", list(numbers), limits.brand_rate))
    bounds += [Bound("", valve.lanes, valve.rate, valve.in_messages) for valve in limits.valves]
    outlets = [Outlet(lane_id, number.pipe.rate) for lane_id, number in numbers.items()]
    return most_per_minute(outlets, bounds).segments / SECONDS
