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
from leads.rows import LeadRow, Problem
from leads.storing import Work

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


class Gaveup(Exception):
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
