"""The rows of a message's walk: message, queue, attempts, what came back, and the counters."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from brands.clock import database_now
from brands.models import Brand
from campaigns.models import Campaign, Slot
from compliance.models import ConsentEvent, Person, Places
from delivery.states import MOVES, Kind, Reason, Status
from delivery.tallies import What
from leads.models import Lead
from links.models import ShortLink
from providers.models import ProviderAccount, Route, SenderNumber


def parent(to: Any, **options: Any) -> models.ForeignKey[Any, Any]:
    """A key to a row that is never deleted (a trigger sees to it), so without the check's cost."""
    return models.ForeignKey(
        to,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        **options,
    )


class MessageQuerySet(models.QuerySet["Message"]):
    def move(self, to: Status, *, from_: Status, **changes: object) -> int:
        """Move rows that are still in `from_`; return how many were."""
        if to not in MOVES[from_]:
            raise ValueError(f"{from_} -> {to} is not a move")
        return self.filter(status=from_).update(status=to, **changes)


class Message(models.Model):
    """One message to one person. Narrow and hot: no index on what changes (fillfactor 60)."""

    brand = parent(Brand)
    campaign = parent(Campaign, null=True)
    slot = parent(Slot, null=True)
    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, null=True, db_index=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, db_index=False)
    link = parent(ShortLink, null=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    status = models.CharField(max_length=11, choices=Status.choices, default=Status.PLANNED)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True, db_default="")
    expires_at = models.DateTimeField()
    idempotency_key = models.CharField(max_length=100, null=True)  # noqa: DJ001 - NULLs are apart
    inbound = parent("delivery.Inbound", null=True)
    reply_kind = models.CharField(max_length=10, null=True)  # noqa: DJ001
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_message_per_lead_campaign_slot", fields=["slot", "lead", "campaign"]
            ),
            models.UniqueConstraint(
                name="one_message_per_person_campaign_slot", fields=["person", "campaign", "slot"]
            ),
            models.UniqueConstraint(
                name="one_single_per_idempotency_key",
                fields=["brand", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            models.UniqueConstraint(
                name="one_reply_per_inbound_and_kind",
                fields=["inbound", "reply_kind"],
                condition=Q(inbound__isnull=False),
            ),
            models.CheckConstraint(
                name="campaign_message_is_complete",
                condition=~Q(kind="campaign")
                | Q(lead__isnull=False, campaign__isnull=False, slot__isnull=False),
            ),
            models.CheckConstraint(
                name="single_has_its_key",
                condition=~Q(kind="single") | Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(
                name="reply_has_its_inbound",
                condition=~Q(kind="reply") | Q(inbound__isnull=False, reply_kind__isnull=False),
            ),
            models.CheckConstraint(name="message_kind_is_known", condition=Q(kind__in=Kind.values)),
            models.CheckConstraint(
                name="message_status_is_known", condition=Q(status__in=Status.values)
            ),
        ]

    def __str__(self) -> str:
        return f"Message {self.pk}"


class SingleText(models.Model):
    """What one single message says: a text with {names}, their values, and where its link leads.

    A test is a single message that a member of staff sends to their own phone. It rests on a
    consent of its own, never the lead's. `to_a_lead`: whom it is for stood on a list, of whichever
    brand, when it was asked for. `route`: of the campaign it tests; without one, the brand's.
    """

    message = models.OneToOneField(
        Message, on_delete=models.DO_NOTHING, primary_key=True, related_name="single"
    )
    text = models.TextField()
    values = models.JSONField(default=dict)
    destination = models.TextField(blank=True)
    is_test = models.BooleanField(default=False)
    to_a_lead = models.BooleanField(default=False, db_default=False)
    consent = models.ForeignKey(
        ConsentEvent, on_delete=models.PROTECT, null=True, db_index=False, related_name="+"
    )
    route = parent(Route, null=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )


class Due(models.Model):
    """The queue: one narrow row for each message that is planned, and none for any other.

    `queue` is the campaign's id, minus the brand's id for its single messages, 0 for replies.
    `crashes` counts workers that died while they held the row; such a row is claimed alone.
    `goes_alone`: a request of several with it was refused, so its next one has no other.
    """

    message = models.OneToOneField(
        Message,
        on_delete=models.DO_NOTHING,
        primary_key=True,
        db_constraint=False,
        related_name="due",
    )
    brand = parent(Brand)
    campaign = parent(Campaign, null=True)
    lane = parent(SenderNumber)
    queue = models.BigIntegerField()
    priority = models.PositiveSmallIntegerField(default=100)
    segments = models.PositiveSmallIntegerField(default=1)
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    strikes = models.PositiveSmallIntegerField(default=0, db_default=0)
    crashes = models.PositiveSmallIntegerField(default=0, db_default=0)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True, db_default="")
    goes_alone = models.BooleanField(default=False, db_default=False)

    class Meta:
        verbose_name = "due message"
        indexes = [
            models.Index(
                name="due_by_lane",
                fields=["queue", "lane", "not_before", "message"],
                condition=Q(crashes=0),
            ),
            models.Index(name="due_alone", fields=["not_before"], condition=Q(crashes__gt=0)),
            models.Index(name="due_by_expiry", fields=["expires_at"]),
        ]


class Sticky(models.Model):
    """The number a person hears a brand from."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, db_index=False)
    brand = parent(Brand)
    number = parent(SenderNumber)

    class Meta:
        verbose_name_plural = "sticky numbers"
        constraints = [
            models.UniqueConstraint(
                name="one_number_per_person_and_brand", fields=["person", "brand"]
            )
        ]


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
            )
        ]

    def __str__(self) -> str:
        return f"Attempt {self.pk}"


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


class InboundReview(models.Model):
    """A reply that a person must judge; its sender is on hold until then."""

    inbound = models.OneToOneField(Inbound, on_delete=models.PROTECT)
    person = models.ForeignKey(Person, on_delete=models.PROTECT)
    decision = models.CharField(max_length=12, blank=True)
    decided_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Review {self.pk}"


class CapCounter(models.Model):
    """A count under a key that is a function of the attempt row, such as `brand:5:2026-11-21`."""

    key = models.CharField(max_length=60, primary_key=True)
    used = models.BigIntegerField(default=0)


class Strike(models.Model):
    """An error of ours in deciding one message; `ordinal` is the campaign's count of decisions."""

    campaign = parent(Campaign, null=True)
    message = parent(Message)
    ordinal = models.BigIntegerField()
    step = models.CharField(max_length=60)
    at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        indexes = [models.Index(name="strikes_by_campaign", fields=["campaign", "ordinal"])]


class Planned(models.Model):
    """How far the planner came in a slot, for one set of places: the id of a list entry."""

    slot = parent(Slot)
    places = models.ForeignKey(
        Places, on_delete=models.PROTECT, null=True, db_index=False, related_name="+"
    )
    through_entry_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_progress_per_slot_and_places",
                fields=["slot", "places"],
                nulls_distinct=False,
            )
        ]


class Frontier(models.Model):
    """How far, by attempt ids, every answer is known and every report was waited for; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    attempt_id = models.BigIntegerField(default=0)
    reported_id = models.BigIntegerField(default=0, db_default=0)
