"""Figures counted ahead, so that a report of ten million messages opens at once.

Each row of `SlotFigure` is a count of messages of one slot that are alike; together they add up to
the slot's audience. They are thrown away and counted again, never added to.
"""

from __future__ import annotations

from django.db import models

from brands.models import Brand
from campaigns.models import Campaign, Slot
from delivery.states import Reason, Status
from providers.models import ProviderAccount


class SlotCount(models.Model):
    """When the figures of a slot were counted (on the installation's clock), and for how long."""

    slot = models.OneToOneField(Slot, on_delete=models.CASCADE, primary_key=True)
    counted_at = models.DateTimeField()
    took_ms = models.PositiveIntegerField()


class SlotFigure(models.Model):
    """So many messages of a slot have this account, status and reason; some had a click.

    `account` is the one that has the message, null where none has it. `on` is the slot's date.
    """

    slot = models.ForeignKey(Slot, on_delete=models.CASCADE)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, db_index=False)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, db_index=False)
    on = models.DateField()
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.CASCADE, null=True, db_index=False
    )
    status = models.CharField(max_length=11, choices=Status.choices)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)
    messages = models.PositiveBigIntegerField()
    clicked = models.PositiveBigIntegerField(default=0)
    segments = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(name="figures_by_brand_and_day", fields=["brand", "on"])]
