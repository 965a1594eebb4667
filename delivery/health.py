"""How numbers fare over seven days: counted by the hour, and summed up on the number's row.

Attempts have no index on their time, and change for days after they were made. So each hour keeps
the ids of its attempts, found once as they come in, and is counted again while it still changes:
with each round until it is over, then whenever its age has doubled, up to the time after which no
report is waited for. That is ten readings of each attempt or so, however often a round comes by.

An opt-out is laid to the number that the person heard from last, if that was within 24 hours before
it. Only the person's own word and the provider's count, not what staff type or a list brings; and
the first word after a message, not its repetitions. It counts in the hour of that message.

Everything is safe to run anywhere, any number of times at once: an hour is written whole, and the
marks are moved under their row's lock. It sends nothing, and no decision waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, transaction

from delivery import sql
from providers.health import DAYS

logger = logging.getLogger(__name__)

KEPT = timedelta(days=DAYS)
WALKED_AT_ONCE = 50_000  # attempts
EVENTS_AT_ONCE = 5_000
COMMITTED_AFTER = timedelta(minutes=1)  # longer than the transactions live that make these rows
PATIENCE = "60s"

BEGIN = "SELECT set_config('statement_timeout', %s, true), sendonce_now()"

FIRST_MARK = "INSERT INTO delivery_healthmark (id) VALUES (1) ON CONFLICT DO NOTHING"
LOCK_MARK = "SELECT attempt_id, opt_out_event_id FROM delivery_healthmark FOR NO KEY UPDATE"

# Ids grow with time but for the length of a transaction: the walk ends where they are too young.
WALK = """
WITH walked AS MATERIALIZED (
    SELECT id, intent_at FROM delivery_attempt WHERE id > %(after)s ORDER BY id LIMIT %(most)s
), old AS MATERIALIZED (
    SELECT id, intent_at FROM walked
    WHERE id < coalesce((SELECT min(id) FROM walked WHERE intent_at >= %(young)s), 9e18::bigint)
), hours AS (
    INSERT INTO delivery_attempthour AS h (hour, first_id, last_id)
    SELECT date_trunc('hour', intent_at, 'UTC'), min(id), max(id) FROM old
    WHERE intent_at >= %(kept)s GROUP BY 1 ORDER BY 1
    ON CONFLICT (hour) DO UPDATE SET first_id = least(h.first_id, EXCLUDED.first_id),
        last_id = greatest(h.last_id, EXCLUDED.last_id), counted_at = NULL
)
SELECT count(*), max(id) FROM old
"""

MOVE_ATTEMPTS = "UPDATE delivery_healthmark SET attempt_id = %s"

# `last_report`: how long after its intent a report may come that still says something.
DUE = """
SELECT hour FROM (
    SELECT hour, counted_at, hour + interval '1 hour' AS over FROM delivery_attempthour
    WHERE hour >= %(kept)s) h
WHERE counted_at IS NULL OR counted_at < over OR (
    counted_at < over + %(last_report)s
    AND %(now)s - over >= 2 * greatest(counted_at - over, interval '30 minutes'))
ORDER BY counted_at NULLS FIRST, hour DESC
"""

# The ids are values of the statement: joined, the database knows not how few attempts they are.
IDS = "SELECT first_id, last_id FROM delivery_attempthour WHERE hour = %s"

# The answer to a rejection is its end; of those that were taken, a report is.
COUNT = """
INSERT INTO delivery_numberhour (number_id, hour, sent, ended, delivered, blocked)
SELECT a.number_id, %(hour)s, count(*) FILTER (WHERE NOT a.is_not_sent),
       count(*) FILTER (WHERE a.outcome = 'rejected' OR NOT a.is_not_sent AND (
           a.blocked_at IS NOT NULL OR a.report_status IN (
               'delivered', 'undelivered', 'failed', 'rejected', 'expired'))),
       count(*) FILTER (WHERE a.report_status = 'delivered' AND NOT a.is_not_sent),
       count(*) FILTER (WHERE a.blocked_at IS NOT NULL AND NOT a.is_not_sent)
FROM delivery_attempt a
WHERE a.id BETWEEN %(first)s AND %(last)s
  AND a.intent_at >= %(hour)s AND a.intent_at < %(hour)s + interval '1 hour'
GROUP BY 1 ORDER BY 1
ON CONFLICT (hour, number_id) DO UPDATE SET sent = EXCLUDED.sent, ended = EXCLUDED.ended,
    delivered = EXCLUDED.delivered, blocked = EXCLUDED.blocked
"""
COUNTED = "UPDATE delivery_attempthour SET counted_at = %s WHERE hour = %s"

# A person's row knows what was sent to them lately: [epoch seconds, message, hash, day], in order.
OPT_OUTS = """
WITH walked AS MATERIALIZED (
    SELECT id, person_id, source, at FROM compliance_optoutevent
    WHERE id > %(after)s ORDER BY id LIMIT %(most)s
), old AS MATERIALIZED (
    SELECT * FROM walked
    WHERE id < coalesce((SELECT min(id) FROM walked WHERE at >= %(young)s), 9e18::bigint)
), heard AS (
    SELECT e.id, e.person_id, m.message_id, m.at
    FROM old e JOIN compliance_person p ON p.id = e.person_id
    CROSS JOIN LATERAL (
        SELECT (x ->> 1)::bigint AS message_id, to_timestamp((x ->> 0)::float8) AS at
        FROM jsonb_array_elements(p.recent) x
        WHERE (x ->> 0)::float8 BETWEEN extract(epoch FROM e.at - interval '24 hours')
                                    AND extract(epoch FROM e.at)
        ORDER BY (x ->> 0)::float8 DESC LIMIT 1) m
    WHERE e.source NOT IN ('staff', 'import')
), first AS (
    SELECT DISTINCT ON (h.person_id, h.message_id) h.message_id FROM heard h
    WHERE NOT EXISTS (SELECT 1 FROM compliance_optoutevent f
                      WHERE f.person_id = h.person_id AND f.id < h.id AND f.at >= h.at)
    ORDER BY h.person_id, h.message_id, h.id
), counted AS (
    INSERT INTO delivery_numberhour AS n (number_id, hour, opted_out)
    SELECT a.number_id, date_trunc('hour', a.intent_at, 'UTC'), count(*)
    FROM first JOIN delivery_attempt a ON a.message_id = first.message_id AND NOT a.is_not_sent
    WHERE a.intent_at >= %(kept)s GROUP BY 1, 2 ORDER BY 2, 1
    ON CONFLICT (hour, number_id) DO UPDATE SET opted_out = n.opted_out + EXCLUDED.opted_out
)
SELECT count(*), max(id) FROM old
"""
MOVE_OPT_OUTS = "UPDATE delivery_healthmark SET opt_out_event_id = %s"

SUM_UP = """
UPDATE providers_sendernumber n SET health = v.health
FROM (
    SELECT n.id, CASE WHEN sum(h.sent) > 0 THEN jsonb_build_object(
        'sent', sum(h.sent), 'ended', sum(h.ended), 'delivered', sum(h.delivered),
        'blocked', sum(h.blocked), 'opted_out', sum(h.opted_out)) ELSE '{}' END AS health
    FROM providers_sendernumber n
    LEFT JOIN delivery_numberhour h ON h.number_id = n.id AND h.hour >= %s
    GROUP BY n.id ORDER BY n.id) v
WHERE n.id = v.id AND n.health IS DISTINCT FROM v.health
"""

FORGET = """
WITH hours AS (DELETE FROM delivery_attempthour WHERE hour < %s)
DELETE FROM delivery_numberhour WHERE hour < %s
"""


def count(*, seconds: float) -> int:
    """Count what is due until the time is up, and sum up; returns how many hours were counted."""
    until = time.monotonic() + seconds
    walk(seconds=seconds / 2)
    count_opt_outs(seconds=seconds / 2)
    counted = 0
    for hour in due():
        counted += _count_or_log(hour)
        if time.monotonic() >= until:
            break
    sum_up()
    return counted


def walk(*, seconds: float = 5.0) -> None:
    """Note which ids the attempts of each hour have, from where the last walk ended."""
    _repeat(_walk, seconds)


def count_opt_outs(*, seconds: float = 5.0) -> None:
    """Lay new opt-outs to numbers, from where the last count ended."""
    _repeat(_count_opt_outs, seconds)


def due() -> list[datetime]:
    """The hours to count: what was never counted first, then what was counted longest ago."""
    with transaction.atomic():
        now = _begin()
        asked = {
            "now": now,
            "kept": now - KEPT,
            "last_report": timedelta(hours=settings.NO_REPORT_AFTER_HOURS),
        }
        return [hour for (hour,) in sql.rows_named(DUE, asked)]


def count_hour(hour: datetime) -> None:
    """Count an hour's attempts anew, number by number."""
    with transaction.atomic():
        now = _begin()
        for first, last in sql.rows(IDS, hour):
            sql.count_named(COUNT, {"hour": hour, "first": first, "last": last})
            sql.count(COUNTED, now, hour)


def sum_up() -> None:
    """The last seven days of each number, on its row; what is older is forgotten."""
    with transaction.atomic():
        kept = _begin() - KEPT
        sql.count(SUM_UP, kept)
        sql.count(FORGET, kept - timedelta(hours=1), kept - timedelta(hours=1))


def _repeat(step: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while step() and time.monotonic() < until:
        pass


def _begin() -> datetime:
    _, now = sql.one(BEGIN, PATIENCE)
    assert isinstance(now, datetime)  # noqa: S101 - narrows the driver's Any
    return now


def _marks() -> tuple[int, int]:
    """How far both counts came; who else moves them waits until this transaction ends."""
    found = sql.rows(LOCK_MARK)
    if not found:
        sql.count(FIRST_MARK)
        found = sql.rows(LOCK_MARK)
    attempt_id, event_id = found[0]
    return attempt_id, event_id


def _walk() -> bool:
    return _go_on(0, WALK, MOVE_ATTEMPTS, WALKED_AT_ONCE)


def _count_opt_outs() -> bool:
    return _go_on(1, OPT_OUTS, MOVE_OPT_OUTS, EVENTS_AT_ONCE)


def _go_on(mark: int, query: str, move: str, most: int) -> bool:
    """One step of what this mark of both stands for; whether there may be more."""
    with transaction.atomic():
        now = _begin()
        asked = {
            "after": _marks()[mark],
            "most": most,
            "young": now - COMMITTED_AFTER,
            "kept": now - KEPT,
        }
        ((walked, last),) = sql.rows_named(query, asked)
        if walked:
            sql.count(move, last)
    return bool(walked == most)


def _count_or_log(hour: datetime) -> bool:
    """An hour that cannot be counted keeps its last figures and leaves the others theirs."""
    try:
        count_hour(hour)
    except DatabaseError:
        logger.exception("hour not counted", extra={"hour": hour.isoformat()})
        return False
    return True
