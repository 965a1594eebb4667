"""A message, the queue it waits in, and the number its person hears a brand from."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from brands.clock import database_now
from brands.models import Brand
from campaigns.models import Campaign, Slot
from compliance.models import ConsentEvent, Person, Places
from delivery.models.rows import parent
from delivery.states import MOVES, Kind, Reason, Status
from leads.models import Lead
from links.models import ShortLink
from providers.models import Channel, Route, SenderNumber


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

    Subject and HTML are those of an e-mail. A test is a single message that a member of staff sends
    to their own phone or mailbox. It rests on a consent of its own, never the lead's. `to_a_lead`:
    whom it is for stood on a list, of whichever brand, when it was asked for. `route`: of the
    campaign it tests; without one, the brand's.
    """

    message = models.OneToOneField(
        Message, on_delete=models.DO_NOTHING, primary_key=True, related_name="single"
    )
    channel = models.CharField(
        max_length=8, choices=Channel.choices, default=Channel.SMS, db_default=Channel.SMS
    )
    subject = models.TextField(blank=True, default="", db_default="")
    text = models.TextField()
    html = models.TextField(blank=True, default="", db_default="")
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
            models.Index(
                name="due_for_a_carrier",
                fields=["brand", "message"],
                condition=Q(reason="carrier_cap"),
            ),
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
