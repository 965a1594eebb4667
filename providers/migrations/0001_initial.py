import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import providers.registry


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("brands", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80, unique=True)),
                (
                    "kind",
                    models.CharField(choices=providers.registry.adapter_choices, max_length=20),
                ),
                (
                    "base_url",
                    models.URLField(
                        blank=True,
                        help_text="https://… of the provider; no path. Empty: its usual one.",
                    ),
                ),
                ("sealed_credentials", models.BinaryField(default=b"")),
                (
                    "is_simulated",
                    models.BooleanField(
                        default=False,
                        help_text="A sandbox has simulated accounts only; others have none.",
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
                    "in_flight",
                    models.PositiveIntegerField(
                        default=256,
                        help_text="Requests at once, per process.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "price_micros",
                    models.PositiveIntegerField(
                        default=0, help_text="Price of a segment in millionths of a dollar."
                    ),
                ),
                ("weight", models.PositiveSmallIntegerField(default=100)),
                ("pinned_until", models.DateTimeField(blank=True, null=True)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                (
                    "fault",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The provider's code that paused it.",
                        max_length=60,
                    ),
                ),
                ("resumed_at", models.DateTimeField(blank=True, editable=False, null=True)),
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
                            ("segments_per_second__isnull", True),
                            ("segments_per_second__gt", 0),
                            _connector="OR",
                        ),
                        name="account_rate_is_positive",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Route",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                ("is_default", models.BooleanField(default=False)),
                ("channel", models.CharField(default="sms", max_length=8)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SenderNumber",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "value",
                    models.CharField(
                        help_text="E.164, short code, name or address.", max_length=100
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("long_code", "Long code (10DLC)"),
                            ("toll_free", "Toll-free"),
                            ("short_code", "Short code"),
                            ("alphanumeric", "Alphanumeric sender"),
                            ("service", "Messaging service"),
                            ("email", "E-mail sender"),
                        ],
                        default="long_code",
                        max_length=12,
                    ),
                ),
                (
                    "segments_per_second",
                    models.FloatField(
                        default=1.0, validators=[django.core.validators.MinValueValidator(0.01)]
                    ),
                ),
                (
                    "sends_stop_reply",
                    models.BooleanField(
                        default=False, help_text="The provider answers STOP itself; we stay silent."
                    ),
                ),
                ("sends_help_reply", models.BooleanField(default=False)),
                ("health", models.JSONField(blank=True, default=dict)),
                ("rests_until", models.DateTimeField(blank=True, null=True)),
                ("fault", models.CharField(blank=True, editable=False, max_length=60)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("resumed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="numbers",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="brands.brand",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RouteNumber",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("weight", models.PositiveSmallIntegerField(default=100)),
                ("order", models.PositiveSmallIntegerField(default=0)),
                (
                    "route",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="numbers",
                        to="providers.route",
                    ),
                ),
                (
                    "number",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="providers.sendernumber"
                    ),
                ),
            ],
            options={
                "ordering": ["order", "id"],
            },
        ),
        migrations.CreateModel(
            name="WeightChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("before", models.PositiveSmallIntegerField()),
                ("after", models.PositiveSmallIntegerField()),
                ("reason", models.CharField(max_length=200)),
                (
                    "at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="providers.provideraccount"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="route",
            constraint=models.UniqueConstraint(
                fields=("brand", "name"), name="route_names_are_unique_per_brand"
            ),
        ),
        migrations.AddConstraint(
            model_name="route",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_default", True)),
                fields=("brand", "channel"),
                name="one_default_route_per_brand_and_channel",
            ),
        ),
        migrations.AddConstraint(
            model_name="sendernumber",
            constraint=models.UniqueConstraint(
                fields=("account", "value"), name="one_lane_per_account_and_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="sendernumber",
            constraint=models.CheckConstraint(
                condition=models.Q(("segments_per_second__gt", 0)), name="number_rate_is_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="routenumber",
            constraint=models.UniqueConstraint(
                fields=("route", "number"), name="a_number_once_per_route"
            ),
        ),
    ]
