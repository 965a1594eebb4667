"""Takes a file of leads in, chunk by chunk: each chunk with its errors and counts, or not at all.

The file is read and checked one chunk ahead, in a thread, while Postgres stores the last one.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from django.db import DatabaseError, connection

from brands import clock
from leads.csvfile import BadFile, Row, Rows
from leads.intake import GaveUp, Intake, Result, Taken
from leads.models import Import, LeadList
from leads.rows import COLUMNS, LeadRow, Problem, check_row

T = TypeVar("T")

CHUNK = 5_000
SHOWN = 500  # characters of a cell that are kept with an error
_CANNOT_BE_STORED = re.compile("[\x00\ud800-\udfff]")
_POLL = 0.2  # seconds between two looks at whether to stop

COPY_ERRORS = """
COPY leads_importerror (taken_in_id, line, field, code, message, row) FROM STDIN
"""


class Stopped(Exception):
    """Asked to stop; what was taken in stays, and importing the file again is safe."""


class FileRow(NamedTuple):
    line: int
    cells: Sequence[str]
    checked: LeadRow | Problem


class Chunk(NamedTuple):
    rows: list[FileRow]
    bytes_read: int


@dataclass(slots=True)
class Summary:
    """How far an import is. Read is always created plus updated plus refused."""

    taken_in: Import
    refused: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    bytes_read: int = 0


def import_file(
    rows: Rows,
    lead_list: LeadList,
    *,
    source: str = "",
    file_name: str = "",
    chunk: int = CHUNK,
    report: Callable[[Summary], None] = lambda _: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Take in all rows. A row that changes nothing counts as updated.

    Raises BadFile, Stopped, GaveUp or DatabaseError; the Import row then says why, if it can.
    """
    taken_in = Import.objects.create(
        brand_id=lead_list.brand_id, lead_list=lead_list, file_name=file_name[:255]
    )
    summary = Summary(taken_in)
    intake = Intake(brand_id=lead_list.brand_id, list_id=lead_list.pk)
    try:
        for part in ahead(chunks(rows, source, chunk), is_stopped):
            _take_in(intake, rows.names, part, summary)
            report(summary)
        if is_stopped():
            raise Stopped("Stopped as asked.")
    except (BadFile, Stopped, GaveUp, DatabaseError) as error:
        with contextlib.suppress(DatabaseError):
            _end(taken_in, Import.State.FAILED, str(error))
        raise
    _end(taken_in, Import.State.DONE)
    return summary


def chunks(rows: Rows, source: str, size: int) -> Iterator[Chunk]:
    """The rows of a file, checked; `source` stands in where a row names none. Pure."""
    read = _reader(rows.names, source)
    part: list[FileRow] = []
    for row in rows:
        part.append(FileRow(row.line, row.cells, row.problem or read(row)))
        if len(part) == size:
            yield Chunk(part, rows.bytes_read)
            part = []
    if part:
        yield Chunk(part, rows.bytes_read)


def ahead(items: Iterator[T], is_stopped: Callable[[], bool]) -> Iterator[T]:
    """The same items, each made in a thread while the one before it is being used."""
    made: queue.Queue[tuple[T] | Exception | None] = queue.Queue(maxsize=1)
    left = threading.Event()
    threading.Thread(target=_make, args=(items, made, left), daemon=True).start()
    try:
        while not is_stopped():
            try:
                item = made.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item[0]
    finally:
        left.set()


def _make(
    items: Iterator[T], made: queue.Queue[tuple[T] | Exception | None], left: threading.Event
) -> None:
    def put(item: tuple[T] | Exception | None) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                return made.put(item, timeout=_POLL)

    try:
        for item in items:
            put((item,))
            if left.is_set():
                return
    except Exception as error:  # noqa: BLE001 - raised again where the items are used
        return put(error)
    put(None)


def _reader(names: Sequence[str], source: str) -> Callable[[Row], LeadRow | Problem]:
    known = [(name, place) for place, name in enumerate(names) if name in COLUMNS]
    others = [(name, place) for place, name in enumerate(names) if name not in COLUMNS]

    def read(row: Row) -> LeadRow | Problem:
        cells = {name: row.cells[place] for name, place in known}
        if source and not cells.get("source"):
            cells["source"] = source
        found = {name: text for name, place in others if (text := row.cells[place].strip())}
        return check_row(cells, found)

    return read


def _take_in(intake: Intake, names: Sequence[str], part: Chunk, summary: Summary) -> None:
    good = [row.checked for row in part.rows if isinstance(row.checked, LeadRow)]
    outcomes: list[Result] = []

    def store_outcomes(results: Sequence[Result]) -> None:
        nonlocal outcomes
        each = iter(results)
        outcomes = [
            next(each) if isinstance(row.checked, LeadRow) else row.checked for row in part.rows
        ]
        _store_errors(summary.taken_in, names, part.rows, outcomes)
        _store_counts(summary.taken_in, outcomes)

    intake.take_in(good, also=store_outcomes)
    _count(summary, outcomes)
    summary.bytes_read = part.bytes_read


def _store_errors(
    taken_in: Import, names: Sequence[str], rows: Sequence[FileRow], outcomes: Sequence[Result]
) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_ERRORS) as copy:
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, Problem):
                kept = json.dumps(_kept(names, row.cells))
                problem = (outcome.field[:40], outcome.code, outcome.message)
                copy.write_row((taken_in.pk, row.line, *problem, kept))


def _kept(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """What stood there, as far as it can be stored; a malformed row is one text."""
    named = zip(names, cells, strict=True) if len(cells) == len(names) else [("row", cells[0])]
    return {name: _CANNOT_BE_STORED.sub("�", text[:SHOWN]) for name, text in named if text}


def _store_counts(taken_in: Import, outcomes: Sequence[Result]) -> None:
    Import.objects.filter(pk=taken_in.pk).update(**_counts(taken_in, outcomes))


def _count(summary: Summary, outcomes: Sequence[Result]) -> None:
    for name, count in _counts(summary.taken_in, outcomes).items():
        setattr(summary.taken_in, name, count)
    for outcome in outcomes:
        if isinstance(outcome, Problem):
            summary.refused[outcome.code] += 1
        elif outcome.notice:
            summary.notices[outcome.notice.code] += 1


def _counts(taken_in: Import, outcomes: Sequence[Result]) -> dict[str, int]:
    taken = [outcome for outcome in outcomes if isinstance(outcome, Taken)]
    created = sum(outcome.is_new for outcome in taken)
    return {
        "rows_read": taken_in.rows_read + len(outcomes),
        "leads_created": taken_in.leads_created + created,
        "leads_updated": taken_in.leads_updated + len(taken) - created,
        "rows_refused": taken_in.rows_refused + len(outcomes) - len(taken),
    }


def _end(taken_in: Import, state: Import.State, problem: str = "") -> None:
    taken_in.state, taken_in.problem = state, problem
    Import.objects.filter(pk=taken_in.pk).update(
        state=state, problem=problem, finished_at=clock.now()
    )
