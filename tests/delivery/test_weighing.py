from __future__ import annotations

import logging
import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brands import clock
from delivery import outcomes, pipeline, tasks, weighing
from delivery.models import AccountTally, Attempt
from delivery.outcomes import Settled
from delivery.sender import NOT_JOURNALED, Answered
from delivery.weighing import Heard, next_halves, weigh
from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected, Unknown
from providers.models import Halves, ProviderAccount, WeightChange
from providers.transport import TOO_LATE
from tests.delivery import walking
from tests.factories import NOON, fill_queue, make_account, make_slot, set_clock

OUT, HALF, FULL = Halves.OUT, Halves.HALF, Halves.FULL
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def after(halves, answered, lost, since=MINUTE):
    change = next_halves(halves, Heard(answered, lost), since=since)
    return halves if change is None else change.halves


class TestNextHalves:
    @pytest.mark.parametrize(
        ("answered", "lost", "halves"),
        [
            pytest.param(0, 0, FULL, id="nothing-heard"),
            pytest.param(91, 9, FULL, id="under-a-tenth-lost"),
            pytest.param(90, 10, HALF, id="a-tenth"),
            pytest.param(51, 49, HALF, id="nearly-half"),
            pytest.param(50, 50, OUT, id="half-of-them"),
            pytest.param(5, 4, FULL, id="too-few-to-tell"),
            pytest.param(0, 4, FULL, id="four-and-no-answer"),
            pytest.param(0, 5, OUT, id="five-and-no-answer"),
            pytest.param(1, 8, FULL, id="few-and-one-answer"),
        ],
    )
    def test_take_away_what_the_losses_say(self, answered, lost, halves):
        assert after(FULL, answered, lost) == halves

    @pytest.mark.parametrize(
        ("answered", "lost", "seconds", "halves"),
        [
            pytest.param(100, 1, 60, FULL, id="a-minute-and-hardly-any-lost"),
            pytest.param(100, 1, 59, HALF, id="not-a-minute-yet"),
            pytest.param(98, 2, 60, HALF, id="two-of-a-hundred-lost"),
            pytest.param(0, 0, 600, HALF, id="nothing-heard"),
            pytest.param(80, 20, 600, HALF, id="a-fifth-lost"),
            pytest.param(50, 50, 0, OUT, id="half-of-them-lost"),
        ],
    )
    def test_of_half_weight_want_a_minute_of_proof(self, answered, lost, seconds, halves):
        assert after(HALF, answered, lost, since=seconds * SECOND) == halves

    @pytest.mark.parametrize(
        ("answered", "lost", "halves"), [(1, 0, HALF), (1, 3, HALF), (0, 3, OUT), (0, 0, OUT)]
    )
    def test_of_an_account_that_is_out_want_a_trial_that_was_answered(self, answered, lost, halves):
        assert after(OUT, answered, lost) == halves

    @pytest.mark.parametrize(
        ("heard", "words"),
        [
            (Heard(89, 31), "31 of 120 answers in the last minute were lost or 5xx"),
            (Heard(9, 1), "1 of 10 answers in the last minute was lost or 5xx"),
        ],
    )
    def test_say_why(self, heard, words):
        assert next_halves(FULL, heard, since=MINUTE).reason == words


# --- tallies -------------------------------------------------------------------------------------

pytestmark = pytest.mark.django_db

COLUMNS = ("accepted", "rejected", "not_sent", "throttled", "unreachable", "unknown")


@pytest.fixture
def intents(lane, journal):
    """Hand over so many messages, due now."""

    def intents(many):
        fill_queue(make_slot(lane), lane, many, now=NOON)
        return walking.hand_over(journal)

    return intents


def came_back(intents, *results):
    return [Answered(intent, found) for intent, found in zip(intents, results, strict=True)]


def tallies():
    return {
        name: sum(AccountTally.objects.values_list(name, flat=True))
        for name in COLUMNS
        if any(AccountTally.objects.values_list(name, flat=True))
    }


class TestTallies:
    @pytest.mark.parametrize(
        ("outcome", "column"),
        [
            pytest.param(Accepted("u1"), "accepted", id="accepted"),
            pytest.param(Rejected(ErrorClass.PERMANENT_CONTENT, "1"), "rejected", id="rejected"),
            pytest.param(NotSent("20003", fault=Fault.ACCOUNT), "not_sent", id="fault"),
            pytest.param(NotSent("429", throttled=True), "throttled", id="throttled"),
            pytest.param(NotSent("no", unreachable=True), "unreachable", id="unreachable"),
            pytest.param(Unknown("500"), "unknown", id="5xx"),
            pytest.param(Accepted("two words"), "unknown", id="an-id-nobody-can-read"),
        ],
    )
    def test_count_an_answer_by_what_it_is(self, intents, outcome, column):
        pipeline.record_answers(came_back(intents(1), outcome))
        assert tallies() == {column: 1}

    @pytest.mark.parametrize("outcome", [NOT_JOURNALED, TOO_LATE], ids=["journal", "too-late"])
    def test_leave_out_what_we_did_not_send(self, intents, outcome):
        pipeline.record_answers(came_back(intents(1), outcome))
        assert not AccountTally.objects.exists()

    def test_leave_out_what_a_dead_workers_journal_tells(self, intents):
        """That its worker was killed says nothing about the provider."""
        (intent,) = intents(1)
        outcomes.record([Settled(intent.attempt_id, intent.message_id, Unknown("died"))])
        assert not AccountTally.objects.exists()

    def test_count_an_answer_once_however_often_it_is_stored(self, intents):
        answers = came_back(intents(1), Unknown("timeout"))
        pipeline.record_answers(answers)
        pipeline.record_answers(answers)
        assert tallies() == {"unknown": 1}

    def test_have_a_row_for_each_journal_and_ten_seconds(self, intents, journal):
        three = intents(3)
        for intent in three:
            pipeline.record_answers(came_back([intent], Accepted(f"u{intent.attempt_id}")))
        row = AccountTally.objects.latest("at")
        assert (row.sender, row.account_id) == (UUID(str(journal.sender)), three[0].account_id)
        assert row.at.second % 10 == row.at.microsecond == 0
        assert timedelta(0) <= Attempt.objects.latest("id").answered_at - row.at < 10 * SECOND
        assert tallies() == {"accepted": 3}

    def test_cost_no_statement(self, intents):
        answers = came_back(intents(2), Accepted("u1"), Accepted("u2"))
        with CaptureQueriesContext(connection) as queries:
            pipeline.record_answers(answers)
        told = [query["sql"].split()[0] for query in queries]
        assert told == ["SAVEPOINT", "SELECT", "WITH", "UPDATE", "RELEASE"]

    def test_are_kept_for_two_hours(self, lane):
        old = a_tally(lane.account, 180 * MINUTE, accepted=1)
        young = a_tally(lane.account, 90 * MINUTE, accepted=1)
        assert weighing.forget_old in tasks.TIDYING
        weighing.forget_old()
        assert list(AccountTally.objects.all()) == [young]
        assert old.pk != young.pk


# --- the weigher ---------------------------------------------------------------------------------


def a_tally(account, ago=20 * SECOND, **counts):
    at = clock.now() - ago
    return AccountTally.objects.create(account=account, at=at, sender=UUID(int=1), **counts)


@pytest.fixture
def account(sandbox):
    return make_account()


def state(account):
    account.refresh_from_db()
    return account.halves


class TestTheWeigher:
    def test_moves_an_account_and_says_why(self, account, caplog):
        a_tally(account, accepted=80, rejected=9, unknown=31)
        assert weigh() == 1
        row = WeightChange.objects.get()
        assert state(account) == HALF
        assert clock.now() - account.halves_since < MINUTE
        assert (row.account, row.halves_before, row.halves_after) == (account, FULL, HALF)
        assert row.reason == "31 of 120 answers in the last minute were lost or 5xx"
        assert row.moved == "full weight to half weight"
        (line,) = [line for line in caplog.records if line.levelno == logging.WARNING]
        assert (line.message, line.account_id) == ("an account's weight moved", account.pk)

    def test_adds_up_what_all_workers_heard(self, account):
        at = clock.now()
        for n in range(10):
            AccountTally.objects.create(account=account, at=at, sender=UUID(int=n), unknown=1)
        weigh()
        assert state(account) == OUT

    @pytest.mark.parametrize(
        "counts",
        [{"throttled": 50}, {"unreachable": 50}, {"not_sent": 50}, {"rejected": 50}],
        ids=lambda counts: next(iter(counts)),
    )
    def test_leaves_what_others_rest_and_pause(self, account, counts):
        a_tally(account, **counts)
        assert (weigh(), state(account)) == (0, FULL)

    def test_forgets_what_is_older_than_a_minute(self, account):
        a_tally(account, 2 * MINUTE, unknown=50)
        assert weigh() == 0

    def test_judges_nobody_twice_by_the_same_losses(self, account):
        a_tally(account, accepted=59, unknown=61)
        assert [weigh(), weigh(), state(account)] == [1, 0, OUT]

    def test_brings_back_who_answered_a_trial_and_then_a_minute_more(self, account):
        a_tally(account, unknown=60)
        weigh()
        set_clock(clock.now() + 40 * SECOND)
        a_tally(account, SECOND, accepted=1)
        weigh()
        assert (state(account), account.probe_until) == (HALF, None)
        set_clock(clock.now() + 70 * SECOND)
        a_tally(account, SECOND, accepted=40)
        weigh()
        assert state(account) == FULL
        told = WeightChange.objects.order_by("id").values_list("halves_after", flat=True)
        assert list(told) == [OUT, HALF, FULL]

    def test_leaves_a_pinned_account_alone_until_the_pin_is_over(self, account):
        a_tally(account, unknown=60)
        ProviderAccount.objects.update(pinned_until=clock.now() + MINUTE)
        assert (weigh(), state(account)) == (0, FULL)
        ProviderAccount.objects.update(pinned_until=clock.now())
        assert (weigh(), state(account)) == (1, OUT)

    def test_leaves_a_pin_that_came_while_it_was_looking(self, account, monkeypatch):
        a_tally(account, unknown=60)

        def look(*args, **kwargs):
            ProviderAccount.objects.update(pinned_until=clock.now() + MINUTE)
            return next_halves(*args, **kwargs)

        monkeypatch.setattr(weighing, "next_halves", look)
        assert (weigh(), state(account)) == (0, FULL)
        assert not WeightChange.objects.exists()

    def test_asks_two_things_however_many_accounts_there_are(self, account):
        for _ in range(5):
            a_tally(make_account(), accepted=100)
        with CaptureQueriesContext(connection) as queries:
            weigh()
        assert len(queries) == 2


@pytest.mark.django_db(transaction=True)
def test_several_weighers_at_once_move_an_account_once(account, at_once, monkeypatch):
    """Both have looked before either moves it."""
    a_tally(account, unknown=60)
    meeting = threading.Barrier(2)

    def look(*args, **kwargs):
        meeting.wait(30)
        return next_halves(*args, **kwargs)

    monkeypatch.setattr(weighing, "next_halves", look)
    assert sorted(at_once(lambda _: weigh())) == [0, 1]
    assert WeightChange.objects.count() == 1
