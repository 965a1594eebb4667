"""How fast a route can send: its usable numbers, within what their accounts and the brand allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from brands.models import Brand
from providers.models import RouteNumber


def segments_per_second(
    brand: Brand, route_ids: Collection[int], *, now: datetime
) -> dict[int, float]:
    """Of each route, by one query. A fallback counts only while all before it rest."""
    rows = RouteNumber.objects.filter(route_id__in=route_ids, number__retired_at=None)
    rows = rows.filter(number__account__retired_at=None).select_related("number__account")
    usable: dict[int, dict[int, list[RouteNumber]]] = defaultdict(lambda: defaultdict(list))
    for row in rows.order_by("route_id", "order"):
        if _works(row, now):
            usable[row.route_id][row.order].append(row)
    speeds = {route: _together(next(iter(orders.values()))) for route, orders in usable.items()}
    most = brand.segments_per_second or float("inf")
    return {route: min(most, speeds.get(route, 0.0)) for route in route_ids}


def _works(row: RouteNumber, now: datetime) -> bool:
    number, account = row.number, row.number.account
    rests = number.rests_until is not None and number.rests_until > now
    paused = number.paused_at is not None or account.paused_at is not None
    return not rests and not paused and bool(row.weight * account.weight)


def _together(rows: Collection[RouteNumber]) -> float:
    """Numbers of one account share its limit."""
    sums: dict[int, float] = defaultdict(float)
    limits: dict[int, float] = {}
    for row in rows:
        account = row.number.account
        sums[account.pk] += row.number.segments_per_second
        limits[account.pk] = account.segments_per_second or float("inf")
    return sum(min(limits[account], speed) for account, speed in sums.items())
