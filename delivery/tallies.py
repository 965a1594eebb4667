"""Counts of callbacks that came to nothing: forged, unreadable, unknown, without an attempt."""

from __future__ import annotations

from django.db import models

from delivery import sql


class What(models.TextChoices):
    FORGED = "forged", "Forged: the signature was wrong or missing"
    REPLAYED = "replayed", "Replayed: its nonce had come with another body"
    NO_ACCOUNT = "no_account", "For an account that is not ours"
    TOO_LARGE = "too_large", "Too large to be read"
    UNREADABLE = "unreadable", "Genuine, but not readable"
    UNUSED = "unused", "Of a kind we do not use"
    ORPHAN = "orphan", "A report on no attempt of ours"
    MISMATCH = "mismatch", "A report whose ids do not fit the attempt it names"


COUNT = """
INSERT INTO delivery_webhooktally AS t (account_id, what, hour, count)
VALUES (%s, %s, date_trunc('hour', sendonce_now()), 1)
ON CONFLICT (account_id, what, hour) DO UPDATE SET count = t.count + 1
"""


def count(what: What, account_id: int | None = None) -> None:
    """One more in this hour. Raises DatabaseError."""
    sql.count(COUNT, account_id, what.value)
