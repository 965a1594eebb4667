"""What numbers and routes must be, and which numbers a route may have, said beside the fields.

It decides nothing about sending; whoever may open the page was asked before.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import validate_email
from django.forms.models import BaseInlineFormSet

from brands.models import Brand
from providers.models import MOST, Channel, ProviderAccount, Route, SenderNumber
from providers.number_admin import WarmingForm
from providers.registry import ADAPTERS, adapter


class NumberForm(WarmingForm):
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

    def clean_segments_per_second(self) -> float:
        """Beyond what the database can reckon with, one number would stop them all."""
        speed: float = self.cleaned_data["segments_per_second"]
        if speed > MOST:
            raise forms.ValidationError(f"At most {MOST:,}.")
        return speed

    def clean(self) -> dict[str, Any] | None:
        """An e-mail sender is an address, on an account that sends e-mail, on routes of e-mail."""
        cleaned = super().clean() or {}
        kind = cleaned.get("kind")
        account = cleaned.get("account") or (self.instance.account if self.instance.pk else None)
        if kind and account and account.kind in ADAPTERS:
            for name, words in _wrong_kind(self.instance, kind, account).items():
                self.add_error(name, words)
        if kind == SenderNumber.Kind.EMAIL and (value := cleaned.get("value")):
            try:
                validate_email(value)
            except forms.ValidationError:
                words = "This is not an e-mail address; write it like jobs@mail.example.com."
                self.add_error("value", words)
        return cleaned


def _wrong_kind(number: SenderNumber, kind: str, account: ProviderAccount) -> dict[str, str]:
    """What speaks against a number of this kind there, by field."""
    wanted = SenderNumber(kind=kind).channel
    carried = Channel(adapter(account.kind, account.definition).channel)
    if wanted != carried:
        fits = "an e-mail sender" if carried == Channel.EMAIL else "a number of another kind"
        sends = "e-mail" if carried == Channel.EMAIL else "text messages"
        return {"kind": f"{account} sends {sends}: choose {fits}, or another account."}
    others = Route.objects.filter(numbers__number=number.pk, retired_at=None)
    if number.pk and (other := others.exclude(channel=wanted).first()):
        return {"kind": f"The route {other} is for {_carried(other)}: take it off there first."}
    return {}


def _carried(route: Route) -> str:
    return "e-mail" if route.channel == Channel.EMAIL else "text messages"


class RouteForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    def clean(self) -> dict[str, Any] | None:
        """One default for each brand and channel, be they fixed on this page or chosen on it."""
        cleaned = super().clean() or {}
        brand = cleaned.get("brand") or (self.instance.brand if self.instance.pk else None)
        channel = cleaned.get("channel") or self.instance.channel
        if brand and cleaned.get("is_default"):
            others = Route.objects.filter(brand=brand, channel=channel, is_default=True)
            if other := others.exclude(pk=self.instance.pk).first():
                sent = _carried(other)
                words = f"{other} is the default for {sent} of {brand}: take the mark off it first."
                self.add_error("is_default", words)
        return cleaned


class OwnNumbers(BaseInlineFormSet):  # type: ignore[type-arg] # generic for the checker only
    """A route uses its brand's own numbers and those of nobody in particular, of its channel."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            number = form.cleaned_data.get("number") if form.is_valid() else None
            if number and number.brand_id not in (None, self.instance.brand_id):
                form.add_error("number", f"{number} belongs to {number.brand}.")
            elif number and not self.instance.carries(number):
                is_a = "an e-mail sender" if number.channel == Channel.EMAIL else "no e-mail sender"
                words = f"{number} is {is_a}, and this route is for {_carried(self.instance)}."
                form.add_error("number", words)
