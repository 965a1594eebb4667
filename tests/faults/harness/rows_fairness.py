"""A row about a small brand beside one with 1,000 campaigns: it waits at most twice as long."""

from __future__ import annotations

import time
from random import Random

from brands.models import Brand
from delivery import sql
from providers.models import ProviderAccount, SenderNumber
from tests.faults.harness import crowds
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load, let_go, stop_all
from tests.faults.harness.rows_caps import end_slots
from tests.faults.harness.trials import Row, Trial

CAMPAIGNS = 1_000
EACH = 10  # messages
MANY = 120  # messages of the small brand
RATE = 30.0  # of them a second
MORE_THAN_CAN = 5_000.0  # messages a second: only the workers limit the great brand
MOST_TIMES = 2.0
FULL_AFTER = 2.5  # seconds without a message of it; a burst is two seconds' worth

LEFT_OF = "SELECT count(*) FROM delivery_due WHERE queue = ANY(%s::bigint[])"
WAIT = """
SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM a.answered_at - %s))
FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
WHERE m.campaign_id = %s AND a.outcome = 'accepted'
"""
ACCEPTED = """
SELECT count(*) FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
WHERE m.campaign_id = %s AND a.outcome = 'accepted'
"""


def wait_beside(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """All that is due of the small brand comes due at once, alone and then beside the other one."""
    arena.load(Load(people=2, rate=2 * RATE, twice=0, latency_ms=20))
    arena.crew.start_workers()
    great, small = arena.stage.brands
    let_go_faster(great)
    arena.until(lambda: not arena.has_work(), "the way is free")
    found = [measured(arena, great, small) for _ in range(trials)]
    end_slots(arena)
    arena.may_end |= {"no_capacity"}
    return found


def let_go_faster(brand: Brand) -> None:
    Brand.objects.filter(pk=brand.pk).update(segments_per_second=MORE_THAN_CAN)
    SenderNumber.objects.filter(brand=brand).update(segments_per_second=MORE_THAN_CAN)
    ProviderAccount.objects.update(segments_per_second=2 * MORE_THAN_CAN)


def measured(arena: Arena, great: Brand, small: Brand) -> Trial:
    """Each time with the burst of the small brand's tokens: it is whole after a rest."""
    stop_all()
    (alone,) = crowds.add(arena.stage, small, [MANY])
    time.sleep(FULL_AFTER)
    wait_alone, _ = wait(arena, alone, [])
    stop_all()
    (beside,) = crowds.add(arena.stage, small, [MANY])
    others = crowds.add(arena.stage, great, [EACH] * CAMPAIGNS)
    time.sleep(FULL_AFTER)
    wait_beside, left = wait(arena, beside, others)
    words = f"p95 {wait_beside:.2f} s beside {CAMPAIGNS} campaigns, {wait_alone:.2f} s alone"
    if wait_beside > MOST_TIMES * wait_alone:
        arena.problems.append(f"O10: {words}")
    return Trial(hit=left > 0, what=f"{words}, {left} of the others left")


def wait(arena: Arena, campaign: int, others: list[int]) -> tuple[float, int]:
    """The 95th percentile of the wait until they are accepted; what others had left then."""
    let_go()
    began = arena.now()
    (many,) = sql.one(LEFT_OF, [campaign])
    arena.until(lambda: sql.one(ACCEPTED, campaign)[0] >= many, "the small brand is sent")
    (left,) = sql.one(LEFT_OF, others)
    (seconds,) = sql.one(WAIT, began, campaign)
    return float(seconds), int(left)


ROWS = (
    Row(
        name="fairness",
        says="a small brand beside one with 1,000 campaigns",
        short=1,
        release=3,
        run=wait_beside,
        chunk=1,
    ),
)
