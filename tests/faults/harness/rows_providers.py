"""Rows about a provider that does not answer as it should: single exchanges, and whole storms."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle, islice
from random import Random

from config.processes import waited
from delivery import sql
from providers.simulator_behaviour import MODES, Refusal
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load
from tests.faults.harness.trials import Row, Trial
from tests.faults.harness.wire import Fault, Kind, Strike, Wire

RATE = 120.0  # messages a second
PEOPLE = 600
BETWEEN = 0.1  # seconds from one spoilt exchange to the next, at most twice as many
STRUCK_WITHIN = 25.0  # seconds; workers may all wait for an answer that does not come
OVER_WITHIN = 25.0
ANSWER_BYTES = 650  # of the simulator's whole answer, head and body, roughly
REQUEST_BYTES = 500

OUTCOMES = """
SELECT ref, outcome FROM delivery_attempt WHERE ref = ANY(%s::text[]) AND outcome <> ''
"""

WIRE_FAULTS = (
    *(Kind.HANG, Kind.HALF_OPEN, Kind.DRIP, Kind.HANG, Kind.HALF_OPEN, Kind.DRIP),
    *(Kind.CUT_ANSWER, Kind.CUT_REQUEST, Kind.CUT_ANSWER, Kind.CUT_ANSWER, Kind.CUT_REQUEST),
)
ANSWERS = ("garbage", "another_id", "huge", "half_answer")  # modes of the simulator
# These come last, so that they wait together: a worker does not end a slice with one under way.
WAITS = {Kind.HANG, Kind.HALF_OPEN, Kind.DRIP}


def spoil_exchanges(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Of single requests in a campaign: each leaves its own message in doubt, and no other."""
    modes = list(islice(cycle(ANSWERS), trials * 3 // 10))
    kinds = list(islice(cycle(WIRE_FAULTS), trials - len(modes)))
    kinds.sort(key=WAITS.__contains__)
    wire = arena.keep(Wire(arena.port))
    arena.load(Load(people=PEOPLE, rate=RATE), provider_port=wire.port)
    arena.crew.start_workers()
    arena.until_sending()
    told = [lie(arena, mode) for mode in modes]
    for kind in kinds:
        spoil(arena, wire, a_fault(kind, chance))
        time.sleep(chance.uniform(0, 2 * BETWEEN))
    arena.until(lambda: not wire.open_ones, "spoilt requests end", seconds=OVER_WITHIN)
    return [*told, *judged(arena, wire.strikes)]


def a_fault(kind: Kind, chance: Random) -> Fault:
    """Somewhere in the exchange, at its very ends now and then."""
    most = ANSWER_BYTES if kind is Kind.CUT_ANSWER else REQUEST_BYTES
    at = chance.choice([0, 1, -1, chance.randrange(most), chance.randrange(most)])
    return Fault(kind, at=at, rude=chance.random() < 0.5)


def spoil(arena: Arena, wire: Wire, fault: Fault) -> None:
    arena.keep_busy(3.0)
    wire.spoil([fault])
    arena.until(lambda: not wire.left, f"a request {fault.kind.value}", seconds=STRUCK_WITHIN)
    arena.doubt += wire.strikes[-1].messages


def lie(arena: Arena, mode: str) -> Trial:
    """The simulator gives one answer that cannot be trusted."""
    arena.keep_busy(3.0)
    before = said(arena, mode)
    arena.told(mode=mode, count=1)
    arena.until(lambda: said(arena, mode) > before, mode, seconds=STRUCK_WITHIN)
    arena.doubt += said(arena, mode) - before
    return Trial(hit=True, what=mode, kind=mode, ended_at=arena.now())


def said(arena: Arena, mode: str) -> int:
    """How often the simulator has behaved so."""
    return int(verdicts(arena).get(MODES[mode].name, 0))


def verdicts(arena: Arena) -> dict[str, int]:
    """How often the simulator has said what, by its own count."""
    found: dict[str, int] = arena.told(mode="normal", account="nobody")["verdicts"]
    return found


def judged(arena: Arena, strikes: Sequence[Strike]) -> list[Trial]:
    """A strike hit when it met a message; one that is not in doubt then was wrongly judged."""
    refs = [strike.ref for strike in strikes if strike.ref]
    arena.until(lambda: len(sql.rows(OUTCOMES, refs)) == len(refs), "outcomes are stored")
    outcomes: dict[str, str] = dict(sql.rows(OUTCOMES, refs))
    for strike in strikes:
        outcome = outcomes.get(strike.ref, "")
        if strike.ref and outcome != "unknown":
            arena.problems.append(f"a request that {strike.fault.kind.value} ended as {outcome}")
    now, clock = arena.now(), time.monotonic()
    return [
        Trial(
            hit=bool(strike.ref),
            what=f"{strike.fault.kind.value} {strike.fault.at}",
            kind=strike.fault.kind.value,
            ended_at=now - timedelta(seconds=clock - strike.ended_at),
        )
        for strike in strikes
    ]


LASTS = 1.0  # seconds, or until it is met: a machine may be that slow
LASTS_AT_MOST = 6.0
GLIMPSE = 0.5  # seconds
BACK_WITHIN = 40.0  # seconds; an account rests longer each time that it is throttled again
STORMS = ("503", "500", "307", "429", "429_retry_after", "429")
IS_MET = 4  # answers: an account that is told to wait, or fell in weight, does not ask often


def weather_storms(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """All answers of the provider for a while; throttled messages go round, others are in doubt."""
    arena.load(Load(people=PEOPLE, rate=RATE))
    arena.crew.start_workers()
    arena.until_sending()
    return [weather(arena, mode) for mode in islice(cycle(STORMS), trials)]


def weather(arena: Arena, mode: str) -> Trial:
    """A storm, and the time after it: no account rests any more than it must."""
    storm = blow(arena, mode)
    arena.until(lambda: is_back(arena), f"half the rate after {mode}", seconds=BACK_WITHIN)
    return storm


def blow(arena: Arena, mode: str) -> Trial:
    arena.keep_busy(3.0)
    before = said(arena, mode)
    arena.told(mode=mode)
    time.sleep(LASTS)
    waited(lambda: said(arena, mode) - before >= IS_MET, LASTS_AT_MOST)
    arena.told(mode="normal")
    ended_at, met = arena.now(), said(arena, mode) - before
    if MODES[mode].refusal is not Refusal.THROTTLED:
        arena.doubt += met
    return Trial(hit=met >= IS_MET, what=f"{mode}: {met}", kind=mode, ended_at=ended_at)


def is_back(arena: Arena) -> bool:
    """Whether messages are accepted at half the rate again, with work enough to show it."""
    arena.keep_busy(3.0)
    before = verdicts(arena).get("accepted", 0)
    time.sleep(GLIMPSE)
    many = verdicts(arena).get("accepted", 0) - before
    return many >= GLIMPSE * arena.stage.load.rate / 2


ROWS = (
    Row(
        name="provider",
        says="provider hangs, drips, half-open, closes, lies",
        short=30,
        release=600,
        run=spoil_exchanges,
    ),
    Row(
        name="storms",
        says="429 with and without Retry-After, 5xx, 500 though taken, 307",
        short=6,
        release=60,
        run=weather_storms,
    ),
)
