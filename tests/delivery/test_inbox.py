from __future__ import annotations

import contextlib
from datetime import timedelta
from itertools import chain, repeat

import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

from brands import clock
from delivery import inbox, outcomes, revival, sql
from delivery.models import Attempt, Due, Message, ReportWord, WebhookEvent, WebhookTally
from delivery.outcomes import Settled, record
from delivery.reports import Standing
from providers.base import Accepted, Callback, NotSent
from providers.models import ProviderAccount
from providers.registry import ADAPTERS
from tests.delivery.callers import report_fields
from tests.delivery.waiting import while_held
from tests.delivery.walking import hand_over
from tests.factories import NOON, fill_queue, make_account

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def sent(slot, lane, journal):
    """So many messages that were handed over, and of which nothing was heard yet."""

    def sent(many):
        fill_queue(slot, lane, many, now=NOON)
        return attempts_of(hand_over(journal))

    return sent


@pytest.fixture
def attempt(sent):
    return sent(1)[0]


def arrive(attempt, word="delivered", *, account=None, ref=None, **fields):
    """A report on the attempt comes into the inbox; returns its entry."""
    account = account or attempt.account
    fields = {"provider_ref": f"SM{attempt.pk}", "to": attempt.message.person.phone, **fields}
    callback = Callback(
        method="POST",
        url="",
        headers={},
        query={"ref": attempt.ref if ref is None else ref},
        form=report_fields(account, word=word, **fields),
        body=b"",
    )
    inbox.append(account.pk, [(ADAPTERS[account.kind].read_callback(callback), callback)])
    return WebhookEvent.objects.latest("id")


def attempts_of(intents):
    ids = [intent.attempt_id for intent in intents]
    return list(Attempt.objects.filter(pk__in=ids).order_by("pk"))


def answer(attempt, outcome):
    record([Settled(attempt.pk, attempt.message_id, outcome)])


def status(attempt):
    return Message.objects.get(pk=attempt.message_id).status


def result(event):
    """What became of an entry of the inbox; None while it waits."""
    event.refresh_from_db()
    return event.result if event.applied_at else None


def results():
    events = WebhookEvent.objects.order_by("id")
    return [event.result if event.applied_at else None for event in events]


def age(event, by):
    WebhookEvent.objects.filter(pk=event.pk).update(received_at=clock.now() - by)


def tally():
    return {(one.account_id, one.what): one.count for one in WebhookTally.objects.all()}


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


UNREADABLE = {
    "nothing": {},
    "another form": {"a": 1},
    "a list": [1],
    "no report": {"method": "POST", "query": {}, "form": {}},
    "a text": {
        "method": "POST",
        "query": {},
        "form": {"MessageSid": "SM1", "From": "+12125550111", "Body": "STOP"},
    },
}


class TestAReportThatCannotBeReadAgain:
    @pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE.keys())
    def test_is_settled_as_such_and_counted(self, attempt, raw):
        event = arrive(attempt)
        WebhookEvent.objects.update(raw=raw)
        assert inbox.apply_waiting() == 1
        assert (status(attempt), result(event)) == ("sending", "unreadable")
        assert tally() == {(attempt.account_id, "unreadable"): 1}

    def test_of_an_adapter_that_is_gone_is_one_too(self, attempt):
        event = arrive(attempt)
        ProviderAccount.objects.update(kind="pigeon")
        inbox.apply_waiting()
        assert result(event) == "unreadable"

    def test_keeps_nobody_else_waiting(self, sent):
        one, other = sent(2)
        bad, good = arrive(one), arrive(other)
        WebhookEvent.objects.filter(pk=bad.pk).update(raw={})
        assert inbox.apply_waiting() == 2
        assert (result(bad), result(good)) == ("unreadable", "applied")


@pytest.fixture
def breaks(monkeypatch):
    """Applying the report with this provider's id fails: each time, or by these in turn."""

    def breaks(provider_ref, error, *later):
        original, errors = Standing.take, chain([error], later or repeat(error))

        def take(standing, report):
            if report.provider_ref == provider_ref:
                raise next(errors)
            return original(standing, report)

        monkeypatch.setattr(Standing, "take", take)

    return breaks


class TestAReportThatCannotBeApplied:
    @pytest.mark.parametrize("error", [DataError, IntegrityError, KeyError])
    @pytest.mark.parametrize("chunk", [1, 2, 1000])
    def test_is_put_aside_and_keeps_nobody_waiting(self, sent, breaks, error, chunk, monkeypatch):
        monkeypatch.setattr(inbox, "CHUNK", chunk)
        attempts = sent(5)
        events = [arrive(attempt) for attempt in attempts]
        breaks(f"SM{attempts[2].pk}", error())
        assert inbox.apply_waiting() == 5
        assert [result(event) for event in events] == ["applied"] * 2 + ["broken"] + ["applied"] * 2
        assert [status(attempt) for attempt in attempts].count("delivered") == 4
        assert status(attempts[2]) == "sending"

    def test_is_applied_when_the_fault_is_mended_and_a_person_asks_for_it(
        self, attempt, breaks, monkeypatch
    ):
        event = arrive(attempt)
        breaks(f"SM{attempt.pk}", KeyError())
        inbox.apply_waiting()
        monkeypatch.undo()
        WebhookEvent.objects.update(applied_at=None)
        inbox.apply_waiting()
        assert (status(attempt), result(event)) == ("delivered", "applied")

    def test_is_no_report_when_the_database_is_away(self, sent, breaks):
        attempts = sent(2)
        events = [arrive(attempt) for attempt in attempts]
        breaks(f"SM{attempts[1].pk}", OperationalError())
        with pytest.raises(OperationalError):
            inbox.apply_waiting()
        assert [result(event) for event in events] == [None, None]

    def test_is_none_either_when_it_goes_away_meanwhile(self, attempt, breaks):
        event = arrive(attempt)
        breaks(f"SM{attempt.pk}", KeyError(), OperationalError())
        with pytest.raises(OperationalError):
            inbox.apply_waiting()
        assert result(event) is None

    def test_is_left_to_another_applier_that_came_between(self, attempt, breaks, monkeypatch):
        """It finds the lock taken when it goes on one by one."""
        original = inbox._apply_next

        def when_another_is_at_it(run, most):
            if most == 1:
                monkeypatch.setattr(inbox, "IS_ALONE", "SELECT %s = 0")
            return original(run, most)

        monkeypatch.setattr(inbox, "_apply_next", when_another_is_at_it)
        event = arrive(attempt)
        breaks(f"SM{attempt.pk}", KeyError())
        assert inbox.apply_waiting() == 0
        assert result(event) is None

    def test_a_fault_that_is_no_reports_is_raised(self, attempt, monkeypatch):
        arrive(attempt)
        monkeypatch.setattr(inbox, "EVENTS", "SELECT nothing")
        with pytest.raises(ProgrammingError):
            inbox.apply_waiting()


class TestAReportThatDoesNotFit:
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param(lambda: {"account": make_account()}, id="another account"),
            pytest.param(lambda: {"provider_ref": "SM-other"}, id="another id"),
            pytest.param(lambda: {"to": "+12125559999"}, id="another recipient"),
        ],
    )
    def test_changes_nothing_and_is_counted(self, attempt, changes):
        answer(attempt, Accepted(f"SM{attempt.pk}"))
        before = Attempt.objects.values().get()
        event = arrive(attempt, "failed", **changes())
        assert inbox.apply_waiting() == 1
        assert (status(attempt), result(event)) == ("accepted", "mismatch")
        assert Attempt.objects.values().get() == before
        assert tally() == {(event.account_id, "mismatch"): 1}

    def test_with_an_id_that_cannot_be_kept_changes_nothing(self, attempt):
        event = arrive(attempt, provider_ref="S" * 65)
        inbox.apply_waiting()
        assert (status(attempt), result(event)) == ("sending", "mismatch")

    def test_does_not_keep_the_one_that_fits_from_counting(self, attempt):
        bad = arrive(attempt, "failed", to="+12125559999")
        good = arrive(attempt, "delivered")
        inbox.apply_waiting()
        assert (result(bad), result(good)) == ("mismatch", "applied")
        assert status(attempt) == "delivered"

    def test_fits_whatever_form_the_number_has(self, attempt):
        event = arrive(attempt, to=attempt.message.person.phone.lstrip("+"))
        inbox.apply_waiting()
        assert result(event) == "applied"


class TestAMessageThatWasThoughtNotSent:
    def test_is_taken_out_of_the_queue_then_moved_by_the_next_walk(self, attempt):
        answer(attempt, NotSent("no_connection"))
        event = arrive(attempt)
        assert inbox.apply_waiting() == 0
        assert (status(attempt), result(event)) == ("accepted", None)
        assert not Due.objects.exists()
        assert inbox.apply_waiting() == 1
        assert (status(attempt), result(event)) == ("delivered", "applied")

    @pytest.mark.parametrize("chunk", [1, 1000])
    def test_is_moved_by_the_first_report_whatever_comes_after_it(
        self, attempt, chunk, monkeypatch
    ):
        monkeypatch.setattr(inbox, "CHUNK", chunk)
        answer(attempt, NotSent("no_connection"))
        arrive(attempt, "delivered")
        arrive(attempt, "undelivered")
        inbox.apply_waiting()
        inbox.apply_waiting()
        assert status(attempt) == "delivered"
        assert results() == ["applied", "no_news"]

    def test_and_was_sent_again_is_left_alone(self, attempt, journal):
        answer(attempt, NotSent("no_connection"))
        Due.objects.update(not_before=NOON)
        (again,) = attempts_of(hand_over(journal))
        answer(again, Accepted("SM-again"))
        events = [arrive(attempt, "sent"), arrive(attempt, "failed")]
        inbox.apply_waiting()
        assert [result(event) for event in events] == ["taken_twice"] * 2
        assert status(attempt) == "accepted"
        assert inbox.is_waiting() is False

    def test_keeps_nobody_else_waiting(self, sent):
        one, other = sent(2)
        answer(one, NotSent("no_connection"))
        arrive(one)
        event = arrive(other)
        assert inbox.apply_waiting() == 1
        assert result(event) == "applied"


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


class TestAWordThatNobodyKnows:
    def words(self):
        return list(ReportWord.objects.order_by("word").values_list("word", "count"))

    def test_is_counted_and_moves_the_message_no_further_than_taken(self, attempt):
        arrive(attempt, "levitating")
        inbox.apply_waiting()
        assert (status(attempt), self.words()) == ("accepted", [("levitating", 1)])
        assert ReportWord.objects.get().account_id == attempt.account_id

    def test_is_counted_each_time_it_comes(self, sent):
        for attempt in sent(3):
            arrive(attempt, "levitating")
        arrive(attempt, "x" * 60)
        inbox.apply_waiting()
        assert self.words() == [("levitating", 3), ("x" * 40, 1)]

    def test_is_counted_once_it_is_settled(self, attempt):
        arrive(attempt, "levitating", ref="unheard-of")
        inbox.apply_waiting()
        inbox.apply_waiting()
        assert self.words() == []

    def test_leaves_a_word_that_is_known_uncounted(self, attempt):
        arrive(attempt)
        inbox.apply_waiting()
        assert self.words() == []
