"""Journals that prove nothing, are somebody else's, or cannot be written."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from brands import clock
from delivery import journal, settling
from delivery.models import Attempt, Due
from delivery.states import Status
from tests.factories import set_clock
from tests.faults.child import FIRST_ANSWER, FullDisk, Struck
from tests.faults.world import eventually

KILLED_WHILE_SENDING = Struck(target="delivery.journal:Journal.came_back", at="after", nth=12)
LOST = settling.LOST_AFTER + timedelta(seconds=1)


@pytest.fixture
def killed(world):
    """A worker died: with answers in its journal, requests in flight, and intents that wait."""
    world.simulator.obey(latency_ms=20)
    world.fill(40, twice=0, in_flight=4)
    world.start(KILLED_WHILE_SENDING).died()
    world.never_claimed = Due.objects.count()
    world.simulator.reset()


def test_intents_whose_journal_is_gone_are_unknown_after_ten_minutes(world, killed):
    for path in world.journals.iterdir():
        path.unlink()
    pending, received = world.outcomes()[""], world.received()
    assert world.settle() == settling.reconcile() == 0
    set_clock(clock.now() + LOST)
    assert settling.reconcile() == pending
    world.send_the_rest()
    world.assert_sent_once(unknown=pending)
    assert world.count(Status.UNKNOWN) == pending
    assert world.received() == received + world.never_claimed


def test_after_a_reboot_a_missing_line_proves_nothing(world, killed, monkeypatch):
    in_doubt, received = world.on_the_wire(), world.received()
    monkeypatch.setattr(journal, "boot_id", lambda: "of another boot")
    assert world.settle() > 0
    assert world.count(Status.UNKNOWN) == in_doubt
    pending = world.outcomes()[""]
    set_clock(clock.now() + LOST)
    assert settling.reconcile() == pending
    world.send_the_rest()
    world.assert_sent_once(unknown=in_doubt + pending)
    assert world.count(Status.UNKNOWN) == in_doubt + pending
    assert world.received() == received + world.never_claimed


def test_the_journal_of_a_neighbour_that_lives_is_left_alone(world):
    world.simulator.obey(latency_ms=1000)
    world.fill(20, in_flight=20)
    worker = world.start(FIRST_ANSWER)
    eventually(lambda: worker.is_stopped)
    assert world.on_the_wire() == 20
    assert world.settle() == 0
    assert world.outcomes() == {"": 20}
    worker.signal(signal.SIGCONT)
    world.send_all(worker)
    world.assert_sent_once()
    assert world.journal_files() == []


class TestFullDisk:
    def test_without_room_for_a_claim_nothing_is_decided(self, world, journal):
        world.fill(40)
        head = journal.path.stat().st_size
        world.start(FullDisk(size=head + 10), seconds=1).over()
        assert (Attempt.objects.count(), world.received()) == (0, 0)
        world.send_the_rest()
        world.assert_sent_once()

    def test_without_room_for_its_line_a_message_is_not_sent_and_that_is_no_try(self, world):
        world.fill(40)
        worker = world.start(FullDisk(size=1000))
        eventually(lambda: Attempt.objects.filter(code="journal_not_written").exists())
        worker.end()
        world.assert_consistent()
        assert world.count(Status.UNKNOWN) == 0
        refs = {entry.submission.ref for entry in world.ledger()}
        unsent = Attempt.objects.filter(is_not_sent=True)
        assert refs.isdisjoint(unsent.values_list("ref", flat=True))
        again = Due.objects.filter(message__in=unsent.values("message"))
        assert set(again.values_list("tries", flat=True)) == {0}
        world.send_the_rest()
        world.assert_sent_once()
