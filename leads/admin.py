"""Leads, their lists, and what imports took in and left out."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from brands.access import Ability
from brands.admin import NeverDeleted, ReadOnly, RetiredFilter, bring_back, lines, retire
from brands.paging import BigTable, Page
from compliance.admin import ByAddress
from leads import models


@admin.register(models.Lead)
class LeadAdmin(ByAddress, NeverDeleted, BigTable):
    """Intake says who a lead is and where; staff may mend the name and switch the lead off."""

    brand_path = "brand"
    to_look = Ability.PEOPLE

    list_display = ("id", "brand", "person", "first_name", "last_name", "status", "created_at")
    list_filter = ("status", "brand")
    search_fields = ("person__phone__exact", "person__email__exact")
    list_select_related = ("brand", "person")
    fieldsets = (
        (None, {"fields": ("brand", "person", "email_person", "status", "created_at")}),
        ("Name", {"fields": ("first_name", "last_name", "city")}),
        ("Where they may be", {"fields": ("state", "zip_code", "places")}),
        (
            "Where they came from",
            {"fields": ("source", "external_ref", "consent", "fields_read", "attribution_read")},
        ),
    )
    readonly_fields = (
        *("brand", "person", "email_person", "created_at", "state", "zip_code", "places"),
        *("source", "external_ref", "consent", "fields_read", "attribution_read"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="Fields")
    def fields_read(self, lead: models.Lead) -> str:
        return lines(lead.fields)

    @admin.display(description="Attribution")
    def attribution_read(self, lead: models.Lead) -> str:
        return lines(lead.attribution)


@admin.register(models.LeadList)
class LeadListAdmin(NeverDeleted, Page):
    brand_path = "brand"
    list_display = ("name", "brand", "created_at", "retired_at")
    list_filter = (RetiredFilter, "brand")
    search_fields = ("name",)
    list_select_related = ("brand",)
    fields = ("brand", "name", "retired_at", "created_at")
    autocomplete_fields = ("brand",)
    actions = (retire, bring_back)

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.LeadList | None = None
    ) -> tuple[str, ...]:
        return (*(("brand",) if obj else ()), "retired_at", "created_at")


@admin.register(models.ListEntry)
class ListEntryAdmin(ByAddress, ReadOnly, BigTable):
    brand_path = "lead_list__brand"
    to_look = Ability.PEOPLE
    list_display = ("id", "lead_list", "lead", "added_at")
    list_filter = ("lead_list",)
    search_fields = ("lead__person__phone__exact", "lead__person__email__exact")
    list_select_related = ("lead_list", "lead")
    fields = ("lead_list", "lead", "places", "added_at")


@admin.register(models.Import)
class ImportAdmin(ReadOnly, Page):
    brand_path = "brand"
    list_display = (
        *("file_name", "brand", "lead_list", "state", "rows_read", "leads_created"),
        *("leads_updated", "rows_refused", "started_at"),
    )
    list_filter = ("state", "brand")
    search_fields = ("file_name",)
    list_select_related = ("brand", "lead_list")
    ordering = ("-id",)


@admin.register(models.ImportError)
class ImportErrorAdmin(ReadOnly, BigTable):
    brand_path = "taken_in__brand"
    to_look = Ability.PEOPLE
    list_display = ("taken_in", "line", "field", "code", "message")
    list_filter = ("code",)
    list_select_related = ("taken_in",)
    fields = ("taken_in", "line", "field", "code", "message", "row_read")
    readonly_fields = ("row_read",)

    @admin.display(description="The row")
    def row_read(self, error: models.ImportError) -> str:
        return lines(error.row)


@admin.register(models.RejectedLead)
class RejectedLeadAdmin(ReadOnly, BigTable):
    brand_path = "brand"
    to_look = Ability.PEOPLE
    list_display = ("at", "brand", "source", "code", "message")
    list_filter = ("brand",)
    search_fields = ("code__exact",)
    search_help_text = "A whole code"
    list_select_related = ("brand",)
    fields = ("at", "brand", "source", "code", "message", "fields_read")
    readonly_fields = ("fields_read",)

    @admin.display(description="What was posted")
    def fields_read(self, rejected: models.RejectedLead) -> str:
        return lines(rejected.fields)
