"""Templates and campaigns. What was said once is never changed, and an open slot is settled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest

from brands.admin import (
    AddOnly,
    NeverDeleted,
    PausedFilter,
    RetiredFilter,
    Rows,
    bring_back,
    change_rows,
    lines,
    pause,
    retire,
    retire_and_pause,
)
from brands.braking import Braked
from brands.models import Brand
from brands.paging import Inline, Page
from campaigns.models import Campaign, ListRoute, Slot, Template, TemplateVersion
from campaigns.starting import CannotStart, start


class NumberedVersions(BaseInlineFormSet):  # type: ignore[type-arg] # generic for the checker only
    """Gives each new version the next number; two people at once wait for each other."""

    def save_new(self, form: forms.ModelForm[TemplateVersion], commit: bool = True) -> Any:
        template = Template.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        latest = template.latest()
        form.instance.number = latest.number + 1 if latest else 1
        return super().save_new(form, commit)


class VersionInline(AddOnly, Inline):
    model = TemplateVersion
    formset = NumberedVersions
    fields = ("number", "text", "created_at")
    readonly_fields = ("number", "created_at")
    ordering = ("-number",)
    verbose_name = "version"


@admin.register(Template)
class TemplateAdmin(NeverDeleted, Page):
    brand_path = "brand"
    list_display = ("name", "brand", "retired_at")
    list_filter = (RetiredFilter, "brand")
    search_fields = ("name",)
    list_select_related = ("brand",)
    fields = ("brand", "name", "retired_at")
    autocomplete_fields = ("brand",)
    inlines = (VersionInline,)
    actions = (retire, bring_back)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Template | None = None
    ) -> tuple[str, ...]:
        return (*(("brand",) if obj else ()), "retired_at")


class OneBrand(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    """A brand speaks to its own people, in its own words, over its own numbers."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        owner = cleaned.get("brand") or cleaned.get("lead_list") or self.instance
        brand_id = owner.pk if isinstance(owner, Brand) else getattr(owner, "brand_id", None)
        for name in ("lead_list", "template", "route"):
            part = cleaned.get(name)
            if brand_id and part and part.brand_id != brand_id:
                self.add_error(name, f"{part} belongs to another brand, {part.brand}.")
        return cleaned


class SlotInline(AddOnly, Inline):
    model = Slot
    fields = ("local_date", "ordinal", "local_time", "length_minutes", "state")
    readonly_fields = ("state",)
    ordering = ("-local_date", "-ordinal")
    show_change_link = True


@admin.action(permissions=["change"], description="Resume sending")
def resume(page: Any, request: HttpRequest, rows: Rows) -> None:
    stamps = {"paused_at": None, "pause_reason": ""}
    change_rows(page, request, rows.exclude(paused_at=None), "resumed", **stamps)


@admin.register(Campaign)
class CampaignAdmin(NeverDeleted, Braked):
    brand_path = "brand"
    form = OneBrand
    list_display = ("name", "brand", "lead_list", "started_at", "paused_at", "pause_reason")
    list_filter = (PausedFilter, RetiredFilter, "brand")
    search_fields = ("name",)
    list_select_related = ("brand", "lead_list")
    autocomplete_fields = ("brand", "lead_list", "template", "route")
    fieldsets = (
        (None, {"fields": ("brand", "name", "started_at", "created_at")}),
        ("What to say, to whom", {"fields": ("lead_list", "template", "destination", "route")}),
        ("How much, how soon", {"fields": ("daily_cap", "priority", "repeats_words")}),
        ("Held back", {"fields": ("paused_at", "pause_reason", "retired_at")}),
    )
    inlines = (SlotInline,)
    actions = ("start", pause, resume, retire_and_pause, bring_back)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Campaign | None = None
    ) -> tuple[str, ...]:
        stamps = ("started_at", "created_at", "paused_at", "pause_reason", "retired_at")
        started = obj is not None and obj.started_at is not None
        return (*stamps, "brand", "lead_list", "destination") if started else stamps

    def stamps(self, does: str, now: datetime) -> Mapping[str, Any]:
        forgiven = {"pause_reason": ""} if does == "resume" else {}
        return {**super().stamps(does, now), **forgiven}

    @admin.action(permissions=["change"], description="Start: open the draft slots")
    def start(self, request: HttpRequest, rows: Rows) -> None:
        for campaign in rows.select_related("brand", "lead_list", "template", "route"):
            try:
                self.message_user(request, f"{campaign}: {start(campaign)} slots opened.")
            except CannotStart as error:
                self.message_user(request, f"{campaign}: {error}", messages.ERROR)


@admin.register(ListRoute)
class ListRouteAdmin(Page):
    brand_path = "lead_list__brand"
    form = OneBrand
    list_display = ("lead_list", "route")
    search_fields = ("lead_list__name", "route__name")
    list_select_related = ("lead_list", "route")
    autocomplete_fields = ("lead_list", "route")


@admin.register(Slot)
class SlotAdmin(NeverDeleted, Page):
    brand_path = "campaign__brand"
    list_display = ("campaign", "local_date", "ordinal", "local_time", "length_minutes", "state")
    list_filter = ("state",)
    search_fields = ("campaign__name",)
    list_select_related = ("campaign",)
    autocomplete_fields = ("campaign",)
    ordering = ("-local_date", "-id")
    when = ("local_date", "ordinal", "local_time", "length_minutes")
    pinned = ("template_version", "route", "largest_segments", "suppressed_read", "closed_at")
    fieldsets = (
        (None, {"fields": ("campaign", *when, "state")}),
        ("Settled when the slot was opened", {"fields": pinned}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Slot | None = None) -> tuple[str, ...]:
        settled = ("state", *self.pinned)
        if obj is None:
            return settled
        if obj.state == Slot.State.DRAFT:
            return ("campaign", *settled)
        return ("campaign", *self.when, *settled)

    @admin.display(description="People left out before planning")
    def suppressed_read(self, slot: Slot) -> str:
        return lines(slot.suppressed)
