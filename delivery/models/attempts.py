"""What was tried for a message, what it said, and what providers are asked about it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from delivery.models.messages import Message
from delivery.models.rows import parent
from providers.models import ProviderAccount, SenderNumber


class Outcome(models.TextChoices):
    PENDING = "", "Answer awaited"
    ACCEPTED = "accepted", "Accepted"
    REJECTED = "rejected", "Rejected"
    NOT_SENT = "not_sent", "Certainly not sent"
    UNKNOWN = "unknown", "Perhaps taken"


class Attempt(models.Model):
    """The intent to send a message, committed before the first byte leaves, and what became of it.

    A message has at most one attempt that is not `is_not_sent` (a partial unique index).
    """

    message = models.ForeignKey(
        Message,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="attempts",
    )
    account = parent(ProviderAccount)
    number = parent(SenderNumber)
    sender = models.UUIDField(help_text="The journal of the worker that held the intent.")
    ref = models.CharField(max_length=22, unique=True)
    request_ref = models.CharField(max_length=22, blank=True, db_default="")
    provider_refs = ArrayField(models.CharField(max_length=64), default=list, db_default=[])
    text = models.TextField()
    segments = models.PositiveSmallIntegerField()
    segments_said = models.PositiveSmallIntegerField(
        null=True, help_text="By the provider, when it took the message."
    )
    reported_parts = models.JSONField(
        null=True, help_text="What was said of each part, by the provider's id of it."
    )
    brand_day = models.DateField(help_text="The brand's local day of the intent, for its cap.")
    counted_on = ArrayField(
        models.CharField(max_length=60),
        null=True,
        help_text="The counters of daily limits that it counts on, by their keys.",
    )
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True, db_default="")
    is_not_sent = models.BooleanField(default=False, db_default=False)
    error_class = models.CharField(max_length=24, blank=True, db_default="")
    code = models.CharField(max_length=60, blank=True, db_default="")
    fault = models.CharField(max_length=8, blank=True, db_default="")
    report_status = models.CharField(max_length=11, blank=True, db_default="")
    report_code = models.CharField(max_length=60, blank=True, db_default="")
    intent_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    blocked_at = models.DateTimeField(
        null=True, help_text="When it was said that a carrier blocked it."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_live_attempt_per_message",
                fields=["message"],
                condition=Q(is_not_sent=False),
            ),
            models.CheckConstraint(
                name="attempt_outcome_is_known", condition=Q(outcome__in=Outcome.values)
            ),
            models.CheckConstraint(
                name="not_sent_is_said_once",
                condition=Q(outcome="not_sent", is_not_sent=True)
                | (~Q(outcome="not_sent") & Q(is_not_sent=False)),
            ),
        ]
        indexes = [
            models.Index(
                name="not_sent_attempts", fields=["message"], condition=Q(is_not_sent=True)
            ),
            models.Index(
                name="blocked_attempts",
                fields=["blocked_at"],
                condition=Q(blocked_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Attempt {self.pk}"


class MailContent(models.Model):
    """What an e-mail said beside its plain text, which is the attempt's; texts have no such row.

    `owner_id`: the person whose mailbox it went to, whomever the lead names today.
    """

    attempt = models.OneToOneField(
        Attempt,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="mail",
    )
    owner_id = models.BigIntegerField(null=True, editable=False)
    subject = models.TextField()
    html = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.subject


class ProviderRef(models.Model):
    """A provider's id of a message, where its reports name nothing else."""

    account = parent(ProviderAccount)
    provider_ref = models.CharField(max_length=64)
    attempt = parent(Attempt)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="an_id_of_theirs_once", fields=["account", "provider_ref"])
        ]

    def __str__(self) -> str:
        return self.provider_ref


class WatchEnd(models.TextChoices):
    FOUND = "found", "The provider has it"
    REPORTED = "reported", "A report or the journal told before"
    NOT_FOUND = "not_found", "Nothing is known of it"


class Lookup(models.Model):
    """An attempt that was perhaps taken: when the provider is asked about it, and what it said."""

    attempt = models.OneToOneField(
        Attempt,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="lookup",
    )
    since = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    next_at = models.DateTimeField(null=True)
    said = models.CharField(max_length=100, blank=True, db_default="")
    ended_as = models.CharField(max_length=9, choices=WatchEnd.choices, blank=True, db_default="")

    class Meta:
        indexes = [
            models.Index(name="lookups_due", fields=["next_at"], condition=Q(next_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"Look-ups of attempt {self.pk}"
