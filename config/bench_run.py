"""The benchmark of delivery: from the first claim to the last result, then what it took.

Everything runs as in production: planner, scheduler, dispatcher, RQ workers, settings. The people
are all due when stop-all is released.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import django_rq
from django.conf import settings
from django.core.management import call_command
from rq import Worker

from brands import clock
from config import bench_figures as figures
from config import bench_stage as stage
from config import demo_processes as processes
from config.bench import say
from config.demo_processes import HOST, MANAGE, Children
from delivery import planning, sql

LONGEST = 600  # seconds for all of it
WARM_SECONDS = 3.0
LOOK_EVERY = 0.1


class TookTooLong(Exception):
    """The time for all of it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    messages: int
    workers: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Sending:
    """Times are the sandbox's; the clock does not move meanwhile."""

    released_at: datetime
    first_claim_at: datetime
    ended_at: datetime
    accepted: int
    is_complete: bool

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.first_claim_at).total_seconds()


def measure(options: Options, folder: Path) -> dict[str, Any]:
    """All figures of one run. Raises TookTooLong or Broken."""
    ledger, port = folder / "ledger.jsonl", processes.free_port()
    with at_most(LONGEST), processes.ended_by_signals():
        say(f"Making {options.messages:,} people")
        call_command("migrate", interactive=False, verbosity=0)
        stage.make(options.messages, simulator=f"http://{HOST}:{port}")
        planned, planning_seconds = plan()
        say(f"Planned {planned:,} messages in {planning_seconds:.2f} s")
        stage.opt_out_half(stage.EVERY // 2)
        with started(options, ledger, port, folder) as children:
            found = send(children)
        clean, oracle = judge(ledger)
    return {
        **found,
        "planning_seconds": round(planning_seconds, 2),
        "planned": planned,
        "duplicates": figures.duplicates(ledger),
        "is_clean": clean,
        "oracle": oracle,
        "settings": {**asdict(options), **surroundings()},
    }


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def end(number: int, frame: object) -> None:
        raise TookTooLong(f"The benchmark was ended after {seconds} seconds.")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def plan() -> tuple[int, float]:
    """Plan all that is due, as the planner's job does; how many messages, in how many seconds."""
    began = time.monotonic()
    return planning.plan_open_slots(), time.monotonic() - began


@contextlib.contextmanager
def started(options: Options, ledger: Path, port: int, folder: Path) -> Iterator[Children]:
    """Simulator and workers, warm: each has looked at the queue, which stop-all holds."""
    logs = Path(settings.VAR_DIR) / "log" / "bench"
    with Children(environment={}, logs=logs, run=folder / "run") as children:
        processes.start_simulator(children, port=port, ledger=ledger, latency_ms=options.latency_ms)
        processes.start_workers(children, options.workers)
        queue = django_rq.get_queue("send")
        while Worker.count(queue=queue) < options.workers:
            children.tend()
            time.sleep(LOOK_EVERY)
        time.sleep(WARM_SECONDS)
        yield children


def send(children: Children) -> dict[str, Any]:
    """Release the queue, wait until nothing is left, and read everything off."""
    counted = figures.count_statements()
    transactions = figures.statements(are_counted=False).transactions
    processors = figures.Processors(children.pids())
    say("Sending")
    sending = wait_for_end(stage.release(), children, processors)
    calls = figures.statements(are_counted=counted)
    cpu = processors.used()
    half, most = figures.percentiles(sending.released_at)
    each = max(sending.accepted, 1)
    return {
        "messages_per_second": round(sending.accepted / max(sending.seconds, 0.001)),
        "sending_seconds": round(sending.seconds, 2),
        "accepted": sending.accepted,
        "is_complete": sending.is_complete,
        "p50_seconds": half,
        "p95_seconds": most,
        "statements_per_message": per(calls.statements, each),
        "round_trips_per_message": per(calls.round_trips, each),
        "transactions_per_message": per(calls.transactions - transactions, each),
        "cpu_seconds": cpu,
        "peak_worker_mb": processors.peak_mb(),
        "steps": dict(sql.rows(figures.STEPS)),
    }


def wait_for_end(
    released_at: datetime, children: Children, processors: figures.Processors
) -> Sending:
    while not (done := figures.is_done()):
        processors.look()
        if children.tend():
            break  # a process died: what was measured would not be what was meant
        time.sleep(LOOK_EVERY)
    ended_at = clock.now()
    first, accepted = sql.one(figures.SPAN)
    return Sending(released_at, first or released_at, ended_at, accepted, done)


def per(count: int | None, messages: int) -> float | None:
    return None if count is None else round(count / messages, 4)


def judge(ledger: Path) -> tuple[bool, list[str]]:
    """The oracle's verdict, by a process of its own, and its lines."""
    sql.rows("ANALYZE")  # its joins are over tables that were empty a minute ago
    done = subprocess.run(
        [*MANAGE, "check_ledger", "--ledger", str(ledger)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout.splitlines()


def surroundings() -> dict[str, object]:
    return {
        "send_batch": settings.SEND_BATCH,
        "send_jobs_queued": settings.SEND_JOBS_QUEUED,
        "send_slice_seconds": settings.SEND_SLICE_SECONDS,
        "segments_per_second": stage.RATE,
        "numbers": stage.NUMBERS,
        "processors": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "server": figures.server_version(),
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The figures for a person."""
    yield ""
    for name, value in found.items():
        if isinstance(value, dict):
            yield name.replace("_", " ")
            yield from (
                f"  {key.replace('_', ' '):<32} {_told(one):>14}" for key, one in value.items()
            )
        elif isinstance(value, list):
            yield from value
        else:
            yield f"{name.replace('_', ' '):<34} {_told(value):>14}"


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if value is None:
        return "not counted"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def is_well(found: dict[str, Any]) -> bool:
    return bool(found["is_clean"] and found["is_complete"] and not found["duplicates"])


def write_json(found: dict[str, Any], path: Path) -> None:
    """Raises OSError."""
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
