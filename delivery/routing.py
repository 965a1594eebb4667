"""Which number a message leaves by: sticky first, then weighted, fallbacks only when all rest.

It reads routes and moves waiting rows to another lane; it sends nothing and never touches a
message's status.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from brands import clock
from delivery import sql
from delivery.limit_rows import FULL_LANES
from delivery.states import Reason

logger = logging.getLogger(__name__)

LANES = f"""
SELECT r.route_id, n.id, n.account_id,
       ceil(r.weight::int * a.weight * a.halves * sendonce_warmth(n, clock.now))::int,
       dense_rank() OVER (PARTITION BY r.route_id ORDER BY r.order, CASE WHEN o.prefers_cheapest
                          THEN a.price_micros ELSE 0 END) - 1 AS turn,
       sendonce_pace(n, clock.now),
       n.paused_at IS NULL AND a.paused_at IS NULL AND coalesce(n.rests_until <= clock.now, true)
       AND n.id NOT IN ({FULL_LANES}),
       CASE WHEN n.kind = 'long_code' THEN coalesce(substring(n.value FROM '^[+]1(...)'), '')
            ELSE '' END
FROM (SELECT %s::timestamptz AS now) clock CROSS JOIN providers_routenumber r
JOIN providers_route o ON o.id = r.route_id
JOIN providers_sendernumber n ON n.id = r.number_id
JOIN providers_provideraccount a ON a.id = n.account_id
WHERE r.route_id = ANY(%s::bigint[]) AND n.retired_at IS NULL AND a.retired_at IS NULL
ORDER BY r.route_id, turn, n.id
"""  # noqa: S608 - of constants

FAULTED = """
SELECT t.message_id, t.account_id, CASE t.fault WHEN 'sender' THEN t.number_id END
FROM delivery_attempt t
JOIN providers_provideraccount a ON a.id = t.account_id
JOIN providers_sendernumber n ON n.id = t.number_id
WHERE t.message_id = ANY(%s::bigint[]) AND t.is_not_sent AND t.fault <> ''
  AND t.intent_at > coalesce(CASE t.fault WHEN 'sender' THEN n.resumed_at ELSE a.resumed_at END,
                             '-infinity')
"""

RESTING = f"""
WITH RECURSIVE resting AS MATERIALIZED (
    SELECT n.id, (n.rests_because <> '' OR coalesce(n.rests_until <= %s, true)) AND a.halves > 0
                 AND n.paused_at IS NULL AND n.retired_at IS NULL
                 AND a.paused_at IS NULL AND a.retired_at IS NULL AS answers
    FROM providers_sendernumber n
    JOIN providers_provideraccount a ON a.id = n.account_id
    WHERE n.paused_at IS NOT NULL OR n.retired_at IS NOT NULL OR a.paused_at IS NOT NULL
       OR a.retired_at IS NOT NULL OR n.rests_until > %s OR a.halves = 0
       OR n.id IN ({FULL_LANES})
), pairs AS (
    (SELECT queue, lane_id FROM delivery_due
     WHERE crashes = 0 AND EXISTS (SELECT 1 FROM resting) ORDER BY queue, lane_id LIMIT 1)
    UNION ALL
    SELECT d.queue, d.lane_id FROM pairs p CROSS JOIN LATERAL (
        SELECT queue, lane_id FROM delivery_due
        WHERE crashes = 0 AND (queue, lane_id) > (p.queue, p.lane_id)
        ORDER BY queue, lane_id LIMIT 1) d
)
SELECT DISTINCT p.queue, p.lane_id, s.route_id
FROM pairs p JOIN resting r ON r.id = p.lane_id
JOIN campaigns_slot s ON s.campaign_id = p.queue AND s.state <> 'draft'
UNION
SELECT p.queue, p.lane_id, coalesce(b.route_id, o.id)
FROM pairs p JOIN resting r ON r.id = p.lane_id
CROSS JOIN LATERAL (SELECT DISTINCT d.brand_id, x.route_id FROM delivery_due d
                    LEFT JOIN delivery_singletext x ON x.message_id = d.message_id
                    WHERE d.queue = p.queue AND d.lane_id = p.lane_id AND d.crashes = 0) b
LEFT JOIN providers_route o ON o.brand_id = b.brand_id AND o.is_default AND o.channel = 'sms'
                           AND o.retired_at IS NULL
WHERE (p.queue < 0 OR p.queue = 0 AND NOT r.answers) AND coalesce(b.route_id, o.id) IS NOT NULL
"""  # noqa: S608 - of constants

# A campaign's rows go by the route of their slot and tests by that of their campaign; answers and
# other single messages by their brand's default.
ROWS_TO_MOVE = """
SELECT d.message_id FROM delivery_due d
JOIN delivery_message m ON m.id = d.message_id
JOIN providers_route r ON r.id = %s
LEFT JOIN campaigns_slot s ON s.id = m.slot_id
LEFT JOIN delivery_singletext x ON x.message_id = m.id
WHERE d.queue = %s AND d.lane_id = %s AND d.crashes = 0 AND d.expires_at > %s
  AND (s.route_id = r.id OR x.route_id = r.id
       OR s.id IS NULL AND x.route_id IS NULL AND r.is_default AND d.brand_id = r.brand_id)
ORDER BY d.not_before, d.message_id LIMIT %s FOR UPDATE OF d SKIP LOCKED
"""

# What waited for its number alone need wait no longer; the rest keeps its time and its reason.
MOVE = """
UPDATE delivery_due d SET lane_id = v.lane_id,
       not_before = CASE WHEN d.reason = ANY(%s::text[]) THEN least(d.not_before, %s)
                         ELSE d.not_before END,
       reason = CASE WHEN d.reason = ANY(%s::text[]) THEN '' ELSE d.reason END
FROM unnest(%s::bigint[], %s::bigint[]) AS v (message_id, lane_id)
WHERE d.message_id = v.message_id
"""
AHEAD = 2.0  # seconds of the others' sending that are moved in a call
OF_THE_LANE = [
    Reason.LANE_PAUSED.value,
    Reason.ACCOUNT_FAULT.value,
    Reason.THROTTLED.value,
    Reason.NOT_CONNECTED.value,
    Reason.NUMBER_CAP.value,
    Reason.ACCOUNT_CAP.value,
    Reason.WARM_UP.value,
]


@dataclass(frozen=True, slots=True)
class Lane:
    """A number as a route sees it.

    `weight` is the route's times the account's times its halves, so none while it is out, and less
    while it warms up, as its speed is. `order` counts from 0: the route's own, and within it by
    price where the route prefers the cheapest. `area`: the area code of a long code, else empty.
    """

    number_id: int
    account_id: int
    weight: int
    order: int
    segments_per_second: float
    is_usable: bool
    area: str = ""


def lanes_of(route_ids: Collection[int], *, now: datetime) -> dict[int, list[Lane]]:
    """The lanes of each route, in fallback order."""
    lanes: dict[int, list[Lane]] = defaultdict(list)
    for route_id, *lane in sql.rows(LANES, now, list(route_ids)):
        lanes[route_id].append(Lane(*lane))
    return lanes


def candidates(lanes: Sequence[Lane], without: Collection[int] = ()) -> list[Lane]:
    """The usable lanes of the first order that has any; else one that may come back.

    A weight of 0 is a brake for a while: with no other lane its rows wait, and are not refused.
    """
    left = [lane for lane in lanes if lane.number_id not in without]
    for order in sorted({lane.order for lane in left}):
        usable = [lane for lane in left if lane.order == order and lane.is_usable and lane.weight]
        if usable:
            return usable
    return left[:1]


def bounds(lanes: Sequence[Lane]) -> list[float]:
    """The lower bound of each lane's share of [0, 1), for width_bucket."""
    total, lower, result = sum(lane.weight for lane in lanes) or 1, 0.0, []
    for lane in lanes:
        result.append(lower)
        lower += lane.weight / total
    return result


def faulted(message_ids: Sequence[int]) -> dict[int, tuple[set[int], set[int]]]:
    """Accounts and numbers a message must not go to again, since a fault that stands unmended."""
    out: dict[int, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
    for message_id, account_id, number_id in sql.rows(FAULTED, list(message_ids)):
        if number_id is None:
            out[message_id][0].add(account_id)
        else:
            out[message_id][1].add(number_id)
    return out


def choose_again(
    lanes: Sequence[Lane], accounts: Collection[int], numbers: Collection[int]
) -> int | None:
    """A lane without those accounts and numbers, by weight; None when there is none."""
    without = {
        lane.number_id for lane in lanes if lane.account_id in accounts or lane.number_id in numbers
    }
    usable = [lane for lane in candidates(lanes, without) if lane.is_usable and lane.weight]
    if not usable:
        return None
    return random.choices(usable, [lane.weight for lane in usable])[0].number_id  # noqa: S311


def move_resting() -> int:
    """Move rows of resting lanes; called each second, a little more than the others can send."""
    now = clock.now()
    waiting = sql.rows(RESTING, now, now)
    routes = lanes_of({route_id for *_, route_id in waiting}, now=now)
    return sum(
        _move(queue, lane_id, route_id, routes[route_id], now)
        for queue, lane_id, route_id in waiting
    )


def _move(queue: int, lane_id: int, route_id: int, lanes: Sequence[Lane], now: datetime) -> int:
    others = [lane for lane in candidates(lanes, {lane_id}) if lane.is_usable and lane.weight]
    if not others:
        return 0
    most = int(sum(lane.segments_per_second for lane in others) * AHEAD)
    with transaction.atomic():
        rows = sql.rows(ROWS_TO_MOVE, route_id, queue, lane_id, now, max(most, 1))
        to = _spread([message_id for (message_id,) in rows], lanes, lane_id)
        if to:
            sql.count(MOVE, OF_THE_LANE, now, OF_THE_LANE, list(to), list(to.values()))
    if to:
        logger.info("rows moved off a resting lane", extra={"lane_id": lane_id, "rows": len(to)})
    return len(to)


def _spread(message_ids: Sequence[int], lanes: Sequence[Lane], lane_id: int) -> dict[int, int]:
    barred = faulted(message_ids)
    to = {}
    for message_id in message_ids:
        accounts, numbers = barred.get(message_id, (set(), set()))
        number_id = choose_again(lanes, accounts, {*numbers, lane_id})
        if number_id is not None:
            to[message_id] = number_id
    return to
