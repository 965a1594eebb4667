from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from django.db import InternalError, OperationalError, connection
from rq.worker import SimpleWorker

from brands.models import Installation
from delivery import claims, outcomes, pipeline, sql, worker
from delivery.claims import Grant
from delivery.journal import CannotWrite, Journal
from delivery.models import Attempt, Due, Message
from delivery.sender import Answered
from delivery.worker import Slice, send_for, system_identifier
from providers.base import Accepted, NotSent, outcome_to_json
from tests.delivery.walking import make_reply
from tests.factories import NOON, fill_queue, make_number, make_person, make_slot

pytestmark = pytest.mark.django_db

ACCEPTED = Accepted("SM1")
ROOT = Path(__file__).parents[2]
# What is registered first runs last.
SAYS_WHAT_RUNS_AT_THE_END = """
import atexit, threading
atexit.register(lambda: print(*sorted(thread.name for thread in threading.enumerate())))
import django
django.setup()
from delivery import worker
print(worker.sender().under_way)
"""
SECONDS = 10.0  # a slice ends long before, when it finds nothing to do


class Clock:
    """A slice's time passes while it waits and at no other time, however slow the machine is."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        time.sleep(seconds)
        self.now += seconds


class Provided:
    """Stands for the sending thread: `answer` says what comes back, after `late` questions."""

    hung = 0

    def __init__(self, clock):
        self.clock = clock
        self.answer = lambda intent: Accepted(f"SM{intent.message_id}")
        self.late = 0
        self.waits = []

    @property
    def under_way(self):
        return len(self.waits)

    def room(self, account_id):
        return 500

    def submit(self, parcel):
        for intent, _ in parcel.intents:
            parcel.journal.leaving(intent.send.ref)
            self.waits.append(Answered(intent, self.answer(intent)))

    def collect(self, *, wait):
        if self.waits and self.late:
            self.late -= 1
            return []
        if not self.waits:
            self.clock.sleep(wait)
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
    pauses = {"GIVE_UP_IDLE": 0.5, "TROUBLE_PAUSE": 0.01, "IDLE_PAUSE": 0.01}
    for name, seconds in pauses.items():
        monkeypatch.setattr(worker, name, seconds)
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)  # the test's own
    settings.JOURNAL_DIR = tmp_path / "journals"
    yield Journals(settings.JOURNAL_DIR)
    worker.stopping.is_asked = False


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(worker, "time", clock)
    return clock


@pytest.fixture
def sender(monkeypatch, clock):
    provided = Provided(clock)
    monkeypatch.setattr(worker, "sender", lambda: provided)
    return provided


@pytest.fixture
def slot(sandbox):
    return make_slot(make_number())


@pytest.fixture
def fill(slot):
    return lambda many: fill_queue(slot, slot.route.numbers.get().number, many, now=NOON)


def ask_to_end():
    worker.stopping.is_asked = True


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
        sql.rows("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public")
        sql.rows("CREATE ROLE sendonce_test_nobody")
        sql.rows("SET LOCAL ROLE sendonce_test_nobody")
        assert system_identifier() == ""


class TestSlice:
    def test_ends_when_the_worker_is_asked_to_end(self, fill, sender):
        fill(1)
        ask_to_end()
        assert send_for(SECONDS) == 0

    def test_claims_nothing_while_a_whole_batch_is_on_the_wire(
        self, fill, sender, settings, monkeypatch
    ):
        settings.SEND_BATCH, sender.late = 2, 3
        fill(5)
        claimed = []
        original = claims.claim
        monkeypatch.setattr(
            claims, "claim", lambda *a, **n: claimed.append(sender.under_way) or original(*a, **n)
        )
        assert send_for(SECONDS) == 5
        assert max(claimed) < 2

    def test_waits_at_its_end_for_what_is_on_the_wire(self, fill, sender, journals):
        sender.late = 3
        sender.answer = lambda intent: ask_to_end() or ACCEPTED
        fill(2)
        assert send_for(SECONDS) > 0
        assert "sending" not in statuses()
        assert journals.left == []

    def test_stores_at_its_end_what_is_quick_beside_what_is_slow(self, fill, sender, monkeypatch):
        """Nothing is back as the slice ends; then two come, and the third when they are stored."""
        fill(3)
        parts, found, early = [0, 2, 1], [], count()

        def collect(*, wait):
            if not found and len(sender.waits) < 3:
                assert next(early) < 1000, "not all three were claimed"
                return []
            ask_to_end()
            found.append(statuses())
            assert len(found) < 100, "what is back is never stored"
            many = parts.pop(0) if parts else 3
            answers, sender.waits = sender.waits[:many], sender.waits[many:]
            return answers

        monkeypatch.setattr(sender, "collect", collect)
        send_for(SECONDS)
        assert found[2] == ["accepted", "accepted", "sending"]
        assert statuses() == ["accepted"] * 3

    def test_goes_on_at_its_end_beside_a_request_that_hangs(self, fill, sender, clock, monkeypatch):
        """It comes back when a second one was sent, which is due only when the slice is over."""
        monkeypatch.setattr(worker, "HANGS", 0.05)
        fill(1)
        original, turns, more = Slice.clears, count(), iter([1])

        def clears(slice_, *, within):
            is_clear = original(slice_, within=within)
            fill(next(more, 0))
            return is_clear

        def collect(*, wait):
            assert next(turns) < 1000, "nothing was sent beside it"
            if sender.under_way < 2:
                clock.sleep(0.01)
                return []
            answers, sender.waits = sender.waits, []
            return answers

        monkeypatch.setattr(Slice, "clears", clears)
        monkeypatch.setattr(sender, "collect", collect)
        assert send_for(0.1) == 2
        assert statuses() == ["accepted"] * 2

    def test_decides_fewer_at_once_where_a_batch_takes_too_long(
        self, sandbox, sender, journal, clock, monkeypatch, settings
    ):
        settings.SEND_BATCH = 80
        monkeypatch.setattr(worker, "DECIDE_WITHIN", 0.3)
        asked, pauses = [], iter([0.31, 0.31, 0.31, 0.31, 0, 0, 0, 0])

        def send_batch(room, **_):
            asked.append(room)
            clock.now += next(pauses)
            return 1

        monkeypatch.setattr(pipeline, "send_batch", send_batch)
        slice_ = Slice(sandbox, journal)
        for _ in range(8):
            slice_.turn()
        assert asked == [80, 40, 20, 10, 10, 20, 40, 80]

    def test_tries_fewer_after_trouble_with_the_database(
        self, sandbox, sender, journal, monkeypatch, settings
    ):
        settings.SEND_BATCH = 80
        monkeypatch.setattr(worker, "TROUBLE_PAUSE", 0.31)
        monkeypatch.setattr(worker, "DECIDE_WITHIN", 0.3)
        asked = []

        def send_batch(room, **_):
            asked.append(room)
            raise OperationalError("canceling statement due to statement timeout")

        monkeypatch.setattr(pipeline, "send_batch", send_batch)
        slice_ = Slice(sandbox, journal)
        for _ in range(3):
            slice_.turn()
        assert asked == [80, 40, 20]

    def test_waits_at_its_end_no_longer_than_an_answer_may_take(
        self, fill, sender, journals, clock, monkeypatch
    ):
        """An answer that is lost would keep the worker for ever; the journal tells of it."""
        monkeypatch.setattr(worker, "LOST_AFTER", 0.3)
        sender.answer = lambda intent: ask_to_end() or ACCEPTED
        monkeypatch.setattr(sender, "collect", lambda *, wait: clock.sleep(wait) or [])
        fill(1)
        send_for(SECONDS)
        assert Attempt.objects.get().code == "worker_died_while_sending"
        assert len(journals.left) == 1

    def test_what_was_not_journaled_gives_its_tokens_back(self, fill, sender, monkeypatch):
        returned = []
        monkeypatch.setattr(worker.Picker, "give_back", lambda _, intent: returned.append(intent))
        outcomes = iter([NotSent("too_late"), NotSent("journal_not_written")])
        sender.answer = lambda intent: next(outcomes, NotSent("429", throttled=True))
        fill(3)
        send_for(SECONDS)
        assert len(returned) == 1

    def test_a_shift_of_the_clock_is_waited_for_without_trouble(
        self, fill, sender, journals, monkeypatch
    ):
        fill(1)
        first_time(monkeypatch, claims, "claim", claims.Shifting())
        assert send_for(SECONDS) == 1
        assert journals.left == []


TROUBLES = [OperationalError, InternalError, CannotWrite, claims.ClockSkew, pipeline.NotWitnessed]


class TestTrouble:
    @pytest.mark.parametrize("trouble", TROUBLES)
    def test_with_a_claim_rests_and_goes_on(self, fill, sender, monkeypatch, trouble):
        fill(2)
        first_time(monkeypatch, pipeline, "send_batch", trouble("no"))
        assert send_for(SECONDS) == 2
        assert statuses() == ["accepted"] * 2

    @pytest.mark.parametrize("trouble", [OperationalError, InternalError])
    def test_with_the_database_keeps_answers_until_they_are_stored(
        self, fill, sender, monkeypatch, trouble
    ):
        fill(2)
        first_time(monkeypatch, pipeline, "record_answers", trouble("gone"))
        send_for(SECONDS)
        assert statuses() == ["accepted"] * 2

    def test_leaves_the_journal_to_the_reaper(self, fill, sender, journals, monkeypatch):
        fill(1)
        first_time(monkeypatch, pipeline, "send_batch", OperationalError("the answer was lost"))
        send_for(SECONDS)
        assert len(journals.left) == 1

    def test_settles_at_the_end_of_the_slice_what_was_committed_and_never_handed_over(
        self, fill, sender, monkeypatch
    ):
        fill(2)
        first_time(monkeypatch, worker.Picker, "spent", OperationalError("the answer was lost"))
        send_for(SECONDS)
        assert "" not in Attempt.objects.values_list("outcome", flat=True)
        assert Attempt.objects.filter(code="worker_died_before_sending").exists()

    def test_of_our_own_making_leaves_the_journal_too(self, fill, sender, journals, monkeypatch):
        fill(1)
        first_time(monkeypatch, worker.Picker, "spent", RuntimeError("a bug"))
        with pytest.raises(RuntimeError):
            send_for(SECONDS)
        assert Attempt.objects.get().code == "worker_died_before_sending"
        assert len(journals.left) == 1

    def test_with_one_outcome_leaves_no_other_without_its_own(self, fill, sender, monkeypatch):
        monkeypatch.setattr(outcomes, "_storable", lambda item: item)
        bad, good = fill(2)
        sender.answer = lambda intent: Accepted("S" * (65 if intent.message_id == bad.pk else 9))
        journal_what_came_back(sender)
        send_for(SECONDS)
        bad.refresh_from_db()
        good.refresh_from_db()
        assert (bad.status, good.status) == ("unknown", "accepted")


class TestASliceOfReplies:
    def test_sends_answers_and_leaves_the_rest(self, slot, fill, sender):
        waiting = fill(3)
        lane = slot.route.numbers.get().number
        reply = make_reply(make_person(), slot.campaign.brand, lane)
        assert send_for(SECONDS, replies_only=True) == 1
        reply.refresh_from_db()
        assert reply.status == "accepted"
        still = Message.objects.filter(pk__in=[message.pk for message in waiting])
        assert {message.status for message in still} == {"planned"}

    def test_ends_when_there_is_none(self, fill, sender, journals):
        fill(3)
        assert send_for(SECONDS, replies_only=True) == 0
        assert journals.left == []

    def test_leaves_suspects_to_others(self, fill, sender):
        fill(1)
        Due.objects.update(crashes=1)
        assert send_for(SECONDS, replies_only=True) == 0
        assert send_for(SECONDS) == 1


class TestNeighbours:
    def test_a_slice_begins_by_settling_what_dead_workers_of_this_host_left(
        self, slot, fill, sender, journals, sandbox
    ):
        fill(1)
        with Journal.open(journals.folder, str(sandbox.identity)) as dead:
            grants = [Grant(slot.campaign_id, slot.route.numbers.get().number_id, 1)]
            pipeline.take(lambda now: claims.claim(grants, now=now), dead)
        send_for(0)
        assert Attempt.objects.get().code == "worker_died_before_sending"


class TestWorker:
    def test_asked_to_end_it_ends_the_slice_in_hand(self, monkeypatch):
        monkeypatch.setattr(SimpleWorker, "request_stop", lambda *_: None)
        worker.Worker.request_stop(object.__new__(worker.Worker), signal.SIGTERM, None)
        assert worker.stopping.is_asked

    def test_ends_its_sending_thread_before_the_interpreter_ends(self):
        command = [sys.executable, "-c", SAYS_WHAT_RUNS_AT_THE_END]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert ended.stdout.split() == ["0", "MainThread"]


def journal_what_came_back(sender):
    """As the sending thread does, before the outcome is handed in."""
    submit = sender.submit

    def writing(parcel):
        submit(parcel)
        for answered in sender.waits:
            line = outcome_to_json(answered.outcome)
            parcel.journal.came_back({answered.intent.send.ref: line})

    sender.submit = writing
