"""People, their opt-outs and consents, and the rules of states and words."""

from __future__ import annotations

from calendar import day_name
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.validators import EmailValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextInputWidget

from brands.access import Ability
from brands.admin import AddOnly, BrandFilter, ReadOnly, Rows
from brands.paging import BigTable, Page, pill
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
    list_display = ("address", "reachable", "last_message_at", "last_human_at")
    search_fields = ("phone__exact", "email__exact")
    fieldsets = (
        (None, {"fields": ("phone", "email", "carrier", "created_at")}),
        (
            "What keeps messages from them",
            {
                "fields": (
                    *("reachable", "opted_out_at", "held_at", "held_reason"),
                    *("undeliverable_at", "email_undeliverable_at", "sunset_at"),
                ),
                "description": "These hold for every brand. An opt-out ends only when the person"
                " texts START or JOIN, and then for that brand.",
            },
        ),
        ("Signs of life", {"fields": ("last_human_at", "last_message_at", "last_confirmed_at")}),
    )
    readonly_fields = ("reachable",)

    @admin.display(description="Phone or e-mail")
    def address(self, person: Person) -> str:
        return str(person)

    @admin.display(description="May be texted")
    def reachable(self, person: Person) -> SafeString:
        return next((pill(*said) for at, *said in keeping_back(person) if at), pill("Yes", "good"))


def keeping_back(person: Person) -> list[tuple[Any, str, str]]:
    """What may keep messages from a person, the strongest first: since when, words and tone."""
    return [
        (person.opted_out_at, "No: opted out", "bad"),
        (person.undeliverable_at, "No: the address does not work", "bad"),
        (person.held_at, "Not yet: a reply is to be judged", "warn"),
        (person.sunset_at, "No: no sign of life for long", "warn"),
    ]


class OptOutForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    """Takes an address that nobody has yet, too: then it is kept for when somebody brings it."""

    address = forms.CharField(
        label="Phone number or e-mail address",
        max_length=254,
        widget=UnfoldAdminTextInputWidget,
        help_text="Written any way. It binds every brand at once, until the person texts START.",
    )

    class Meta:
        model = OptOutEvent
        fields = ("note",)
        labels = {"note": "Why"}
        help_texts = {"note": "Who asked, and how: such as a letter of 3 March."}

    def clean_address(self) -> str:
        typed: str = self.cleaned_data["address"].strip()
        if "@" in typed:
            address = typed.lower()
            EmailValidator("This is not an e-mail address.")(address)
            return address
        number = phones.parse(typed)
        if isinstance(number, phones.Phone):
            return number.e164
        raise forms.ValidationError(number.reason, code=number.code)


@admin.register(OptOutEvent)
class OptOutEventAdmin(ByAddress, AddOnly, BigTable):
    brand_path = "person__leads__brand__many"
    to_look = Ability.PEOPLE
    list_display = ("person", "how", "note", "at")
    list_filter = ("source",)
    search_fields = ("person__phone__exact", "person__email__exact")
    list_select_related = ("person",)

    def get_fields(self, request: HttpRequest, obj: OptOutEvent | None = None) -> tuple[str, ...]:
        return ("person", "source", "brand", "note", "at") if obj else ("address", "note")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = OptOutForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: OptOutEvent, form: Any, change: bool) -> None:
        person = find_or_make(form.cleaned_data["address"])
        consent.opt_out(with_linked(person), source=OptOutEvent.Source.STAFF, note=obj.note)
        obj.person = person
        obj.pk = Person.objects.values_list("opt_out_event_id", flat=True).get(pk=person.pk)

    def response_add(
        self, request: HttpRequest, obj: OptOutEvent, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Not to the row itself: it may be of a person whom only other brands know."""
        messages.success(request, f"{obj.person} gets nothing from any brand from now on.")
        return redirect("admin:compliance_optoutevent_changelist")

    @admin.display(description="How")
    def how(self, event: OptOutEvent) -> str:
        return event.get_source_display()


def find_or_make(address: str) -> Person:
    """The person of an address in its stored form."""
    people = Person.objects
    if "@" in address:
        return people.get_or_create(email=address)[0]
    return people.get_or_create(phone=address)[0]


def with_linked(person: Person) -> list[int]:
    """The person, and whom a lead names beside them: an opt-out of one goes to both.

    Leads lie above us, so they are found along the relation, not by their model.
    """
    beside = Person.objects.filter(pk=person.pk).values_list("leads__email_person_id", flat=True)
    behind = Person.objects.filter(leads__email_person_id=person.pk).values_list("pk", flat=True)
    return sorted({person.pk, *filter(None, beside), *behind})


@admin.register(ConsentEvent)
class ConsentEventAdmin(ByAddress, ReadOnly, BigTable):
    brand_path = "brand"
    to_look = Ability.PEOPLE
    list_display = ("person", "brand", "how", "agreed_at", "partner_ref")
    list_filter = ("method", BrandFilter)
    search_fields = ("person__phone__exact", "person__email__exact")
    list_select_related = ("person", "brand")
    autocomplete_fields = ("person", "brand")
    fieldsets = (
        (None, {"fields": ("person", "brand", "channel", "method", "agreed_at")}),
        (
            "The proof",
            {
                "fields": ("wording", "page_url", "partner_ref", "ip", "agent"),
                "description": "What the person read when they agreed, and where.",
            },
        ),
    )

    @admin.display(description="How", ordering="method")
    def how(self, event: ConsentEvent) -> str:
        return event.get_method_display()


@admin.register(StateRule)
class StateRuleAdmin(Page):
    list_display = ("state", "day", "hours", "cap", "valid_from", "valid_to")
    list_filter = ("state",)
    search_fields = ("state", "source")
    ordering = ("state", "weekday", "valid_from")
    fieldsets = (
        (None, {"fields": ("state", "weekday", "opens", "closes", "holiday_closed")}),
        ("How often", {"fields": ("cap_count", "cap_hours")}),
        ("Where it stands", {"fields": ("source", "valid_from", "valid_to")}),
    )

    @admin.display(description="Day", ordering="weekday")
    def day(self, rule: StateRule) -> str:
        return day_name[rule.weekday] if rule.weekday < len(day_name) else str(rule.weekday)

    @admin.display(description="Hours")
    def hours(self, rule: StateRule) -> str:
        if rule.opens is None or rule.closes is None:
            return "closed"
        return f"{rule.opens:%H:%M} to {rule.closes:%H:%M}"

    @admin.display(description="At most")
    def cap(self, rule: StateRule) -> str:
        if rule.cap_count is None or rule.cap_hours is None:
            return "no limit of its own"
        return f"{rule.cap_count} in {rule.cap_hours} hours"


@admin.register(ClosedDay)
class ClosedDayAdmin(Page):
    list_display = ("on", "name", "where")
    list_filter = ("state",)
    search_fields = ("name",)
    ordering = ("on", "state")

    @admin.display(description="Where", ordering="state")
    def where(self, day: ClosedDay) -> str:
        return day.state or "everywhere"


@admin.register(Keyword)
class KeywordAdmin(Page):
    brand_path = "brand"
    to_change = Ability.MANAGE
    list_display = ("word", "means", "brand")
    list_filter = ("label", BrandFilter)
    search_fields = ("word",)
    list_select_related = ("brand",)
    autocomplete_fields = ("brand",)

    @admin.display(description="Is read as", ordering="label")
    def means(self, keyword: Keyword) -> str:
        return keyword.get_label_display()
