"""The durable inbox of delivery reports: appended raw, applied in the order of their ids.

An id is given out before its row is committed, so a higher one may be visible first. Writers hold
a shared lock from before the id until the commit; the applier's moment alone with it tells how far
all is there. It decides no status.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction

from brands import clock
from delivery import outcomes, references, revival, sql, tallies, words
from delivery.reports import Reported
from delivery.tallies import What
from delivery.transactions import begin
from providers.base import Callback, DeliveryReport
from providers.registry import adapter

logger = logging.getLogger(__name__)

INBOX = 0x494E424F  # the advisory lock of whoever appends, shared, and of the horizon, alone
APPLIER = 0x41504C59  # ... of the one process that applies
CHUNK = 1000
UNMATCHED_WAITS = timedelta(minutes=10)
TWICE_TAKEN = "taken_twice"
NO_FORM = (b"{", b"[", b"<")  # what the body of a form never begins with

APPEND = """
SELECT pg_advisory_xact_lock_shared(%s);
INSERT INTO delivery_webhookevent (account_id, dedupe_key, raw)
SELECT %s, * FROM unnest(%s::text[], %s::jsonb[])
ON CONFLICT (account_id, dedupe_key) DO NOTHING
"""

HORIZON = """
SELECT set_config('lock_timeout', '2s', true);
SELECT pg_advisory_xact_lock(%s);
SELECT coalesce(max(id), 0) FROM delivery_webhookevent
"""

IS_ALONE = "SELECT pg_try_advisory_xact_lock(%s)"

# An applier that is frozen while it reads an answer escapes the server's time-outs.
END_FROZEN = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(l.pid))
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = %s
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.pid <> pg_backend_pid() AND a.xact_start < clock_timestamp() - interval '30 seconds'
"""

EVENTS = """
SELECT e.id, e.account_id, a.kind, a.definition, e.raw, e.received_at
FROM delivery_webhookevent e JOIN providers_provideraccount a ON a.id = e.account_id
WHERE e.applied_at IS NULL AND e.id > %s AND e.id <= %s ORDER BY e.id LIMIT %s
"""

SETTLE = """
UPDATE delivery_webhookevent e SET applied_at = %s, result = v.result
FROM unnest(%s::bigint[], %s::text[]) AS v (id, result) WHERE e.id = v.id
"""

# Accounts with a message of unknown fate, whose look-up may yet tell the id that a report names.
ASKED = """
SELECT DISTINCT a.account_id FROM delivery_lookup l JOIN delivery_attempt a ON a.id = l.attempt_id
WHERE l.next_at IS NOT NULL AND a.account_id = ANY(%s::bigint[])
"""

IS_WAITING = "SELECT EXISTS (SELECT 1 FROM delivery_webhookevent WHERE applied_at IS NULL)"


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the inbox; `report` is None where its raw form can no longer be read.

    Two are about the same message where `about` is the same.
    """

    id: int
    account_id: int
    received_at: datetime
    report: DeliveryReport | None
    about: str


@dataclass(slots=True)
class Run:
    """One walk through the inbox. What both sets are about is passed over to its end.

    `unmatched` are of no attempt of ours; `doubted` of attempts that are revived in this walk: a
    later report must not overtake the one that revives.
    """

    horizon: int
    after: int = 0
    settled: int = 0
    unmatched: set[str] = field(default_factory=set)
    doubted: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Settled:
    """What is left to do for a chunk: attempts to revive with their events, and what to count."""

    taken: Mapping[int, Sequence[int]] = field(default_factory=dict)
    rare: Sequence[tuple[What, int]] = ()


def append(account_id: int, reports: Sequence[tuple[DeliveryReport, Callback]]) -> None:
    """Commit reports as they came, all or none; a repeat leaves the first one as it is.

    Raises DatabaseError.
    """
    rows = {report.dedupe_key[:200]: sql.json(to_raw(callback)) for report, callback in reports}
    keys = sorted(rows)  # two that come twice at one moment would wait for each other
    with connection.cursor() as cursor:
        cursor.execute(APPEND, [INBOX, account_id, keys, [rows[key] for key in keys]])


def to_raw(callback: Callback) -> dict[str, Any]:
    """What is kept of a callback: all but its headers, which hold its signature.

    The body of a form is kept as its fields; some post JSON or XML and call it a form.
    """
    raw: dict[str, Any] = {
        "method": callback.method,
        "query": dict(callback.query),
        "form": dict(callback.form),
    }
    is_a_form = callback.form and not callback.body.lstrip().startswith(NO_FORM)
    if callback.body and not is_a_form:
        raw["body"] = callback.body.decode(errors="replace")
    return raw


def from_raw(raw: Mapping[str, Any]) -> Callback:
    return Callback(
        method=raw["method"],
        url="",
        headers={},
        query=raw["query"],
        form=raw["form"],
        body=raw.get("body", "").encode(),
    )


def is_waiting() -> bool:
    return bool(sql.one(IS_WAITING)[0])


def apply_waiting(goes_on: Callable[[], bool] = lambda: True) -> int:
    """Apply what is in the inbox; returns how many reports were settled.

    One process at a time; another one comes back at once with 0.
    """
    run = Run(horizon=_horizon())
    while goes_on() and _apply_chunk(run):
        pass
    return run.settled


def _horizon() -> int:
    with connection.cursor() as cursor:
        cursor.execute(HORIZON, [INBOX])
        cursor.nextset()
        cursor.nextset()
        return int(cursor.fetchone()[0])


def _apply_chunk(run: Run) -> bool:
    """Apply the next reports, one by one where one of them makes all fail; False at the end."""
    before = run.after
    try:
        return _apply_next(run, CHUNK)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if run.after == before:
            raise
        logger.exception("reports cannot be applied together", extra={"after": before})
        through, run.after = run.after, before
    goes_on = True
    while goes_on and run.after < through:
        goes_on = _apply_one(run)
    return goes_on


def _apply_one(run: Run) -> bool:
    """Apply the next report; one at fault is put aside, as it came, or it would stop all others."""
    before = run.after
    try:
        return _apply_next(run, 1)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if run.after == before:
            raise
        logger.exception("a report cannot be applied", extra={"event_id": run.after})
        run.settled += sql.count(SETTLE, clock.now(), [run.after], [What.BROKEN.value])
        tallies.count(What.BROKEN, None)
        return True


def _apply_next(run: Run, most: int) -> bool:
    """Apply so many reports; False when there are no more, or somebody else is at it."""
    settled = Settled()
    with transaction.atomic():
        now = begin()
        is_alone = sql.one(IS_ALONE, APPLIER)[0]
        events = _read(run, most) if is_alone else []
        if events:
            settled = _settle(events, run, now)
    if not is_alone and (ended := sql.one(END_FROZEN, APPLIER)[0]):
        logger.error("terminated an applier of reports that stood still", extra={"backends": ended})
    for attempt_id, event_ids in settled.taken.items():
        _revive(attempt_id, event_ids, now)
    for what, account_id in settled.rare:
        tallies.count(what, account_id)
    return bool(events)


def _revive(attempt_id: int, event_ids: Sequence[int], now: datetime) -> None:
    """What the reports say is kept on the attempt already; a failure is tried again next time."""
    try:
        revived = revival.revive(attempt_id)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("a message could not be revived", extra={"attempt_id": attempt_id})
        return
    if not revived:
        sql.count(SETTLE, now, list(event_ids), [TWICE_TAKEN] * len(event_ids))


def _read(run: Run, most: int) -> list[Event]:
    rows = sql.rows(EVENTS, run.after, run.horizon, most)
    events = [
        _event(event_id, account_id, at, _report(kind, definition, sql.from_json(raw)))
        for event_id, account_id, kind, definition, raw, at in rows
    ]
    if events:
        run.after = events[-1].id
    return _with_refs(events)


def _event(
    event_id: int, account_id: int, received_at: datetime, report: DeliveryReport | None
) -> Event:
    about = (report.ref or f"{account_id} {report.provider_ref}") if report else ""
    return Event(event_id, account_id, received_at, report, about)


def _with_refs(events: Sequence[Event]) -> list[Event]:
    """Those that name only the provider's own id, with ours where it is known by now."""
    ids = {
        (event.account_id, event.report.provider_ref): event
        for event in events
        if event.report is not None and not event.report.ref
    }
    known = references.find(list(ids))

    def with_ref(event: Event) -> Event:
        report = event.report
        if report is None or report.ref:
            return event
        ref = known.get((event.account_id, report.provider_ref), "")
        return replace(event, report=replace(report, ref=ref))

    return [with_ref(event) for event in events]


def _report(kind: str, definition: str, raw: Mapping[str, Any]) -> DeliveryReport | None:
    try:
        event = adapter(kind, definition).read_callback(from_raw(raw))
    except Exception:
        logger.exception("a stored report cannot be read")
        return None
    return event if isinstance(event, DeliveryReport) else None


def _settle(events: Sequence[Event], run: Run, now: datetime) -> Settled:
    """Apply the events that have an attempt, end those without one that waited long enough."""
    passed_over = run.unmatched | run.doubted
    reports = [
        Reported(event.id, event.account_id, event.report)
        for event in events
        if event.report is not None and event.about not in passed_over
    ]
    applied = outcomes.apply_reports(reports)
    results = applied.results | {event.id: "unreadable" for event in events if event.report is None}
    waiting = {event_id for ids in applied.taken_after_all.values() for event_id in ids}
    late = [event for event in events if event.received_at <= now - UNMATCHED_WAITS]
    asked = _asked({event.account_id for event in late if _names_their_id_alone(event)})
    for event in events:
        if event.id in results or event.report is None:
            continue
        if event.id in waiting:
            run.doubted.add(event.about)
        if event.about in run.doubted:
            continue
        run.unmatched.add(event.about)
        is_open = event.account_id in asked and _names_their_id_alone(event)
        if event.received_at <= now - UNMATCHED_WAITS and not is_open:
            results[event.id] = What.ORPHAN.value
    if results:
        sql.count(SETTLE, now, list(results), list(results.values()))
    run.settled += len(results)
    words.note(
        (event.account_id, event.report.provider_status)
        for event in events
        if event.id in results and event.report is not None and event.report.is_new_word
    )
    became = [(results.get(event.id, ""), event.account_id) for event in events]
    rare = [(What(word), account_id) for word, account_id in became if word in What.values]
    return Settled(taken=applied.taken_after_all, rare=rare)


def _names_their_id_alone(event: Event) -> bool:
    return event.report is not None and not event.report.ref


def _asked(account_ids: set[int]) -> set[int]:
    """Those of the accounts that are still asked about a message."""
    if not account_ids:
        return set()
    return {account_id for (account_id,) in sql.rows(ASKED, sorted(account_ids))}
