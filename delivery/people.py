"""Locking persons in id order, with those that one lead names beside them."""

from __future__ import annotations

from collections.abc import Collection

from delivery import sql

# Of an e-mail also the owner of the mailbox, whom the lead names beside its person.
PERSONS = """
SELECT person_id FROM delivery_message WHERE id = ANY(%s::bigint[])
UNION SELECT l.email_person_id FROM delivery_message m
JOIN leads_lead l ON l.id = m.lead_id
LEFT JOIN campaigns_campaign c ON c.id = m.campaign_id
LEFT JOIN delivery_singletext x ON x.message_id = m.id
WHERE m.id = ANY(%s::bigint[]) AND l.email_person_id IS NOT NULL
  AND 'email' IN (c.channel, x.channel)
"""

# Who has the phone, or the mailbox, that each of these went to.
OWNERS = """
SELECT DISTINCT CASE WHEN e.is_mail AND p.email IS NULL THEN l.email_person_id ELSE p.id END,
       e.is_mail
FROM delivery_message m
JOIN compliance_person p ON p.id = m.person_id
LEFT JOIN leads_lead l ON l.id = m.lead_id
LEFT JOIN campaigns_campaign c ON c.id = m.campaign_id
LEFT JOIN delivery_singletext x ON x.message_id = m.id
CROSS JOIN LATERAL (SELECT 'email' IN (c.channel, x.channel) IS TRUE AS is_mail) e
WHERE m.id = ANY(%s::bigint[])
"""

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
    """Whom these messages are for; of an e-mail also who has the mailbox."""
    if not message_ids:
        return set()
    ids = list(message_ids)
    return {person for (person,) in sql.rows(PERSONS, ids, ids)}


def owners_of(message_ids: Collection[int]) -> tuple[set[int], set[int]]:
    """Who has the phones that these messages went to, and who has the mailboxes."""
    found = sql.rows(OWNERS, list(message_ids)) if message_ids else []
    phones = {person for person, is_mail in found if not is_mail}
    return phones, {person for person, is_mail in found if is_mail and person is not None}


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
