"""A row about messages that break what handles them, each in its own way, among ordinary ones.

The database takes no NUL and no half character, so what breaks comes from a worker's own rendering:
a trick spoils the text of people with certain names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle, islice
from math import ceil
from random import Random
from typing import Any

from brands import clock
from brands.models import Brand
from campaigns.models import Campaign
from campaigns.rendering import fill_in
from delivery import shifting, sql, steps, strikes, tasks
from tests.faults.harness import crowds
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load
from tests.faults.harness.rows_caps import end_slots
from tests.faults.harness.trials import Row, Trial


def fail(text: str) -> str:
    raise ArithmeticError("a template that cannot be worked out")


POISONS: Mapping[str, Callable[[str], str]] = {
    "Poison Template": fail,
    "Poison Nul": lambda text: f"{text}\x00",
    "Poison Surrogate": lambda text: f"{text}\ud800",
    "Poison Huge": lambda text: text + 1_000_000 * "x",
}
PER_CAMPAIGN = 3  # struck five times each, they do not make the twenty that pause a campaign
ONE_IN = 50  # twice as much poison as in life
WORST = 30  # of one campaign, which is to pause before it comes to the last of them
WORST_ONE_IN = 25
RATE = 3_000.0
LOOK_EVERY = 0.2  # seconds
ROUNDING = 50  # decisions: a strike knows its place only up to a batch

SPOIL = "UPDATE leads_lead SET first_name = %s WHERE id = %s"
LEADS = "SELECT lead_id FROM delivery_message WHERE campaign_id = %s ORDER BY id"
HELD_UNTIL = "SELECT max(not_before) FROM delivery_due WHERE reason = 'step_failed'"
IS_BUSY = """
SELECT EXISTS (SELECT 1 FROM delivery_due WHERE not_before <= (SELECT sendonce_now())
               AND queue <> ALL(ARRAY(SELECT id FROM campaigns_campaign
                                      WHERE paused_at IS NOT NULL)))
    OR EXISTS (SELECT 1 FROM delivery_attempt
               WHERE id > (SELECT attempt_id FROM delivery_frontier) AND outcome = '')
"""
STRUCK_CAMPAIGNS = """
SELECT c.id, c.paused_at IS NOT NULL,
       coalesce(array_agg(s.ordinal ORDER BY s.ordinal) FILTER (WHERE s.id IS NOT NULL), '{}')
FROM campaigns_campaign c LEFT JOIN delivery_strike s ON s.campaign_id = c.id GROUP BY c.id
"""
POISONED = """
SELECT l.first_name, m.status, m.reason, EXISTS (
    SELECT 1 FROM delivery_strike s WHERE s.message_id = m.id), EXISTS (
    SELECT 1 FROM delivery_attempt a WHERE a.message_id = m.id), c.paused_at IS NOT NULL
FROM delivery_message m JOIN leads_lead l ON l.id = m.lead_id
JOIN campaigns_campaign c ON c.id = m.campaign_id WHERE l.first_name LIKE 'Poison %%'
"""
NEIGHBOURS = """
SELECT m.status, m.reason, count(*) FROM delivery_message m JOIN leads_lead l ON l.id = m.lead_id
JOIN campaigns_campaign c ON c.id = m.campaign_id AND c.paused_at IS NULL
WHERE l.first_name NOT LIKE 'Poison %%' AND m.reason <> 'opted_out'
  AND m.status IN ('dead', 'planned', 'refused') GROUP BY 1, 2
"""


@dataclass(frozen=True, kw_only=True)
class Poisoned:
    """A trick: this worker's rendering is spoilt by some names."""

    def play(self) -> None:
        def spoilt(text: str, values: Mapping[str, str]) -> str:
            poison = POISONS.get(values.get("first_name", ""), str)
            return poison(fill_in(text, values))

        vars(steps)["fill_in"] = spoilt


def poison(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Poison ends alone, dead or refused; who stands beside it is sent; 2 % pause a campaign."""
    arena.load(Load(people=2, rate=RATE, twice=0, latency_ms=10))
    one, other = arena.stage.brands
    half, rest = trials / 2, max(trials / 2 - WORST, 0)
    dose(arena, one, [PER_CAMPAIGN] * ceil(half / PER_CAMPAIGN), chance)
    dose(arena, other, [PER_CAMPAIGN] * ceil(rest / PER_CAMPAIGN) + [WORST], chance)
    arena.crew.start_workers(tricks=(Poisoned(),), keeps_tricks=True)
    arena.until(is_done, "all are sent, or struck", seconds=120)
    for _ in range(strikes.MOST):
        try_again(arena)
    complain_of_pauses(arena)
    complain_of_neighbours(arena)
    found = [trial_of(arena, *row) for row in sql.rows(POISONED)]
    end_slots(arena)
    arena.may_end |= {"step_failed", "campaign_paused", "too_long"}
    return found


def dose(arena: Arena, brand: Brand, doses: Sequence[int], chance: Random) -> None:
    """A campaign of the brand for each: so many of its people poison it."""
    sizes = [each * (WORST_ONE_IN if each > PER_CAMPAIGN else ONE_IN) for each in doses]
    for campaign, each in zip(crowds.add(arena.stage, brand, sizes), doses, strict=True):
        taint(campaign, each, chance)


def taint(campaign: int, many: int, chance: Random) -> None:
    leads = [lead for (lead,) in sql.rows(LEADS, campaign)]
    names = islice(cycle(chance.sample(list(POISONS), len(POISONS))), many)
    for name, lead in zip(names, chance.sample(leads, many), strict=True):
        sql.count(SPOIL, name, lead)


def is_done() -> bool:
    """What a paused campaign keeps back does not come any more."""
    time.sleep(LOOK_EVERY)
    return not sql.one(IS_BUSY)[0]


def try_again(arena: Arena) -> None:
    """Everybody who was struck waits; the clock passes over it."""
    (until,) = sql.one(HELD_UNTIL)
    if until is None or until <= clock.now():
        return
    shifting.shift_to(until + timedelta(seconds=1))
    tasks.dispatch()
    arena.until(is_done, "all are struck again")


def complain_of_pauses(arena: Arena) -> None:
    """A campaign pauses at 2 % of its last 1,000 decisions and at least 20, and at nothing less."""
    for campaign, is_paused, places in sql.rows(STRUCK_CAMPAIGNS):
        if not is_paused and most_within(places, strikes.WINDOW - ROUNDING) >= strikes.PAUSE_AT:
            arena.problems.append(f"campaign {campaign} goes on with {len(places)} strikes")
        if is_paused and most_within(places, strikes.WINDOW + ROUNDING) < strikes.PAUSE_AT:
            arena.problems.append(f"campaign {campaign} was paused with {len(places)} strikes")
    if not Campaign.objects.exclude(paused_at=None).exists():
        arena.problems.append("the campaign with 4 % of poison was not paused")


def most_within(places: Sequence[int], window: int) -> int:
    """How many strikes there are at most within so many decisions."""
    return max((sum(at - window < p <= at for p in places) for at in places), default=0)


def complain_of_neighbours(arena: Arena) -> None:
    for status, reason, many in sql.rows(NEIGHBOURS):
        arena.problems.append(f"{many} beside poison are {status} {reason}")


def trial_of(arena: Arena, name: str, status: str, reason: str, *more: Any) -> Trial:
    is_struck, is_sent, campaign_paused = more
    has_ended = (status, reason) in {("dead", "step_failed"), ("refused", "too_long")}
    if is_sent or not (has_ended or campaign_paused or reason == "opted_out"):
        arena.problems.append(f"{name} is {status} {reason}, {is_sent=}")
    return Trial(hit=is_struck or reason == "too_long", what=f"{name}: {status} {reason}")


ROWS = (
    Row(
        name="poison",
        says="2 % of rows break their batch: a template, NUL, half a character, a huge body",
        short=200,
        release=50_000,
        run=poison,
        seconds=240,
    ),
)
