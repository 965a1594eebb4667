"""Words of providers' reports that we do not know; how far reports were waited for."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import brands.clock


class Migration(migrations.Migration):
    dependencies = [("delivery", "0009_lookups")]

    operations = [
        migrations.CreateModel(
            name="ReportWord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("word", models.CharField(max_length=40)),
                ("count", models.PositiveBigIntegerField(default=0)),
                (
                    "first_at",
                    models.DateTimeField(db_default=brands.clock.database_now(), editable=False),
                ),
                (
                    "last_at",
                    models.DateTimeField(db_default=brands.clock.database_now(), editable=False),
                ),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "word"), name="a_word_once_per_account"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="frontier",
            name="reported_id",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
