"""The walk of a batch: pick, grant, claim, gather, decide, commit, send, record.

Claim to commit is one transaction of milliseconds, and it has ended before a request leaves. A
worker decides the next batch while the last one is on the wire.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeAlias

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, transaction

from delivery import claims, facts, intents, outcomes
from delivery.claims import Claimed, Grant
from delivery.facts import Gathered
from delivery.intents import Decided, Intent, Struck, Verdict
from delivery.journal import CannotWrite, Journal
from delivery.picking import Picker
from delivery.sender import Answered, Parcel, Sender
from delivery.states import Reason
from delivery.steps import STEPS, Draft, Facts

logger = logging.getLogger(__name__)

Claim: TypeAlias = Callable[[datetime], list[Claimed]]
Written: TypeAlias = tuple[list[Intent], Counter[str]]  # and how often each reason was said
Way: TypeAlias = Callable[[Sequence[Claimed], Journal, datetime], Written]

ALONE_A_TURN = 10
WRITE_WITHIN = 2.0  # seconds from the intent to the write
NOT_STRIKES = (
    claims.ClockSkew,
    claims.Shifting,
    intents.CapFull,
    intents.Inconsistent,
    CannotWrite,
)


class NotWitnessed(Exception):
    """Redis could not be told of committed intents: they are not sent, and settled as such."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch came to. `intents` carry the monotonic second by which they must be written.

    `said`: how often a step held or refused a message, by its reason.
    """

    claimed: int = 0
    intents: list[tuple[Intent, float]] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)


def send_batch(room: int, *, picker: Picker, sender: Sender, journal: Journal) -> int:
    """One turn of a worker: hand the next rows to the sender; returns how many were claimed.

    First some that were in the hands of a worker that died, each alone, then a batch. Raises
    OperationalError or InterfaceError when the database broke it off, and NotWitnessed; nothing of
    the batch in hand has left then.
    """
    claimed = 0
    for _ in range(ALONE_A_TURN):
        if (alone := picker.grant_alone()) is None:
            break
        batch = take(partial(_claim_alone, alone), journal)
        _hand_over(batch, picker, sender, journal)
        claimed += batch.claimed
    if grants := picker.grants(room):
        batch = take(partial(_claim_granted, grants), journal)
        _hand_over(batch, picker, sender, journal)
        claimed += batch.claimed
    return claimed


def _claim_alone(message_id: int, now: datetime) -> list[Claimed]:
    return claims.claim_alone(message_id, now=now)


def _claim_granted(grants: Sequence[Grant], now: datetime) -> list[Claimed]:
    return claims.claim(grants, now=now)


def _hand_over(batch: Batch, picker: Picker, sender: Sender, journal: Journal) -> None:
    if batch.claimed:
        extra = {"claimed": batch.claimed, "intents": len(batch.intents), "said": dict(batch.said)}
        logger.info("batch decided", extra=extra)
    picker.spent(
        (intent.queue, intent.lane_id, intent.send.segments) for intent, _ in batch.intents
    )
    if batch.intents:
        if not picker.witness([intent.attempt_id for intent, _ in batch.intents]):
            raise NotWitnessed
        sender.submit(Parcel(batch.intents, journal))


def take(claim: Claim, journal: Journal) -> Batch:
    """Claim, decide and commit a batch; row by row when one of them breaks it."""
    ways = [_together, _together, _row_by_row]
    while ways:
        way = ways.pop(0)
        try:
            return _committed(claim, journal, way)
        except intents.CapFull:
            logger.info("another batch took the rest of a cap: decided again")
        except Exception as error:
            if _breaks_off(error) or way is _row_by_row:
                raise
            logger.exception("batch failed, taking it row by row")
            ways = [_row_by_row]
    return Batch()


def _breaks_off(error: Exception) -> bool:
    """True for what rolls back and waits; a data error or a bug is pinned on its row instead."""
    if isinstance(error, DatabaseError | InterfaceError):
        return not isinstance(error, DataError | IntegrityError)
    return isinstance(error, NOT_STRIKES)


def _committed(claim: Claim, journal: Journal, way: Way) -> Batch:
    """The one transaction of a batch."""
    try:
        with transaction.atomic():
            opened, now = time.monotonic(), claims.begin(time.time())
            rows = claim(now)
            if not rows:
                return Batch()
            journal.claimed(row.message_id for row in rows)
            written, said = way(rows, journal, now)
            committing = time.monotonic()
    finally:
        journal.decided()
    by = [(one, _write_by(one, now, opened, committing)) for one in written]
    return Batch(len(rows), by, said)


def _together(rows: Sequence[Claimed], journal: Journal, now: datetime) -> Written:
    gathered = facts.gather(rows, now=now)
    decided = decide_all(rows, gathered)
    written = intents.write(decided, gathered, sender=journal.sender, now=now)
    return written, Counter(_reasons(decided))


def _row_by_row(rows: Sequence[Claimed], journal: Journal, now: datetime) -> Written:
    """The same, each row under its own savepoint, so that the row at fault is struck alone."""
    written: list[Intent] = []
    said: Counter[str] = Counter()
    for row in rows:
        its_own, its_reason = _one_row(row, journal, now)
        written += its_own
        said += its_reason
    return written, said


def _one_row(row: Claimed, journal: Journal, now: datetime) -> Written:
    try:
        with transaction.atomic():
            written = _together([row], journal, now)
            intents.check_constraints()
        return written
    except Exception as error:
        if _breaks_off(error):
            raise
        logger.exception("row failed", extra={"message_id": row.message_id})
        intents.strike(row, step=type(error).__name__, now=now)
        return [], Counter([Reason.STEP_FAILED.value])


def _reasons(decided: Sequence[Decided]) -> Iterator[str]:
    for item in decided:
        if isinstance(item.verdict, Struck):
            yield Reason.STEP_FAILED.value
        elif not isinstance(item.verdict, Draft):
            yield item.verdict.reason.value


def decide_all(rows: Sequence[Claimed], gathered: Gathered) -> list[Decided]:
    """A verdict for each row. A row whose message is not planned any more leaves the queue."""
    by_message = {row.message_id: row for row in rows}
    if len(gathered.drafts) < len(rows):
        extra = {"rows": len(rows) - len(gathered.drafts)}
        logger.error("due rows without a planned message were dropped", extra=extra)
    return [
        Decided(by_message[draft.message_id], decide(draft, gathered.facts))
        for draft in gathered.drafts
    ]


def decide(draft: Draft, facts: Facts) -> Verdict:
    """Run the steps until one stops. A step that fails holds its message: a bug refuses nobody."""
    if draft.sending not in STEPS:
        logger.error("a kind without steps", extra={"message_id": draft.message_id})
        return Struck("no_steps")
    for step in STEPS[draft.sending]:
        try:
            result = step(draft, facts)
        except Exception:
            extra = {"message_id": draft.message_id, "step": step.__name__}
            logger.exception("step failed", extra=extra)
            return Struck(step.__name__)
        if not isinstance(result, Draft):
            return result
        draft = result
    return draft


def _write_by(intent: Intent, now: datetime, opened: float, committing: float) -> float:
    """Two seconds after the intent, never past the close of the window; a monotonic second."""
    by = committing + WRITE_WITHIN
    if intent.window_closes_at is None:
        return by
    return min(by, opened + (intent.window_closes_at - now).total_seconds())


def record_answers(answers: Sequence[Answered]) -> int:
    """Store what the sender brought back."""
    return outcomes.record(
        [
            outcomes.Settled(answer.intent.attempt_id, answer.intent.message_id, answer.outcome)
            for answer in answers
        ]
    )
