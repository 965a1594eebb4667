"""The transactions of a batch: short time-outs, and again when the database broke one off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import InternalError, OperationalError, connection

from delivery import sql

RETRIES = 5

TIMEOUTS = """
SELECT set_config('lock_timeout', '2s', true), set_config('statement_timeout', '5s', true),
       set_config('idle_in_transaction_session_timeout', '5s', true), sendonce_now()
"""


def begin() -> datetime:
    """Set the time-outs of the transaction that is open; returns the installation's now (UTC)."""
    *_, now = sql.one(TIMEOUTS)
    assert isinstance(now, datetime)  # noqa: S101 - narrows the driver's Any
    return now


def retried(work: Callable[[], int]) -> int:
    """Run a whole transaction again when the database broke it off."""
    for again in range(RETRIES):
        try:
            return work()
        except (OperationalError, InternalError):  # also a transaction the server has ended
            if again == RETRIES - 1 or connection.in_atomic_block:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("not reached")
