"""A shift of the sandbox's clock that dies half-way: it has changed nothing and stops nobody."""

from __future__ import annotations

import signal

import pytest

from brands.models import ClockShift
from delivery import sql
from delivery.claims import SHIFT_LOCK
from delivery.models import Attempt
from tests.faults import child
from tests.faults.child import Struck
from tests.faults.world import eventually

WITH_INTENTS = Struck(target="delivery.sender:Sender.submit", at="before", signal=signal.SIGSTOP)
HELD = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted
AND mode = 'ExclusiveLock' AND database = (
    SELECT oid FROM pg_database WHERE datname = current_database())
"""


def is_held():
    return sql.one(HELD, SHIFT_LOCK) == (1,)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_shift_that_gets_no_further_stops_nobody(world, blow):
    world.fill(30, rate=10)
    worker = world.start(WITH_INTENTS)
    eventually(lambda: worker.is_stopped)
    attempts, shifts = Attempt.objects.count(), ClockShift.objects.count()
    assert 0 < attempts < 30
    shift = world.start(does=child.shift)  # it waits for those intents
    eventually(is_held)
    world.start(seconds=0.3).over()
    assert Attempt.objects.count() == attempts
    shift.signal(blow)
    eventually(lambda: not is_held())
    assert ClockShift.objects.count() == shifts
    worker.kill()
    world.settle()
    world.send_the_rest()
    world.assert_sent_once()
