"""The index page: what moves now, what went wrong, what comes next. It only shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from brands import access, clock, pages
from brands.access import Ability, Visitor
from brands.models import Installation
from campaigns.models import Campaign, Slot, TemplateVersion
from leads.models import ListEntry
from providers import pretend
from providers.models import RouteNumber
from reporting import live, live_health, live_words
from reporting.live_board import Board, BrandSum, Row, board

OPEN_ROWS, MOST_ROWS, MOST_BRANDS, MOST_ENDED, MOST_COMING = 10, 50, 12, 10, 5
OLD = timedelta(seconds=20)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the admin's index shows besides its frame."""
    context["title"] = "What moves now"
    if not access.may_anywhere(request.user, Ability.FIGURES):
        return context
    return {
        **context,
        **live_context(request),
        "may_people": access.may_anywhere(request.user, Ability.PEOPLE),
        **_pretend_pages(request.user, context.get("installation")),
    }


@require_GET
@pages.staff_page(Ability.FIGURES)
def live_part(request: HttpRequest) -> HttpResponse:
    """The part of the index that the page asks for again and again."""
    return render(request, "reporting/_live.html", live_context(request))


def live_context(request: HttpRequest) -> dict[str, Any]:
    """What `_live.html` shows to this user."""
    installation = Installation.objects.first()
    if installation is None:
        return {"is_set_up": False}
    try:
        snapshot = live.look(installation.identity)
    except live.TooSlow:
        return {"is_set_up": True, "is_too_slow": True}
    now = clock.now()
    seen = board(request.user, snapshot, installation, now)
    parts = live_health.accounts(request.user, snapshot, now)
    return {
        "is_set_up": True,
        "old_since": snapshot.at if now - snapshot.at > OLD else None,
        "window": live_words.window(snapshot.window),
        "accounts": [_account(part) for part in parts],
        "owns_all": access.may(request.user, Ability.OWN, None),
        "reads_texts": access.may_anywhere(request.user, Ability.PEOPLE),
        "replies": live_health.replies(request.user, snapshot),
        "troubles": live_health.troubles(request.user, parts, now),
        "may_send": access.may_anywhere(request.user, Ability.SEND),
        **_moving(seen),
        **_next(request.user, seen),
    }


def _moving(seen: Board) -> dict[str, Any]:
    last = seen.last_finish
    finish = live_words.finish(last, seen.now) if last else ""
    what = "all" if seen.is_all_on_its_way else "what is not held"
    if finish and not finish.startswith("some"):
        finish = f"{what} {finish}"
    return {
        "audience": seen.figures.audience,
        "tiles": live_words.parts(seen.figures),
        "bar": live_words.bar(seen.figures),
        "waits": live_words.waits(seen.waits),
        "rate": live_words.rate(seen.rate),
        "finish": finish,
        "rows": [_row(row, seen.now) for row in seen.rows[:OPEN_ROWS]],
        "further_rows": [_row(row, seen.now) for row in seen.rows[OPEN_ROWS:MOST_ROWS]],
        "many_rows": len(seen.rows),
        "more_rows": max(len(seen.rows) - MOST_ROWS, 0),
        "brands": [_brand(one) for one in seen.brands[:MOST_BRANDS]],
        "more_brands": max(len(seen.brands) - MOST_BRANDS, 0),
        "ended": [_row(row, seen.now) for row in seen.ended[:MOST_ENDED]],
    }


def _row(row: Row, now: datetime) -> dict[str, Any]:
    campaign = row.slot.campaign
    return {
        "id": row.slot.pk,
        "campaign": campaign,
        "when": live_words.slot_time(row),
        "audience": row.figures.audience,
        "bar": live_words.bar(row.figures),
        "waits": [] if row.brake else live_words.waits(row.waits.most_common(3)),
        "rate": live_words.rate(row.rate),
        "finish": live_words.finish(row, now),
        "pill": live_words.pill(row, now),
        "brake": _brake(row),
    }


def _brake(row: Row) -> str:
    """What the button of the row does; none where it would change nothing."""
    if not row.may_brake or not row.is_open:
        return ""
    return "resume" if row.slot.campaign.paused_at else "pause"


def _brand(one: BrandSum) -> dict[str, Any]:
    return {
        "id": one.brand_id,
        "name": one.name,
        "slots": one.rows,
        "figures": one.figures,
        "tiles": live_words.parts(one.figures),
        "rate": live_words.rate(one.rate),
    }


def _account(part: live_health.AccountPart) -> dict[str, Any]:
    answers = part.answers
    return {
        "account": part.account,
        "pill": part.pill,
        "answers": [
            ("Accepted", answers["accepted"], "good"),
            ("Rejected", answers["rejected"], "bad"),
            ("Unknown", answers["unknown"], "warn"),
            ("Not sent", answers["not_sent"], "warn"),
            ("Awaited", answers["awaited"], ""),
        ],
        "rate": live_words.rate(part.rate),
        "numbers": len(part.numbers),
        "paused": part.paused,
    }


def _next(user: Visitor, seen: Board) -> dict[str, Any]:
    """What comes next; and where nothing moves nor comes, what is left to do for a first one."""
    coming = [
        {"campaign": row.slot.campaign, "when": live_words.slot_time(row), "at": _opens(row, seen)}
        for row in seen.coming[:MOST_COMING]
    ]
    coming += [
        {"campaign": slot.campaign, "when": f"{slot.local_date:%a %-d %b}, {slot.local_time:%H:%M}"}
        for slot in _later(user, seen.now)[: MOST_COMING - len(coming)]
    ]
    is_new = not (seen.rows or seen.ended or coming) and not _ever_started(user)
    return {"coming": coming, "steps": _steps(user) if is_new else []}


def _opens(row: Row, seen: Board) -> str:
    return live_words.clock_time(row.span.first, live_words.zone_of(row), seen.now)


def _later(user: Visitor, now: datetime) -> Sequence[Slot]:
    slots = Slot.objects.filter(
        state=Slot.State.OPEN, local_date__gt=(now + live.SOON).date()
    ).select_related("campaign__brand")
    slots = access.visible(slots, user, Ability.FIGURES, path="campaign__brand")
    slots = slots.filter(campaign__retired_at=None)
    return list(slots.order_by("local_date", "local_time", "id")[:MOST_COMING])


def _ever_started(user: Visitor) -> bool:
    rows = Campaign.objects.filter(started_at__isnull=False)
    return access.visible(rows, user, Ability.FIGURES, path="brand").exists()


def _steps(user: Visitor) -> list[tuple[str, str, bool]]:
    """The steps to a first campaign: a name for the template, the words, and whether it is done."""
    found = Ability.FIGURES
    brands = access.brands(user, found).exists()
    numbers = access.visible(RouteNumber.objects.all(), user, found, path="route__brand").exists()
    people = access.visible(ListEntry.objects.all(), user, found, path="lead_list__brand").exists()
    texts = TemplateVersion.objects.all()
    texts_exist = access.visible(texts, user, found, path="template__brand").exists()
    return [
        ("brand", "A brand: who speaks, at which hours", brands),
        ("numbers", "Numbers to send from, in a route of the brand", numbers),
        ("people", "People: a list of those who agreed to be texted", people),
        ("text", "A text; you may also write it with the campaign", texts_exist),
    ]


def _pretend_pages(user: Visitor, installation: Installation | None) -> dict[str, str]:
    """Where a sandbox's pretend phone and mailbox are, for those who may send."""
    if installation is None or not installation.is_sandbox:
        return {}
    if not access.may_anywhere(user, Ability.SEND):
        return {}
    mailbox = pretend.mailbox_page() if pretend.has_mail() else ""
    return {"phone_url": pretend.phone_page(), "mailbox_url": mailbox}
