"""Start: pins what each slot will say, by which route, at which price in segments, and opens it.

It plans nothing; the planner finds open slots by itself.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import TextField
from django.db.models.functions import Cast, Length

from brands import clock
from brands.models import Brand
from campaigns.models import Campaign, ListRoute, Slot, TemplateVersion
from campaigns.rendering import NAMES, PLACEHOLDER, BadTemplate, check_template, fill_in
from leads.models import Lead
from providers import segments
from providers.models import Route

SAMPLE_CODE = "abcdefgh"
FROM_LEAD = NAMES - {"brand", "link"}


class CannotStart(Exception):
    """A sentence that names the field and says what to do."""


def start(campaign: Campaign) -> int:
    """Open the campaign's draft slots; returns how many. Raises CannotStart."""
    version, route = _version_of(campaign), route_of(campaign)
    size = largest_segments(version.text, campaign)
    with transaction.atomic():
        slots = campaign.slots.filter(state=Slot.State.DRAFT).update(
            state=Slot.State.OPEN,
            template_version=version,
            route=route,
            list_rules=campaign.lead_list.rules,
            largest_segments=size,
        )
        if not slots:
            raise CannotStart("Slots: the campaign has no draft slot to start; add one.")
        Campaign.objects.filter(pk=campaign.pk, started_at__isnull=True).update(
            started_at=clock.now()
        )
    return slots


def _version_of(campaign: Campaign) -> TemplateVersion:
    version = campaign.template.latest()
    if version is None:
        raise CannotStart("Template: it has no text yet; add a version.")
    try:
        check_template(version.text)
    except BadTemplate as error:
        raise CannotStart(f"Template: {error}") from error
    if "{link" in version.text and not campaign.destination:
        raise CannotStart("Destination: the template has a {link}; say where it leads.")
    host = urlsplit(campaign.destination).hostname
    if host and host not in campaign.brand.link_hosts:
        raise CannotStart(f"Destination: {host} is not among the brand's link hosts; add it there.")
    return version


def route_of(campaign: Campaign) -> Route:
    """The list's route, else the campaign's, else the brand's default. Raises CannotStart."""
    of_list = ListRoute.objects.filter(lead_list=campaign.lead_list_id).select_related("route")
    route = next((item.route for item in of_list), campaign.route)
    if route is None:
        route = Route.objects.filter(
            brand=campaign.brand_id, is_default=True, channel="sms", retired_at__isnull=True
        ).first()
    if route is None:
        raise CannotStart(
            "Route: neither list, campaign nor brand has one; choose a default route."
        )
    if not route.numbers.filter(number__retired_at__isnull=True).exists():
        raise CannotStart(f"Route: {route.name} has no sender number; add one.")
    return route


def largest_segments(text: str, campaign: Campaign) -> int:
    """Segments of the text with the longest value of each name among the list's leads."""
    values: dict[str, str] = {}
    for name, fall_back in PLACEHOLDER.findall(text):
        longest = values[name] if name in values else _longest(name, campaign)
        values[name] = max(longest, fall_back, key=len)
    brand: Brand = campaign.brand
    values |= {"brand": brand.name, "link": f"https://{brand.short_domain}/{SAMPLE_CODE}"}
    filled = fill_in(text, {name: value or "-" for name, value in values.items()})
    if brand.opt_out_line not in filled:
        filled = f"{filled} {brand.opt_out_line}"
    return segments.count(filled).parts


def _longest(name: str, campaign: Campaign) -> str:
    if name not in FROM_LEAD:
        return ""
    leads = Lead.objects.filter(listentry__lead_list=campaign.lead_list_id)
    column = Cast(name, TextField())
    found = leads.order_by(Length(column).desc()).values_list(name, flat=True).first()
    return str(found or "")
