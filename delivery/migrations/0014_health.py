"""How numbers fare, by the hour; and which attempts a carrier blocked."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0013_sweep"),
        ("providers", "0009_health"),
    ]

    operations = [
        migrations.CreateModel(
            name="AttemptHour",
            fields=[
                ("hour", models.DateTimeField(primary_key=True, serialize=False)),
                ("first_id", models.BigIntegerField()),
                ("last_id", models.BigIntegerField()),
                ("counted_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="HealthMark",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("attempt_id", models.BigIntegerField(db_default=0, default=0)),
                ("opt_out_event_id", models.BigIntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.CreateModel(
            name="NumberHour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("sent", models.PositiveIntegerField(db_default=0, default=0)),
                ("ended", models.PositiveIntegerField(db_default=0, default=0)),
                ("delivered", models.PositiveIntegerField(db_default=0, default=0)),
                ("blocked", models.PositiveIntegerField(db_default=0, default=0)),
                ("opted_out", models.PositiveIntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.AddField(
            model_name="attempt",
            name="blocked_at",
            field=models.DateTimeField(
                help_text="When it was said that a carrier blocked it.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="due",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "None"),
                    ("stop_all", "All sending is stopped"),
                    ("brand_paused", "The brand is paused"),
                    ("campaign_paused", "The campaign is paused"),
                    ("lane_paused", "The number or its account is paused"),
                    ("opted_out", "The person opted out"),
                    ("person_held", "The person is on hold until a reply is judged"),
                    ("inbound_waiting", "A reply of the person is being read"),
                    ("undeliverable", "The address does not work"),
                    ("sunset", "No sign of life for long"),
                    ("lead_inactive", "The lead is switched off"),
                    ("no_consent", "No consent on record for this brand"),
                    ("no_address", "No phone number"),
                    ("no_place", "Nothing tells where the person is"),
                    ("no_common_window", "No hour suits every place the person may be in"),
                    ("quiet_hours", "Outside the sending hours"),
                    ("no_rules", "The hours could not be read"),
                    ("person_limit", "The person had enough messages lately"),
                    ("same_words", "The person got the same words that day"),
                    ("cannot_render", "The text could not be filled in"),
                    ("too_long", "The text is too long"),
                    ("unsayable", "The text has letters that its number cannot carry"),
                    ("no_route", "No number can send it"),
                    ("brand_cap", "The brand's daily cap is reached"),
                    ("campaign_cap", "The campaign's daily cap is reached"),
                    ("warm_up", "The number warms up and has sent what it may for now"),
                    ("no_capacity", "The numbers were too slow for its slot"),
                    ("throttled", "The provider asked us to wait"),
                    ("not_connected", "The provider could not be reached"),
                    ("account_fault", "The provider refused the account or the number"),
                    ("not_sent", "It certainly did not leave; it goes round again"),
                    ("step_failed", "An error of ours; it waits and is tried again"),
                    ("worker_killed", "It ended its worker twice and was set aside"),
                    ("rejected", "The provider refused this recipient or text"),
                    ("out_of_tries", "Tried too often"),
                ],
                db_default="",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "None"),
                    ("stop_all", "All sending is stopped"),
                    ("brand_paused", "The brand is paused"),
                    ("campaign_paused", "The campaign is paused"),
                    ("lane_paused", "The number or its account is paused"),
                    ("opted_out", "The person opted out"),
                    ("person_held", "The person is on hold until a reply is judged"),
                    ("inbound_waiting", "A reply of the person is being read"),
                    ("undeliverable", "The address does not work"),
                    ("sunset", "No sign of life for long"),
                    ("lead_inactive", "The lead is switched off"),
                    ("no_consent", "No consent on record for this brand"),
                    ("no_address", "No phone number"),
                    ("no_place", "Nothing tells where the person is"),
                    ("no_common_window", "No hour suits every place the person may be in"),
                    ("quiet_hours", "Outside the sending hours"),
                    ("no_rules", "The hours could not be read"),
                    ("person_limit", "The person had enough messages lately"),
                    ("same_words", "The person got the same words that day"),
                    ("cannot_render", "The text could not be filled in"),
                    ("too_long", "The text is too long"),
                    ("unsayable", "The text has letters that its number cannot carry"),
                    ("no_route", "No number can send it"),
                    ("brand_cap", "The brand's daily cap is reached"),
                    ("campaign_cap", "The campaign's daily cap is reached"),
                    ("warm_up", "The number warms up and has sent what it may for now"),
                    ("no_capacity", "The numbers were too slow for its slot"),
                    ("throttled", "The provider asked us to wait"),
                    ("not_connected", "The provider could not be reached"),
                    ("account_fault", "The provider refused the account or the number"),
                    ("not_sent", "It certainly did not leave; it goes round again"),
                    ("step_failed", "An error of ours; it waits and is tried again"),
                    ("worker_killed", "It ended its worker twice and was set aside"),
                    ("rejected", "The provider refused this recipient or text"),
                    ("out_of_tries", "Tried too often"),
                ],
                db_default="",
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                condition=models.Q(("blocked_at__isnull", False)),
                fields=["blocked_at"],
                name="blocked_attempts",
            ),
        ),
        migrations.AddField(
            model_name="numberhour",
            name="number",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="providers.sendernumber",
            ),
        ),
        migrations.AddConstraint(
            model_name="numberhour",
            constraint=models.UniqueConstraint(
                fields=("hour", "number"), name="a_number_once_an_hour"
            ),
        ),
    ]
