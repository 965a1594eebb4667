"""What to claim next: brands by weight, then their queues, as far as the tokens go.

It reads the queue's outline and asks for grants; it takes nothing out of the queue and decides
nothing about a message. What it remembers between batches only ever makes it ask for less.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from redis import Redis

from brands import clock
from delivery import sql
from delivery.allowances import cap_keys
from delivery.claims import REPLIES, Grant
from delivery.facts import COUNTERS, local_day
from delivery.intents import Intent
from providers.rates import Breaker, Granted, Limits, Mark, Returned, Want, grant, raise_mark

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
       n.segments_per_second, a.segments_per_second, b.segments_per_second,
       b.fairness_weight, b.zone, b.daily_cap, c.daily_cap
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
  AND coalesce(n.rests_until <= clock.now, true)
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
       n.segments_per_second, a.segments_per_second, b.segments_per_second
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
  AND coalesce(n.rests_until <= sendonce_now(), true)
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

    @property
    def a_second(self) -> int:
        """Rows the number can send in a second, at least one; no call is granted more of them."""
        return max(int(self.lane_rate // max(self.segments, 1)), 1)

    def want(self, rows: int) -> Want:
        return Want(
            queue=self.queue,
            lane_id=self.lane_id,
            account_id=self.account_id,
            brand_id=self.brand_id,
            rows=rows,
            segments_each=self.segments,
            is_reply=self.queue == REPLIES,
        )


@dataclass(slots=True)
class Tokens:
    """Segments by lane, account and brand."""

    lanes: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    accounts: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    brands: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, want: Want, segments: int) -> None:
        self.lanes[want.lane_id] += segments
        self.accounts[want.account_id] += segments
        if not want.is_reply:
            self.brands[want.brand_id] += segments

    def as_returned(self) -> Returned:
        return Returned(
            lanes=dict(self.lanes), accounts=dict(self.accounts), brands=dict(self.brands)
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
        self._places = places
        self._random = random.Random()  # noqa: S311 - fairness, not secrecy
        self._pairs: list[Pair] = []
        self._room: dict[str, int] = {}
        self._keys: dict[tuple[int, int], tuple[str, ...]] = {}
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
        found = sql.rows(ALONE) if self._takes_suspects else []
        self._random.shuffle(found)
        for message_id, lane, queue, segments, account, brand, *rates in found:
            want = Want(
                queue=queue, lane_id=lane, account_id=account, brand_id=brand, rows=1,
                segments_each=segments, is_reply=queue == REPLIES,
            )  # fmt: skip
            if self._may_ask_for(want) and self._is_granted(want, rates):
                return int(message_id)
        return None

    def _may_ask_for(self, want: Want) -> bool:
        now = time.monotonic()
        if self._waits.get(_tokens_of(want), 0.0) > now or not self._places(want.account_id):
            return False
        return self._breaker.room(want.account_id, 1, now=now) > 0

    def _is_granted(self, want: Want, rates: Sequence[Any]) -> bool:
        self._limits = Limits(
            lanes={**self._limits.lanes, want.lane_id: rates[0]},
            accounts={**self._limits.accounts, want.account_id: rates[1]},
            brands={**self._limits.brands, want.brand_id: rates[2]},
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
            self._tokens.add(want, -segments)
            idle.discard(want.account_id)
        for account_id in idle:
            self._breaker.unused(account_id)
        self._wants.clear()

    def witness(self, attempt_ids: Sequence[int]) -> bool:
        """Leave the ids of committed intents with Redis; False: they must not be sent."""
        return raise_mark(
            self._redis, installation=self._installation, attempt_id=max(attempt_ids, default=0)
        )

    def give_back(self, intent: Intent) -> None:
        """The tokens of an intent whose request was never made."""
        segments = intent.send.segments
        self._tokens.lanes[intent.lane_id] += segments
        self._tokens.accounts[intent.account_id] += segments
        if intent.queue != REPLIES:
            self._tokens.brands[intent.brand_id] += segments

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

    def _read_caps(self) -> None:
        capped = [
            pair
            for pair in self._pairs
            if pair.queue != REPLIES and (pair.brand_cap, pair.campaign_cap) != (None, None)
        ]
        self._room, self._keys = {}, {}
        if not capped:
            return
        now = clock.now()
        caps: dict[str, int] = {}
        for pair in capped:
            keys = _caps(pair, now)
            self._keys[pair.queue, pair.lane_id] = tuple(keys)
            caps.update(keys)
        used: dict[str, int] = dict(sql.rows(COUNTERS, list(caps)))
        self._room = {key: cap - used.get(key, 0) for key, cap in caps.items()}

    def _choose(self, room: int) -> list[Want]:
        now, wants, left = time.monotonic(), [], dict(self._room)
        places = {pair.account_id: self._places(pair.account_id) for pair in self._pairs}
        for pair in self._in_turn():
            if room <= 0:
                break
            keys = self._cap_keys(pair)
            most = min(room, places[pair.account_id], *(left[key] for key in keys))
            rows = min(pair.due, pair.a_second, most)
            want = pair.want(rows)
            if rows <= 0 or self._waits.get(_tokens_of(want), 0.0) > now:
                continue
            rows = self._breaker.room(pair.account_id, rows, now=now)
            if rows > 0:
                wants.append(replace(want, rows=rows))
                room -= rows
                places[pair.account_id] -= rows
                left.update({key: left[key] - rows for key in keys})
        return wants

    def _cap_keys(self, pair: Pair) -> tuple[str, ...]:
        return self._keys.get((pair.queue, pair.lane_id), ())

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
        if not wants and not any((returned.lanes, returned.accounts, returned.brands)):
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
            self._owe(returned.debts())
        now = time.monotonic()
        for want, rows, wait in zip(wants, granted.rows, granted.waits, strict=True):
            self._waits[_tokens_of(want)] = now + wait
            if not rows:
                self._breaker.unused(want.account_id)
        return granted

    def _owe(self, debts: Returned) -> None:
        for mine, theirs in (
            (self._tokens.lanes, debts.lanes),
            (self._tokens.accounts, debts.accounts),
            (self._tokens.brands, debts.brands),
        ):
            for key, segments in theirs.items():
                mine[key] += segments

    def _take(self, want: Want, rows: int) -> None:
        self._wants[want.queue, want.lane_id] = want
        self._tokens.add(want, rows * want.segments_each)
        for pair in self._pairs:
            if (pair.queue, pair.lane_id) == (want.queue, want.lane_id):
                pair.due -= rows
                for key in self._cap_keys(pair):
                    self._room[key] -= rows


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
    return caps
