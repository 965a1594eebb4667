"""The lines of the simulator's ledger: whole, torn or wrong; and what they count up to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LATEST = 4e9  # no ledger counts further; in Unix seconds the year 2096
OF_A_CALLBACK = b'{"callback"'  # how its lines begin, and no others

Fields = Mapping[str, type | tuple[type, ...]]
NUMBER = (int, float)


class BadLedger(Exception):
    """The ledger cannot be read; the message says which line and why, and quotes nothing of it."""


@dataclass(slots=True)
class Tally:
    """What was read. `torn` lines were cut off in writing: what they told never got its answer."""

    requests: int = 0
    taken: int = 0
    callbacks: int = 0
    torn: int = 0


def of_requests(path: Path, tally: Tally) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole lines that are not a callback's, with their numbers. Raises BadLedger."""
    return _lines(path, tally, lambda line: not line.startswith(OF_A_CALLBACK))


def of_callbacks(path: Path, tally: Tally) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole lines of callbacks, with their numbers. Raises BadLedger."""
    return _lines(path, tally, lambda line: line.startswith(OF_A_CALLBACK))


def checked(number: int, plain: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """The line itself, when it has these fields and their numbers are within all bounds."""
    for name, kind in fields.items():
        value = plain.get(name)
        is_bool = isinstance(value, bool)
        if not isinstance(value, kind) or is_bool is not (kind is bool):
            raise BadLedger(f"line {number}: {name} is missing or is not what it should be")
        if isinstance(value, NUMBER) and not 0 <= value < LATEST:
            raise BadLedger(f"line {number}: {name} is out of all bounds")
    return plain


def e164(number: str) -> str:
    """Some providers leave out the plus."""
    return f"+{number}" if number.isdigit() else storable(number)


def storable(text: str) -> str:
    """Without what Postgres cannot hold; nothing of ours contains it."""
    return text.encode(errors="replace").decode().replace("\0", "")


def _lines(
    path: Path, tally: Tally, wanted: Callable[[bytes], bool]
) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not wanted(line):
                    continue
                plain = _plain(number, line)
                if plain is None:
                    tally.torn += 1
                else:
                    yield number, plain
    except OSError as error:
        raise BadLedger(f"{path}: {error.strerror or type(error).__name__}") from error


def _plain(number: int, line: bytes) -> dict[str, Any] | None:
    """The line as a dictionary; None for the beginning of one that was never finished."""
    try:
        plain = json.loads(line)
    except ValueError as error:
        content = line.strip()
        if not content or (content.startswith(b"{") and not content.endswith(b"}")):
            return None
        raise BadLedger(f"line {number} is not JSON") from error
    if not isinstance(plain, dict):
        raise BadLedger(f"line {number} is not a JSON object")
    return plain
