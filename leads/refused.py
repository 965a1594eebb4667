"""The rows of a file that were not taken: a look at the first ones, and the file of them all.

There may be millions. A page reads a fixed number; the file is streamed from a cursor that the
server keeps after its statement has ended, so a slow download holds back no tidying.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from django.db import connection

from brands.access import masked
from leads.imports import WRITTEN_BY_US
from leads.models import Import, ImportError
from leads.rows import COLUMNS

SHOWN = 50
COUNTED = 100_000
FETCHED = 2_000
BOM = "\ufeff"
_ADDRESSES = ("phone", "email")
_SHORTEST_ADDRESS = 10  # of a shorter one a mask would show too much
_FORMULA = re.compile(r"\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # full-width too
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")

COUNT_BY_REASON = """
SELECT code, min(message), count(*) FROM (
    SELECT code, message FROM leads_importerror WHERE taken_in_id = %s LIMIT %s
) AS first_ones GROUP BY code ORDER BY 3 DESC, 1
"""
OTHER_COLUMNS = """
SELECT DISTINCT jsonb_object_keys(row) FROM leads_importerror
WHERE taken_in_id = %s AND row - 'row' <> '{}' ORDER BY 1
"""


class Reason(NamedTuple):
    """How many rows were refused for one reason, with the words of one of them."""

    code: str
    message: str
    rows: int


class Refused(NamedTuple):
    """A refused row as the page shows it; `stood` is what the row said, masked or not."""

    line: int
    field: str
    message: str
    stood: Mapping[str, str]


def reasons(taken_in: Import) -> list[Reason]:
    """Counts by reason over the first COUNTED refused rows."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_BY_REASON, [taken_in.pk, COUNTED])
        return [Reason(*row) for row in cursor.fetchall()]


def first_rows(taken_in: Import, *, whole: bool) -> list[Refused]:
    """The first refused rows; unless `whole`, nothing in them tells who the person is.

    Rows are stored in the order of the file and the index gives them in that order: sorting is for
    these few only.
    """
    found = sorted(taken_in.errors.all()[:SHOWN], key=lambda error: error.line)
    show: Callable[[str, str], str] = (lambda _, text: text) if whole else _masked
    return [
        Refused(
            error.line,
            error.field,
            error.message,
            {name: show(name, text) for name, text in _in_order(error.row)},
        )
        for error in found
    ]


def _masked(name: str, text: str) -> str:
    is_address = name in _ADDRESSES and len(text) >= _SHORTEST_ADDRESS
    return masked(text) if is_address else "•••"


def _in_order(row: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(row.items(), key=lambda item: (_place(item[0]), item[0]))


def _place(name: str) -> int:
    return COLUMNS.index(name) if name in COLUMNS else len(COLUMNS)


class Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def as_csv(taken_in: Import) -> Iterator[str]:
    """The lines of the file of refused rows: why each one was refused, then what stood there.

    Its own columns are known to the import, which passes over them: a mended copy can be uploaded.
    """
    names = columns(taken_in)
    writer = csv.writer(Echo())
    yield BOM + writer.writerow([*map(label, WRITTEN_BY_US), *map(safe, names)])
    errors = ImportError.objects.filter(taken_in=taken_in).order_by("line")
    for error in errors.iterator(chunk_size=FETCHED):
        row = dict(error.row)
        as_it_stood = row.pop("row", "") if len(row) == 1 else ""
        why = (error.line, error.field, error.code, error.message, safe(as_it_stood))
        yield writer.writerow([*why, *(safe(row.get(name, "")) for name in names)])


def label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def columns(taken_in: Import) -> Sequence[str]:
    """The columns in which a refused row had something, ours first; not those of malformed rows."""
    with connection.cursor() as cursor:
        cursor.execute(OTHER_COLUMNS, [taken_in.pk])
        found = [name for (name,) in cursor.fetchall()]
    return sorted(found, key=lambda name: (_place(name), name))


def safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; a phone number in E.164 is none."""
    is_formula = _FORMULA.match(text) and not _E164.fullmatch(text)
    return f"'{text}" if is_formula else text
