"""How much of its weight an account gets, why that moved, and routes by least cost."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0004_definition"),
    ]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="halves",
            field=models.PositiveSmallIntegerField(
                choices=[(0, "out"), (1, "half weight"), (2, "full weight")],
                db_default=2,
                default=2,
                editable=False,
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="halves_since",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="probe_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="route",
            name="prefers_cheapest",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Of the numbers of one order, those of the cheapest account get all messages; the next dearer ones take over while none of them can send: paused, resting, refused or out. What the cheapest cannot send in time is not passed on; the forecast before a Start says how long it takes.",
                verbose_name="least cost first",
            ),
        ),
        migrations.AddField(
            model_name="weightchange",
            name="halves_after",
            field=models.PositiveSmallIntegerField(
                choices=[(0, "out"), (1, "half weight"), (2, "full weight")],
                db_default=2,
                default=2,
            ),
        ),
        migrations.AddField(
            model_name="weightchange",
            name="halves_before",
            field=models.PositiveSmallIntegerField(
                choices=[(0, "out"), (1, "half weight"), (2, "full weight")],
                db_default=2,
                default=2,
            ),
        ),
        migrations.AddConstraint(
            model_name="provideraccount",
            constraint=models.CheckConstraint(
                condition=models.Q(("halves__in", [0, 1, 2])), name="account_has_known_halves"
            ),
        ),
    ]
