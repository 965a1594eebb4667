"""Accounts, numbers and routes. Credentials go in here and never come out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db.models import ForeignKey
from django.forms.models import BaseInlineFormSet, ModelChoiceIterator
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminPasswordWidget

from brands import clock
from brands.access import Ability
from brands.admin import (
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
)
from brands.braking import Braked
from brands.models import Installation
from brands.paging import Inline, Page
from providers.addresses import AddressRefused, allowed
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber, WeightChange
from providers.registry import ADAPTERS


def field_name(kind: str, credential: str) -> str:
    return f"{kind}-{credential}"


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


@admin.register(ProviderAccount)
class ProviderAccountAdmin(NeverDeleted, Forgiving):
    form = AccountForm
    list_display = ("name", "kind", "is_simulated", "weight", "in_flight", "paused_at", "fault")
    list_filter = (PausedFilter, RetiredFilter, "kind")
    search_fields = ("name",)
    actions = (pause, forgive, retire_and_pause, bring_back)

    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        secrets = [
            (f"Credentials of {ADAPTERS[kind].label}", {"fields": names})
            for kind in ([obj.kind] if obj else ADAPTERS)
            if kind in ADAPTERS and (names := [field_name(kind, n) for n in names_of(kind)])
        ]
        return (
            (None, {"fields": ("name", "kind", "base_url", "is_simulated", "created_at")}),
            *secrets,
            *([("What comes back", {"fields": ("inbound_address",)})] if obj else []),
            ("Limits", {"fields": ("segments_per_second", "in_flight")}),
            ("Price and weight", {"fields": ("price_micros", "weight", "pinned_until")}),
            ("State", {"fields": ("paused_at", "fault", "resumed_at", "retired_at")}),
        )

    def get_readonly_fields(
        self, request: HttpRequest, obj: ProviderAccount | None = None
    ) -> tuple[str, ...]:
        stamps = ("created_at", "paused_at", "fault", "resumed_at", "retired_at")
        return (*(("kind", "inbound_address") if obj else ()), "is_simulated", *stamps)

    @admin.display(description="Where people's texts go")
    def inbound_address(self, account: ProviderAccount) -> str:
        address = f"{settings.PUBLIC_BASE_URL}/webhooks/{account.kind}/{account.pk}/inbound"
        return (
            f"{address} (set this at the provider as the address of every number's inbound texts)"
        )

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


@admin.register(SenderNumber)
class SenderNumberAdmin(NeverDeleted, Forgiving):
    to_brake = Ability.MANAGE
    brand_path = "brand"
    to_change = Ability.MANAGE
    list_display = (
        *("value", "account", "brand", "kind", "segments_per_second"),
        *("rests_until", "paused_at", "fault"),
    )
    list_filter = (PausedFilter, RetiredFilter, "kind", "account", "brand")
    search_fields = ("value",)
    list_select_related = ("account", "brand")
    autocomplete_fields = ("account", "brand")
    fieldsets = (
        (None, {"fields": ("account", "value", "kind", "brand", "segments_per_second")}),
        ("Replies", {"fields": ("sends_stop_reply", "sends_help_reply")}),
        ("State", {"fields": ("health_read", "rests_until", "paused_at", "fault")}),
        ("Times", {"fields": ("resumed_at", "retired_at")}),
    )
    actions = (pause, forgive, retire_and_pause, bring_back)

    def get_readonly_fields(
        self, request: HttpRequest, obj: SenderNumber | None = None
    ) -> tuple[str, ...]:
        stamps = ("health_read", "rests_until", "paused_at", "fault", "resumed_at", "retired_at")
        return (*(("account", "value") if obj else ()), *stamps)

    @admin.display(description="Health")
    def health_read(self, number: SenderNumber) -> str:
        return lines(number.health)


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

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field and db_field.name == "number":
            field.queryset = field.queryset.select_related("account").order_by("value")
            field.choices = list(ModelChoiceIterator(field))  # read once, not again for each row
        return field


@admin.register(Route)
class RouteAdmin(NeverDeleted, Page):
    brand_path = "brand"
    to_change = Ability.MANAGE
    list_display = ("name", "brand", "is_default", "channel", "retired_at")
    list_filter = (RetiredFilter, "brand")
    search_fields = ("name", "brand__name")
    list_select_related = ("brand",)
    autocomplete_fields = ("brand",)
    fields = ("brand", "name", "is_default", "channel", "retired_at")
    inlines = (RouteNumberInline,)
    actions = (retire, bring_back)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Route | None = None
    ) -> tuple[str, ...]:
        return (*(("brand",) if obj else ()), "retired_at")


@admin.register(WeightChange)
class WeightChangeAdmin(ReadOnly, Page):
    list_display = ("at", "account", "before", "after", "reason")
    list_filter = ("account",)
    list_select_related = ("account",)
    ordering = ("-id",)
