"""People, their opt-outs and consents, and the rules of states and words."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from brands.access import Ability
from brands.admin import AddOnly, ReadOnly, Rows
from brands.paging import BigTable, Page
from compliance import consent, phones
from compliance.models import (
    ClosedDay,
    ConsentEvent,
    Keyword,
    OptOutEvent,
    Person,
    StateRule,
)

SEARCH_HELP = "A whole phone number or e-mail address"


def as_address(typed: str) -> str:
    """What was typed, in the form it is stored in: E.164, or an e-mail address in lower case."""
    number = phones.parse(typed)
    return number.e164 if isinstance(number, phones.Phone) else typed.strip().lower()


class ByAddress(Page):
    """Finds people by a whole phone number or address, so that an index can answer."""

    search_help_text = SEARCH_HELP

    def get_search_results(
        self, request: HttpRequest, queryset: Rows, search_term: str
    ) -> tuple[Rows, bool]:
        return super().get_search_results(request, queryset, as_address(search_term))


@admin.register(Person)
class PersonAdmin(ByAddress, ReadOnly, BigTable):
    brand_path = "leads__brand__many"
    to_look = Ability.PEOPLE
    list_display = ("id", "phone", "email", "opted_out_at", "held_at", "last_message_at")
    search_fields = ("phone__exact", "email__exact")
    fieldsets = (
        (None, {"fields": ("phone", "email", "carrier", "created_at")}),
        (
            "What keeps messages from them",
            {
                "fields": (
                    *("opted_out_at", "opt_out_event_id", "held_at", "held_reason"),
                    *("undeliverable_at", "sunset_at"),
                )
            },
        ),
        ("Signs of life", {"fields": ("last_human_at", "last_message_at", "last_confirmed_at")}),
    )


@admin.register(OptOutEvent)
class OptOutEventAdmin(ByAddress, AddOnly, BigTable):
    brand_path = "person__leads__brand__many"
    to_look = Ability.PEOPLE
    list_display = ("id", "person", "source", "brand", "note", "at")
    list_filter = ("source",)
    search_fields = ("person__phone__exact", "person__email__exact")
    list_select_related = ("person", "brand")
    autocomplete_fields = ("person",)

    def get_fields(self, request: HttpRequest, obj: OptOutEvent | None = None) -> tuple[str, ...]:
        return ("person", "source", "brand", "note", "at") if obj else ("person", "note")

    def save_model(self, request: HttpRequest, obj: OptOutEvent, form: Any, change: bool) -> None:
        consent.opt_out([obj.person_id], source=OptOutEvent.Source.STAFF, note=obj.note)
        obj.pk = Person.objects.values_list("opt_out_event_id", flat=True).get(pk=obj.person_id)


@admin.register(ConsentEvent)
class ConsentEventAdmin(ByAddress, AddOnly, BigTable):
    brand_path = "brand"
    to_look = Ability.PEOPLE
    list_display = ("id", "person", "brand", "channel", "method", "agreed_at")
    list_filter = ("method",)
    search_fields = ("person__phone__exact", "person__email__exact")
    list_select_related = ("person", "brand")
    autocomplete_fields = ("person", "brand")


@admin.register(StateRule)
class StateRuleAdmin(Page):
    list_display = ("state", "weekday", "opens", "closes", "cap_count", "cap_hours", "valid_from")
    list_filter = ("state", "weekday")
    search_fields = ("state", "source")
    ordering = ("state", "weekday", "valid_from")


@admin.register(ClosedDay)
class ClosedDayAdmin(Page):
    list_display = ("on", "state", "name")
    list_filter = ("state",)
    search_fields = ("name",)
    ordering = ("on", "state")


@admin.register(Keyword)
class KeywordAdmin(Page):
    brand_path = "brand"
    to_change = Ability.MANAGE
    list_display = ("word", "label", "brand")
    list_filter = ("label", "brand")
    search_fields = ("word",)
    list_select_related = ("brand",)
    autocomplete_fields = ("brand",)
