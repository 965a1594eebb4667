"""Counters and marks: what was sent, what failed, and how far something was walked."""

from __future__ import annotations

from django.db import models

from brands.clock import database_now
from campaigns.models import Campaign
from delivery.models.messages import Message
from delivery.models.rows import parent
from providers.models import ProviderAccount, SenderNumber


class AccountTally(models.Model):
    """What requests of an account came to, in ten seconds of the installation's clock from `at` on.

    A row for each journal, so that no two workers write the same one. Counted once, when the answer
    is recorded: what is learnt later of a lost one changes nothing here. `not_sent` are refusals
    for a fault of the account or its number.
    """

    account = parent(ProviderAccount)
    at = models.DateTimeField()
    sender = models.UUIDField()
    accepted = models.PositiveIntegerField(default=0, db_default=0)
    rejected = models.PositiveIntegerField(default=0, db_default=0)
    not_sent = models.PositiveIntegerField(default=0, db_default=0)
    throttled = models.PositiveIntegerField(default=0, db_default=0)
    unreachable = models.PositiveIntegerField(default=0, db_default=0)
    unknown = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name_plural = "account tallies"
        constraints = [
            models.UniqueConstraint(
                name="one_tally_per_account_and_sender", fields=["at", "account", "sender"]
            )
        ]

    def __str__(self) -> str:
        return f"Answers of account {self.account_id} from {self.at:%H:%M:%S} on"


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


class Frontier(models.Model):
    """How far, by attempt ids, every answer is known and every report was waited for; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    attempt_id = models.BigIntegerField(default=0)
    reported_id = models.BigIntegerField(default=0, db_default=0)


class AttemptHour(models.Model):
    """The ids of the attempts that were meant in an hour, and when they were last counted."""

    hour = models.DateTimeField(primary_key=True)
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    counted_at = models.DateTimeField(null=True)


class NumberHour(models.Model):
    """What became of the messages that left by a number in an hour, by the time of their intent.

    `ended`: delivered, not delivered or rejected, so that no more is to come. `opted_out`: whose
    people opted out within 24 hours after it and before the next message.
    """

    number = parent(SenderNumber)
    hour = models.DateTimeField()
    sent = models.PositiveIntegerField(default=0, db_default=0)
    ended = models.PositiveIntegerField(default=0, db_default=0)
    delivered = models.PositiveIntegerField(default=0, db_default=0)
    blocked = models.PositiveIntegerField(default=0, db_default=0)
    opted_out = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="a_number_once_an_hour", fields=["hour", "number"])
        ]


class HealthMark(models.Model):
    """How far the counting came, by ids of attempts and of opt-out events; at most one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    attempt_id = models.BigIntegerField(default=0, db_default=0)
    opt_out_event_id = models.BigIntegerField(default=0, db_default=0)
