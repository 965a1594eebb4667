"""Delivery reports as they are applied, by `outcomes.apply_reports`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from compliance.models import OptOutEvent, Person
from delivery.models import Attempt, Message
from delivery.outcomes import apply_reports
from leads.models import Lead
from providers.base import Accepted, ErrorClass, NotSent, Rejected, Unknown
from providers.base import Status as Word
from tests.delivery import walking
from tests.delivery.walking import come_back, reported, snapshot
from tests.factories import (
    NOON,
    fill_queue,
    make_due,
    make_lead,
    make_person,
)

pytestmark = pytest.mark.django_db

REJECTED = Rejected(ErrorClass.PERMANENT_RECIPIENT, "21211")
UNKNOWN = Unknown("timeout")
STOPPED = {"error_class": ErrorClass.PERMANENT_RECIPIENT, "opted_out": True}
DEAD_NUMBER = {"error_class": ErrorClass.PERMANENT_RECIPIENT}
BLOCKED = {"error_class": ErrorClass.PERMANENT_RECIPIENT, "carrier_blocked": True}


@pytest.fixture
def message(slot, lane):
    return make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON)


@pytest.fixture
def intent(message, journal):
    """The message's, whose answer is awaited."""
    (intent,) = walking.hand_over(journal)
    return intent


@pytest.fixture
def taken(intent):
    """The intent, whose message the provider took under the id that its reports have."""
    come_back([intent], Accepted(f"SM{intent.send.ref}"))
    return intent


@pytest.fixture
def intents(slot, lane, journal):
    """Many at once."""

    def intents(many):
        fill_queue(slot, lane, many, now=NOON)
        return walking.hand_over(journal)

    return intents


def told(*reports):
    """Apply these reports together; says what became of each."""
    results = apply_reports(reports).results
    return [results.get(one.event_id) for one in reports]


def status():
    return Message.objects.get().status


def person():
    return Person.objects.get()


class TestAReport:
    def test_moves_its_message_and_stands_on_its_attempt(self, taken):
        assert told(reported(taken, Word.UNDELIVERED, code="30003")) == ["applied"]
        attempt = Attempt.objects.get()
        assert status() == "undelivered"
        assert (attempt.report_status, attempt.report_code) == ("undelivered", "30003")
        assert attempt.reported_at > attempt.intent_at

    def test_leaves_the_answer_as_it_was(self, taken):
        before = Attempt.objects.get()
        told(reported(taken))
        after = Attempt.objects.get()
        for name in ("outcome", "provider_refs", "answered_at", "code"):
            assert getattr(after, name) == getattr(before, name)

    def test_of_sent_after_delivered_is_no_news(self, taken):
        assert told(reported(taken), reported(taken, Word.SENT)) == ["applied", "no_news"]
        assert status() == Attempt.objects.get().report_status == "delivered"

    @pytest.mark.parametrize("together", [True, False], ids=["together", "one-by-one"])
    @pytest.mark.parametrize(
        ("first", "second"), [(Word.DELIVERED, Word.FAILED), (Word.FAILED, Word.DELIVERED)]
    )
    def test_that_is_the_second_final_one_changes_nothing(self, taken, first, second, together):
        both = [reported(taken, first), reported(taken, second)]
        results = told(*both) if together else told(both[0]) + told(both[1])
        assert results == ["applied", "no_news"]
        assert status() == Attempt.objects.get().report_status == first

    def test_of_delivery_follows_the_lack_of_one(self, taken):
        told(reported(taken, Word.UNKNOWN))
        assert status() == "no_report"
        assert told(reported(taken)) == ["applied"]
        assert status() == "delivered"

    @pytest.mark.parametrize("word", [Word.DELIVERED, Word.SENT, Word.ACCEPTED])
    def test_of_one_that_was_rejected_is_shown_and_moves_nothing(self, intent, word):
        come_back([intent], REJECTED)
        assert told(reported(intent, word)) == ["was_rejected"]
        attempt = Attempt.objects.get()
        assert status() == "rejected"
        assert (attempt.outcome, attempt.report_status) == ("rejected", word)

    def test_of_no_attempt_of_ours_is_left_out(self, taken):
        assert told(reported(taken, ref="nobody")) == [None]
        assert status() == "accepted"

    @pytest.mark.parametrize(
        "fields",
        [{"account_id": 999_999}, {"provider_ref": "SM9"}, {"recipient_e164": "+12125550199"}],
        ids=["another-account", "another-id", "another-recipient"],
    )
    def test_that_does_not_fit_its_attempt_changes_nothing(self, taken, fields):
        before = snapshot()
        assert told(reported(taken, Word.UNDELIVERED, **STOPPED, **fields)) == ["mismatch"]
        assert snapshot() == before

    def test_that_does_not_fit_leaves_the_next_its_due(self, taken):
        results = told(reported(taken, Word.FAILED, provider_ref="SM9"), reported(taken))
        assert results == ["mismatch", "applied"]
        assert status() == "delivered"

    def test_never_touches_caps_or_the_persons_allowance(self, taken):
        before = walking.caps(), person().recent
        told(reported(taken, Word.FAILED))
        assert (walking.caps(), person().recent) == before


LATE = [Accepted("SM-late"), REJECTED, NotSent("no_connection", unreachable=True), UNKNOWN]


class TestBeforeOurOwnRecord:
    @pytest.mark.parametrize("word", [Word.ACCEPTED, Word.SENT, Word.DELIVERED, Word.FAILED])
    def test_moves_the_message(self, intent, word):
        assert told(reported(intent, word)) == ["applied"]
        attempt = Attempt.objects.get()
        assert status() == word
        assert (attempt.outcome, attempt.provider_refs) == ("accepted", [f"SM{intent.send.ref}"])
        assert attempt.answered_at is not None

    @pytest.mark.parametrize("late", LATE, ids=["accepted", "rejected", "not-sent", "unknown"])
    @pytest.mark.parametrize("word", [Word.ACCEPTED, Word.DELIVERED, Word.UNKNOWN])
    def test_our_late_record_changes_nothing(self, intent, word, late):
        told(reported(intent, word))
        before = snapshot()
        assert come_back([intent], late) == 0
        assert snapshot() == before
        walking.assert_all_adds_up()


class TestAnUnknownOne:
    @pytest.mark.parametrize("word", [Word.ACCEPTED, Word.SENT, Word.DELIVERED, Word.UNDELIVERED])
    def test_is_settled_by_a_report(self, intent, word):
        come_back([intent], UNKNOWN)
        told(reported(intent, word))
        attempt = Attempt.objects.get()
        assert status() == word
        assert (attempt.outcome, attempt.provider_refs) == ("accepted", [f"SM{intent.send.ref}"])

    def test_is_settled_even_after_it_was_looked_up_to_the_end(self, intent):
        come_back([intent], UNKNOWN)
        Message.objects.update(status="not_found")
        told(reported(intent, Word.DELIVERED))
        assert (status(), Attempt.objects.get().outcome) == ("delivered", "accepted")


class TestThatNothingIsKnown:
    @pytest.mark.parametrize(
        "before", [None, UNKNOWN, "not_found"], ids=["sending", "unknown", "not-found"]
    )
    def test_shows_that_it_was_taken(self, intent, before):
        if before is not None:
            come_back([intent], UNKNOWN)
        if before == "not_found":
            Message.objects.update(status="not_found")
        assert told(reported(intent, Word.UNKNOWN)) == ["applied"]
        assert (status(), Attempt.objects.get().outcome) == ("no_report", "accepted")

    def test_gives_way_to_a_final_one_behind_it(self, intent):
        told(reported(intent, Word.UNKNOWN), reported(intent, Word.FAILED))
        assert status() == "failed"

    def test_is_no_news_after_a_final_one(self, taken):
        assert told(reported(taken), reported(taken, Word.UNKNOWN)) == ["applied", "no_news"]


class TestTheProvidersId:
    def test_is_kept_once(self, intent):
        told(reported(intent, Word.SENT))
        told(reported(intent, Word.DELIVERED))
        assert Attempt.objects.get().provider_refs == [f"SM{intent.send.ref}"]

    def test_is_the_first_ones_of_two_that_differ(self, intent):
        told(reported(intent, Word.SENT, provider_ref="SM1"))
        assert told(reported(intent, provider_ref="SM2")) == ["mismatch"]
        assert Attempt.objects.get().provider_refs == ["SM1"]
        assert status() == "sent"


class TestAnOptOut:
    def test_opts_the_person_out(self, taken):
        told(reported(taken, Word.UNDELIVERED, code="21610", **STOPPED))
        event = OptOutEvent.objects.get()
        assert (person().opt_out_event_id, person().opted_out_at) == (event.pk, event.at)
        assert event.source == "provider"
        assert status() == "undelivered"

    def test_opts_out_whom_the_lead_names_beside(self, taken):
        other = make_person(phone=None, email="other@example.com")
        Lead.objects.update(email_person=other)
        told(reported(taken, Word.FAILED, code="200", **STOPPED))
        assert Person.objects.filter(opted_out_at__isnull=False).count() == 2

    def test_opts_out_who_shares_the_e_mail(self, taken, message):
        sharer = make_lead(message.brand, email_person=message.person).person
        told(reported(taken, Word.FAILED, **STOPPED))
        sharer.refresh_from_db()
        assert sharer.opted_out_at is not None

    def test_leaves_others_alone(self, taken, message):
        stranger = make_lead(message.brand).person
        told(reported(taken, Word.FAILED, **STOPPED))
        stranger.refresh_from_db()
        assert stranger.opted_out_at is None

    def test_counts_even_where_the_report_moves_nothing(self, taken):
        told(reported(taken), reported(taken, Word.FAILED, **STOPPED))
        assert status() == "delivered"
        assert person().opted_out_at is not None

    def test_says_nothing_about_the_number(self, taken):
        told(reported(taken, Word.FAILED, **STOPPED))
        assert person().undeliverable_at is None


class TestADeadNumber:
    def test_marks_its_person(self, taken):
        told(reported(taken, Word.UNDELIVERED, code="30005", **DEAD_NUMBER))
        assert person().undeliverable_at is not None
        assert not OptOutEvent.objects.exists()

    def test_keeps_the_time_it_was_first_marked(self, taken):
        early = NOON - timedelta(days=3)
        Person.objects.update(undeliverable_at=early)
        told(reported(taken, Word.UNDELIVERED, **DEAD_NUMBER))
        assert person().undeliverable_at == early

    @pytest.mark.parametrize(
        "fields",
        [
            BLOCKED,
            {"error_class": ErrorClass.PERMANENT_CONTENT},
            {"error_class": ErrorClass.TRANSIENT},
            {},
        ],
        ids=["carrier-block", "content", "for-now", "no-reason"],
    )
    def test_is_not_what_another_trouble_says(self, taken, fields):
        told(reported(taken, Word.UNDELIVERED, **fields))
        assert status() == "undelivered"
        assert person().undeliverable_at is None


class TestABatch:
    def test_applies_the_reports_of_each_in_their_order(self, intents):
        first, second = intents(2)
        told(
            reported(first, Word.FAILED),
            reported(second, Word.SENT),
            reported(first, Word.DELIVERED),
            reported(second, Word.DELIVERED),
        )
        ends = dict(Message.objects.values_list("id", "status"))
        assert ends == {first.message_id: "failed", second.message_id: "delivered"}

    def test_mixes_what_moves_at_once_with_what_goes_by_accepted(self, intents):
        words = [Word.UNKNOWN, Word.DELIVERED, Word.UNKNOWN, Word.ACCEPTED]
        four = intents(4)
        told(*(reported(one, word) for one, word in zip(four, words, strict=True)))
        ends = Message.objects.order_by("id").values_list("status", flat=True)
        assert list(ends) == ["no_report", "delivered", "no_report", "accepted"]

    def test_takes_as_many_statements_for_one_as_for_500(self, intents, statements):
        def delivered(many):
            reports = [
                reported(one, word) for one in intents(many) for word in (Word.SENT, Word.DELIVERED)
            ]
            return statements(lambda: told(*reports))

        assert delivered(1) == delivered(500) == 5  # time-outs, two locks, two updates
        assert Message.objects.filter(status="delivered").count() == 501

    def test_with_bad_numbers_and_opt_outs_takes_a_fixed_number_too(self, intents, statements):
        def bad(many):
            reports = [reported(one, Word.FAILED, **DEAD_NUMBER) for one in intents(many)]
            reports += [reported(one, Word.FAILED, **STOPPED) for one in intents(many)]
            return statements(lambda: told(*reports))

        assert bad(1) == bad(250)
        assert Person.objects.filter(opted_out_at__isnull=False).count() == 251
        assert Person.objects.filter(undeliverable_at__isnull=False).count() == 251


@pytest.mark.django_db(transaction=True)
def test_reports_and_our_own_records_meet_without_harm(slot, lane, journal, at_once):
    """Each report finds its message as our record left it, or the record finds it settled."""
    fill_queue(slot, lane, 200, now=NOON)
    intents = walking.hand_over(journal)

    def work(number):
        for n in range(0, 200, 20):
            part = intents[n : n + 20]
            if number:
                with transaction.atomic():
                    told(*(reported(one) for one in part))
            else:
                come_back(part, NotSent("503", throttled=True))

    at_once(work)
    walking.assert_all_adds_up()
    assert set(Message.objects.values_list("status", flat=True)) <= {"delivered", "planned"}
