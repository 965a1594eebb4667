"""The benchmark of delivery: from the first claim to the last result, then what it took.

Everything runs as in production: planner, scheduler, dispatcher, RQ workers, settings. The people
are all due when stop-all is released.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path

import django_rq
from django.conf import settings
from django.core.management import call_command
from rq import Worker

from brands import clock
from config import bench_figures as figures
from config import bench_stage as stage
from config import demo_processes as processes
from config.bench import say
from config.bench_progress import Report, progress
from config.bench_said import said_in
from config.bench_words import Figures
from config.demo_processes import HOST, MANAGE, Children
from delivery import planning, sql

LEAST_PATIENCE = 600  # seconds for all of it, and more for many rows
ROWS_A_SECOND = 250  # made, planned, sent and judged on a busy machine
WARM_SECONDS = 3.0
LOOK_EVERY = 0.1


class TookTooLong(Exception):
    """The time for all of it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    messages: int
    workers: int
    latency_ms: float
    provider: str = "twilio"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run keeps its files, and the port of its simulator."""

    folder: Path
    port: int

    @classmethod
    def at(cls, folder: Path) -> Site:
        return cls(folder, processes.free_port())

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def simulator(self) -> str:
        return f"http://{HOST}:{self.port}"


def measure(options: Options, folder: Path) -> Figures:
    """All figures of one run. Raises TookTooLong or Broken."""
    site = Site.at(folder)
    with at_most(patience(options.messages)), processes.ended_by_signals():
        make_tables()
        say(f"Making {options.messages:,} people")
        stage.make(options.messages, simulator=site.simulator, provider=options.provider)
        planned, planning_seconds = plan()
        stage.opt_out_half(stage.EVERY // 2)
        with simulated(site, options.latency_ms) as children:
            start_warm(children, options.workers)
            found = send(children, planned)
        clean, oracle = judge(site.ledger)
        said = said_in(site.logs)
    return {
        **found,
        "planning_seconds": round(planning_seconds, 2),
        "planned": planned,
        "statuses": figures.statuses(),
        "said_by_steps": dict(said.reasons.most_common()),
        "messages_per_batch": per(said.claimed, said.batches),
        "duplicates": figures.duplicates(site.ledger),
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


def patience(rows: int) -> int:
    """After how many seconds a run that handles so many rows is ended."""
    return LEAST_PATIENCE + rows // ROWS_A_SECOND


def make_tables() -> None:
    call_command("migrate", interactive=False, verbosity=0)


def plan() -> tuple[int, float]:
    """Plan all that is due, as the planner's job does; how many messages, in how many seconds."""
    began = time.monotonic()
    planned = planning.plan_open_slots()
    seconds = time.monotonic() - began
    say(f"Planned {planned:,} messages in {seconds:.2f} s")
    return planned, seconds


@contextlib.contextmanager
def simulated(site: Site, latency_ms: float) -> Iterator[Children]:
    """The simulated providers, up; whatever else is started is ended before them."""
    # The level is what a worker needs to tell of each batch.
    environment = {"LOG_LEVEL": "INFO"}
    with Children(environment=environment, logs=site.logs, run=site.folder / "run") as children:
        processes.start_simulator(
            children, port=site.port, ledger=site.ledger, latency_ms=latency_ms
        )
        yield children


def start_warm(children: Children, workers: int) -> None:
    """The workers of all queues; each has looked at the queue, which stop-all holds."""
    processes.start_workers(children, workers)
    wait_for_workers(children, workers)
    time.sleep(WARM_SECONDS)


def wait_for_workers(children: Children, workers: int) -> None:
    queue = django_rq.get_queue("send")
    while Worker.count(queue=queue) < workers:
        children.tend()
        time.sleep(LOOK_EVERY)


def send(children: Children, planned: int, *, seconds: float = inf) -> Figures:
    """Release the queue, wait until nothing is left, at most so long, and read everything off."""
    counted, before = figures.count_statements(), figures.last_attempt()
    transactions = figures.statements(are_counted=False).transactions
    processors = figures.Processors(children.pids())
    with progress("Sending", planned) as report:
        released_at = stage.release()
        until = time.monotonic() + seconds
        is_done = wait_for_end(children, processors, report, before=before, until=until)
    ended_at, cpu = clock.now(), processors.used()
    calls = figures.statements(are_counted=counted)
    first, accepted = figures.span(before)
    half, most = figures.percentiles(released_at, before)
    took = (ended_at - (first or released_at)).total_seconds()
    return {
        "messages_per_second": round(accepted / max(took, 0.001)),
        "sending_seconds": round(took, 2),
        "accepted": accepted,
        "messages_per_request": figures.messages_per_request(before),
        "is_complete": is_done,
        "p50_seconds": half,
        "p95_seconds": most,
        "statements_per_message": per(calls.statements, accepted),
        "round_trips_per_message": per(calls.round_trips, accepted),
        "transactions_per_message": per(calls.transactions - transactions, accepted),
        "cpu_seconds": cpu,
        "peak_worker_mb": processors.peak_mb(),
    }


def wait_for_end(
    children: Children,
    processors: figures.Processors,
    report: Report,
    *,
    before: int,
    until: float = inf,
) -> bool:
    """Whether nothing was left in time, and no process died: what was measured is then meant.

    While attempts are being made it does not ask more of the database than how many there are.
    """
    seen = -1
    while time.monotonic() < until:
        processors.look()
        made = figures.last_attempt() - before
        report(made)
        if made == seen and figures.is_done():
            return True
        if children.tend():
            return False
        seen = made
        time.sleep(LOOK_EVERY)
    return False


def per(count: int | None, things: int) -> float | None:
    return None if count is None else round(count / max(things, 1), 4)


def judge(ledger: Path) -> tuple[bool, list[str]]:
    """The oracle's verdict on rows and ledger, and its lines."""
    return judged_by("check_ledger", "--ledger", str(ledger))


def judged_by(*command: str) -> tuple[bool, list[str]]:
    """The verdict of a command of the oracle, which is a process of its own."""
    say("Checking what was sent")
    sql.rows("ANALYZE")  # its joins are over tables that were empty a minute ago
    done = subprocess.run(
        [*MANAGE, *command],
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


def is_well(found: Figures) -> bool:
    return bool(found["is_clean"] and found["is_complete"] and not found["duplicates"])
