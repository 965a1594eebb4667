"""Locking persons in id order, with those that one lead names beside them."""

from __future__ import annotations

from collections.abc import Collection

from delivery import sql

PERSONS = "SELECT DISTINCT person_id FROM delivery_message WHERE id = ANY(%s::bigint[])"

# Where one lead names two persons, what one of them says about texts goes for both.
LINKED = """
SELECT l.email_person_id FROM leads_lead l
WHERE l.person_id = ANY(%s::bigint[]) AND l.email_person_id IS NOT NULL
UNION SELECT l.person_id FROM leads_lead l WHERE l.email_person_id = ANY(%s::bigint[])
"""

LOCK = """
SELECT id FROM compliance_person WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""


def of_messages(message_ids: Collection[int]) -> set[int]:
    """Whom these messages are for."""
    return {person for (person,) in sql.rows(PERSONS, list(message_ids))} if message_ids else set()


def with_linked(persons: Collection[int]) -> set[int]:
    """These persons, and whom a lead names beside one of them."""
    if not persons:
        return set()
    ids = list(persons)
    return {*ids, *(linked for (linked,) in sql.rows(LINKED, ids, ids))}


def lock(persons: Collection[int], *, and_linked_of: Collection[int] = ()) -> None:
    """Lock the rows; links are read again under the locks, for one may have been made meanwhile."""
    locked: set[int] = set()
    wanted = {*persons, *and_linked_of}
    while (wanted := wanted | with_linked(and_linked_of)) - locked:
        sql.rows(LOCK, sorted(wanted))
        locked = set(wanted)
        if not and_linked_of:
            return
