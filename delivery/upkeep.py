"""What keeps the queue honest while workers send: the expiry sweep, and the dispatcher.

Everything here is idempotent and may run anywhere, any number of times at once.
"""

from __future__ import annotations

from datetime import datetime

from brands import clock
from delivery import limit_rows, sql
from delivery.allowances import cap_keys
from delivery.claims import REPLIES
from delivery.facts import COUNTERS, local_day
from delivery.limit_rows import FULL

CHUNK = 1000

EXPIRE = f"""
WITH gone AS MATERIALIZED (
    SELECT d.message_id FROM delivery_due d WHERE d.expires_at <= %s
    ORDER BY d.expires_at LIMIT %s FOR UPDATE SKIP LOCKED
), full_lanes AS MATERIALIZED ({FULL}), ended AS (
    DELETE FROM delivery_due d USING gone WHERE d.message_id = gone.message_id
    RETURNING d.message_id, d.brand_id, d.campaign_id, d.lane_id, d.reason
)
UPDATE delivery_message m SET status = 'expired', reason = CASE
    WHEN i.stopped_at IS NOT NULL THEN 'stop_all'
    WHEN b.paused_at IS NOT NULL AND m.kind <> 'reply' THEN 'brand_paused'
    WHEN c.paused_at IS NOT NULL THEN 'campaign_paused'
    WHEN e.reason <> '' THEN e.reason
    WHEN e.brand_id = ANY(%s::bigint[]) AND m.kind <> 'reply' THEN 'brand_cap'
    WHEN e.campaign_id = ANY(%s::bigint[]) THEN 'campaign_cap'
    WHEN e.lane_id IN (SELECT lane_id FROM full_lanes WHERE by_number) THEN 'number_cap'
    WHEN e.lane_id IN (SELECT lane_id FROM full_lanes) THEN 'account_cap'
    WHEN n.rests_until > %s AND n.rests_because = 'warm_up'
         AND n.paused_at IS NULL AND a.paused_at IS NULL THEN 'warm_up'
    WHEN n.paused_at IS NOT NULL OR a.paused_at IS NOT NULL OR n.retired_at IS NOT NULL
         OR a.retired_at IS NOT NULL OR n.rests_until > %s OR a.halves = 0 THEN 'lane_paused'
    ELSE 'no_capacity' END
FROM ended e
JOIN brands_brand b ON b.id = e.brand_id
JOIN providers_sendernumber n ON n.id = e.lane_id
JOIN providers_provideraccount a ON a.id = n.account_id
LEFT JOIN campaigns_campaign c ON c.id = e.campaign_id
CROSS JOIN brands_installation i
WHERE m.id = e.message_id AND m.status = 'planned'
"""  # noqa: S608 - of constants

CAPS = """
SELECT id, NULL, zone, daily_cap FROM brands_brand
WHERE daily_cap IS NOT NULL AND retired_at IS NULL
UNION ALL
SELECT b.id, c.id, b.zone, c.daily_cap
FROM campaigns_campaign c JOIN brands_brand b ON b.id = c.brand_id
WHERE c.daily_cap IS NOT NULL AND c.retired_at IS NULL
"""

IS_DUE = """
SELECT EXISTS (SELECT 1 FROM delivery_due WHERE not_before <= %s AND expires_at > %s)
"""

IS_REPLY_DUE = """
SELECT EXISTS (SELECT 1 FROM delivery_due
               WHERE queue = %s AND crashes = 0 AND not_before <= %s AND expires_at > %s)
"""


def sweep_expired() -> int:
    """End expired rows, in chunks, with what held them or keeps their lane out now."""
    now, ended = clock.now(), 0
    brands, campaigns = capped(now)
    while True:
        rows = sql.count(EXPIRE, now, CHUNK, brands, campaigns, now, now)
        ended += rows
        if rows < CHUNK:
            return ended


def capped(now: datetime) -> tuple[list[int], list[int]]:
    """Brands and campaigns whose daily cap, or a brand's limit of a day, is reached."""
    keys = {
        key: (brand_id, campaign_id, cap)
        for brand_id, campaign_id, zone, cap in sql.rows(CAPS)
        for key in cap_keys(brand_id, campaign_id, local_day(zone, now)[0])[-1:]
    }
    used: dict[str, int] = dict(sql.rows(COUNTERS, list(keys)))
    full = [keys[key] for key in keys if used.get(key, 0) >= keys[key][2]]
    return (
        [
            *(brand_id for brand_id, campaign_id, _ in full if campaign_id is None),
            *limit_rows.full_brands(now),
        ],
        [campaign_id for _, campaign_id, _ in full if campaign_id is not None],
    )


def anything_due() -> bool:
    now = clock.now()
    return bool(sql.one(IS_DUE, now, now)[0])


def is_reply_due() -> bool:
    now = clock.now()
    return bool(sql.one(IS_REPLY_DUE, REPLIES, now, now)[0])
