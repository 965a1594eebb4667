"""Who speaks: the installation, its clock, the brands, and who may see which brand."""

from __future__ import annotations

import uuid
from datetime import time

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from brands.clock import database_now
from brands.zones import zone_choices


class Installation(models.Model):
    """This installation; exactly one row. `is_sandbox` is fixed at set-up by a trigger."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    identity = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    is_sandbox = models.BooleanField(editable=False)
    stopped_at = models.DateTimeField(
        null=True, blank=True, help_text="Stop-all: while this is set nothing is sent at all."
    )
    system_identifier = models.CharField(
        max_length=32,
        blank=True,
        editable=False,
        help_text="The Postgres cluster a person last confirmed; another one claims nothing.",
    )
    persons_per_day = models.PositiveSmallIntegerField(
        default=3, help_text="Messages one person may get in 24 hours, all brands together."
    )
    persons_per_week = models.PositiveSmallIntegerField(default=6)
    person_gap_minutes = models.PositiveSmallIntegerField(
        default=120, help_text="Shortest time between two messages to one person."
    )
    wipe_asked_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="Somebody asked for an empty sandbox; whoever runs the demo sees to it.",
    )

    class Meta:
        verbose_name = "installation"
        constraints = [
            models.CheckConstraint(name="one_installation", condition=Q(id=1)),
            models.CheckConstraint(
                name="only_a_sandbox_is_wiped",
                condition=Q(is_sandbox=True) | Q(wipe_asked_at__isnull=True),
            ),
        ]


class ClockShift(models.Model):
    """One step of a sandbox's clock; the sum of `seconds` is its lead over real time."""

    seconds = models.PositiveBigIntegerField()
    real_at = models.DateTimeField(help_text="The real time at which the step was made.")
    total_seconds = models.PositiveBigIntegerField(help_text="The shift in force from then on.")
    is_sandbox = models.BooleanField(default=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(name="only_a_sandbox_shifts", condition=Q(is_sandbox=True))
        ]


class Brand(models.Model):
    """A sender people know by name: its zone, hours, caps, texts and short domain."""

    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(max_length=40, unique=True)
    zone = models.CharField(
        max_length=64,
        choices=zone_choices,
        default="America/New_York",
        help_text="The brand's own day, for its daily caps.",
    )
    opens = models.TimeField(default=time(9), help_text="Local time of the person. 8:00 or later.")
    closes = models.TimeField(
        default=time(20), help_text="Local time of the person. 21:00 at most."
    )
    sunday_opens = models.TimeField(default=time(12))
    daily_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Messages a day of the brand's zone. Empty: no cap."
    )
    segments_per_second = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.01)]
    )
    fairness_weight = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    short_domain = models.CharField(
        max_length=100,
        validators=[
            RegexValidator(
                r"^[a-z0-9.-]+(:\d{1,5})?$", "A host name in lower case, such as go.example.com."
            )
        ],
        help_text="Personal links are made on this domain; it must belong to the brand.",
    )
    link_hosts = models.JSONField(
        default=list, blank=True, help_text="Hosts that links of this brand may lead to."
    )
    opt_out_line = models.CharField(max_length=60, default="Reply STOP to opt out")
    stop_reply = models.CharField(
        max_length=160,
        blank=True,
        help_text="Answers STOP: your name, and that no more comes. Empty: the usual words.",
    )
    help_reply = models.CharField(
        max_length=160,
        blank=True,
        help_text="Answers HELP: your name, how to reach you, how to stop. Empty: the usual words,"
        " which name no way to reach you.",
    )
    join_reply = models.CharField(
        max_length=160, blank=True, help_text="Answers START and JOIN. Empty: the usual words."
    )
    paused_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="brand_hours_are_lawful",
                condition=Q(opens__gte=time(8), closes__lte=time(21), opens__lt=F("closes"))
                & Q(sunday_opens__gte=F("opens"), sunday_opens__lt=F("closes")),
                violation_error_message=(
                    "Hours must lie between 8:00 and 21:00, open before they close, "
                    "and open on Sunday no earlier than on other days."
                ),
            ),
            models.CheckConstraint(
                name="brand_rate_is_positive",
                condition=Q(segments_per_second__isnull=True) | Q(segments_per_second__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What one user may do for one brand."""

    class Role(models.TextChoices):
        ADMIN = "admin", "Admin"
        MARKETER = "marketer", "Marketer"
        ANALYST = "analyst", "Analyst"
        PARTNER = "partner", "Partner"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE)
    role = models.CharField(max_length=12, choices=Role.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_role_per_user_and_brand", fields=["user", "brand"])
        ]


class ApiKey(models.Model):
    """A partner's key: shown once, stored as a hash, bound to a brand."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12, unique=True)
    key_hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
