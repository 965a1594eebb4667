"""Figures counted ahead, so that a report of ten million messages opens at once.

Each row of `SlotFigure` is a count of messages of one slot that are alike; together they add up to
the slot's audience. They are thrown away and counted again, never added to.
"""

from __future__ import annotations

from django.db import models

from brands.models import Brand
from campaigns.models import Campaign, Slot
from providers.models import ProviderAccount


class SlotCount(models.Model):
    """When the figures of a slot were counted (on the installation's clock), and for how long."""

    slot = models.OneToOneField(Slot, on_delete=models.CASCADE, primary_key=True)
    counted_at = models.DateTimeField()
    took_ms = models.PositiveIntegerField()


class SlotFigure(models.Model):
    """So many messages of a slot have this account, status and reason; some had a click.

    `account` is the one that has the message, null where none has it. Status and reason are those
    of delivery/states.py, copied; their words are looked up there.
    """

    slot = models.ForeignKey(Slot, on_delete=models.CASCADE)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, db_index=False)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, db_index=False)
    local_date = models.DateField()
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.CASCADE, null=True, db_index=False
    )
    status = models.CharField(max_length=11)
    reason = models.CharField(max_length=16, blank=True)
    messages = models.PositiveIntegerField()
    clicked = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(name="figures_by_brand_and_day", fields=["brand", "local_date"]),
            models.Index(name="figures_by_brand_and_account", fields=["brand", "account"]),
        ]


class StopCount(models.Model):
    """When a brand's texts read as STOP were counted, and in which zone its days were."""

    brand = models.OneToOneField(Brand, on_delete=models.CASCADE, primary_key=True)
    counted_at = models.DateTimeField()
    zone = models.CharField(max_length=64)


class StopFigure(models.Model):
    """So many texts read as STOP came in to this account on this day of the brand's zone."""

    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, db_index=False)
    local_date = models.DateField()
    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, db_index=False)
    texts = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="stops_are_counted_once", fields=["brand", "local_date", "account"]
            )
        ]
