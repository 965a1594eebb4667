"""Start: pins what each slot will say, by which route, at which price in segments, and opens it.

It plans nothing; the planner finds open slots by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from brands import clock
from brands.models import Brand
from campaigns import sizing
from campaigns.models import Campaign, ListRoute, Slot, TemplateVersion
from campaigns.schedule import Moments, moments
from campaigns.setting_up import misfits, strangers, wrong_words
from compliance.hours import SendingHours
from compliance.models import Places
from leads.models import ListEntry
from providers.models import Channel, Route

CHANGED = "The campaign was changed meanwhile: look again."
Terms = dict[str, Any]  # as JSON keeps it, so that a page can sign it


class CannotStart(Exception):
    """A sentence that names the field and says what to do."""

    @property
    def field(self) -> str:
        return str(self).partition(":")[0]


def start(campaign: Campaign, seen: Terms | None = None) -> int:
    """Open the campaign's draft slots; returns how many.

    The campaign is read anew, and what is opened is what was checked. Raises CannotStart: where it
    is not on the terms that somebody has `seen`, too, or where they change while it starts.
    """
    fresh = _with_parts().get(pk=campaign.pk)
    found = terms(fresh)
    if seen is not None and seen != found:
        raise CannotStart(CHANGED)
    for refuse in CHECKS:
        refuse(fresh)
    # Going through a long list takes its time, and nobody must wait for a lock meanwhile.
    size = largest_segments(version_of(fresh).text, fresh)
    with transaction.atomic():
        _lock(campaign.pk, found)
        return _open(campaign.pk, found, size)


def _with_parts() -> QuerySet[Campaign]:
    return Campaign.objects.select_related("brand", "lead_list", "template", "route")


def _lock(campaign_id: int, found: Terms) -> None:
    """Keep the campaign and its slots as they are. Raises CannotStart if they were changed."""
    Campaign.objects.select_for_update(no_key=True).get(pk=campaign_id)
    locked = _with_parts().get(pk=campaign_id)  # a join in the locking query would miss a new list
    drafts = locked.slots.filter(state=Slot.State.DRAFT).order_by("pk")
    list(drafts.select_for_update(no_key=True))
    refuse_retired(locked)
    refuse_strangers(locked)
    refuse_misfits(locked)
    if terms(locked) != found:
        raise CannotStart(CHANGED)


def _open(campaign_id: int, found: Terms, size: int) -> int:
    slots = Slot.objects.filter(pk__in=[pk for pk, *_ in found["slots"]]).update(
        state=Slot.State.OPEN,
        template_version_id=found["text"],
        route_id=found["route"],
        list_rules=found["rules"],
        largest_segments=size,
    )
    Campaign.objects.filter(pk=campaign_id, started_at__isnull=True).update(started_at=clock.now())
    return slots


def terms(campaign: Campaign) -> Terms:
    """What a start now would settle, and what its figures hang on. Raises CannotStart."""
    drafts = campaign.slots.filter(state=Slot.State.DRAFT).order_by("local_date", "ordinal")
    return {
        "campaign": campaign.pk,
        "channel": campaign.channel,
        "list": campaign.lead_list_id,
        "rules": campaign.lead_list.rules,
        "text": version_of(campaign).pk,
        "opt_out_line": campaign.brand.opt_out_line,
        "destination": campaign.destination,
        "route": route_of(campaign).pk,
        "daily_cap": campaign.daily_cap,
        "repeats_words": campaign.repeats_words,
        "slots": [
            [slot.pk, f"{slot.local_date} {slot.local_time}", slot.length_minutes]
            for slot in drafts
        ],
    }


def blockers(campaign: Campaign) -> list[CannotStart]:
    """All that keeps the campaign from starting now, not only the first."""
    found = []
    for check in CHECKS:
        try:
            check(campaign)
        except CannotStart as error:
            found.append(error)
    return found


def refuse_retired(campaign: Campaign) -> None:
    """Raises CannotStart for a campaign that was put away, or whose brand, list or text was."""
    for name, part in (
        ("Campaign", campaign),
        ("Brand", campaign.brand),
        ("List", campaign.lead_list),
        ("Template", campaign.template),
    ):
        if part.retired_at is not None:
            raise CannotStart(f"{name}: {part} is retired; bring it back first.")


def refuse_strangers(campaign: Campaign) -> None:
    """Raises CannotStart for a list, a template or a route of another brand."""
    route = _route_wanted(campaign)
    parts = {"List": campaign.lead_list, "Template": campaign.template, "Route": route}
    for name, words in strangers(campaign.brand_id, **parts).items():
        raise CannotStart(f"{name}: {words}")


def refuse_misfits(campaign: Campaign) -> None:
    """Raises CannotStart for a template or a route of another channel."""
    for name, words in misfits(campaign.channel, campaign.template, campaign.route).items():
        raise CannotStart(f"{name.capitalize()}: {words}")


def refuse_without_slots(campaign: Campaign) -> None:
    """Raises CannotStart."""
    if not campaign.slots.filter(state=Slot.State.DRAFT).exists():
        raise CannotStart("Slots: the campaign has no draft slot to start; add one.")


def refuse_past_slots(campaign: Campaign) -> None:
    """Raises CannotStart for a draft slot that nobody on the list could be sent any more."""
    now, places = clock.now(), _zone_sets(campaign)
    drafts = campaign.slots.filter(state=Slot.State.DRAFT).order_by("local_date", "ordinal")
    for slot in drafts:
        if all(_ends_at(slot, campaign.brand, zones) <= now for zones in places):
            raise CannotStart(
                f"Slots: {slot.local_date:%-d %B %Y} at {slot.local_time:%H:%M} is over in every"
                " place of the list; give it a later time."
            )


def _zone_sets(campaign: Campaign) -> Collection[tuple[str, ...]]:
    """Where the people of the list may be; the brand's own zone for those of whom nobody knows."""
    entries = ListEntry.objects.filter(lead_list=campaign.lead_list_id)
    places = Places.objects.filter(Exists(entries.filter(places=OuterRef("pk"))))
    sets = {tuple(zones) for zones in places.values_list("zones", flat=True)}
    if not sets or entries.filter(places__isnull=True).exists():
        sets.add((campaign.brand.zone,))
    return sets


def _ends_at(slot: Slot, brand: Brand, zones: tuple[str, ...]) -> datetime:
    """When (UTC) the slot is over for people in these zones, as the planner reckons it."""
    hours = SendingHours(brand.opens, brand.closes, brand.sunday_opens)
    on, at = slot.local_date, slot.local_time
    found = moments(on, at, zones=zones, window=slot.length, hours=hours)
    if not isinstance(found, Moments):  # refused there, within the slot's time in the brand's zone
        found = moments(on, at, zones=[brand.zone], window=slot.length)
    assert isinstance(found, Moments)  # noqa: S101 - a brand's zone is checked by its form
    return found.expires_at


def version_of(campaign: Campaign) -> TemplateVersion:
    """The text that a start now would pin. Raises CannotStart."""
    version = campaign.template.latest()
    if version is None:
        raise CannotStart("Template: it has no text yet; add a version.")
    for words in wrong_words(campaign.channel, version.mail).values():
        raise CannotStart(f"Template: {words}")
    if "{link" in version.text + version.html and not campaign.destination:
        raise CannotStart("Destination: the template has a {link}; say where it leads.")
    host = urlsplit(campaign.destination).hostname
    if host and host not in campaign.brand.link_hosts:
        raise CannotStart(f"Destination: {host} is not among the brand's link hosts; add it there.")
    return version


def route_of(campaign: Campaign) -> Route:
    """The list's route, else the campaign's, else the brand's default. Raises CannotStart."""
    route = _route_wanted(campaign)
    if route is None:
        route = Route.objects.filter(
            brand=campaign.brand_id,
            is_default=True,
            channel=campaign.channel,
            retired_at__isnull=True,
        ).first()
    if route is None:
        of_mail = " of e-mail" if campaign.channel == Channel.EMAIL else ""
        raise CannotStart(
            f"Route: neither list, campaign nor brand has one{of_mail}; choose a default route."
        )
    if route.retired_at is not None:
        raise CannotStart(f"Route: {route.name} is retired; choose another.")
    in_use = {"number__retired_at": None, "number__account__retired_at": None}
    numbers = [one.number for one in route.numbers.filter(**in_use).select_related("number")]
    if not numbers:
        raise CannotStart(f"Route: {route.name} has no sender number; add one.")
    if stray := next((number for number in numbers if not route.carries(number)), None):
        raise CannotStart(f"Route: {stray} on {route.name} is of another channel; take it off.")
    return route


def _route_wanted(campaign: Campaign) -> Route | None:
    """The one that was chosen for the list, if it is of the channel, or for the campaign."""
    of_list = ListRoute.objects.filter(
        lead_list=campaign.lead_list_id, route__channel=campaign.channel
    )
    return next((item.route for item in of_list.select_related("route")), campaign.route)


def largest_segments(text: str, campaign: Campaign) -> int:
    """Segments of the text with the longest value of each name among the list's leads.

    An e-mail has no segments; it counts as one.
    """
    if campaign.channel == Channel.EMAIL:
        return 1
    longest = sizing.longest_values(campaign.lead_list_id, text)
    return sizing.largest(text, campaign.brand, longest)


# In the order in which a page names what stands in the way.
CHECKS: tuple[Callable[[Campaign], object], ...] = (
    refuse_retired,
    refuse_strangers,
    refuse_misfits,
    version_of,
    route_of,
    refuse_without_slots,
    refuse_past_slots,
)
