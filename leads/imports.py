"""Takes a file of leads in, chunk by chunk: each chunk with its errors and counts, or not at all.

The file is read and checked one chunk ahead, in a thread, while Postgres stores the last one. The
Import row says how far it is, and a chunk commits only where the row still stands where this
process left it: of two that took the same file in, the second would store nothing.
"""

from __future__ import annotations

import contextlib
import gc
import json
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
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
# The first columns of the file of refused rows; in a mended copy they say nothing of a person.
WRITTEN_BY_US = ("refused_line", "refused_column", "refused_code", "refused_because", "refused_row")
DATABASE_FAILED = "The database refused some of the rows, or went away."
NOT_OURS = "This import was stopped, or somebody else goes on with it."
_CANNOT_BE_STORED = re.compile("[\x00\ud800-\udfff]")
_POLL = 0.2  # seconds between two looks at whether to stop

COPY_ERRORS = """
COPY leads_importerror (taken_in_id, line, field, code, message, row) FROM STDIN
"""


# What planning reads. Until autovacuum has been there its plans would be those of a small list.
ANALYZE = """
ANALYZE compliance_person, compliance_consentevent, compliance_places, leads_lead, leads_listentry
"""
ANALYZED_FROM = 10_000  # rows


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
    bytes_total: int = 0,
    chunk: int = CHUNK,
    report: Callable[[Summary], None] = lambda _: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Take in all rows. A row that changes nothing counts as updated.

    Raises BadFile, Stopped, GaveUp or DatabaseError; the Import row then says why, if it can.
    """
    taken_in = Import.objects.create(
        brand_id=lead_list.brand_id,
        lead_list=lead_list,
        file_name=file_name[:255],
        source=source[:80],
        bytes_total=bytes_total,
    )
    try:
        return go_on(taken_in, rows, chunk=chunk, report=report, is_stopped=is_stopped)
    except (BadFile, Stopped, GaveUp, DatabaseError) as error:
        problem = DATABASE_FAILED if isinstance(error, DatabaseError) else str(error)
        with contextlib.suppress(DatabaseError):
            end(taken_in, Import.State.FAILED, problem)
        raise


def go_on(
    taken_in: Import,
    rows: Rows,
    *,
    chunk: int = CHUNK,
    report: Callable[[Summary], None] = lambda _: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Take in what is left of a file, and say in its Import that it is done.

    `rows` are those of the whole file: as many as were read before are passed over. Whom the file
    has had is remembered by one process only, so a person from before a crash who comes again
    after it counts as updated there and not as a duplicate. It is one lead all the same.
    Raises what `import_file` does; the Import is running then, and can go on.
    """
    summary = Summary(taken_in)
    intake = Intake(brand_id=taken_in.brand_id, list_id=taken_in.lead_list_id)
    parts = chunks(rows, taken_in.source, chunk, skip=taken_in.rows_read)
    with few_collections():
        for part in ahead(parts, is_stopped):
            _take_in(intake, rows.names, part, summary)
            report(summary)
    if is_stopped():
        raise Stopped("Stopped as asked.")
    if not end(taken_in, Import.State.DONE):
        raise Stopped(NOT_OURS)
    return summary


def end(taken_in: Import, state: Import.State, problem: str = "") -> bool:
    """Close an import that runs; False where it was ended already."""
    running = Import.objects.filter(pk=taken_in.pk, state=Import.State.RUNNING)
    if not running.update(state=state, problem=problem, finished_at=clock.now()):
        return False
    taken_in.state, taken_in.problem = state, problem
    if taken_in.rows_read >= ANALYZED_FROM:
        with connection.cursor() as cursor:
            cursor.execute(ANALYZE)
    return True


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Spare the collector what is loaded already: looking through it took a quarter of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def chunks(rows: Rows, source: str, size: int, *, skip: int = 0) -> Iterator[Chunk]:
    """The rows after the first `skip`, checked; `source` stands in where a row has none. Pure."""
    read = _reader(rows.names, source)
    part: list[FileRow] = []
    for row in islice(rows, skip, None):
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
    unknown = [(name, place) for place, name in enumerate(names) if name not in COLUMNS]
    others = [(name, place) for name, place in unknown if name not in WRITTEN_BY_US]

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
        _store_counts(summary.taken_in, outcomes, part.bytes_read)

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


def _store_counts(taken_in: Import, outcomes: Sequence[Result], bytes_read: int) -> None:
    """Raises Stopped, and with it the chunk is undone, where the import is not ours any more."""
    as_we_left_it = Import.objects.filter(
        pk=taken_in.pk, state=Import.State.RUNNING, rows_read=taken_in.rows_read
    )
    if not as_we_left_it.update(bytes_read=bytes_read, **_counts(taken_in, outcomes)):
        raise Stopped(NOT_OURS)


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
