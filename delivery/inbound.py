"""What people text us: stored raw at once, then classified and applied under the person's lock.

While a text is stored and not applied its sender gets nothing. It knows no HTTP and no provider.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from django.db import OperationalError, transaction

from compliance import consent
from compliance.keywords import Label, classify
from delivery import blockers, people, pieces, replies, sql
from delivery.states import ReplyKind
from providers.base import InboundMessage

logger = logging.getLogger(__name__)

JOIN_WAITS = timedelta(minutes=10)  # after a STOP a JOIN is looked at by a person
JOIN_IS_LATE = timedelta(minutes=1)  # ... and so is one that could not be applied at once
SWEEP_AFTER = timedelta(seconds=10)
LONGEST_REF = 64
LONGEST_VALUE = 100

TIMEOUTS = """
SELECT set_config('lock_timeout', '7500ms', true), set_config('statement_timeout', '8s', true),
       set_config('idle_in_transaction_session_timeout', '5s', true),
       set_config('application_name', %s, true)
"""

PERSON = "SELECT id FROM compliance_person WHERE phone = %s"
NEW_PERSON = """
INSERT INTO compliance_person (phone) SELECT left(%s, 16) WHERE %s ~ '^[+][1-9][0-9]{6,14}$'
ON CONFLICT DO NOTHING RETURNING id
"""

STORE = """
INSERT INTO delivery_inbound (account_id, number_id, person_id, provider_ref, from_value, to_value,
                              text, raw, received_at)
SELECT %s, (SELECT id FROM providers_sendernumber WHERE account_id = %s AND value = %s),
       %s, %s, %s, %s, %s, %s::jsonb, sendonce_now() - %s
ON CONFLICT (account_id, provider_ref) DO NOTHING RETURNING id
"""
STORED = """
SELECT id, raw ? 'wordless' FROM delivery_inbound WHERE account_id = %s AND provider_ref = %s
"""
HEARD_AT_LAST = """
UPDATE delivery_inbound SET text = %s, raw = %s::jsonb WHERE id = %s AND raw ? 'wordless'
"""

PERSON_OF = "SELECT person_id FROM delivery_inbound WHERE id = %s"

READ = """
SELECT i.id, i.account_id, i.number_id, i.person_id, i.text, i.received_at, i.applied_at, i.label,
       i.raw, coalesce(n.brand_id, i.brand_id, %s), sendonce_now()
FROM delivery_inbound i LEFT JOIN providers_sendernumber n ON n.id = i.number_id
WHERE i.id = %s FOR UPDATE OF i
"""

# The brand that texted the person last, by this number if any did.
LAST_BRAND = """
SELECT m.brand_id FROM delivery_inbound i
JOIN delivery_message m ON m.person_id = i.person_id
JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
WHERE i.id = %s
ORDER BY (a.number_id = i.number_id) DESC NULLS LAST, a.id DESC LIMIT 1
"""

WORDS = "SELECT word, label FROM compliance_keyword WHERE brand_id = %s"

LIFTED = """
SELECT p.opt_out_event_id IS NULL OR EXISTS (
    SELECT 1 FROM compliance_rejoin r
    WHERE r.person_id = p.id AND r.after_event_id >= p.opt_out_event_id)
FROM compliance_person p WHERE p.id = ANY(%s::bigint[])
"""

STOPPED_AROUND = """
SELECT EXISTS (SELECT 1 FROM compliance_optoutevent
               WHERE person_id = ANY(%s::bigint[]) AND at > %s)
"""

REVIEW = """
INSERT INTO delivery_inboundreview (inbound_id, person_id, decision) VALUES (%s, %s, '')
ON CONFLICT DO NOTHING
"""
IS_JUDGED = """
SELECT EXISTS (SELECT 1 FROM delivery_inboundreview WHERE inbound_id = %s
               AND decided_at IS NOT NULL)
"""

APPLIED = """
UPDATE delivery_inbound SET applied_at = sendonce_now(), label = %s, brand_id = %s WHERE id = %s
"""

WAITING = """
SELECT id FROM delivery_inbound WHERE applied_at IS NULL AND received_at < sendonce_now() - %s
ORDER BY random() LIMIT 100
"""
IS_WAITING = """
SELECT EXISTS (SELECT 1 FROM delivery_inbound
               WHERE applied_at IS NULL AND received_at < sendonce_now() - %s)
"""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An inbound as it stands under its person's lock. Times are UTC, of the installation."""

    id: int
    account_id: int
    number_id: int | None
    person_id: int | None
    text: str
    received_at: datetime
    applied_at: datetime | None
    label: str
    raw: Mapping[str, object]
    brand_id: int | None
    now: datetime
    is_whole: bool = True


def store(
    account_id: int,
    message: InboundMessage,
    raw: Mapping[str, object],
    *,
    age: timedelta = timedelta(),
) -> int:
    """Commit a text as it came, `age` after it was sent; its id, also when it had come before.

    Whoever writes is a person from now on, so that a STOP from an unknown number is kept, too.
    Words that come after a text that was listed without them become its own.
    Raises DataError for what no provider would send.
    """
    wanted = (account_id, message.provider_ref[:LONGEST_REF])
    text = message.text.replace("\0", "\ufffd")
    kept = sql.json({**raw, "opted_out": message.is_provider_optout, **_traits(message)})
    with transaction.atomic():
        person_id = _person(message.from_e164)
        found = sql.rows(
            STORE,
            *(account_id, account_id, message.to_value, person_id, wanted[1]),
            *(message.from_e164[:LONGEST_VALUE], message.to_value[:LONGEST_VALUE]),
            *(text, kept, age),
        )
        if found:
            return int(found[0][0])
        inbound_id, is_wordless = sql.one(STORED, *wanted)
        if is_wordless and message.has_words:
            sql.count(HEARD_AT_LAST, text, kept, inbound_id)
        return int(inbound_id)


def _traits(message: InboundMessage) -> dict[str, object]:
    part: dict[str, object] = {"part": asdict(message.part)} if message.part else {}
    return part if message.has_words else {**part, "wordless": True}


def _person(phone: str) -> int | None:
    """The person with this phone, made if need be; None for what is no phone number."""
    for statement, arguments in ((PERSON, 1), (NEW_PERSON, 2), (PERSON, 1)):
        if found := sql.rows(statement, *[phone] * arguments):
            return int(found[0][0])
    return None


def apply(inbound_id: int) -> bool:
    """Classify a stored text and do what it says, once; a restriction also on every repeat.

    Returns whether an answer waits to be sent.
    Raises OperationalError when the person's lock cannot be had in time; then it stays unapplied.
    """
    with transaction.atomic():
        sql.rows(TIMEOUTS, blockers.APPLICATION)
        everyone = _lock_people(inbound_id)
        arrived = _whole(_read(inbound_id))
        if arrived is None:
            return False  # pieces of it are still to come, or it was said with them
        label = _label(arrived)
        answer = _act(arrived, label, everyone)
        if arrived.applied_at is None:
            sql.count(APPLIED, label.value, arrived.brand_id, inbound_id)
            if arrived.person_id is not None:
                consent.heard_from(arrived.person_id)
    return answer


def _lock_people(inbound_id: int) -> list[int]:
    """The sender and whom a lead names beside, locked in id order; links are read under locks."""
    ((person_id,),) = sql.rows(PERSON_OF, inbound_id)
    if person_id is None:
        return []
    with blockers.freed():
        people.lock([], and_linked_of=[person_id])
    return sorted(people.with_linked([person_id]))


def _read(inbound_id: int) -> Arrived:
    last = sql.rows(LAST_BRAND, inbound_id)
    arrived = Arrived(*sql.one(READ, last[0][0] if last else None, inbound_id))
    return replace(arrived, raw=sql.from_json(arrived.raw))


def _whole(arrived: Arrived) -> Arrived | None:
    """The text with all its pieces; None where some are missing and may still come, and for a piece
    that was read with the others: alone it says something else.
    """
    if arrived.label == pieces.LABEL:
        return None
    part = arrived.raw.get("part")
    if not isinstance(part, Mapping) or arrived.applied_at or arrived.person_id is None:
        return arrived
    joined = pieces.join(
        arrived.id,
        person_id=arrived.person_id,
        account_id=arrived.account_id,
        text_ref=part["text_ref"],
        of=part["of"],
    )
    if joined is None:
        return None
    pieces.settle(arrived.id, joined, arrived.brand_id)
    return replace(arrived, text=joined.text, is_whole=joined.is_whole)


def _label(arrived: Arrived) -> Label:
    if arrived.raw.get("opted_out"):
        return Label.STOP  # the provider has closed its own door already
    if arrived.raw.get("wordless"):
        return Label.REVIEW  # it may have said STOP
    words = sql.rows(WORDS, arrived.brand_id) if arrived.brand_id else []
    label = classify(arrived.text, keywords={word: Label(label) for word, label in words})
    return label if arrived.is_whole or label == Label.STOP else Label.REVIEW


def _act(arrived: Arrived, label: Label, everyone: list[int]) -> bool:
    """Do what the text says; True when an answer waits to be sent."""
    if arrived.person_id is None:
        return False
    if label == Label.STOP:
        _opt_out(arrived, everyone)
    elif label == Label.REVIEW:
        _hold(arrived, everyone)
    elif arrived.applied_at is not None:
        return False  # a repeat; only restrictions are for every time
    elif label == Label.JOIN and not _join(arrived, everyone):
        return False
    return _answer(arrived, label)


def _opt_out(arrived: Arrived, everyone: list[int]) -> None:
    is_new = arrived.applied_at is None  # each STOP counts for the JOIN that may follow it
    if is_new or any(lifted for (lifted,) in sql.rows(LIFTED, everyone)):
        consent.opt_out(everyone, source="inbound", brand_id=arrived.brand_id)


def _hold(arrived: Arrived, everyone: list[int]) -> None:
    """Nothing is sent until a person has judged; an opt-out that stands needs no judge."""
    if not any(lifted for (lifted,) in sql.rows(LIFTED, everyone)):
        return
    if sql.one(IS_JUDGED, arrived.id)[0]:
        return
    consent.hold(everyone, reason="A reply must be judged")
    sql.count(REVIEW, arrived.id, arrived.person_id)


def _join(arrived: Arrived, everyone: list[int]) -> bool:
    """Lift earlier opt-outs for the brand; False when a person must look at it first."""
    assert arrived.person_id is not None  # noqa: S101 - the caller's choice
    is_late = arrived.now - arrived.received_at > JOIN_IS_LATE
    around = sql.one(STOPPED_AROUND, everyone, arrived.received_at - JOIN_WAITS)[0]
    if is_late or around or arrived.brand_id is None:
        sql.count(REVIEW, arrived.id, arrived.person_id)
        return False
    linked = [person for person in everyone if person != arrived.person_id]
    consent.rejoin(
        arrived.person_id, brand_id=arrived.brand_id, wording=arrived.text[:200], linked=linked
    )
    return True


ANSWERS: Mapping[Label, ReplyKind] = {
    Label.STOP: ReplyKind.STOP,
    Label.HELP: ReplyKind.HELP,
    Label.JOIN: ReplyKind.JOIN,
}


def _answer(arrived: Arrived, label: Label) -> bool:
    kind = ANSWERS.get(label)
    if kind is None or arrived.brand_id is None or arrived.number_id is None:
        return False
    assert arrived.person_id is not None  # noqa: S101 - the caller's choice
    return replies.plan(
        kind,
        inbound_id=arrived.id,
        person_id=arrived.person_id,
        brand_id=arrived.brand_id,
        number_id=arrived.number_id,
        received_at=arrived.received_at,
        now=arrived.now,
    )


def is_waiting() -> bool:
    return bool(sql.one(IS_WAITING, SWEEP_AFTER)[0])


def apply_waiting(goes_on: Callable[[], bool] = lambda: True) -> int:
    """Apply texts that were stored and could not be applied at once; returns how many.

    In no order, so that none that always fails keeps the others.
    """
    applied = 0
    for (inbound_id,) in sql.rows(WAITING, SWEEP_AFTER):
        if not goes_on():
            break
        try:
            apply(inbound_id)
            applied += 1
        except OperationalError:
            logger.warning("inbound not applied yet", extra={"inbound_id": inbound_id})
        except Exception:
            logger.exception("inbound cannot be applied", extra={"inbound_id": inbound_id})
    return applied
