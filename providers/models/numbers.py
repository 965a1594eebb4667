"""What messages are sent from."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from brands.models import Brand
from providers.models.accounts import Channel, ProviderAccount


class SenderNumber(models.Model):
    """A lane: one sender on exactly one account, with its own throughput."""

    class Kind(models.TextChoices):
        LONG_CODE = "long_code", "Long code (10DLC)"
        TOLL_FREE = "toll_free", "Toll-free"
        SHORT_CODE = "short_code", "Short code"
        ALPHANUMERIC = "alphanumeric", "Alphanumeric sender"
        SERVICE = "service", "Messaging service"
        EMAIL = "email", "E-mail sender"

    class Cause(models.TextChoices):
        """Why a number rests that could send; such a one still answers people."""

        BLOCKS = "blocks", "Carriers blocked too many of its messages"
        WARM_UP = "warm_up", "It warms up, and has sent what it may for now"

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
    rests_because = models.CharField(
        max_length=8,
        choices=Cause.choices,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Empty: its provider cannot be reached, so it cannot even answer.",
    )
    rest_words = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Why its last rest for blocks began.",
    )
    block_rests = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="How often it rested for blocks of late."
    )
    rested_at = models.DateTimeField(
        null=True, editable=False, help_text="When its last rest for blocks began."
    )
    warms_up_since = models.DateTimeField(null=True, blank=True)
    warm_up_days = models.PositiveSmallIntegerField(
        default=14, db_default=14, validators=[MinValueValidator(1), MaxValueValidator(90)]
    )
    warm_up_first = models.PositiveIntegerField(
        default=200, db_default=200, validators=[MinValueValidator(1)]
    )
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
            models.CheckConstraint(
                name="warm_up_has_a_beginning_and_an_end",
                condition=Q(warm_up_days__gte=1, warm_up_first__gte=1),
            ),
        ]

    def __str__(self) -> str:
        return self.value

    @property
    def channel(self) -> Channel:
        return Channel.EMAIL if self.kind == self.Kind.EMAIL else Channel.SMS
