"""How far each provider's own listing of texts was read."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0012_caps"), ("providers", "0008_options")]

    operations = [
        migrations.CreateModel(
            name="InboundSweep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("swept_through", models.DateTimeField(null=True)),
                ("began_at", models.DateTimeField(null=True)),
                ("page", models.TextField(blank=True, db_default="")),
                ("next_at", models.DateTimeField()),
                ("turn", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("failures", models.PositiveIntegerField(db_default=0, default=0)),
                ("said", models.CharField(blank=True, db_default="", max_length=100)),
                ("found", models.PositiveBigIntegerField(db_default=0, default=0)),
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
                (
                    "number",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.sendernumber",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "number"),
                        name="one_sweep_per_account_and_number",
                        nulls_distinct=False,
                    )
                ],
                "indexes": [models.Index(fields=["next_at"], name="sweeps_due")],
            },
        ),
    ]
