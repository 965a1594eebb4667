"""Who decides: many schedulers and planners, a clock that jumps, a row that kills its worker."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import django_rq
from rq.registry import StartedJobRegistry

from delivery import settling, sql, tasks
from delivery.models import Attempt, Due, Message
from delivery.states import Reason, Status
from tests.faults.child import Slowed, Struck
from tests.faults.harness import hands
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load
from tests.faults.harness.trials import Row, Trial

WORKERS = 4
SKEW = "ClockSkew"  # what a worker logs that does not trust its clock
JUMPS = {"-1 h": -3600.0, "+1 h": 3600.0, "+1 day": 86_400.0}
SETTLES = 1.0  # seconds; a claim that began before the jump may end after it
OFF_FOR = 3.0
MOST = 5  # schedulers, and planners
PEOPLE = 200
NUMBER_OF_CRASHES = 3  # in a batch, then twice alone
PARKED_WITHIN = 40.0
FIRST = 6
LATER = timedelta(seconds=4)

PLANNED = "SELECT count(*) FROM delivery_message"

# --- schedulers and planners ----------------------------------------------------------------------


def many_schedulers(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Two to five of each; all planners are called at the same moment for the same new people."""
    arena.load(Load(people=PEOPLE, rate=100, latency_ms=50, is_planned=False))
    arena.crew.start_workers(2)
    lingering = (Slowed(target="delivery.planning:shares_of", seconds=0.2),)
    for number in range(2, MOST + 1):
        arena.crew.start(f"scheduler-{number}", hands.schedule)
    for number in range(1, MOST + 1):
        arena.crew.start(
            f"planner-{number}", hands.work, "plan", "upkeep", tricks=lingering, keeps_tricks=True
        )
    return [plan_at_once(arena, chance.randint(2, MOST)) for _ in range(trials)]


def plan_at_once(arena: Arena, many: int) -> Trial:
    (before,) = sql.one(PLANNED)
    arena.stage.join(PEOPLE)
    queue = django_rq.get_queue("plan")
    at_it = StartedJobRegistry(queue=queue)
    for _ in range(many):
        queue.enqueue(tasks.plan, result_ttl=0, job_timeout=-1)
    most = 0

    def is_planned() -> bool:
        nonlocal most
        most = max(most, len(at_it.get_job_ids(cleanup=False)))
        return bool(sql.one(PLANNED)[0] > before) and not queue.count and not len(at_it)

    arena.until(is_planned, "new people are planned")
    return Trial(hit=most >= 2, what=f"{most} planned at once", ended_at=arena.now())


# --- a clock that jumps ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Jumping:
    """The clock of its process is off by what stands in a file, while it is there."""

    by: Path

    def play(self) -> None:
        right = time.time

        def now() -> float:
            return right() + (float(self.by.read_text()) if self.by.exists() else 0.0)

        time.time = now


def clock_jumps(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """One worker of three has a clock that jumps, and jumps back."""
    by = arena.folder / "clock"
    arena.load(Load(people=300, rate=100, latency_ms=50))
    arena.crew.start_workers(2)
    arena.crew.start("jumping", hands.work, "send", tricks=(Jumping(by),))
    kinds = list(JUMPS)
    found = []
    for number in range(trials):
        arena.until_sending()
        found.append(jump(arena, by, kinds[number % len(kinds)]))
    return found


def jump(arena: Arena, by: Path, name: str) -> Trial:
    """What it decides while it is off is a problem; that it refused to is the hit."""
    refused = arena.crew.log_lines(SKEW, "jumping")
    beside = by.with_suffix(".new")
    beside.write_text(str(JUMPS[name]))
    beside.rename(by)
    time.sleep(SETTLES)
    began = arena.now()
    senders = arena.senders_of("jumping")
    arena.keep_busy(OFF_FOR)
    time.sleep(OFF_FOR)
    senders += arena.senders_of("jumping")  # it may have begun another slice
    decided = Attempt.objects.filter(sender__in=senders, intent_at__gt=began).count()
    hits = arena.crew.log_lines(SKEW, "jumping") - refused
    by.unlink()
    if decided:
        arena.problems.append(f"{decided} intents by a worker whose clock is off by {name}")
    return Trial(hit=hits > 0, what=f"{name}, {hits} claims refused", ended_at=arena.now())


# --- a row that kills its worker ------------------------------------------------------------------


def killers(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Some messages kill whoever decides them, until they are set aside; nobody else is.

    They are among the first of one number, and the others' rows are due later, so that all workers
    come upon them at the same time, before anybody knows of the first death.
    """
    arena.load(Load(people=700, rate=500, latency_ms=50, numbers=2))
    others = Due.objects.exclude(lane=arena.stage.numbers[0])
    others.update(not_before=arena.now() + LATER)
    of_one = Due.objects.filter(lane=arena.stage.numbers[0]).order_by("message_id")
    first = of_one.values_list("message_id", flat=True)[: FIRST * trials]
    chosen = chance.sample(list(first), trials)
    deadly = tuple(
        Struck(target="delivery.pipeline:decide", at="before", message_id=key) for key in chosen
    )
    arena.crew.start_workers(WORKERS, tricks=deadly, keeps_tricks=True)
    parked = Message.objects.filter(status=Status.DEAD, reason=Reason.WORKER_KILLED)

    def all_are() -> bool:
        settling.park_killers()  # as tidying does now and then; what is early for it shows at once
        arena.keep_busy()
        return parked.filter(pk__in=chosen).count() == trials

    arena.may_end.add(Reason.WORKER_KILLED)
    arena.until(all_are, "rows that kill are set aside", seconds=PARKED_WITHIN)
    ended_at = arena.now()
    if innocent := parked.exclude(pk__in=chosen).count():
        arena.problems.append(f"{innocent} innocent rows were set aside")
    hit = len(arena.crew.deaths) >= NUMBER_OF_CRASHES * trials
    return [Trial(hit=hit, what=f"message {key}", ended_at=ended_at) for key in chosen]


ROWS = (
    Row(
        name="schedulers",
        says=f"2 to {MOST} schedulers and planners",
        short=2,
        release=50,
        chunk=5,
        run=many_schedulers,
    ),
    Row(
        name="clock-jumps",
        says=f"clock jumps of {', '.join(JUMPS)} on one worker",
        short=3,
        release=60,
        run=clock_jumps,
    ),
    Row(
        name="killers",
        says="a row that kills its worker: parked alone, neighbours sent",
        short=2,
        release=50,
        run=killers,
    ),
)
