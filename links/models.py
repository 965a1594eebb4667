"""Short links and every hit on them."""

from __future__ import annotations

from django.db import models

from brands.clock import database_now
from brands.models import Brand


class ShortLink(models.Model):
    """A personal code on a brand's short domain. The message that carries it points here."""

    code = models.CharField(max_length=12, unique=True)
    brand = models.ForeignKey(
        Brand, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    destination = models.TextField()
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.code


class Click(models.Model):
    """One hit on a short link, judged later: `verdict` is empty until then."""

    class Verdict(models.TextChoices):
        HUMAN = "human", "A person"
        SUSPECTED = "suspected", "Perhaps a machine"
        BOT = "bot", "A machine"

    link = models.ForeignKey(ShortLink, on_delete=models.CASCADE)
    at = models.DateTimeField(db_default=database_now(), editable=False)
    method = models.CharField(max_length=8)
    ip = models.GenericIPAddressField(null=True)
    agent = models.TextField(blank=True)
    referer = models.TextField(blank=True)
    verdict = models.CharField(max_length=10, choices=Verdict.choices, blank=True, db_default="")
    reasons = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
