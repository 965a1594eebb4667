"""A shift of the sandbox's clock that dies half-way: it has changed nothing and stops nobody."""

from __future__ import annotations

from brands.models import ClockShift
from delivery import sql
from delivery.claims import SHIFT_LOCK
from delivery.models import Attempt
from tests.faults import child
from tests.faults.child import Struck
from tests.faults.world import eventually

HELD = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted
AND mode = 'ExclusiveLock' AND database = (
    SELECT oid FROM pg_database WHERE datname = current_database())
"""


def is_held():
    return sql.one(HELD, SHIFT_LOCK) == (1,)


def test_a_shift_that_is_killed_while_it_waits_stops_nobody(world):
    world.fill(20)
    world.start(Struck(target="delivery.sender:Sender.submit", at="before")).died()
    attempts, shifts = Attempt.objects.count(), ClockShift.objects.count()
    shift = world.start(does=child.shift)  # it waits for the dead worker's intents
    eventually(is_held)
    world.start(seconds=0.3).over()
    assert Attempt.objects.count() == attempts
    shift.kill()
    eventually(lambda: not is_held())
    assert ClockShift.objects.count() == shifts
    world.settle()
    world.send_the_rest()
    world.assert_sent_once()
