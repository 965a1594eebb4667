"""The comparison: one job for each message, in the usual way, against our delivery in the same run.

All are messages of the same two campaigns, planned together. The usual way gets a share of them,
taken out of our queue first, through RQ and, where it is installed, through Celery; ours sends the
rest. It is tried with as many workers as ours has, and with so many that waiting for the provider,
each worker for one answer at a time, does not hold it up.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import django_rq
from rq import Queue

from config import bench_figures as figures
from config import bench_run as run
from config import bench_stage as stage
from config import demo_processes as processes
from config.bench import say
from config.bench_progress import progress
from config.bench_run import Options
from config.bench_usual import send_one
from config.bench_words import Figures
from config.demo_processes import MANAGE, Broken, Children
from delivery import sql

GOAL = 15  # times as fast
SHARES = 23  # one for each of the usual ways, the rest for ours; no factor of what else alternates
MANY_WORKERS = 20
MOST_COUNTS = 3  # of workers that are tried, which leaves ours the most of the shares
WARM_JOBS = 5  # of each worker, before it is measured: it reads its code and connects
SIMPLE = ("rqworker", "send", "--worker-class", "rq.worker.SimpleWorker", "--verbosity", "0")
CELERY = "celery"
ROWS_A_JOB = 25  # that we would handle in the time that a job may take on a busy machine
LOOK_EVERY = 0.25

TAKE_OUT = """
DELETE FROM delivery_due WHERE message_id %% %s = %s RETURNING message_id
"""
LEFT = """
SELECT count(*) FROM delivery_message
WHERE id = ANY(%s::bigint[]) AND status IN ('planned', 'sending')
"""
SPAN = """
SELECT count(*), extract(epoch FROM max(answered_at) - min(intent_at))::float8
FROM delivery_attempt WHERE message_id = ANY(%s::bigint[]) AND outcome = 'accepted'
"""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to send one message a job: its workers, and how jobs are handed to them."""

    engine: str
    workers: int
    start: Callable[[Children, int], None]
    enqueue: Callable[[list[int]], None]

    @property
    def name(self) -> str:
        return f"{self.engine}_with_{self.workers}_workers"


def measure(options: Options, job_workers: Sequence[int], folder: Path) -> Figures:
    """All figures of one run; so many `messages` go by each of the usual ways, by so many workers.

    Raises TookTooLong or Broken.
    """
    site, people = run.Site.at(folder), options.messages * SHARES
    chosen = ways(job_workers)
    jobs = options.messages * len(chosen)
    with run.at_most(run.patience(people + ROWS_A_JOB * jobs)), processes.ended_by_signals():
        run.make_tables()
        say(f"Making {people:,} people")
        stage.make(people, simulator=site.simulator)
        planned, _ = run.plan()
        stage.opt_out_half(stage.EVERY // 2)
        shares = {way: take_out(number) for number, way in enumerate(chosen)}
        with run.simulated(site, options.latency_ms) as children:
            found = {way.name: by_jobs(way, share, children) for way, share in shares.items()}
            found["ours"] = by_ours(
                children, options.workers, planned - sum(map(len, shares.values()))
            )
        clean, oracle = run.judge(site.ledger)
    return {
        **found,
        **ratios(found),
        "duplicates": figures.duplicates(site.ledger),
        "is_clean": clean,
        "oracle": oracle,
        "settings": {**asdict(options), **run.surroundings()},
    }


def ways(counts: Sequence[int]) -> list[Way]:
    found = [Way("rq", count, start_simple_workers, enqueue_in_rq) for count in counts]
    if importlib.util.find_spec(CELERY) is None:
        say("Celery is not installed: it is left out.")
        return found
    return found + [Way(CELERY, count, start_celery, enqueue_in_celery) for count in counts]


def take_out(number: int) -> list[int]:
    """A share of the messages, taken out of our queue."""
    return [message_id for (message_id,) in sql.rows(TAKE_OUT, SHARES, number)]


# --- the usual ways -------------------------------------------------------------------------------


def start_simple_workers(children: Children, workers: int) -> None:
    for number in range(1, workers + 1):
        children.start(f"rq-{number}", *MANAGE, *SIMPLE)
    run.wait_for_workers(children, workers)


def enqueue_in_rq(message_ids: list[int]) -> None:
    jobs = [Queue.prepare_data(send_one, (message_id,), result_ttl=0) for message_id in message_ids]
    django_rq.get_queue("send").enqueue_many(jobs)


def start_celery(children: Children, workers: int) -> None:
    children.start(
        "celery",
        *(sys.executable, "-m", "celery", "-A", "config.bench_celery", "worker"),
        *("--concurrency", str(workers), "--without-gossip", "--without-mingle"),
    )
    until = time.monotonic() + processes.READY_SECONDS
    while not celery().app.control.ping(timeout=LOOK_EVERY):
        children.tend()
        if time.monotonic() > until:
            raise Broken("The worker of Celery does not answer.")


def enqueue_in_celery(message_ids: list[int]) -> None:
    for message_id in message_ids:
        celery().send_one.delay(message_id)


def celery() -> Any:
    """Imported only where it is installed."""
    return import_module("config.bench_celery")


def by_jobs(way: Way, share: list[int], children: Children) -> Figures:
    """Send a share in a usual way; its workers are up and warm before it is measured."""
    stage.release()
    warm = min(WARM_JOBS * way.workers, len(share) // 2)
    with ended_after(children):
        way.start(children, way.workers)
        is_warm = all_sent(way, share[:warm], children)
        spent = figures.Processors(children.pids(), {"workers": [way.engine]})
        is_complete = all_sent(way, share[warm:], children) and is_warm
        cpu = spent.used()
    accepted, seconds = sql.one(SPAN, share[warm:])
    return told(accepted, seconds or 0.0, cpu, is_complete=is_complete)


def all_sent(way: Way, share: list[int], children: Children) -> bool:
    """Hand jobs over and wait for their end; False when a process died."""
    with progress(f"Sending by {way.name.replace('_', ' ')}", len(share)) as report:
        way.enqueue(share)
        while (left := sql.one(LEFT, share)[0]) and not children.tend():
            report(len(share) - left)
            time.sleep(LOOK_EVERY)
    return not left


def by_ours(children: Children, workers: int, messages: int) -> Figures:
    stage.stop_all()
    run.start_warm(children, workers)
    found = run.send(children, messages)
    return told(
        found["accepted"],
        found["sending_seconds"],
        found["cpu_seconds"],
        is_complete=found["is_complete"],
    )


@contextmanager
def ended_after(children: Children) -> Iterator[None]:
    """Whatever is started meanwhile is ended, but for the simulator."""
    try:
        yield
    finally:
        children.end_all_but("simulator")


# --- side by side ---------------------------------------------------------------------------------


def told(accepted: int, seconds: float, cpu: dict[str, float], *, is_complete: bool) -> Figures:
    ms = {kind: round(1000 * cpu[kind] / max(accepted, 1), 3) for kind in cpu}
    return {
        "messages_per_second": round(accepted / max(seconds, 0.001), 1),
        "accepted": accepted,
        "seconds": round(seconds, 2),
        "is_complete": is_complete,
        **{
            f"cpu_ms_of_{kind}": ms[kind]
            for kind in ("workers", "postgres", "valkey")
            if kind in ms
        },
    }


def ratios(found: Figures) -> Figures:
    """How many times as fast ours is, and whether that is the goal."""
    ours = found["ours"]["messages_per_second"]
    times = {
        name: round(ours / max(usual["messages_per_second"], 0.001), 1)
        for name, usual in found.items()
        if name != "ours"
    }
    goals = {f"{GOAL} times {name}": one >= GOAL for name, one in times.items()}
    return {"times_as_fast_as": times, "is_goal_met": goals}


def is_well(found: Figures) -> bool:
    ended = [way["is_complete"] for way in found.values() if _is_way(way)]
    return bool(found["is_clean"] and not found["duplicates"] and all(ended))


def _is_way(value: object) -> bool:
    return isinstance(value, dict) and "is_complete" in value
