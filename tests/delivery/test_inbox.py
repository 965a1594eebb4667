"""None"""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from django.db import (
    OperationalError,
    connection,
    transaction,
)

from brands import clock
from delivery import inbox, outcomes, revival, sql
from delivery.models import Attempt, WebhookEvent
from providers.base import NotSent
from tests.delivery import arriving
from tests.delivery.arriving import answer, arrive, result, results, status, tally
from tests.delivery.waiting import while_held

pytestmark = pytest.mark.django_db

sent = arriving.sent
attempt = arriving.attempt

MINUTE = timedelta(minutes=1)


def age(event, by):
    WebhookEvent.objects.filter(pk=event.pk).update(received_at=clock.now() - by)


class TestApplyWaiting:
    def test_moves_the_message_and_settles_the_report(self, attempt):
        event = arrive(attempt)
        assert inbox.apply_waiting() == 1
        assert (status(attempt), result(event)) == ("delivered", "applied")
        assert tally() == {}

    def test_settles_each_report_once(self, attempt):
        arrive(attempt)
        assert [inbox.apply_waiting(), inbox.apply_waiting()] == [1, 0]

    def test_does_nothing_with_an_empty_inbox(self, sandbox):
        assert inbox.apply_waiting() == 0

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["delivered", "undelivered"], "delivered"),
            (["undelivered", "delivered"], "undelivered"),
            (["failed", "sent", "delivered"], "failed"),
            (["sent", "delivered", "failed"], "delivered"),
        ],
        ids=",".join,
    )
    @pytest.mark.parametrize("chunk", [1, 2, 1000])
    def test_goes_by_the_order_in_which_they_came(
        self, attempt, words, expected, chunk, monkeypatch
    ):
        monkeypatch.setattr(inbox, "CHUNK", chunk)
        events = [arrive(attempt, word) for word in words]
        for event, minutes in zip(events, range(3), strict=False):
            age(event, minutes * MINUTE)  # later ones look older: times do not count
        assert inbox.apply_waiting() == len(words)
        assert status(attempt) == expected

    def test_goes_on_until_nothing_is_left(self, sent, monkeypatch):
        monkeypatch.setattr(inbox, "CHUNK", 3)
        attempts = sent(10)
        for attempt in attempts:
            arrive(attempt)
        assert inbox.apply_waiting() == 10
        assert {status(attempt) for attempt in attempts} == {"delivered"}

    def test_takes_as_many_statements_for_one_as_for_300(self, sent, statements):
        def applied(many):
            for attempt in sent(many):
                arrive(attempt)
            return statements(inbox.apply_waiting)

        assert (
            applied(1) == applied(300) <= 17
        )  # horizon; eleven, savepoint and release among them; five to see the end
        assert set(results()) == {"applied"}

    def test_leaves_everything_when_the_database_goes_away(self, attempt, monkeypatch):
        def fail(*arguments):
            raise OperationalError

        event = arrive(attempt)
        with monkeypatch.context() as patched:
            patched.setattr(outcomes, "_believe", fail)
            patched.setattr(outcomes, "_write_reported", fail)
            with pytest.raises(OperationalError):
                inbox.apply_waiting()
        assert (status(attempt), result(event)) == ("sending", None)
        assert inbox.apply_waiting() == 1
        assert (status(attempt), result(event)) == ("delivered", "applied")


class TestIsWaiting:
    def test_says_whether_anything_is_not_applied(self, attempt):
        assert inbox.is_waiting() is False
        arrive(attempt)
        assert inbox.is_waiting() is True
        inbox.apply_waiting()
        assert inbox.is_waiting() is False


@pytest.mark.django_db(transaction=True)
class TestWhatIsNotCommittedYet:
    def test_holds_back_what_has_a_higher_id(self, attempt):
        def second_and_apply():
            arrive(attempt, "undelivered")
            return inbox.apply_waiting()

        with while_held(lambda: arrive(attempt, "delivered"), second_and_apply) as applied:
            assert applied == []
            assert WebhookEvent.objects.filter(applied_at__isnull=False).count() == 0
        assert applied == [2]
        assert status(attempt) == "delivered"

    def test_lets_the_applier_give_up_after_a_while(self, attempt, at_once, monkeypatch):
        def apply(_):
            sql.rows("SET statement_timeout = '5s'")
            with pytest.raises(OperationalError, match="lock timeout"):
                inbox.apply_waiting()

        monkeypatch.setattr(inbox, "HORIZON", inbox.HORIZON.replace("'2s'", "'50ms'"))
        event = arrive(attempt, "sent")
        with transaction.atomic():
            arrive(attempt, "delivered")
            at_once(apply, threads=1)
            assert result(event) is None
        assert inbox.apply_waiting() == 2
        assert status(attempt) == "delivered"

    def test_may_be_rolled_back(self, attempt):
        with transaction.atomic():
            arrive(attempt, "failed")
            transaction.set_rollback(True)
        arrive(attempt, "delivered")
        assert inbox.apply_waiting() == 1
        assert status(attempt) == "delivered"

    def test_does_not_keep_others_from_appending(self, sent, at_once):
        def append(_):
            sql.rows("SET lock_timeout = '5s'")
            arrive(other)

        one, other = sent(2)
        with transaction.atomic():
            arrive(one)
            at_once(append, threads=1)
        assert inbox.apply_waiting() == 2


@pytest.mark.django_db(transaction=True)
class TestTwoAppliers:
    def test_one_does_nothing_while_another_is_at_it(self, attempt, at_once):
        event = arrive(attempt)
        with transaction.atomic():
            sql.rows("SELECT pg_advisory_xact_lock(%s)", inbox.APPLIER)
            assert at_once(lambda _: inbox.apply_waiting(), threads=1) == [0]
            assert result(event) is None
        assert inbox.apply_waiting() == 1

    def test_settle_each_report_once_and_in_order(self, sent, at_once, monkeypatch):
        monkeypatch.setattr(inbox, "CHUNK", 7)
        attempts = sent(60)
        for word in ("sent", "delivered", "failed"):
            for attempt in attempts:
                arrive(attempt, word)
        assert sum(at_once(lambda _: inbox.apply_waiting(), threads=4)) == 180
        inbox.apply_waiting()
        assert {status(attempt) for attempt in attempts} == {"delivered"}
        assert results() == ["applied"] * 120 + ["no_news"] * 60

    def test_that_revive_the_same_message_lose_no_report(self, attempt, at_once, monkeypatch):
        """One has seen the report and the other is quicker."""
        original = revival.revive

        def after_another(attempt_id):
            monkeypatch.setattr(revival, "revive", original)
            assert at_once(lambda _: inbox.apply_waiting(), threads=1) == [0]
            return original(attempt_id)

        answer(attempt, NotSent("no_connection"))
        event = arrive(attempt)
        monkeypatch.setattr(revival, "revive", after_another)
        inbox.apply_waiting()
        inbox.apply_waiting()
        assert (status(attempt), result(event)) == ("delivered", "applied")


class TestAReportOnNoAttemptOfOurs:
    def test_waits(self, attempt):
        event = arrive(attempt, ref="unheard-of")
        assert inbox.apply_waiting() == 0
        assert result(event) is None
        assert tally() == {}

    def test_is_applied_when_the_attempt_turns_up(self, attempt):
        event = arrive(attempt, ref="later")
        inbox.apply_waiting()
        Attempt.objects.update(ref="later")
        assert inbox.apply_waiting() == 1
        assert (status(attempt), result(event)) == ("delivered", "applied")

    def test_is_still_applied_when_that_took_long(self, attempt):
        event = arrive(attempt)
        age(event, 60 * MINUTE)
        inbox.apply_waiting()
        assert result(event) == "applied"

    @pytest.mark.parametrize(
        ("minutes", "expected"), [(9, None), (10, "orphan")], ids=["in time", "over"]
    )
    def test_is_an_orphan_after_ten_minutes(self, attempt, minutes, expected):
        event = arrive(attempt, ref="unheard-of")
        age(event, minutes * MINUTE)
        inbox.apply_waiting()
        assert result(event) == expected
        assert tally() == ({(attempt.account_id, "orphan"): 1} if expected else {})

    def test_is_an_orphan_once(self, attempt):
        age(arrive(attempt, ref="unheard-of"), 11 * MINUTE)
        assert [inbox.apply_waiting(), inbox.apply_waiting()] == [1, 0]
        assert tally() == {(attempt.account_id, "orphan"): 1}

    def test_without_our_reference_is_one_too(self, attempt):
        event = arrive(attempt, ref="")
        age(event, 11 * MINUTE)
        inbox.apply_waiting()
        assert result(event) == "orphan"

    @pytest.mark.parametrize("chunk", [1, 1000])
    def test_keeps_nobody_else_waiting(self, attempt, chunk, monkeypatch):
        monkeypatch.setattr(inbox, "CHUNK", chunk)
        lost = arrive(attempt, ref="unheard-of", provider_ref="SM-lost")
        event = arrive(attempt)
        assert inbox.apply_waiting() == 1
        assert (result(lost), result(event)) == (None, "applied")

    def test_is_not_overtaken_by_a_later_one_on_the_same_attempt(self, attempt, monkeypatch):
        """The attempt turns up between two chunks of one walk."""
        original = outcomes.apply_reports

        def then_it_turns_up(reports):
            applied = original(reports)
            Attempt.objects.update(ref="later")
            return applied

        monkeypatch.setattr(inbox, "CHUNK", 1)
        monkeypatch.setattr(outcomes, "apply_reports", then_it_turns_up)
        arrive(attempt, "delivered", ref="later")
        arrive(attempt, "undelivered", ref="later")
        assert inbox.apply_waiting() == 0
        assert inbox.apply_waiting() == 2
        assert status(attempt) == "delivered"


@pytest.mark.django_db(transaction=True)
def test_an_applier_that_stands_still_for_long_is_ended(sandbox, monkeypatch):
    """It was frozen while it read an answer, which no time-out of the server sees."""
    quick = inbox.END_FROZEN.replace("30 seconds", "0 seconds")
    assert quick != inbox.END_FROZEN
    monkeypatch.setattr(inbox, "END_FROZEN", quick)
    with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [inbox.APPLIER])
        assert inbox.apply_waiting() == 0
        with pytest.raises(OperationalError):
            cursor.execute("SELECT 1")
