"""What limits a route right now: read from its numbers, their accounts, its brand and limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from brands.models import Brand, Installation
from delivery import limit_rows, routing, sql
from delivery.allowances import cap_keys
from delivery.facts import COUNTERS, local_day
from delivery.limits import Limit, Owners
from delivery.route_capacity import Bound, Most, Outlet, most_per_minute
from providers.models import Route, SenderNumber

NUMBERS = """
SELECT n.id, n.value, n.kind, a.id, a.name, a.segments_per_second,
       sendonce_warm_ceiling(n, clock.now) - coalesce(c.used, 0)
FROM (SELECT %s::timestamptz AS now) clock CROSS JOIN providers_sendernumber n
JOIN providers_provideraccount a ON a.id = n.account_id
LEFT JOIN delivery_capcounter c ON c.key = 'warm:' || n.id || ':'
    || floor(extract(epoch FROM sendonce_warm_from(n, clock.now)))::bigint
WHERE n.id = ANY(%s::bigint[]) ORDER BY n.id
"""


def capacity_of(route: Route, now: datetime, *, segments_each: float = 1.0) -> Most:
    """The most that the route sends in the coming minute, and what binds it; by four statements,
    and one more for a brand with a daily cap.

    Of its numbers those that messages would be planned onto now: the first order that has any.
    Nothing leaves while all sending is stopped, or its brand paused.
    """
    if route.brand.paused_at is not None:
        return Most(0.0, 0.0, "the brand is paused")
    if Installation.objects.filter(stopped_at__isnull=False).exists():
        return Most(0.0, 0.0, "all sending is stopped")
    lanes = [
        lane
        for lane in routing.candidates(routing.lanes_of([route.pk], now=now)[route.pk])
        if lane.is_usable and lane.weight
    ]
    outlets = [Outlet(lane.number_id, lane.segments_per_second) for lane in lanes]
    bounds = bounds_of([lane.number_id for lane in lanes], route, now)
    return most_per_minute(outlets, bounds, segments_each=segments_each)


def bounds_of(lane_ids: Sequence[int], route: Route, now: datetime) -> list[Bound]:
    """What holds these numbers together, as the route's brand sends by them."""
    rows = sql.rows(NUMBERS, now, list(lane_ids))
    accounts = {account_id: (name, most) for *_, account_id, name, most, _ in rows}
    owners = [Owners(row[0], row[3], row[2], route.brand_id) for row in rows]
    bounds = [
        Bound(f"the account {name}", [row[0] for row in rows if row[3] == account_id], most)
        for account_id, (name, most) in accounts.items()
        if most is not None
    ]
    if route.brand.segments_per_second is not None:
        speed = route.brand.segments_per_second
        bounds.append(Bound(f"the brand {route.brand}", list(lane_ids), speed))
    bounds += [_warming(row[0], row[1], row[6]) for row in rows if row[6] is not None]
    if route.brand.daily_cap is not None:
        bounds.append(_daily_cap(route.brand, route.brand.daily_cap, lane_ids, now))
    names = {f"number {row[0]}": row[1] for row in rows}
    names |= {f"account {account_id}": name for account_id, (name, _) in accounts.items()}
    for limit in limit_rows.read(owners, now).limits:
        lanes = [one.lane_id for one in owners if limit.binds(one)]
        if lanes and not limit.carrier:  # a carrier's holds some people, and not the number
            bounds.append(_bound(limit, lanes, _owner(limit, names, route)))
    return bounds


def _warming(lane_id: int, value: str, left: int) -> Bound:
    left = max(left, 0)
    words = f"the number {value}, which warms up: {left:,} messages left today"
    return Bound(words, [lane_id], left, in_messages=True, is_daily=True)


def _daily_cap(brand: Brand, cap: int, lane_ids: Sequence[int], now: datetime) -> Bound:
    keys = cap_keys(brand.pk, None, local_day(brand.zone, now)[0])
    left = max(cap - sum(used for _, used in sql.rows(COUNTERS, list(keys))), 0)
    words = f"the brand {brand}: {cap:,} messages a day, {left:,} left today"
    return Bound(words, list(lane_ids), left, in_messages=True, is_daily=True)


def _owner(limit: Limit, names: dict[str, str], route: Route) -> str:
    if limit.brand_id is not None:
        return f"the brand {route.brand}"
    if limit.number_id is not None:
        return f"the number {names[f'number {limit.number_id}']}"
    return f"the account {names[f'account {limit.account_id}']}"


def _bound(limit: Limit, lanes: Sequence[int], owner: str) -> Bound:
    kind = f" by {SenderNumber.Kind(limit.kind).label}" if limit.kind else ""
    words = f"{owner}: {limit.amount:,g} {limit.unit} a {limit.per}{kind}"
    if limit.is_daily:
        words = f"{words}, {limit.left:,} left today"
    most = limit.left if limit.is_daily else limit.amount
    return Bound(words, lanes, most, limit.unit == "messages", limit.is_daily)
