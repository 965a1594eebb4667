"""E-mail beside texts: the channel of templates and campaigns; subject and HTML of a version."""

from __future__ import annotations

from django.db import migrations, models

CHANNELS = [("sms", "Text message"), ("email", "E-mail")]


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0003_words_for_people"),
        ("providers", "0010_email_routes"),
    ]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="channel",
            field=models.CharField(
                choices=CHANNELS,
                db_default="sms",
                default="sms",
                help_text="Text and route must be of the same. Fixed once the campaign has"
                " started.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="template",
            name="channel",
            field=models.CharField(choices=CHANNELS, db_default="sms", default="sms", max_length=8),
        ),
        migrations.AddField(
            model_name="templateversion",
            name="subject",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="templateversion",
            name="html",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="route",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: the brand's default of the channel. A route of the list goes"
                " before both.",
                null=True,
                on_delete=models.deletion.PROTECT,
                to="providers.route",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaign",
            constraint=models.CheckConstraint(
                condition=models.Q(channel__in=["sms", "email"]), name="campaign_channel_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="template",
            constraint=models.CheckConstraint(
                condition=models.Q(channel__in=["sms", "email"]), name="template_channel_is_known"
            ),
        ),
    ]
