"""The people we may or may not contact, and the append-only record of why."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from brands.clock import database_now
from brands.models import Brand


class Places(models.Model):
    """A set of places a person may be in, interned, so that planning can group by it."""

    key = models.TextField(unique=True)
    zones = ArrayField(models.CharField(max_length=64))
    states = ArrayField(models.CharField(max_length=2))
    is_assumed = models.BooleanField(
        default=False, help_text="Nothing was known: the zones of all 50 states."
    )

    class Meta:
        verbose_name_plural = "places"
        constraints = [
            models.CheckConstraint(name="places_have_a_zone", condition=Q(zones__len__gt=0))
        ]

    def __str__(self) -> str:
        return self.key


class Person(models.Model):
    """One human being, known by phone, e-mail or both; shared by all brands; never merged.

    `undeliverable_at` is of the phone and `email_undeliverable_at` of the mailbox: neither
    silences the other. `recent` holds the sends of the last eight days as [epoch seconds, message
    id, hash of the words, local slot date or null]; it is read and written only under this row's
    lock.
    """

    phone = models.CharField(max_length=16, null=True, blank=True, unique=True)
    email = models.CharField(max_length=254, null=True, blank=True, unique=True)
    opted_out_at = models.DateTimeField(null=True, blank=True)
    opt_out_event_id = models.BigIntegerField(null=True, blank=True, editable=False)
    held_at = models.DateTimeField(null=True, blank=True)
    held_reason = models.CharField(max_length=40, blank=True, db_default="")
    undeliverable_at = models.DateTimeField(null=True, blank=True)
    email_undeliverable_at = models.DateTimeField(null=True, blank=True)
    sunset_at = models.DateTimeField(null=True, blank=True)
    recent = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    last_human_at = models.DateTimeField(null=True, blank=True)
    last_message_at = models.DateTimeField(null=True, blank=True)
    last_confirmed_at = models.DateTimeField(null=True, blank=True)
    carrier = models.CharField(max_length=40, blank=True, db_default="")
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        verbose_name_plural = "people"
        constraints = [
            models.CheckConstraint(
                name="person_has_an_address",
                condition=Q(phone__isnull=False) | Q(email__isnull=False),
            ),
            models.CheckConstraint(
                name="phone_is_e164",
                condition=Q(phone__isnull=True) | Q(phone__regex=r"^\+[1-9][0-9]{6,14}$"),
            ),
            models.CheckConstraint(
                name="opt_out_has_its_event",
                condition=Q(opted_out_at__isnull=True, opt_out_event_id__isnull=True)
                | Q(opted_out_at__isnull=False, opt_out_event_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.phone or self.email or ""


class OptOutEvent(models.Model):
    """A STOP or its like. Append-only; the highest id wins, not the latest clock."""

    class Source(models.TextChoices):
        INBOUND = "inbound", "The person's own reply"
        PROVIDER = "provider", "A provider said so"
        STAFF = "staff", "Typed in by staff"
        IMPORT = "import", "An imported suppression list"
        UNSUBSCRIBE = "unsubscribe", "The unsubscribe link of an e-mail"

    person = models.ForeignKey(Person, on_delete=models.PROTECT)
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, null=True, blank=True)
    source = models.CharField(max_length=12, choices=Source.choices)
    note = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(db_default=database_now(), editable=False)


class Rejoin(models.Model):
    """The person's own JOIN to one brand. It lifts opt-outs of lower event ids, for that brand."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT)
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    after_event_id = models.BigIntegerField(
        help_text="The latest opt-out event that this JOIN came after."
    )
    at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_rejoin_per_person_and_brand", fields=["person", "brand"]
            )
        ]


class ConsentEvent(models.Model):
    """How and when a person agreed to hear from a brand. Append-only proof."""

    class Method(models.TextChoices):
        WEB = "web", "Web form"
        KEYWORD = "keyword", "Keyword"
        PAPER = "paper", "Paper"
        IMPORT = "import", "Import"

    person = models.ForeignKey(Person, on_delete=models.PROTECT)
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    channel = models.CharField(max_length=8, default="sms", db_default="sms")
    method = models.CharField(max_length=8, choices=Method.choices)
    agreed_at = models.DateTimeField()
    wording = models.TextField(blank=True, db_default="")
    page_url = models.TextField(blank=True, db_default="")
    partner_ref = models.CharField(max_length=100, blank=True, db_default="")
    ip = models.GenericIPAddressField(null=True, blank=True)
    agent = models.TextField(blank=True, db_default="")
    at = models.DateTimeField(db_default=database_now(), editable=False)


class StateRule(models.Model):
    """The hours and caps of one state on one weekday, with its source and its dates of validity."""

    state = models.CharField(max_length=2)
    weekday = models.PositiveSmallIntegerField(help_text="0 is Monday.")
    opens = models.TimeField(null=True, blank=True)
    closes = models.TimeField(null=True, blank=True)
    holiday_closed = models.BooleanField(default=False)
    cap_count = models.PositiveSmallIntegerField(null=True, blank=True)
    cap_hours = models.PositiveSmallIntegerField(null=True, blank=True)
    source = models.TextField()
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="state_rule_opens_before_it_closes",
                condition=Q(opens__isnull=True, closes__isnull=True) | Q(opens__lt=F("closes")),
            )
        ]


class ClosedDay(models.Model):
    """A day on which nobody in a state may be texted; empty state: nobody at all."""

    state = models.CharField(max_length=2, blank=True)
    on = models.DateField()
    name = models.CharField(max_length=80)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_closed_day_per_state", fields=["state", "on"])
        ]


class Keyword(models.Model):
    """A brand's own extra reply word and what it does."""

    class Label(models.TextChoices):
        STOP = "stop", "Stop"
        HELP = "help", "Help"
        JOIN = "join", "Join"
        MORE_JOBS = "more-jobs", "More jobs"

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    word = models.CharField(max_length=30)
    label = models.CharField(max_length=12, choices=Label.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_keyword_per_brand", fields=["brand", "word"])
        ]
