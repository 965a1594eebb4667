"""A row about people who write STOP just as their message is being decided."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from delivery import sql
from tests.faults.child import Slowed
from tests.faults.harness import hands
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load
from tests.faults.harness.rows_reports import hear, says_stop
from tests.faults.harness.trials import Row, Trial
from tests.faults.test_stops import LATE, NOTE_COMMITS, WAITING

RATE = 40.0  # messages a second; a STOP is applied in some hundredths of one
NEAR = 5  # rows: a STOP comes so many before or after the claim of its person's row
TWICE = 0.1  # so many are posted once more
APART = 1.5  # seconds between a STOP and the claims around its person's row; else it raced nothing
SLOW_TO_DECIDE = Slowed(target="delivery.facts:gather", seconds=0.15)  # so that more STOPs hit it

ENTRANTS = """
SELECT d.lane_id, n.value, p.phone,
       row_number() OVER (PARTITION BY d.lane_id ORDER BY d.not_before, d.message_id)
FROM delivery_due d JOIN delivery_message m ON m.id = d.message_id
JOIN compliance_person p ON p.id = m.person_id
JOIN providers_sendernumber n ON n.id = d.lane_id
WHERE p.id NOT IN (SELECT person_id FROM compliance_optoutevent)
ORDER BY d.message_id
"""
# By the claims of the rows around it, for one that was refused has no time of its own.
RACED = """
SELECT m.status, coalesce((
    SELECT min(abs(extract(epoch FROM a.intent_at - e.at))) FROM delivery_attempt a
    WHERE a.message_id BETWEEN m.id - %s AND m.id + %s), 999)
FROM compliance_optoutevent e
JOIN delivery_message m ON m.person_id = e.person_id AND m.kind = 'campaign'
WHERE e.source = 'inbound'
"""
CONFIRMED = """
SELECT count(*) FILTER (WHERE status = 'accepted'), count(*) FROM delivery_message
WHERE kind = 'reply' AND reply_kind = 'stop'
"""


@dataclass(frozen=True, slots=True)
class Entrant:
    """Writes when so many rows of the lane were claimed."""

    lane_id: int
    number: str
    phone: str
    moment: float


def race(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """No intent is committed after a STOP is; and each STOP is confirmed, once."""
    arena.load(Load(people=2 * trials, rate=RATE, twice=0, numbers=4))
    sql.rows(NOTE_COMMITS)
    arena.crew.start_web(arena.web_port)
    hear(arena)
    entrants = enter(trials, chance)
    arena.crew.start_workers(2)
    for number in (3, 4):
        slow = (SLOW_TO_DECIDE,)
        arena.crew.start(f"send-{number}", hands.work, "send", tricks=slow, keeps_tricks=True)
    for entrant in in_their_moments(entrants):
        times = 2 if chance.random() < TWICE else 1
        says_stop(arena, entrant.phone, entrant.number, times=times)
    arena.until(lambda: sql.one(CONFIRMED)[0] >= trials, "each STOP is confirmed", seconds=40)
    if sql.one(CONFIRMED)[1] != trials:
        arena.problems.append(f"O5: {sql.one(CONFIRMED)[1]} confirmations of {trials} STOPs")
    late = {kind: many for kind, many in sql.rows(LATE) if kind != "reply"}
    arena.problems += [f"O5: {many} intents after a STOP" for many in late.values()]
    return [
        Trial(hit=apart < APART, what=f"{status}, {apart:.2f} s")
        for status, apart in sql.rows(RACED, NEAR, NEAR)
    ]


def enter(many: int, chance: Random) -> list[Entrant]:
    """Some who wait, each with a moment near its own claim."""
    waiting, rows = sql.rows(ENTRANTS), rows_by_lane()
    return [
        Entrant(lane, number, phone, min(place + chance.uniform(-NEAR, NEAR), rows[lane] - 1))
        for lane, number, phone, place in chance.sample(waiting, many)
    ]


def in_their_moments(entrants: Sequence[Entrant]) -> Iterator[Entrant]:
    began = rows_by_lane()
    waiting = sorted(entrants, key=lambda entrant: entrant.moment)
    while waiting:
        left = rows_by_lane()
        claimed = {lane: many - left.get(lane, 0) for lane, many in began.items()}
        ready = [one for one in waiting if one.moment <= claimed[one.lane_id]]
        yield from ready
        waiting = [one for one in waiting if one not in ready]
        time.sleep(0.01)


def rows_by_lane() -> dict[int, int]:
    """How many wait for each number."""
    return dict(sql.rows(WAITING))


ROWS = (
    Row(
        name="stop-race",
        says="STOP racing the send at random offsets",
        short=100,
        release=10_000,
        run=race,
    ),
)
