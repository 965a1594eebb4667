"""Reads a delimited text file row by row, in flat memory, and loses no more than the bad rows.

The rows are those of Python's csv module in strict mode. A quote that is never closed would take
the rest of the file with it there; here it costs its own line, because a row may span at most
LINES_OF_A_ROW lines and has as many columns as the header.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from leads.rows import COLUMNS, Problem

LONGEST_LINE = 100_000  # bytes
LINES_OF_A_ROW = 100
LONGEST_NAME = 40
MOST_COLUMNS = 200
SHOWN = 500  # characters of a malformed line that are kept
DELIMITERS = (",", ";", "\t")
ALSO_CALLED = {"e_mail": "email", "zip_code": "zip", "zipcode": "zip"}
_BLOCK = 1 << 20


class BadFile(Exception):
    """The file as a whole cannot be taken in; the message says where and why."""


class Line(NamedTuple):
    number: int
    text: str
    is_whole: bool = True


class Row(NamedTuple):
    """The cells of a row that begins on `line`, or what is wrong with it and how it begins."""

    line: int
    cells: Sequence[str]
    problem: Problem | None = None


BAD_QUOTES = Problem("bad_quotes", "", "The quotation marks of this row do not pair up.")
LINE_TOO_LONG = Problem("too_long", "", f"This line is longer than {LONGEST_LINE:,} bytes.")


def check_encoding(file: BinaryIO) -> int:
    """Read a seekable file to its end and back, so that nothing of a bad one is taken in.

    Returns how many bytes there are.
    """
    begin = file.tell()
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    while block := file.read(_BLOCK):
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            raise _not_utf8(line + error.object.count(b"\n", 0, error.start)) from error
        line += block.count(b"\n")
    if decoder.getstate()[0]:
        raise _not_utf8(line)
    size = file.tell() - begin
    file.seek(begin)
    return size


def _not_utf8(line: int) -> BadFile:
    return BadFile(
        f"Line {line} is not UTF-8 text: save the file with the encoding UTF-8 and import it again."
    )


class Rows:
    """The rows of a file after its header. `names` are the columns; `bytes_read` is how far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._next: deque[Line] = deque()
        self.bytes_read = 0
        self.delimiter = ","
        self.names = self._read_header()

    def __iter__(self) -> Iterator[Row]:
        blank = self.delimiter + '" \t\r\n'
        while line := self._line():
            if not line.is_whole:
                yield Row(line.number, [line.text], LINE_TOO_LONG)
            elif line.text.strip(blank):
                yield self._row(line)

    def _row(self, line: Line) -> Row:
        cells = self._quoted(line) if '"' in line.text else self._split(line.text)
        if cells is None:
            return Row(line.number, [line.text[:SHOWN]], BAD_QUOTES)
        if len(cells) != len(self.names):
            return Row(line.number, [line.text[:SHOWN]], self._wrong_width(len(cells)))
        return Row(line.number, cells)

    def _split(self, text: str) -> list[str]:
        return text.rstrip("\r\n").split(self.delimiter)

    def _quoted(self, first: Line) -> list[str] | None:
        """The cells of a row with quotes, which may span lines; None if the quotes do not pair."""
        taken: list[Line] = []
        reader = csv.reader(self._feed(first, taken), delimiter=self.delimiter, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            cells = None
        if taken and (cells is None or len(cells) != len(self.names)):
            self._next.extendleft(reversed(taken))
            return None
        return cells

    def _feed(self, first: Line, taken: list[Line]) -> Iterator[str]:
        """The text of `first`, then further lines as they are asked for, noted in `taken`."""
        yield first.text
        size = len(first.text)
        while len(taken) < LINES_OF_A_ROW - 1 and (line := self._line()):
            taken.append(line)
            size += len(line.text)
            if not line.is_whole or size > LONGEST_LINE:
                return
            yield line.text

    def _line(self) -> Line | None:
        if self._next:
            return self._next.popleft()
        raw = self._file.readline(LONGEST_LINE)
        if not raw:
            return None
        self._number += 1
        self.bytes_read += len(raw)
        if len(raw) == LONGEST_LINE and raw[-1] != 0x0A:
            return Line(self._number, self._shown_of_long_line(raw), is_whole=False)
        try:
            return Line(self._number, raw.decode())
        except UnicodeDecodeError as error:
            raise _not_utf8(self._number) from error

    def _shown_of_long_line(self, raw: bytes) -> str:
        rest = raw
        while rest and rest[-1] != 0x0A:
            rest = self._file.readline(_BLOCK)
            self.bytes_read += len(rest)
        return raw[:SHOWN].decode(errors="replace")

    def _wrong_width(self, count: int) -> Problem:
        code = "too_few_columns" if count < len(self.names) else "too_many_columns"
        message = f"This row has {count} columns where the header has {len(self.names)}."
        return Problem(code, "", message)

    def _read_header(self) -> list[str]:
        line = self._line()
        while line and line.is_whole and not line.text.strip("\ufeff \t\r\n"):
            line = self._line()
        if line is None:
            raise BadFile("The file is empty.")
        text = line.text.removeprefix("\ufeff")
        if not line.is_whole or "\r" in text.rstrip("\r\n"):
            raise BadFile(f"Line {line.number} is not a header: there is no line end where one is.")
        self.delimiter = max(DELIMITERS, key=lambda mark: len(_known(_cells(text, mark))))
        return checked_names(_cells(text, self.delimiter), line.number)


def checked_names(raw: Sequence[str], line: int) -> list[str]:
    """The column names as we write them. Raises BadFile if a row could not be read by them."""
    names = [column_name(text) or f"column_{place}" for place, text in enumerate(raw, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadFile(f"Line {line} names the column {twice[0]} twice.")
    if len(names) > MOST_COLUMNS:
        raise BadFile(f"Line {line} names {len(names)} columns; {MOST_COLUMNS} are the most.")
    if long := [name for name in names if len(name) > LONGEST_NAME]:
        raise BadFile(f"Line {line}: the column name {long[0][:60]}… is too long.")
    if missing := _missing(names):
        raise BadFile(
            f"Line {line}, the header, has no column {missing}; it has {', '.join(names)[:300]}."
        )
    return names


def column_name(text: str) -> str:
    """`First Name`, `first-name` and `FIRST_NAME` are one column."""
    name = re.sub(r"[\W_]+", "_", text.strip().lower()).strip("_")
    return ALSO_CALLED.get(name, name)


def _missing(names: Sequence[str]) -> str:
    if "phone" not in names and "email" not in names:
        return "phone or email"
    return "" if "consent_at" in names else "consent_at"


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return []


def _known(names: Sequence[str]) -> set[str]:
    return {column_name(name) for name in names}.intersection(COLUMNS)
