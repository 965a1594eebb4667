"""STOP, whatever else happens: while workers decide, while one stands still, while ours fails."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.db.models import Count

from brands import clock
from compliance.models import OptOutEvent
from delivery import inbound, sql
from delivery.models import Attempt, Due, Inbound, InboundReview, Message
from delivery.states import Status
from providers.models import SenderNumber
from tests.delivery.waiting import has_transaction
from tests.factories import set_clock
from tests.faults.child import Slowed, Struck, StruckReading
from tests.faults.proxy import Fuse
from tests.faults.web import a_text, serving
from tests.faults.world import eventually

STOPS = int(os.environ.get("RACED_STOPS", "200"))
POSTERS = 8
NEAR = 40  # rows: a STOP comes so many before or after the claim of its person's row
AT_MOST = 8.0  # seconds that a STOP waits for whoever holds its person

# By commits, not by clocks: what a STOP could see at its COMMIT, under the lock of its person, and
# the transaction of each intent. An intent that the STOP could not see was committed after it.
NOTE_COMMITS = """
CREATE TABLE stop_committed (person_id bigint, snapshot pg_snapshot);
CREATE TABLE intent_committed (attempt_id bigint, xid xid8);
CREATE FUNCTION note_stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO stop_committed VALUES (NEW.person_id, pg_current_snapshot());
    RETURN NULL;
END $$;
CREATE FUNCTION note_intents() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO intent_committed SELECT id, pg_current_xact_id() FROM made;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER note_stop AFTER INSERT ON compliance_optoutevent
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_stop();
CREATE TRIGGER note_intents AFTER INSERT ON delivery_attempt
REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION note_intents();
"""
FORGET_COMMITS = """
DROP FUNCTION note_stop, note_intents CASCADE;
DROP TABLE stop_committed, intent_committed;
"""
LATE = """
SELECT m.kind, count(DISTINCT m.id) FROM intent_committed c
JOIN delivery_attempt a ON a.id = c.attempt_id JOIN delivery_message m ON m.id = a.message_id
JOIN stop_committed s ON s.person_id = m.person_id
WHERE NOT pg_visible_in_snapshot(c.xid, s.snapshot) GROUP BY m.kind
"""
LATE_BY_THE_CLOCK = """
SELECT a.id FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
JOIN compliance_optoutevent e ON e.person_id = m.person_id
WHERE m.kind = 'campaign' AND a.intent_at > e.at
"""
WAITING = """
SELECT lane_id, count(*) FROM delivery_due WHERE queue <> 0 AND reason = '' GROUP BY lane_id
"""

SLOW_TO_DECIDE = Slowed(target="delivery.facts:gather", seconds=0.05)  # so that more STOPs hit it
INSIDE_THE_DECISION = Struck(target="delivery.facts:gather", at="after", signal=signal.SIGSTOP)
READING_AN_ANSWER = StruckReading(target="delivery.facts:gather")
HOLDS_THE_LOCK = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database()
AND (state = 'idle in transaction' OR wait_event = 'ClientWrite')
"""

BREAK = """
CREATE FUNCTION break_stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'out of order' USING ERRCODE = 'internal_error';
END $$;
CREATE TRIGGER break_stop BEFORE INSERT ON compliance_optoutevent
FOR EACH ROW EXECUTE FUNCTION break_stop();
"""
MEND = "DROP FUNCTION break_stop CASCADE"
APPLIED = "UPDATE delivery_inbound SET applied_at"


@pytest.fixture
def web(world):
    with serving(world) as web:
        yield web


@pytest.fixture
def commits(world):
    sql.rows(NOTE_COMMITS)
    yield
    sql.rows(FORGET_COMMITS)


@contextmanager
def broken():
    sql.rows(BREAK)
    try:
        yield
    finally:
        sql.rows(MEND)


def phone(message):
    return message.person.phone


def give_numbers_to(brand):
    """So that also who was not texted yet gets an answer."""
    SenderNumber.objects.update(brand=brand)


def sent_to(world, number):
    """What kinds of message of ours the provider received for this number."""
    kinds = dict(Attempt.objects.values_list("ref", "message__kind"))
    entries = [entry.submission for entry in world.ledger()]
    return [kinds[sent.ref] for sent in entries if sent.to == number]


def opt_outs():
    found = OptOutEvent.objects.values_list("person__phone").annotate(times=Count("id"))
    return dict(found)


class Race:
    """Lets a STOP go when the claims have come near the row of its person."""

    def __init__(self, world, many):
        chance = random.Random(20261121)
        self.numbers = {number.pk: number.value for number in world.lanes}
        self.rows = dict(sql.rows(WAITING))
        self.waiting = {lane: [] for lane in self.rows}
        chosen = set(chance.sample([message.pk for message in world.messages], many))
        for due in Due.objects.select_related("message__person").order_by("message_id"):
            place = self.rows[due.lane_id] - len(self.waiting[due.lane_id])
            moment = max(place + chance.uniform(-NEAR, NEAR), 0)
            self.waiting[due.lane_id].append((moment, due.message))
        for lane, rows in self.waiting.items():
            rows.sort(key=lambda row: row[0])
            self.waiting[lane] = [row for row in rows if row[1].pk in chosen]

    def stops(self, world):
        """A text for each person, and now and then another time, as the random moments come."""
        while any(self.waiting.values()):
            left = dict(sql.rows(WAITING))
            for lane, rows in self.waiting.items():
                while rows and left.get(lane, 0) <= rows[-1][0]:
                    _, message = rows.pop()
                    yield a_text(world, phone(message), "STOP", to=self.numbers[lane])
            time.sleep(0.01)


class TestStopsRacedAgainstSends:
    def test_no_intent_is_committed_after_a_stop_is(self, world, web, commits):
        world.fill(STOPS * 3 // 2, twice=0, rate=36)
        give_numbers_to(world.messages[0].brand)
        race = Race(world, STOPS)
        workers = [world.start(), world.start(SLOW_TO_DECIDE)]
        eventually(lambda: world.received() > 5)
        posted = web.post_all(race.stops(world), threads=POSTERS)
        again = web.post_all([a_repeat(done) for done in posted[::10]], threads=POSTERS)
        eventually(world.is_quiet)
        for worker in workers:
            worker.end()
        world.send_the_rest()  # who was claimed while a STOP was being applied waits for a minute
        assert {done.answer for done in posted + again} == {200}
        assert opt_outs() == {done.post.fields["From"]: 1 for done in posted}
        late = dict(sql.rows(LATE))
        assert late.pop("reply") == Message.objects.filter(kind="reply").count() == STOPS
        assert late == {}
        assert sql.rows(LATE_BY_THE_CLOCK) == []
        refused = Message.objects.filter(status="refused", reason="opted_out").count()
        assert STOPS * 0.02 < refused < STOPS * 0.98, "there was no race"
        assert not Due.objects.exists()
        web.assert_the_ledger_is_clean()


def a_repeat(done):
    return replace(done.post, copy=2)


@pytest.mark.parametrize(
    "frozen", [INSIDE_THE_DECISION, READING_AN_ANSWER], ids=["in the decision", "while it reads"]
)
class TestAWorkerThatStandsStill:
    def test_keeps_no_stop_for_eight_seconds(self, world, web, frozen):
        world.fill(20, twice=0)
        give_numbers_to(world.messages[0].brand)
        worker = world.start(frozen)
        eventually(lambda: worker.is_stopped)
        holders = []
        eventually(lambda: holders.extend(sql.rows(HOLDS_THE_LOCK)) or holders)
        ((backend,),) = holders
        person = world.messages[7].person
        done = web.post(a_text(world, person.phone, "STOP"))
        person.refresh_from_db()
        assert (done.answer, person.opted_out_at is not None) == (200, True)
        assert done.took < AT_MOST
        eventually(lambda: not has_transaction(backend))  # ended, or rolled back
        worker.signal(signal.SIGCONT)
        worker.over()  # it did nothing for longer than an idle slice lasts
        world.send_all(world.start())
        assert sent_to(world, person.phone) == ["reply"]
        assert world.count(Status.ACCEPTED) == 20  # the others', and the confirmation
        web.assert_the_ledger_is_clean()


class TestAStopAfterAJoin:
    def test_stays_when_the_provider_repeats_the_join(self, world, web):
        world.fill(20, twice=0)
        give_numbers_to(world.messages[0].brand)
        person = world.messages[7].person
        join, stop = a_text(world, person.phone, "START"), a_text(world, person.phone, "STOP")
        posts = [join, stop, replace(join, copy=2), replace(join, copy=3)]
        assert [web.post(post).answer for post in posts] == [200] * 4
        world.send_all(world.start())
        assert sent_to(world, person.phone) == ["reply"]
        assert opt_outs() == {person.phone: 1}
        refused = Message.objects.filter(status="refused", reason="opted_out")
        assert set(refused.values_list("person", "reply_kind")) == {
            (person.pk, None),
            (person.pk, "join"),
        }
        assert not InboundReview.objects.exists()
        web.assert_the_ledger_is_clean()


class TestAStopThatCannotBeApplied:
    """It is stored and answered 503, and its person gets nothing."""

    @pytest.fixture
    def stop(self, world, web):
        world.fill(20, twice=0)
        give_numbers_to(world.messages[0].brand)
        stop = a_text(world, phone(world.messages[7]), "STOP")
        with broken():
            assert web.post(stop).answer == 503
            world.send_all(world.start())
        assert Inbound.objects.get().applied_at is None
        assert opt_outs() == {}
        assert sent_to(world, phone(world.messages[7])) == []
        assert world.count(Status.ACCEPTED) == 19
        assert Due.objects.get().reason == "inbound_waiting"
        return stop

    def test_is_applied_when_the_provider_repeats_it(self, world, web, stop):
        assert web.post(replace(stop, copy=2)).answer == 200
        self.assert_applied(world, web)

    def test_is_applied_by_the_sweep(self, world, web, stop):
        assert inbound.apply_waiting() == 0  # its provider may still be at it
        set_clock(clock.now() + inbound.SWEEP_AFTER)
        assert inbound.apply_waiting() == 1
        self.assert_applied(world, web)

    def assert_applied(self, world, web):
        person = phone(world.messages[7])
        assert opt_outs() == {person: 1}
        world.send_all(world.start())
        assert sent_to(world, person) == ["reply"]
        world.send_the_rest()
        assert sent_to(world, person) == ["reply"]
        assert not Due.objects.exists()
        web.assert_the_ledger_is_clean()


class TestAStopWhileTheDatabaseIsLost:
    @pytest.mark.parametrize("delivered", [True, False], ids=["carried out", "undelivered"])
    def test_is_applied_once_whether_its_commit_was_carried_out_or_not(
        self, world, wire, delivered
    ):
        world.fill(20, twice=0)
        give_numbers_to(world.messages[0].brand)
        person = phone(world.messages[7])
        stop = a_text(world, person, "STOP")
        with serving(world, database_port=wire.port) as web:
            wire.fuse = Fuse(APPLIED, delivered=delivered)
            assert web.post(stop).answer == 503
            assert wire.fuse.has_blown
            assert opt_outs() == ({person: 1} if delivered else {})
            assert web.post(replace(stop, copy=2)).answer == 200
            assert opt_outs() == {person: 1}
            world.send_all(world.start())
            assert sent_to(world, person) == ["reply"]
            web.assert_the_ledger_is_clean()

    def test_is_taken_in_when_it_is_back(self, world, wire):
        world.fill(20, twice=0)
        person = phone(world.messages[7])
        stop = a_text(world, person, "STOP")
        with serving(world, database_port=wire.port) as web:
            wire.is_down = True
            assert web.post(stop).answer == 503
            wire.is_down = False
            assert web.post(replace(stop, copy=2)).answer == 200
        assert opt_outs() == {person: 1}
