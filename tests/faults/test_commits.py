"""A COMMIT without an answer: carried out or not, nothing is sent twice and nothing is lost."""

from __future__ import annotations

import pytest

from tests.faults.proxy import Fuse
from tests.faults.world import eventually

CLAIM = "INSERT INTO delivery_attempt"
RECORD = "UPDATE delivery_attempt a SET outcome"

either_way = pytest.mark.parametrize("delivered", [True, False], ids=["carried out", "undelivered"])


@either_way
def test_a_batch_whose_commit_had_no_answer_is_not_sent_and_goes_round_again(
    world, wire, delivered
):
    world.fill(40)
    wire.fuse = Fuse(CLAIM, delivered=delivered)
    worker = world.start(PORT=wire.port)
    eventually(lambda: wire.fuse.has_blown)
    worker.end()
    world.assert_consistent()
    assert ("not_sent" in world.outcomes()) == delivered
    world.send_the_rest()
    world.assert_sent_once()


@either_way
def test_outcomes_whose_commit_had_no_answer_are_stored_once(world, wire, delivered):
    world.fill(40)
    world.simulator.obey(mode="429", account=world.sid, every=8, count=3)
    wire.fuse = Fuse(RECORD, delivered=delivered)
    world.send_all(world.start(PORT=wire.port))
    assert wire.fuse.has_blown
    world.assert_consistent()
    world.send_the_rest()
    world.assert_sent_once()
