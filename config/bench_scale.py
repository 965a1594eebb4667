"""The benchmark of growth: what a message costs with ever more of them in the tables.

The cost is the processor time of workers and Postgres, for it shows what rows that lie there do to
those that move. It should stay as it was with few; and not double while somebody elsewhere keeps a
snapshot open, under which nothing that died can be cleared away. That takes a minute and many more
messages, so it is compared with a minute of as many without one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from django.db import connection

from brands.models import Brand
from config import bench_figures as figures
from config import bench_history as history
from config import bench_run as run
from config import bench_stage as stage
from config import demo_processes as processes
from config.bench import say
from config.bench_progress import progress
from config.bench_run import Options
from config.bench_words import Figures
from config.demo_processes import Children

SIZES = (10_000, 100_000, 400_000, 1_000_000)
MINUTE, SNAPSHOT = "for_a_minute", "with_a_snapshot"
SNAPSHOT_SECONDS = 60.0
SNAPSHOT_TIMES = 20  # as many messages as in the other rounds: what dies in a minute must pile up
FLAT, UNDER_SNAPSHOT = 1.2, 2.0  # times the cost of the first round
ORACLE_SECONDS = 900


def measure(options: Options, sizes: Sequence[int], folder: Path) -> Figures:
    """All figures of one run: a round for each size, and one under a snapshot.

    Raises TookTooLong or Broken.
    """
    site, sizes = run.Site.at(folder), sorted(sizes)
    people = people_for(options.messages, sizes)
    with run.at_most(run.patience(people)), processes.ended_by_signals():
        run.make_tables()
        brands = stage.found(simulator=site.simulator, daily_cap=10 * people)
        with run.simulated(site, options.latency_ms) as children:
            rounds = dict(rounds_of(options, sizes, brands, children))
            history.grow(brands, messages=0, people=people)
            for name, beside in ((MINUTE, contextlib.nullcontext()), (SNAPSHOT, snapshot())):
                history.start_campaigns(brands, SNAPSHOT_TIMES * options.messages, name)
                rounds[f"at_{sizes[-1]}_{name}"] = long_round(children, options.workers, beside)
        clean, oracle = run.judged_by("verify", "--statement-seconds", str(ORACLE_SECONDS))
    return {
        **side_by_side(rounds),
        "accepted": sum(one["accepted"] for one in rounds.values()),
        "taken_by_the_provider": figures.taken(site.ledger),
        "duplicates": figures.duplicates(site.ledger),
        "is_complete": all(one["is_complete"] for one in rounds.values()),
        "is_clean": clean,
        "oracle": oracle,
        "settings": {**asdict(options), "sizes": sizes, **run.surroundings()},
    }


def rounds_of(
    options: Options, sizes: Sequence[int], brands: Sequence[Brand], children: Children
) -> Iterator[tuple[str, Figures]]:
    """The figures of sending the same number with ever more in the tables."""
    for number, size in enumerate(sizes, 1):
        say(f"Making {size:,} messages that are there")
        history.grow(brands, messages=size, people=max(size, number * options.messages))
        history.start_campaigns(brands, options.messages, f"Round {number}")
        yield f"at_{size}", one_round(children, options.workers)


def people_for(messages: int, sizes: Sequence[int]) -> int:
    """Each gets at most one message of ours, and one of history."""
    return max(*sizes, (len(sizes) + 2 * SNAPSHOT_TIMES) * messages)


def one_round(children: Children, workers: int) -> Figures:
    planned, _ = run.plan()
    stage.stop_all()
    run.start_warm(children, workers)
    found = run.send(children, planned)
    children.end_all_but("simulator")
    return found


def long_round(
    children: Children, workers: int, beside: contextlib.AbstractContextManager[None]
) -> Figures:
    """The cost of a minute beside something; what is left then is sent without being counted."""
    planned, _ = run.plan()
    stage.stop_all()
    run.start_warm(children, workers)
    before, pids = figures.last_attempt(), children.pids()
    with beside:
        found = run.send(children, planned, seconds=SNAPSHOT_SECONDS)
    counted = found["accepted"]
    with progress("Sending the rest", planned) as report:
        is_done = run.wait_for_end(children, figures.Processors(pids), report, before=before)
    is_complete = is_done and children.pids() == pids
    children.end_all_but("simulator")
    accepted = figures.span(before)[1]
    return {**found, "counted": counted, "accepted": accepted, "is_complete": is_complete}


@contextlib.contextmanager
def snapshot() -> Iterator[None]:
    """A transaction on a connection of its own that goes on seeing what it saw first."""
    elsewhere = connection.copy()
    try:
        elsewhere.set_autocommit(False)
        with elsewhere.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM brands_brand")
            yield
    finally:
        elsewhere.close()


def side_by_side(rounds: dict[str, Figures]) -> Figures:
    """The cost of each round, how it compares with its base, and whether that is the goal."""
    costs = {name: cost_ms(one) for name, one in rounds.items()}
    first, *others = costs
    bases = {name: name.replace(SNAPSHOT, MINUTE) for name in others if is_beside_one(name)}
    times = {
        name: round(costs[name] / max(costs[bases.get(name, first)], 0.001), 2) for name in others
    }
    return {
        "cpu_ms_per_message": costs,
        "messages_per_second": {name: one["messages_per_second"] for name, one in rounds.items()},
        "p95_seconds": {name: one["p95_seconds"] for name, one in rounds.items()},
        "times_its_base": times,
        "is_goal_met": {
            f"{name}: at most {goal(name)} times": times[name] <= goal(name) for name in others
        },
    }


def cost_ms(one: Figures) -> float:
    """Of workers and Postgres, for each message that was accepted while it was counted."""
    seconds: float = sum(one["cpu_seconds"].get(kind, 0.0) for kind in ("workers", "postgres"))
    counted: int = one["counted" if "counted" in one else "accepted"]
    return round(1000 * seconds / max(counted, 1), 3)


def is_beside_one(name: str) -> bool:
    return name.endswith(SNAPSHOT)


def goal(name: str) -> float:
    return UNDER_SNAPSHOT if is_beside_one(name) else FLAT


def is_well(found: Figures) -> bool:
    return bool(run.is_well(found) and found["accepted"] == found["taken_by_the_provider"])
