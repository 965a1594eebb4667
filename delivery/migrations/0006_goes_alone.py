"""A row whose request of several was refused goes by itself the next time."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0005_room_for_updates")]

    operations = [
        migrations.AddField(
            model_name="due",
            name="goes_alone",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
