"""A worker that dies between any two steps: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import pytest

from delivery.models import Attempt, Due
from delivery.states import Status
from tests.faults.child import Struck
from tests.faults.world import eventually

COMMIT = "django.db.backends.base.base:BaseDatabaseWrapper.commit"
IN_FLIGHT = 8


def ids(points):
    return [pytest.param(point, id=name) for name, point in points.items()]


def before(target, **more):
    return Struck(target=target, at="before", **more)


def after(target, **more):
    return Struck(target=target, at="after", **more)


DECIDING = {
    "after the grant": after("delivery.picking:Picker.grants"),
    "after the claim": after("delivery.claims:claim"),
    "after the facts": after("delivery.facts:gather"),
    "after the decision": after("delivery.pipeline:decide_all"),
    "after the links": after("delivery.intents:_write_links"),
    "after the attempts": after("delivery.intents:_write_attempts"),
    "after the persons": after("delivery.intents:_write_persons"),
    "after the messages": after("delivery.intents:_write_messages"),
    "after the rows put back": after("delivery.intents:_put_back"),
    "after the numbers": after("delivery.intents:_write_stickies"),
    "after the counters": after("delivery.intents:_count"),
    "before the commit": before(COMMIT, armed_by="delivery.intents:write"),
}
COMMITTED = {
    "after the commit": after(COMMIT, armed_by="delivery.intents:write"),
    "before Redis is told": before("delivery.picking:Picker.witness"),
    "before the hand-over": before("delivery.sender:Sender.submit"),
    "before the first journal line": before("delivery.journal:Journal.leaving"),
}
SENDING = {
    "before a journal line": before("delivery.journal:Journal.leaving", nth=12),
    "after a journal line": after("delivery.journal:Journal.leaving", nth=12),
    "before an answer is read": before("providers.connection:Connection.data_received", nth=12),
    "before the line of an outcome": before("delivery.journal:Journal.came_back", nth=12),
    "after the line of an outcome": after("delivery.journal:Journal.came_back", nth=12),
}
STORE = "delivery.outcomes:_store_attempts"
STORING = {
    "before the record": before("delivery.pipeline:record_answers"),
    "after the attempts": after(STORE),
    "after the messages": after("delivery.outcomes:_move_messages"),
    "before what was not sent goes back": before("delivery.outcomes:_undo"),
    "after what was not sent went back": after("delivery.outcomes:_undo"),
    "before the commit": before(COMMIT, armed_by=STORE),
    "after the commit": after(COMMIT, armed_by=STORE),
    "after the record": after("delivery.pipeline:record_answers"),
}


@pytest.mark.parametrize("point", ids(DECIDING))
def test_killed_before_its_intents_are_committed_a_worker_leaves_all_as_it_was(world, point):
    world.fill(12)
    world.start(point).died()
    assert (Attempt.objects.count(), world.received()) == (0, 0)
    world.settle()
    world.assert_consistent()
    world.send_the_rest()
    world.assert_sent_once()


@pytest.mark.parametrize("point", ids(COMMITTED))
def test_killed_before_anything_leaves_a_worker_leaves_nothing_in_doubt(world, point):
    world.fill(24)
    world.start(point).died()
    assert (world.outcomes(), world.received()) == ({"": 24}, 0)
    assert world.settle() == 24
    world.assert_consistent()
    assert world.outcomes() == {"not_sent": 24}
    world.send_the_rest()
    world.assert_sent_once()


@pytest.mark.parametrize("point", ids(SENDING))
def test_killed_while_it_sends_a_worker_leaves_no_more_in_doubt_than_was_in_flight(world, point):
    world.simulator.obey(latency_ms=20)
    world.fill(in_flight=IN_FLIGHT)
    world.start(point).died()
    in_doubt = world.on_the_wire()
    assert 0 < in_doubt <= IN_FLIGHT
    world.settle()
    assert world.count(Status.UNKNOWN) == in_doubt
    world.send_the_rest()
    world.assert_sent_once(unknown=in_doubt)


@pytest.mark.parametrize("point", ids(STORING))
def test_killed_while_it_stores_a_worker_leaves_the_answers_to_its_journal(world, point):
    world.simulator.obey(latency_ms=20)
    world.fill(in_flight=IN_FLIGHT)
    world.simulator.obey(mode="429", account=world.sid, every=4, count=5)
    world.start(point).died()
    in_doubt = world.on_the_wire()
    assert in_doubt <= IN_FLIGHT
    assert world.answered() > 0
    world.settle()
    assert world.count(Status.UNKNOWN) == in_doubt
    world.simulator.reset()
    world.send_the_rest()
    world.assert_sent_once(unknown=in_doubt)


def test_killed_when_all_it_sent_is_with_the_provider_a_worker_leaves_just_that_in_doubt(world):
    world.simulator.obey(latency_ms=10_000)  # no answer comes before the kill
    world.fill(in_flight=IN_FLIGHT)
    worker = world.start()
    eventually(lambda: world.received() == IN_FLIGHT)
    worker.kill()
    assert world.received() == world.on_the_wire() == IN_FLIGHT
    world.settle()
    world.simulator.reset()
    world.send_the_rest()
    assert world.count(Status.UNKNOWN) == IN_FLIGHT
    world.assert_sent_once(unknown=IN_FLIGHT)


def test_settling_a_worker_twice_changes_nothing(world):
    world.fill(24)
    world.start(SENDING["after the line of an outcome"]).died()
    world.settle()
    before, rows = world.outcomes(), list(Due.objects.order_by("message_id").values())
    assert world.settle() == 0
    assert (world.outcomes(), list(Due.objects.order_by("message_id").values())) == (before, rows)
