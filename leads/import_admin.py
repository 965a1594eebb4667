"""What imports and the API took in and left out, to look at; nothing here is changed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from brands import access
from brands.access import Ability
from brands.admin import BrandFilter, ReadOnly, lines
from brands.paging import BigTable, Page, pill
from leads import models

State = models.Import.State
TONES: Mapping[str, str] = {
    State.WAITING: "warn",
    State.RUNNING: "info",
    State.DONE: "good",
    State.FAILED: "bad",
}


def link(name: str, words: object, *args: object) -> SafeString:
    return format_html(
        '<a style="color: var(--so-accent)" href="{}">{}</a>', reverse(name, args=args), words
    )


def state_of(taken_in: models.Import) -> SafeString:
    return pill(State(taken_in.state).label, TONES[taken_in.state])


@admin.register(models.Import)
class ImportAdmin(ReadOnly, Page):
    brand_path = "brand"

    list_display = (
        *("file_read", "brand", "list_read", "state_read", "read", "created", "updated"),
        *("refused", "started_read"),
    )
    list_display_links = None
    list_filter = ("state", BrandFilter)
    search_fields = ("file_name",)
    search_help_text = "A part of a file's name"
    list_select_related = ("brand", "lead_list")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("file_read", "brand", "list_read", "source", "uploaded_by")}),
        ("How it went", {"fields": ("state_read", "problem", "started_read", "finished_read")}),
        (
            "Rows",
            {
                "fields": ("read", "created", "updated", "refused"),
                "description": "Rows read are new people, people brought up to date and refused"
                " rows together.",
            },
        ),
    )
    readonly_fields = (
        *("file_read", "list_read", "state_read", "started_read", "finished_read"),
        *("read", "created", "updated", "refused"),
    )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        may_upload = access.may_anywhere(request.user, Ability.SEND)
        return super().changelist_view(request, {**(extra_context or {}), "may_upload": may_upload})

    @admin.display(description="File", ordering="file_name")
    def file_read(self, taken_in: models.Import) -> SafeString:
        return link("import-progress", taken_in.file_name, taken_in.pk)

    @admin.display(description="List")
    def list_read(self, taken_in: models.Import) -> SafeString:
        return link("admin:leads_leadlist_change", taken_in.lead_list, taken_in.lead_list_id)

    @admin.display(description="State", ordering="state")
    def state_read(self, taken_in: models.Import) -> SafeString:
        return state_of(taken_in)

    @admin.display(description="Rows read", ordering="rows_read")
    def read(self, taken_in: models.Import) -> str:
        return f"{taken_in.rows_read:,}"

    @admin.display(description="New people", ordering="leads_created")
    def created(self, taken_in: models.Import) -> str:
        return f"{taken_in.leads_created:,}"

    @admin.display(description="Brought up to date", ordering="leads_updated")
    def updated(self, taken_in: models.Import) -> str:
        return f"{taken_in.leads_updated:,}"

    @admin.display(description="Refused", ordering="rows_refused")
    def refused(self, taken_in: models.Import) -> str:
        return f"{taken_in.rows_refused:,}"

    @admin.display(description="Begun at (UTC)", ordering="started_at")
    def started_read(self, taken_in: models.Import) -> str:
        return f"{taken_in.started_at:%d %b %Y, %H:%M}"

    @admin.display(description="Ended at (UTC)")
    def finished_read(self, taken_in: models.Import) -> str:
        return f"{taken_in.finished_at:%d %b %Y, %H:%M}" if taken_in.finished_at else "Not yet"


@admin.register(models.ImportError)
class ImportErrorAdmin(ReadOnly, BigTable):
    brand_path = "taken_in__brand"
    to_look = Ability.PEOPLE

    list_display = ("line_read", "file", "field_read", "message")
    list_select_related = ("taken_in",)
    fields = ("file", "line_read", "field_read", "message", "code", "row_read")
    readonly_fields = ("file", "line_read", "field_read", "row_read")

    @admin.display(description="File")
    def file(self, error: models.ImportError) -> SafeString:
        return link("import-progress", error.taken_in.file_name, error.taken_in_id)

    @admin.display(description="Line")
    def line_read(self, error: models.ImportError) -> str:
        return f"{error.line:,}"

    @admin.display(description="Column")
    def field_read(self, error: models.ImportError) -> str:
        return error.field

    @admin.display(description="What stood there")
    def row_read(self, error: models.ImportError) -> str:
        return lines(error.row)


@admin.register(models.RejectedLead)
class RejectedLeadAdmin(ReadOnly, BigTable):
    brand_path = "brand"
    to_look = Ability.PEOPLE

    list_display = ("at_read", "brand", "source", "message", "code")
    list_filter = (BrandFilter,)
    search_fields = ("code__exact",)
    search_help_text = "A whole code, as the API answered it"
    list_select_related = ("brand",)
    fields = ("at_read", "brand", "source", "message", "code", "fields_read")
    readonly_fields = ("at_read", "fields_read")

    @admin.display(description="Posted at (UTC)")
    def at_read(self, rejected: models.RejectedLead) -> str:
        return f"{rejected.at:%d %b %Y, %H:%M}"

    @admin.display(description="What was posted")
    def fields_read(self, rejected: models.RejectedLead) -> str:
        return lines(rejected.fields)
