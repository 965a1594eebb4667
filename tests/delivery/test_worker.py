from __future__ import annotations

import signal
import time

import pytest
from django.db import InternalError, OperationalError, connection
from rq.worker import SimpleWorker

from brands.models import Installation
from delivery import claims, outcomes, pipeline, worker
from delivery.journal import CannotWrite, Journal
from delivery.models import Attempt, Due, Message
from delivery.sender import Answered
from delivery.worker import send_for, system_identifier
from providers import rates
from providers.base import Accepted, NotSent
from tests.factories import NOON, fill_queue, make_number, make_slot

pytestmark = pytest.mark.django_db

SECONDS = 10.0  # a slice ends long before, when it finds nothing to do


class Provided:
    """Stands for the sending thread: `answer` says what comes back for each intent."""

    def __init__(self):
        self.answer = lambda intent: Accepted(f"SM{intent.message_id}")
        self.waits = []
        self.asked = 0

    @property
    def under_way(self):
        return len(self.waits)

    def submit(self, parcel):
        for intent, _ in parcel.intents:
            parcel.journal.leaving(intent.send.ref)
            self.waits.append(Answered(intent, self.answer(intent)))

    def collect(self, *, wait):
        self.asked += 1
        answers, self.waits = self.waits, []
        return answers


class Journals:
    def __init__(self, folder):
        self.folder = folder

    @property
    def left(self):
        return list(self.folder.glob("*.journal"))


@pytest.fixture(autouse=True)
def journals(monkeypatch, settings, tmp_path):
    """Short pauses, a folder of our own, and nobody has asked the worker to end."""
    for pause in ("GIVE_UP_IDLE", "TROUBLE_PAUSE", "IDLE_PAUSE"):
        monkeypatch.setattr(worker, pause, 0.02)
    settings.JOURNAL_DIR = tmp_path / "journals"
    yield Journals(settings.JOURNAL_DIR)
    worker.stopping.clear()


@pytest.fixture
def sender(monkeypatch):
    provided = Provided()
    monkeypatch.setattr(worker, "sender", lambda: provided)
    return provided


@pytest.fixture
def slot(sandbox):
    return make_slot(make_number())


@pytest.fixture
def fill(slot):
    return lambda many: fill_queue(slot, slot.route.numbers.get().number, many, now=NOON)


def statuses():
    return sorted(Message.objects.values_list("status", flat=True))


def first_time(monkeypatch, owner, name, error):
    """Raise the error the first time that this is called."""
    original, errors = getattr(owner, name), [error]

    def failing(*arguments, **named):
        if errors:
            raise errors.pop()
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, failing)


class TestSendFor:
    def test_sends_what_waits_and_ends_when_there_is_no_more(self, fill, sender, journals):
        fill(3)
        assert send_for(SECONDS) == 3
        assert statuses() == ["accepted"] * 3
        assert journals.left == []

    def test_ends_when_its_time_is_over(self, fill, sender):
        fill(3)
        assert send_for(0) == 0
        assert statuses() == ["planned"] * 3

    def test_without_an_installation_nothing_is_sent(self, sender, journals):
        assert send_for(SECONDS) == 0
        assert not journals.folder.exists()

    def test_another_cluster_than_the_one_a_person_confirmed_claims_nothing(self, fill, sender):
        fill(1)
        Installation.objects.update(system_identifier="7")
        assert send_for(SECONDS) == 0
        assert statuses() == ["planned"]

    def test_the_cluster_that_a_person_confirmed_is_sent_from(self, fill, sender):
        fill(1)
        Installation.objects.update(system_identifier=system_identifier())
        assert send_for(SECONDS) == 1

    def test_without_a_journal_nothing_is_claimed(self, fill, sender, settings, tmp_path):
        fill(1)
        (tmp_path / "file").touch()
        settings.JOURNAL_DIR = tmp_path / "file"
        with pytest.raises(OSError, match="File exists"):
            send_for(SECONDS)
        assert statuses() == ["planned"]


class TestSystemIdentifier:
    def test_is_the_clusters_own_number(self):
        assert system_identifier().isdigit()

    def test_is_empty_for_a_role_that_may_not_read_it(self):
        with connection.cursor() as cursor:
            cursor.execute("CREATE ROLE sendonce_test_nobody; SET LOCAL ROLE sendonce_test_nobody")
            assert system_identifier() == ""
            cursor.execute("RESET ROLE")


class TestSlice:
    def test_ends_when_the_worker_is_asked_to_end(self, fill, sender):
        fill(1)
        worker.stopping.set()
        assert send_for(SECONDS) == 0

    def test_claims_nothing_while_a_whole_batch_is_on_the_wire(self, fill, sender, settings):
        settings.SEND_BATCH = 2
        fill(3)
        sender.collect = lambda *, wait: []
        one = worker.Slice(Installation.objects.get(), None)
        one.sender.waits = [None, None]
        assert one.turn() == 0
        assert statuses() == ["planned"] * 3

    def test_waits_at_its_end_for_what_is_on_the_wire(self, fill, sender, monkeypatch):
        fill(2)
        collect = sender.collect
        monkeypatch.setattr(worker, "STORE_AT", 1)
        sender.collect = lambda *, wait: collect(wait=wait) if worker.stopping.is_set() else []
        first_time(monkeypatch, worker.Slice, "store", worker.stopping)
        monkeypatch.setattr(worker.Slice, "store", lambda self, *, wait: worker.stopping.set())
        original = pipeline.record_answers
        with pytest.MonkeyPatch.context():
            pass
        assert original

    def test_a_shift_of_the_clock_is_waited_for_without_trouble(
        self, fill, sender, journals, monkeypatch
    ):
        fill(1)
        first_time(monkeypatch, claims, "claim", claims.Shifting())
        assert send_for(SECONDS) == 1
        assert journals.left == []
