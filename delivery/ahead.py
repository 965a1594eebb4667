"""What waits in the queue already, as far as a campaign that is to start meets it.

It reads and counts; it moves nothing. How long it all takes is `delivery/capacity.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from campaigns.models import Campaign
from delivery import sql
from delivery.capacity import Pipe, Wave
from delivery.routing import Lane

# As the picker and the router treat it: what is paused waits, answers count on no cap, and the rows
# of a resting number leave by another of their route. A pause of this campaign or of its brand is
# left out of account, for the campaign itself would wait then.
AHEAD = """
WITH usable AS MATERIALIZED (
    SELECT n.id, a.weight * a.halves AS weight, a.price_micros FROM providers_sendernumber n
    JOIN providers_provideraccount a ON a.id = n.account_id
    WHERE n.id = ANY(%(lanes)s::bigint[])
       OR n.paused_at IS NULL AND n.retired_at IS NULL AND a.paused_at IS NULL
          AND a.retired_at IS NULL AND coalesce(n.rests_until <= %(now)s, true)
          AND a.halves > 0
), waiting AS MATERIALIZED (
    SELECT queue, lane_id, brand_id, campaign_id, date_trunc('minute', not_before) AS ready_at,
           date_trunc('minute', expires_at) AS expires_at, count(*) AS messages,
           sum(segments) AS segments
    FROM delivery_due
    WHERE (lane_id = ANY(%(lanes)s::bigint[]) OR brand_id = %(brand)s AND queue <> 0)
      AND expires_at > %(now)s
    GROUP BY 1, 2, 3, 4, 5, 6
), moving AS (
    SELECT w.*, CASE WHEN w.lane_id IN (SELECT id FROM usable) THEN w.lane_id ELSE (
            SELECT u.id FROM providers_routenumber o JOIN usable u ON u.id = o.number_id
            JOIN providers_route r ON r.id = o.route_id
            WHERE o.weight * u.weight > 0 AND o.route_id IN (
                SELECT route_id FROM campaigns_slot
                WHERE campaign_id = w.queue AND state = 'open'
                UNION
                SELECT id FROM providers_route WHERE w.queue <= 0 AND brand_id = w.brand_id
                AND is_default AND channel = 'sms' AND retired_at IS NULL)
            ORDER BY o.order, CASE WHEN r.prefers_cheapest THEN u.price_micros ELSE 0 END, u.id
            LIMIT 1) END AS by_lane
    FROM waiting w
    JOIN brands_brand b ON b.id = w.brand_id
    LEFT JOIN campaigns_campaign c ON c.id = w.queue
    WHERE (c.paused_at IS NULL OR c.id = %(campaign)s)
      AND (b.paused_at IS NULL OR b.id = %(brand)s OR w.queue = 0)
)
SELECT n.id, n.account_id, sendonce_pace(n, %(now)s), a.segments_per_second,
       m.brand_id = %(brand)s AND m.queue <> 0, coalesce(m.campaign_id = %(campaign)s, false),
       m.ready_at, m.expires_at, sum(m.messages)::bigint,
       (sum(m.segments) / sum(m.messages))::float8
FROM moving m
JOIN providers_sendernumber n ON n.id = m.by_lane
JOIN providers_provideraccount a ON a.id = n.account_id
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

# By some thousand people of the list, who stand for the rest: other lists may be long as well.
UNPLANNED = """
WITH mine AS MATERIALIZED (
    SELECT lead_id FROM leads_listentry WHERE lead_list_id = %s ORDER BY id DESC LIMIT 5000
)
SELECT DISTINCT c.id FROM campaigns_slot s JOIN campaigns_campaign c ON c.id = s.campaign_id
WHERE s.state = 'open' AND c.brand_id = %s AND c.id <> %s AND c.paused_at IS NULL AND EXISTS (
    SELECT 1 FROM mine
    JOIN leads_listentry e ON e.lead_id = mine.lead_id AND e.lead_list_id = c.lead_list_id
    WHERE NOT EXISTS (
        SELECT 1 FROM delivery_planned p
        WHERE p.slot_id = s.id AND p.places_id IS NOT DISTINCT FROM e.places_id
          AND p.through_entry_id >= e.id))
ORDER BY c.id LIMIT 20
"""


def unplanned(campaign: Campaign) -> list[Campaign]:
    """Started campaigns of the brand to people of the same list, whose messages are still to come.

    At most twenty. Nobody can say before they are planned what the person limit leaves over.
    """
    found = sql.rows(UNPLANNED, campaign.lead_list_id, campaign.brand_id, campaign.pk)
    return list(Campaign.objects.filter(pk__in=[pk for (pk,) in found]).order_by("pk"))


def ahead(
    campaign: Campaign, lanes: Sequence[Lane], now: datetime
) -> tuple[list[Wave], dict[int, Pipe]]:
    """What waits for the same numbers or counts on the same caps; and the numbers it leaves by."""
    waves, pipes = [], {}
    asked = {
        "campaign": campaign.pk,
        "brand": campaign.brand_id,
        "lanes": [lane.number_id for lane in lanes],
        "now": now,
    }
    for (
        lane_id,
        *pipe,
        is_brands,
        is_campaigns,
        ready_at,
        expires_at,
        messages,
        segments,
    ) in sql.rows_named(AHEAD, asked):
        pipes[lane_id] = Pipe(*pipe)
        wave = Wave(
            lane_id=lane_id,
            ready_at=ready_at,
            expires_at=expires_at + timedelta(minutes=1),  # of its minute it has a part at least
            messages=messages,
            segments=segments,
            is_brands=is_brands,
            is_campaigns=is_campaigns,
        )
        waves.append(wave)
    return waves, pipes
