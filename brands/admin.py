"""Brands, who may see them, and the installation; and what the admin pages of all apps share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from brands import (
    access,
    clock,
    key_admin,  # noqa: F401 - registers the keys
    stopping,
    user_admin,  # noqa: F401 - registers the users
)
from brands.access import Ability
from brands.braking import Braked
from brands.models import Brand, ClockShift, Installation
from brands.paging import Page, pill

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


class BrandFilter(admin.SimpleListFilter):
    """Filters by brand, and names only those whose rows the user may see on this page."""

    title = "brand"
    parameter_name = "brand"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self._path = (model_admin.brand_path or "brand").removesuffix("__many")
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        offered = access.brands(request.user, model_admin.to_look)
        return [(str(pk), name) for pk, name in offered.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        chosen = self.value()
        if chosen is None:
            return queryset
        offered = {key for key, _ in self.lookup_choices}
        return queryset.filter(**{self._path: chosen}) if chosen in offered else queryset.none()


def lines(value: object) -> SafeString | str:
    """Stored JSON as a person reads it: one line for each entry."""
    if isinstance(value, Mapping):
        return format_html_join("", "<div>{}: {}</div>", value.items()) or "-"
    if isinstance(value, list | tuple):
        return format_html_join("", "<div>{}</div>", ((entry,) for entry in value)) or "-"
    return format_html("{}", value)


def state_pill(row: Any, works: str) -> SafeString:
    """The state of what can be paused and retired; `works` is the word for neither."""
    if row.retired_at:
        return pill("Retired")
    if row.paused_at:
        return pill(f"Paused since {row.paused_at:%d %b, %H:%M} UTC", "warn")
    return pill(works, "good")


def change_rows(page: Any, request: HttpRequest, rows: Rows, done: str, **changes: Any) -> None:
    """Update the rows of an action by their named columns, and say how many there were.

    Only those of brands for which the user may change them: others were but to be looked at.
    """
    own = page.visible(request, rows, page.to_change)
    left_out = rows.count() - own.count()
    page.message_user(request, f"{own.update(**changes)} {done}.")
    if left_out:
        words = f"{left_out} left as they were: your role for their brand may only look."
        page.message_user(request, words, messages.WARNING)


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
        help_text="Where {link} in a campaign of this brand may lead, one host a line, such as"
        " jobs.example.com. Nothing else is linked to.",
    )

    class Meta:
        labels = {
            "zone": "Time zone",
            "opens": "Opens at",
            "closes": "Closes at",
            "sunday_opens": "Opens on Sundays at",
            "daily_cap": "Messages a day, at most",
            "segments_per_second": "Segments a second, at most",
            "fairness_weight": "Share beside other brands",
            "short_domain": "Short domain",
            "opt_out_line": "Opt-out line",
            "stop_reply": "Answer to STOP",
            "help_reply": "Answer to HELP",
            "join_reply": "Answer to START and JOIN",
        }
        help_texts = {
            "slug": "Names the brand in commands and files; filled in from the name.",
            "segments_per_second": "All numbers of the brand together. Empty: no limit of its own.",
            "fairness_weight": "When several brands send at once, a brand of weight 3 gets three"
            " times the turns of one of weight 1.",
            "opt_out_line": "Put at the end of every campaign text that does not hold it.",
        }


@admin.register(Brand)
class BrandAdmin(NeverDeleted, Braked):
    brand_path = "pk"
    to_change = Ability.MANAGE
    form = BrandForm
    list_display = ("name", "state", "hours", "zone", "cap", "short_domain")
    list_filter = (PausedFilter, RetiredFilter)
    search_fields = ("name", "slug")
    ordering = ("name",)
    readonly_fields = ("paused_at", "retired_at", "created_at")
    prepopulated_fields = {"slug": ("name",)}
    fieldsets = (
        (None, {"fields": ("name", "slug")}),
        (
            "When it may send",
            {
                "fields": ("zone", "opens", "closes", "sunday_opens"),
                "description": "By each person's own clock, wherever they may be. The rules of"
                " their state hold beside these hours, and before 8:00 and after 21:00 nothing is"
                " ever sent.",
            },
        ),
        ("How much", {"fields": ("daily_cap", "segments_per_second", "fairness_weight")}),
        ("Links", {"fields": ("short_domain", "link_hosts")}),
        (
            "Texts",
            {
                "fields": ("opt_out_line", "stop_reply", "help_reply", "join_reply"),
                "description": "What people read who write STOP, HELP or START. Say the brand's"
                " name in each.",
            },
        ),
        ("State", {"fields": ("paused_at", "retired_at", "created_at")}),
    )
    actions = (pause, resume, retire_and_pause, bring_back)

    def get_fieldsets(self, request: HttpRequest, obj: Brand | None = None) -> Any:
        return self.fieldsets if obj else self.fieldsets[:-1]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access.may(request.user, Ability.OWN, None)

    @admin.display(description="State")
    def state(self, brand: Brand) -> SafeString:
        return state_pill(brand, "Sends")

    @admin.display(description="Hours", ordering="opens")
    def hours(self, brand: Brand) -> str:
        return (
            f"{brand.opens:%H:%M} to {brand.closes:%H:%M}, Sundays from {brand.sunday_opens:%H:%M}"
        )

    @admin.display(description="Messages a day", ordering="daily_cap")
    def cap(self, brand: Brand) -> str:
        return "no cap" if brand.daily_cap is None else f"{brand.daily_cap:,}"


@admin.register(Installation)
class InstallationAdmin(NeverDeleted, Page):
    list_display = ("name", "stopped_at", "persons_per_day", "persons_per_week")
    readonly_fields = ("identity", "is_sandbox", "stopped_at", "system_identifier")
    fieldsets = (
        (
            "What one person may get, from all brands together",
            {"fields": ("persons_per_day", "persons_per_week", "person_gap_minutes")},
        ),
        (
            "This installation",
            {
                "fields": readonly_fields,
                "description": "Set once, when it was made. Everything is stopped and goes on"
                " again by the button at the head of each page.",
            },
        ),
    )
    actions = ("stop_all", "end_the_stop")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="Installation")
    def name(self, installation: Installation) -> str:
        return "Sandbox" if installation.is_sandbox else "Real installation"

    @admin.action(permissions=["change"], description="Stop all sending, replies too")
    def stop_all(self, request: HttpRequest, rows: Rows) -> None:
        self.message_user(request, f"{int(stopping.stop_all())} stopped.")

    @admin.action(permissions=["change"], description="End the stop: send again")
    def end_the_stop(self, request: HttpRequest, rows: Rows) -> None:
        self.message_user(request, f"{int(stopping.end_the_stop())} sending.")


@admin.register(ClockShift)
class ClockShiftAdmin(ReadOnly, Page):
    list_display = ("made", "forward", "ahead")
    fields = ("real_at", "seconds", "total_seconds")
    ordering = ("-id",)

    @admin.display(description="Made at (real time, UTC)", ordering="id")
    def made(self, shift: ClockShift) -> str:
        return f"{shift.real_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="Moved forward by")
    def forward(self, shift: ClockShift) -> str:
        return str(timedelta(seconds=shift.seconds))

    @admin.display(description="Ahead of real time since")
    def ahead(self, shift: ClockShift) -> str:
        return str(timedelta(seconds=shift.total_seconds))
