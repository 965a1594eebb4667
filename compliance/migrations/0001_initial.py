import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("brands", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClosedDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("state", models.CharField(blank=True, max_length=2)),
                ("on", models.DateField()),
                ("name", models.CharField(max_length=80)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("state", "on"), name="one_closed_day_per_state")
                ],
            },
        ),
        migrations.CreateModel(
            name="Person",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("phone", models.CharField(blank=True, max_length=16, null=True, unique=True)),
                ("email", models.CharField(blank=True, max_length=254, null=True, unique=True)),
                ("opted_out_at", models.DateTimeField(blank=True, null=True)),
                ("opt_out_event_id", models.BigIntegerField(blank=True, editable=False, null=True)),
                ("held_at", models.DateTimeField(blank=True, null=True)),
                ("held_reason", models.CharField(blank=True, db_default="", max_length=40)),
                ("undeliverable_at", models.DateTimeField(blank=True, null=True)),
                ("sunset_at", models.DateTimeField(blank=True, null=True)),
                (
                    "recent",
                    models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
                ),
                ("last_human_at", models.DateTimeField(blank=True, null=True)),
                ("last_message_at", models.DateTimeField(blank=True, null=True)),
                ("last_confirmed_at", models.DateTimeField(blank=True, null=True)),
                ("carrier", models.CharField(blank=True, db_default="", max_length=40)),
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
                "verbose_name_plural": "people",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("phone__isnull", False), ("email__isnull", False), _connector="OR"
                        ),
                        name="person_has_an_address",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("phone__isnull", True),
                            ("phone__regex", "^\\+[1-9][0-9]{6,14}$"),
                            _connector="OR",
                        ),
                        name="phone_is_e164",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("opt_out_event_id__isnull", True), ("opted_out_at__isnull", True)
                            ),
                            models.Q(
                                ("opt_out_event_id__isnull", False), ("opted_out_at__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="opt_out_has_its_event",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OptOutEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("inbound", "The person's own reply"),
                            ("provider", "A provider said so"),
                            ("staff", "Typed in by staff"),
                            ("import", "An imported suppression list"),
                        ],
                        max_length=12,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=200)),
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
                    "brand",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="brands.brand",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="compliance.person"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ConsentEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("channel", models.CharField(db_default="sms", default="sms", max_length=8)),
                (
                    "method",
                    models.CharField(
                        choices=[
                            ("web", "Web form"),
                            ("keyword", "Keyword"),
                            ("paper", "Paper"),
                            ("import", "Import"),
                        ],
                        max_length=8,
                    ),
                ),
                ("agreed_at", models.DateTimeField()),
                ("wording", models.TextField(blank=True, db_default="")),
                ("page_url", models.TextField(blank=True, db_default="")),
                ("partner_ref", models.CharField(blank=True, db_default="", max_length=100)),
                ("ip", models.GenericIPAddressField(blank=True, null=True)),
                ("agent", models.TextField(blank=True, db_default="")),
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
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="compliance.person"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Places",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.TextField(unique=True)),
                (
                    "zones",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), size=None
                    ),
                ),
                (
                    "states",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=2), size=None
                    ),
                ),
                (
                    "is_assumed",
                    models.BooleanField(
                        default=False, help_text="Nothing was known: the zones of all 50 states."
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "places",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("zones__len__gt", 0)), name="places_have_a_zone"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="StateRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("state", models.CharField(max_length=2)),
                ("weekday", models.PositiveSmallIntegerField(help_text="0 is Monday.")),
                ("opens", models.TimeField(blank=True, null=True)),
                ("closes", models.TimeField(blank=True, null=True)),
                ("holiday_closed", models.BooleanField(default=False)),
                ("cap_count", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("cap_hours", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("source", models.TextField()),
                ("valid_from", models.DateField()),
                ("valid_to", models.DateField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closes__isnull", True), ("opens__isnull", True)),
                            ("opens__lt", models.F("closes")),
                            _connector="OR",
                        ),
                        name="state_rule_opens_before_it_closes",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Keyword",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("word", models.CharField(max_length=30)),
                (
                    "label",
                    models.CharField(
                        choices=[
                            ("stop", "Stop"),
                            ("help", "Help"),
                            ("join", "Join"),
                            ("more-jobs", "More jobs"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("brand", "word"), name="one_keyword_per_brand")
                ],
            },
        ),
        migrations.CreateModel(
            name="Rejoin",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "after_event_id",
                    models.BigIntegerField(
                        help_text="The latest opt-out event that this JOIN came after."
                    ),
                ),
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
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="compliance.person"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("person", "brand"), name="one_rejoin_per_person_and_brand"
                    )
                ],
            },
        ),
    ]
