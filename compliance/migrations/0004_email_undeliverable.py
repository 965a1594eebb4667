"""A mailbox that does not exist, apart from the phone; who opted out by the link of an e-mail."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("compliance", "0003_room_for_updates")]

    operations = [
        migrations.AddField(
            model_name="person",
            name="email_undeliverable_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="optoutevent",
            name="source",
            field=models.CharField(
                choices=[
                    ("inbound", "The person's own reply"),
                    ("provider", "A provider said so"),
                    ("staff", "Typed in by staff"),
                    ("import", "An imported suppression list"),
                    ("unsubscribe", "The unsubscribe link of an e-mail"),
                ],
                max_length=12,
            ),
        ),
    ]
