from __future__ import annotations

import os
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from brands import clock
from delivery import claims, journal, outcomes, pipeline, settling
from delivery.claims import Grant
from delivery.journal import Held, Journal
from delivery.models import Attempt, Due, Frontier, Message
from delivery.settling import end_unreported, park_killers, reconcile, settle, settle_dead
from delivery.states import Reason, Status
from providers.base import Accepted, NotSent, Unknown, outcome_to_json
from tests.factories import NOON, fill_queue, make_number, make_slot

pytestmark = pytest.mark.django_db

ACCEPTED = outcome_to_json(Accepted("SM1"))
NOT_TAKEN = outcome_to_json(NotSent("429", throttled=True))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "journals"


@pytest.fixture
def start(sandbox, directory):
    """Start a worker's journal."""
    return lambda: Journal.open(directory, str(sandbox.identity))


@pytest.fixture
def slot(sandbox):
    return make_slot(make_number())


@pytest.fixture
def hand_over(slot):
    """Commit the intents of some messages on behalf of a journal; returns their refs."""

    def hand_over(to, many=1):
        lane = slot.route.numbers.get().number
        fill_queue(slot, lane, many, now=NOON)
        grants = [Grant(slot.campaign_id, lane.pk, many)]
        batch = pipeline.take(lambda now: claims.claim(grants, now=now), to)
        return [intent.send.ref for intent, _ in batch.intents]

    return hand_over


@pytest.fixture
def reap(sandbox, directory):
    """Settle what dead workers left."""
    return lambda: settle_dead(directory, str(sandbox.identity))


def result(ref):
    """Outcome and code of an attempt, and its message's status."""
    attempt = Attempt.objects.get(ref=ref)
    return attempt.outcome, attempt.code, Message.objects.get(id=attempt.message_id).status


def make_old(past):
    """As if the journal had not been written to for a minute."""
    os.utime(past.path, (time.time() - 60, time.time() - 60))


def store(ref, outcome):
    attempt = Attempt.objects.get(ref=ref)
    outcomes.record([outcomes.Settled(attempt.pk, attempt.message_id, outcome)])


class TestSettle:
    def test_an_intent_without_a_line_was_not_sent(self, start, hand_over, reap):
        with start() as dead:
            (ref,) = hand_over(dead)
        assert reap() == 1
        assert result(ref) == ("not_sent", "worker_died_before_sending", "planned")

    def test_a_line_without_an_outcome_is_unknown(self, start, hand_over, reap):
        with start() as dead:
            (ref,) = hand_over(dead)
            dead.leaving(ref)
        assert reap() == 1
        assert result(ref) == ("unknown", "worker_died_while_sending", "unknown")

    def test_an_outcome_that_the_database_never_got_is_stored(self, start, hand_over, reap):
        with start() as dead:
            taken, throttled = hand_over(dead, 2)
            dead.leaving(taken, throttled)
            dead.came_back({taken: ACCEPTED})
            dead.came_back({throttled: NOT_TAKEN})
        assert reap() == 2
        assert result(taken) == ("accepted", "", "accepted")
        assert Attempt.objects.get(ref=taken).provider_refs == ["SM1"]
        assert result(throttled) == ("not_sent", "429", "planned")

    def test_an_outcome_that_cannot_be_read_is_unknown(self, start, hand_over, reap):
        with start() as dead:
            (ref,) = hand_over(dead)
            dead.leaving(ref)
            dead.came_back({ref: '{"outcome": "perhaps"}'})
        reap()
        assert result(ref) == ("unknown", "journal_line_unreadable", "unknown")

    def test_an_outcome_that_is_stored_stays(self, start, hand_over, reap):
        with start() as dead:
            (ref,) = hand_over(dead)
            dead.leaving(ref)
        store(ref, Accepted("SM2"))
        assert reap() == 0
        assert result(ref) == ("accepted", "", "accepted")

    def test_after_a_reboot_only_what_stands_in_the_journal_is_settled(
        self, start, hand_over, reap, monkeypatch
    ):
        with start() as dead:
            silent, left = hand_over(dead, 2)
            dead.leaving(left)
        monkeypatch.setattr(journal, "boot_id", lambda: "of another boot")
        assert reap() == 1
        assert result(left)[0] == "unknown"
        assert result(silent) == ("", "", "sending")

    def test_intents_of_another_worker_are_left_alone(self, start, hand_over, reap):
        with start() as neighbour, start() as dead:
            (theirs,) = hand_over(neighbour)
            dead.close()
            assert reap() == 0
        assert result(theirs)[0] == ""

    def test_takes_a_fixed_number_of_statements(self, start, hand_over, statements):
        with start() as dead:
            hand_over(dead, 3)
            few = statements(lambda: settle(journal.read(dead.path)))
            hand_over(dead, 30)
            assert statements(lambda: settle(journal.read(dead.path))) == few

    def test_an_outcome_that_the_database_refuses_is_unknown_and_the_others_are_stored(
        self, start, hand_over, reap, monkeypatch
    ):
        monkeypatch.setattr(outcomes, "_storable", lambda item: item)
        with start() as dead:
            good, bad = hand_over(dead, 2)
            dead.leaving(good, bad)
            dead.came_back({good: ACCEPTED})
            dead.came_back({bad: outcome_to_json(Accepted("S" * 65))})
        assert reap() == 2
        assert result(good)[0] == "accepted"
        assert result(bad) == ("unknown", "outcome_not_storable", "unknown")


class TestSettleDead:
    def test_a_journal_is_kept_while_a_commit_may_still_be_on_its_way(self, start, reap):
        with start() as dead:
            pass
        reap()
        assert dead.path.exists()

    def test_a_journal_is_removed_when_nothing_more_can_come(self, start, reap):
        with start() as dead:
            pass
        make_old(dead)
        reap()
        assert not dead.path.exists()

    def test_a_commit_that_arrives_after_the_first_look_is_settled(self, start, hand_over, reap):
        dead = start()
        dead.close()
        assert reap() == 0
        late = SimpleNamespace(
            sender=dead.sender, claimed=lambda messages: None, decided=lambda: None
        )
        (ref,) = hand_over(late)
        assert reap() == 1
        assert result(ref)[0] == "not_sent"

    def test_a_live_journal_is_left_alone(self, start, hand_over, reap):
        with start() as live:
            (ref,) = hand_over(live)
            make_old(live)
            assert reap() == 0
            assert live.path.exists()
        assert result(ref)[0] == ""

    def test_what_was_given_up_too_early_gets_the_answer_of_its_journal(
        self, start, hand_over, reap
    ):
        with start() as dead:
            (ref,) = hand_over(dead)
            dead.leaving(ref)
            dead.came_back({ref: ACCEPTED})
        store(ref, Unknown("no_answer_recorded"))
        make_old(dead)
        assert reap() == 1
        assert result(ref)[::2] == ("accepted", "accepted")

    def test_rows_in_hand_at_the_death_are_suspects_once(self, slot, start, reap):
        messages = fill_queue(slot, make_number(), 3, now=NOON)
        with start() as dead:
            dead.claimed(message.pk for message in messages[:2])
        reap()
        reap()
        crashes = Due.objects.order_by("message_id").values_list("crashes", flat=True)
        assert list(crashes) == [1, 1, 0]

    def test_a_second_death_with_the_same_batch_counts_no_further(self, slot, start, reap):
        """Neighbours claim the rows again until they are marked, and die of the same one."""
        messages = fill_queue(slot, make_number(), 3, now=NOON)
        for _ in range(3):
            with start() as dead:
                dead.claimed(message.pk for message in messages)
        reap()
        assert set(Due.objects.values_list("crashes", flat=True)) == {1}

    def test_each_death_with_a_row_alone_counts(self, slot, start, reap):
        (message,) = fill_queue(slot, make_number(), 1, now=NOON, crashes=1)
        for _ in range(2):
            with start() as dead:
                dead.claimed([message.pk])
        reap()
        assert Due.objects.get().crashes == 3

    def test_rows_of_a_batch_that_was_decided_are_no_suspects(self, slot, start, reap):
        (message,) = fill_queue(slot, make_number(), 1, now=NOON)
        with start() as dead:
            dead.claimed([message.pk])
            dead.decided()
        reap()
        assert Due.objects.get().crashes == 0

    def test_on_a_full_disk_no_row_becomes_a_suspect_again_and_again(
        self, slot, start, hand_over, reap, monkeypatch
    ):
        def full(held):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Held, "acquit", full)
        (message,) = fill_queue(slot, make_number(), 1, now=NOON)
        with start() as dead:
            dead.claimed([message.pk])
        reap()
        reap()
        assert Due.objects.get().crashes == 0

    def test_a_journal_that_cannot_be_settled_does_not_stop_the_others(
        self, start, hand_over, reap, monkeypatch
    ):
        def full(held):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Held, "acquit", full)
        refs = []
        for _ in range(2):
            with start() as dead:
                refs += hand_over(dead)
                dead.claimed([1])
        reap()
        assert [result(ref)[0] for ref in refs] == ["not_sent", "not_sent"]


class TestParkKillers:
    def test_ends_rows_that_killed_their_worker_twice_while_claimed_alone(self, slot):
        (message,) = fill_queue(slot, make_number(), 1, now=NOON, crashes=3)
        assert park_killers() == 1
        message.refresh_from_db()
        assert (message.status, message.reason) == (Status.DEAD, Reason.WORKER_KILLED)
        assert not Due.objects.exists()

    @pytest.mark.parametrize("crashes", [1, 2])
    def test_gives_every_row_two_lives_alone(self, slot, crashes):
        fill_queue(slot, make_number(), 1, now=NOON, crashes=crashes)
        assert park_killers() == 0
        assert Due.objects.get().crashes == crashes


class TestReconcile:
    @pytest.fixture
    def intent_of(self, start, hand_over):
        """An intent of so long ago, without a journal; returns its attempt."""

        def intent_of(ago):
            with start() as lost:
                (ref,) = hand_over(lost)
            lost.path.unlink()
            Attempt.objects.filter(ref=ref).update(intent_at=clock.now() - ago)
            return Attempt.objects.get(ref=ref)

        return intent_of

    def test_an_intent_without_an_answer_is_unknown_after_ten_minutes(self, intent_of):
        lost = intent_of(11 * MINUTE)
        assert reconcile() == 1
        assert result(lost.ref) == ("unknown", "no_answer_recorded", "unknown")

    def test_an_intent_has_ten_minutes(self, intent_of):
        young = intent_of(9 * MINUTE)
        assert reconcile() == 0
        assert result(young.ref) == ("", "", "sending")

    def test_the_frontier_stops_before_an_intent_without_an_answer(self, intent_of):
        done, waits, later = intent_of(5 * MINUTE), intent_of(5 * MINUTE), intent_of(5 * MINUTE)
        for attempt in (done, later):
            store(attempt.ref, Accepted("SM1"))
        reconcile()
        assert Frontier.objects.get().attempt_id == waits.pk - 1

    def test_the_frontier_stops_where_a_lower_id_may_still_be_committed(self, intent_of):
        old, young = intent_of(2 * MINUTE), intent_of(0 * MINUTE)
        for attempt in (old, young):
            store(attempt.ref, Accepted("SM1"))
        reconcile()
        assert Frontier.objects.get().attempt_id == old.pk

    def test_the_frontier_never_goes_back(self, intent_of):
        intent_of(5 * MINUTE)
        Frontier.objects.update(attempt_id=10**9)
        reconcile()
        assert Frontier.objects.get().attempt_id == 10**9

    def test_what_lies_behind_the_frontier_is_not_looked_at(self, intent_of):
        lost = intent_of(11 * MINUTE)
        Frontier.objects.update(attempt_id=lost.pk)
        assert reconcile() == 0

    @pytest.mark.parametrize("waiting", [0, 2])
    def test_however_many_there_are_all_that_are_old_are_walked(
        self, intent_of, monkeypatch, waiting
    ):
        monkeypatch.setattr(settling, "WALKED_AT_ONCE", 2)
        lost = [intent_of(11 * MINUTE) for _ in range(5)]
        for _ in range(waiting):
            store(intent_of(2 * MINUTE).ref, Accepted("SM1"))
        young = intent_of(0 * MINUTE)
        assert reconcile() == len(lost)
        assert {result(one.ref)[0] for one in lost} == {"unknown"}
        assert Frontier.objects.get().attempt_id == young.pk - 1

    def test_of_those_that_are_young_only_the_first_are_looked_at(
        self, intent_of, monkeypatch, django_assert_num_queries
    ):
        monkeypatch.setattr(settling, "WALKED_AT_ONCE", 2)
        for _ in range(5):
            intent_of(0 * MINUTE)
        with django_assert_num_queries(4):  # the clock, the frontier, one look, one move
            reconcile()


class TestNoReport:
    HOURS = timedelta(hours=72)
    KEPT = ("account", "number", "sender", "text", "segments", "brand_day")

    @pytest.fixture
    def taken(self, start, hand_over):
        """An attempt that was accepted so long ago; its message may stand elsewhere by now."""

        def taken(ago, status=Status.ACCEPTED):
            with start() as journal:
                (ref,) = hand_over(journal)
            store(ref, Accepted("SM1"))
            Attempt.objects.filter(ref=ref).update(intent_at=clock.now() - ago)
            attempt = Attempt.objects.get(ref=ref)
            if status != Status.ACCEPTED:
                Message.objects.filter(pk=attempt.message_id).update(status=status)
            return attempt

        return taken

    def status(self, attempt):
        return Message.objects.get(pk=attempt.message_id).status

    @pytest.mark.parametrize("before", [Status.ACCEPTED, Status.SENT])
    def test_ends_what_nobody_reported_on_in_three_days(self, taken, before):
        attempt = taken(self.HOURS + MINUTE, before)
        end_unreported()
        assert self.status(attempt) == "no_report"

    def test_waits_three_days(self, taken):
        attempt = taken(self.HOURS - MINUTE)
        end_unreported()
        assert self.status(attempt) == "accepted"

    def test_leaves_what_was_reported_on(self, taken):
        attempt = taken(self.HOURS + MINUTE, Status.DELIVERED)
        end_unreported()
        assert self.status(attempt) == "delivered"

    def test_waits_for_the_attempt_that_was_taken(self, taken):
        """Another one before it was not sent."""
        attempt = taken(MINUTE)
        Attempt.objects.create(
            message=attempt.message,
            **{field: getattr(attempt, field) for field in self.KEPT},
            id=attempt.pk - 1,
            ref="n" * 22,
            outcome="not_sent",
            is_not_sent=True,
            intent_at=attempt.intent_at - self.HOURS,
        )
        end_unreported()
        assert self.status(attempt) == "accepted"
        assert Frontier.objects.get().reported_id == attempt.pk - 1

    def test_goes_through_each_attempt_once(self, taken):
        attempts = [taken(self.HOURS + MINUTE) for _ in range(3)]
        young = taken(MINUTE)
        end_unreported()
        assert Frontier.objects.get().reported_id == attempts[-1].pk < young.pk

    def test_passes_no_young_one_by(self, taken):
        """Its intent is younger than that of a later id; it is waited for."""
        young, old = taken(MINUTE), taken(self.HOURS + MINUTE)
        end_unreported()
        assert (self.status(young), self.status(old)) == ("accepted", "accepted")
        Attempt.objects.update(intent_at=clock.now() - self.HOURS - MINUTE)
        end_unreported()
        assert (self.status(young), self.status(old)) == ("no_report", "no_report")

    @pytest.mark.parametrize("chunk", [1, 2, 500])
    def test_goes_through_all_in_chunks(self, taken, chunk, monkeypatch):
        monkeypatch.setattr(settling, "CHUNK", chunk)
        attempts = [taken(self.HOURS + MINUTE) for _ in range(3)]
        end_unreported()
        assert {self.status(attempt) for attempt in attempts} == {"no_report"}
