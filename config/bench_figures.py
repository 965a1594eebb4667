"""What the benchmark reads off: rows, statements, processor seconds, memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from django.conf import settings
from django.db import DatabaseError, transaction
from redis.exceptions import RedisError

from delivery import sql
from providers import rates
from reporting.oracle import ledger

TRANSACTION_WORDS = r"^\s*(begin|commit|rollback|savepoint|release|set )"

LAST_ATTEMPT = "SELECT coalesce(pg_sequence_last_value('delivery_attempt_id_seq'), 0)"
IS_DONE = """
SELECT NOT EXISTS (SELECT 1 FROM delivery_due)
   AND NOT EXISTS (SELECT 1 FROM delivery_message WHERE status = 'sending')
"""
SPAN = """
SELECT min(intent_at), count(*) FILTER (WHERE outcome = 'accepted')
FROM delivery_attempt WHERE id > %s
"""
REQUESTS = """
SELECT count(*)::float8 / greatest(count(DISTINCT coalesce(nullif(request_ref, ''), ref)), 1)
FROM delivery_attempt WHERE id > %s
"""
LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
    ORDER BY extract(epoch FROM answered_at - %s))
FROM delivery_attempt WHERE outcome = 'accepted' AND id > %s
"""
STATUSES = """
SELECT status || coalesce(': ' || nullif(reason, ''), ''), count(*) FROM delivery_message
GROUP BY 1 ORDER BY 2 DESC
"""
STATEMENTS = """
SELECT coalesce(sum(calls), 0)::bigint,
       coalesce(sum(calls) FILTER (WHERE query ~* %s), 0)::bigint
FROM pg_stat_statements
WHERE query NOT LIKE '%% FROM ONLY %% FOR KEY SHARE OF x'  -- a foreign key's own check
  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
FORGET_STATEMENTS = """
SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
TRANSACTIONS = """
SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
"""
BACKEND = "SELECT pg_backend_pid(), host(inet_server_addr()), version()"


DELIVERY: Mapping[str, Sequence[str]] = {
    "workers": ["send-", "replies"],
    "simulator": ["simulator"],
    "scheduler, planner, tidying": ["scheduler", "plan", "upkeep", "reports", "chores"],
}


@dataclass(frozen=True, slots=True)
class Statements:
    """`round_trips` counts BEGIN, COMMIT and their like too; None where nobody counts."""

    statements: int | None
    round_trips: int | None
    transactions: int


def count_statements() -> bool:
    """Begin to count; returns False where pg_stat_statements cannot be had."""
    try:
        with transaction.atomic():
            sql.rows("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            sql.rows(FORGET_STATEMENTS)
    except DatabaseError:
        return False
    return True


def statements(*, are_counted: bool) -> Statements:
    (transactions,) = sql.one(TRANSACTIONS)
    if not are_counted:
        return Statements(None, None, transactions)
    every, control = sql.one(STATEMENTS, TRANSACTION_WORDS)
    return Statements(every - control, every, transactions)


def last_attempt() -> int:
    """The highest id that an attempt was given; one look at a sequence, however many there are."""
    return int(sql.one(LAST_ATTEMPT)[0])


def is_done() -> bool:
    """Whether nothing waits and nothing is in flight."""
    return bool(sql.one(IS_DONE)[0])


def span(after: int) -> tuple[datetime | None, int]:
    """When the first attempt after this one was claimed, and how many of them were accepted."""
    first, accepted = sql.one(SPAN, after)
    return first, accepted


def messages_per_request(after: int) -> float:
    """How many attempts after this one were made in one request, on average."""
    return round(float(sql.one(REQUESTS, after)[0]), 1)


def statuses() -> dict[str, int]:
    """How many messages are in each status, with the reason."""
    return dict(sql.rows(STATUSES))


def duplicates(path: Path) -> int:
    """How often a provider took a message for a person who had got his: one was meant for each."""
    times = _times_taken(path)
    return times.total() - len(times)


def taken(path: Path) -> int:
    """How many messages the providers took, by their own ledger."""
    return _times_taken(path).total()


def _times_taken(path: Path) -> Counter[str]:
    return Counter(request.to for request in ledger.read(path, ledger.Tally()) if request.took)


class Processors:
    """Processor seconds and memory by kind of process; servers only where they run here."""

    def __init__(
        self, children: Mapping[str, int], kinds: Mapping[str, Sequence[str]] = DELIVERY
    ) -> None:
        """`kinds`: the beginnings of their processes' names; memory is that of the first kind."""
        self._kinds = {
            kind: [psutil.Process(children[name]) for name in _named(children, tuple(names))]
            for kind, names in kinds.items()
        }
        self._workers = next(iter(self._kinds.values()))
        if postmaster := postgres():
            self._kinds["postgres"] = [postmaster]
        if server := valkey():
            self._kinds["valkey"] = [server]
        self._peaks = [0.0 for _ in self._workers]
        self._before = self._seconds()

    def look(self) -> None:
        """Take note of how much memory the workers hold now."""
        for place, process in enumerate(self._workers):
            with contextlib.suppress(psutil.Error):
                held = process.memory_info().rss / 1_000_000
                self._peaks[place] = max(self._peaks[place], held)

    def used(self) -> dict[str, float]:
        """Processor seconds by kind since this object was made."""
        now = self._seconds()
        return {kind: round(now[kind] - self._before[kind], 2) for kind in now}

    def peak_mb(self) -> float:
        """What the largest worker held at its largest."""
        peaks = [peak_of(process.pid) for process in self._workers]
        return round(max([*self._peaks, *peaks]), 1)

    def _seconds(self) -> dict[str, float]:
        return {kind: sum(map(seconds_of, roots)) for kind, roots in self._kinds.items()}


def seconds_of(root: psutil.Process) -> float:
    """Of a process and those below it, also those that have ended and were waited for."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        times = root.cpu_times()
        total += times.children_user + times.children_system
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                one = process.cpu_times()
                total += one.user + one.system
    return total


def peak_of(pid: int) -> float:
    """The kernel's own mark, in MB; 0 where there is none."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1_000_000
    return 0.0


def postgres() -> psutil.Process | None:
    """The server's first process, if it runs on this machine and we may look at it."""
    backend, _, _ = sql.one(BACKEND)
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(backend)
        if "postgres" in process.name():
            return process.parent()
    return None


def valkey() -> psutil.Process | None:
    with contextlib.suppress(psutil.Error, RedisError, KeyError):
        process = psutil.Process(rates.connect(settings.REDIS_URL).info("server")["process_id"])
        if "server" in process.name():
            return process
    return None


def server_version() -> str:
    return " ".join(str(sql.one(BACKEND)[2]).split()[:2])


def percentiles(since: datetime, after: int) -> tuple[float, float]:
    """Seconds from `since`, when all were due, until half and 95 of 100 were accepted."""
    (found,) = sql.one(LATENCY, since, after)
    half, most = found or (0.0, 0.0)
    return round(half, 2), round(most, 2)


def _named(names: Iterable[str], prefixes: tuple[str, ...]) -> list[str]:
    return sorted(name for name in names if name.startswith(prefixes))
