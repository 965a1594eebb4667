"""A route is of one channel that we know."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0009_health")]

    operations = [
        migrations.AlterField(
            model_name="route",
            name="channel",
            field=models.CharField(
                choices=[("sms", "Text message"), ("email", "E-mail")], default="sms", max_length=8
            ),
        ),
        migrations.AddConstraint(
            model_name="route",
            constraint=models.CheckConstraint(
                condition=models.Q(channel__in=["sms", "email"]), name="route_channel_is_known"
            ),
        ),
    ]
