"""Accounts, numbers and routes. Credentials go in here and never come out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db.models import ForeignKey, Q
from django.forms.models import BaseInlineFormSet, ModelChoiceIterator
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminPasswordWidget

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
from brands.models import Brand, Installation
from brands.paging import Inline, Page, pill
from providers.addresses import AddressRefused, allowed
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber, WeightChange
from providers.registry import ADAPTERS

MICROS = 1_000_000  # of a dollar
STAMPS = ("paused_at", "fault", "resumed_at", "retired_at", "created_at")


def field_name(kind: str, credential: str) -> str:
    return f"{kind}_{credential}"


def names_of(kind: str) -> tuple[str, ...]:
    return (*ADAPTERS[kind].credentials, *ADAPTERS[kind].optional_credentials)


def credential_fields() -> Iterator[tuple[str, forms.Field]]:
    """A field for each credential of each provider; which one is needed is known with the kind."""
    for kind in ADAPTERS:
        for name in names_of(kind):
            widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
            label = name.replace("_", " ").capitalize()
            yield (
                field_name(kind, name),
                forms.CharField(required=False, label=label, widget=widget),
            )


class WriteOnlyCredentials(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    """Empty fields leave what is stored as it is."""

    secrets: Mapping[str, str] | None = None  # None: nothing was typed
    price = forms.DecimalField(
        label="Price of a segment, in dollars",
        min_value=0,
        max_value=10,
        max_digits=8,
        decimal_places=6,
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Such as 0.0079. The forecast before a Start reckons with it.",
    )

    class Meta:
        labels = {
            "base_url": "Address",
            "segments_per_second": "Segments a second, at most",
            "in_flight": "Requests at once, at most",
            "pinned_until": "Weight stays until",
        }
        help_texts = {
            "segments_per_second": "All numbers of the account together. Empty: no limit of its"
            " own.",
            "weight": "Divides messages among the accounts of a route; 0 sends nothing.",
            "in_flight": "Of one worker. A slow provider wants more, a strict one fewer.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["price"] = Decimal(self.instance.price_micros) / MICROS
            for name, secret in self._stored().items():
                if field := self.fields.get(field_name(self.instance.kind, name)):
                    field.help_text = f"Stored, {len(secret)} characters. Empty: it stays."

    def clean_price(self) -> Decimal:
        price = Decimal(self.cleaned_data["price"] or 0)
        self.instance.price_micros = int(price * MICROS)
        return price

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        kind = cleaned.get("kind") or self.instance.kind
        installation = Installation.objects.first()
        if installation is None:
            raise forms.ValidationError("There is no installation yet: run `manage.py set_up`.")
        self.instance.is_simulated = installation.is_sandbox
        self._check_address(cleaned.get("base_url"))
        if kind in ADAPTERS:
            self._read_secrets(kind, cleaned)
        return cleaned

    def _check_address(self, base_url: str | None) -> None:
        try:
            if base_url:
                allowed(base_url, simulated=self.instance.is_simulated)
        except AddressRefused as error:
            self.add_error("base_url", f"This address cannot be used: {error}.")

    def _read_secrets(self, kind: str, cleaned: Mapping[str, Any]) -> None:
        fields = {name: cleaned.get(field_name(kind, name)) for name in names_of(kind)}
        typed = {name: value for name, value in fields.items() if value}
        if self.instance.pk and not typed:
            return
        self.secrets = {**self._stored(), **typed}
        for name in ADAPTERS[kind].credentials:
            if name not in self.secrets:
                self.add_error(field_name(kind, name), "This is needed for the account.")

    def _stored(self) -> Mapping[str, str]:
        try:
            return self.instance.access().secrets if self.instance.pk else {}
        except ImproperlyConfigured:  # sealed with a key that is gone: all must be typed again
            return {}


AccountForm: type[Any] = type("AccountForm", (WriteOnlyCredentials,), dict(credential_fields()))


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
        field_name(kind, name): f"typeof kind === 'undefined' || kind == '{kind}'"
        for kind in ADAPTERS
        for name in names_of(kind)
    }

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [NumberInline] if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        kinds = [obj.kind] if obj else list(ADAPTERS)
        secrets = tuple(
            field_name(kind, name) for kind in kinds if kind in ADAPTERS for name in names_of(kind)
        )
        return (
            (None, {"fields": ("name", "kind", "base_url", "is_simulated")}),
            (
                "Credentials",
                {
                    "fields": secrets,
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
    ) -> tuple[str, ...]:
        return (*(("kind", "inbound_address") if obj else ()), "is_simulated", *STAMPS)

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
        address = f"{settings.PUBLIC_BASE_URL}/webhooks/{account.kind}/{account.pk}/inbound"
        return format_html(
            '<code class="so-wrap">{}</code><br>Set this at the provider as the address of every'
            " number's inbound texts.",
            address,
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
