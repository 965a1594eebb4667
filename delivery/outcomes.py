"""What became of an attempt: the only writer of a status after the hand-over.

Outcomes of the sender, of a dead worker's journal and of the reconciler all end in `record`. It
locks persons, then attempts, messages and counters, as everything does.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction

from compliance import consent
from delivery import routing, sql
from delivery.claims import REPLIES, Claimed, put_back
from delivery.models import Outcome as Stored
from delivery.states import Kind, Reason, Status
from delivery.steps import cap_keys
from providers.base import Accepted, NotSent, Outcome, Rejected, Unknown

logger = logging.getLogger(__name__)

RETRIES = 5
THROTTLE_WAIT = 5.0  # seconds
OWN_DELAY_WAIT = 0.5  # seconds, after a delay of our own
RETRY_WAIT = 10.0  # seconds, doubled with each try
LONGEST_WAIT = 300.0
LONGEST_REF = 64  # characters of a provider's id
NOT_COUNTED = frozenset({"too_late", "journal_not_written", "error_before_sending"})

TIMEOUTS = """
SELECT set_config('lock_timeout', '2s', true), set_config('statement_timeout', '5s', true),
       set_config('idle_in_transaction_session_timeout', '5s', true), sendonce_now()
"""

LOCK_PERSONS = """
SELECT p.id FROM compliance_person p WHERE p.id IN (
    SELECT m.person_id FROM delivery_message m WHERE m.id = ANY(%s::bigint[]))
ORDER BY p.id FOR NO KEY UPDATE
"""

ATTEMPTS = """
UPDATE delivery_attempt a SET outcome = v.outcome, is_not_sent = v.outcome = 'not_sent',
       provider_refs = CASE v.provider_ref
           WHEN '' THEN a.provider_refs ELSE ARRAY[v.provider_ref] END,
       error_class = v.error_class, code = v.code, fault = v.fault, answered_at = %s
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
     AS v (id, outcome, provider_ref, error_class, code, fault)
WHERE a.id = v.id
  AND (a.outcome = '' OR (a.outcome = 'unknown' AND v.outcome = 'accepted'))
RETURNING a.id
"""

MESSAGES = """
UPDATE delivery_message m SET status = v.status, reason = v.reason
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS v (id, status, reason)
WHERE m.id = v.id
  AND (m.status = 'sending' OR (m.status = 'unknown' AND v.status = 'accepted'))
RETURNING m.id
"""

FORGET_SENDS = """
UPDATE compliance_person p SET recent = coalesce((
    SELECT jsonb_agg(entry) FROM jsonb_array_elements(p.recent) entry
    WHERE NOT (entry->>1)::bigint = ANY(%s::bigint[])), '[]')
WHERE p.id IN (SELECT m.person_id FROM delivery_message m WHERE m.id = ANY(%s::bigint[]))
"""

GIVE_BACK = """
UPDATE delivery_capcounter c SET used = c.used - v.used
FROM unnest(%s::text[], %s::bigint[]) AS v (key, used) WHERE c.key = v.key
"""

RETURNING_ROWS = """
SELECT m.id, m.kind, m.brand_id, m.campaign_id, m.expires_at, coalesce(c.priority, 100),
       s.route_id, a.id, a.number_id, a.segments, a.brand_day, a.code,
       (SELECT count(*) FROM delivery_attempt t WHERE t.message_id = m.id AND t.is_not_sent
        AND t.error_class <> 'throttled' AND t.code <> ALL(%s::text[]))
FROM delivery_message m
JOIN delivery_attempt a ON a.message_id = m.id AND a.id = ANY(%s::bigint[])
LEFT JOIN campaigns_campaign c ON c.id = m.campaign_id
LEFT JOIN campaigns_slot s ON s.id = m.slot_id
WHERE m.id = ANY(%s::bigint[]) ORDER BY m.id
"""

PERSONS_OF = """
WITH first AS (SELECT person_id FROM delivery_message WHERE id = ANY(%s::bigint[]))
SELECT person_id FROM first
UNION SELECT l.email_person_id FROM leads_lead l JOIN first f ON f.person_id = l.person_id
      WHERE l.email_person_id IS NOT NULL
UNION SELECT l.person_id FROM leads_lead l JOIN first f ON f.person_id = l.email_person_id
"""

PAUSE_ACCOUNTS = """
UPDATE providers_provideraccount a SET paused_at = %s, fault = t.code
FROM (SELECT DISTINCT ON (account_id) account_id, code FROM delivery_attempt
      WHERE id = ANY(%s::bigint[]) AND fault = 'account' ORDER BY account_id, id) t
WHERE a.id = t.account_id AND a.paused_at IS NULL
"""

PAUSE_NUMBERS = """
UPDATE providers_sendernumber n SET paused_at = %s, fault = t.code
FROM (SELECT DISTINCT ON (number_id) number_id, code FROM delivery_attempt
      WHERE id = ANY(%s::bigint[]) AND fault = 'sender' ORDER BY number_id, id) t
WHERE n.id = t.number_id AND n.paused_at IS NULL
"""

STATUS = {
    Stored.ACCEPTED: Status.ACCEPTED,
    Stored.REJECTED: Status.REJECTED,
    Stored.NOT_SENT: Status.PLANNED,
    Stored.UNKNOWN: Status.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of one attempt, wherever it was learnt."""

    attempt_id: int
    message_id: int
    outcome: Outcome

    @property
    def stored(self) -> Stored:
        return _STORED[type(self.outcome)]

    @property
    def code(self) -> str:
        found = self.outcome
        text = found.detail if isinstance(found, Unknown) else getattr(found, "code", "")
        return "".join(filter(str.isprintable, str(text)))[:60]

    @property
    def error_class(self) -> str:
        if isinstance(self.outcome, Rejected):
            return self.outcome.error_class.value
        waits = isinstance(self.outcome, NotSent) and (
            self.outcome.throttled or self.outcome.unreachable
        )
        return "throttled" if waits else ""

    @property
    def fault(self) -> str:
        fault = self.outcome.fault if isinstance(self.outcome, NotSent) else None
        return fault.value if fault else ""

    @property
    def provider_ref(self) -> str:
        return self.outcome.provider_ref if isinstance(self.outcome, Accepted) else ""


_STORED: dict[type[Outcome], Stored] = {
    Accepted: Stored.ACCEPTED,
    Rejected: Stored.REJECTED,
    NotSent: Stored.NOT_SENT,
    Unknown: Stored.UNKNOWN,
}


def record(settled: Sequence[Settled]) -> int:
    """Store outcomes, in attempt order, with all their consequences; returns how many were news.

    Idempotent: an attempt whose answer is known keeps it, but for an unknown that was accepted.
    Retries deadlocks and time-outs; raises OperationalError when they go on.
    """
    ordered = sorted(map(_storable, settled), key=lambda item: item.attempt_id)
    return retried(lambda: _record(ordered)) if ordered else 0


def _storable(item: Settled) -> Settled:
    """An id that cannot be stored is an answer that cannot be read: it must not stop the others."""
    if len(item.provider_ref) <= LONGEST_REF and item.provider_ref.isprintable():
        return item
    return replace(item, outcome=Unknown("provider_ref_unreadable"))


def retried(work: Callable[[], int]) -> int:
    """Run a whole transaction again when the database broke it off."""
    for again in range(RETRIES):
        try:
            return work()
        except OperationalError:
            if again == RETRIES - 1 or connection.in_atomic_block:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("not reached")


def _record(settled: Sequence[Settled]) -> int:
    with transaction.atomic():
        now = _begin()
        undone = [item for item in settled if item.stored in (Stored.NOT_SENT, Stored.REJECTED)]
        if undone:
            sql.rows(LOCK_PERSONS, [item.message_id for item in undone])
        news = {attempt_id for (attempt_id,) in _store_attempts(settled, now)}
        moved = _move_messages([item for item in settled if item.attempt_id in news])
        undone = [item for item in undone if item.attempt_id in news and item.message_id in moved]
        if undone:
            _undo(undone, now)
    return len(news)


def _begin() -> datetime:
    *_, now = sql.one(TIMEOUTS)
    assert isinstance(now, datetime)  # noqa: S101 - narrows the driver's Any
    return now


def _store_attempts(settled: Sequence[Settled], now: datetime) -> list[sql.Row]:
    return sql.rows(
        ATTEMPTS,
        now,
        [item.attempt_id for item in settled],
        [item.stored.value for item in settled],
        [item.provider_ref for item in settled],
        [item.error_class for item in settled],
        [item.code for item in settled],
        [item.fault for item in settled],
    )


def _move_messages(settled: Sequence[Settled]) -> set[int]:
    rows = sorted(settled, key=lambda item: item.message_id)
    moved = sql.rows(
        MESSAGES,
        [item.message_id for item in rows],
        [STATUS[item.stored].value for item in rows],
        ["rejected" if item.stored == Stored.REJECTED else "" for item in rows],
    )
    return {message_id for (message_id,) in moved}


def _undo(undone: Sequence[Settled], now: datetime) -> None:
    """Nothing went out: the person's allowance and the caps come back, NotSent goes round again."""
    message_ids = [item.message_id for item in undone]
    sql.rows(FORGET_SENDS, message_ids, message_ids)
    attempt_ids = [item.attempt_id for item in undone]
    rows = sql.rows(RETURNING_ROWS, sorted(NOT_COUNTED), attempt_ids, message_ids)
    _pause_for_faults(undone, now)
    _opt_out([item for item in undone if isinstance(item.outcome, Rejected)])
    outcomes = {item.message_id: item.outcome for item in undone}
    again = [row for row in rows if isinstance(outcomes[row[0]], NotSent)]
    put_back(_due_again(again, outcomes, now))
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(cap_keys(row[2], row[3], row[10]))
    keys = sorted(counts)
    sql.rows(GIVE_BACK, keys, [counts[key] for key in keys])


def _due_again(
    rows: Sequence[sql.Row], outcomes: dict[int, Outcome], now: datetime
) -> list[Claimed]:
    if not rows:
        return []
    barred = routing.faulted([row[0] for row in rows])
    routes = routing.lanes_of({row[6] for row in rows if row[6] is not None}, now=now)
    return [
        _row_again(row, outcomes[row[0]], barred.get(row[0]), routes.get(row[6], []), now)
        for row in rows
    ]


def _row_again(
    row: sql.Row,
    outcome: Outcome,
    barred: tuple[set[int], set[int]] | None,
    lanes: Sequence[routing.Lane],
    now: datetime,
) -> Claimed:
    (
        message_id,
        kind,
        brand_id,
        campaign_id,
        expires_at,
        priority,
        _,
        _,
        lane_id,
        size,
        *_,
        tries,
    ) = row
    assert isinstance(outcome, NotSent)  # noqa: S101 - the caller's choice
    reason, wait = _reason_and_wait(outcome, tries)
    if outcome.fault and barred and (other := routing.choose_again(lanes, *barred)) is not None:
        lane_id, wait = other, 0.0
    return Claimed(
        message_id=message_id,
        brand_id=brand_id,
        campaign_id=campaign_id,
        lane_id=lane_id,
        queue=queue_of(kind, brand_id, campaign_id),
        priority=priority,
        segments=size,
        not_before=now + timedelta(seconds=wait),
        expires_at=expires_at,
        tries=tries,
        strikes=0,
        crashes=0,
        reason=reason,
    )


def queue_of(kind: str, brand_id: int, campaign_id: int | None) -> int:
    """The queue a message waits in: its campaign's, its brand's single messages, or the replies."""
    if kind == Kind.CAMPAIGN and campaign_id is not None:
        return campaign_id
    return REPLIES if kind == Kind.REPLY else -brand_id


def _reason_and_wait(outcome: NotSent, tries: int) -> tuple[Reason, float]:
    """Why it waits, and for how many seconds: as asked, or exponential, with jitter."""
    jitter = 1 + random.random() / 4  # noqa: S311
    if outcome.throttled:
        return Reason.THROTTLED, min(outcome.retry_after or THROTTLE_WAIT, LONGEST_WAIT) * jitter
    if outcome.unreachable:
        return Reason.NOT_CONNECTED, THROTTLE_WAIT * jitter
    if outcome.code in NOT_COUNTED:
        return Reason.NOT_SENT, OWN_DELAY_WAIT * jitter
    reason = Reason.ACCOUNT_FAULT if outcome.fault else Reason.NOT_SENT
    return reason, min(RETRY_WAIT * 2 ** max(tries - 1, 0), LONGEST_WAIT) * jitter


def _pause_for_faults(undone: Sequence[Settled], now: datetime) -> None:
    """A refusal that is the account's or the number's fault pauses it, and is said once."""
    faulty = [item.attempt_id for item in undone if item.fault]
    if not faulty:
        return
    paused = sql.count(PAUSE_ACCOUNTS, now, faulty) + sql.count(PAUSE_NUMBERS, now, faulty)
    if paused:
        codes = sorted({item.code for item in undone if item.fault})
        logger.error("paused after a fault", extra={"attempt_id": faulty[0], "codes": codes})


def _opt_out(rejected: Sequence[Settled]) -> None:
    """A provider that says "opted out" is believed; where a lead names two persons, for both."""
    said = [
        item.message_id
        for item in rejected
        if isinstance(item.outcome, Rejected) and item.outcome.opted_out
    ]
    if said:
        people = [person_id for (person_id,) in sql.rows(PERSONS_OF, said)]
        consent.opt_out(people, source="provider", note="refused a send")
