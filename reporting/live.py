"""What moves now, counted: messages of open slots, the last attempts, and texts that came in.

It counts for all brands at once and once for all who look, and keeps the result in the cache for a
while that grows with what it cost. It knows no names and no users: `live_board` says who sees what.
Only messages of open and just ended slots are read, the queue's rows of those, and the newest ids
of attempts and texts; never a whole table.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.core.cache import cache
from django.db import OperationalError, transaction
from django_redis.exceptions import ConnectionInterrupted  # type: ignore[import-untyped]

from brands import clock
from delivery import sql, upkeep
from delivery.states import Status

S = Status
GROUPS: Mapping[str, tuple[Status, ...]] = {
    "delivered": (S.DELIVERED,),
    "accepted": (S.ACCEPTED, S.SENT),
    "sending": (S.SENDING,),
    "waiting": (S.PLANNED,),
    "unknown": (S.UNKNOWN, S.NOT_FOUND, S.NO_REPORT),
    "failed": (S.UNDELIVERED, S.FAILED, S.REJECTED),
    "refused": (S.REFUSED, S.CANCELLED, S.DEAD),
    "expired": (S.EXPIRED,),
}
"""Each status stands in exactly one group, so the groups add up to the audience."""

SHOWN_AFTER_END = timedelta(minutes=15)
SOON = timedelta(days=1)  # a slot's date is some people's tomorrow
WINDOW = 60.0  # seconds of attempts that are looked at
LATELY = 10.0  # seconds, for the rate
TAIL = 20_000  # attempts, and texts, that are looked at
MOST_TO_JUDGE = 1000

KEY = "live:1"  # another number where what is kept has changed its shape
LEAST_KEPT, MOST_KEPT, COSTS = 1.5, 15.0, 10  # seconds, seconds, times what it took
ZONES_KEPT = timedelta(minutes=1)  # they change as people are taken in
KEPT_AT_ALL = 600  # seconds; an old result is better than none, and says how old it is
PATIENCE, PATIENCE_ALONE = 5_000, 2_000  # milliseconds of a statement; alone: without a cache

TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"

# One statement, so that what waits by reason and what waits by status are one and the same.
COUNTS = """
SELECT m.slot_id, m.status, d.lane_id, coalesce(d.reason, ''), coalesce(d.not_before > %s, false),
       count(*), min(d.not_before), max(d.not_before)
FROM delivery_message m LEFT JOIN delivery_due d ON d.message_id = m.id
WHERE m.slot_id = ANY(ARRAY(
    SELECT s.id FROM campaigns_slot s
    WHERE s.state = 'open' AND s.local_date <= %s OR s.state = 'closed' AND s.closed_at > %s))
GROUP BY 1, 2, 3, 4, 5
"""

# The clock of a sandbox leaps; what left before the last leap says nothing about a rate.
SINCE = """
SELECT greatest(
    %s,
    (SELECT real_at + total_seconds * interval '1 second'
     FROM brands_clockshift ORDER BY id DESC LIMIT 1),
    (SELECT intent_at FROM delivery_attempt ORDER BY id DESC OFFSET %s LIMIT 1))
"""

TRIES = """
SELECT a.account_id, m.brand_id, m.slot_id, a.outcome, count(*),
       count(*) FILTER (WHERE a.intent_at > %s)
FROM (SELECT message_id, account_id, outcome, intent_at FROM delivery_attempt
      ORDER BY id DESC LIMIT %s) a
JOIN delivery_message m ON m.id = a.message_id
WHERE a.intent_at > %s GROUP BY 1, 2, 3, 4
"""

# Today is the brand's own day; a text that nobody's brand is known for has the day in UTC.
TEXTS = """
SELECT t.brand_id, count(*), count(*) FILTER (WHERE t.label = 'stop'),
       bool_or(t.read < %s OR t.oldest < date_trunc('day', %s, coalesce(b.zone, 'UTC')))
FROM (SELECT brand_id, label, received_at, count(*) OVER () AS read,
             min(received_at) OVER () AS oldest
      FROM (SELECT brand_id, label, received_at FROM delivery_inbound ORDER BY id DESC LIMIT %s) n
) t LEFT JOIN brands_brand b ON b.id = t.brand_id
WHERE t.received_at >= date_trunc('day', %s, coalesce(b.zone, 'UTC'))
GROUP BY 1
"""

TO_JUDGE = """
SELECT i.brand_id, count(*)
FROM (SELECT inbound_id FROM delivery_inboundreview WHERE decided_at IS NULL LIMIT %s) r
JOIN delivery_inbound i ON i.id = r.inbound_id GROUP BY 1
"""


LISTS = """
SELECT DISTINCT c.lead_list_id FROM campaigns_slot s
JOIN campaigns_campaign c ON c.id = s.campaign_id
WHERE s.state = 'open' AND s.local_date <= %s
"""

# The sets of zones on each list, by skipping through an index of its entries.
ZONES = """
WITH RECURSIVE sets AS (
    SELECT l.id, f.places_id FROM unnest(%s::bigint[]) AS l (id) CROSS JOIN LATERAL (
        SELECT places_id FROM leads_listentry
        WHERE lead_list_id = l.id AND places_id IS NOT NULL ORDER BY places_id LIMIT 1) f
    UNION ALL
    SELECT s.id, n.places_id FROM sets s CROSS JOIN LATERAL (
        SELECT places_id FROM leads_listentry
        WHERE lead_list_id = s.id AND places_id > s.places_id ORDER BY places_id LIMIT 1) n
)
SELECT DISTINCT sets.id, p.zones FROM sets JOIN compliance_places p ON p.id = sets.places_id
"""


class Count(NamedTuple):
    """So many messages of a slot are alike; lane, reason and times are of those that wait."""

    slot_id: int
    status: str
    lane_id: int | None
    reason: str
    is_later: bool
    messages: int
    earliest: datetime | None
    latest: datetime | None


class Tries(NamedTuple):
    """So many attempts of the window, and lately, for one brand, over one account."""

    account_id: int
    brand_id: int
    slot_id: int | None
    outcome: str
    attempts: int
    lately: int


class Texts(NamedTuple):
    """What came in today for a brand; not `is_all`: at least so many."""

    brand_id: int | None
    texts: int
    stops: int
    is_all: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All brands' figures at `at` (the installation's clock, UTC). Durations are in seconds."""

    at: datetime
    counts: Sequence[Count]
    tries: Sequence[Tries]
    window: float
    lately: float
    zones: Mapping[int, Sequence[tuple[str, ...]]]  # those of the people on a list
    zones_at: datetime
    texts: Sequence[Texts]
    to_judge: Mapping[int | None, int]
    full_brands: frozenset[int]
    full_campaigns: frozenset[int]
    took: float


class TooSlow(Exception):
    """The database did not answer in time, and there is nothing from before."""


def look(identity: UUID) -> Snapshot:
    """The figures of this installation, no older than what they cost allows. Raises TooSlow.

    While one process counts, the others show what was counted before.
    """
    key, fresh = f"{KEY}:{identity}", f"{KEY}:{identity}:fresh"
    try:
        kept = cache.get_many([key, fresh])
        before: Snapshot | None = kept.get(key)
        if before is not None and (fresh in kept or not cache.add(f"{key}:busy", 1, MOST_KEPT)):
            return before
        return _renew(key, fresh, before)
    except ConnectionInterrupted:  # without Redis nothing is kept, and each look must be short
        return measure(patience_ms=PATIENCE_ALONE)


def _renew(key: str, fresh: str, before: Snapshot | None) -> Snapshot:
    try:
        snapshot = measure(before)
    except TooSlow:
        cache.set(fresh, 1, MOST_KEPT)
        if before is None:
            raise
        return before
    finally:
        cache.delete(f"{key}:busy")
    cache.set(key, snapshot, KEPT_AT_ALL)
    cache.set(fresh, 1, kept_for(snapshot.took))
    return snapshot


def kept_for(took: float) -> float:
    """For how many seconds a result is fresh that took so many."""
    return min(max(COSTS * took, LEAST_KEPT), MOST_KEPT)


def measure(before: Snapshot | None = None, *, patience_ms: int = PATIENCE) -> Snapshot:
    """Count now; a fixed number of statements, fewer with a result from before. Raises TooSlow."""
    began = time.monotonic()
    try:
        with transaction.atomic():
            sql.rows(TIMEOUT, str(patience_ms))
            return _measure(clock.now(), before, began)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != "57014":  # query_canceled
            raise
        raise TooSlow from error


def _measure(now: datetime, before: Snapshot | None, began: float) -> Snapshot:
    soon = (now + SOON).date()
    counts = sql.rows(COUNTS, now, soon, now - SHOWN_AFTER_END)
    (since,) = sql.one(SINCE, now - timedelta(seconds=WINDOW), TAIL)
    lately = max(since, now - timedelta(seconds=LATELY))
    zones, zones_at = _zones(soon, now, before)
    brands, campaigns = upkeep.capped(now)
    return Snapshot(
        at=now,
        counts=[Count(*row) for row in counts],
        tries=[Tries(*row) for row in sql.rows(TRIES, lately, TAIL, since)],
        window=_seconds(now - since),
        lately=_seconds(now - lately),
        zones=zones,
        zones_at=zones_at,
        texts=[Texts(*row) for row in sql.rows(TEXTS, TAIL, now, TAIL, now)],
        to_judge=dict(sql.rows(TO_JUDGE, MOST_TO_JUDGE)),
        full_brands=frozenset(brands),
        full_campaigns=frozenset(campaigns),
        took=time.monotonic() - began,
    )


def _zones(
    soon: date, now: datetime, before: Snapshot | None
) -> tuple[Mapping[int, Sequence[tuple[str, ...]]], datetime]:
    """The zones on the lists that are texted, from before where that is good enough."""
    lists = [list_id for (list_id,) in sql.rows(LISTS, soon)]
    if (
        before is not None
        and before.zones_at > now - ZONES_KEPT
        and before.zones.keys() == {*lists}
    ):
        return before.zones, before.zones_at
    zones: dict[int, list[tuple[str, ...]]] = {list_id: [] for list_id in lists}
    for list_id, of_a_person in sql.rows(ZONES, lists):
        zones[list_id].append(tuple(of_a_person))
    return zones, now


def _seconds(length: timedelta) -> float:
    """At least one: a burst of a moment is not a rate."""
    return max(length.total_seconds(), 1.0)
