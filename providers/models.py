"""Accounts with providers, their sender numbers, and the routes that use them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from brands.clock import database_now
from brands.models import Brand
from providers.base import Access
from providers.registry import adapter_choices


def vault() -> MultiFernet:
    """The keys of CREDENTIAL_KEYS; the first encrypts, all decrypt."""
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])


def new_key() -> str:
    """What nobody guesses: 43 characters of A-Z a-z 0-9 _ -."""
    return secrets.token_urlsafe(32)


class ProviderAccount(models.Model):
    """An account with a provider: credentials, limits, price and weight."""

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=20, choices=adapter_choices)
    base_url = models.URLField(
        blank=True, help_text="https://… of the provider; no path. Empty: its usual one."
    )
    webhook_key = models.CharField(max_length=43, default=new_key, editable=False)
    definition = models.TextField(
        blank=True, help_text="How to speak to a provider that is not in the list, as JSON."
    )
    sealed_credentials = models.BinaryField(default=b"", editable=False)
    is_simulated = models.BooleanField(
        default=False, help_text="A sandbox has simulated accounts only; others have none."
    )
    segments_per_second = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.01)]
    )
    in_flight = models.PositiveIntegerField(
        default=256, validators=[MinValueValidator(1)], help_text="Requests at once, per process."
    )
    price_micros = models.PositiveIntegerField(
        default=0, help_text="Price of a segment in millionths of a dollar."
    )
    weight = models.PositiveSmallIntegerField(default=100)
    pinned_until = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    fault = models.CharField(
        max_length=60, blank=True, editable=False, help_text="The provider's code that paused it."
    )
    resumed_at = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="account_rate_is_positive",
                condition=Q(segments_per_second__isnull=True) | Q(segments_per_second__gt=0),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def seal(self, credentials: Mapping[str, str]) -> None:
        """Encrypt the credentials into this row; the caller saves it."""
        self.sealed_credentials = vault().encrypt(json.dumps(dict(credentials)).encode())

    def access(self) -> Access:
        """What an adapter needs to use this account. Raises ImproperlyConfigured when it cannot."""
        try:
            credentials = json.loads(vault().decrypt(bytes(self.sealed_credentials)))
        except InvalidToken as error:
            raise ImproperlyConfigured(
                f"the credentials of account {self.name!r} cannot be read with CREDENTIAL_KEYS"
            ) from error
        return Access(
            kind=self.kind,
            base_url=self.base_url,
            secrets=credentials,
            simulated=self.is_simulated,
            definition=self.definition,
            webhook_key=self.webhook_key,
        )


class SenderNumber(models.Model):
    """A lane: one sender on exactly one account, with its own throughput."""

    class Kind(models.TextChoices):
        LONG_CODE = "long_code", "Long code (10DLC)"
        TOLL_FREE = "toll_free", "Toll-free"
        SHORT_CODE = "short_code", "Short code"
        ALPHANUMERIC = "alphanumeric", "Alphanumeric sender"
        SERVICE = "service", "Messaging service"
        EMAIL = "email", "E-mail sender"

    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="numbers")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, null=True, blank=True)
    value = models.CharField(max_length=100, help_text="E.164, short code, name or address.")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.LONG_CODE)
    segments_per_second = models.FloatField(default=1.0, validators=[MinValueValidator(0.01)])
    sends_stop_reply = models.BooleanField(
        default=False, help_text="The provider answers STOP itself; we stay silent."
    )
    sends_help_reply = models.BooleanField(default=False)
    health = models.JSONField(default=dict, blank=True)
    rests_until = models.DateTimeField(null=True, blank=True)
    fault = models.CharField(max_length=60, blank=True, editable=False)
    paused_at = models.DateTimeField(null=True, blank=True)
    resumed_at = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_lane_per_account_and_number", fields=["account", "value"]
            ),
            models.CheckConstraint(
                name="number_rate_is_positive", condition=Q(segments_per_second__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return self.value


class Route(models.Model):
    """A weighted set of numbers with a fallback order, for one brand."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    name = models.CharField(max_length=80)
    is_default = models.BooleanField(default=False)
    channel = models.CharField(max_length=8, default="sms")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="route_names_are_unique_per_brand", fields=["brand", "name"]
            ),
            models.UniqueConstraint(
                name="one_default_route_per_brand_and_channel",
                fields=["brand", "channel"],
                condition=Q(is_default=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RouteNumber(models.Model):
    """One number of a route. Lower `order` first; the weight divides those of equal order."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="numbers")
    number = models.ForeignKey(SenderNumber, on_delete=models.PROTECT)
    weight = models.PositiveSmallIntegerField(default=100)
    order = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["order", "id"]
        constraints = [
            models.UniqueConstraint(name="a_number_once_per_route", fields=["route", "number"])
        ]

    def __str__(self) -> str:
        return str(self.number)


class WeightChange(models.Model):
    """Why an account's or a number's weight moved, and by whom."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT)
    before = models.PositiveSmallIntegerField()
    after = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=database_now(), editable=False)
