"""How much may be sent, a second or a day."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Floor

from brands.clock import database_now
from brands.models import Brand
from brands.zones import zone_choices
from providers.carriers import Carrier
from providers.models.accounts import ProviderAccount
from providers.models.numbers import SenderNumber

MOST = 1_000_000_000  # of a limit


class Limit(models.Model):
    """How much a number, an account or a brand may send in a second or in a day.

    Its owner's segments a second are a column there; all other limits are rows here. Of an account
    or a brand it may be for numbers of one kind alone. A day is one of `zone`, or of the brand's
    own where that is empty. With a carrier only people of that carrier count, and, if
    `counts_unknown`, those of whom it is not known. `counted_at`: since when the day's counter is
    complete; until then a limit a day lets nothing pass. Only the amount of a row may change, by a
    trigger: whoever wants another limit adds one.
    """

    class Unit(models.TextChoices):
        MESSAGES = "messages", "messages"
        SEGMENTS = "segments", "segments"

    class Per(models.TextChoices):
        SECOND = "second", "a second"
        DAY = "day", "a day"

    SAID = ("amount", "unit", "per", "kind", "zone", "carrier")

    number = models.ForeignKey(
        SenderNumber, on_delete=models.PROTECT, null=True, blank=True, related_name="limits"
    )
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.PROTECT, null=True, blank=True, related_name="limits"
    )
    brand = models.ForeignKey(
        Brand, on_delete=models.PROTECT, null=True, blank=True, related_name="limits"
    )
    kind = models.CharField(max_length=12, choices=SenderNumber.Kind.choices, blank=True)
    amount = models.FloatField()
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.MESSAGES)
    per = models.CharField(max_length=6, choices=Per.choices, default=Per.DAY)
    zone = models.CharField(max_length=64, choices=zone_choices, blank=True)
    carrier = models.CharField(max_length=12, choices=Carrier.choices, blank=True)
    counts_unknown = models.BooleanField(default=True)
    made_at = models.DateTimeField(db_default=database_now(), editable=False)
    counted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="limit_has_one_owner",
                condition=Q(number__isnull=False, account=None, brand=None, kind="")
                | Q(number=None, account__isnull=False, brand=None)
                | Q(number=None, account=None, brand__isnull=False),
            ),
            models.CheckConstraint(  # NaN is above every number
                name="limit_is_an_amount", condition=Q(amount__gt=0, amount__lte=MOST)
            ),
            models.CheckConstraint(
                name="limit_words_are_known",
                condition=Q(unit__in=["messages", "segments"], per__in=["second", "day"])
                & Q(kind__in=["", *SenderNumber.Kind.values], carrier__in=["", *Carrier.values]),
            ),
            models.CheckConstraint(
                name="limit_a_day_is_whole",
                condition=Q(per="second") | Q(amount__gte=1, amount=Floor("amount")),
            ),
            models.CheckConstraint(
                name="limit_a_day_has_a_zone",
                condition=Q(per="second", zone="")
                | Q(per="day") & (~Q(zone="") | Q(brand__isnull=False)),
            ),
            models.CheckConstraint(  # a second's are taken before anybody looks at the person
                name="limit_of_a_carrier_is_a_day", condition=Q(carrier="") | Q(per="day")
            ),
            models.CheckConstraint(
                name="segments_a_second_stand_with_their_owner",
                condition=~Q(unit="segments", per="second", kind=""),
            ),
            models.UniqueConstraint(
                name="a_limit_once",
                fields=["number", "account", "brand", "kind", "unit", "per", "carrier"],
                nulls_distinct=False,
            ),
        ]
        indexes = [
            models.Index(
                name="limits_to_count", fields=["id"], condition=Q(per="day", counted_at=None)
            )
        ]

    def __str__(self) -> str:
        parts = [f"{self.amount:,.12g} {self.unit} {self.get_per_display()}"]
        parts += [f"by {self.get_kind_display()}"] if self.kind else []
        parts += [f"to {self.get_carrier_display()}"] if self.carrier else []
        return " ".join(parts)
