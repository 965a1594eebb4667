"""Templates and campaigns. What was said once is never changed, and an open slot is settled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.dateformat import format as in_words
from django.utils.dateparse import parse_date, parse_time

from brands import clock
from brands.access import Ability
from brands.admin import (
    AddOnly,
    BrandFilter,
    NeverDeleted,
    PausedFilter,
    RetiredFilter,
    Rows,
    bring_back,
    change_rows,
    pause,
    retire,
    retire_and_pause,
)
from brands.braking import Braked
from brands.models import Brand
from brands.paging import Inline, Page
from campaigns.models import Campaign, ListRoute, Slot, Template, TemplateVersion
from campaigns.setting_up import copy, misfits, strangers
from campaigns.template_form import TemplateForm
from campaigns.versions import add_version
from campaigns.words import SLOT_STATES, left_out, state_of, state_pill
from providers.models import Channel

NEWEST_VERSION = "The words in use"


class Late(Exception):
    """Somebody has started what a form would change."""


class UntilStart(Page):
    """A page of what a Start settles: one that comes while the page is saved goes first.

    `settled` are the columns that a Start settles, `before_start` is true of a row until then.
    """

    settled: tuple[str, ...] = ()
    before_start = Q()

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, *args, **kwargs)
        except Late:  # outside its transaction, so that nothing of the form is saved
            words = "It was started while you changed it, and nothing was saved. Look at it again."
            messages.error(request, words)
            return redirect(request.path)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change and self.changed_columns(form).intersection(self.settled):
            rows = self.model._default_manager.select_for_update(no_key=True)
            if not rows.filter(self.before_start, pk=obj.pk):
                raise Late
        super().save_model(request, obj, form, change)


@admin.register(Template)
class TemplateAdmin(NeverDeleted, Page):
    brand_path = "brand"
    form = TemplateForm
    list_display = ("name", "brand", "channel", "says", "in_use")
    list_filter = (RetiredFilter, "channel", BrandFilter)
    search_fields = ("name",)
    list_select_related = ("brand",)
    ordering = ("name",)
    actions = (retire, bring_back)
    # A stored template's channel is no field any more: then only its own words are on the page.
    conditional_fields = dict.fromkeys(
        ("subject", "html"), f"typeof channel === 'undefined' || channel == '{Channel.EMAIL}'"
    )

    def get_fieldsets(self, request: HttpRequest, obj: Template | None = None) -> Any:
        has_mail = obj is None or obj.channel == Channel.EMAIL
        words = ("subject", "text", "html") if has_mail else ("text",)
        return (
            (None, {"fields": ("brand", "channel", "name", "in_use")}),
            (NEWEST_VERSION, {"fields": words}),
        )

    def get_queryset(self, request: HttpRequest) -> Rows:
        newest = TemplateVersion.objects.filter(template=OuterRef("pk")).order_by("-number")
        rows: Rows = super().get_queryset(request)
        rows = rows.annotate(
            newest_subject=Subquery(newest.values("subject")[:1]),
            newest_text=Subquery(newest.values("text")[:1]),
        )
        return rows

    def get_readonly_fields(
        self, request: HttpRequest, obj: Template | None = None
    ) -> tuple[str, ...]:
        return (*(("brand", "channel") if obj else ()), "in_use")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        add_version(obj, **form.words()._asdict())

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        template = context.get("original")
        if template is not None:
            context["versions"] = template.versions.order_by("-number")
            context["has_mail"] = template.channel == Channel.EMAIL
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="What it says")
    def says(self, template: Any) -> str:
        text = " ".join((template.newest_subject or template.newest_text or "").split())
        return f"{text[:77]}…" if len(text) > 80 else text or "-"

    @admin.display(description="State", ordering="retired_at")
    def in_use(self, template: Template) -> str:
        return state_pill("Retired") if template.retired_at else state_pill("In use", "good")


class OneBrand(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    """The rules of `setting_up.strangers` and `misfits`, beside the fields."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        owner = cleaned.get("brand") or cleaned.get("lead_list") or self.instance
        brand_id = owner.pk if isinstance(owner, Brand) else getattr(owner, "brand_id", None)
        parts = {name: cleaned.get(name) for name in ("lead_list", "template", "route")}
        for name, words in (strangers(brand_id, **parts) if brand_id else {}).items():
            self.add_error(name, words)
        if channel := cleaned.get("channel") or getattr(self.instance, "channel", None):
            for name, words in misfits(channel, parts["template"], parts["route"]).items():
                self.add_error(name, words)
        return cleaned


class SlotInline(AddOnly, Inline):
    model = Slot
    fields = ("local_date", "ordinal", "local_time", "length_minutes", "state_read")
    readonly_fields = ("state_read",)
    ordering = ("-local_date", "-ordinal")
    show_change_link = True
    verbose_name = "time to send at"
    verbose_name_plural = "times to send at"

    @admin.display(description="State")
    def state_read(self, slot: Slot) -> str:
        return state_pill(*SLOT_STATES[Slot.State(slot.state)])


@admin.action(permissions=["change"], description="Resume sending")
def resume(page: Any, request: HttpRequest, rows: Rows) -> None:
    stamps = {"paused_at": None, "pause_reason": ""}
    change_rows(page, request, rows.exclude(paused_at=None), "resumed", **stamps)


@admin.register(Campaign)
class CampaignAdmin(NeverDeleted, UntilStart, Braked):
    brand_path = "brand"
    settled = ("brand", "channel", "lead_list", "destination")
    before_start = Q(started_at=None)
    form = OneBrand
    change_form_outer_before_template = "campaigns/_campaign_top.html"
    show_add_link = False  # the flow is the way to a new one
    list_display = (
        "name",
        "brand",
        "channel",
        "state_read",
        "lead_list",
        "next_slot",
        "started_read",
    )
    list_filter = (PausedFilter, RetiredFilter, "channel", BrandFilter)
    search_fields = ("name",)
    list_select_related = ("brand", "lead_list")
    ordering = ("-id",)
    autocomplete_fields = ("brand", "lead_list", "template", "route")
    fieldsets = (
        (None, {"fields": ("brand", "name", "state_read", "started_read")}),
        (
            "What to say, to whom",
            {
                "fields": ("channel", "lead_list", "template", "destination", "route"),
                "description": "Times that are started keep the words and the route they had"
                " then; a change here is for those that are started later.",
            },
        ),
        (
            "How much, how soon",
            {
                "fields": ("daily_cap", "priority", "repeats_words"),
                "description": "All of this may stay as it is.",
            },
        ),
    )
    inlines = (SlotInline,)
    actions = (pause, resume, retire_and_pause, bring_back)

    def get_queryset(self, request: HttpRequest) -> Rows:
        slots = Slot.objects.filter(campaign=OuterRef("pk"))
        waiting = slots.exclude(state=Slot.State.CLOSED).order_by("local_date", "ordinal")
        first = JSONObject(on=F("local_date"), at=F("local_time"), state=F("state"))
        rows: Rows = super().get_queryset(request)
        rows = rows.annotate(
            has_open=Exists(slots.filter(state=Slot.State.OPEN)),
            first_waiting=Subquery(waiting.values(slot=first)[:1]),
        )
        return rows

    def get_readonly_fields(
        self, request: HttpRequest, obj: Campaign | None = None
    ) -> tuple[str, ...]:
        shown = ("state_read", "started_read")
        started = obj is not None and obj.started_at is not None
        return (*shown, *self.settled) if started else shown

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.copy_view)
        ours = path("<path:object_id>/copy/", view, name="campaigns_campaign_copy")
        return [ours, *super().get_urls()]

    def copy_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        campaign = self.get_object(request, unquote(object_id))
        if campaign is None:
            raise Http404(f"There is no campaign {object_id}.")
        if not self.has_change_permission(request, campaign):
            raise PermissionDenied
        made = copy(campaign, clock.now())
        self.log_addition(request, made, f"Copied from {campaign}.")
        messages.success(request, f"{made} is a draft: see to its day and words, then start it.")
        return redirect("admin:campaigns_campaign_change", made.pk)

    def stamps(self, does: str, now: datetime) -> Mapping[str, Any]:
        forgiven = {"pause_reason": ""} if does == "resume" else {}
        return {**super().stamps(does, now), **forgiven}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        campaign = context.get("original")
        if campaign is not None and self._may(request, Ability.SEND, campaign):
            context["copy_url"] = reverse("admin:campaigns_campaign_copy", args=[campaign.pk])
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="State")
    def state_read(self, campaign: Any) -> str:
        if campaign.pk is None:
            return state_pill("Draft")
        state = state_of(campaign, has_open_slots=campaign.has_open)
        return state_pill(state.word, state.tone, state.why)

    @admin.display(description="Next time")
    def next_slot(self, campaign: Any) -> str | None:
        slot = campaign.first_waiting
        if slot is None:
            return None
        day, at = parse_date(slot["on"]), parse_time(slot["at"])
        words = f"{in_words(day, 'D j M Y')}, {in_words(at, 'H:i')}" if day and at else ""
        return f"{words}, not started" if slot["state"] == Slot.State.DRAFT else words

    @admin.display(description="Started", ordering="started_at", empty_value="not yet")
    def started_read(self, campaign: Campaign) -> str | None:
        started = campaign.started_at
        return f"{in_words(started, 'j M Y, H:i')} UTC" if started else None


@admin.register(ListRoute)
class ListRouteAdmin(Page):
    brand_path = "lead_list__brand"
    form = OneBrand
    list_display = ("lead_list", "route")
    search_fields = ("lead_list__name", "route__name")
    list_select_related = ("lead_list", "route")
    autocomplete_fields = ("lead_list", "route")


@admin.register(Slot)
class SlotAdmin(NeverDeleted, UntilStart):
    brand_path = "campaign__brand"
    list_display = ("campaign", "day", "at", "lasts", "state_read")
    list_filter = ("state", BrandFilter)
    search_fields = ("campaign__name",)
    list_select_related = ("campaign",)
    autocomplete_fields = ("campaign",)
    ordering = ("-local_date", "-id")
    when = ("local_date", "ordinal", "local_time", "length_minutes")
    settled = when
    before_start = Q(state=Slot.State.DRAFT)
    pinned = ("template_version", "words", "route", "segments", "left_out_read", "closed_read")
    fieldsets = (
        (
            None,
            {
                "fields": ("campaign", *when, "state_read"),
                "description": "Each person gets the message at this time of their own place.",
            },
        ),
        (
            "Settled at Start",
            {
                "fields": pinned,
                "description": "Words, route and price are those of the moment of Start; later"
                " changes of the campaign do not touch them.",
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Slot | None = None) -> tuple[str, ...]:
        pinned = ("state_read", *self.pinned)
        if obj is None:
            return pinned
        if obj.state == Slot.State.DRAFT:
            return ("campaign", *pinned)
        return ("campaign", *self.when, *pinned)

    def get_fieldsets(self, request: HttpRequest, obj: Slot | None = None) -> Any:
        """What Start will settle is not there before."""
        started = obj is not None and obj.state != Slot.State.DRAFT
        return self.fieldsets if started else self.fieldsets[:1]

    @admin.display(description="Day", ordering="local_date")
    def day(self, slot: Slot) -> str:
        return f"{in_words(slot.local_date, 'D')} {slot}"

    @admin.display(description="Local time", ordering="local_time")
    def at(self, slot: Slot) -> str:
        return in_words(slot.local_time, "H:i")

    @admin.display(description="Keeps sending", ordering="length_minutes")
    def lasts(self, slot: Slot) -> str:
        hours, minutes = divmod(slot.length_minutes, 60)
        return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min")) if n)

    @admin.display(description="State", ordering="state")
    def state_read(self, slot: Slot) -> str:
        return state_pill(*SLOT_STATES[Slot.State(slot.state)])

    @admin.display(description="What it says")
    def words(self, slot: Slot) -> str | None:
        version = slot.template_version
        return "\n\n".join(filter(None, (version.subject, version.text))) if version else None

    @admin.display(description="Segments a message, at most")
    def segments(self, slot: Slot) -> str:
        return str(slot.largest_segments)

    @admin.display(description="People left out beforehand")
    def left_out_read(self, slot: Slot) -> str:
        return left_out(slot.suppressed)

    @admin.display(description="Done since")
    def closed_read(self, slot: Slot) -> str | None:
        return f"{in_words(slot.closed_at, 'j M Y, H:i')} UTC" if slot.closed_at else None
