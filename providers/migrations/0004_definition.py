"""How to speak to a provider that has no adapter of its own."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0003_webhook_key")]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="definition",
            field=models.TextField(
                blank=True,
                default="",
                help_text="How to speak to a provider that is not in the list, as JSON.",
            ),
            preserve_default=False,
        ),
    ]
