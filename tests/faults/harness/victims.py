"""Workers that are struck at a point of the walk, several at a time, among others that are not.

Each is a worker of its own that nobody starts again. It finds its point by itself, by a trick or by
a trap on the wire.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from providers.base import REQUEST_SECONDS
from tests.faults.harness import hands
from tests.faults.harness.arena import Arena
from tests.faults.harness.crew import Death
from tests.faults.harness.points import Point, Strike
from tests.faults.harness.trap import Trap

STRUCK_WITHIN = 30.0  # seconds; else it never came by, and its trial is no hit
LOOK_EVERY = 0.02

numbers = itertools.count(1)


@dataclass(slots=True)
class Victim:
    """`stopped_at`: monotonic second at which it was seen to stand still."""

    name: str
    point: Point
    started_at: float = field(default_factory=time.monotonic)
    stopped_at: float | None = None


def start(arena: Arena, point: Point, number: int, trap: Trap | None) -> Victim:
    """A worker with a job of its own, which will be struck by this signal.

    Only a trap strikes at a byte on the wire.
    """
    victim = Victim(f"victim-{next(numbers)}", point)
    tricks = () if point.byte else (*point.also, Strike(point, number))
    member = arena.crew.start(victim.name, hands.work, "send", tricks=tricks, kept=False)
    if point.byte:
        assert trap is not None
        trap.set(member.pid, point.byte, number)
    arena.ask_for_slice()
    return victim


def killed(
    arena: Arena, points: Iterable[Point], trap: Trap | None = None, *, at_once: int = 1
) -> Iterator[tuple[Victim, Death | None]]:
    """Kill one at each point; yields each with its death, or None where it never came by."""
    waiting, running = deque(points), []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(start(arena, waiting.popleft(), signal.SIGKILL, trap))
        arena.keep_busy(2.5)
        for victim in [victim for victim in running if is_over(arena, victim)]:
            running.remove(victim)
            yield victim, death_of(arena, victim)
        time.sleep(LOOK_EVERY)


def is_over(arena: Arena, victim: Victim) -> bool:
    is_late = time.monotonic() - victim.started_at > STRUCK_WITHIN
    return is_late or not arena.crew.is_up(victim.name)


def death_of(arena: Arena, victim: Victim) -> Death | None:
    """How it was struck; who was not is asked to end."""
    if arena.crew.is_up(victim.name):
        arena.crew.end(victim.name)
        return None
    return arena.crew.death_of(victim.name, 0.0)


def paused(
    arena: Arena, points: Iterable[Point], trap: Trap, *, at_once: int
) -> Iterator[tuple[Victim, bool]]:
    """Stop one at each point, past its limits; yields each, gone on and ended, and if it stood."""
    waiting, running = deque(points), []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(start(arena, waiting.popleft(), signal.SIGSTOP, trap))
        arena.keep_busy(4.0)
        for victim in list(running):
            note_stop(arena, victim)
            if has_stood(victim) or (victim.stopped_at is None and is_over(arena, victim)):
                running.remove(victim)
                yield victim, victim.stopped_at is not None
        time.sleep(LOOK_EVERY)


def note_stop(arena: Arena, victim: Victim) -> None:
    """What it has on the wire may end in doubt if it stands for longer than an answer may take."""
    if victim.stopped_at is None and arena.crew.is_stopped(victim.name):
        victim.stopped_at = time.monotonic()
        if victim.point.limit > REQUEST_SECONDS:
            arena.doubts(victim.name)


def has_stood(victim: Victim) -> bool:
    if victim.stopped_at is None:
        return False
    return time.monotonic() - victim.stopped_at > victim.point.limit
