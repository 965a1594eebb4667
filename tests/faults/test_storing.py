"""Answers that cannot be stored: they are kept until they can, in memory or in the journal."""

from __future__ import annotations

import signal

import pytest

from tests.faults.child import FIRST_ANSWER
from tests.faults.world import eventually

ALL = 20
ENOUGH = 12  # connections turned away: more than the tries of one record


@pytest.fixture
def answered_in_vain(world, wire):
    """A worker with every answer in hand, and no database since before the first one."""
    world.simulator.obey(latency_ms=500)
    world.fill(ALL, in_flight=ALL)
    worker = world.start(FIRST_ANSWER, PORT=wire.port)
    eventually(lambda: worker.is_stopped)
    wire.cut()
    worker.signal(signal.SIGCONT)
    eventually(lambda: world.answered() == ALL and wire.turned_away >= ENOUGH)
    assert world.outcomes() == {"": ALL}
    return worker


def test_answers_are_stored_when_the_database_is_back(world, wire, answered_in_vain):
    wire.is_down = False
    world.send_all(answered_in_vain)
    world.assert_sent_once()
    assert world.received() == ALL


def test_answers_are_stored_from_the_journal_when_their_worker_died_meanwhile(
    world, wire, answered_in_vain
):
    answered_in_vain.kill()
    assert world.settle() == ALL
    world.assert_sent_once()
