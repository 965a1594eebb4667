"""Accounts, numbers and routes. Credentials go in here and never come out again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import ImproperlyConfigured
from django.db.models import DateTimeField, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from brands import access, clock
from brands.access import Ability
from brands.admin import (
    BrandAdmin,
    BrandFilter,
    NeverDeleted,
    PausedFilter,
    ReadOnly,
    RetiredFilter,
    Rows,
    bring_back,
    change_rows,
    pause,
    retire_and_pause,
)
from brands.braking import Braked
from brands.models import Brand
from brands.paging import Inline, Page
from providers import route_admin  # noqa: F401 - it registers its own
from providers.account_form import (
    EVIDENCE,
    MICROS,
    SECRETS,
    SLOW,
    AccountForm,
    field_name,
    names_of,
    options_of,
    reached,
)
from providers.base import Channel
from providers.declared import GENERIC
from providers.limit_admin import AccountLimits, BrandLimits, NumberLimits, WithLimits
from providers.models import ProviderAccount, SenderNumber, WeightChange
from providers.number_admin import WARMING, Cared, end_rest, working_pill
from providers.reach import Reach
from providers.registry import ADAPTERS, adapter
from providers.route_forms import NumberForm
from providers.webhook_urls import inbound_url
from providers.weight_admin import (
    full_weight,
    history,
    note_change,
    pinned_anew,
    weight_now,
    weight_pill,
)

BLOCKS = {
    "fields": ("blocks_least", "blocks_percent", "block_rest_hours"),
    "description": "Where carriers block too many of a number's messages, it rests, and the other"
    " numbers of the route send what waits for it. It goes on answering people.",
}
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
class ProviderAccountAdmin(WithLimits, NeverDeleted, Forgiving):
    limit_inline = AccountLimits
    form = AccountForm
    list_display = ("name", "kind", "state", "price_read", "rate", "weight", "weighs")
    list_filter = (PausedFilter, RetiredFilter, "halves", "kind")
    search_fields = ("name",)
    ordering = ("name",)
    actions = (pause, forgive, retire_and_pause, bring_back)
    # A stored account's kind is no field any more: then only its own credentials are on the page.
    conditional_fields = {
        name: f"typeof kind === 'undefined' || kind == '{kind}'"
        for kind in ADAPTERS
        for name in (
            *(field_name(kind, credential) for credential in names_of(kind)),
            *options_of(kind),
            f"evidence_{kind}",
            *(("definition", SECRETS) if kind == GENERIC else ()),
        )
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        accounts = super().get_queryset(request)
        seen: QuerySet[Any] = accounts.annotate(looked_at=Value(clock.now(), DateTimeField()))
        return seen

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [NumberInline, AccountLimits] if obj else []

    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        kinds = [kind for kind in ADAPTERS if obj is None or kind == obj.kind]
        secrets = tuple(field_name(kind, name) for kind in kinds for name in names_of(kind))
        own = ("definition", SECRETS) if GENERIC in kinds else ()
        options = tuple(name for kind in kinds for name in options_of(kind))
        ways = ("base_url", "is_simulated", *options)
        return (
            (None, {"fields": ("name", "kind", *self._evidence(obj), *ways)}),
            (
                "Credentials",
                {
                    "fields": (*own, *secrets),
                    "description": "Stored encrypted and never shown again. Choose the kind first.",
                },
            ),
            *([("What comes back", {"fields": ("inbound_address",)})] if obj else []),
            ("Limits", {"fields": ("segments_per_second", "in_flight")}),
            *self.limit_fieldsets(request, obj),
            ("Carrier blocks", BLOCKS),
            (
                "Price and weight",
                {
                    "fields": (
                        *("price", "weight"),
                        *(("weighs_because",) if obj else ()),
                        "pinned_until",
                        *(("weight_history",) if obj else ()),
                    )
                },
            ),
            *([("State", {"fields": STAMPS})] if obj else []),
        )

    def get_readonly_fields(
        self, request: HttpRequest, obj: ProviderAccount | None = None
    ) -> tuple[Any, ...]:
        known = ("kind", "inbound_address", "weighs_because", "weight_history") if obj else ()
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

    @admin.display(description="Of its weight it gets", ordering="halves")
    def weighs(self, account: ProviderAccount) -> SafeString:
        return weight_pill(account, account.looked_at)  # type: ignore[attr-defined]

    @admin.display(description="Of its weight it gets")
    def weighs_because(self, account: ProviderAccount) -> SafeString:
        return weight_now(account)

    @admin.display(description="What moved it")
    def weight_history(self, account: ProviderAccount) -> SafeString:
        return history(account)

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
        speaks = adapter(account.kind, account.definition)
        if speaks.channel is Channel.EMAIL:
            return format_html(
                '<code class="so-wrap">{}</code><br>Let the mail server of the bounce domain post'
                " here, as it came, all mail to b+…, to unsubscribe+… and to the address of"
                " complaints:<br>"
                '<code class="so-wrap">{}</code>',
                address,
                f'curl -fsS -H "Content-Type: message/rfc822" --data-binary @- "{address}"'
                " || exit 75",
            )
        asked = speaks.asks_for_reports
        reports = "" if asked else " and of its delivery reports, if it has any"
        return format_html(
            '<code class="so-wrap">{}</code><br>Set this at the provider as the address of every'
            " number's inbound texts{}.",
            address,
            reports,
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A new address is tried before all else, for no transaction may wait for a provider."""
        stored = self.get_object(request, unquote(object_id)) if object_id else None
        url = request.POST.get("base_url", "") * self.has_change_permission(request, stored)
        request.reached = reached(url, stored)  # type: ignore[attr-defined]
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.reached = getattr(request, "reached", None)
        return form

    def changed_columns(self, form: Any) -> set[str]:
        sealed = {"sealed_credentials"} if form.secrets is not None else set()
        price = {"price_micros"} if "price" in form.changed_data else set()
        weight = set(full_weight(clock.now())) if pinned_anew(form) else set()
        has_chosen = any("_option_" in name for name in form.changed_data)
        options = {"options"} if has_chosen else set()
        return super().changed_columns(form) | sealed | price | weight | options

    def save_model(
        self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool
    ) -> None:
        if form.secrets is not None:
            obj.seal(form.secrets)
        halves = obj.halves
        if pinned_anew(form):
            for column, value in full_weight(clock.now()).items():
                setattr(obj, column, value)
        super().save_model(request, obj, form, change)
        if form.reached is Reach.UNSURE:
            self.message_user(request, SLOW, messages.WARNING)
        if change:
            note_change(obj, form, halves, request.user.get_username())


@admin.register(SenderNumber)
class SenderNumberAdmin(WithLimits, NeverDeleted, Forgiving, Cared):
    limit_inline = NumberLimits
    form = NumberForm
    brand_path = "brand"
    to_brake = Ability.MANAGE
    to_change = Ability.MANAGE
    list_display = ("value", "state", "health_brief", "account", "brand", "kind", "rate")
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
        (
            "Warm-up",
            {
                "fields": ("speed_read", *WARMING),
                "description": "Carriers look twice at a new number that sends a lot at once. While"
                " it warms up, a number sends slower and only so much a day; what it cannot send,"
                " the other numbers of the route do.",
            },
        ),
        ("State", {"fields": ("health_read", "rest_read", "paused_at", "fault")}),
        ("Times", {"fields": ("resumed_at", "retired_at")}),
    )
    actions = (pause, forgive, end_rest, retire_and_pause, bring_back)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access.may(request.user, Ability.OWN, None)

    def get_readonly_fields(
        self, request: HttpRequest, obj: SenderNumber | None = None
    ) -> tuple[str, ...]:
        reads = ("health_read", "rest_read", "speed_read")
        stamps = (*reads, "paused_at", "fault", "resumed_at", "retired_at")
        is_owner = self.has_add_permission(request)
        owned = () if is_owner else ("brand", "segments_per_second", *WARMING)
        return (*(("account", "value", *owned) if obj else ()), *stamps)


@admin.register(WeightChange)
class WeightChangeAdmin(ReadOnly, Page):
    list_display = ("at", "account", "moved", "reason")
    list_filter = ("account",)
    list_select_related = ("account",)
    ordering = ("-id",)

    @admin.display(description="Weight")
    def moved(self, change: WeightChange) -> str:
        return change.moved


admin.site.unregister(Brand)


@admin.register(Brand)
class LimitedBrandAdmin(WithLimits, BrandAdmin):
    """The page of a brand; what it may send by which numbers is known from here on only."""

    limit_inline = BrandLimits
