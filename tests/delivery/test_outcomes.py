"""None"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import OperationalError

from compliance.models import OptOutEvent, Person
from delivery import transactions
from delivery.models import Attempt, Due, Message
from delivery.outcomes import Settled, record
from delivery.transactions import retried
from leads.models import Lead
from providers.base import Accepted, ErrorClass, Rejected, Unknown
from tests.delivery import coming_back
from tests.delivery.coming_back import NOT_SENT, THROTTLED, attempt, caps, state
from tests.factories import (
    NOON,
    fill_queue,
    make_due,
    make_lead,
    make_person,
)

pytestmark = pytest.mark.django_db

hand_over = coming_back.hand_over
message = coming_back.message
come_back = coming_back.come_back

ACCEPTED = Accepted("SM1")
REJECTED = Rejected(ErrorClass.PERMANENT_RECIPIENT, "21211")
OPTED_OUT = Rejected(ErrorClass.PERMANENT_RECIPIENT, "21610", opted_out=True)
UNKNOWN = Unknown("timeout")


class TestAccepted:
    def test_keeps_the_ids_of_further_parts(self, message, come_back):
        come_back(Accepted("SM1", part_refs=("SM2", "SM3")))
        assert attempt().provider_refs == ["SM1", "SM2", "SM3"]

    def test_ends_the_senders_part(self, message, come_back):
        assert come_back(ACCEPTED) == 1
        assert state(message) == ("accepted", "")
        assert (attempt().outcome, attempt().provider_refs) == ("accepted", ["SM1"])
        assert attempt().answered_at > attempt().intent_at

    def test_keeps_the_caps_and_the_persons_entry(self, message, come_back):
        come_back(ACCEPTED)
        assert set(caps().values()) == {1}
        assert len(Person.objects.get().recent) == 1
        assert not Due.objects.exists()

    def test_takes_as_many_statements_for_ten_as_for_300(self, slot, lane, hand_over, statements):
        def accepted(many):
            fill_queue(slot, lane, many, now=NOON)
            settled = [
                Settled(intent.attempt_id, intent.message_id, Accepted(f"SM{intent.message_id}"))
                for intent in hand_over()
            ]
            assert len(settled) == many
            return statements(lambda: record(settled))

        assert accepted(10) == accepted(300) <= 5  # savepoint, time-outs, two updates, release
        assert Message.objects.filter(status="accepted").count() == 310


class TestRejected:
    def test_is_final_and_says_why(self, message, come_back):
        come_back(REJECTED)
        assert state(message) == ("rejected", "rejected")
        assert (attempt().error_class, attempt().code) == ("permanent_recipient", "21211")
        assert not Due.objects.exists()

    def test_gives_the_allowance_and_the_caps_back(self, message, come_back):
        come_back(REJECTED)
        assert set(caps().values()) == {0}
        assert Person.objects.get().recent == []

    def test_gives_back_its_own_entry_only(self, slot, lane, hand_over):
        person = make_person(recent=[[NOON.timestamp() - 90_000, 12345, "aa", "2035-03-06"]])
        message = make_due(slot, make_lead(slot.campaign.brand, person), lane, now=NOON)
        (intent,) = hand_over()
        record([Settled(intent.attempt_id, message.pk, REJECTED)])
        assert [entry[1] for entry in Person.objects.get().recent] == [12345]

    def test_opts_nobody_out_by_itself(self, message, come_back):
        come_back(REJECTED)
        assert not OptOutEvent.objects.exists()

    def test_for_an_opt_out_opts_the_person_out(self, message, come_back):
        come_back(OPTED_OUT)
        person, event = Person.objects.get(), OptOutEvent.objects.get()
        assert (person.opt_out_event_id, person.opted_out_at) == (event.pk, event.at)
        assert (event.source, event.person) == ("provider", person)
        assert state(message) == ("rejected", "rejected")

    def test_for_an_opt_out_opts_both_persons_of_a_lead_out(self, message, come_back):
        other = make_person(phone=None, email="other@example.com")
        Lead.objects.update(email_person=other)
        come_back(OPTED_OUT)
        assert Person.objects.filter(opted_out_at__isnull=False).count() == 2

    def test_for_an_opt_out_also_reaches_who_shares_the_e_mail(self, message, come_back):
        """The one who refused is the e-mail person of somebody else's lead."""
        sharer = make_lead(message.brand, email_person=message.person).person
        come_back(OPTED_OUT)
        sharer.refresh_from_db()
        assert sharer.opted_out_at is not None

    def test_for_an_opt_out_leaves_others_alone(self, message, come_back):
        stranger = make_lead(message.brand).person
        come_back(OPTED_OUT)
        stranger.refresh_from_db()
        assert stranger.opted_out_at is None


class TestUnknown:
    def test_is_never_put_back(self, message, come_back, hand_over):
        come_back(UNKNOWN)
        assert state(message) == ("unknown", "")
        assert not Due.objects.exists()
        assert hand_over() == []
        assert (attempt().outcome, attempt().code) == ("unknown", "timeout")

    def test_keeps_the_caps_and_the_persons_entry(self, message, come_back):
        come_back(UNKNOWN)
        assert set(caps().values()) == {1}
        assert len(Person.objects.get().recent) == 1

    def test_is_corrected_by_a_late_acceptance(self, message, come_back):
        come_back(UNKNOWN)
        assert record([Settled(attempt().pk, message.pk, ACCEPTED)]) == 1
        assert state(message) == ("accepted", "")
        assert attempt().provider_refs == ["SM1"]

    @pytest.mark.parametrize("late", [REJECTED, NOT_SENT, UNKNOWN], ids=["no", "not-sent", "same"])
    def test_is_corrected_by_nothing_else(self, message, come_back, late):
        come_back(UNKNOWN)
        assert record([Settled(attempt().pk, message.pk, late)]) == 0
        assert state(message) == ("unknown", "")
        assert not Due.objects.exists()


class TestTwice:
    @pytest.mark.parametrize("first", [ACCEPTED, REJECTED, NOT_SENT], ids=["yes", "no", "not-sent"])
    @pytest.mark.parametrize("second", [ACCEPTED, REJECTED, NOT_SENT, UNKNOWN])
    def test_a_second_answer_changes_nothing(self, message, come_back, first, second):
        come_back(first)
        before = (
            state(message),
            caps(),
            list(Due.objects.values()),
            list(Attempt.objects.values()),
        )
        assert record([Settled(attempt().pk, message.pk, second)]) == 0
        after = (state(message), caps(), list(Due.objects.values()), list(Attempt.objects.values()))
        assert after == before

    def test_nothing_to_record_is_nothing(self):
        assert record([]) == 0


class TestAnEarlyReport:
    """A report that came before the answer has moved the message on already."""

    @pytest.mark.parametrize("outcome", [ACCEPTED, REJECTED, NOT_SENT, UNKNOWN])
    def test_is_never_undone(self, message, hand_over, outcome):
        (intent,) = hand_over()
        Message.objects.update(status="delivered")
        assert record([Settled(intent.attempt_id, message.pk, outcome)]) == 1
        assert state(message) == ("delivered", "")
        assert not Due.objects.exists()

    def test_keeps_the_caps_and_the_persons_entry(self, message, hand_over):
        (intent,) = hand_over()
        Message.objects.update(status="delivered")
        record([Settled(intent.attempt_id, message.pk, NOT_SENT)])
        assert set(caps().values()) == {1}
        assert len(Person.objects.get().recent) == 1


class TestABatch:
    def test_of_all_kinds_is_stored_together(self, slot, lane, hand_over):
        fill_queue(slot, lane, 5, now=NOON)
        answers = [ACCEPTED, REJECTED, NOT_SENT, UNKNOWN, THROTTLED]
        settled = [
            Settled(intent.attempt_id, intent.message_id, answer)
            for intent, answer in zip(hand_over(), answers, strict=True)
        ]
        assert record(settled[::-1]) == 5
        found = Message.objects.order_by("id").values_list("status", flat=True)
        assert list(found) == ["accepted", "rejected", "planned", "unknown", "planned"]
        assert set(caps().values()) == {2}
        assert Due.objects.count() == 2


class TestAnIdThatCannotBeStored:
    @pytest.mark.parametrize(
        "ref", ["S" * 65, "S\0M", "S\ud800"], ids=["too-long", "nul", "lone-surrogate"]
    )
    def test_leaves_its_message_unknown_and_the_others_theirs(self, slot, lane, hand_over, ref):
        fill_queue(slot, lane, 2, now=NOON)
        settled = [
            Settled(intent.attempt_id, intent.message_id, Accepted(sid))
            for intent, sid in zip(hand_over(), [ref, "SM1"], strict=True)
        ]
        assert record(settled) == 2
        found = Message.objects.order_by("id").values_list("status", flat=True)
        assert list(found) == ["unknown", "accepted"]
        assert Attempt.objects.earliest("id").code == "provider_ref_unreadable"

    def test_may_be_as_long_as_its_column(self, message, come_back):
        come_back(Accepted("S" * 64))
        assert attempt().provider_refs == ["S" * 64]

    def test_is_no_matter_in_a_code_that_is_only_for_people(self, message, come_back):
        come_back(Unknown("a\0b" + "c" * 90))
        assert attempt().code == "ab" + "c" * 58


class TestRetried:
    @pytest.fixture
    def calls(self):
        return []

    @pytest.fixture
    def work(self, calls):
        """Is broken off twice, or as often as it is told."""

        def work(times=2):
            calls.append(1)
            if len(calls) <= times:
                raise OperationalError("deadlock")
            return 7

        return work

    @pytest.fixture
    def outside(self, monkeypatch):
        """No transaction is open."""
        stub = SimpleNamespace(in_atomic_block=False, close_if_unusable_or_obsolete=lambda: None)
        monkeypatch.setattr(transactions, "connection", stub)

    def test_runs_again_what_the_database_broke_off(self, outside, work):
        assert retried(work) == 7

    def test_gives_up_after_five_times(self, outside, work, calls):
        with pytest.raises(OperationalError):
            retried(lambda: work(99))
        assert len(calls) == 5

    def test_never_runs_again_within_a_transaction(self, work, calls):
        with pytest.raises(OperationalError):
            retried(work)
        assert len(calls) == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_record_the_same_answers_put_back_once(slot, lane, hand_over, at_once):
    fill_queue(slot, lane, 40, now=NOON)
    settled = [Settled(one.attempt_id, one.message_id, NOT_SENT) for one in hand_over()]
    news = at_once(lambda _: record(settled), threads=4)
    assert sum(news) == Due.objects.count() == 40
    assert set(caps().values()) == {0}
