"""Moving a sandbox's clock forward: stop, wait for what is in flight or unread, shift, go on.

Answers to texts live for minutes, so those that would be too late then are let out first.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from math import ceil

from django.db import transaction

from brands import clock
from brands.models import ClockShift, Installation
from delivery import sql
from delivery.claims import REPLIES, SHIFT_LOCK

POLL = 0.05  # seconds
ANSWERS_WAIT = 10.0  # seconds; one that has not left by then is kept from it by a person
LOCK = """
SELECT set_config('idle_in_transaction_session_timeout', '5s', true), pg_advisory_xact_lock(%s)
"""
LOCK_TEXTS = "LOCK TABLE delivery_inbound IN SHARE MODE"
IS_BUSY = """
SELECT EXISTS (SELECT 1 FROM delivery_attempt
               WHERE id > (SELECT attempt_id FROM delivery_frontier) AND outcome = '')
    OR EXISTS (SELECT 1 FROM delivery_inbound WHERE applied_at IS NULL)
"""
ANSWERS = """
SELECT EXISTS (SELECT 1 FROM delivery_due WHERE queue = %s
               AND expires_at > sendonce_now() AND expires_at <= %s)
"""


class CannotShift(Exception):
    """Why the clock was not moved; it is as it was."""


def shift_to(moment: datetime, *, patience: float = 60.0) -> timedelta:
    """Move the sandbox's clock forward to `moment` (aware); returns by how much it moved.

    Answers that would be too late then leave first, or are waited for ten seconds. All sending
    stops, what is in flight and texts that are not read yet are waited for (at most `patience`
    seconds), and sending goes on. One transaction holds the lock that every claim needs, so a shift
    that dies midway has changed nothing and stops nobody; one that stands still (Ctrl-Z) loses it
    after five seconds and fails. Raises CannotShift.
    """
    installation = Installation.objects.first()
    if installation is None or not installation.is_sandbox:
        raise CannotShift("Only a sandbox may move its clock.")
    began = time.monotonic()
    while (moved := _try_to_shift(moment, began=began, patience=patience)) is None:
        time.sleep(POLL)
    return moved


def _try_to_shift(moment: datetime, *, began: float, patience: float) -> timedelta | None:
    """None when an answer waits to leave, for which claims must have their lock again."""
    with transaction.atomic():
        sql.rows(LOCK, SHIFT_LOCK)
        _wait_for_quiet(began + patience)
        may_wait = time.monotonic() < began + min(patience, ANSWERS_WAIT)
        if may_wait and sql.one(ANSWERS, REPLIES, moment)[0]:
            return None
        return _shift(moment)


def _wait_for_quiet(until: float) -> None:
    while not _is_quiet():
        if time.monotonic() > until:
            raise CannotShift(
                "Messages are still in flight, or texts not read yet; try again in a minute."
            )
        time.sleep(POLL)


def _is_quiet() -> bool:
    """If so, it stays so: nobody stores a text until the clock is moved.

    A text received just before a shift and read after it would be answered too late.
    """
    if sql.one(IS_BUSY)[0]:
        return False
    before = transaction.savepoint()
    sql.rows(LOCK_TEXTS)
    if sql.one(IS_BUSY)[0]:
        transaction.savepoint_rollback(before)
        return False
    return True


def _shift(moment: datetime) -> timedelta:
    ahead = moment - clock.now()
    seconds = ceil(ahead.total_seconds())
    if seconds <= 0:
        raise CannotShift("The clock only moves forward.")
    before = ClockShift.objects.order_by("-id").values_list("total_seconds", flat=True).first()
    ClockShift.objects.create(
        seconds=seconds, total_seconds=(before or 0) + seconds, real_at=datetime.now(UTC)
    )
    return ahead
