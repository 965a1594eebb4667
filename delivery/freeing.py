"""What waits for a carrier's next day comes back where its brand may send again today.

Somebody raised the limit, or took it away; without that nothing here has room, for such messages
were held because there was none. It knows limits and the queue, and decides nothing.
"""

from __future__ import annotations

from brands import clock
from delivery import sql
from delivery.limit_rows import NEARLY

MOST = 10_000  # rows of a brand at once

# Of several limits the tightest; what was not counted yet lets nothing pass.
FREE = f"""
WITH held AS MATERIALIZED (
    SELECT DISTINCT brand_id FROM delivery_due
    WHERE reason = 'carrier_cap' AND not_before > %(now)s AND crashes = 0
), room AS MATERIALIZED (
    SELECT h.brand_id, least(coalesce(min(CASE WHEN l.counted_at IS NULL THEN 0
               ELSE l.amount - coalesce(c.used, 0) - CASE l.unit WHEN 'messages' THEN 0
                    ELSE {NEARLY} END END) FILTER (WHERE l.id IS NOT NULL), %(most)s),
           %(most)s)::bigint AS room
    FROM held h JOIN brands_brand b ON b.id = h.brand_id
    LEFT JOIN providers_limit l ON l.brand_id = b.id AND l.per = 'day' AND l.carrier <> ''
    LEFT JOIN delivery_capcounter c ON c.key = l.unit || ':' || l.id || ':' || to_char(
        (%(now)s AT TIME ZONE coalesce(nullif(l.zone, ''), b.zone))::date, 'YYYY-MM-DD')
    GROUP BY h.brand_id
), chosen AS MATERIALIZED (
    SELECT d.message_id FROM room r CROSS JOIN LATERAL (
        SELECT message_id FROM delivery_due
        WHERE brand_id = r.brand_id AND reason = 'carrier_cap' AND not_before > %(now)s
          AND crashes = 0
        ORDER BY message_id LIMIT greatest(r.room, 0) FOR NO KEY UPDATE SKIP LOCKED) d
)
UPDATE delivery_due d SET not_before = %(now)s FROM chosen v WHERE d.message_id = v.message_id
"""  # noqa: S608 - of a constant


def free_held() -> int:
    """Makes due what a carrier's limit holds and would let pass now; how many that were."""
    return sql.count_named(FREE, {"now": clock.now(), "most": MOST})
