"""What requests of an account came to, in ten seconds, by the journal of the worker."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0010_report_words"),
        ("providers", "0005_weights"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccountTally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("sender", models.UUIDField()),
                ("accepted", models.PositiveIntegerField(db_default=0, default=0)),
                ("rejected", models.PositiveIntegerField(db_default=0, default=0)),
                ("not_sent", models.PositiveIntegerField(db_default=0, default=0)),
                ("throttled", models.PositiveIntegerField(db_default=0, default=0)),
                ("unreachable", models.PositiveIntegerField(db_default=0, default=0)),
                ("unknown", models.PositiveIntegerField(db_default=0, default=0)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.provideraccount",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "account tallies",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("at", "account", "sender"), name="one_tally_per_account_and_sender"
                    )
                ],
            },
        ),
    ]
