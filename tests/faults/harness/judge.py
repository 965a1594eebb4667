"""What is right and what is wrong after a row, when nothing moves any more.

The oracle's checks on the simulator's ledger, the invariants of the fault tests, and what the
harness alone can know: who came back, what is left behind, and how many may be in doubt.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from django.db import transaction

from config.processes import waited
from delivery import sql, worker
from reporting.oracle import answers, checks, ledger
from reporting.oracle.checks import Result, Scope
from tests.faults import invariants
from tests.faults.harness import table
from tests.faults.harness.arena import Arena, NotSo
from tests.faults.harness.drain import drain
from tests.faults.harness.trials import Chunk

BACK_WITHIN = 15.0  # seconds
LOOK_EVERY = 0.1
LONG_AGO = 60.0  # longer than a dead worker's journal is kept
STATEMENT_SECONDS = 60

ENDS = "SELECT status, reason, count(*) FROM delivery_message GROUP BY 1, 2"
UNKNOWN = """
SELECT code, count(*) FROM delivery_attempt WHERE outcome = 'unknown' GROUP BY 1 ORDER BY 2 DESC
"""
CONNECTIONS = """
SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%%')
FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
AND pid <> pg_backend_pid()
"""
RECOVERED = """
SELECT extract(epoch FROM min(answered_at) - %s)::float8 FROM delivery_attempt
WHERE answered_at > %s
"""


def judge(arena: Arena, chunk: Chunk) -> None:
    """Drain, then hold everything against everything; what is found is noted in the chunk."""
    for check in CHECKS:
        check(arena, chunk)


def back(arena: Arena, chunk: Chunk) -> None:
    """As many processes work as were meant to."""
    arena.crew.go_on()
    if not waited(lambda: not arena.crew.missing(), BACK_WITHIN):
        chunk.complain("workers", f"not back: {', '.join(arena.crew.missing())}")


def recoveries(arena: Arena, chunk: Chunk) -> None:
    """How long after each fault the first outcome was stored, where there was one to store."""
    for number, trial in enumerate(chunk.trials):
        if trial.ended_at is None or trial.recovery is not None:
            continue
        seconds = _recovery(trial.ended_at)
        until = time.monotonic() + BACK_WITHIN
        while seconds is None and arena.has_work() and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
            seconds = _recovery(trial.ended_at)
        if seconds is None and arena.has_work():
            chunk.complain("recovery", f"no outcome was stored after: {trial.what}")
        chunk.trials[number] = replace(trial, recovery=seconds)


def _recovery(since: datetime) -> float | None:
    (seconds,) = sql.one(RECOVERED, since, since)
    return None if seconds is None else float(seconds)


def drained(arena: Arena, chunk: Chunk) -> None:
    try:
        drain(arena)
    except NotSo as error:
        chunk.complain("drain", str(error))


def connections(arena: Arena, chunk: Chunk) -> None:
    """No more than those that are up may have, and nobody sits in a transaction."""
    most = arena.crew.most_connections()
    if not waited(lambda: _are_few(most), BACK_WITHIN):
        open_ones, idle = sql.one(CONNECTIONS)
        chunk.complain("connections", f"{open_ones} open of {most}, {idle} idle in transaction")


def _are_few(most: int) -> bool:
    open_ones, idle = sql.one(CONNECTIONS)
    return open_ones <= most and not idle


def ended(arena: Arena, chunk: Chunk) -> None:
    """Everybody ends when asked to, and well."""
    names = [name for name in arena.crew.still_up() if name != "simulator"]
    codes = dict(zip(names, arena.crew.end(*names), strict=True))
    if wrong := {name: code for name, code in codes.items() if code}:
        chunk.complain("workers", f"did not end well: {wrong}", len(wrong))


def journals(arena: Arena, chunk: Chunk) -> None:
    """Journals of the dead are removed when their time is over."""
    for path in arena.crew.journals.glob("*"):
        os.utime(path, (time.time() - LONG_AGO,) * 2)
    worker.settle_neighbours()
    if left := sorted(path.name for path in arena.crew.journals.glob("*")):
        chunk.complain("journals", f"left: {', '.join(left[:3])}", len(left))


def left_behind(arena: Arena, chunk: Chunk) -> None:
    """Every message came to an end that this row's faults may bring about, and for their reason."""
    for status, reason, many in sql.rows(ENDS):
        if (reason or status) not in arena.may_end:
            chunk.complain("left", f"{status} {reason}".strip() + f": {many}", many)


def doubts(arena: Arena, chunk: Chunk) -> None:
    """No more is in doubt than was on the wire when somebody died, or stood still for long."""
    unasked = [death for death in arena.crew.deaths if not death.asked]
    chunk.deaths = len(unasked)
    chunk.bound = arena.doubt + sum(death.in_flight for death in unasked)
    by_code: dict[str, int] = dict(sql.rows(UNKNOWN))
    chunk.unknown = sum(by_code.values())
    if chunk.unknown > chunk.bound:
        told = ", ".join(f"{code or 'no code'} {many}" for code, many in by_code.items())
        chunk.complain("unknown", f"{chunk.unknown} of {chunk.bound} that may be ({told})")


def consistent(arena: Arena, chunk: Chunk) -> None:
    """What must be true of the tables and the ledger, by the fault tests' own words."""
    for says, query in invariants.ROWS.items():
        if rows := sql.rows(query):
            chunk.complain("rows", f"{says}, such as {rows[0]}", len(rows))
    try:
        known = [entry for entry in arena.requests() if entry.seq not in arena.spared]
        invariants.assert_the_ledger_agrees(known)
    except AssertionError as error:
        chunk.complain("ledger", _in_short(error))


def _in_short(error: AssertionError) -> str:
    return " ".join(str(error).split())[:200] or "the ledger and the attempts do not agree"


def oracle(arena: Arena, chunk: Chunk) -> None:
    sql.rows("ANALYZE")  # its joins are over tables that were empty a minute ago
    scope = Scope(now=checks.installation_now(), examples=3)
    with ledger.laid_open(_without_spared(arena)), transaction.atomic():
        checks.begin_read_only(STATEMENT_SECONDS)
        for result in checks.run(answers.WITH_LEDGER, scope):
            chunk.problems.setdefault(result.check.id, 0)
            _note(result, chunk)


def _note(result: Result, chunk: Chunk) -> None:
    _, *lines = answers.lines(result)
    wrong = [found for found in result.found if found.total]
    for found, words in zip(wrong, lines, strict=True):
        chunk.complain(result.check.id, words.strip(" -"), found.total)


def _without_spared(arena: Arena) -> Path:
    """The ledger, without the requests that the database is right to know nothing of."""
    if not arena.spared:
        return arena.ledger
    kept = arena.ledger.with_name("ledger-judged.jsonl")
    with arena.ledger.open() as lines:
        kept.write_text("".join(x for x in lines if json.loads(x).get("seq") not in arena.spared))
    return kept


def of_the_row(arena: Arena, chunk: Chunk) -> None:
    """What the row found by itself; words that begin with "O10: " or the like belong there."""
    found = [*arena.problems, *(words for say in arena.at_end for words in say())]
    for words in found:
        own, _, rest = words.partition(": ")
        chunk.complain(*((own, rest) if own in table.ORACLE else ("row", words)))


CHECKS = (
    back,
    recoveries,
    drained,
    connections,
    ended,
    journals,
    left_behind,
    doubts,
    consistent,
    oracle,
    of_the_row,
)
