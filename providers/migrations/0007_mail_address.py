"""An account may be with a mail server, whose address begins with smtp."""

from __future__ import annotations

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0006_limits")]

    operations = [
        migrations.AlterField(
            model_name="provideraccount",
            name="base_url",
            field=models.CharField(
                blank=True,
                help_text="https://… of the provider, smtp://… of a mail server; no path. Empty: its usual one.",
                max_length=200,
                validators=[
                    django.core.validators.URLValidator(schemes=["https", "http", "smtps", "smtp"])
                ],
            ),
        ),
    ]
