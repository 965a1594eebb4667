"""A worker that dies between any two steps: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import pytest

from delivery.models import Attempt
from tests.faults.child import Struck

COMMIT = "django.db.backends.base.base:BaseDatabaseWrapper.commit"
IN_FLIGHT = 8


def at(when, target, **more):
    return Struck(at=when, target=target, **more)


BEFORE_THE_INTENTS = {
    "after the grant": at("after", "delivery.picking:Picker.grants"),
    "after the claim": at("after", "delivery.claims:claim"),
    "after the facts": at("after", "delivery.facts:gather"),
    "after the decision": at("after", "delivery.pipeline:decide_all"),
    "after the links": at("after", "delivery.intents:_write_links"),
    "after the attempts": at("after", "delivery.intents:_write_attempts"),
    "after the persons": at("after", "delivery.intents:_write_persons"),
    "after the messages": at("after", "delivery.intents:_write_messages"),
    "after the rows put back": at("after", "delivery.intents:_put_back"),
    "after the numbers": at("after", "delivery.intents:_write_stickies"),
    "after the counters": at("after", "delivery.intents:_count"),
    "before the commit": at("before", COMMIT, armed_by="delivery.intents:write"),
}


def ids(points):
    return [pytest.param(point, id=name) for name, point in points.items()]


@pytest.mark.parametrize("point", ids(BEFORE_THE_INTENTS))
def test_killed_before_its_intents_are_committed_a_worker_leaves_all_as_it_was(world, point):
    world.fill()
    world.start(point).died()
    assert (Attempt.objects.count(), world.received()) == (0, 0)
    world.settle()
    world.assert_consistent()
    world.send_the_rest()
    world.assert_sent_once()
