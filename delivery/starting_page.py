"""The page "Start": what a campaign would come to, and the button that starts it.

A start binds to what its page showed: the figures travel signed with the form, and where they are
no longer true, it is asked again. Pressing twice starts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods

from brands import access, clock, pages
from brands.access import Ability
from campaigns import starting
from campaigns.models import Campaign, Slot
from campaigns.starting import CannotStart
from delivery import starting_words as words
from delivery.forecast import Forecast, TooLong, forecast
from providers.models import Channel

ASKS_ABOVE = 10_000  # people; the number is typed then
GROWN_BY, GROWN_PEOPLE = 1.05, 100
VALID_SECONDS = 15 * 60
SALT = "start-campaign"


@dataclass(frozen=True, slots=True)
class Look:
    """What may be started now. `people` is None where the list was too long to be gone through."""

    campaign: Campaign
    blockers: Sequence[CannotStart] = ()
    terms: starting.Terms = field(default_factory=dict)
    told: Forecast | None = None

    @property
    def people(self) -> int | None:
        return self.told.people if self.told else None

    def seen(self) -> dict[str, Any]:
        """What a start binds to."""
        return {"people": self.people, "terms": self.terms}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the form said, and what is wrong with it."""

    typed: str = ""
    problem: str = ""
    errors: Sequence[str] = field(default_factory=tuple)


@require_http_methods(["GET", "HEAD", "POST"])
@pages.staff_page(Ability.SEND)
def start_page(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The forecast; a POST starts, or says why not and keeps what was typed."""
    campaign = _campaign(request, campaign_id)
    if campaign.started_at and not _has_drafts(campaign):
        return _started_already(request, campaign)
    look = _look(campaign)
    if request.method == "POST":
        return _start(request, look)
    return _page(request, look)


def _campaign(request: HttpRequest, campaign_id: int) -> Campaign:
    """404 for a campaign the user cannot see, 403 for one they may only look at."""
    campaigns = Campaign.objects.select_related("brand", "lead_list", "template", "route")
    seen = access.visible(campaigns, request.user, Ability.ROWS, path="brand")
    campaign = get_object_or_404(seen, pk=campaign_id)
    if not access.may(request.user, Ability.SEND, campaign.brand_id):
        raise PermissionDenied
    return campaign


def _has_drafts(campaign: Campaign) -> bool:
    return campaign.slots.filter(state=Slot.State.DRAFT).exists()


def _look(campaign: Campaign) -> Look:
    """The terms before the figures: what changes while those are made was not seen."""
    blockers, terms, told = starting.blockers(campaign), {}, None
    try:
        terms = starting.terms(campaign)
        told = forecast(campaign) if terms["slots"] else None
    except TooLong:
        pass
    except CannotStart as error:
        blockers = blockers or [error]
    return Look(campaign, blockers, terms, told)


def _start(request: HttpRequest, look: Look) -> HttpResponse:
    campaign, typed = look.campaign, request.POST.get("typed", "")
    if look.blockers:
        return _page(request, look, Answer(typed))
    problem = _problem(look, _read(request.POST.get("seen", "")), typed)
    if problem:
        return _page(request, look, Answer(typed, problem))
    try:
        slots = starting.start(campaign, look.terms)
    except CannotStart as error:
        if not _has_drafts(campaign):
            return _started_already(request, campaign)
        look = _look(_campaign(request, campaign.pk))  # it is not what it was
        return _page(request, look, Answer(typed, str(error)))
    said = f"Started: {slots} slots." if slots > 1 else "Started."
    LogEntry.objects.log_actions(request.user.pk or 0, [campaign], CHANGE, said)
    messages.success(request, _success(look))
    return redirect("admin:index")


def _read(seen: str) -> dict[str, Any] | None:
    try:
        found = signing.loads(seen, salt=SALT, max_age=VALID_SECONDS)
    except signing.BadSignature:
        return None
    return found if isinstance(found, dict) else None


def _problem(look: Look, seen: dict[str, Any] | None, typed: str) -> str:
    """Why what was seen does not start what there is now; empty where it does."""
    if seen is None:
        return "You saw these figures more than 15 minutes ago. Look at them again, then start."
    if seen.get("terms") != look.terms:
        return "The campaign has changed since you looked at it. Look at it again, then start."
    if look.people is None or seen["people"] is None:
        return _wrong_name(look.campaign.lead_list.name, typed)
    if _has_grown(seen["people"], look.people):
        return (
            f"There are more people than you saw: {look.people:,} now, {seen['people']:,} then."
            " Look at the figures again, then start."
        )
    return _wrong_number(seen["people"], typed)


def _has_grown(before: int, now: int) -> bool:
    return now - before >= GROWN_PEOPLE and now > before * GROWN_BY


def _wrong_number(people: int, typed: str) -> str:
    if people <= ASKS_ABOVE or _digits(typed) == str(people):
        return ""
    if not typed.strip():
        return f"Type {people:,} here to start."
    return f"That is not the number of people. Type {people:,} to start."


def _digits(typed: str) -> str:
    """A number as people write it: blanks and commas between the digits do not matter."""
    return "".join(char for char in typed if char != "," and not char.isspace())


def _wrong_name(name: str, typed: str) -> str:
    if typed.strip() == name.strip():
        return ""
    return f"Type the name of the list, {name}, to start though nobody could count it."


def _success(look: Look) -> str:
    if look.told is None:
        return "Started."
    first = look.told.first_at
    if first is None:
        return "Started, but as things are no message will leave: look at the campaign."
    if first <= clock.now():
        return "Started: first messages leave within a minute."
    return f"Started: first messages leave at {words.moment(first, look.campaign.brand.zone)}."


def _started_already(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    if request.method == "POST":
        messages.info(request, f"{campaign} was started already; nothing was started twice.")
        return redirect("admin:index")
    since = words.moment(campaign.started_at, campaign.brand.zone)
    slots = campaign.slots.order_by("local_date", "ordinal")
    context: dict[str, Any] = {"campaign": campaign, "since": since, "slots": slots}
    return pages.show(request, "delivery/started.html", title="Started", **context)


def _page(request: HttpRequest, look: Look, answer: Answer | None = None) -> HttpResponse:
    campaign, told = look.campaign, look.told
    zone, now = campaign.brand.zone, clock.now()
    version = campaign.template.latest()
    route = _route(campaign)
    context: dict[str, Any] = {
        "campaign": campaign,
        "is_mail": campaign.channel == Channel.EMAIL,
        "answer": answer or Answer(),
        "since": words.moment(campaign.started_at, zone),
        "blockers": words.blockers(look.blockers, campaign),
        "warnings": words.warnings(campaign, route, now),
        "route": route,
        "numbers": words.numbers_of(route) if route else [],
        "version": version,
        "told": told,
        "asks_above": ASKS_ABOVE,
    }
    if told:
        context |= _figures(told, zone)
    if version and "Template" not in {blocker.field for blocker in look.blockers}:
        if campaign.channel == Channel.EMAIL:
            context["mail"] = words.largest_mail(version.mail, campaign)
        else:
            context["largest"] = words.largest_text(version.text, campaign)
    if not look.blockers:
        context["seen"] = signing.dumps(look.seen(), salt=SALT)
    return pages.show(request, "delivery/start.html", title=f"Start {campaign}", **context)


def _figures(told: Forecast, zone: str) -> dict[str, Any]:
    return {
        "people": words.number(told.people),
        "asks": told.people > ASKS_ABOVE,
        "leaving": words.number(told.leaving),
        "costs": words.costs(told),
        "first": words.moment(told.first_at, zone),
        "last": words.moment(told.last_at, zone),
        "slot_rows": words.slot_rows(told, zone),
        "table": words.table(told),
        "left_out": words.left_out(told),
        "ahead": words.number(told.ahead) if told.ahead else "",
        "caps": words.caps(told),
    }


def _route(campaign: Campaign) -> Any:
    try:
        return starting.route_of(campaign)
    except CannotStart:
        return None
