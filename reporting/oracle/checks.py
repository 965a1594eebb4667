"""What a check is, how it is run and what it says. It knows ids and counts, never phones or texts.

Nothing in this package imports the code it judges: it reads the tables by SQL and works the rules
out again by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from string import Template
from typing import Any, Protocol

from django.db import DatabaseError, connection, transaction

SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)
QUERY_CANCELLED = "57014"
CONNECTION_LOST = ("08", "57P")
SETTINGS = """
SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', '5s', true),
       set_config('work_mem', '64MB', true)
"""
COUNTED = """
WITH found AS MATERIALIZED ($query)
SELECT (SELECT count(*) FROM found) AS of_all, * FROM found ORDER BY 2 LIMIT %(limit)s
"""

Ids = dict[str, int | str]


class CannotCheck(Exception):
    """What a check needs is not there; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One run. Times are those of the installation's clock, shift included.

    What was set in motion before `since` is not judged by limits that may be younger. Rows that are
    younger than `now` are left out where the ledger, which was read after it, cannot know them.
    """

    now: datetime
    since: datetime = SINCE_EVER
    examples: int = 5


@dataclass(frozen=True, slots=True)
class Found:
    """What one probe found: how many problems of its kind, and some of them by their ids."""

    says: str
    total: int = 0
    examples: tuple[Ids, ...] = ()


class Probe(Protocol):
    """One question about the rows; every row of its answer is a problem."""

    def __call__(self, scope: Scope) -> Found: ...


@dataclass(frozen=True, slots=True)
class Check:
    id: str
    name: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What the probes of a check found; a probe that could not be carried out is a problem too."""

    check: Check
    found: tuple[Found, ...]

    @property
    def problems(self) -> int:
        return sum(found.total for found in self.found)


def compose(query: str, /, **parts: str) -> str:
    """A query with its $parts put in, which are constants of this package; a dollar is doubled."""
    return Template(query).substitute(parts)


def sql(says: str, query: str, /, **parts: str) -> Probe:
    """A probe in SQL: its rows are the problems, its columns name their ids.

    The query may use %(now)s and %(since)s, and its $parts.
    """
    counted = compose(COUNTED, query=compose(query, **parts))

    def probe(scope: Scope) -> Found:
        limit = max(scope.examples, 1)
        with connection.cursor() as cursor:
            cursor.execute(counted, {"now": scope.now, "since": scope.since, "limit": limit})
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
        return Found(says, rows[0][0] if rows else 0, _examples(names, rows)[: scope.examples])

    return probe


def some(says: str, problems: Iterable[Ids], scope: Scope) -> Found:
    """Count problems that a probe found by itself, and keep the first few."""
    total, examples = 0, []
    for ids in problems:
        total += 1
        if total <= scope.examples:
            examples.append(ids)
    return Found(says, total, tuple(examples))


def run(checks: Sequence[Check], scope: Scope) -> Iterator[Result]:
    """Carry the checks out one by one; each result comes as soon as it is there."""
    for check in checks:
        yield Result(check, tuple(_ask(probe, scope) for probe in check.probes))


def installation_now() -> datetime:
    """The installation's clock, shift included."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sendonce_now()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)  # noqa: S101 - narrows the driver's Any
    return now


def begin_read_only(statement_seconds: int) -> None:
    """For the rest of the transaction nothing can be written and no statement runs for longer."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(SETTINGS, [f"{statement_seconds}s"])


def _ask(probe: Probe, scope: Scope) -> Found:
    """Under a savepoint: what one probe breaks, the next ones survive."""
    try:
        with transaction.atomic():
            return probe(scope)
    except CannotCheck as error:
        return Found(f"cannot be checked: {error}", 1)
    except DatabaseError as error:
        code = getattr(error.__cause__, "sqlstate", None)
        if not code or code.startswith(CONNECTION_LOST):
            raise
        return Found(f"cannot be checked: {_reason(error, code)}", 1)


def _reason(error: DatabaseError, code: str) -> str:
    """Why the database gave no answer. Its own words may quote rows, so only its code is told."""
    if code == QUERY_CANCELLED:
        return "it took longer than a statement may"
    return f"the database answered {type(error).__name__} ({code})"


def _examples(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[Ids, ...]:
    return tuple(
        {
            name: value if isinstance(value, int) else str(value)
            for name, value in zip(names[1:], row[1:], strict=True)
            if value is not None
        }
        for row in rows
    )
