"""Accounts with providers, and why their weights moved."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ImproperlyConfigured
from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.db.models import Q

from brands.clock import database_now
from providers import base
from providers.base import Access
from providers.registry import adapter_choices


class Channel(models.TextChoices):
    """How a message reaches a person; the values are those of `base.Channel`."""

    SMS = base.Channel.SMS.value, "Text message"
    EMAIL = base.Channel.EMAIL.value, "E-mail"


def vault() -> MultiFernet:
    """The keys of CREDENTIAL_KEYS; the first encrypts, all decrypt."""
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])


def new_key() -> str:
    """What nobody guesses: 43 characters of A-Z a-z 0-9 _ -."""
    return secrets.token_urlsafe(32)


class Halves(models.IntegerChoices):
    """How much of its weight an account gets: moved by what becomes of its requests."""

    OUT = 0, "out"
    HALF = 1, "half weight"
    FULL = 2, "full weight"


def rest_hours() -> list[int]:
    """How long a number rests the first, the second and each further time that it was blocked."""
    return [1, 4, 24]


class ProviderAccount(models.Model):
    """An account with a provider: credentials, limits, price and weight.

    `weight` is what staff want of it, and `halves` how many halves of that it gets by now. While it
    is out, one message at a time tries it: nobody may before `probe_until`. All times are of the
    installation's clock.
    """

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=20, choices=adapter_choices)
    base_url = models.CharField(
        max_length=200,
        blank=True,
        validators=[URLValidator(schemes=["https", "http", "smtps", "smtp"])],
        help_text="https://… of the provider, smtp://… of a mail server; no path. Empty: its usual"
        " one.",
    )
    webhook_key = models.CharField(max_length=43, default=new_key, editable=False)
    definition = models.TextField(
        blank=True, help_text="How to speak to a provider that is not in the list, as JSON."
    )
    options = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField()), editable=False
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
    blocks_least = models.PositiveSmallIntegerField(
        default=5, db_default=5, validators=[MinValueValidator(1)]
    )
    blocks_percent = models.PositiveSmallIntegerField(
        default=10, db_default=10, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    block_rest_hours = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(720)]),
        default=rest_hours,
        db_default=[1, 4, 24],
        size=10,
    )
    pinned_until = models.DateTimeField(null=True, blank=True)
    halves = models.PositiveSmallIntegerField(
        choices=Halves.choices, default=Halves.FULL, db_default=Halves.FULL, editable=False
    )
    halves_since = models.DateTimeField(null=True, editable=False)
    probe_until = models.DateTimeField(null=True, editable=False)
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
            ),
            models.CheckConstraint(
                name="account_has_known_halves", condition=Q(halves__in=Halves.values)
            ),
            models.CheckConstraint(
                name="blocks_are_a_share",
                condition=Q(blocks_least__gte=1, blocks_percent__gte=1, blocks_percent__lte=100),
            ),
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
            options=self.options,
        )


class WeightChange(models.Model):
    """Why an account's weight moved, or how much of it counts, and by whom.

    `before` and `after` are the weight that staff set, the halves how much of it the account gets.
    """

    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT)
    before = models.PositiveSmallIntegerField()
    after = models.PositiveSmallIntegerField()
    halves_before = models.PositiveSmallIntegerField(
        choices=Halves.choices, default=Halves.FULL, db_default=Halves.FULL
    )
    halves_after = models.PositiveSmallIntegerField(
        choices=Halves.choices, default=Halves.FULL, db_default=Halves.FULL
    )
    reason = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=database_now(), editable=False)

    def __str__(self) -> str:
        return self.moved

    @property
    def moved(self) -> str:
        """From what to what, for people."""
        parts = []
        if self.before != self.after:
            parts.append(f"{self.before} to {self.after}")
        if self.halves_before != self.halves_after:
            parts.append(f"{_named(self.halves_before)} to {_named(self.halves_after)}")
        return ", ".join(parts) or "stays"


def _named(halves: int) -> str:
    return str(Halves(halves).label)
