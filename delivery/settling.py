"""What dead workers left behind: their journals say which intents left, and what came back.

Also the reconciler, for intents whose journal is gone: unknown after ten minutes, never re-sent.
It sends nothing; every outcome goes through `outcomes.record`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DataError, IntegrityError, transaction

from brands import clock
from delivery import outcomes, sql
from delivery.journal import Held, Past, abandoned
from delivery.outcomes import Settled, record
from delivery.transactions import begin
from providers.base import NotSent, Outcome, Unknown, outcome_from_json

logger = logging.getLogger(__name__)

KEEP_SECONDS = 30.0  # a commit may still be on its way into the database when its worker is dead
CHUNK = 500
WALKED_AT_ONCE = 5_000  # attempts
LOST_AFTER = timedelta(minutes=10)
COMMITTED_AFTER = timedelta(minutes=1)  # longer than a claim lives, unless its COMMIT hangs

PENDING = """
SELECT id, message_id, ref FROM delivery_attempt
WHERE id > (SELECT attempt_id FROM delivery_frontier) AND sender = %s AND outcome = '' ORDER BY id
"""

UNKNOWN = """
SELECT id, message_id, ref FROM delivery_attempt
WHERE ref = ANY(%s::text[]) AND sender = %s AND outcome = 'unknown' ORDER BY id
"""

# Until its rows are marked a batch is claimed again, and one row may kill several workers with it:
# only who dies with one row alone says more of that row than the first death did.
SUSPECT = """
UPDATE delivery_due SET crashes = CASE WHEN %s THEN crashes + 1 ELSE greatest(crashes, 1) END
WHERE message_id = ANY(%s::bigint[])
"""

PARK = """
WITH parked AS (DELETE FROM delivery_due WHERE crashes > 2 RETURNING message_id)
UPDATE delivery_message m SET status = 'dead', reason = 'worker_killed'
FROM parked p WHERE m.id = p.message_id AND m.status = 'planned'
"""

# Ids grow with time but for the length of a transaction, so the attempts above the frontier are
# walked from below, some at a time, and the walk ends where all are too young: a campaign under way
# has hundreds of thousands of those.
LOST = """
SELECT count(*), max(id), coalesce(bool_or(intent_at < %s), false),
       coalesce(array_agg(id ORDER BY id) FILTER (WHERE outcome = '' AND intent_at < %s), '{}'),
       coalesce(array_agg(message_id ORDER BY id)
                FILTER (WHERE outcome = '' AND intent_at < %s), '{}')
FROM (SELECT id, message_id, outcome, intent_at FROM delivery_attempt
      WHERE id > %s ORDER BY id LIMIT %s) walked
"""

REPORTED_TO = "SELECT reported_id FROM delivery_frontier FOR NO KEY UPDATE"
MOVE_REPORTED_TO = "UPDATE delivery_frontier SET reported_id = %s"

FRONTIER = "SELECT attempt_id FROM delivery_frontier"

MOVE_FRONTIER = """
UPDATE delivery_frontier f
SET attempt_id = greatest(f.attempt_id, least(seen.pending - 1, seen.old))
FROM (SELECT min(id) FILTER (WHERE outcome = '') AS pending,
             max(id) FILTER (WHERE intent_at < %s) AS old
      FROM (SELECT id, outcome, intent_at FROM delivery_attempt
            WHERE id > (SELECT attempt_id FROM delivery_frontier) ORDER BY id LIMIT %s) walked) seen
WHERE seen.old IS NOT NULL AND least(seen.pending - 1, seen.old) > f.attempt_id
  AND NOT EXISTS (
    SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
    AND backend_xid IS NOT NULL AND xact_start < clock_timestamp() - interval '30 seconds')
"""


def settle_dead(directory: Path, installation: str) -> int:
    """Settle the journals of processes that are gone; returns how many intents were settled.

    A journal is looked at again until nothing can be on its way into the database any more.
    """
    settled = 0
    for held in abandoned(directory, installation):
        try:
            settled += _settle_held(held)
        except OSError:
            logger.exception("journal not settled", extra={"file": held.path.name})
    return settled


def _settle_held(held: Held) -> int:
    settled = settle(held.past)
    if held.past.undecided:
        held.acquit()  # before the marks: a row that is marked anew each time would be parked
        _suspect(held.past.undecided)
    if held.past.seconds_since_write > KEEP_SECONDS:
        settled += _correct_unknown(held.past)
        held.remove()
    return settled


def settle(past: Past) -> int:
    """Settle every intent of one journal that has no outcome yet."""
    found = (_settled(row, past) for row in sql.rows(PENDING, past.sender))
    return _record(item for item in found if item is not None)


def _settled(row: sql.Row, past: Past) -> Settled | None:
    """By the journal: its outcome; left without one: unknown; no line on this boot: not sent."""
    attempt_id, message_id, ref = row
    if ref in past.outcomes:
        return Settled(attempt_id, message_id, read_outcome(past.outcomes[ref]))
    if ref in past.left:
        return Settled(attempt_id, message_id, Unknown("worker_died_while_sending"))
    if past.same_boot:
        return Settled(attempt_id, message_id, NotSent("worker_died_before_sending"))
    return None  # after a power loss a missing line proves nothing: the reconciler ends it


def read_outcome(line: str) -> Outcome:
    """The outcome in a journal's line; one that cannot be read is unknown."""
    try:
        return outcome_from_json(line)
    except ValueError:
        return Unknown("journal_line_unreadable")


def _record(items: Iterable[Settled]) -> int:
    everything = list(items)
    return sum(
        _store(everything[start : start + CHUNK]) for start in range(0, len(everything), CHUNK)
    )


def _store(items: Sequence[Settled]) -> int:
    """Together, or else one by one; an outcome that the database refuses ends as unknown."""
    try:
        return record(items)
    except (DataError, IntegrityError):
        if len(items) > 1:
            return sum(_store([item]) for item in items)
        logger.exception("outcome refused", extra={"attempt_id": items[0].attempt_id})
        return record([replace(items[0], outcome=Unknown("outcome_not_storable"))])


def _correct_unknown(past: Past) -> int:
    """Intents that were given up as unknown although their journal holds an answer."""
    refs, settled = list(past.outcomes), 0
    for start in range(0, len(refs), CHUNK):
        rows = sql.rows(UNKNOWN, refs[start : start + CHUNK], past.sender)
        settled += _store(
            [Settled(row[0], row[1], read_outcome(past.outcomes[row[2]])) for row in rows]
        )
    return settled


def _suspect(message_ids: Sequence[int]) -> None:
    """Rows in the hands of a worker that died: from now on each is claimed alone."""
    rows = sql.count(SUSPECT, len(message_ids) == 1, list(message_ids))
    logger.warning("a worker died while deciding", extra={"rows": rows})


def park_killers() -> int:
    """End the rows that killed their worker twice while claimed alone."""
    parked = sql.count(PARK)
    if parked:
        logger.error("rows parked: they kill workers", extra={"rows": parked})
    return parked


def reconcile() -> int:
    """Intents without an answer after ten minutes become unknown; nothing re-sends them."""
    now = clock.now()
    settled = _record(
        Settled(attempt_id, message_id, Unknown("no_answer_recorded"))
        for attempt_id, message_id in _lost(now - LOST_AFTER)
    )
    while sql.count(MOVE_FRONTIER, now - COMMITTED_AFTER, WALKED_AT_ONCE):
        pass
    return settled


def end_unreported() -> None:
    """What was accepted and not reported on to its end within the set time ends as such."""
    before = clock.now() - timedelta(hours=settings.NO_REPORT_AFTER_HOURS)
    while _end_next(before):
        pass


def _end_next(before: datetime) -> bool:
    with transaction.atomic():
        begin()
        (after,) = sql.one(REPORTED_TO)
        last = outcomes.end_unreported(before, after, CHUNK)
        if last is not None:
            sql.count(MOVE_REPORTED_TO, last)
    return last is not None


def _lost(before: datetime) -> Iterator[tuple[int, int]]:
    """Attempts without an answer whose intent is older than this, with their messages."""
    (at,) = sql.one(FRONTIER)
    is_on = True
    while is_on:
        many, last, is_on, ids, message_ids = sql.one(
            LOST, before, before, before, at, WALKED_AT_ONCE
        )
        yield from zip(ids, message_ids, strict=True)
        at, is_on = last, is_on and many == WALKED_AT_ONCE
