"""The page of a route: the most it sends, what binds it, its last hour, and why weights moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from brands import access, clock, pages
from brands.access import Ability
from delivery.route_room import capacity_of
from providers.models import Route
from providers.weight_admin import weight_pill
from reporting import route_hour
from reporting.route_hour import AccountHour, Sender

SEGMENTS = (1, 2, 3)
TURNS = ("First", "Then, while none of those can send", "And then")
NAMES = {
    "accepted": ("Accepted", "good"),
    "rejected": ("Rejected: the number or the text", "info"),
    "not_sent": ("Refused: the account's or a number's fault", "bad"),
    "throttled": ("Throttled", "warn"),
    "unreachable": ("No connection", "warn"),
    "unknown": ("Lost or 5xx: unknown", "bad"),
}
TONES = {word: tone for word, (_, tone) in NAMES.items()}
BOTTOM, TALLEST = 36, 30  # of the bars, in units of their picture


@require_safe
@pages.staff_page(Ability.FIGURES)
def route_page(request: HttpRequest, route_id: int) -> HttpResponse:
    """What a route can do now, and what came of it lately."""
    visible = access.visible(Route.objects.all(), request.user, Ability.FIGURES, path="brand")
    route = get_object_or_404(visible.select_related("brand"), pk=route_id)
    now = clock.now()
    found = route_hour.senders(route, now)
    accounts = {one.number.account_id: one.number.account for one in found}
    hours = route_hour.last_hour(accounts.values(), request.user, now)
    return pages.show(
        request,
        "reporting/route.html",
        title=f"{route.name}: what it can send",
        route=route,
        now=now,
        most=[(many, capacity_of(route, now, segments_each=many)) for many in SEGMENTS],
        turns=_turns(found, now),
        hours=[_hour(hour, now) for hour in hours],
        changes=route_hour.changes(list(accounts), now),
        may_manage=access.may(request.user, Ability.MANAGE, route.brand_id),
        owns_all=access.may(request.user, Ability.OWN, None),
    )


def _turns(found: Sequence[Sender], now: datetime) -> list[dict[str, Any]]:
    turns = route_hour.by_turn(found)
    return [
        {
            "words": TURNS[min(place, len(TURNS) - 1)] if len(turns) > 1 else "",
            "senders": [_sender(one, now) for one in turns[turn]],
        }
        for place, turn in enumerate(sorted(turns))
    ]


def _sender(one: Sender, now: datetime) -> dict[str, Any]:
    words, tone = _state(one, now)
    return {
        "number": one.number,
        "account": one.number.account,
        "share": f"{100 * one.share:.0f} %" if one.share else "",
        "speed": one.lane.segments_per_second,
        "state": words,
        "tone": tone,
    }


def _state(one: Sender, now: datetime) -> tuple[str, str]:
    """What keeps it, the gravest first."""
    number, account = one.number, one.number.account
    for what, row in (("Account", account), ("Number", number)):
        if row.paused_at and row.fault:
            return f"{what} refused: {row.fault}", "so-bad"
        if row.paused_at:
            return f"{what} paused", "so-warn"
    if number.rests_until and number.rests_until > now:
        return f"Rests until {number.rests_until:%H:%M} UTC", "so-warn"
    if not account.halves:
        return "Account is out", "so-bad"
    if not one.lane.is_usable:
        return "A limit of the day is reached", "so-warn"
    if not one.lane.weight:
        return "Has no weight", "so-warn"
    return ("Sends", "so-good") if one.share else ("Waits for its turn", "")


def _hour(hour: AccountHour, now: datetime) -> dict[str, Any]:
    return {
        "account": hour.account,
        "pill": weight_pill(hour.account, now),
        "requests": hour.requests if hour.is_counted else None,
        "is_idle": not hour.requests,
        "answers": [
            {
                "words": NAMES[word][0],
                "tone": NAMES[word][1],
                "many": hour.answers[word] if hour.is_counted else None,
                "share": _percent(hour.share(word)),
            }
            for word in NAMES
            if hour.answers[word] or word == "unknown"
        ],
        "bars": _bars(hour.course()),
        "begins": hour.begins,
    }


def _percent(share: float) -> str:
    """Never 0 or 100 for what is not quite so."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return f"{min(percent, 99.9) if share < 1 else 100:.1f} %"


def _bars(course: Sequence[Counter[str]]) -> list[list[dict[str, Any]]]:
    """Of each span its parts from the bottom up, in units of the picture; the fullest is tallest.

    What is there at all is seen: a part has a unit at least.
    """
    most = max(span.total() for span in course) or 1
    bars = []
    for span in course:
        bar, top = [], float(BOTTOM)
        for word, tone in TONES.items():
            if span[word]:
                height = max(round(TALLEST * span[word] / most, 1), 1.0)
                top -= height
                bar.append({"tone": tone, "y": f"{top:.1f}", "height": f"{height:.1f}"})
        bars.append(bar)
    return bars
