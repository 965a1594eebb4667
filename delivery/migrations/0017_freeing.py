"""An index of what a carrier's limit holds, for when there is room again."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0016_reasons"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="due",
            index=models.Index(
                condition=models.Q(("reason", "carrier_cap")),
                fields=["brand", "message"],
                name="due_for_a_carrier",
            ),
        ),
    ]
