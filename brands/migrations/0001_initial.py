import datetime
import uuid

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import brands.zones

SANDBOX_CLOCK = """
CREATE OR REPLACE FUNCTION sendonce_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN clock_timestamp() + make_interval(secs => coalesce(
        (SELECT total_seconds FROM brands_clockshift ORDER BY id DESC LIMIT 1), 0));
END $$;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(SANDBOX_CLOCK, "DROP FUNCTION sendonce_now()"),
        migrations.CreateModel(
            name="Brand",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80, unique=True)),
                ("slug", models.SlugField(max_length=40, unique=True)),
                (
                    "zone",
                    models.CharField(
                        choices=brands.zones.zone_choices,
                        default="America/New_York",
                        help_text="The brand's own day, for its daily caps.",
                        max_length=64,
                    ),
                ),
                (
                    "opens",
                    models.TimeField(
                        default=datetime.time(9, 0),
                        help_text="Local time of the person. 8:00 or later.",
                    ),
                ),
                (
                    "closes",
                    models.TimeField(
                        default=datetime.time(20, 0),
                        help_text="Local time of the person. 21:00 at most.",
                    ),
                ),
                ("sunday_opens", models.TimeField(default=datetime.time(12, 0))),
                (
                    "daily_cap",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Messages a day of the brand's zone. Empty: no cap.",
                        null=True,
                    ),
                ),
                (
                    "segments_per_second",
                    models.FloatField(
                        blank=True,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0.01)],
                    ),
                ),
                (
                    "fairness_weight",
                    models.PositiveSmallIntegerField(
                        default=1,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "short_domain",
                    models.CharField(
                        help_text="Personal links are made on this domain; it must belong to the brand.",
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9.-]+(:\\d{1,5})?$",
                                "A host name in lower case, such as go.example.com.",
                            )
                        ],
                    ),
                ),
                (
                    "link_hosts",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Hosts that links of this brand may lead to.",
                    ),
                ),
                ("opt_out_line", models.CharField(default="Reply STOP to opt out", max_length=60)),
                ("stop_reply", models.CharField(blank=True, max_length=160)),
                ("help_reply", models.CharField(blank=True, max_length=160)),
                ("join_reply", models.CharField(blank=True, max_length=160)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("closes__lte", datetime.time(21, 0)),
                            ("opens__gte", datetime.time(8, 0)),
                            ("opens__lt", models.F("closes")),
                            ("sunday_opens__gte", models.F("opens")),
                            ("sunday_opens__lt", models.F("closes")),
                        ),
                        name="brand_hours_are_lawful",
                        violation_error_message="Hours must lie between 8:00 and 21:00, open before they close, and open on Sunday no earlier than on other days.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("segments_per_second__isnull", True),
                            ("segments_per_second__gt", 0),
                            _connector="OR",
                        ),
                        name="brand_rate_is_positive",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                ("prefix", models.CharField(max_length=12, unique=True)),
                ("key_hash", models.CharField(max_length=64, unique=True)),
                ("scopes", models.JSONField(default=list)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ClockShift",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("seconds", models.PositiveBigIntegerField()),
                (
                    "real_at",
                    models.DateTimeField(help_text="The real time at which the step was made."),
                ),
                (
                    "total_seconds",
                    models.PositiveBigIntegerField(help_text="The shift in force from then on."),
                ),
                ("is_sandbox", models.BooleanField(default=True, editable=False)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("is_sandbox", True)), name="only_a_sandbox_shifts"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Installation",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("identity", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("is_sandbox", models.BooleanField(editable=False)),
                (
                    "stopped_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="Stop-all: while this is set nothing is sent at all.",
                        null=True,
                    ),
                ),
                (
                    "system_identifier",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The Postgres cluster a person last confirmed; another one claims nothing.",
                        max_length=32,
                    ),
                ),
                (
                    "persons_per_day",
                    models.PositiveSmallIntegerField(
                        default=3,
                        help_text="Messages one person may get in 24 hours, all brands together.",
                    ),
                ),
                ("persons_per_week", models.PositiveSmallIntegerField(default=6)),
                (
                    "person_gap_minutes",
                    models.PositiveSmallIntegerField(
                        default=120, help_text="Shortest time between two messages to one person."
                    ),
                ),
            ],
            options={
                "verbose_name": "installation",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_installation")
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("admin", "Admin"),
                            ("marketer", "Marketer"),
                            ("analyst", "Analyst"),
                            ("partner", "Partner"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="brands.brand"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("user", "brand"), name="one_role_per_user_and_brand"
                    )
                ],
            },
        ),
    ]
