"""Counting what went out on its day before a daily limit was set.

Until that is done the limit lets nothing pass, so nothing is added meanwhile. What a worker had
decided by then is committed within `PATIENCE`, and is counted with the rest.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from delivery import sql
from delivery.limit_rows import OF_THE_KIND
from delivery.limits import Limit
from delivery.transactions import begin
from providers import carriers

logger = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=10)  # a decision's transaction is ended after five
OUT_OF_ORDER = timedelta(minutes=1)  # by so much ids and times of intents may disagree
AT_ONCE = 100_000  # attempts; a statement is ended after five seconds, and a day may have millions

NEW = """
SELECT l.id, l.number_id, l.account_id, l.brand_id, l.kind, l.unit, l.per, l.amount, l.carrier,
       l.counts_unknown, false, to_char(d.day, 'YYYY-MM-DD'), d.day::timestamp AT TIME ZONE z.zone,
       z.zone, 0
FROM providers_limit l
LEFT JOIN brands_brand b ON b.id = l.brand_id
CROSS JOIN LATERAL (SELECT coalesce(nullif(l.zone, ''), b.zone) AS zone) z
CROSS JOIN LATERAL (SELECT (%s::timestamptz AT TIME ZONE z.zone)::date AS day) d
WHERE l.per = 'day' AND l.counted_at IS NULL AND l.made_at <= %s
ORDER BY l.id LIMIT 1 FOR UPDATE OF l SKIP LOCKED
"""

LAST = "SELECT coalesce(max(id), 0) FROM delivery_attempt"
NEXT = "SELECT id, intent_at FROM delivery_attempt WHERE id >= %s ORDER BY id LIMIT 1"

# What is under way counts, though it may come to nothing: its attempt does not name this counter
# and gives nothing back to it, so the day has a little less.
COUNT = f"""
SELECT p.carrier, count(*), sum(a.segments)::bigint
FROM delivery_attempt a
JOIN providers_sendernumber n ON n.id = a.number_id
JOIN delivery_message m ON m.id = a.message_id
JOIN compliance_person p ON p.id = m.person_id
JOIN providers_limit l ON l.id = %s
WHERE a.id >= %s AND a.id < %s AND a.intent_at >= %s AND a.outcome IN ('', 'accepted', 'unknown')
  AND (l.number_id = a.number_id OR (l.account_id = a.account_id OR l.brand_id = m.brand_id)
       AND {OF_THE_KIND} AND (l.carrier = '' OR n.kind <> 'email'))
GROUP BY p.carrier
"""  # noqa: S608 - of constants

STORE = """
INSERT INTO delivery_capcounter (key, used) VALUES (%s, %s)
ON CONFLICT (key) DO UPDATE SET used = EXCLUDED.used
"""

COUNTED = "UPDATE providers_limit SET counted_at = %s WHERE id = %s"


def count_new() -> int:
    """Give the daily limits that were set a while ago the counter of their day; how many."""
    counted = 0
    while _count_one():
        counted += 1
    return counted


def _count_one() -> bool:
    with transaction.atomic():
        now = begin()
        found = sql.rows(NEW, now, now - PATIENCE)
        for row in found:
            limit = Limit(*row)
            assert limit.next_day_at is not None  # noqa: S101 - here the beginning of its day
            used = _used(limit, limit.next_day_at)
            sql.count(STORE, limit.key, used)
            sql.count(COUNTED, now, limit.id)
            logger.info("a limit's day was counted", extra={"limit_id": limit.id, "used": used})
    return bool(found)


def _used(limit: Limit, day_at: datetime) -> int:
    first_id, last_id = _first_since(day_at - OUT_OF_ORDER), sql.one(LAST)[0]
    by_carrier = [
        row
        for low in range(first_id, last_id + 1, AT_ONCE)
        for row in sql.rows(COUNT, limit.id, low, low + AT_ONCE, day_at)
    ]
    return sum(
        messages if limit.unit == "messages" else segments
        for carrier, messages, segments in by_carrier
        if carriers.counts(limit.carrier, carrier, counts_unknown=limit.counts_unknown)
    )


def _first_since(moment: datetime) -> int:
    """The first attempt from about this moment on: ids rise with time, and there is no index."""
    low, high = 1, sql.one(LAST)[0] + 1
    while low < high:
        middle = (low + high) // 2
        found = sql.rows(NEXT, middle)
        if found and found[0][1] < moment:
            low = found[0][0] + 1
        else:
            high = middle
    return int(low)
