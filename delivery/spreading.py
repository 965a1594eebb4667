"""Which of a route's usable numbers each person of a list is texted from, in one statement.

First the number that the person hears the brand from, then one with the person's own area code,
both where the route asks for it; else by weight. Whoever is read twice gets the same number, for
the hash of person and brand decides. It is the same for planning and for what a start would do.

A statement that uses the fragments has the lead as `l`, its person as `p` and the sticky row of the
brand as `s`, and these values beside its own: `%(brand)s` and those of `values`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from delivery.routing import Lane, bounds
from providers.models import Route

_POINT = "((hashint8extended(l.person_id, %(brand)s) & 2147483647) / 2147483648.0::float8)"

# Area codes are the first three digits after +1; the shares of one area's numbers divide [0, 1).
NEAR = f"""
    LEFT JOIN unnest(%(areas)s::text[], %(near)s::bigint[], %(lower)s::float8[],
                     %(upper)s::float8[]) AS near (area, lane_id, lower, upper)
        ON near.area = substring(p.phone FROM '^[+]1(...)')
        AND {_POINT} >= near.lower AND {_POINT} < near.upper
"""

LANE = f"""
    CASE WHEN %(keeps_number)s AND s.number_id = ANY(%(lanes)s::bigint[]) THEN s.number_id
         WHEN near.lane_id IS NOT NULL THEN near.lane_id
         ELSE (%(lanes)s::bigint[])[width_bucket({_POINT}, %(bounds)s::float8[])] END
"""


def values(lanes: Sequence[Lane], route: Route) -> dict[str, Any]:
    """What the fragments ask for; `lanes` are the candidates of the route."""
    near: dict[str, list[Lane]] = defaultdict(list)
    for lane in lanes:
        if route.prefers_area and lane.area and lane.weight:
            near[lane.area].append(lane)
    shares = [
        (area, lane.number_id, lower, upper)
        for area, of_area in near.items()
        for lane, lower, upper in zip(of_area, bounds(of_area), _upper(of_area), strict=True)
    ]
    return {
        "lanes": [lane.number_id for lane in lanes],
        "bounds": bounds(lanes) or [0.0],
        "keeps_number": route.keeps_number,
        "areas": [area for area, *_ in shares],
        "near": [number_id for _, number_id, *_ in shares],
        "lower": [lower for *_, lower, _ in shares],
        "upper": [upper for *_, upper in shares],
    }


def _upper(lanes: Sequence[Lane]) -> list[float]:
    return [*bounds(lanes)[1:], 1.0]
