"""The steps of the machine: what may happen next, how often, and for what it needs to be there.

Each is a function of the example and of `How`, whose numbers choose among what there is. The table
at the foot stands in for Hypothesis' own rules, of which it leaves out a part in most examples: a
message must be claimed, sent, answered and stored before its report can be worth anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from brands import stopping
from delivery import planning
from tests.faults.machine import BRAKED, MINUTE, Example, pick
from tests.faults.machine_provider import ENDS, REFUSALS, TAKEN_ANSWERS
from tests.faults.machine_workers import Worker

WORDS = ["STOP", "START", "STOP", "HELP", "please don't stop", "hello"]
WAITS = [n * MINUTE for n in (1, 1, 1, 1, 4, 4, 4, 11, 11, 31, 61, 500)]
MOST = 9  # rows of a lane, or requests: more than there ever are


@dataclass(frozen=True)
class How:
    """What a step makes of it is its own affair; the same numbers mean the same in a repeat."""

    which: int
    other: int
    many: int
    is_so: bool


# --- a worker claims, sends and stores ----------------------------------------------------------


def plan(example: Example, how: How) -> None:
    planning.plan_open_slots()


def claim(example: Example, how: How) -> None:
    example.worker(how.which).claim(how.many)


def claim_while_something_happens(example: Example, how: How) -> None:
    """The rows are taken, then this is committed elsewhere, then the batch is decided."""
    worker = example.worker(how.which)
    person, lane = example.somebody(how.which), pick(example.ground.lanes, how.which)

    def stop() -> None:
        example.apply_text(example.store_text(person, "STOP", lane))

    def stop_unapplied() -> None:
        example.store_text(person, "STOP", lane)

    def pause() -> None:
        example.pause_within_a_claim(pick(example.ground.campaigns, how.which))

    def claim_too() -> None:
        example.worker(how.which, but=worker).claim(how.many)

    ways = [stop, stop_unapplied, pause, claim_too, example.sweep]
    example.claim_while(worker, how.many, pick(ways, how.other))


def claim_alone(example: Example, how: How) -> None:
    example.met["claimed alone"] += 1
    example.worker(how.which).claim_alone(pick(example.model.suspects, how.other))


def send(example: Example, how: How) -> None:
    worker = pick(in_hand(example), how.which)
    for intent in worker.in_hand[: how.many]:
        worker.send(intent, example.provider, is_taken=how.is_so)


def be_too_late(example: Example, how: How) -> None:
    worker = pick(in_hand(example), how.which)
    for intent in worker.in_hand[: how.many]:
        worker.miss(intent)


def answer(example: Example, how: How, *, is_journaled: bool = True) -> None:
    worker = pick(on_the_wire(example), how.which)
    for request in worker.on_the_wire[: how.many]:
        lies = ["a lie", "a lie"] if example.lies else []
        way = pick([*TAKEN_ANSWERS, *lies] if request.is_taken else [*REFUSALS], how.other)
        worker.hear(request, request.answer(way), is_journaled=is_journaled)
        example.met[way] += 1


def answer_unheard_by_the_journal(example: Example, how: How) -> None:
    """Its disk is full; after that the answer is in the worker's memory and nowhere else."""
    answer(example, how, is_journaled=False)


def store(example: Example, how: How) -> None:
    pick(answered(example), how.which).store(how.many)


def go_all_the_way(example: Example, how: How) -> None:
    worker = pick(in_hand(example), how.which)
    for intent in list(worker.in_hand):
        worker.send(intent, example.provider, is_taken=how.is_so)
        answer(example, How(example.workers.index(worker), how.other, MOST, how.is_so))
    worker.store(MOST)


# --- death, and what comes after it -------------------------------------------------------------


def die_deciding(example: Example, how: How) -> None:
    worker = example.worker(how.which)
    worker.die_deciding(how.many)
    example.workers.remove(worker)


def die_deciding_alone(example: Example, how: How) -> None:
    worker = example.worker(how.which)
    worker.die_deciding_alone(pick(example.model.suspects, how.other))
    example.workers.remove(worker)


def die(example: Example, how: How) -> None:
    example.die(victim(example, how))


def die_with_the_host(example: Example, how: How) -> None:
    """Its journal is lost, or cut: another boot finds the first few lines of it."""
    lines = None if how.is_so else how.other // 2
    example.die_with_the_host(victim(example, how), lines)


def victim(example: Example, how: How) -> Worker:
    """Rather one with requests on the wire, if there are any."""
    return pick(on_the_wire(example) or example.workers, how.which)


def end(example: Example, how: How) -> None:
    worker = pick(free(example), how.which)
    example.workers.remove(worker)
    worker.end()


def reap(example: Example, how: How) -> None:
    example.reap(is_old=how.is_so)


def keep_up(example: Example, how: How) -> None:
    pick(example.upkeep, how.which)()


# --- what people say, what providers report, what staff does ------------------------------------


def text(example: Example, how: How) -> None:
    lane = pick(example.ground.lanes, how.which)
    stored = example.store_text(example.somebody(how.which), pick(WORDS, how.other), lane)
    if how.is_so:
        example.apply_text(stored)


def text_again(example: Example, how: How) -> None:
    """The provider posts it once more, whatever we answered before."""
    example.apply_text(pick(example.texts, how.which))


def report(example: Example, how: How) -> None:
    request = pick(example.provider.taken, -how.which)
    example.provider.report(request, pick(sorted(ENDS), how.other))
    if how.is_so:
        example.apply_reports()


def report_by_mistake(example: Example, how: How) -> None:
    request = pick(example.provider.requests, how.which)
    example.provider.report_by_mistake(request, pick(sorted(ENDS), how.other))


def brake(example: Example, how: How) -> None:
    what = pick(BRAKED, how.other)
    example.pause(what, pick(what.objects.order_by("id"), how.which).pk)


def stop_all(example: Example, how: How) -> None:
    stopping.stop_all()


def release(example: Example, how: How) -> None:
    example.release_all()


def join(example: Example, how: How) -> None:
    example.ground.join(example.newcomers.pop(), pick(example.ground.campaigns, how.which))


def wait(example: Example, how: How) -> None:
    example.wait(pick(WAITS, how.which))


# --- what there must be, and how often ----------------------------------------------------------


def workers_with(what: str, example: Example) -> list[Worker]:
    return [worker for worker in example.workers if getattr(worker, what)]


in_hand = partial(workers_with, "in_hand")
on_the_wire = partial(workers_with, "on_the_wire")
answered = partial(workers_with, "answered")
free = partial(workers_with, "is_free")


def nothing(example: Example) -> bool:
    return True


@dataclass(frozen=True)
class Step:
    do: Callable[[Example, How], None]
    often: int
    needs: Callable[[Example], Any] = nothing


STEPS: Sequence[Step] = (
    Step(plan, 1),
    Step(claim, 16),
    Step(claim_while_something_happens, 8),
    Step(claim_alone, 12, lambda example: example.model.suspects),
    Step(send, 18, in_hand),
    Step(go_all_the_way, 10, in_hand),
    Step(be_too_late, 2, in_hand),
    Step(answer, 18, on_the_wire),
    Step(answer_unheard_by_the_journal, 3, on_the_wire),
    Step(store, 14, answered),
    Step(report, 16, lambda example: example.provider.taken),
    Step(report_by_mistake, 1, lambda example: example.provider.requests),
    Step(die_deciding, 6),
    Step(die_deciding_alone, 8, lambda example: example.model.suspects),
    Step(die, 3, lambda example: example.workers),
    Step(die_with_the_host, 2, lambda example: example.workers),
    Step(end, 1, free),
    Step(reap, 7),
    Step(keep_up, 10),
    Step(text, 7),
    Step(text_again, 1, lambda example: example.texts),
    Step(brake, 2),
    Step(stop_all, 1),
    Step(release, 4),
    Step(join, 1, lambda example: example.newcomers),
    Step(wait, 9),
)


def possible(example: Example) -> list[Callable[[Example, How], None]]:
    """The steps there is something for, each as often as it weighs."""
    return [step.do for step in STEPS if step.needs(example) for _ in range(step.often)]
