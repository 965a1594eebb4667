"""How numbers fare, rest after blocks and warm up; two choices of a route."""

from __future__ import annotations

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models

import providers.models

WARMING = """
-- The day of its warm-up that a number is in, from 1 on; NULL when it is warm. A day is 24 hours
-- from the beginning on. What is to begin later is in its first day: it is no quicker before.
CREATE FUNCTION sendonce_warm_day(n providers_sendernumber, at timestamptz) RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN at < n.warms_up_since + n.warm_up_days * interval '24 hours' THEN
        greatest(floor(extract(epoch FROM at - n.warms_up_since) / 86400)::int + 1, 1) END
$$;

-- When that day began.
CREATE FUNCTION sendonce_warm_from(n providers_sendernumber, at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT n.warms_up_since + (sendonce_warm_day(n, at) - 1) * interval '24 hours'
$$;

-- The share of its full speed that a number may use: as many parts as days of its warm-up began.
CREATE FUNCTION sendonce_warmth(n providers_sendernumber, at timestamptz) RETURNS float8
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(sendonce_warm_day(n, at)::float8 / (n.warm_up_days + 1), 1)
$$;

-- Segments a second.
CREATE FUNCTION sendonce_pace(n providers_sendernumber, at timestamptz) RETURNS float8
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT n.segments_per_second * sendonce_warmth(n, at)
$$;

-- Messages in that day, NULL for a warm number: by the same factor more each day, from the first
-- day's on, so that the day after the last would have all that its full speed makes in a day.
CREATE FUNCTION sendonce_warm_ceiling(n providers_sendernumber, at timestamptz) RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN sendonce_warm_day(n, at) IS NOT NULL THEN floor(least(2e9,
        n.warm_up_first * power(greatest(n.segments_per_second * 86400 / n.warm_up_first, 1),
                                (sendonce_warm_day(n, at) - 1)::float8 / n.warm_up_days)))::int END
$$;
"""

UNDO = """
DROP FUNCTION sendonce_warm_ceiling(providers_sendernumber, timestamptz);
DROP FUNCTION sendonce_pace(providers_sendernumber, timestamptz);
DROP FUNCTION sendonce_warmth(providers_sendernumber, timestamptz);
DROP FUNCTION sendonce_warm_from(providers_sendernumber, timestamptz);
DROP FUNCTION sendonce_warm_day(providers_sendernumber, timestamptz);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("brands", "0004_access_and_wipe"),
        ("providers", "0008_options"),
    ]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="block_rest_hours",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.PositiveSmallIntegerField(
                    validators=[
                        django.core.validators.MinValueValidator(1),
                        django.core.validators.MaxValueValidator(720),
                    ]
                ),
                db_default=[1, 4, 24],
                default=providers.models.rest_hours,
                size=10,
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="blocks_least",
            field=models.PositiveSmallIntegerField(
                db_default=5, default=5, validators=[django.core.validators.MinValueValidator(1)]
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="blocks_percent",
            field=models.PositiveSmallIntegerField(
                db_default=10,
                default=10,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(100),
                ],
            ),
        ),
        migrations.AddField(
            model_name="route",
            name="keeps_number",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whoever heard the brand from one of these numbers hears it from that one"
                " again, while it works.",
                verbose_name="People keep their number",
            ),
        ),
        migrations.AddField(
            model_name="route",
            name="prefers_area",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whoever has the area code of one of these numbers is texted from that"
                " one, of the first order that works; weights divide among several, and everybody"
                " else as ever.",
                verbose_name="Numbers near people first",
            ),
        ),
        migrations.AddField(
            model_name="sendernumber",
            name="block_rests",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="How often it rested for blocks of late.",
            ),
        ),
        migrations.AddField(
            model_name="sendernumber",
            name="rest_words",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Why its last rest for blocks began.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            model_name="sendernumber",
            name="rested_at",
            field=models.DateTimeField(
                editable=False, help_text="When its last rest for blocks began.", null=True
            ),
        ),
        migrations.AddField(
            model_name="sendernumber",
            name="rests_because",
            field=models.CharField(
                blank=True,
                choices=[
                    ("blocks", "Carriers blocked too many of its messages"),
                    ("warm_up", "It warms up, and has sent what it may for now"),
                ],
                db_default="",
                default="",
                editable=False,
                help_text="Empty: its provider cannot be reached, so it cannot even answer.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="sendernumber",
            name="warm_up_days",
            field=models.PositiveSmallIntegerField(
                db_default=14,
                default=14,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(90),
                ],
            ),
        ),
        migrations.AddField(
            model_name="sendernumber",
            name="warm_up_first",
            field=models.PositiveIntegerField(
                db_default=200,
                default=200,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AddField(
            model_name="sendernumber",
            name="warms_up_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddConstraint(
            model_name="provideraccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("blocks_least__gte", 1),
                    ("blocks_percent__gte", 1),
                    ("blocks_percent__lte", 100),
                ),
                name="blocks_are_a_share",
            ),
        ),
        migrations.AddConstraint(
            model_name="sendernumber",
            constraint=models.CheckConstraint(
                condition=models.Q(("warm_up_days__gte", 1), ("warm_up_first__gte", 1)),
                name="warm_up_has_a_beginning_and_an_end",
            ),
        ),
        migrations.RunSQL(WARMING, UNDO),
    ]
