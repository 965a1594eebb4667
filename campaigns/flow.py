"""The pages on which a campaign is set up: one form, its parts by brand, and its text as it reads.

What may be set up is decided in `campaigns/setting_up.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from brands import access, clock, pages
from brands.access import Ability
from brands.models import Brand
from campaigns import flow_form
from campaigns.flow_changes import changed, channel_of, chosen
from campaigns.flow_form import FlowForm, Slots
from campaigns.models import Campaign, ListRoute, Template
from campaigns.preview import preview, preview_mail
from campaigns.rendering import Mail, mail_troubles, trouble
from campaigns.setting_up import faults, set_up, tomorrow
from campaigns.speed import segments_per_second
from leads.models import LeadList, ListEntry
from providers.models import Channel, Route

COUNTED = 10_000  # people of a list; beyond that it is "more than"


@require_http_methods(["GET", "POST"])
@pages.staff_page(Ability.SEND)
def new_campaign(request: HttpRequest) -> HttpResponse:
    brands = brands_of(request)
    brand = chosen(brands, request.POST.get("brand") or request.GET.get("brand")) or brands.first()
    if brand is None:
        return pages.show(request, "campaigns/no_brand.html", title="New campaign")
    if request.method != "POST":
        form, slots = _fresh(request, brands, brand)
        return _show(request, form, slots, brand)
    form, slots = _typed(request.POST, brands, brand)
    if campaign := _saved(form, slots):
        return redirect("start-campaign", campaign.pk)
    return _show(request, form, slots, brand, tells=True)


def _saved(form: FlowForm, slots: Slots) -> Campaign | None:
    """None if something is wrong; then all of it is said beside the fields."""
    is_readable = form.is_valid() & slots.is_valid()
    draft = flow_form.draft_of(form, slots)
    if draft is None or not is_readable:
        flow_form.tell(form, slots, faults(draft, clock.now()) if draft else {})
        return None
    try:
        return set_up(draft)
    except ValidationError as error:
        flow_form.tell(form, slots, error.error_dict)
        return None


@require_POST
@pages.staff_page(Ability.SEND)
def campaign_parts(request: HttpRequest) -> HttpResponse:
    """The form again for another brand, list or text, or with a time more or less; all is kept."""
    brands = brands_of(request)
    brand = chosen(brands, request.POST.get("brand"))
    if brand is None:
        raise Http404("There is no such brand.")
    form, slots = _typed(changed(request.POST, brands, brand), brands, brand)
    return render(request, "campaigns/_parts.html", _context(request, form, slots, brand))


@require_POST
@pages.staff_page(Ability.SEND)
def campaign_text(request: HttpRequest) -> HttpResponse:
    """What the text costs and how it reads, while it is typed."""
    brand, data = chosen(brands_of(request), request.POST.get("brand")), request.POST
    words = Mail(data.get("subject", ""), data.get("text", ""), data.get("html", ""))
    seen = seen_words(request, brand, data.get("lead_list"), channel_of(data.get("channel")), words)
    return render(request, "campaigns/_text.html", seen)


def brands_of(request: HttpRequest) -> QuerySet[Brand]:
    return access.brands(request.user, Ability.SEND).filter(retired_at=None)


def seen_words(
    request: HttpRequest, brand: Brand | None, list_id: object, channel: Channel, words: Mail
) -> dict[str, Any]:
    """For the templates: the preview of a text or an e-mail, or why there is none."""
    if channel == Channel.EMAIL:
        return seen_mail(request, brand, list_id, words)
    return seen_text(request, brand, list_id, words.text)


def seen_mail(
    request: HttpRequest, brand: Brand | None, list_id: object, words: Mail
) -> dict[str, Any]:
    longest = flow_form.LONGEST_MAIL
    mail = Mail(*(part.replace("\r\n", "\n").replace("\0", "")[:longest] for part in words))
    seen: dict[str, Any] = {"is_mail": True, "mail_preview": None, "troubles": []}
    if brand is None or not any(part.strip() for part in mail):
        return {**seen, "brand_is_missing": brand is None}
    if wrong := mail_troubles(mail):
        said = {"subject": "Subject", "text": "Plain text", "html": "HTML"}
        return {**seen, "troubles": [f"{said[part]}: {why}" for part, why in wrong.items()]}
    people = access.may(request.user, Ability.PEOPLE, brand.pk)
    lead_list = chosen(LeadList.objects.filter(brand=brand), list_id)
    return {**seen, "mail_preview": preview_mail(mail, brand, lead_list, with_people=people)}


def seen_text(
    request: HttpRequest, brand: Brand | None, list_id: object, text: str
) -> dict[str, Any]:
    """For the templates: the preview, or why there is none."""
    text = text.replace("\r\n", "\n").replace("\0", "").strip()[: flow_form.LONGEST_TEXT + 1]
    if brand is None or not text:
        return {"brand_is_missing": brand is None, "preview": None, "trouble": ""}
    if wrong := trouble(text):
        return {"preview": None, "trouble": wrong}
    lists = LeadList.objects.filter(brand=brand)
    with_people = access.may(request.user, Ability.PEOPLE, brand.pk)
    seen = preview(text, brand, chosen(lists, list_id), with_people=with_people)
    return {"preview": seen, "trouble": "", "preview_brand": brand}


def _fresh(request: HttpRequest, brands: QuerySet[Brand], brand: Brand) -> tuple[FlowForm, Slots]:
    now = clock.now()
    initial = flow_form.defaults(brand, now)
    channel = channel_of(request.GET.get("channel"))
    initial["channel"] = channel.value
    if listed := chosen(LeadList.objects.filter(brand=brand), request.GET.get("list")):
        initial["lead_list"] = listed.pk
    first = flow_form.slot_defaults(brand, tomorrow(brand, now))
    slots = flow_form.slots_form(initial=[first])
    return FlowForm(brands=brands, brand=brand, channel=channel, initial=initial), slots


def _typed(data: QueryDict, brands: QuerySet[Brand], brand: Brand) -> tuple[FlowForm, Slots]:
    channel = channel_of(data.get("channel"))
    data = data.copy()
    data["channel"] = data.get("channel") or channel.value
    form = FlowForm(data, brands=brands, brand=brand, channel=channel)
    return form, flow_form.slots_form(data)


def _show(
    request: HttpRequest, form: FlowForm, slots: Slots, brand: Brand, *, tells: bool = False
) -> HttpResponse:
    context = _context(request, form, slots, brand, tells=tells)
    return pages.show(request, "campaigns/new.html", title="New campaign", **context)


def _context(
    request: HttpRequest, form: FlowForm, slots: Slots, brand: Brand, *, tells: bool = False
) -> dict[str, Any]:
    """What the parts of the form show, for one brand; a fixed number of queries."""
    channel = channel_of(form["channel"].value())
    templates = Template.objects.filter(brand=brand, channel=channel)
    saved = chosen(templates, form["template"].value())
    latest = saved.latest() if saved else None
    words = latest.mail if latest else Mail("", "")
    if saved is None:
        words = Mail(*(form[part].value() or "" for part in Mail._fields))
    lead_list = chosen(LeadList.objects.filter(brand=brand), form["lead_list"].value())
    return {
        "form": form,
        "slots": slots,
        "brand": brand,
        "tells": tells,
        "saved": saved,
        "latest": latest,
        "lead_list": lead_list,
        "list_size": _size(lead_list),
        "counted": COUNTED,
        "has_several_brands": brands_of(request).count() > 1,
        "may_manage": access.may(request.user, Ability.MANAGE, brand.pk),
        "routes": _routes(brand, lead_list, channel),
        "channel": channel,
        "is_mail": channel == Channel.EMAIL,
        **seen_words(request, brand, lead_list.pk if lead_list else None, channel, words),
    }


def _size(lead_list: LeadList | None) -> int | None:
    """How many people are on it, counted up to a bound."""
    if lead_list is None:
        return None
    return ListEntry.objects.filter(lead_list=lead_list)[: COUNTED + 1].count()


def _routes(brand: Brand, lead_list: LeadList | None, channel: Channel) -> Mapping[str, Any]:
    """The routes of the channel with their speed, and the one that goes before them all."""
    rows = Route.objects.filter(brand=brand, retired_at=None, channel=channel)
    routes = list(rows.order_by("-is_default", "name"))
    of_list = ListRoute.objects.filter(lead_list=lead_list, route__channel=channel)
    first = of_list.select_related("route").first()
    speeds = segments_per_second(brand, [route.pk for route in routes], now=clock.now())
    return {
        "all": [(route, speeds[route.pk]) for route in routes],
        "default": next((route for route in routes if route.is_default), None),
        "of_list": first.route if first else None,
    }
