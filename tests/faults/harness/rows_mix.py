"""A row of everything at once: faults drawn by lot, one after the other or one into the other.

Every kind of provider is in it, e-mail too. All the while reports come, early, twice, cut short and
forged, people write back, and now and then a text breaks whoever renders it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random

from brands import clock
from config import invented_accounts
from delivery import shifting, sql
from reporting.oracle.words import WITHOUT_REF
from tests.faults.harness import hands, victims
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load
from tests.faults.harness.points import POINTS
from tests.faults.harness.rows_deciding import JUMPS, Jumping, jump
from tests.faults.harness.rows_poison import PER_CAMPAIGN, Poisoned, taint
from tests.faults.harness.rows_providers import (
    ANSWERS,
    STORMS,
    WIRE_FAULTS,
    a_fault,
    blow,
    lie,
    spoil,
)
from tests.faults.harness.rows_reports import AMISS, APPLIED_WITHIN, ENDS, RETRIES, hear, is_silent
from tests.faults.harness.rows_servers import POSTGRES, REDIS
from tests.faults.harness.rows_workers import kill_one, restart_all
from tests.faults.harness.trials import Row, Trial
from tests.faults.harness.wire import Wire

WORKERS = 4
REPLIES = {"STOP": 0.02, "HELP": 0.01, "START": 0.01, "delay_ms": 300}
LOAD = Load(
    people=400,
    rate=120,
    latency_ms=200,
    kinds=invented_accounts.TEXTS,
    numbers=2 * len(invented_accounts.TEXTS),
    readers=300,
)
# Of most kinds an answer is an id and nothing else, and another message's is taken at its word.
LIES = [answer for answer in ANSWERS if answer != "another_id"]
LONGEST_STILL = 6.0  # seconds; far from what a provider's answer may take

POISONED = ("step_failed", "too_long", "unsayable")  # by a provider of few letters, the last
INNOCENT = """
SELECT m.status, m.reason, count(*) FROM delivery_message m JOIN leads_lead l ON l.id = m.lead_id
WHERE m.reason = ANY(%s) AND l.first_name NOT LIKE 'Poison %%' GROUP BY 1, 2
"""

WAITING = """
SELECT a.kind, count(*) FROM delivery_webhookevent e
JOIN providers_provideraccount a ON a.id = e.account_id
WHERE e.applied_at IS NULL AND a.kind <> ALL(%s::text[]) GROUP BY a.kind
"""
POSTED_WITHIN = 120.0  # seconds; the servers were away now and then, and much was left to post
LOOKED_UP_AFTER = timedelta(seconds=90)  # the first look-up is due a minute after the intent

Fault = Callable[[Arena, Random], Trial]


def mix(arena: Arena, seconds: int, chance: Random) -> list[Trial]:
    """For so many seconds."""
    wire = arena.keep(Wire(arena.port))
    arena.load(LOAD, provider_port=wire.port)
    arena.crew.start_web(arena.web_port)
    hear(arena)
    arena.told(retries=RETRIES)
    arena.told(reports={**AMISS, "seed": chance.randrange(1_000_000)})
    arena.told(replies={**REPLIES, "seed": chance.randrange(1_000_000)})
    for campaign in arena.stage.campaigns:
        taint(campaign.pk, PER_CAMPAIGN, chance)
    arena.crew.start_workers(WORKERS, tricks=(Poisoned(),), keeps_tricks=True)
    arena.crew.start("chores", hands.work, "chores")
    faults = all_with(arena, wire)
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        arena.until_busy()
        found.append(chance.choice(faults)(arena, Random(chance.getrandbits(64))))
    arena.told(replies=None)
    until_heard(arena)
    arena.may_end |= {*ENDS, *POISONED}
    arena.at_end.append(innocent_ends)
    return found


def until_heard(arena: Arena) -> None:
    """What was posted is worked through; what is sent from now on is not reported.

    Of what is known by the provider's own id alone, a lost answer leaves reports that wait until it
    is asked about: the first time a minute later, for which the clock moves on.
    """
    arena.told(reports=None)
    arena.until(lambda: is_silent(arena), "all is posted", seconds=POSTED_WITHIN)
    shifting.shift_to(clock.now() + LOOKED_UP_AFTER)
    arena.until(lambda: not waiting(), "all is applied", seconds=APPLIED_WITHIN)


def waiting() -> dict[str, int]:
    """Reports by kind of provider that are not applied, and have nothing to wait for."""
    return dict(sql.rows(WAITING, list(WITHOUT_REF)))


def innocent_ends() -> Iterator[str]:
    """Ends that only poison may have."""
    for status, reason, many in sql.rows(INNOCENT, list(POISONED)):
        yield f"{many} that nothing is wrong with are {status} {reason}"


def all_with(arena: Arena, wire: Wire) -> list[Fault]:
    """Each as likely as any other, but for those that come in families."""
    by = arena.folder / "clock"
    arena.crew.start("jumping", hands.work, "send", tricks=(Jumping(by),), keeps_tricks=True)

    def spoil_one(arena: Arena, chance: Random) -> Trial:
        fault = a_fault(chance.choice(WIRE_FAULTS), chance)
        spoil(arena, wire, fault)
        what = f"a request {fault.kind.value}"
        return Trial(hit=wire.strikes[-1].messages > 0, what=what, ended_at=arena.now())

    def jump_once(arena: Arena, chance: Random) -> Trial:
        return jump(arena, by, chance.choice(list(JUMPS)))

    workers = [kill_soon, crash, crash, stand_still, stand_still, restart_all, jump_once]
    provider = [spoil_one, spoil_one, spoil_one, lie_once, storm]
    return [*workers, *provider, *POSTGRES, *REDIS]


def kill_soon(arena: Arena, chance: Random) -> Trial:
    arena.keep_busy()
    time.sleep(chance.uniform(0.2, 2.0))
    return kill_one(arena, chance)


def crash(arena: Arena, chance: Random) -> Trial:
    """One more worker, which dies at a point of the walk."""
    point = chance.choice([point for point in POINTS if not point.byte])
    ((victim, death),) = victims.killed(arena, [point])
    hit = death is not None and death.code == -signal.SIGKILL
    arena.crew.forget(victim.name)
    return Trial(hit=hit, what=f"killed: {point.name}", ended_at=arena.now() if hit else None)


def stand_still(arena: Arena, chance: Random) -> Trial:
    """One worker for a while, and what it has on the wire is answered meanwhile."""
    name = chance.choice(arena.busy_ones() or arena.crew.names("send-"))
    arena.crew.pause(name)
    hit = arena.on_the_wire(name) > 0
    time.sleep(chance.uniform(0.5, LONGEST_STILL))
    arena.crew.go_on(name)
    return Trial(hit=hit, what=f"{name} stands still", ended_at=arena.now())


def lie_once(arena: Arena, chance: Random) -> Trial:
    return lie(arena, chance.choice(LIES))


def storm(arena: Arena, chance: Random) -> Trial:
    return blow(arena, chance.choice(STORMS))


ROWS = (
    Row(
        name="mix",
        says="seeded random mix of all, for so many seconds",
        short=120,
        release=7_200,
        run=mix,
        seconds=420,
    ),
)
