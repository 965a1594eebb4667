"""Limits as rows, of which only the amount may change: a counter goes with what it counts."""

from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.math
from django.db import migrations, models

import brands.zones

KEEPS_WHAT_IT_COUNTS = """
CREATE FUNCTION sendonce_limit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.number_id, NEW.account_id, NEW.brand_id, NEW.kind, NEW.unit, NEW.per, NEW.zone,
        NEW.carrier, NEW.counts_unknown)
       IS DISTINCT FROM (OLD.number_id, OLD.account_id, OLD.brand_id, OLD.kind, OLD.unit, OLD.per,
                         OLD.zone, OLD.carrier, OLD.counts_unknown) THEN
        RAISE EXCEPTION 'of a limit only the amount may change: add another one'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keeps_what_it_counts BEFORE UPDATE ON providers_limit FOR EACH ROW
    EXECUTE FUNCTION sendonce_limit_keeps();
"""

UNDO = """
DROP TRIGGER keeps_what_it_counts ON providers_limit;
DROP FUNCTION sendonce_limit_keeps();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("brands", "0004_access_and_wipe"),
        ("providers", "0005_weights"),
    ]

    operations = [
        migrations.CreateModel(
            name="Limit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("long_code", "Long code (10DLC)"),
                            ("toll_free", "Toll-free"),
                            ("short_code", "Short code"),
                            ("alphanumeric", "Alphanumeric sender"),
                            ("service", "Messaging service"),
                            ("email", "E-mail sender"),
                        ],
                        max_length=12,
                    ),
                ),
                ("amount", models.FloatField()),
                (
                    "unit",
                    models.CharField(
                        choices=[("messages", "messages"), ("segments", "segments")],
                        default="messages",
                        max_length=8,
                    ),
                ),
                (
                    "per",
                    models.CharField(
                        choices=[("second", "a second"), ("day", "a day")],
                        default="day",
                        max_length=6,
                    ),
                ),
                (
                    "zone",
                    models.CharField(blank=True, choices=brands.zones.zone_choices, max_length=64),
                ),
                (
                    "carrier",
                    models.CharField(
                        blank=True,
                        choices=[("t_mobile", "T-Mobile"), ("att", "AT&T"), ("verizon", "Verizon")],
                        max_length=12,
                    ),
                ),
                ("counts_unknown", models.BooleanField(default=True)),
                (
                    "made_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                ("counted_at", models.DateTimeField(editable=False, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="limits",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="limits",
                        to="brands.brand",
                    ),
                ),
                (
                    "number",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="limits",
                        to="providers.sendernumber",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("counted_at", None), ("per", "day")),
                        fields=["id"],
                        name="limits_to_count",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("account", None),
                                ("brand", None),
                                ("kind", ""),
                                ("number__isnull", False),
                            ),
                            models.Q(("account__isnull", False), ("brand", None), ("number", None)),
                            models.Q(("account", None), ("brand__isnull", False), ("number", None)),
                            _connector="OR",
                        ),
                        name="limit_has_one_owner",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0), ("amount__lte", 1000000000)),
                        name="limit_is_an_amount",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("per__in", ["second", "day"]),
                            ("unit__in", ["messages", "segments"]),
                            ("carrier__in", ["", "t_mobile", "att", "verizon"]),
                            (
                                "kind__in",
                                [
                                    "",
                                    "long_code",
                                    "toll_free",
                                    "short_code",
                                    "alphanumeric",
                                    "service",
                                    "email",
                                ],
                            ),
                        ),
                        name="limit_words_are_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("per", "second"),
                            models.Q(
                                ("amount", django.db.models.functions.math.Floor("amount")),
                                ("amount__gte", 1),
                            ),
                            _connector="OR",
                        ),
                        name="limit_a_day_is_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("per", "second"), ("zone", "")),
                            models.Q(
                                ("per", "day"),
                                models.Q(
                                    models.Q(("zone", ""), _negated=True),
                                    ("brand__isnull", False),
                                    _connector="OR",
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="limit_a_day_has_a_zone",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("carrier", ""), ("per", "day"), _connector="OR"),
                        name="limit_of_a_carrier_is_a_day",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind", ""), ("per", "second"), ("unit", "segments"), _negated=True
                        ),
                        name="segments_a_second_stand_with_their_owner",
                    ),
                    models.UniqueConstraint(
                        fields=("number", "account", "brand", "kind", "unit", "per", "carrier"),
                        name="a_limit_once",
                        nulls_distinct=False,
                    ),
                ],
            },
        ),
        migrations.RunSQL(KEEPS_WHAT_IT_COUNTS, UNDO),
    ]
