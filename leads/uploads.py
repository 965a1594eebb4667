"""Files that staff upload: kept in the database, taken in by a worker, picked up again if it dies.

Web server and worker may be on different machines, so the file lies in Postgres in parts, and
neither ever has it in memory whole. Who takes an upload in holds an advisory lock on the very
connection that stores the rows: a killed worker's server process frees it, and who lost the
connection, and with it the lock, can store nothing more. (A lock on a second connection could be
lost alone, and a transaction open for minutes would keep Postgres from tidying up.)
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import psycopg
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.models import Exists, OuterRef

from brands import clock
from brands.access import Visitor
from leads import imports
from leads.csvfile import BadFile, Rows, check_encoding
from leads.imports import Stopped
from leads.intake import GaveUp
from leads.models import Import, ImportPart, LeadList

logger = logging.getLogger(__name__)

State = Import.State
OPEN = (State.WAITING, State.RUNNING)
PART = 1 << 20  # bytes
MOST_BYTES = 500 * PART
EXCEL = b"PK\x03\x04"
_UPLOAD_LOCKS = 0x494D_5054  # one class of advisory locks, the second key is the import's id
_CANCELLED = "57014"  # a statement that took too long would take as long the next time

FAULT = "Something failed on our side, and is in our log. Nothing of this file is half stored."
LOST = "The uploaded file is not there any more."

COPY_PARTS = "COPY leads_importpart (taken_in_id, ordinal, data) FROM STDIN (FORMAT BINARY)"
READ_PART = "SELECT data FROM leads_importpart WHERE taken_in_id = %s AND ordinal = %s"
# A worker whose whole machine went away is noticed after a minute, not after two hours.
TRY_LOCK = """
SELECT pg_try_advisory_lock(%s, %s), set_config('tcp_keepalives_idle', '30', false),
       set_config('tcp_keepalives_interval', '10', false),
       set_config('tcp_keepalives_count', '3', false)
"""
UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"


class PartMissing(Exception):
    """An upload's parts were removed while they were read."""


def check(file: BinaryIO, size: int) -> None:
    """Raises BadFile, with what to do, where a file as a whole could not be taken in."""
    if size > MOST_BYTES:
        raise BadFile(
            f"This file has {size / PART:,.0f} MB; {MOST_BYTES // PART} MB is the most. Split it"
            " and upload the pieces one after the other: each needs the header line."
        )
    file.seek(0)
    if file.read(len(EXCEL)) == EXCEL:
        raise BadFile(
            "This is an Excel workbook, not a CSV file. In Excel choose Save as, then"
            " “CSV UTF-8 (comma delimited)”, and upload that file."
        )
    file.seek(0)
    check_encoding(file)
    rows = Rows(file)
    if next(iter(rows), None) is None:
        raise BadFile("This file has a header but no people: there is no row under line 1.")
    file.seek(0)


def receive(
    file: BinaryIO,
    *,
    file_name: str,
    lead_list: LeadList,
    source: str,
    uploaded_by: Visitor,
) -> Import:
    """Keep a checked file until a worker takes it in; a list that is new is stored with it.

    Raises IntegrityError where the brand has a list of that name by now.
    """
    with transaction.atomic():
        if lead_list._state.adding:
            lead_list.save()
        taken_in = Import.objects.create(
            brand_id=lead_list.brand_id,
            lead_list=lead_list,
            file_name=file_name[:255],
            state=State.WAITING,
            source=source,
            uploaded_by_id=uploaded_by.pk,
        )
        taken_in.bytes_total = _store_parts(taken_in.pk, file)
        Import.objects.filter(pk=taken_in.pk).update(bytes_total=taken_in.bytes_total)
    return taken_in


def _store_parts(import_id: int, file: BinaryIO) -> int:
    size = 0
    with connection.cursor() as cursor, cursor.copy(COPY_PARTS) as copy:
        copy.set_types(["int8", "int4", "bytea"])
        for ordinal, data in enumerate(iter(lambda: file.read(PART), b"")):
            copy.write_row((import_id, ordinal, data))
            size += len(data)
    return size


class PartStream(io.RawIOBase):
    """An upload's parts as one file, of which one part at a time is in memory.

    It is read in a thread beside the one that stores, so it has a connection of its own.
    """

    def __init__(self, taken_in: Import) -> None:
        self._import_id = taken_in.pk
        self._left = taken_in.bytes_total
        self._ordinal = 0
        self._rest = memoryview(b"")
        self._connection = connections[DEFAULT_DB_ALIAS].copy()
        self._connection.inc_thread_sharing()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # io's is any buffer
        if not self._rest and self._left:
            self._rest = self._next_part()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _next_part(self) -> memoryview:
        with self._connection.cursor() as cursor:
            cursor.execute(READ_PART, [self._import_id, self._ordinal])
            row = cursor.fetchone()
        if row is None:
            raise PartMissing(LOST)
        self._ordinal += 1
        self._left -= len(row[0])
        return memoryview(row[0])

    def close(self) -> None:
        if not self.closed:
            self._connection.close()
        super().close()


def waiting() -> Sequence[int]:
    """The uploads that nobody has come to the end of, oldest first; some may be in work."""
    parts = ImportPart.objects.filter(taken_in=OuterRef("pk"))
    found = Import.objects.filter(Exists(parts), state__in=OPEN).order_by("pk")
    return list(found.values_list("pk", flat=True))


def take_in(import_id: int, is_stopped: Callable[[], bool] = lambda: False) -> bool:
    """Take in an upload from where it stands; False where somebody else does, or it has ended.

    Raises DatabaseError where the database is away for now; the upload is then gone on with later.
    """
    with _held(import_id) as is_ours:
        if not is_ours:
            return False
        opened = Import.objects.filter(pk=import_id, state__in=OPEN).update(state=State.RUNNING)
        if opened:
            _go_on(Import.objects.get(pk=import_id), is_stopped)
        return bool(opened)


def _go_on(taken_in: Import, is_stopped: Callable[[], bool]) -> None:
    extra = {"import_id": taken_in.pk}
    try:
        with PartStream(taken_in) as parts, io.BufferedReader(parts, PART) as file:
            imports.go_on(taken_in, Rows(file), is_stopped=is_stopped)
    except (Stopped, GaveUp) as reason:
        logger.info("import left for now", extra={**extra, "reason": type(reason).__name__})
    except (BadFile, PartMissing) as problem:
        imports.end(taken_in, State.FAILED, str(problem))
    except DatabaseError as error:
        if _passes(error):
            raise
        logger.exception("import failed", extra=extra)
        imports.end(taken_in, State.FAILED, FAULT)
    except Exception:
        logger.exception("import failed", extra=extra)
        imports.end(taken_in, State.FAILED, FAULT)


def _passes(error: DatabaseError) -> bool:
    """Whether the same rows may well be stored a little later."""
    cause = error.__cause__
    was_cancelled = isinstance(cause, psycopg.Error) and cause.sqlstate == _CANCELLED
    return isinstance(error, OperationalError | InterfaceError) and not was_cancelled


@contextlib.contextmanager
def _held(import_id: int) -> Iterator[bool]:
    """Whether this upload is ours to take in, until the block ends or the connection does."""
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [_UPLOAD_LOCKS, import_id])
        is_ours = bool(cursor.fetchone()[0])
    try:
        yield is_ours
    finally:
        if is_ours:
            with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute(UNLOCK, [_UPLOAD_LOCKS, import_id])


def stop(taken_in: Import, by: str) -> bool:
    """End an import at once; False where it has ended. A chunk in hand is in whole, or not at all.

    It waits no longer than for the commit of a chunk; the worker finds out at its next one.
    """
    still_open = Import.objects.filter(pk=taken_in.pk, state__in=OPEN)
    problem = f"Stopped by {by}."
    stamps = {"state": State.FAILED, "problem": problem, "finished_at": clock.now()}
    return bool(still_open.update(**stamps))


def drop_parts() -> int:
    """Let go of the files of imports that have ended."""
    ended = ImportPart.objects.exclude(taken_in__state__in=OPEN)
    return ended.delete()[0]
