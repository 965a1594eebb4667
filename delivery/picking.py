"""What to claim next: brands by weight, then their queues, as far as the tokens go.

It reads the queue's outline and asks for grants; it takes nothing out of the queue and decides
nothing about a message. What it remembers between batches only ever makes it ask for less.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from redis import Redis

from brands import clock
from delivery import limit_rows, sql
from delivery.allowances import cap_keys, warm_keys
from delivery.claims import REPLIES, Grant
from delivery.facts import COUNTERS, local_day
from delivery.intents import Intent
from delivery.limits import Bound, Owners
from delivery.probing import Probes
from delivery.room import Room
from delivery.tokens import Tokens
from providers.rates import Breaker, Granted, Limits, Mark, Want, grant, raise_mark

KEEP_OUTLINE = 0.2  # seconds, or longer where reading it would else take a tenth of the time
MOST_A_PAIR = 500
# Seconds. Older ones are neither used nor given back: they would make a burst larger.
TOKENS_LAST = 2.0
COUNTED = 100  # rows of a pair; more are not told apart, and are asked for as if they were there


OUTLINE = """
WITH RECURSIVE clock AS MATERIALIZED (SELECT sendonce_now() AS now), pairs AS (
    (SELECT queue, lane_id FROM delivery_due WHERE crashes = 0 AND {queues}
     ORDER BY queue, lane_id LIMIT 1)
    UNION ALL
    SELECT d.queue, d.lane_id FROM pairs p CROSS JOIN LATERAL (
        SELECT queue, lane_id FROM delivery_due
        WHERE crashes = 0 AND {queues} AND (queue, lane_id) > (p.queue, p.lane_id)
        ORDER BY queue, lane_id LIMIT 1) d
)
SELECT p.queue, p.lane_id, w.due, w.segments, b.id, a.id,
       sendonce_pace(n, clock.now), a.segments_per_second, b.segments_per_second,
       b.fairness_weight, b.zone, b.daily_cap, c.daily_cap, n.kind, a.halves = 0,
       sendonce_warm_ceiling(n, clock.now), sendonce_warm_from(n, clock.now)
FROM clock CROSS JOIN pairs p
CROSS JOIN LATERAL (
    SELECT count(*) AS due, max(segments) AS segments, max(brand_id) AS brand_id FROM (
        SELECT segments, brand_id FROM delivery_due
        WHERE queue = p.queue AND lane_id = p.lane_id AND crashes = 0
          AND not_before <= clock.now AND expires_at > clock.now
        ORDER BY not_before, message_id LIMIT %s) rows) w
JOIN providers_sendernumber n ON n.id = p.lane_id
JOIN providers_provideraccount a ON a.id = n.account_id
JOIN brands_brand b ON b.id = w.brand_id
LEFT JOIN campaigns_campaign c ON c.id = p.queue
CROSS JOIN brands_installation i
WHERE w.due > 0 AND i.stopped_at IS NULL AND (b.paused_at IS NULL OR p.queue = 0)
  AND c.paused_at IS NULL AND n.paused_at IS NULL AND n.retired_at IS NULL
  AND a.paused_at IS NULL AND a.retired_at IS NULL
  AND (coalesce(n.rests_until <= clock.now, true) OR p.queue = 0 AND n.rests_because <> '')
"""

WHOLE_OUTLINE = OUTLINE.format(queues="true")
REPLIES_OUTLINE = OUTLINE.format(queues=f"queue = {REPLIES}")

MARK = """
SELECT coalesce((SELECT max(id) FROM delivery_attempt), 0),
       coalesce((SELECT max(id) FROM compliance_optoutevent), 0)
"""

ALONE = """
SELECT DISTINCT ON (d.lane_id, d.brand_id)
       d.message_id, d.lane_id, d.queue, d.segments, n.account_id, d.brand_id,
       sendonce_pace(n, sendonce_now()), a.segments_per_second, b.segments_per_second, n.kind,
       a.halves = 0
FROM delivery_due d
JOIN providers_sendernumber n ON n.id = d.lane_id
JOIN providers_provideraccount a ON a.id = n.account_id
JOIN brands_brand b ON b.id = d.brand_id
LEFT JOIN campaigns_campaign c ON c.id = d.queue
CROSS JOIN brands_installation i
WHERE d.crashes > 0 AND d.not_before <= sendonce_now() AND d.expires_at > sendonce_now()
  AND i.stopped_at IS NULL AND (b.paused_at IS NULL OR d.queue = 0)
  AND c.paused_at IS NULL AND n.paused_at IS NULL AND n.retired_at IS NULL
  AND a.paused_at IS NULL AND a.retired_at IS NULL
  AND (coalesce(n.rests_until <= sendonce_now(), true) OR d.queue = 0 AND n.rests_because <> '')
ORDER BY d.lane_id, d.brand_id, d.not_before
"""


@dataclass(slots=True)
class Pair:
    """The rows of one queue that wait for one number."""

    queue: int
    lane_id: int
    due: int
    segments: int
    brand_id: int
    account_id: int
    lane_rate: float
    account_rate: float | None
    brand_rate: float | None
    weight: int
    zone: str
    brand_cap: int | None
    campaign_cap: int | None
    kind: str
    is_out: bool = False
    warm_ceiling: int | None = None
    warm_from: datetime | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.queue, self.lane_id

    @property
    def owners(self) -> Owners:
        return Owners(self.lane_id, self.account_id, self.kind, self.brand_id)

    @property
    def a_second(self) -> int:
        """Rows the number can send in a second, at least one; no call is granted more of them."""
        return max(int(self.lane_rate // max(self.segments, 1)), 1)

    def want(self, rows: int, paces: tuple[int, ...] = ()) -> Want:
        return Want(
            queue=self.queue,
            lane_id=self.lane_id,
            account_id=self.account_id,
            brand_id=self.brand_id,
            rows=rows,
            segments_each=self.segments,
            is_reply=self.queue == REPLIES,
            paces=paces,
        )


class Alone(NamedTuple):
    """A row that was in the hands of a worker that died."""

    message_id: int
    lane_id: int
    queue: int
    segments: int
    account_id: int
    brand_id: int
    lane_rate: float
    account_rate: float | None
    brand_rate: float | None
    kind: str
    is_out: bool

    @property
    def owners(self) -> Owners:
        return Owners(self.lane_id, self.account_id, self.kind, self.brand_id)

    def want(self, paces: tuple[int, ...]) -> Want:
        return Want(
            queue=self.queue,
            lane_id=self.lane_id,
            account_id=self.account_id,
            brand_id=self.brand_id,
            rows=1,
            segments_each=self.segments,
            is_reply=self.queue == REPLIES,
            paces=paces,
        )


def read_mark() -> Mark:
    """The highest attempt and opt-out event that are committed."""
    return Mark(*sql.one(MARK))


class Picker:
    """One worker's view of the queue, its returned tokens and what it waits for."""

    def __init__(
        self,
        *,
        redis: Redis,
        installation: str,
        breaker: Breaker,
        places: Callable[[int], int] = lambda _: MOST_A_PAIR,
        replies_only: bool = False,
    ) -> None:
        """`places`: how many more of an account this process can have in hand."""
        self._outline = REPLIES_OUTLINE if replies_only else WHOLE_OUTLINE
        self._takes_suspects = not replies_only
        self._redis = redis
        self._installation = installation
        self._breaker = breaker
        self._probes = Probes()
        self._places = places
        self._random = random.Random()  # noqa: S311 - fairness, not secrecy
        self._pairs: list[Pair] = []
        self._room = Room()
        self._bound = Bound()
        self._keep_until = float("-inf")
        self._waits: dict[tuple[int, int, bool], float] = {}
        self._tokens = Tokens()
        self._limits = Limits(lanes={})
        self._wants: dict[tuple[int, int], Want] = {}
        self.granted_at = float("-inf")  # monotonic; what was granted then must leave soon after
        self.behind = False

    def grants(self, room: int) -> list[Grant]:
        """What may be claimed now: at most `room` rows, each with its tokens taken."""
        self._refresh()
        wants = self._choose(room)
        granted = self._ask(wants)
        grants = []
        for want, rows in zip(wants, granted.rows, strict=True):
            if rows:
                self._take(want, rows)
                grants.append(Grant(want.queue, want.lane_id, rows))
        return grants

    def grant_alone(self) -> int | None:
        """A row that was in the hands of a worker that died, with its tokens taken."""
        found = [Alone(*row) for row in sql.rows(ALONE)] if self._takes_suspects else []
        bound = limit_rows.read([one.owners for one in found], clock.now())
        self._limits = replace(self._limits, paces={**self._limits.paces, **bound.paces()})
        self._random.shuffle(found)
        for one in found:
            want = one.want(bound.pace_ids(one.owners, is_reply=one.queue == REPLIES))
            if self._may_ask_for(want, one.is_out) and self._is_granted(want, one):
                return one.message_id
        return None

    def _may_ask_for(self, want: Want, is_out: bool) -> bool:
        now = time.monotonic()
        if self._waits.get(_tokens_of(want), 0.0) > now or not self._places(want.account_id):
            return False
        return self._allowed(want.account_id, 1, is_out, now) > 0

    def _allowed(self, account_id: int, rows: int, is_out: bool, now: float) -> int:
        """As the breaker lets it; an account that is out gets one row, under a lease."""
        if not is_out:
            return self._breaker.room(account_id, rows, now=now)
        rests = self._breaker.rest_left(account_id, now=now) > 0
        if rests or not self._probes.lease(account_id):
            return 0
        if not self._breaker.room(account_id, 1, now=now):
            self._probes.release(account_id)
            return 0
        return 1

    def _is_granted(self, want: Want, one: Alone) -> bool:
        self._limits = replace(
            self._limits,
            lanes={**self._limits.lanes, want.lane_id: one.lane_rate},
            accounts={**self._limits.accounts, want.account_id: one.account_rate},
            brands={**self._limits.brands, want.brand_id: one.brand_rate},
        )
        if not self._ask([want]).rows[0]:
            return False
        self._take(want, 1)
        return True

    def spent(self, used: Iterable[tuple[int, int, int]]) -> None:
        """Settle the last grants: (queue, lane, segments) of each intent; the rest goes back."""
        idle = {want.account_id for want in self._wants.values()}
        for queue, lane_id, segments in used:
            want = self._wants[queue, lane_id]
            self._tokens.add(want, rows=-1, segments=-segments, paces=self._limits.paces)
            idle.discard(want.account_id)
            self._probes.used(want.account_id)
        for account_id in idle:
            self._breaker.unused(account_id)
            self._probes.release(account_id)
        self._wants.clear()

    def witness(self, attempt_ids: Sequence[int]) -> bool:
        """Leave the ids of committed intents with Redis; False: they must not be sent."""
        return raise_mark(
            self._redis, installation=self._installation, attempt_id=max(attempt_ids, default=0)
        )

    def give_back(self, intent: Intent) -> None:
        """The tokens of an intent whose request was never made."""
        is_reply, segments = intent.queue == REPLIES, intent.send.segments
        owners = Owners(intent.lane_id, intent.account_id, intent.send.from_kind, intent.brand_id)
        want = Want(
            queue=intent.queue, lane_id=intent.lane_id, account_id=intent.account_id,
            brand_id=intent.brand_id, rows=1, segments_each=segments, is_reply=is_reply,
            paces=self._bound.pace_ids(owners, is_reply=is_reply),
        )  # fmt: skip
        self._tokens.add(want, rows=1, segments=segments, paces=self._limits.paces)

    def hand_in(self) -> None:
        """Give back what is left, at the end of a slice."""
        self._ask([])

    def _refresh(self) -> None:
        began = time.monotonic()
        if began < self._keep_until and any(pair.due for pair in self._pairs):
            return
        self._pairs = [_pair(row) for row in sql.rows(self._outline, COUNTED)]
        took = time.monotonic() - began
        self._keep_until = began + max(KEEP_OUTLINE, 10 * took)
        self._limits = _limits(self._pairs, self._limits)
        self._read_caps()
        self._read_limits()

    def _read_caps(self) -> None:
        capped = [
            pair
            for pair in self._pairs
            if pair.queue != REPLIES
            and (pair.brand_cap, pair.campaign_cap, pair.warm_ceiling) != (None, None, None)
        ]
        self._room = Room()
        if not capped:
            return
        now = clock.now()
        caps = {pair.key: _caps(pair, now) for pair in capped}
        keys = {key for found in caps.values() for key in found}
        used: dict[str, int] = dict(sql.rows(COUNTERS, sorted(keys)))
        for pair, found in caps.items():
            for key, cap in found.items():
                self._room.bind(pair, key, left=cap - used.get(key, 0))

    def _read_limits(self) -> None:
        """Of the limits a day those that bind every row of a pair; a carrier's bind some of them,
        and are left to the steps."""
        self._bound = limit_rows.read([pair.owners for pair in self._pairs], clock.now())
        self._limits = replace(self._limits, paces={**self._limits.paces, **self._bound.paces()})
        for pair in self._pairs:
            found = self._bound.of(pair.owners) if pair.queue != REPLIES else ()
            for one in found:
                if one.is_daily and not one.carrier:
                    cost = one.cost(pair.segments)
                    self._room.bind(pair.key, one.key, left=one.left, cost=cost)

    def _choose(self, room: int) -> list[Want]:
        now, wants, left = time.monotonic(), [], self._room.copy()
        places = {pair.account_id: self._places(pair.account_id) for pair in self._pairs}
        for pair in self._in_turn():
            if room <= 0:
                break
            most = min(room, places[pair.account_id], pair.due, pair.a_second)
            rows = left.most(pair.key, most)
            want = pair.want(
                rows, self._bound.pace_ids(pair.owners, is_reply=pair.queue == REPLIES)
            )
            if rows <= 0 or self._waits.get(_tokens_of(want), 0.0) > now:
                continue
            rows = self._allowed(pair.account_id, rows, pair.is_out, now)
            if rows > 0:
                wants.append(replace(want, rows=rows))
                room -= rows
                places[pair.account_id] -= rows
                left.take(pair.key, rows)
        return wants

    def _in_turn(self) -> list[Pair]:
        """Replies; then brands drawn by weight without replacement; their queues, their lanes."""
        draw = self._random.random
        brands = {pair.brand_id: draw() ** (1 / max(pair.weight, 1)) for pair in self._pairs}
        queues = {pair.queue: draw() for pair in self._pairs}
        waiting = [pair for pair in self._pairs if pair.due > 0]
        self._random.shuffle(waiting)
        return sorted(
            waiting, key=lambda p: (p.queue != REPLIES, -brands[p.brand_id], queues[p.queue])
        )

    def _ask(self, wants: Sequence[Want]) -> Granted:
        """One call to Redis; unused tokens and debts of earlier calls ride along."""
        returned = self._tokens.as_returned()
        if time.monotonic() - self.granted_at > TOKENS_LAST:
            returned = returned.debts()
        if not wants and not any(
            (returned.lanes, returned.accounts, returned.brands, returned.paces)
        ):
            return Granted((), ())
        self._tokens = Tokens()
        self.granted_at = time.monotonic()
        granted = grant(
            self._redis,
            installation=self._installation,
            wants=wants,
            limits=self._limits,
            returned=returned,
            read_mark=read_mark,
        )
        self.behind = granted.behind
        if granted.trouble or granted.behind:
            self._tokens.owe(returned.debts())
        now = time.monotonic()
        for want, rows, wait in zip(wants, granted.rows, granted.waits, strict=True):
            self._waits[_tokens_of(want)] = now + wait
            if not rows:
                self._breaker.unused(want.account_id)
                self._probes.release(want.account_id)
        return granted

    def _take(self, want: Want, rows: int) -> None:
        self._wants[want.queue, want.lane_id] = want
        segments = rows * want.segments_each
        self._tokens.add(want, rows=rows, segments=segments, paces=self._limits.paces)
        for pair in self._pairs:
            if (pair.queue, pair.lane_id) == (want.queue, want.lane_id):
                pair.due -= rows
                self._room.take(pair.key, rows)


def _pair(row: sql.Row) -> Pair:
    """What is asked for beyond what is there comes back with the next call, with its tokens."""
    pair = Pair(*row)
    if pair.due == COUNTED:
        pair.due = MOST_A_PAIR
    return pair


def _tokens_of(want: Want) -> tuple[int, int, bool]:
    """Wants that are alike in this wait for the same tokens."""
    return want.lane_id, want.brand_id, want.is_reply


def _limits(pairs: Sequence[Pair], before: Limits) -> Limits:
    """The limits of what is picked now, and of what an earlier batch may still give back."""
    lanes: Mapping[int, Any] = {pair.lane_id: pair.lane_rate for pair in pairs}
    accounts: Mapping[int, Any] = {pair.account_id: pair.account_rate for pair in pairs}
    brands: Mapping[int, Any] = {pair.brand_id: pair.brand_rate for pair in pairs}
    return replace(
        before,
        lanes={**before.lanes, **lanes},
        accounts={**before.accounts, **accounts},
        brands={**before.brands, **brands},
    )


def _caps(pair: Pair, now: datetime) -> dict[str, int]:
    """The caps of a pair by counter key."""
    today, _ = local_day(pair.zone, now)
    brand_key, campaign_key = cap_keys(pair.brand_id, pair.queue, today)
    caps = {}
    if pair.brand_cap is not None:
        caps[brand_key] = pair.brand_cap
    if pair.campaign_cap is not None:
        caps[campaign_key] = pair.campaign_cap
    if pair.warm_ceiling is not None:
        caps.update(dict.fromkeys(warm_keys(pair.lane_id, pair.warm_from), pair.warm_ceiling))
    return caps
