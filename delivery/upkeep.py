"""What keeps the queue honest while workers send: the expiry sweep, and the dispatcher.

Everything here is idempotent and may run anywhere, any number of times at once.
"""

from __future__ import annotations

from brands import clock
from delivery import sql

CHUNK = 1000

EXPIRE = """
WITH gone AS MATERIALIZED (
    SELECT d.message_id FROM delivery_due d WHERE d.expires_at <= %s
    ORDER BY d.expires_at LIMIT %s FOR UPDATE SKIP LOCKED
), ended AS (
    DELETE FROM delivery_due d USING gone WHERE d.message_id = gone.message_id
    RETURNING d.message_id, d.brand_id, d.campaign_id, d.lane_id, d.reason
)
UPDATE delivery_message m SET status = 'expired', reason = CASE
    WHEN i.stopped_at IS NOT NULL THEN 'stop_all'
    WHEN b.paused_at IS NOT NULL THEN 'brand_paused'
    WHEN c.paused_at IS NOT NULL THEN 'campaign_paused'
    WHEN e.reason <> '' THEN e.reason
    WHEN n.paused_at IS NOT NULL OR a.paused_at IS NOT NULL OR n.retired_at IS NOT NULL
         OR a.retired_at IS NOT NULL OR n.rests_until > %s THEN 'lane_paused'
    ELSE 'no_capacity' END
FROM ended e
JOIN brands_brand b ON b.id = e.brand_id
JOIN providers_sendernumber n ON n.id = e.lane_id
JOIN providers_provideraccount a ON a.id = n.account_id
LEFT JOIN campaigns_campaign c ON c.id = e.campaign_id
CROSS JOIN brands_installation i
WHERE m.id = e.message_id AND m.status = 'planned'
"""

IS_DUE = """
SELECT EXISTS (SELECT 1 FROM delivery_due WHERE not_before <= %s AND expires_at > %s)
"""


def sweep_expired() -> int:
    """End expired rows, in chunks, with what held them or keeps their lane out now."""
    now, ended = clock.now(), 0
    while True:
        rows = sql.count(EXPIRE, now, CHUNK, now)
        ended += rows
        if rows < CHUNK:
            return ended


def anything_due() -> bool:
    now = clock.now()
    return bool(sql.one(IS_DUE, now, now)[0])
