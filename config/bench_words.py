"""What a benchmark found, as lines for a person and as JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def lines(found: Figures) -> Iterator[str]:
    """The figures for a person."""
    yield ""
    for name, value in found.items():
        if value and isinstance(value, dict) and all(isinstance(v, dict) for v in value.values()):
            yield from table(name, value)
        elif isinstance(value, dict):
            yield _words(name)
            yield from (f"  {_words(key):<42} {_told(one):>14}" for key, one in value.items())
        elif isinstance(value, list):
            yield from value
        else:
            yield f"{_words(name):<44} {_told(value):>14}"


def table(name: str, rows: Mapping[str, Figures]) -> Iterator[str]:
    """A line for each row, which all have the same figures."""
    head = [_words(name), *map(_words, next(iter(rows.values())))]
    body = [[_words(key), *map(_told, row.values())] for key, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    for first, *others in [head, *body]:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join(cells)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if value is None:
        return "not counted"
    return f"{value:,}" if isinstance(value, int | float) else str(value) or "none"


def write_json(found: Figures, path: Path) -> None:
    """Raises OSError."""
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
