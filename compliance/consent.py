"""Opting out, holding and joining again, under the lock of the person that the decision takes too.

An opt-out is an event first, then a mark on the person's row; the highest event id wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from compliance.models import OptOutEvent

OPT_OUT = """
WITH people AS (
    SELECT id FROM compliance_person WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
), events AS (
    INSERT INTO compliance_optoutevent (person_id, brand_id, source, note)
    SELECT id, %s::bigint, %s, %s FROM people ORDER BY id RETURNING id, person_id, at
)
UPDATE compliance_person p SET opted_out_at = e.at, opt_out_event_id = e.id
FROM events e WHERE p.id = e.person_id RETURNING p.id
"""

HOLD = """
UPDATE compliance_person SET held_at = sendonce_now(), held_reason = %s
WHERE id = ANY(%s::bigint[]) AND held_at IS NULL
"""

REJOIN = """
WITH latest AS (
    SELECT coalesce(max(id), 0) AS id FROM compliance_optoutevent
    WHERE person_id = ANY(%s::bigint[])
), agreed AS (
    INSERT INTO compliance_consentevent (person_id, brand_id, method, agreed_at, wording)
    VALUES (%s, %s, 'keyword', sendonce_now(), %s)
), lifted AS (
    UPDATE compliance_person SET sunset_at = NULL WHERE id = %s AND sunset_at IS NOT NULL
)
INSERT INTO compliance_rejoin AS r (person_id, brand_id, after_event_id)
SELECT %s, %s, id FROM latest
ON CONFLICT (person_id, brand_id) DO UPDATE
SET after_event_id = greatest(r.after_event_id, EXCLUDED.after_event_id), at = sendonce_now()
"""

HEARD_FROM = """
UPDATE compliance_person
SET last_human_at = sendonce_now(), last_confirmed_at = sendonce_now(), undeliverable_at = NULL
WHERE id = %s
"""

UNDELIVERABLE = """
UPDATE compliance_person SET undeliverable_at = sendonce_now()
WHERE id = ANY(%s::bigint[]) AND undeliverable_at IS NULL
"""

EMAIL_UNDELIVERABLE = """
UPDATE compliance_person SET email_undeliverable_at = sendonce_now()
WHERE id = ANY(%s::bigint[]) AND email_undeliverable_at IS NULL
"""


def opt_out(
    person_ids: Sequence[int], *, source: str, note: str = "", brand_id: int | None = None
) -> int:
    """Opt persons out of everything, for all brands; returns how many. Part of a transaction.

    `brand_id` says which brand was told so; the opt-out binds all.
    """
    if source not in OptOutEvent.Source.values:
        raise ValueError(f"{source} is not a source of opt-outs")
    return _change(OPT_OUT, sorted(set(person_ids)), brand_id, source, note)


def hold(person_ids: Sequence[int], *, reason: str) -> int:
    """Send nothing to these persons until somebody judged; the first hold keeps its time."""
    return _change(HOLD, reason, sorted(set(person_ids)))


def rejoin(person_id: int, *, brand_id: int, wording: str, linked: Sequence[int] = ()) -> None:
    """The person's own JOIN: lifts what came before it, for this brand, and is a consent.

    `linked` are persons whose opt-outs were this person's too, for one lead names both.
    """
    people = sorted({person_id, *linked})
    _change(REJOIN, people, person_id, brand_id, wording, person_id, person_id, brand_id)


def heard_from(person_id: int) -> None:
    """A text came from the person: a human is there, and the number works."""
    _change(HEARD_FROM, person_id)


def mark_undeliverable(person_ids: Sequence[int]) -> int:
    """A provider says that the numbers do not exist or take no texts."""
    return _change(UNDELIVERABLE, sorted(set(person_ids)))


def mark_email_undeliverable(person_ids: Sequence[int]) -> int:
    """A mail server says that the mailboxes do not exist; their owners' phones stay as they are."""
    return _change(EMAIL_UNDELIVERABLE, sorted(set(person_ids)))


def _change(statement: str, *arguments: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return int(cursor.rowcount)
