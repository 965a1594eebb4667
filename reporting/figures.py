"""Counting the messages of a slot and the opt-outs of a day, again while they still change.

It only counts; what a figure means is said in report.py. Safe to run anywhere, any number of times
at once: a slot is counted by one transaction at a time, and another round leaves it to that one.
"""

from __future__ import annotations

import logging
import time
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import DatabaseError, transaction

from delivery import sql

logger = logging.getLogger(__name__)

SLOT_LOCKS = 0x4649_4755  # one class of advisory locks, the second key is the slot's id
ALL_BRANDS = 0  # ... or this

BEGIN = """
SELECT set_config('statement_timeout', '120s', true), sendonce_now(),
       pg_try_advisory_xact_lock(%s, (%s %% 2147483647)::int)
"""

FORGET = "DELETE FROM reporting_slotfigure WHERE slot_id = %s"

# The attempt that is not `not_sent` is the one that has the message; there is at most one.
COUNT = """
INSERT INTO reporting_slotfigure (slot_id, campaign_id, brand_id, local_date, account_id, status,
                                  reason, messages, clicked)
SELECT s.id, s.campaign_id, c.brand_id, s.local_date, a.account_id, m.status, m.reason, count(*),
       count(*) FILTER (WHERE EXISTS (SELECT 1 FROM links_click k WHERE k.link_id = m.link_id))
FROM campaigns_slot s
JOIN campaigns_campaign c ON c.id = s.campaign_id
JOIN delivery_message m ON m.slot_id = s.id
LEFT JOIN delivery_attempt a ON a.message_id = m.id AND a.is_not_sent = false
WHERE s.id = %s
GROUP BY s.id, s.campaign_id, c.brand_id, s.local_date, a.account_id, m.status, m.reason
"""

REMEMBER = """
INSERT INTO reporting_slotcount (slot_id, counted_at, took_ms) VALUES (%s, %s, %s)
ON CONFLICT (slot_id) DO UPDATE SET counted_at = EXCLUDED.counted_at, took_ms = EXCLUDED.took_ms
"""

# An open slot is due each round; a closed one when its age has grown by a tenth since it was
# counted, for reports and clicks still come, and the last time when it is 30 days old. None is
# counted for more than a fiftieth of the time, for it reads every message while they go out.
DUE = """
SELECT s.id FROM campaigns_slot s LEFT JOIN reporting_slotcount k ON k.slot_id = s.id
WHERE s.state <> 'draft' AND (k.slot_id IS NULL OR (
    sendonce_now() - k.counted_at >= k.took_ms * interval '50 milliseconds'
    AND (s.state = 'open' OR k.counted_at < s.closed_at OR (
        k.counted_at < s.closed_at + interval '30 days'
        AND sendonce_now() - s.closed_at >= 1.1 * (k.counted_at - s.closed_at)))))
ORDER BY k.counted_at NULLS FIRST, s.id
"""

STOPS_SINCE = """
SELECT b.id, b.zone, k.zone, k.counted_at
FROM brands_brand b LEFT JOIN reporting_stopcount k ON k.brand_id = b.id ORDER BY b.id
"""

FORGET_STOPS = """
DELETE FROM reporting_stopfigure f USING unnest(%s::bigint[], %s::date[]) AS v (brand_id, since)
WHERE f.brand_id = v.brand_id AND f.local_date >= v.since
"""

COUNT_STOPS = """
INSERT INTO reporting_stopfigure (brand_id, local_date, account_id, texts)
SELECT v.brand_id, (i.received_at AT TIME ZONE v.zone)::date, i.account_id, count(*)
FROM unnest(%s::bigint[], %s::date[], %s::text[]) AS v (brand_id, since, zone)
JOIN delivery_inbound i ON i.brand_id = v.brand_id AND i.label = 'stop'
 AND i.received_at >= v.since::timestamp AT TIME ZONE v.zone
GROUP BY 1, 2, 3
"""

REMEMBER_STOPS = """
INSERT INTO reporting_stopcount (brand_id, zone, counted_at)
SELECT brand_id, zone, %s FROM unnest(%s::bigint[], %s::text[]) AS v (brand_id, zone)
ON CONFLICT (brand_id) DO UPDATE SET counted_at = EXCLUDED.counted_at, zone = EXCLUDED.zone
"""

LATE = timedelta(days=2)  # a text is read within seconds, or when what kept it has been mended


def count_slot(slot_id: int) -> bool:
    """Count a slot's messages anew; False when somebody else is at it, and nothing was done.

    Raises OperationalError when it takes longer than two minutes.
    """
    began = time.monotonic()
    with transaction.atomic():
        _, now, is_ours = sql.one(BEGIN, SLOT_LOCKS, slot_id)
        if not is_ours:
            return False
        sql.count(FORGET, slot_id)
        sql.count(COUNT, slot_id)
        sql.count(REMEMBER, slot_id, now, int((time.monotonic() - began) * 1000))
    return True


def count_stops() -> bool:
    """Count the texts read as STOP, of all brands; False when somebody else is at it.

    From two days back on; all of them with the first count of a day, and after a change of zone.
    """
    with transaction.atomic():
        _, now, is_ours = sql.one(BEGIN, SLOT_LOCKS, ALL_BRANDS)
        if not is_ours:
            return False
        found = sql.rows(STOPS_SINCE)
        brands, zones = [row[0] for row in found], [row[1] for row in found]
        since = [_since(*row[1:], now=now) for row in found]
        sql.count(FORGET_STOPS, brands, since)
        sql.count(COUNT_STOPS, brands, since, zones)
        sql.count(REMEMBER_STOPS, now, brands, zones)
    return True


def _since(zone: str, counted_in: str | None, at: datetime | None, *, now: datetime) -> date:
    """The first day to count again, in the brand's zone."""
    if at is None or zone != counted_in or at.date() != now.date():
        return date.min
    return (at - LATE).astimezone(ZoneInfo(zone)).date()


def due() -> list[int]:
    """The slots to be counted, the longest uncounted first."""
    return [slot_id for (slot_id,) in sql.rows(DUE)]


def count_due(*, seconds: float) -> int:
    """Count what is due until the time is up, one slot at least; returns how many were counted."""
    until = time.monotonic() + seconds
    counted = 0
    for slot_id in due():
        counted += _count_or_log(slot_id)
        if time.monotonic() >= until:
            break
    return counted


def _count_or_log(slot_id: int) -> bool:
    """A slot that cannot be counted keeps its last figures and leaves the others theirs."""
    try:
        return count_slot(slot_id)
    except DatabaseError:
        logger.exception("slot not counted", extra={"slot_id": slot_id})
        return False
