"""Reports that cannot be read, applied or matched."""

from __future__ import annotations

from itertools import chain, repeat

import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
)

from delivery import inbox
from delivery.models import Attempt, Due, ReportWord, WebhookEvent
from delivery.reports import Standing
from providers.base import Accepted, NotSent
from providers.models import ProviderAccount
from tests.delivery import arriving
from tests.delivery.arriving import answer, arrive, attempts_of, result, results, status, tally
from tests.delivery.walking import hand_over
from tests.factories import NOON, make_account

pytestmark = pytest.mark.django_db

sent = arriving.sent
attempt = arriving.attempt

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
