from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from brands import clock
from compliance.models import OptOutEvent, Person
from delivery import claims, pipeline, retries, transactions
from delivery.claims import Grant
from delivery.models import Attempt, CapCounter, Due, Message
from delivery.outcomes import Settled, record
from delivery.transactions import retried
from leads.models import Lead
from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected, Unknown
from providers.models import ProviderAccount, RouteNumber, SenderNumber
from tests.factories import (
    NOON,
    fill_queue,
    make_due,
    make_lead,
    make_number,
    make_person,
)

pytestmark = pytest.mark.django_db

ACCEPTED = Accepted("SM1")
REJECTED = Rejected(ErrorClass.PERMANENT_RECIPIENT, "21211")
OPTED_OUT = Rejected(ErrorClass.PERMANENT_RECIPIENT, "21610", opted_out=True)
NOT_SENT = NotSent("transport_closed")
THROTTLED = NotSent("429", throttled=True, retry_after=40.0)
UNREACHABLE = NotSent("no_connection", unreachable=True)
ACCOUNT_FAULT = NotSent("20003", fault=Fault.ACCOUNT)
SENDER_FAULT = NotSent("21606", fault=Fault.SENDER)
UNKNOWN = Unknown("timeout")


@pytest.fixture
def hand_over(slot, journal):
    """Commit the intents of what waits, whenever it is due."""

    def hand_over():
        Due.objects.update(not_before=NOON - timedelta(hours=1))
        SenderNumber.objects.update(rests_until=None)
        grants = [Grant(slot.campaign_id, number.pk, 500) for number in SenderNumber.objects.all()]
        batch = pipeline.take(lambda now: claims.claim(grants, now=now), journal)
        return [intent for intent, _ in batch.intents]

    return hand_over


@pytest.fixture
def message(slot, lane):
    return make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON)


@pytest.fixture
def come_back(message, hand_over):
    """Hand the message over, and store what becomes of it; says how many were news."""

    def come_back(outcome):
        (intent,) = hand_over()
        return record([Settled(intent.attempt_id, message.pk, outcome)])

    return come_back


def state(message):
    message.refresh_from_db()
    return message.status, message.reason


def attempt():
    return Attempt.objects.latest("id")


def caps():
    return dict(CapCounter.objects.exclude(key__startswith="decided").values_list("key", "used"))


def wait():
    """Seconds from the answer to the next try."""
    return (Due.objects.get().not_before - attempt().answered_at).total_seconds()


def another_lane(slot, **fields):
    number = make_number()
    RouteNumber.objects.create(route=slot.route, number=number, **fields)
    return number


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


class TestNotSent:
    def test_goes_round_again(self, message, come_back):
        come_back(NOT_SENT)
        due = Due.objects.get()
        assert state(message) == ("planned", "")
        assert (due.message, due.reason, due.tries) == (message, "not_sent", 1)
        assert (attempt().outcome, attempt().is_not_sent) == ("not_sent", True)

    def test_keeps_its_queue_its_lane_its_price_and_its_end(self, slot, lane, message, come_back):
        before = Due.objects.get()
        come_back(NOT_SENT)
        after = Due.objects.get()
        for name in ("queue", "lane_id", "segments", "priority", "expires_at", "brand_id"):
            assert getattr(after, name) == getattr(before, name)

    def test_gives_the_allowance_and_the_caps_back(self, message, come_back):
        come_back(NOT_SENT)
        assert set(caps().values()) == {0}
        assert Person.objects.get().recent == []

    def test_waits_twice_as_long_each_time_with_jitter(self, message, come_back):
        waits = []
        for _ in range(4):
            come_back(NOT_SENT)
            waits.append(wait())
        for seconds, least in zip(waits, (10, 20, 40, 80), strict=True):
            assert least <= seconds <= 1.25 * least

    def test_is_dead_when_its_tries_are_used_up(self, message, come_back, hand_over):
        for _ in range(5):
            come_back(NOT_SENT)
        assert hand_over() == []
        assert state(message) == ("dead", "out_of_tries")
        assert not Due.objects.exists()
        assert Attempt.objects.count() == 5

    @pytest.mark.parametrize(
        ("outcome", "reason"), [(THROTTLED, "throttled"), (UNREACHABLE, "not_connected")]
    )
    def test_of_a_provider_that_cannot_take_more_is_no_try(
        self, message, come_back, outcome, reason
    ):
        for _ in range(6):
            come_back(outcome)
        due = Due.objects.get()
        assert (due.tries, due.reason) == (0, reason)

    def test_throttled_waits_as_long_as_it_is_asked_to(self, message, come_back):
        come_back(THROTTLED)
        assert 40 <= wait() <= 50

    def test_throttled_waits_five_minutes_at_most(self, message, come_back):
        come_back(NotSent("429", throttled=True, retry_after=86_400.0))
        assert wait() <= 375

    @pytest.mark.parametrize("outcome", [NotSent("429", throttled=True), UNREACHABLE])
    def test_waits_a_little_where_it_is_not_told_how_long(self, message, come_back, outcome):
        come_back(outcome)
        assert 5 <= wait() <= 6.25

    @pytest.mark.parametrize("code", sorted(retries.NOT_COUNTED))
    def test_by_our_own_doing_is_no_try_and_waits_a_moment(self, message, come_back, code):
        come_back(NotSent(code))
        assert Due.objects.get().tries == 0
        assert 0.5 <= wait() <= 0.625

    def test_is_ended_by_its_time(self, slot, lane, hand_over):
        end = NOON + timedelta(seconds=30)
        make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON, expires_at=end)
        (intent,) = hand_over()
        record([Settled(intent.attempt_id, intent.message_id, NOT_SENT)])
        assert Due.objects.get().expires_at == end


class TestAFault:
    @pytest.mark.parametrize(
        ("outcome", "model", "other"),
        [
            pytest.param(ACCOUNT_FAULT, ProviderAccount, SenderNumber, id="account"),
            pytest.param(SENDER_FAULT, SenderNumber, ProviderAccount, id="number"),
        ],
    )
    def test_pauses_whose_it_is(self, message, come_back, outcome, model, other):
        come_back(outcome)
        paused = model.objects.get()
        assert (paused.paused_at, paused.fault) == (attempt().answered_at, outcome.code)
        assert other.objects.get().paused_at is None

    def test_never_moves_an_earlier_pause(self, message, hand_over):
        (intent,) = hand_over()
        ProviderAccount.objects.update(paused_at=NOON, fault="by hand")
        record([Settled(intent.attempt_id, message.pk, ACCOUNT_FAULT)])
        account = ProviderAccount.objects.get()
        assert (account.paused_at, account.fault) == (NOON, "by hand")

    def test_sends_the_row_to_another_number_at_once(self, slot, message, come_back):
        other = another_lane(slot)
        come_back(ACCOUNT_FAULT)
        due = Due.objects.get()
        assert (due.lane, due.reason, wait()) == (other, "account_fault", 0)

    def test_of_a_number_leaves_the_accounts_others_usable(self, slot, lane, message, come_back):
        sister = make_number(lane.account)
        RouteNumber.objects.create(route=slot.route, number=sister)
        come_back(SENDER_FAULT)
        assert Due.objects.get().lane == sister

    def test_of_an_account_shuts_all_its_numbers_out(self, slot, lane, message, come_back):
        sister, other = make_number(lane.account), another_lane(slot, order=5)
        RouteNumber.objects.create(route=slot.route, number=sister)
        come_back(ACCOUNT_FAULT)
        assert Due.objects.get().lane == other

    def test_leaves_the_row_where_it_is_when_nothing_else_can_send_it(
        self, lane, message, come_back
    ):
        come_back(ACCOUNT_FAULT)
        assert Due.objects.get().lane == lane
        assert 10 <= wait() <= 12.5

    def test_never_sends_it_back_to_that_account(self, slot, message, come_back):
        """Even after somebody lifted the pause without saying that it was mended."""
        other = another_lane(slot)
        come_back(ACCOUNT_FAULT)
        ProviderAccount.objects.update(paused_at=None)
        come_back(NotSent("20003", fault=Fault.ACCOUNT))
        assert Due.objects.get().lane == other

    def test_is_forgotten_when_the_account_is_resumed(self, slot, lane, message, come_back):
        other = another_lane(slot)
        come_back(ACCOUNT_FAULT)
        assert Due.objects.get().lane == other
        ProviderAccount.objects.filter(pk=lane.account_id).update(
            paused_at=None, resumed_at=clock.now()
        )
        come_back(ACCOUNT_FAULT)
        assert Due.objects.get().lane == lane

    def test_leaves_a_later_throttle_its_wait(self, slot, message, come_back):
        another_lane(slot)
        come_back(ACCOUNT_FAULT)
        come_back(THROTTLED)
        assert wait() >= 40

    def test_of_one_in_a_batch_leaves_the_others_accounts_alone(self, slot, lane, hand_over):
        lanes = [lane, another_lane(slot), another_lane(slot)]
        for number in lanes:
            fill_queue(slot, number, 2, now=NOON)
        answers = {lanes[0].pk: ACCOUNT_FAULT, lanes[1].pk: SENDER_FAULT, lanes[2].pk: THROTTLED}
        record(
            [
                Settled(intent.attempt_id, intent.message_id, answers[intent.lane_id])
                for intent in hand_over()
            ]
        )
        accounts = ProviderAccount.objects.filter(paused_at__isnull=False)
        assert [account.pk for account in accounts] == [lanes[0].account_id]
        assert [number.pk for number in SenderNumber.objects.filter(paused_at__isnull=False)] == [
            lanes[1].pk
        ]

    def test_counts_as_a_try(self, message, come_back):
        come_back(ACCOUNT_FAULT)
        assert Due.objects.get().tries == 1


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
