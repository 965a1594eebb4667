"""Accounts, numbers and routes. Credentials go in here and never come out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db.models import ForeignKey, Q
from django.forms.models import BaseInlineFormSet, ModelChoiceIterator
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from brands import access, clock
from brands.access import Ability
from brands.admin import (
    BrandFilter,
    NeverDeleted,
    PausedFilter,
    ReadOnly,
    RetiredFilter,
    Rows,
    bring_back,
    change_rows,
    lines,
    pause,
    retire,
    retire_and_pause,
    state_pill,
)
from brands.braking import Braked
from brands.models import Brand
from brands.paging import Inline, Page, pill
from providers.account_form import MICROS, SECRETS, AccountForm, field_name, names_of
from providers.declared import GENERIC
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber, WeightChange
from providers.registry import ADAPTERS, adapter
from providers.webhook_urls import inbound_url

STAMPS = ("paused_at", "fault", "resumed_at", "retired_at", "created_at")


@admin.action(permissions=["change"], description="Resume sending, its faults forgiven")
def forgive(page: Any, request: HttpRequest, rows: Rows) -> None:
    stamps = {"paused_at": None, "fault": "", "resumed_at": clock.now()}
    change_rows(page, request, rows.exclude(paused_at=None, fault=""), "resumed", **stamps)


class Forgiving(Braked):
    """Who resumes an account or a number forgives the fault that paused it."""

    def stamps(self, does: str, now: datetime) -> Mapping[str, Any]:
        forgiven = {"fault": "", "resumed_at": now} if does == "resume" else {}
        return {**super().stamps(does, now), **forgiven}


def working_pill(row: Any) -> SafeString:
    """The state of an account or a number, with what the provider said when it refused it."""
    if row.paused_at and row.fault:
        return pill(f"Refused: {row.fault}", "bad")
    rests_until = getattr(row, "rests_until", None)
    if not row.paused_at and not row.retired_at and rests_until and rests_until > clock.now():
        return pill(f"Rests until {rests_until:%H:%M:%S} UTC", "info")
    return state_pill(row, "Works")


class NumberInline(ReadOnly, Inline):
    model = SenderNumber
    fields = ("value", "kind", "brand", "segments_per_second", "state")
    readonly_fields = fields
    show_change_link = True
    verbose_name_plural = "Its numbers"

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).select_related("brand")

    @admin.display(description="State")
    def state(self, number: SenderNumber) -> SafeString:
        return working_pill(number)


def evidence_fields() -> dict[str, Callable[[ProviderAccount], str]]:
    """What is assumed of each provider that says so, for who is about to choose it."""

    def field(kind: str) -> Callable[[ProviderAccount], str]:
        def read(_: ProviderAccount) -> str:
            return ADAPTERS[kind].evidence

        read.__name__ = f"evidence_{kind}"
        return admin.display(description="What is assumed")(read)

    return {kind: field(kind) for kind in ADAPTERS if ADAPTERS[kind].evidence}


EVIDENCE = evidence_fields()


@admin.register(ProviderAccount)
class ProviderAccountAdmin(NeverDeleted, Forgiving):
    form = AccountForm
    list_display = ("name", "kind", "state", "price_read", "rate", "weight")
    list_filter = (PausedFilter, RetiredFilter, "kind")
    search_fields = ("name",)
    ordering = ("name",)
    actions = (pause, forgive, retire_and_pause, bring_back)
    # A stored account's kind is no field any more: then only its own credentials are on the page.
    conditional_fields = {
        name: f"typeof kind === 'undefined' || kind == '{kind}'"
        for kind in ADAPTERS
        for name in (
            *(field_name(kind, credential) for credential in names_of(kind)),
            f"evidence_{kind}",
            *(("definition", SECRETS) if kind == GENERIC else ()),
        )
    }

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [NumberInline] if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        kinds = [kind for kind in ADAPTERS if obj is None or kind == obj.kind]
        secrets = tuple(field_name(kind, name) for kind in kinds for name in names_of(kind))
        own = ("definition", SECRETS) if GENERIC in kinds else ()
        return (
            (None, {"fields": ("name", "kind", *self._evidence(obj), "base_url", "is_simulated")}),
            (
                "Credentials",
                {
                    "fields": (*own, *secrets),
                    "description": "Stored encrypted and never shown again. Choose the kind first.",
                },
            ),
            *([("What comes back", {"fields": ("inbound_address",)})] if obj else []),
            ("Limits", {"fields": ("segments_per_second", "in_flight")}),
            ("Price and weight", {"fields": ("price", "weight", "pinned_until")}),
            *([("State", {"fields": STAMPS})] if obj else []),
        )

    def get_readonly_fields(
        self, request: HttpRequest, obj: ProviderAccount | None = None
    ) -> tuple[Any, ...]:
        known = ("kind", "inbound_address") if obj else ()
        return (*known, *self._evidence(obj), "is_simulated", *STAMPS)

    def _evidence(self, obj: ProviderAccount | None) -> tuple[Any, ...]:
        """What is assumed: of an account by its own words, of a new one by the kind's."""
        if obj is None:
            return tuple(EVIDENCE.values())
        is_known = obj.kind in ADAPTERS
        return ("evidence",) if is_known and adapter(obj.kind, obj.definition).evidence else ()

    @admin.display(description="What is assumed")
    def evidence(self, account: ProviderAccount) -> str:
        return adapter(account.kind, account.definition).evidence

    @admin.display(description="State")
    def state(self, account: ProviderAccount) -> SafeString:
        return working_pill(account)

    @admin.display(description="Price of a segment", ordering="price_micros")
    def price_read(self, account: ProviderAccount) -> str:
        return f"${account.price_micros / MICROS:.4f}"

    @admin.display(description="Segments a second", ordering="segments_per_second")
    def rate(self, account: ProviderAccount) -> str:
        limit = account.segments_per_second
        return "no limit of its own" if limit is None else f"{limit:,g}"

    @admin.display(description="Where people's texts go")
    def inbound_address(self, account: ProviderAccount) -> SafeString:
        try:
            address = inbound_url(account.access(), account.pk)
        except ImproperlyConfigured:
            return format_html("{}", "Type the credentials again: they cannot be read any more.")
        asked = adapter(account.kind, account.definition).asks_for_reports
        reports = "" if asked else " and of its delivery reports, if it has any"
        return format_html(
            '<code class="so-wrap">{}</code><br>Set this at the provider as the address of every'
            " number's inbound texts{}.",
            address,
            reports,
        )

    def changed_columns(self, form: Any) -> set[str]:
        sealed = {"sealed_credentials"} if form.secrets is not None else set()
        price = {"price_micros"} if "price" in form.changed_data else set()
        return super().changed_columns(form) | sealed | price

    def save_model(
        self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool
    ) -> None:
        if form.secrets is not None:
            obj.seal(form.secrets)
        super().save_model(request, obj, form, change)
        if change and "weight" in form.changed_data:
            WeightChange.objects.create(
                account=obj,
                before=form.initial["weight"],
                after=obj.weight,
                reason=f"Set by {request.user.get_username()}",
            )


class NumberForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    def clean_brand(self) -> Brand | None:
        """A number that goes to another brand would go on sending for the first one's routes."""
        brand: Brand | None = self.cleaned_data["brand"]
        routes = Route.objects.filter(numbers__number=self.instance.pk, retired_at=None)
        others = routes.exclude(brand=brand) if brand and self.instance.pk else routes.none()
        if other := others.select_related("brand").first():
            raise forms.ValidationError(
                f"{other.brand} sends by it, on the route {other}: take it off that route first.",
                code="used_by_another",
            )
        return brand


@admin.register(SenderNumber)
class SenderNumberAdmin(NeverDeleted, Forgiving):
    form = NumberForm
    brand_path = "brand"
    to_brake = Ability.MANAGE
    to_change = Ability.MANAGE
    list_display = ("value", "state", "account", "brand", "kind", "rate")
    list_filter = (PausedFilter, RetiredFilter, "kind", BrandFilter)
    search_fields = ("value",)
    list_select_related = ("account", "brand")
    ordering = ("value",)
    autocomplete_fields = ("account", "brand")
    fieldsets = (
        (
            None,
            {
                "fields": ("account", "value", "kind", "brand", "segments_per_second"),
                "description": "A number belongs to one account. Without a brand, the routes of"
                " all brands may use it.",
            },
        ),
        (
            "Replies",
            {
                "fields": ("sends_stop_reply", "sends_help_reply"),
                "description": "Tick what the provider answers by itself, so that people are not"
                " answered twice.",
            },
        ),
        ("State", {"fields": ("health_read", "rests_until", "paused_at", "fault")}),
        ("Times", {"fields": ("resumed_at", "retired_at")}),
    )
    actions = (pause, forgive, retire_and_pause, bring_back)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access.may(request.user, Ability.OWN, None)

    def get_readonly_fields(
        self, request: HttpRequest, obj: SenderNumber | None = None
    ) -> tuple[str, ...]:
        stamps = ("health_read", "rests_until", "paused_at", "fault", "resumed_at", "retired_at")
        owned = () if self.has_add_permission(request) else ("brand", "segments_per_second")
        return (*(("account", "value", *owned) if obj else ()), *stamps)

    @admin.display(description="State")
    def state(self, number: SenderNumber) -> SafeString:
        return working_pill(number)

    @admin.display(description="Segments a second", ordering="segments_per_second")
    def rate(self, number: SenderNumber) -> str:
        return f"{number.segments_per_second:,g}"

    @admin.display(description="Health")
    def health_read(self, number: SenderNumber) -> str:
        return lines(number.health)


def offered_numbers(request: HttpRequest) -> Rows:
    """Numbers of the user's brands, and those that every brand may use."""
    ids = access.brand_ids(request.user, Ability.MANAGE)
    mine = Q() if ids is None else Q(brand=None) | Q(brand__in=ids)
    return SenderNumber.objects.filter(mine).select_related("account").order_by("value")


class OwnNumbers(BaseInlineFormSet):  # type: ignore[type-arg] # generic for the checker only
    """A route uses its brand's own numbers and those of nobody in particular."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            number = form.cleaned_data.get("number") if form.is_valid() else None
            if number and number.brand_id not in (None, self.instance.brand_id):
                form.add_error("number", f"{number} belongs to {number.brand}.")


class RouteNumberInline(Inline):
    model = RouteNumber
    formset = OwnNumbers
    fields = ("number", "order", "weight")

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).select_related("number")

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field and db_field.name == "number":
            field.queryset = offered_numbers(request)
            field.choices = list(ModelChoiceIterator(field))  # read once, not again for each row
        return field


@admin.register(Route)
class RouteAdmin(NeverDeleted, Page):
    brand_path = "brand"
    to_change = Ability.MANAGE
    list_display = ("name", "brand", "use", "shares", "state")
    list_filter = (RetiredFilter, BrandFilter)
    search_fields = ("name", "brand__name")
    list_select_related = ("brand",)
    ordering = ("brand__name", "name")
    autocomplete_fields = ("brand",)
    fieldsets = (
        (
            None,
            {
                "fields": ("brand", "name", "is_default", "shares", "retired_at"),
                "description": "The numbers that messages go out by. Lower order goes first, and"
                " only when none of it can send the next one takes over; within one order the"
                " weights divide the messages. Whoever heard a brand from a number keeps it.",
            },
        ),
    )
    inlines = (RouteNumberInline,)
    actions = (retire, bring_back)

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).prefetch_related("numbers__number__account")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Route | None = None
    ) -> tuple[str, ...]:
        return (*(("brand",) if obj else ()), "shares", "retired_at")

    @admin.display(description="Used", ordering="is_default")
    def use(self, route: Route) -> str:
        return "by default" if route.is_default else "where it is chosen"

    @admin.display(description="State")
    def state(self, route: Route) -> SafeString:
        return pill("Retired") if route.retired_at else pill("In use", "good")

    @admin.display(description="Who sends how much")
    def shares(self, route: Route) -> str:
        return shares_in_words(route) or "Nobody: it has no number yet."


def shares_in_words(route: Route) -> str:
    """The share of each number, order by order, as long as all of them work."""
    parts = []
    rows = list(route.numbers.all()) if route.pk else []
    for order in sorted({row.order for row in rows}):
        same = [row for row in rows if row.order == order]
        total = sum(row.weight for row in same) or 1
        named = (f"{row.number.value} {100 * row.weight / total:.0f} %" for row in same)
        parts.append(", ".join(named))
    return "; then ".join(parts)


@admin.register(WeightChange)
class WeightChangeAdmin(ReadOnly, Page):
    list_display = ("at", "account", "before", "after", "reason")
    list_filter = ("account",)
    list_select_related = ("account",)
    ordering = ("-id",)
