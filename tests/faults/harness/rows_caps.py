"""A row about daily caps that many workers reach at the same moment."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from random import Random

from brands.models import Brand
from campaigns.models import Campaign
from delivery import shifting, sql, tasks
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load, let_go, stop_all
from tests.faults.harness.trials import Row, Trial

DUE = 5_000
CAP = 100
WORKERS = 6
GIVEN_BACK = 40  # messages that the provider throttles: what they took of a cap is there again
BEYOND = timedelta(minutes=6)  # past the slots, and what the sweep may take

# Of a campaign: what counts on its cap, and how many workers' slices had a part in it.
TAKEN = """
SELECT count(*) FILTER (WHERE a.outcome IN ('', 'accepted', 'unknown')),
       count(*) FILTER (WHERE a.outcome = ''), count(DISTINCT a.sender)
FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id WHERE m.campaign_id = %s
"""
OF_THE_BRAND = """
SELECT count(*) FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
WHERE m.brand_id = %s AND a.outcome IN ('', 'accepted', 'unknown')
"""
ENDS = "SELECT max(expires_at) FROM delivery_message"


def race_for_caps(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """A campaign's cap and a brand's, in turn; neither more than the cap leaves, nor less."""
    arena.load(Load(people=20, rate=3_000, twice=0, latency_ms=20))
    arena.crew.start_workers(WORKERS)
    arena.until(lambda: not arena.has_work(), "the way is free")
    found: list[Trial] = []
    for number in range(ceil(trials / 2)):
        found += run(arena, throttled=number % 2 == 1)
    end_slots(arena)
    arena.may_end |= {"campaign_cap", "brand_cap", "throttled", "stop_all"}
    return found[:trials]


def run(arena: Arena, *, throttled: bool) -> list[Trial]:
    """Two campaigns at once, one for each kind of cap."""
    stop_all()
    one, other = arena.stage.add(2 * DUE)
    Campaign.objects.filter(pk=one.pk).update(daily_cap=CAP)
    (used,) = sql.one(OF_THE_BRAND, other.brand_id)
    Brand.objects.filter(pk=other.brand_id).update(daily_cap=used + CAP)
    if throttled:
        arena.told(mode="429", every=2, count=GIVEN_BACK)
    let_go()
    found = [finished(arena, one, "campaign's"), finished(arena, other, "brand's")]
    Campaign.objects.filter(pk=other.pk).update(daily_cap=CAP)  # it keeps what it had of both
    Brand.objects.filter(pk=other.brand_id).update(daily_cap=1_000_000)
    return found


def finished(arena: Arena, campaign: Campaign, which: str) -> Trial:
    arena.until(
        lambda: sql.one(TAKEN, campaign.pk)[:2] >= (CAP, 0) and not sql.one(TAKEN, campaign.pk)[1],
        f"a {which} cap is used up",
    )
    taken, _, slices = sql.one(TAKEN, campaign.pk)
    if taken > CAP:
        arena.problems.append(f"O7: {taken} messages at a {which} cap of {CAP}")
    return Trial(hit=slices > 1, what=f"a {which}: {taken} by {slices} slices")


def end_slots(arena: Arena) -> None:
    """What is held back for longer than today: its slot ends today."""
    arena.until(lambda: not arena.pending(), "all is answered")
    shifting.shift_to(sql.one(ENDS)[0] + BEYOND)
    tasks.tidy()


ROWS = (
    Row(
        name="caps",
        says="many workers, a cap of 100, 5,000 due",
        short=3,
        release=200,
        run=race_for_caps,
        chunk=4,
    ),
)
