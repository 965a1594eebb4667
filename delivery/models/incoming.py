"""What comes back: reports, texts, and how far both were read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from brands.clock import database_now
from brands.models import Brand
from compliance.models import Person
from delivery.models.rows import parent
from delivery.tallies import What
from providers.models import ProviderAccount, SenderNumber


class WebhookEvent(models.Model):
    """The durable inbox of reports: appended raw, applied in id order."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT)
    dedupe_key = models.CharField(max_length=200)
    raw = models.JSONField()
    received_at = models.DateTimeField(db_default=database_now(), editable=False)
    applied_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=20, blank=True, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="an_event_once", fields=["account", "dedupe_key"])
        ]
        indexes = [
            models.Index(
                name="events_to_apply", fields=["id"], condition=Q(applied_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"Report {self.pk}"


class ReportWord(models.Model):
    """A word of a provider's reports that we do not know, and how often it came."""

    account = parent(ProviderAccount)
    word = models.CharField(max_length=40)
    count = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField(db_default=database_now(), editable=False)
    last_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="a_word_once_per_account", fields=["account", "word"])
        ]

    def __str__(self) -> str:
        return self.word


class WebhookNonce(models.Model):
    """A nonce of a callback whose signature does not cover its body, and the body it came with.

    Kept for good: nothing in such a signature says how old it is.
    """

    account = parent(ProviderAccount)
    nonce = models.CharField(max_length=100)
    body_hash = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(name="a_nonce_once", fields=["account", "nonce"])]


class WebhookTally(models.Model):
    """How many callbacks of an hour came to nothing, and why; no account: it was not ours."""

    account = parent(ProviderAccount, null=True)
    what = models.CharField(max_length=12, choices=What.choices)
    hour = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "webhook tallies"
        constraints = [
            models.UniqueConstraint(
                name="one_tally_per_hour",
                fields=["account", "what", "hour"],
                nulls_distinct=False,
            )
        ]


class Inbound(models.Model):
    """A text a person sent us, raw; while it is not applied the person gets nothing."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT)
    number = models.ForeignKey(SenderNumber, on_delete=models.PROTECT, null=True)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True)
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, null=True)
    provider_ref = models.CharField(max_length=64)
    from_value = models.CharField(max_length=100)
    to_value = models.CharField(max_length=100)
    text = models.TextField(blank=True)
    raw = models.JSONField(default=dict)
    label = models.CharField(max_length=12, blank=True, db_default="")
    received_at = models.DateTimeField(db_default=database_now(), editable=False)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="an_inbound_once", fields=["account", "provider_ref"])
        ]
        indexes = [
            models.Index(
                name="inbound_to_apply", fields=["person"], condition=Q(applied_at__isnull=True)
            ),
            models.Index(
                name="stops_by_brand", fields=["brand", "received_at"], condition=Q(label="stop")
            ),
        ]

    def __str__(self) -> str:
        return f"Text {self.pk}"


class InboundSweep(models.Model):
    """How far a provider's own listing of texts was read: of a whole account, or of one number.

    Its times are real ones, which alone the provider knows. `began_at` and `page` are of a reading
    that is not at its end; `turn` tells one lease from the next.
    """

    account = parent(ProviderAccount)
    number = parent(SenderNumber, null=True)
    swept_through = models.DateTimeField(null=True)
    began_at = models.DateTimeField(null=True)
    page = models.TextField(blank=True, db_default="")
    next_at = models.DateTimeField()
    turn = models.PositiveBigIntegerField(default=0, db_default=0)
    failures = models.PositiveIntegerField(default=0, db_default=0)
    said = models.CharField(max_length=100, blank=True, db_default="")
    found = models.PositiveBigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_sweep_per_account_and_number",
                fields=["account", "number"],
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(name="sweeps_due", fields=["next_at"])]

    def __str__(self) -> str:
        return f"Sweep {self.pk}"


class InboundReview(models.Model):
    """A reply that a person must judge; its sender is on hold until then."""

    inbound = models.OneToOneField(Inbound, on_delete=models.PROTECT)
    person = models.ForeignKey(Person, on_delete=models.PROTECT)
    decision = models.CharField(max_length=12, blank=True)
    decided_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Review {self.pk}"
