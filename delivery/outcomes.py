"""What became of an attempt: the only writer of a status after the hand-over.

Outcomes of the sender, of a dead worker's journal and of the reconciler end in `record`, delivery
reports in `apply_reports`. Both lock persons, then attempts, messages and counters, as all does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction

from compliance import consent
from delivery import faults, ladder, limits, people, references, retries, revival, sql, weighing
from delivery.allowances import cap_keys, warm_keys
from delivery.models import Outcome as Stored
from delivery.reports import LONGEST_REF, Reported, Standing, is_undeliverable
from delivery.retries import Undone
from delivery.states import MOVES, Kind, Status
from delivery.transactions import begin, retried
from providers.base import (
    Accepted,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
)

ATTEMPTS = f"""
WITH stored AS (
UPDATE delivery_attempt a SET outcome = v.outcome, is_not_sent = v.outcome = 'not_sent',
       provider_refs = CASE v.provider_refs
           WHEN '' THEN a.provider_refs ELSE string_to_array(v.provider_refs, ' ') END,
       error_class = v.error_class, code = v.code, fault = v.fault, answered_at = %s,
       segments_said = coalesce(v.segments, a.segments_said),
       blocked_at = CASE WHEN v.blocked THEN %s ELSE a.blocked_at END
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::smallint[], %s::bool[], %s::text[])
     AS v (id, outcome, provider_refs, error_class, code, fault, segments, blocked, word)
WHERE a.id = v.id
  AND (a.outcome = '' OR (a.outcome = 'unknown' AND v.outcome = 'accepted'))
RETURNING a.id, a.account_id, a.provider_refs, a.sender, v.word), {references.KEEP},
{weighing.TALLY}
SELECT id FROM stored
"""  # noqa: S608 - of constants

MESSAGES = """
UPDATE delivery_message m SET status = v.status, reason = v.reason
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS v (id, status, reason)
WHERE m.id = v.id
  AND (m.status = 'sending' OR (m.status = 'unknown' AND v.status = 'accepted'))
RETURNING m.id
"""

GIVE_UP = """
UPDATE delivery_message SET status = 'not_found' WHERE id IN (
    SELECT m.id FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
    WHERE a.id = ANY(%s::bigint[]) AND a.outcome = 'unknown' AND m.status = 'unknown'
    ORDER BY m.id FOR NO KEY UPDATE OF m)
"""

END_UNREPORTED = """
WITH walked AS MATERIALIZED (
    SELECT id, message_id, is_not_sent, intent_at < %s AS is_old FROM delivery_attempt
    WHERE id > %s ORDER BY id LIMIT %s
), old AS MATERIALIZED (
    SELECT id, message_id, is_not_sent FROM walked
    WHERE id < ALL (SELECT id FROM walked WHERE NOT is_old)
), waiting AS MATERIALIZED (
    SELECT id FROM delivery_message
    WHERE id IN (SELECT message_id FROM old WHERE NOT is_not_sent)
      AND status IN ('accepted', 'sent')
    ORDER BY id FOR NO KEY UPDATE
), ended AS (
    UPDATE delivery_message SET status = 'no_report' WHERE id IN (SELECT id FROM waiting)
)
SELECT max(id) FROM old
"""

FORGET_SENDS = """
UPDATE compliance_person p SET recent = coalesce((
    SELECT jsonb_agg(entry) FROM jsonb_array_elements(p.recent) entry
    WHERE NOT (entry->>1)::bigint = ANY(%s::bigint[])), '[]')
WHERE p.id IN (SELECT m.person_id FROM delivery_message m WHERE m.id = ANY(%s::bigint[]))
"""

GIVE_BACK = """
WITH held AS MATERIALIZED (
    SELECT key FROM delivery_capcounter WHERE key = ANY(%s::text[]) ORDER BY key FOR NO KEY UPDATE
)
UPDATE delivery_capcounter c SET used = c.used - v.used
FROM held JOIN unnest(%s::text[], %s::bigint[]) AS v (key, used) USING (key) WHERE c.key = held.key
"""

FIND_REPORTED = "SELECT ref, message_id FROM delivery_attempt WHERE ref = ANY(%s::text[])"

LOCK_REPORTED = """
SELECT id, message_id, account_id, provider_refs, is_not_sent, report_status, report_code,
       coalesce(segments_said, segments), coalesce(reported_parts, '{}'), ref
FROM delivery_attempt WHERE ref = ANY(%s::text[]) ORDER BY id FOR NO KEY UPDATE
"""

LOCK_MESSAGES = """
SELECT m.id, m.status, p.phone FROM delivery_message m
JOIN compliance_person p ON p.id = m.person_id
WHERE m.id = ANY(%s::bigint[]) ORDER BY m.id FOR NO KEY UPDATE OF m
"""

# A report shows that the provider took it, whatever we knew of its answer.
REPORTED = f"""
WITH stored AS (
UPDATE delivery_attempt a SET report_status = v.status, report_code = v.code, reported_at = %s,
       provider_refs = CASE WHEN v.provider_refs = '' THEN a.provider_refs
                            ELSE a.provider_refs || string_to_array(v.provider_refs, ' ') END,
       reported_parts = coalesce(v.parts, a.reported_parts),
       answered_at = coalesce(a.answered_at, %s),
       outcome = CASE WHEN a.outcome IN ('', 'unknown') THEN 'accepted' ELSE a.outcome END,
       blocked_at = CASE WHEN v.blocked THEN coalesce(a.blocked_at, %s) ELSE a.blocked_at END
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::jsonb[], %s::bool[])
     AS v (id, status, code, provider_refs, parts, blocked)
WHERE a.id = v.id RETURNING a.id, a.account_id, a.provider_refs), {references.KEEP}
SELECT count(*) FROM stored
"""  # noqa: S608

MOVE = """
UPDATE delivery_message m SET status = v.status, reason = ''
FROM unnest(%s::bigint[], %s::text[]) AS v (id, status) WHERE m.id = v.id
"""

SMALLINT = 1 << 15  # the first number that the column cannot hold

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
    def says_opted_out(self) -> bool:
        return isinstance(self.outcome, Rejected) and self.outcome.opted_out

    @property
    def is_blocked(self) -> bool:
        """Whether a carrier refused to pass it on."""
        return isinstance(self.outcome, Rejected) and self.outcome.carrier_blocked

    @property
    def says_undeliverable(self) -> bool:
        return isinstance(self.outcome, Rejected) and is_undeliverable(self.outcome)

    @property
    def provider_refs(self) -> tuple[str, ...]:
        """Their id, and those of further parts."""
        found = self.outcome
        return (found.provider_ref, *found.part_refs) if isinstance(found, Accepted) else ()

    @property
    def segments(self) -> int | None:
        """As the provider counted them, if it said so: some say 0 for what they do not know yet."""
        said = self.outcome.segments if isinstance(self.outcome, Accepted) else None
        return said if said and said < SMALLINT else None


_STORED: dict[type[Outcome], Stored] = {
    Accepted: Stored.ACCEPTED,
    Rejected: Stored.REJECTED,
    NotSent: Stored.NOT_SENT,
    Unknown: Stored.UNKNOWN,
}


def record(settled: Sequence[Settled], *, is_fresh: bool = False) -> int:
    """Store outcomes, in attempt order, with all their consequences; returns how many were news.

    Idempotent: an attempt whose answer is known keeps it, but for an unknown that was accepted.
    `is_fresh`: they just came off the wire, and tell how the account does.
    Retries deadlocks and time-outs; raises OperationalError when they go on.
    """
    ordered = sorted(map(_storable, settled), key=lambda item: item.attempt_id)
    return retried(lambda: _record(ordered, is_fresh=is_fresh)) if ordered else 0


def _storable(item: Settled) -> Settled:
    """An id that cannot be stored is an answer that cannot be read: it must not stop the others."""
    if all(map(_is_storable, item.provider_refs)):
        return item
    return replace(item, outcome=Unknown("provider_ref_unreadable"))


def _is_storable(provider_ref: str) -> bool:
    return (
        len(provider_ref) <= LONGEST_REF and provider_ref.isprintable() and " " not in provider_ref
    )


def _record(settled: Sequence[Settled], *, is_fresh: bool) -> int:
    with transaction.atomic():
        now = begin()
        undone = [item for item in settled if item.stored in (Stored.NOT_SENT, Stored.REJECTED)]
        if undone:
            _lock_persons(undone)
        news = {attempt_id for (attempt_id,) in _store_attempts(settled, now, is_fresh)}
        unknown = [item.attempt_id for item in settled if item.stored == Stored.UNKNOWN]
        if unknown:
            ladder.watch(sorted(news.intersection(unknown)), now)
        moved = _move_messages([item for item in settled if item.attempt_id in news])
        undone = [item for item in undone if item.attempt_id in news and item.message_id in moved]
        if undone:
            _undo(undone, now)
    return len(news)


def give_up(attempt_ids: Sequence[int]) -> None:
    """Nothing is known of these at the end of the ladder. Part of a transaction."""
    if attempt_ids:
        sql.count(GIVE_UP, list(attempt_ids))


def end_unreported(before: datetime, after_id: int, most: int) -> int | None:
    """Messages that are still accepted or sent end as without a report, where their intents are
    older than `before`: the first so many attempts after this id, up to one that is not.

    Returns the last of them, None where there is none. Part of a transaction.
    """
    last: int | None = sql.one(END_UNREPORTED, before, after_id, most)[0]
    return last


def _lock_persons(undone: Sequence[Settled]) -> None:
    said = [item.message_id for item in undone if item.says_opted_out]
    people.lock(
        people.of_messages([item.message_id for item in undone]),
        and_linked_of=people.of_messages(said),
    )


def _store_attempts(settled: Sequence[Settled], now: datetime, is_fresh: bool) -> list[sql.Row]:
    return sql.rows(
        ATTEMPTS,
        *(now, now),
        [item.attempt_id for item in settled],
        [item.stored.value for item in settled],
        [" ".join(item.provider_refs) for item in settled],
        [item.error_class for item in settled],
        [item.code for item in settled],
        [item.fault for item in settled],
        [item.segments for item in settled],
        [item.is_blocked for item in settled],
        [weighing.word_of(item.outcome) if is_fresh else "" for item in settled],
        references.BY_ID,
        now,
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
    rows = retries.undone(message_ids, [item.attempt_id for item in undone])
    faults.pause([item.attempt_id for item in undone if item.fault], now)
    taken = {row.message_id: row.taken_id for row in rows if row.taken_id is not None}
    again = {
        item.message_id: item.outcome
        for item in undone
        if isinstance(item.outcome, NotSent) and item.message_id not in taken
    }
    unreachable = {message_id for message_id, found in again.items() if found.unreachable}
    faults.rest({row.account_id for row in rows if row.message_id in unreachable}, now)
    _believe(
        opted_out=[item.message_id for item in undone if item.says_opted_out],
        undeliverable=[item.message_id for item in undone if item.says_undeliverable],
        note="refused a send",
    )
    retries.go_round([row for row in rows if row.message_id in again], again, now=now)
    _give_back(rows)
    for attempt_id in taken.values():  # an earlier attempt was taken after all, a report said
        revival.restore(attempt_id)


def _give_back(rows: Sequence[Undone]) -> None:
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(limits.given_back(row.counted_on, row.segments))
        if row.kind != Kind.REPLY:
            counts.update(cap_keys(row.brand_id, row.campaign_id, row.brand_day))
            counts.update(warm_keys(row.number_id, row.warm_from))
    keys = sorted(counts)
    if keys:
        sql.rows(GIVE_BACK, keys, keys, [counts[key] for key in keys])


def _believe(*, opted_out: Sequence[int], undeliverable: Sequence[int], note: str) -> None:
    """What a provider says about the recipients of these messages, whose persons are locked."""
    if opted_out:
        said = people.with_linked(people.of_messages(opted_out))
        consent.opt_out(sorted(said), source="provider", note=note)
    phones, mailboxes = people.owners_of(undeliverable)
    if phones:
        consent.mark_undeliverable(sorted(phones))
    if mailboxes:
        consent.mark_email_undeliverable(sorted(mailboxes))


# --- delivery reports ---------------------------------------------------------------------------


@dataclass(slots=True)
class Applied:
    """What became of reports: a word by event id; those of no attempt of ours are left out.

    `taken_after_all` are reports on attempts that were thought not sent, by attempt id.
    """

    results: dict[int, str] = field(default_factory=dict)
    taken_after_all: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))


def apply_reports(reports: Sequence[Reported]) -> Applied:
    """Apply reports in the order they are given, which is the inbox's. Part of a transaction."""
    now, applied = begin(), Applied()
    refs = sorted({item.report.ref for item in reports})
    _lock_persons_of_reports(reports)
    standing = _standing(refs)
    said: list[int] = []
    undeliverable: list[int] = []
    for item in reports:
        one = standing.get(item.report.ref)
        if one is None:
            continue
        if not one.fits(item):
            applied.results[item.event_id] = "mismatch"
            continue
        if one.is_not_sent:
            one.note(one.whole(item.report))
            applied.taken_after_all[one.attempt_id].append(item.event_id)
        else:
            applied.results[item.event_id] = one.take(item.report)
        if item.report.opted_out:
            said.append(one.message_id)
        if is_undeliverable(item.report) and applied.results.get(item.event_id) != "no_news":
            undeliverable.append(one.message_id)
    _write_reported([one for one in standing.values() if one.is_news], now)
    _believe(opted_out=said, undeliverable=undeliverable, note="reported by the provider")
    return applied


def _lock_persons_of_reports(reports: Sequence[Reported]) -> None:
    """Only where a report changes a person; before the attempts, as everywhere."""
    said = {item.report.ref for item in reports if item.report.opted_out}
    bad = {item.report.ref for item in reports if is_undeliverable(item.report)}
    if said or bad:
        messages: dict[str, int] = dict(sql.rows(FIND_REPORTED, sorted(said | bad)))
        people.lock(
            people.of_messages(list(messages.values())),
            and_linked_of=people.of_messages([messages[ref] for ref in said & messages.keys()]),
        )


def _standing(refs: Sequence[str]) -> dict[str, Standing]:
    found: dict[str, Standing] = {}
    for *row, parts, ref in sql.rows(LOCK_REPORTED, list(refs)):
        found[ref] = Standing(*row)
        found[ref].parts = sql.from_json(parts)
    ids = sorted({one.message_id for one in found.values()})
    messages: dict[int, sql.Row] = {row[0]: row[1:] for row in sql.rows(LOCK_MESSAGES, ids)}
    for one in found.values():
        status, phone = messages[one.message_id]
        one.began = one.status = Status(status)
        one.phone = phone or ""
    return found


def _write_reported(news: Sequence[Standing], now: datetime) -> None:
    if not news:
        return
    ordered = sorted(news, key=lambda one: one.attempt_id)
    sql.rows(
        REPORTED,
        *(now, now, now),
        [one.attempt_id for one in ordered],
        [one.report_status for one in ordered],
        [one.report_code for one in ordered],
        [" ".join(one.new_refs) for one in ordered],
        [sql.json(one.parts) if one.parts else None for one in ordered],
        [one.is_blocked for one in ordered],
        references.BY_ID,
    )
    moved = sorted((one for one in news if one.status != one.began), key=lambda one: one.message_id)
    by_way = [one for one in moved if one.status not in MOVES[one.began]]
    for rows in ([(one, Status.ACCEPTED) for one in by_way], [(one, one.status) for one in moved]):
        if rows:
            ids = [one.message_id for one, _ in rows]
            sql.count(MOVE, ids, [status.value for _, status in rows])
