"""Leads and their lists; the pages of what was taken in are in `import_admin.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from brands import access
from brands.access import Ability
from brands.admin import (
    BrandFilter,
    NeverDeleted,
    ReadOnly,
    RetiredFilter,
    bring_back,
    lines,
    retire,
)
from brands.paging import BigTable, Page, pill
from brands.zones import city
from compliance.admin import ByAddress
from compliance.models import Places
from leads import models, sizes
from leads.import_admin import link, state_of

Status = models.Lead.Status
TONES: Mapping[str, str] = {Status.ACTIVE: "good", Status.ERASED: "bad"}
LATEST = 5  # imports shown with a list


@admin.register(models.Lead)
class LeadAdmin(ByAddress, NeverDeleted, BigTable):
    """Intake says who a lead is and where; staff may mend the name and switch the lead off."""

    brand_path = "brand"
    to_look = Ability.PEOPLE

    list_display = ("name_read", "phone", "email", "brand", "where", "status_read", "created_read")
    list_filter = ("status", BrandFilter)
    search_fields = ("person__phone__exact", "person__email__exact")
    list_select_related = ("brand", "person")
    fieldsets = (
        (
            None,
            {
                "fields": ("person", "other_person", "brand", "status", "created_read"),
                "description": "A person as one brand knows them. Switched off, they get nothing"
                " more from this brand; an opt-out goes further and is kept with the person.",
            },
        ),
        (
            "Name",
            {
                "fields": ("first_name", "last_name", "city"),
                "description": "What your texts call them. The next import may bring newer ones.",
            },
        ),
        (
            "Where they may be",
            {
                "fields": ("state", "zip_read", "places_read"),
                "description": "Found from ZIP code, state and area code. No text arrives outside"
                " the lawful hours of any of these places.",
            },
        ),
        (
            "Where they came from",
            {"fields": ("source", "ref_read", "consent_read", "fields_read", "attribution_read")},
        ),
    )
    readonly_fields = (
        *("brand", "person", "other_person", "created_read", "state", "zip_read", "places_read"),
        *("source", "ref_read", "consent_read", "fields_read", "attribution_read"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who was erased on request stays so."""
        is_erased = obj is not None and obj.status == Status.ERASED
        return not is_erased and super().has_change_permission(request, obj)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "status":  # erasing does more than setting a word
            kwargs["choices"] = [one for one in Status.choices if one[0] != Status.ERASED]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    @admin.display(description="Name")
    def name_read(self, lead: models.Lead) -> str:
        return str(lead)

    @admin.display(description="Phone")
    def phone(self, lead: models.Lead) -> str:
        return lead.person.phone or ""

    @admin.display(description="E-mail")
    def email(self, lead: models.Lead) -> str:
        return lead.person.email or ""

    @admin.display(description="Where")
    def where(self, lead: models.Lead) -> str:
        return ", ".join(part for part in (lead.city, lead.state) if part)

    @admin.display(description="Status")
    def status_read(self, lead: models.Lead) -> SafeString:
        return pill(Status(lead.status).label, TONES.get(lead.status, ""))

    @admin.display(description="Known since (UTC)")
    def created_read(self, lead: models.Lead) -> str:
        return f"{lead.created_at:%d %b %Y, %H:%M}"

    @admin.display(description="Also opts out")
    def other_person(self, lead: models.Lead) -> str:
        if lead.email_person is None:
            return "Nobody else"
        # By the address the brand brought itself: their phone may be known to others only.
        words = "{}, whose e-mail address this is: an opt-out goes to both"
        return words.format(lead.email_person.email)

    @admin.display(description="ZIP code")
    def zip_read(self, lead: models.Lead) -> str:
        return lead.zip_code

    @admin.display(description="Places")
    def places_read(self, lead: models.Lead) -> str:
        return in_places(lead.places)

    @admin.display(description="Your own reference")
    def ref_read(self, lead: models.Lead) -> str:
        return lead.external_ref

    @admin.display(description="Agreed")
    def consent_read(self, lead: models.Lead) -> str:
        if lead.consent is None:
            return ""
        event = lead.consent
        words = f"{event.agreed_at:%d %b %Y, %H:%M} UTC, {event.get_method_display().lower()}"
        return link("admin:compliance_consentevent_change", words, event.pk)

    @admin.display(description="Other columns")
    def fields_read(self, lead: models.Lead) -> str:
        return lines(lead.fields)

    @admin.display(description="What brought them")
    def attribution_read(self, lead: models.Lead) -> str:
        return lines(lead.attribution)


def in_places(places: Places | None) -> str:
    """Zones as cities, and the states whose rules count."""
    if places is None:
        return "Not known: a person without a phone number gets no texts."
    if places.is_assumed:
        return "Anywhere in the United States: nothing tells where."
    cities = ", ".join(city(zone) for zone in places.zones)
    states = f"; rules of {', '.join(places.states)}" if places.states else ""
    return f"Time of {cities}{states}"


@admin.register(models.LeadList)
class LeadListAdmin(NeverDeleted, Page):
    brand_path = "brand"

    list_display = ("name", "brand", "people", "state_read", "created_read")
    list_filter = (RetiredFilter, BrandFilter)
    list_per_page = 50
    ordering = ("name",)
    search_fields = ("name",)
    search_help_text = "A part of a list's name"
    list_select_related = ("brand",)
    fieldsets = (
        (
            None,
            {
                "fields": ("brand", "name"),
                "description": "Campaigns are sent to the people of a list. People come by file,"
                " or through the API. A list belongs to one brand for good.",
            },
        ),
        ("People", {"fields": ("people", "imports_read")}),
        ("History", {"fields": ("created_read", "state_read")}),
    )
    autocomplete_fields = ("brand",)

    actions = (retire, bring_back)
    change_form_outer_before_template = "admin/leads/leadlist/_upload.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.LeadList]:
        return sizes.with_sizes(super().get_queryset(request))

    def get_fieldsets(self, request: HttpRequest, obj: models.LeadList | None = None) -> Any:
        return self.fieldsets if obj else self.fieldsets[:1]

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.LeadList | None = None
    ) -> tuple[str, ...]:
        ours = ("people", "imports_read", "created_read", "state_read")
        return (*(("brand",) if obj else ()), *ours)

    def get_list_display(self, request: HttpRequest) -> Any:
        return (*self.list_display, upload_for(request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        may_upload = access.may_anywhere(request.user, Ability.SEND)
        return super().changelist_view(request, {**(extra_context or {}), "may_upload": may_upload})

    @admin.display(description="People")
    def people(self, lead_list: models.LeadList) -> str:
        return sizes.in_words(lead_list.counted, lead_list.estimated)  # type: ignore[attr-defined]

    @admin.display(description="State")
    def state_read(self, lead_list: models.LeadList) -> SafeString:
        return pill("Retired") if lead_list.retired_at else pill("In use", "good")

    @admin.display(description="Made at (UTC)")
    def created_read(self, lead_list: models.LeadList) -> str:
        return f"{lead_list.created_at:%d %b %Y, %H:%M}"

    @admin.display(description="Latest files")
    def imports_read(self, lead_list: models.LeadList) -> SafeString | str:
        latest = lead_list.import_set.order_by("-pk")[:LATEST]
        rows = (
            (link("import-progress", one.file_name, one.pk), f"{one.rows_read:,}", state_of(one))
            for one in latest
        )
        return format_html_join("", "<div>{}: {} rows {}</div>", rows) or "None yet"


def upload_for(request: HttpRequest) -> Callable[[models.LeadList], str]:
    """A column that leads to the upload, where this user may fill the list."""

    @admin.display(description="")
    def upload(lead_list: models.LeadList) -> str:
        if lead_list.retired_at or not access.may(request.user, Ability.SEND, lead_list.brand_id):
            return ""
        return format_html(
            '<a class="so-button so-quiet so-tiny" href="{}?list={}">Upload people</a>',
            reverse("upload-leads"),
            lead_list.pk,
        )

    return upload


@admin.register(models.ListEntry)
class ListEntryAdmin(ByAddress, ReadOnly, BigTable):
    brand_path = "lead_list__brand"
    to_look = Ability.PEOPLE

    list_display = ("lead", "phone", "lead_list", "added_read")
    search_fields = ("lead__person__phone__exact", "lead__person__email__exact")
    list_select_related = ("lead_list", "lead", "lead__person")
    fields = ("lead", "lead_list", "places", "added_read")
    readonly_fields = ("added_read",)

    @admin.display(description="Phone")
    def phone(self, entry: models.ListEntry) -> str:
        return entry.lead.person.phone or ""

    @admin.display(description="On the list since (UTC)")
    def added_read(self, entry: models.ListEntry) -> str:
        return f"{entry.added_at:%d %b %Y, %H:%M}"
