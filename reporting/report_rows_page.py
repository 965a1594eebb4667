"""The page behind a figure of the report: what was asked in words, and its rows page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_safe

from brands import access, clock, pages
from brands.access import Ability, Visitor
from campaigns.models import Campaign
from delivery.models import Attempt, Inbound, Message
from delivery.rows import OF_ADDRESS, address_of
from delivery.states import Reason, Status
from reporting import report, report_rows
from reporting.report import NOBODY, PARTS, Group, Scope, TooSlow, What
from reporting.report_form import Asked, read
from reporting.report_look import NO_PROVIDER, TITLES, day_label, moment_label, reason_label
from reporting.report_rows import COUNT_TO, PAGE, Place, Wanted

SECONDS = 8.0
NO_REASON = "-"  # in an address: the reason is empty
PILLS = {
    What.DELIVERED: "so-good",
    What.FAILED: "so-bad",
    What.UNKNOWN: "so-warn",
    What.AWAITING: "so-info",
}


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as its row shows it. `when` is the last thing known of it, in the brand's zone."""

    message: Message
    to: str
    account: str
    pill: str
    reason: str
    when: str


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text that came in; what it says is for those who may read people's texts."""

    inbound: Inbound
    sender: str
    account: str
    may_read: bool
    when: str


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A slot with people who were left out before planning."""

    slot_id: int
    day: str
    brand: str
    campaign_id: int
    campaign: str
    reasons: list[tuple[str, int]]
    many: int


@pages.staff_page(Ability.ROWS)
@require_safe
def report_rows_page(request: HttpRequest) -> HttpResponse:
    asked = read(request.GET, request.user, Ability.ROWS, clock.now())
    if asked.scope is None:  # the report's own form says what is wrong
        return HttpResponseRedirect(f"{reverse('report')}?{request.GET.urlencode()}")
    wanted = _wanted(request.GET, asked.scope)
    context: dict[str, Any] = {
        "asked": asked,
        "what": wanted.what.value,
        "words": _words(asked, wanted),
        "back": f"{reverse('report')}?{asked.address()}",
    }
    try:
        with report.at_most(SECONDS):
            context |= _listed(request, asked, wanted)
    except TooSlow:
        context["is_too_slow"] = True
    title = f"Report: {TITLES[wanted.what][0].lower()}"
    return pages.show(request, "reporting/report_rows.html", title=title, **context)


def _wanted(params: QueryDict, scope: Scope) -> Wanted:
    """Raises Http404 for a column, status or reason that there is not."""
    what, status, reason = params.get("what"), params.get("status"), params.get("reason")
    if what not in list(What) or status not in (None, *Status.values):
        raise Http404("There is no such figure.")
    if reason not in (None, NO_REASON, *Reason.values):
        raise Http404("There is no such reason.")
    return Wanted(
        scope=scope,
        what=What(what),
        status=status,
        reason="" if reason == NO_REASON else reason,
    )


def _place(params: QueryDict) -> Place:
    """Where the page begins; a place that is none is the beginning."""
    slot_or_id, _, lead = params.get("after", "").partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in (slot_or_id, lead)):
        return Place()
    return Place(int(slot_or_id), int(lead))


def _listed(request: HttpRequest, asked: Asked, wanted: Wanted) -> dict[str, Any]:
    place = _place(request.GET)
    figure = _figure(wanted)
    context: dict[str, Any] = {"is_first": place == Place(), "beginning": _beginning(request.GET)}
    if wanted.what == What.SUPPRESSED:
        found = report_rows.left_out(wanted, place, PAGE + 1)
        rows: Sequence[Any] = _slot_rows(asked, found[:PAGE])
        after = Place(found[PAGE - 1].slot_id) if len(found) > PAGE else None
        context |= {
            "slots": rows,
            "count": f"{figure:,}",
            "noun": "people, who have no rows; their slots",
        }
    else:
        listed = report_rows.stops if wanted.what == What.STOPS else report_rows.messages
        ids = listed(wanted, place, PAGE + 1)
        after = ids[PAGE - 1][1] if len(ids) > PAGE else None
        shown = [row_id for row_id, _ in ids[:PAGE]]
        many = report_rows.count(wanted)
        context |= _told(wanted, many, figure)
        if wanted.what == What.STOPS:
            context["texts"] = _text_rows(request.user, shown)
        else:
            context["messages_shown"] = _message_rows(request.user, shown)
    if after is not None:
        context["next"] = _next(request.GET, after)
    return context


def _told(wanted: Wanted, many: int, figure: int) -> dict[str, str]:
    """How many rows there are, and a word where the report, counted before, says otherwise."""
    is_text = wanted.what == What.STOPS
    told = {
        "count": f"{COUNT_TO:,}+" if many > COUNT_TO else f"{many:,}",
        "noun": ("text" if is_text else "message") + ("" if many == 1 else "s"),
    }
    if many > COUNT_TO:
        told["says"] = f"The report says {figure:,}."
    elif many != figure:
        told["says"] = f"The report says {figure:,}: it was counted before, and they have changed."
    return told


def _beginning(params: QueryDict) -> str:
    changed = params.copy()
    changed.pop("after", None)
    return f"?{changed.urlencode()}"


def _next(params: QueryDict, after: Place) -> str:
    changed = params.copy()
    changed["after"] = f"{after.slot_or_id}.{after.lead_id}"
    return f"?{changed.urlencode()}"


def _figure(wanted: Wanted) -> int:
    """What the report shows for these rows."""
    if wanted.what == What.SUPPRESSED and wanted.reason is not None:
        return report.suppressed(wanted.scope).get(wanted.reason, 0)
    if wanted.status is None and wanted.reason is None:
        return report.table(wanted.scope, Group.BRAND, limit=0).total.of(wanted.what)
    return sum(
        many
        for (reason, status), many in report.refused(wanted.scope).items()
        if wanted.status in (None, status) and wanted.reason in (None, reason)
    )


def _words(asked: Asked, wanted: Wanted) -> list[str]:
    """What the rows have in common."""
    scope = wanted.scope
    words = [day_label(scope.first)]
    if scope.last != scope.first:
        words = [f"{day_label(scope.first)} to {day_label(scope.last)}"]
    words.append(", ".join(asked.brands[pk].name for pk in asked.chosen) or "All your brands")
    if asked.campaign:
        words.append(asked.campaign.name)
    if scope.account_id is not None:
        words.append({NOBODY: NO_PROVIDER, **asked.accounts}[scope.account_id])
    if wanted.status:
        words.append(str(Status(wanted.status).label))
    if wanted.reason is not None:
        words.append(reason_label(wanted.reason))
    return words


def _message_rows(user: Visitor, ids: Sequence[int]) -> list[MessageRow]:
    """In the order of the ids; a fixed number of statements."""
    parents = ("brand", "slot", *OF_ADDRESS)
    found = Message.objects.select_related(*parents).in_bulk(list(ids))
    live = Attempt.objects.filter(message_id__in=ids, is_not_sent=False).select_related("account")
    attempts = {attempt.message_id: attempt for attempt in live.defer("text")}
    return [_message_row(user, found[pk], attempts.get(pk)) for pk in ids if pk in found]


def _message_row(user: Visitor, message: Message, attempt: Attempt | None) -> MessageRow:
    part = next(part for part, statuses in PARTS.items() if message.status in statuses)
    when = message.created_at
    if attempt is not None:
        when = attempt.reported_at or attempt.answered_at or attempt.intent_at
    return MessageRow(
        message=message,
        to=access.shown(user, address_of(message), message.brand_id),
        account=attempt.account.name if attempt else "",
        pill=PILLS.get(part, ""),
        reason=reason_label(message.reason) if message.reason else "",
        when=moment_label(when, ZoneInfo(message.brand.zone)),
    )


def _text_rows(user: Visitor, ids: Sequence[int]) -> list[TextRow]:
    found = Inbound.objects.select_related("brand", "account").defer("raw").in_bulk(list(ids))
    return [_text_row(user, found[pk]) for pk in ids if pk in found]


def _text_row(user: Visitor, inbound: Inbound) -> TextRow:
    assert inbound.brand is not None  # noqa: S101 - they are listed by their brand
    return TextRow(
        inbound=inbound,
        sender=access.shown(user, inbound.from_value, inbound.brand_id),
        account=inbound.account.name,
        may_read=access.may(user, Ability.PEOPLE, inbound.brand_id),
        when=moment_label(inbound.received_at, ZoneInfo(inbound.brand.zone)),
    )


def _slot_rows(asked: Asked, found: Sequence[report_rows.LeftOut]) -> list[SlotRow]:
    ids = {slot.campaign_id for slot in found}
    names = dict(Campaign.objects.filter(pk__in=ids).values_list("pk", "name"))
    return [
        SlotRow(
            slot_id=slot.slot_id,
            day=day_label(slot.local_date),
            brand=asked.brands[slot.brand_id].name,
            campaign_id=slot.campaign_id,
            campaign=names[slot.campaign_id],
            reasons=[(reason_label(reason), many) for reason, many in slot.suppressed.items()],
            many=sum(slot.suppressed.values()),
        )
        for slot in found
    ]
