"""Counts of callbacks that came to nothing: forged, unreadable, unknown, without an attempt."""

from __future__ import annotations

import logging

from django.db import OperationalError, models, transaction

from delivery import sql

logger = logging.getLogger(__name__)

LOCK_NOT_AVAILABLE = "55P03"


class What(models.TextChoices):
    FORGED = "forged", "Forged: the signature was wrong or missing"
    REPLAYED = "replayed", "Replayed: its nonce had come with another body"
    NO_ACCOUNT = "no_account", "For an account that is not ours"
    TOO_LARGE = "too_large", "Too large to be read"
    UNREADABLE = "unreadable", "Genuine, but not readable"
    UNUSED = "unused", "Of a kind we do not use"
    ORPHAN = "orphan", "A report on no attempt of ours"
    BROKEN = "broken", "A report that could not be applied, by a fault of ours"
    MISMATCH = "mismatch", "A report whose ids do not fit the attempt it names"


COUNT = """
SELECT set_config('lock_timeout', '1s', true);
INSERT INTO delivery_webhooktally AS t (account_id, what, hour, count)
VALUES (%s, %s, date_trunc('hour', sendonce_now()), 1)
ON CONFLICT (account_id, what, hour) DO UPDATE SET count = t.count + 1
"""


def count(what: What, account_id: int | None = None) -> None:
    """One more in this hour; where its row is held for long, it is not counted.

    Raises DatabaseError when the database is away.
    """
    try:
        with transaction.atomic():
            sql.rows(COUNT, account_id, what.value)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        logger.warning("a callback was not counted", extra={"what": what.value})
