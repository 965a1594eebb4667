"""Takes in leads for a brand, many at once: the one door for files and for the partner API.

A batch is one transaction and a fixed number of statements, whatever its size. Many may run at once
over the same people: whoever comes second waits, or begins the batch again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
from django.db import DatabaseError, connection, transaction
from django.db.backends.utils import CursorWrapper

from leads import people, storing
from leads.people import Directory, Match, Overtaken, array
from leads.rows import LeadRow, Problem
from leads.storing import PlacesIds, Work

TRIES = 10
LONGEST_WAIT = 2.0  # seconds between two tries
# deadlock, serialisation, lock timeout, and a unique value that somebody else just took
BEGUN_AGAIN = frozenset({"40P01", "40001", "55P03", "23505"})
_LIST_LOCKS = 0x4C49_5354  # one class of advisory locks, the second key is the list's id

BEGIN = """
SELECT sendonce_now(), set_config('lock_timeout', '10s', true),
       set_config('statement_timeout', '60s', true),
       set_config('idle_in_transaction_session_timeout', '60s', true),
       set_config('random_page_cost', '1.1', true)
"""
LOCK_LISTS = """
SELECT pg_advisory_xact_lock_shared(%s, lists.id::int) FROM (
    SELECT DISTINCT e.lead_list_id AS id FROM leads_listentry e
    JOIN leads_lead l ON l.id = e.lead_id
    WHERE e.lead_id = ANY(%s::bigint[]) AND e.places_id IS DISTINCT FROM l.places_id
    UNION SELECT unnest(%s::bigint[]) ORDER BY id
) lists
"""
MOVE_ENTRIES = """
WITH moved AS (
    DELETE FROM leads_listentry e USING leads_lead l
    WHERE e.lead_id = ANY(%s::bigint[]) AND l.id = e.lead_id
      AND e.places_id IS DISTINCT FROM l.places_id
    RETURNING e.lead_list_id, e.lead_id, l.places_id, e.added_at
)
INSERT INTO leads_listentry (lead_list_id, lead_id, places_id, added_at)
SELECT lead_list_id, lead_id, places_id, added_at FROM moved
"""
ADD_ENTRIES = """
INSERT INTO leads_listentry (lead_list_id, lead_id, places_id, added_at)
SELECT %s, lead_id, places_id, %s
FROM unnest(%s::bigint[], %s::bigint[]) AS new (lead_id, places_id)
ON CONFLICT (lead_list_id, lead_id) DO NOTHING
"""
LOCK_ALONE = "SELECT pg_advisory_xact_lock(%s, %s)"
LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(%s, %s)"

DUPLICATE = Problem("duplicate_in_file", "", "An earlier row of this file is the same person.")
IN_FUTURE = Problem("consent_in_future", "consent_at", "This time has not come yet.")
ERASED = Problem("erased", "", "This person was erased from the brand's leads on request.")
EMAIL_IN_USE = Problem(
    "email_in_use", "email", "The e-mail address is another person's and was not attached."
)


class Taken(NamedTuple):
    """A row that became a lead, or brought one up to date (also when nothing had changed)."""

    lead_id: int
    is_new: bool
    notice: Problem | None = None


Result = Taken | Problem


class GaveUp(Exception):
    """Others kept taking in the same people; nothing of this batch was stored."""


class IdSet:
    """A set of ids that takes at most a bit for each id there is, so memory stays flat."""

    _BITS = 16

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        page = self._pages.get(number >> self._BITS)
        at = number & 0xFFFF
        return page is not None and bool(page[at >> 3] & 1 << (at & 7))

    def add(self, number: int) -> None:
        page = self._pages.setdefault(number >> self._BITS, bytearray(1 << self._BITS - 3))
        at = number & 0xFFFF
        page[at >> 3] |= 1 << (at & 7)


def lock_list(list_id: int, *, exclusive: bool) -> None:
    """Lock the entries of a list until the transaction ends.

    Whoever inserts entries holds it shared, from before the insert that draws their ids. The
    planner takes it exclusively, in a statement of its own, before it reads: then every entry id
    below the highest it sees is committed or gone for good.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ALONE if exclusive else LOCK_SHARED, [_LIST_LOCKS, list_id])


class Intake:
    """Takes in the rows of one file or request, batch by batch, and knows whom it has had.

    Not to be used on after a transaction around it was rolled back: its ids would be gone.
    """

    def __init__(self, *, brand_id: int, list_id: int | None, method: str = "import") -> None:
        self._brand_id = brand_id
        self._list_id = list_id
        self._method = method
        self._seen = IdSet()
        self._places_ids: PlacesIds = {}

    def take_in(
        self, rows: Sequence[LeadRow], also: Callable[[Sequence[Result]], None] = lambda _: None
    ) -> list[Result]:
        """Store a batch and say for each row, in order, what became of it.

        `also` is called with the results inside the transaction, again if the batch is begun
        again. Raises GaveUp, or DatabaseError when the database is at fault.
        """
        for tried in range(TRIES):
            try:
                return self._try_once(rows, also)
            except Overtaken:
                pass
            except DatabaseError as error:
                if not is_begun_again(error):
                    raise
            time.sleep(secrets.SystemRandom().uniform(0, min(LONGEST_WAIT, 0.05 * 2**tried)))
        raise GaveUp("Others kept changing the same people; nothing of this batch was stored.")

    def _try_once(
        self, rows: Sequence[LeadRow], also: Callable[[Sequence[Result]], None]
    ) -> list[Result]:
        places_ids = dict(self._places_ids)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(BEGIN)
            now: datetime = cursor.fetchone()[0]
            refused = {n: IN_FUTURE for n, row in enumerate(rows) if row.consent_at > now}
            directory = _look_up(cursor, rows, refused)
            matches = self._match(directory, rows, refused)
            people.store(cursor, directory, now)
            work = [_work(place, rows[place], match) for place, match in matches]
            work = self._store(cursor, work, refused, places_ids, now)
            moved = self._move_elsewhere(cursor, directory, places_ids)
            self._enter(cursor, work, moved, now)
            results = _results(len(rows), refused, work)
            also(results)
        self._places_ids = places_ids
        for item in work:
            self._seen.add(item.person_id)
        return results

    def _match(
        self, directory: Directory, rows: Sequence[LeadRow], refused: dict[int, Problem]
    ) -> list[tuple[int, Match]]:
        matches = []
        for place, row in enumerate(rows):
            if place not in refused:
                if match := directory.match(row.phone, row.email, self._seen):
                    matches.append((place, match))
                else:
                    refused[place] = DUPLICATE
        return matches

    def _store(
        self,
        cursor: CursorWrapper,
        work: Sequence[Work],
        refused: dict[int, Problem],
        places_ids: PlacesIds,
        now: datetime,
    ) -> list[Work]:
        """Store what may be stored; returns that."""
        storing.find_leads(cursor, self._brand_id, work)
        refused.update({item.place: ERASED for item in work if item.is_erased})
        wanted = [item for item in work if not item.is_erased]
        storing.find_places(cursor, wanted, places_ids)
        storing.store_leads(cursor, wanted, brand_id=self._brand_id, method=self._method, now=now)
        return wanted

    def _move_elsewhere(
        self, cursor: CursorWrapper, directory: Directory, places_ids: PlacesIds
    ) -> list[int]:
        phones = {person.stored_id: person.phone for person in directory.found if person.got_phone}
        if not phones:
            return []
        return storing.move_leads_elsewhere(cursor, self._brand_id, phones, places_ids)

    def _enter(
        self, cursor: CursorWrapper, work: Sequence[Work], moved: Sequence[int], now: datetime
    ) -> None:
        """Put the leads on the list; entries whose lead may now be elsewhere get new ids."""
        old = array([*moved, *(item.lead_id for item in work if not item.is_new)])
        into = [] if self._list_id is None else [self._list_id]
        cursor.execute(LOCK_LISTS, [_LIST_LOCKS, old, array(into)])
        cursor.execute(MOVE_ENTRIES, [old])
        if into:
            leads = array(item.lead_id for item in work)
            where = array(item.places_id for item in work)
            cursor.execute(ADD_ENTRIES, [self._list_id, now, leads, where])


def is_begun_again(error: DatabaseError) -> bool:
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.sqlstate in BEGUN_AGAIN


def _look_up(
    cursor: CursorWrapper, rows: Sequence[LeadRow], refused: dict[int, Problem]
) -> Directory:
    rows = [row for place, row in enumerate(rows) if place not in refused]
    phones = (row.phone for row in rows if row.phone)
    return people.look_up(cursor, phones, (row.email for row in rows if row.email))


def _work(place: int, row: LeadRow, match: Match) -> Work:
    owner_id = match.email_owner.stored_id if match.email_owner else None
    person_id = match.person.stored_id
    return Work(place, row, match.person, person_id, owner_id, row.state, row.zip_code)


def _results(count: int, refused: dict[int, Problem], work: Sequence[Work]) -> list[Result]:
    taken = {
        item.place: Taken(item.lead_id, item.is_new, EMAIL_IN_USE if item.email_person_id else None)
        for item in work
    }
    return [refused.get(place) or taken[place] for place in range(count)]
