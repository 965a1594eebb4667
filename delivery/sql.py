"""Running one named statement on Django's connection. Statements stand beside their functions.

A list goes as the text of a Postgres array, made here: the driver asks each element for its type
and dumper, which was a quarter of a worker's time to decide. Statements say `%s::bigint[]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps, loads
from typing import Any

from django.db import connection

Row = tuple[Any, ...]
NULL = "NULL"


def rows(statement: str, *arguments: Any) -> list[Row]:
    """All rows the statement returns; none for one that returns nothing."""
    with connection.cursor() as cursor:
        cursor.execute(statement, _plain(arguments))
        return list(cursor.fetchall()) if cursor.description else []


def one(statement: str, *arguments: Any) -> Row:
    """The single row of the statement."""
    (row,) = rows(statement, *arguments)
    return row


def count(statement: str, *arguments: Any) -> int:
    """How many rows the statement changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, _plain(arguments))
        return int(cursor.rowcount)


def rows_named(statement: str, values: Mapping[str, Any]) -> list[Row]:
    """All rows that the statement with %(names)s returns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, dict(values))
        return list(cursor.fetchall())


def count_named(statement: str, values: Mapping[str, Any]) -> int:
    """How many rows the statement with %(names)s changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, dict(values))
        return int(cursor.rowcount)


def _plain(arguments: Sequence[Any]) -> list[Any]:
    return [array(one) if isinstance(one, list) else one for one in arguments]


def array(values: list[Any]) -> str:
    """The text of a Postgres array of numbers, times or texts, which may have NULLs."""
    kinds = set(map(type, values))
    if kinds <= {int}:
        return f"{{{','.join(map(str, values))}}}"
    if kinds <= {str}:
        return f"{{{','.join(map(_quoted, values))}}}"
    elements = (NULL if value is None else _quoted(str(value)) for value in values)
    return f"{{{','.join(elements)}}}"


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def json(value: object) -> str:
    """The value as text for jsonb, without what Postgres cannot hold in it."""
    return dumps(value).replace("\\u0000", "\\ufffd")


def from_json(value: Any) -> Any:
    """A jsonb column as Django's driver gives it: as text."""
    return loads(value) if isinstance(value, str | bytes) else value
