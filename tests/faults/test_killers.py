"""A row that kills every worker that decides it: it is set aside, and its neighbours are sent."""

from __future__ import annotations

from delivery import settling
from delivery.models import Due
from delivery.states import Reason, Status
from tests.faults.child import Struck

IN_FLIGHT = 4


def test_a_row_that_kills_its_worker_is_parked_alone(world):
    world.fill(20, in_flight=IN_FLIGHT)
    killer = world.messages[7]
    kill = Struck(target="delivery.pipeline:decide", at="before", message_id=killer.pk)
    for crashes in (1, 2, 3):  # in a batch, then twice alone
        assert settling.park_killers() == 0
        world.start(kill).died()
        world.settle()
        assert Due.objects.get(message=killer).crashes == crashes
    assert settling.park_killers() == 1
    killer.refresh_from_db()
    assert (killer.status, killer.reason) == (Status.DEAD, Reason.WORKER_KILLED)
    world.send_the_rest()
    world.assert_sent_once(unknown=3 * IN_FLIGHT, without=1)
