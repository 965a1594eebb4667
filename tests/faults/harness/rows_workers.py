"""Workers that die, stand still or are asked to end while they send."""

from __future__ import annotations

import itertools
import signal
import time
from random import Random

from tests.faults.harness import points, victims
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load
from tests.faults.harness.points import POINTS
from tests.faults.harness.trap import Trap
from tests.faults.harness.trials import Row, Trial

WORKERS = 4
KILLERS = 3
HEALTHY = 2  # beside those that are struck


def kill_at_random(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """By three that know nothing of each other, each every 0.2 to 2 s, among four workers."""
    arena.load(Load(people=240, rate=60, latency_ms=400, twice=0.05))
    arena.crew.start_workers(WORKERS)
    arena.until_sending()
    began, found = time.monotonic(), []
    for moment in moments(trials, chance):
        arena.keep_busy()
        time.sleep(max(began + moment - time.monotonic(), 0.0))
        found.append(kill_one(arena, Random(chance.getrandbits(64))))
    return found


def moments(many: int, chance: Random) -> list[float]:
    """Seconds from the start: each killer has its share of them, and pauses of its own."""
    shares = (many // KILLERS + (killer < many % KILLERS) for killer in range(KILLERS))
    pauses = ([chance.uniform(0.2, 2.0) for _ in range(share)] for share in shares)
    return sorted(moment for each in pauses for moment in itertools.accumulate(each))


def kill_one(arena: Arena, chance: Random) -> Trial:
    """At random, one of those that have something on the wire."""
    arena.until(lambda: arena.keep_busy() or arena.busy_ones(), "somebody has messages on the wire")
    death = arena.crew.kill(chance.choice(arena.busy_ones() or arena.crew.names("send-")))
    return Trial(hit=death.in_flight > 0, what=f"killed {death.name}", ended_at=arena.now())


def kill_at_points(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """A few at a time, each at a point of its own."""
    points.check()
    chosen = [POINTS[number % len(POINTS)] for number in range(trials)]
    chance.shuffle(chosen)
    found = []
    trap = arena.keep(Trap(arena.port, arena.crew.journals))
    arena.load(Load(people=300, rate=100, latency_ms=100, twice=0.05), provider_port=trap.port)
    arena.crew.start_workers(HEALTHY)
    for victim, death in victims.killed(arena, chosen, trap, at_once=8):
        hit = death is not None and death.code == -signal.SIGKILL
        what = f"killed: {victim.point.name}"
        ended_at = arena.now() if hit else None
        found.append(Trial(hit=hit, what=what, kind=victim.point.name, ended_at=ended_at))
        arena.crew.forget(victim.name)
    return found


def pause_at_points(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Many at once, for each stands still until it is past the limits of its point."""
    points.check()
    chosen = [POINTS[number % len(POINTS)] for number in range(trials)]
    chance.shuffle(chosen)
    chosen.sort(key=lambda point: -point.limit)  # who stands longest begins
    found = []
    trap = arena.keep(Trap(arena.port, arena.crew.journals))
    arena.load(Load(people=300, rate=100, latency_ms=100, twice=0.05), provider_port=trap.port)
    arena.crew.start_workers(HEALTHY)
    for victim, stood in victims.paused(arena, chosen, trap, at_once=len(chosen)):
        arena.crew.go_on(victim.name)
        what, kind = f"paused: {victim.point.name}", victim.point.name
        found.append(Trial(hit=stood, what=what, kind=kind, ended_at=arena.now()))
        arena.crew.ask_to_end(victim.name)
    return found


def rolling_restart(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Each worker is asked to end and another one takes its place, while all send."""
    arena.load(Load(people=240, rate=60, latency_ms=400, twice=0.05))
    arena.crew.start_workers(WORKERS)
    arena.until_sending()
    return [restart_all(arena, chance) for _ in range(trials)]


def restart_all(arena: Arena, chance: Random) -> Trial:
    hits = 0
    arena.until(arena.crew.is_steady, "everybody works")
    for name in arena.crew.names("send-"):
        arena.keep_busy()
        time.sleep(chance.uniform(0.1, 0.5))
        hits += arena.on_the_wire(name) > 0
        if any(codes := arena.crew.end(name)):
            arena.problems.append(f"{name} was asked to end, and ended with {codes}")
        arena.crew.replace(name)
    return Trial(hit=hits > 0, what=f"{hits} were sending", ended_at=arena.now())


ROWS = (
    Row(
        name="kill-at-random",
        says="worker SIGKILL at random",
        short=30,
        release=2000,
        run=kill_at_random,
    ),
    Row(
        name="kill-at-points",
        says=f"worker SIGKILL at each of {len(POINTS)} points",
        short=3 * len(POINTS),
        release=100 * len(POINTS),
        run=kill_at_points,
    ),
    Row(
        name="pause-at-points",
        says="worker SIGSTOP at each point, past its limits",
        short=len(POINTS),
        release=30 * len(POINTS),
        run=pause_at_points,
    ),
    Row(
        name="rolling-restart",
        says="rolling restart by SIGTERM during a send",
        short=3,
        release=50,
        run=rolling_restart,
    ),
)
