import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0002_guards"),
        ("leads", "0003_uploads_and_api"),
        ("providers", "0002_guards"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="listroute",
            options={"verbose_name": "route of a list", "verbose_name_plural": "routes of lists"},
        ),
        migrations.AlterField(
            model_name="campaign",
            name="daily_cap",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Of this campaign, in the brand's day. Empty: only the brand's own cap counts.",
                null=True,
                verbose_name="messages a day at most",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="destination",
            field=models.URLField(
                blank=True,
                help_text="A page on one of the brand's link hosts. Needed only if the text has a {link}.",
                verbose_name="where {link} leads",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="lead_list",
            field=models.ForeignKey(
                help_text="The people who get it. Fixed once the campaign has started.",
                on_delete=django.db.models.deletion.PROTECT,
                to="leads.leadlist",
                verbose_name="list",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="name",
            field=models.CharField(help_text="Only colleagues see it.", max_length=120),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="priority",
            field=models.PositiveSmallIntegerField(
                default=100,
                help_text="A campaign with a lower number goes before others of its brand.",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="repeats_words",
            field=models.BooleanField(
                default=False,
                help_text="The same words may reach a person twice on one day. Leave it off for advertising.",
                verbose_name="may repeat its words",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="route",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: the brand's default. A route of the list goes before both.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="providers.route",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="template",
            field=models.ForeignKey(
                help_text="Its newest version at the time of Start is what goes out.",
                on_delete=django.db.models.deletion.PROTECT,
                to="campaigns.template",
                verbose_name="text",
            ),
        ),
        migrations.AlterField(
            model_name="listroute",
            name="lead_list",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                to="leads.leadlist",
                verbose_name="list",
            ),
        ),
        migrations.AlterField(
            model_name="slot",
            name="length_minutes",
            field=models.PositiveSmallIntegerField(
                default=120,
                help_text="How long after that time a message may still leave.",
                validators=[
                    django.core.validators.MinValueValidator(5),
                    django.core.validators.MaxValueValidator(720),
                ],
                verbose_name="minutes it may take",
            ),
        ),
        migrations.AlterField(
            model_name="slot",
            name="local_date",
            field=models.DateField(verbose_name="day"),
        ),
        migrations.AlterField(
            model_name="slot",
            name="local_time",
            field=models.TimeField(help_text="Each person's own local time.", verbose_name="time"),
        ),
        migrations.AlterField(
            model_name="slot",
            name="ordinal",
            field=models.PositiveSmallIntegerField(
                default=1,
                help_text="1, unless the campaign goes out more than once on one day.",
                verbose_name="number on that day",
            ),
        ),
        migrations.AlterField(
            model_name="slot",
            name="template_version",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="campaigns.templateversion",
                verbose_name="text",
            ),
        ),
        migrations.AlterField(
            model_name="template",
            name="name",
            field=models.CharField(
                help_text="What colleagues know it by; no recipient sees it.", max_length=120
            ),
        ),
    ]
