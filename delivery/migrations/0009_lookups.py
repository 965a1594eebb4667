"""When the provider is asked about a send of unknown outcome; those there are, at once."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

WATCH_ALL = """
INSERT INTO delivery_lookup (attempt_id, since, next_at)
SELECT a.id, sendonce_now(), sendonce_now() FROM delivery_attempt a
JOIN delivery_message m ON m.id = a.message_id
WHERE a.outcome = 'unknown' AND m.status = 'unknown'
"""


class Migration(migrations.Migration):
    dependencies = [("delivery", "0008_ids_and_parts")]

    operations = [
        migrations.CreateModel(
            name="Lookup",
            fields=[
                (
                    "attempt",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="lookup",
                        serialize=False,
                        to="delivery.attempt",
                    ),
                ),
                ("since", models.DateTimeField()),
                ("tries", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("next_at", models.DateTimeField(null=True)),
                ("said", models.CharField(blank=True, db_default="", max_length=100)),
                (
                    "ended_as",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("found", "The provider has it"),
                            ("reported", "A report or the journal told before"),
                            ("not_found", "Nothing is known of it"),
                        ],
                        db_default="",
                        max_length=9,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_at__isnull", False)),
                        fields=["next_at"],
                        name="lookups_due",
                    )
                ],
            },
        ),
        migrations.RunSQL(WATCH_ALL, migrations.RunSQL.noop),
    ]
