"""A key for the path of callbacks that carry no proof of their own, each account another."""

from __future__ import annotations

from django.db import migrations, models

import providers.models


def give_each_its_own(apps, schema_editor):
    accounts = apps.get_model("providers", "ProviderAccount")
    for account in accounts.objects.all():
        account.webhook_key = providers.models.new_key()
        account.save(update_fields=["webhook_key"])


class Migration(migrations.Migration):
    dependencies = [("providers", "0002_guards")]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="webhook_key",
            field=models.CharField(default=providers.models.new_key, editable=False, max_length=43),
        ),
        migrations.RunPython(give_each_its_own, migrations.RunPython.noop),
    ]
