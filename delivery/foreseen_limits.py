"""Limits of numbers, accounts and brands as a forecast needs them: tanks of a day, and valves.

It reads; how long it all takes is `delivery/capacity.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from math import floor

from delivery import limit_rows, sql
from delivery.capacity import Cap, Valve, Wave
from delivery.limits import Limit, Owners
from delivery.states import Reason
from delivery.steps import reason_of
from providers import carriers

CARRIERS = """
SELECT p.carrier, count(*) FROM leads_listentry e
JOIN leads_lead l ON l.id = e.lead_id JOIN compliance_person p ON p.id = l.person_id
WHERE e.lead_list_id = %s GROUP BY p.carrier
"""


# In the day of its warm-up that each of these numbers is in, and since when.
WARMING = """
SELECT n.id, sendonce_warm_ceiling(n, clock.now), coalesce(c.used, 0),
       sendonce_warm_from(n, clock.now)
FROM (SELECT %s::timestamptz AS now) clock CROSS JOIN providers_sendernumber n
LEFT JOIN delivery_capcounter c ON c.key = 'warm:' || n.id || ':'
    || floor(extract(epoch FROM sendonce_warm_from(n, clock.now)))::bigint
WHERE n.id = ANY(%s::bigint[]) AND sendonce_warm_from(n, clock.now) IS NOT NULL
ORDER BY n.id
"""


def limits_of(
    lane_ids: Collection[int], brand_id: int, now: datetime
) -> tuple[list[Cap], list[Valve]]:
    """What limits these numbers as this brand sends by them: a day's, and a second's.

    A warm-up is a limit a day of its number.
    """
    owners = limit_rows.owners_of(lane_ids, brand_id)
    found = limit_rows.read(owners, now).limits
    return (
        [*_warming(lane_ids, now), *(_cap(limit, owners) for limit in found if limit.is_daily)],
        [_valve(limit, owners) for limit in found if not limit.is_daily],
    )


def _warming(lane_ids: Collection[int], now: datetime) -> list[Cap]:
    return [
        Cap(Reason.WARM_UP, ceiling, used, lanes=frozenset({lane_id}), since=since)
        for lane_id, ceiling, used, since in sql.rows(WARMING, now, sorted(lane_ids))
    ]


def _cap(limit: Limit, owners: Sequence[Owners]) -> Cap:
    return Cap(
        reason_of(limit),
        int(limit.amount),
        limit.used,
        in_segments=limit.unit == "segments",
        zone=limit.zone or "",
        lanes=_bound(limit, owners),
        limit=limit,
    )


def _valve(limit: Limit, owners: Sequence[Owners]) -> Valve:
    return Valve(
        limit.amount,
        limit.unit == "messages",
        _bound(limit, owners),
        is_brands=limit.brand_id is not None,
    )


def _bound(limit: Limit, owners: Sequence[Owners]) -> frozenset[int]:
    return frozenset(one.lane_id for one in owners if limit.binds(one))


def by_carrier(waves: Sequence[Wave], caps: Sequence[Cap], lead_list_id: int) -> list[list[Wave]]:
    """Each wave in parts of one network, as the people of the list are divided; as it is where no
    limit asks for the carrier."""
    if not any(cap.limit and cap.limit.carrier for cap in caps):
        return [[wave] for wave in waves]
    people: Counter[str] = Counter()
    for carrier, many in sql.rows(CARRIERS, lead_list_id):
        people[carriers.network(carrier)] += many
    return [_parts(wave, people) for wave in waves]


def _parts(wave: Wave, people: Counter[str]) -> list[Wave]:
    """What does not divide evenly goes to those of whom nothing is known."""
    total = people.total() or 1
    parts = {
        network: floor(wave.messages * many / total) for network, many in people.items() if network
    }
    parts[""] = wave.messages - sum(parts.values())
    return [
        replace(wave, messages=messages, carrier=network)
        for network, messages in sorted(parts.items())
        if messages
    ]
