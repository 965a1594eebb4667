"""The walk of a batch: pick, grant, claim, gather, decide, commit, send, record.

Claim to commit is one transaction of milliseconds, and it has ended before a request leaves. A
worker decides the next batch while the last one is on the wire.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TypeAlias

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, transaction

from delivery import claims, facts, intents, outcomes
from delivery.claims import Claimed, Grant
from delivery.facts import Gathered
from delivery.intents import Decided, Intent, Struck, Verdict
from delivery.journal import CannotWrite, Journal
from delivery.picking import TOKENS_LAST, Picker
from delivery.sender import Answered, Parcel, Sender
from delivery.sendings import STEPS
from delivery.states import Reason
from delivery.steps import Draft, Facts
from providers.base import NotSent, Outcome

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
        # Tokens that were held back for longer, as by a database that stood still, would leave
        # together with those that have come since.
        latest = picker.granted_at + TOKENS_LAST
        sender.submit(Parcel([(one, min(by, latest)) for one, by in batch.intents], journal))


def take(claim: Claim, journal: Journal) -> Batch:
    """Claim, decide and commit a batch; without the rows that break it, when any do."""
    ways: list[Way] = [_together] * 3
    while ways:
        way = ways.pop(0)
        try:
            return _committed(claim, journal, way)
        except intents.CapFull:
            logger.info("another batch took the rest of a cap: decided again")
        except Exception as error:
            if _breaks_off(error) or way is _without_culprits:
                raise
            logger.exception("batch failed, looking for the rows at fault")
            ways = [_without_culprits]
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


def _without_culprits(rows: Sequence[Claimed], journal: Journal, now: datetime) -> Written:
    """The rows at fault are struck, each alone, and the others written together."""
    culprits: dict[int, str] = {}
    well = list(rows)
    while well and (found := _culprits(well, journal, now)):
        culprits |= found
        well = [row for row in well if row.message_id not in found]
    written, said = _together(well, journal, now) if well else ([], Counter())
    for row in rows:
        if step := culprits.get(row.message_id):
            logger.error("row failed", extra={"message_id": row.message_id, "error": step})
            intents.strike(row, step=step, now=now)
            said[Reason.STEP_FAILED.value] += 1
    return written, said


def _culprits(rows: Sequence[Claimed], journal: Journal, now: datetime) -> dict[int, str]:
    """Which rows fail, with the error of each, by halves. Everything tried is rolled back.

    So no lock is kept on what all batches share, the counters of caps, while it is looked for. Of
    rows that only fail together it is the last one, and others may be left to find.
    """
    try:
        with transaction.atomic():
            _together([replace(row) for row in rows], journal, now)
            intents.check_constraints()
            transaction.set_rollback(True)
        return {}
    except Exception as error:
        if _breaks_off(error):
            raise
        middle = len(rows) // 2
        halves = (rows[:middle], rows[middle:]) if middle else ()
        found = [_culprits(half, journal, now) for half in halves]
        together = {key: step for half in found for key, step in half.items()}
        return together or {rows[-1].message_id: type(error).__name__}


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
    return outcomes.record([_settled(answer) for answer in answers], is_fresh=True)


def _settled(answer: Answered) -> outcomes.Settled:
    intent = answer.intent
    return outcomes.Settled(intent.attempt_id, intent.message_id, _kept_alone(answer))


def _kept_alone(answer: Answered) -> Outcome:
    """What went alone and was not sent goes alone again, or it would spoil the next request."""
    if answer.intent.goes_alone and isinstance(answer.outcome, NotSent):
        return replace(answer.outcome, goes_alone=True)
    return answer.outcome
