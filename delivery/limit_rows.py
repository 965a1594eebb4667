"""Reading limits: with what their days have left, and what is full today.

It reads and holds nobody; what a limit means is in `delivery/limits.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from delivery import sql
from delivery.limits import Bound, Limit, Owners
from delivery.states import Reason

# A number whose day has less than a long text left counts as full: it takes no rows of others, and
# its own go elsewhere where they can. Where they cannot, it goes on to its last segment.
NEARLY = 10

# A messaging service may send by long codes.
OF_THE_KIND = """
(l.kind IN ('', n.kind) OR l.kind = 'long_code' AND n.kind = 'service')
"""

LIMITS = """
SELECT l.id, l.number_id, l.account_id, l.brand_id, l.kind, l.unit, l.per, l.amount, l.carrier,
       l.counts_unknown, l.counted_at IS NOT NULL, to_char(d.day, 'YYYY-MM-DD'),
       (d.day + 1)::timestamp AT TIME ZONE z.zone, z.zone, coalesce(c.used, 0)
FROM providers_limit l
LEFT JOIN brands_brand b ON b.id = l.brand_id
CROSS JOIN LATERAL (SELECT coalesce(nullif(l.zone, ''), b.zone) AS zone) z
CROSS JOIN LATERAL (SELECT (%s::timestamptz AT TIME ZONE z.zone)::date AS day) d
LEFT JOIN delivery_capcounter c
       ON l.per = 'day' AND c.key = l.unit || ':' || l.id || ':' || to_char(d.day, 'YYYY-MM-DD')
WHERE l.number_id = ANY(%s::bigint[]) OR l.account_id = ANY(%s::bigint[])
   OR l.brand_id = ANY(%s::bigint[])
ORDER BY l.id
"""

# Numbers that a limit of theirs or of their account lets send nothing more today, and which; for
# use inside other statements.
FULL = f"""
SELECT n.id AS lane_id, l.number_id IS NOT NULL AS by_number
FROM providers_limit l
CROSS JOIN LATERAL (SELECT (sendonce_now() AT TIME ZONE nullif(l.zone, ''))::date AS day) d
JOIN delivery_capcounter c ON c.key = l.unit || ':' || l.id || ':' || to_char(d.day, 'YYYY-MM-DD')
JOIN providers_sendernumber n ON n.id = l.number_id OR n.account_id = l.account_id AND {OF_THE_KIND}
WHERE l.per = 'day' AND l.carrier = '' AND l.brand_id IS NULL
  AND c.used > l.amount - CASE l.unit WHEN 'messages' THEN 1 ELSE {NEARLY} END
"""  # noqa: S608 - of constants
WARM = """
SELECT id FROM providers_sendernumber
WHERE rests_because = 'warm_up' AND rests_until > sendonce_now() AND paused_at IS NULL
"""
FULL_AND_WARM = f"""
SELECT lane_id, CASE WHEN by_number THEN 'number_cap' ELSE 'account_cap' END FROM ({FULL}) f
UNION ALL SELECT id, 'warm_up' FROM ({WARM}) warm
"""  # noqa: S608
FULL_LANES = f"SELECT lane_id FROM ({FULL}) full_lanes"  # noqa: S608

OWNERS = "SELECT id, account_id, kind FROM providers_sendernumber WHERE id = ANY(%s::bigint[])"

FULL_BRANDS = """
SELECT l.brand_id FROM providers_limit l JOIN brands_brand b ON b.id = l.brand_id
CROSS JOIN LATERAL (SELECT (%s::timestamptz AT TIME ZONE coalesce(nullif(l.zone, ''), b.zone))::date
                    AS day) d
JOIN delivery_capcounter c ON c.key = l.unit || ':' || l.id || ':' || to_char(d.day, 'YYYY-MM-DD')
WHERE l.per = 'day' AND l.carrier = '' AND l.kind = '' AND c.used >= l.amount
"""


def read(owners: Collection[Owners], now: datetime) -> Bound:
    """The limits of all of these, their days as they are at `now`; at most one statement."""
    if not owners:
        return Bound()
    lanes, accounts, _, brands = (sorted(set(ids)) for ids in zip(*owners, strict=True))
    return Bound([Limit(*row) for row in sql.rows(LIMITS, now, lanes, accounts, brands)])


def owners_of(lane_ids: Collection[int], brand_id: int) -> list[Owners]:
    """Of these numbers, as this brand sends by them."""
    return [
        Owners(lane_id, account_id, kind, brand_id)
        for lane_id, account_id, kind in sql.rows(OWNERS, sorted(lane_ids))
    ]


def full_lanes() -> dict[int, Reason]:
    """Numbers that may send nothing more today, and whose limit says so, or their warm-up."""
    return {lane_id: Reason(word) for lane_id, word in sql.rows(FULL_AND_WARM)}


def full_brands(now: datetime) -> list[int]:
    """Brands that a daily limit of their own, whatever they send by and to, holds all of today."""
    return [brand_id for (brand_id,) in sql.rows(FULL_BRANDS, now)]
