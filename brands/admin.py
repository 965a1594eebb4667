"""Brands, who may see them, and the installation; and what the admin pages of all apps share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextareaWidget

from brands import clock
from brands.access import Ability
from brands.braking import Braked
from brands.models import ApiKey, Brand, ClockShift, Installation, Membership
from brands.paging import Page

Rows = QuerySet[Any]
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*")


class NeverDeleted:
    """For tables whose rows are retired or kept for ever; a trigger refuses a DELETE."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AddOnly(NeverDeleted):
    """For rows that are never changed once they are there."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnly(AddOnly):
    """For rows that only the system writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SetOrNot(admin.SimpleListFilter):
    """Filters by whether a time is set; `words` are those for set and for not set."""

    words = ("", "")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(zip(("yes", "no"), self.words, strict=True))

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(**{f"{self.parameter_name}__isnull": self.value() == "no"})


class PausedFilter(SetOrNot):
    title = "paused"
    parameter_name = "paused_at"
    words = ("Paused", "Not paused")


class RetiredFilter(SetOrNot):
    title = "retired"
    parameter_name = "retired_at"
    words = ("Retired", "In use")


def lines(value: object) -> SafeString | str:
    """Stored JSON as a person reads it: one line for each entry."""
    if isinstance(value, Mapping):
        return format_html_join("", "<div>{}: {}</div>", value.items()) or "-"
    if isinstance(value, list | tuple):
        return format_html_join("", "<div>{}</div>", ((entry,) for entry in value)) or "-"
    return format_html("{}", value)


def change_rows(page: Any, request: HttpRequest, rows: Rows, done: str, **changes: Any) -> None:
    """Update the rows of an action by their named columns, and say how many there were."""
    page.message_user(request, f"{rows.update(**changes)} {done}.")


@admin.action(permissions=["change"], description="Pause sending")
def pause(page: Any, request: HttpRequest, rows: Rows) -> None:
    change_rows(page, request, rows.filter(paused_at=None), "paused", paused_at=clock.now())


@admin.action(permissions=["change"], description="Resume sending")
def resume(page: Any, request: HttpRequest, rows: Rows) -> None:
    change_rows(page, request, rows.exclude(paused_at=None), "resumed", paused_at=None)


@admin.action(permissions=["change"], description="Retire")
def retire(page: Any, request: HttpRequest, rows: Rows) -> None:
    change_rows(page, request, rows.filter(retired_at=None), "retired", retired_at=clock.now())


@admin.action(permissions=["change"], description="Retire, and pause its sending")
def retire_and_pause(page: Any, request: HttpRequest, rows: Rows) -> None:
    now = clock.now()
    stamps = {"retired_at": now, "paused_at": Coalesce("paused_at", Value(now))}
    change_rows(page, request, rows.filter(retired_at=None), "retired", **stamps)


@admin.action(permissions=["change"], description="Bring back into use")
def bring_back(page: Any, request: HttpRequest, rows: Rows) -> None:
    change_rows(page, request, rows.exclude(retired_at=None), "brought back", retired_at=None)


class HostsField(forms.CharField):
    """A list of host names, typed one a line."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        entries = value if isinstance(value, list) else (value or "").lower().split()
        for entry in entries:
            if not HOST.fullmatch(entry):
                raise forms.ValidationError(f"{entry} is not a host name like jobs.example.com.")
        return entries


class BrandForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    link_hosts = HostsField(
        required=False,
        label="Link hosts",
        help_text="Hosts that links of this brand may lead to, one a line.",
    )


@admin.register(Brand)
class BrandAdmin(NeverDeleted, Braked):
    brand_path = "pk"
    to_change = Ability.MANAGE
    form = BrandForm
    list_display = ("name", "zone", "opens", "closes", "daily_cap", "short_domain", "paused_at")
    list_filter = (PausedFilter, RetiredFilter)
    search_fields = ("name", "slug")
    readonly_fields = ("paused_at", "retired_at", "created_at")
    prepopulated_fields = {"slug": ("name",)}
    fieldsets = (
        (None, {"fields": ("name", "slug", "paused_at", "retired_at", "created_at")}),
        ("When it may send", {"fields": ("zone", "opens", "closes", "sunday_opens")}),
        ("How much", {"fields": ("daily_cap", "segments_per_second", "fairness_weight")}),
        ("Links", {"fields": ("short_domain", "link_hosts")}),
        ("Texts", {"fields": ("opt_out_line", "stop_reply", "help_reply", "join_reply")}),
    )
    actions = (pause, resume, retire_and_pause, bring_back)


@admin.register(Membership)
class MembershipAdmin(Page):
    list_display = ("user", "brand", "role")
    list_filter = ("role", "brand")
    search_fields = ("user__username",)
    list_select_related = ("user", "brand")
    autocomplete_fields = ("user", "brand")


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, Page):
    brand_path = "brand"
    to_look = Ability.MANAGE
    to_change = Ability.MANAGE
    list_display = ("prefix", "name", "brand", "created_at", "expires_at", "revoked_at")
    list_filter = ("brand",)
    search_fields = ("prefix", "name")
    list_select_related = ("brand",)
    fields = ("brand", "name", "prefix", "scopes_read", "created_at", "expires_at", "revoked_at")
    readonly_fields = ("scopes_read",)

    @admin.display(description="Scopes")
    def scopes_read(self, key: ApiKey) -> str:
        return lines(key.scopes)


@admin.register(Installation)
class InstallationAdmin(NeverDeleted, Page):
    list_display = ("identity", "is_sandbox", "stopped_at")
    readonly_fields = ("identity", "is_sandbox", "stopped_at", "system_identifier")
    fieldsets = (
        (None, {"fields": readonly_fields}),
        (
            "What one person may get",
            {"fields": ("persons_per_day", "persons_per_week", "person_gap_minutes")},
        ),
    )
    actions = ("stop_all", "end_the_stop")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(permissions=["change"], description="Stop all sending, replies too")
    def stop_all(self, request: HttpRequest, rows: Rows) -> None:
        now = clock.now()
        change_rows(self, request, rows.filter(stopped_at=None), "stopped", stopped_at=now)

    @admin.action(permissions=["change"], description="End the stop: send again")
    def end_the_stop(self, request: HttpRequest, rows: Rows) -> None:
        change_rows(self, request, rows.exclude(stopped_at=None), "sending", stopped_at=None)


@admin.register(ClockShift)
class ClockShiftAdmin(ReadOnly, Page):
    list_display = ("id", "real_at", "seconds", "total_seconds")
    fields = ("real_at", "seconds", "total_seconds")
    ordering = ("-id",)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class StaffAdmin(UserAdmin, Page):  # type: ignore[type-arg]
    """Django's own page of users, in the clothes of the others."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class StaffGroupAdmin(GroupAdmin, Page):
    pass
