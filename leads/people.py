"""Whose row it is: by phone, else by e-mail. Persons are never merged and never renamed.

One read brings everybody a batch may mean; `Directory` then goes through the rows one after the
other, in plain Python, and two statements write what is new. If somebody else was faster, the batch
is begun again (`Overtaken`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.backends.utils import CursorWrapper

from compliance import consent

FIND = """
SELECT id, phone, email FROM compliance_person WHERE phone = ANY(%s::varchar[])
UNION ALL
SELECT id, phone, email FROM compliance_person WHERE email = ANY(%s::varchar[])
"""
ADD = """
INSERT INTO compliance_person (phone, email, held_reason, created_at)
SELECT phone, email, '', %s FROM unnest(%s::varchar[], %s::varchar[]) AS new (phone, email)
ON CONFLICT DO NOTHING RETURNING id, phone, email
"""
# One statement locks whoever is changed or linked, in the order that everybody keeps.
LOCK = "SELECT id FROM compliance_person WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE"
COMPLETE = """
UPDATE compliance_person p SET phone = known.phone, email = known.email
FROM unnest(%s::bigint[], %s::varchar[], %s::varchar[]) AS known (id, phone, email)
WHERE p.id = known.id
  AND coalesce(p.phone, known.phone) IS NOT DISTINCT FROM known.phone
  AND coalesce(p.email, known.email) IS NOT DISTINCT FROM known.email
"""
LINKED_TO_OPTED_OUT = """
SELECT CASE WHEN a.opted_out_at IS NULL THEN a.id ELSE b.id END
FROM unnest(%s::bigint[], %s::bigint[]) AS pair (a, b)
JOIN compliance_person a ON a.id = pair.a
JOIN compliance_person b ON b.id = pair.b
WHERE (a.opted_out_at IS NULL) <> (b.opted_out_at IS NULL)
"""
HOLD_LINKED = """
UPDATE compliance_person p SET held_at = held.held_at, held_reason = held.held_reason
FROM (SELECT a, b FROM unnest(%(a)s::bigint[], %(b)s::bigint[]) AS pair (a, b)
      UNION SELECT b, a FROM unnest(%(a)s::bigint[], %(b)s::bigint[]) AS pair (a, b)) AS pair
JOIN compliance_person held ON held.id = pair.b
WHERE p.id = pair.a AND p.held_at IS NULL AND held.held_at IS NOT NULL
"""


class Overtaken(Exception):
    """Another transaction took in one of the same people meanwhile; the batch is begun again."""


@dataclass(slots=True, eq=False)
class Party:
    """A person as this batch knows them. `id` is None until they are stored."""

    id: int | None
    phone: str | None
    email: str | None
    is_new: bool = False
    got_phone: bool = False
    is_changed: bool = False
    is_taken: bool = False

    @property
    def stored_id(self) -> int:
        if self.id is None:
            raise Overtaken
        return self.id


@dataclass(frozen=True, slots=True)
class Match:
    """Whose row it is, and who else owns its e-mail."""

    person: Party
    email_owner: Party | None


class Directory:
    """The people of one batch: those the database has, and those its rows bring."""

    def __init__(self, known: Iterable[tuple[int, str | None, str | None]]) -> None:
        self.by_phone: dict[str, Party] = {}
        self.by_email: dict[str, Party] = {}
        self.new: list[Party] = []
        self.links: list[tuple[Party, Party]] = []
        found: dict[int, Party] = {}
        for person_id, phone, email in known:
            if person_id not in found:
                found[person_id] = Party(person_id, phone, email)
                self._index(found[person_id])
        self.found = list(found.values())

    def match(self, phone: str | None, email: str | None, seen: Container[int]) -> Match | None:
        """Whose row this is; None when an earlier row of the file was theirs already."""
        person = self._find(phone, email)
        if person is None:
            person = self._add(phone, None if email in self.by_email else email)
        elif person.is_taken or (person.id is not None and person.id in seen):
            return None
        else:
            self._complete(person, phone, email)
        person.is_taken = True
        if email is None or person.email == email:
            return Match(person, None)
        owner = self.by_email.get(email) or self._add(None, email)
        self.links.append((person, owner))
        return Match(person, owner)

    def _find(self, phone: str | None, email: str | None) -> Party | None:
        if phone and (person := self.by_phone.get(phone)):
            return person
        owner = self.by_email.get(email) if email else None
        if owner and phone and owner.phone:  # they have another number: this is somebody else
            return None
        return owner

    def _add(self, phone: str | None, email: str | None) -> Party:
        person = Party(None, phone, email, is_new=True)
        self.new.append(person)
        self._index(person)
        return person

    def _complete(self, person: Party, phone: str | None, email: str | None) -> None:
        if person.phone is None and phone:
            person.phone = phone
            person.got_phone = person.is_changed = True
        if person.email is None and email and email not in self.by_email:
            person.email, person.is_changed = email, True
        self._index(person)

    def _index(self, person: Party) -> None:
        if person.phone:
            self.by_phone[person.phone] = person
        if person.email:
            self.by_email[person.email] = person


def array(values: Iterable[int | str | None]) -> str:
    """A Postgres array as one text: for thousands of values much faster than psycopg's own.

    For ids and addresses only: those have no quotation marks and no backslashes in them.
    """
    return "{" + ",".join("NULL" if value is None else f'"{value}"' for value in values) + "}"


def look_up(cursor: CursorWrapper, phones: Iterable[str], emails: Iterable[str]) -> Directory:
    cursor.execute(FIND, [array(phones), array(emails)])
    return Directory(cursor.fetchall())


def store(cursor: CursorWrapper, directory: Directory, now: datetime) -> None:
    """Write the batch's new and completed people, and give the new ones their ids.

    Where a lead names two persons, an opt-out or hold that stands on one goes to the other.
    """
    _add_new(cursor, directory.new, now)
    pairs = [(person.stored_id, owner.stored_id) for person, owner in directory.links]
    changed = [person for person in directory.found if person.is_changed]
    linked = (person_id for pair in pairs for person_id in pair)
    cursor.execute(LOCK, [array({*linked, *(person.stored_id for person in changed)})])
    _complete(cursor, changed)
    if pairs:
        _restrict_both(cursor, pairs)


def _add_new(cursor: CursorWrapper, new: Sequence[Party], now: datetime) -> None:
    inorder = sorted(new, key=lambda person: (person.phone or "", person.email or ""))
    phones, emails = (person.phone for person in inorder), (person.email for person in inorder)
    cursor.execute(ADD, [now, array(phones), array(emails)])
    ids = {(phone, email): person_id for person_id, phone, email in cursor.fetchall()}
    for person in new:
        person.id = ids.get((person.phone, person.email))  # none: see stored_id


def _complete(cursor: CursorWrapper, changed: Sequence[Party]) -> None:
    ids = [person.stored_id for person in changed]
    phones, emails = (person.phone for person in changed), (person.email for person in changed)
    cursor.execute(COMPLETE, [array(ids), array(phones), array(emails)])
    if cursor.rowcount < len(changed):
        raise Overtaken


def _restrict_both(cursor: CursorWrapper, pairs: Sequence[tuple[int, int]]) -> None:
    persons, owners = array(pair[0] for pair in pairs), array(pair[1] for pair in pairs)
    cursor.execute(LINKED_TO_OPTED_OUT, [persons, owners])
    if ids := [person_id for (person_id,) in cursor.fetchall()]:
        consent.opt_out(ids, source="import", note="The other address of a lead has opted out.")
    cursor.execute(HOLD_LINKED, {"a": persons, "b": owners})
