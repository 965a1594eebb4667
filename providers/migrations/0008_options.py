"""What an account chose of how its provider is used."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0007_mail_address")]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="options",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, models.JSONField()),
                default=dict,
                editable=False,
            ),
        ),
    ]
