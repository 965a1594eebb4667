"""Which numbers a brand's messages leave by."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from brands.models import Brand
from providers.models.accounts import Channel
from providers.models.numbers import SenderNumber


class Route(models.Model):
    """A weighted set of numbers with a fallback order, for one brand and one channel."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    name = models.CharField(max_length=80)
    is_default = models.BooleanField(default=False)
    channel = models.CharField(max_length=8, choices=Channel.choices, default=Channel.SMS)
    prefers_cheapest = models.BooleanField(
        "least cost first",
        default=False,
        db_default=False,
        help_text="Of the numbers of one order, those of the cheapest account get all messages; the"
        " next dearer ones take over while none of them can send: paused, resting, refused or out."
        " What the cheapest cannot send in time is not passed on; the forecast before a Start says"
        " how long it takes.",
    )
    keeps_number = models.BooleanField(
        "People keep their number",
        default=True,
        db_default=True,
        help_text="Whoever heard the brand from one of these numbers hears it from that one again,"
        " while it works.",
    )
    prefers_area = models.BooleanField(
        "Numbers near people first",
        default=False,
        db_default=False,
        help_text="Whoever has the area code of one of these numbers is texted from that one, of"
        " the first order that works; weights divide among several, and everybody else as ever.",
    )
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="route_names_are_unique_per_brand", fields=["brand", "name"]
            ),
            models.UniqueConstraint(
                name="one_default_route_per_brand_and_channel",
                fields=["brand", "channel"],
                condition=Q(is_default=True),
            ),
            models.CheckConstraint(
                name="route_channel_is_known", condition=Q(channel__in=Channel.values)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def carries(self, number: SenderNumber) -> bool:
        """Whether the number is of the route's channel: e-mail leaves by e-mail senders alone."""
        return number.channel == self.channel


class RouteNumber(models.Model):
    """One number of a route. Lower `order` first; the weight divides those of equal order."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="numbers")
    number = models.ForeignKey(SenderNumber, on_delete=models.PROTECT)
    weight = models.PositiveSmallIntegerField(default=100)
    order = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["order", "id"]
        constraints = [
            models.UniqueConstraint(name="a_number_once_per_route", fields=["route", "number"])
        ]

    def __str__(self) -> str:
        return str(self.number)

    @property
    def turn(self) -> tuple[int, int]:
        """The numbers of the lowest turn go first: by order, then by price where that is wished."""
        price = self.number.account.price_micros if self.route.prefers_cheapest else 0
        return self.order, price
