"""Ids of providers whose reports name nothing else, and what is said of each part of a text."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


def parent(to: str) -> models.ForeignKey:
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to=to,
    )


class Migration(migrations.Migration):
    dependencies = [("delivery", "0007_unsayable"), ("providers", "0004_definition")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="segments_said",
            field=models.PositiveSmallIntegerField(
                help_text="By the provider, when it took the message.", null=True
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="reported_parts",
            field=models.JSONField(
                help_text="What was said of each part, by the provider's id of it.", null=True
            ),
        ),
        migrations.CreateModel(
            name="ProviderRef",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider_ref", models.CharField(max_length=64)),
                ("account", parent("providers.provideraccount")),
                ("attempt", parent("delivery.attempt")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "provider_ref"), name="an_id_of_theirs_once"
                    )
                ],
            },
        ),
    ]
