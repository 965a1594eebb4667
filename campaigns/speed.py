"""How fast a route can send: its usable numbers, within what their accounts and the brand allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Q

from brands.models import Brand
from providers import warming
from providers.models import Limit, RouteNumber, SenderNumber


def segments_per_second(
    brand: Brand, route_ids: Collection[int], *, now: datetime
) -> dict[int, float]:
    """Of each route, by two queries, for messages of one segment; limits of a day are not reckoned
    with. A fallback counts only while all before it rest, and so do the dearer accounts of a route
    that prefers the cheapest.
    """
    found = RouteNumber.objects.filter(route_id__in=route_ids, number__retired_at=None)
    found = found.filter(number__account__retired_at=None)
    found = found.annotate(pace=warming.pace(now))
    usable: dict[int, dict[tuple[int, int], list[Any]]]
    usable = defaultdict(lambda: defaultdict(list))
    for row in found.select_related("number__account", "route"):
        if _works(row, now):
            usable[row.route_id][row.turn].append(row)
    first = {route: turns[min(turns)] for route, turns in usable.items()}
    limits = _limits(brand, [row for rows in first.values() for row in rows])
    speeds = {route: _together(rows, limits) for route, rows in first.items()}
    most = brand.segments_per_second or float("inf")
    return {route: min(most, speeds.get(route, 0.0)) for route in route_ids}


def _works(row: RouteNumber, now: datetime) -> bool:
    number, account = row.number, row.number.account
    rests = number.rests_until is not None and number.rests_until > now
    paused = number.paused_at is not None or account.paused_at is not None
    return not rests and not paused and bool(row.weight * account.weight * account.halves)


def _limits(brand: Brand, rows: Collection[Any]) -> list[Limit]:
    """The further limits a second of these numbers, of their accounts and of the brand."""
    numbers = {row.number_id for row in rows}
    accounts = {row.number.account_id for row in rows}
    owners = Q(number_id__in=numbers) | Q(account_id__in=accounts) | Q(brand=brand)
    return list(Limit.objects.filter(owners, per=Limit.Per.SECOND).order_by("pk"))


def _together(rows: Collection[Any], limits: Collection[Limit]) -> float:
    """Numbers of one account share its limit, and so do those of any other."""
    speeds: dict[int, float] = {row.number_id: row.pace for row in rows}
    shared: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        shared[row.number.account_id].append(row.number_id)
    most = {row.number.account_id: row.number.account.segments_per_second for row in rows}
    for account, numbers in shared.items():
        _slow_down(speeds, numbers, most[account] or float("inf"))
    for limit in limits:
        bound = [row.number_id for row in rows if _binds(limit, row.number)]
        _slow_down(speeds, bound, limit.amount)
    return sum(speeds.values())


def _binds(limit: Limit, number: SenderNumber) -> bool:
    is_of_kind = limit.kind in ("", number.kind) or (  # a service may send by long codes
        (limit.kind, number.kind) == (SenderNumber.Kind.LONG_CODE, SenderNumber.Kind.SERVICE)
    )
    if limit.brand_id is not None:
        return is_of_kind
    return limit.number_id == number.pk or (limit.account_id == number.account_id and is_of_kind)


def _slow_down(speeds: dict[int, float], numbers: Collection[int], most: float) -> None:
    together = sum(speeds[number] for number in numbers)
    if together > most:
        speeds.update({number: speeds[number] * most / together for number in numbers})
