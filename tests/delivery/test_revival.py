"""A report on an attempt that was thought not sent: its message was taken after all."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db import OperationalError

from compliance.models import Person
from delivery import inbox, revival, upkeep
from delivery.models import Attempt, Due, Message, WebhookEvent
from delivery.revival import revive
from providers.base import Accepted, Callback, ErrorClass, NotSent, Rejected
from providers.models import SenderNumber
from providers.registry import adapter
from tests.delivery import walking
from tests.delivery.walking import come_back, snapshot
from tests.factories import (
    NOON,
    fill_queue,
    make_brand,
    make_due,
    make_lead,
    make_person,
    make_slot,
)

pytestmark = pytest.mark.django_db

NOT_SENT = NotSent("transport_closed")
HOUR = timedelta(hours=1)
FINAL_OF_OURS = ["refused", "expired", "cancelled", "dead"]


@pytest.fixture
def slot(lane):
    return make_slot(lane, brand=make_brand(daily_cap=100), daily_cap=100)


@pytest.fixture
def message(slot, lane):
    return make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON)


@pytest.fixture
def intent(message, journal):
    (intent,) = walking.hand_over(journal)
    return intent


@pytest.fixture
def as_sent(intent):
    """Counters and the person's row as the send had written them."""
    return counted()


@pytest.fixture
def doubted(intent, as_sent):
    """The attempt that is thought not sent; its message waits again."""
    come_back([intent], NOT_SENT)
    return Attempt.objects.get()


@pytest.fixture
def alarms(caplog):
    """Whether each alarm says that the message was sent again."""
    caplog.set_level(logging.ERROR, logger="delivery.revival")
    return lambda: [record.sent_again for record in caplog.records if hasattr(record, "sent_again")]


def counted():
    return walking.caps(), list(Person.objects.values("recent", "last_message_at"))


def state(message):
    message.refresh_from_db()
    return message.status, message.reason


def end_as(message, status):
    Due.objects.all().delete()
    Message.objects.filter(pk=message.pk).update(status=status, reason="no_capacity")


class TestFromTheQueue:
    def test_its_message_is_accepted(self, message, doubted, alarms):
        assert revive(doubted.pk)
        doubted.refresh_from_db()
        assert state(message) == ("accepted", "")
        assert (doubted.outcome, doubted.is_not_sent) == ("accepted", False)
        assert alarms() == [False]

    def test_nobody_can_send_it_again(self, message, doubted, journal):
        revive(doubted.pk)
        Due.objects.update(not_before=NOON - HOUR)
        assert walking.hand_over(journal) == []
        assert not Due.objects.exists()

    def test_it_counts_as_if_nothing_had_been_said(self, as_sent, doubted):
        assert counted() != as_sent
        revive(doubted.pk)
        assert counted() == as_sent
        walking.assert_all_adds_up()

    def test_it_counts_on_the_warm_up_of_its_number(self, message, lane, journal):
        SenderNumber.objects.update(warms_up_since=NOON - HOUR)
        (intent,) = walking.hand_over(journal)
        key = f"warm:{lane.pk}:{int((NOON - HOUR).timestamp())}"
        assert walking.caps()[key] == 1
        come_back([intent], NOT_SENT)
        assert walking.caps()[key] == 0
        revive(intent.attempt_id)
        assert walking.caps()[key] == 1

    def test_its_words_count_too(self, slot, doubted):
        """The same words on the same date are refused to who got them after all."""
        revive(doubted.pk)
        ((_, _, words, on),) = Person.objects.get().recent
        assert (bool(words), on) == (True, slot.local_date.isoformat())

    @pytest.mark.parametrize("scheme", ["https", "http"])
    def test_its_words_are_those_that_were_sent_whatever_the_link_speaks(
        self, slot, message, lane, journal, settings, scheme
    ):
        settings.SHORT_LINK_SCHEME = scheme
        (intent,) = walking.hand_over(journal)
        assert f" {scheme}://{slot.campaign.brand.short_domain}/" in intent.send.text
        ((*_, words, _),) = Person.objects.get().recent
        come_back([intent], NOT_SENT)
        settings.SHORT_LINK_SCHEME = "https"
        revive(intent.attempt_id)
        assert [entry[2] for entry in Person.objects.get().recent] == [words]

    def test_leaves_what_else_the_person_had(self, doubted):
        other = [NOON.timestamp() - 90_000, 12345, "aa", "2035-03-06"]
        Person.objects.update(recent=[other])
        revive(doubted.pk)
        assert [entry[1] for entry in Person.objects.get().recent] == [12345, doubted.message_id]

    def test_never_sets_the_persons_last_message_back(self, doubted):
        later = NOON + HOUR
        Person.objects.update(last_message_at=later)
        revive(doubted.pk)
        assert Person.objects.get().last_message_at == later

    def test_counts_on_the_day_of_its_intent(self, doubted):
        Attempt.objects.update(brand_day="2035-03-01")
        before = walking.caps()
        revive(doubted.pk)
        new = {key: used for key, used in walking.caps().items() if used != before.get(key)}
        assert len(new) == 2
        assert all(key.endswith(":2035-03-01") and used == 1 for key, used in new.items())

    def test_a_row_that_killed_a_worker_goes_too(self, message, doubted):
        Due.objects.update(crashes=2)
        assert revive(doubted.pk)
        assert not Due.objects.exists()

    def test_a_second_time_changes_nothing_and_alarms_for_nothing_worse(self, doubted, alarms):
        """The first one's COMMIT may have gone through without its answer."""
        revive(doubted.pk)
        before = snapshot()
        assert revive(doubted.pk)
        assert snapshot() == before
        assert alarms() == [False, False]


class TestFromAFinalStateOfOurs:
    @pytest.mark.parametrize("status", FINAL_OF_OURS)
    def test_its_message_is_accepted(self, message, doubted, status):
        end_as(message, status)
        assert revive(doubted.pk)
        assert state(message) == ("accepted", "")
        walking.assert_all_adds_up()

    def test_by_the_sweep_too(self, message, as_sent, doubted):
        Due.objects.update(expires_at=NOON)
        upkeep.sweep_expired()
        assert state(message)[0] == "expired"
        revive(doubted.pk)
        assert counted() == as_sent


class TestWithAnotherAttempt:
    @pytest.fixture
    def second(self, doubted, journal):
        """The message went round and is on its way again."""
        Due.objects.update(not_before=NOON - HOUR)
        (second,) = walking.hand_over(journal)
        return second

    OUTCOMES = {
        "awaited": None,
        "accepted": Accepted("SM2"),
        "rejected": Rejected(ErrorClass.PERMANENT_RECIPIENT, "21211"),
    }

    @pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
    def test_that_is_live_there_is_an_alarm_and_nothing_changes(
        self, doubted, second, outcome, alarms
    ):
        if outcome is not None:
            come_back([second], outcome)
        before = snapshot()
        assert not revive(doubted.pk)
        assert snapshot() == before
        assert alarms() == [True]

    def test_that_did_not_leave_either_it_is_revived(self, message, doubted, second):
        come_back([second], NOT_SENT)
        assert revive(doubted.pk)
        assert state(message) == ("accepted", "")
        live = Attempt.objects.filter(is_not_sent=False)
        assert [attempt.pk for attempt in live] == [doubted.pk]
        walking.assert_all_adds_up()

    def test_of_two_that_were_taken_after_all_the_second_is_an_alarm(self, doubted, second, alarms):
        come_back([second], NOT_SENT)
        assert revive(doubted.pk)
        assert not revive(second.attempt_id)
        assert alarms() == [False, True]
        walking.assert_all_adds_up()


class TestAReply:
    def test_counts_on_nothing(self, lane, slot, journal):
        reply = walking.make_reply(make_person(), slot.campaign.brand, lane)
        (intent,) = walking.hand_over(journal)
        come_back([intent], NOT_SENT)
        before = counted()
        assert revive(intent.attempt_id)
        assert counted() == before
        assert state(reply) == ("accepted", "")
        assert not Due.objects.exists()


class TestThroughTheInbox:
    """Reports on such an attempt wait until it is revived, and are applied then."""

    def arrives(self, doubted, word, code=""):
        fields = {"MessageSid": "SM7", "MessageStatus": word, "To": "", "ErrorCode": code}
        callback = Callback(
            method="POST", url="", headers={}, query={"ref": doubted.ref}, form=fields, body=b""
        )
        report = adapter("twilio").read_callback(callback)
        inbox.append(doubted.account_id, [(report, callback)])

    def results(self):
        return list(WebhookEvent.objects.order_by("id").values_list("result", flat=True))

    def walk(self):
        return inbox.apply_waiting()

    def test_the_report_that_revives_is_applied_next(self, message, doubted):
        self.arrives(doubted, "delivered")
        self.walk()
        assert (state(message)[0], self.results()) == ("accepted", [""])
        self.walk()
        assert (state(message)[0], self.results()) == ("delivered", ["applied"])
        doubted.refresh_from_db()
        assert doubted.provider_refs == ["SM7"]

    @pytest.mark.parametrize("came_at", [NOON, NOON - HOUR], ids=["new", "old"])
    def test_a_later_one_does_not_overtake_it(self, message, doubted, monkeypatch, came_at):
        """The first final one wins, also when it stood before the border of a chunk."""
        monkeypatch.setattr(inbox, "CHUNK", 1)
        self.arrives(doubted, "undelivered", "30003")
        self.arrives(doubted, "delivered")
        WebhookEvent.objects.update(received_at=came_at)
        self.walk()
        self.walk()
        assert (state(message)[0], self.results()) == ("undelivered", ["applied", "no_news"])

    def test_where_it_was_sent_again_they_end_as_that(self, message, doubted, journal):
        Due.objects.update(not_before=NOON - HOUR)
        walking.hand_over(journal)
        self.arrives(doubted, "delivered")
        assert self.walk() == 0
        assert (state(message)[0], self.results()) == ("sending", ["taken_twice"])


class TestWithoutItsLocks:
    def test_nothing_is_changed(self, doubted, monkeypatch):
        before = snapshot()

        def broken(*_):
            raise OperationalError("canceling statement due to lock timeout")

        monkeypatch.setattr(revival.people, "lock", broken)
        with pytest.raises(OperationalError):
            revive(doubted.pk)
        assert snapshot() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("held", [False, True], ids=["that-sends", "that-puts-back"])
def test_raced_against_a_claim_it_is_sent_once_or_revived(slot, lane, journal, at_once, held):
    """At offsets by chance. Where the person is on hold, the claim puts the row back.

    In the first two rounds the one comes after the other, so that each wins once.
    """
    offsets = random.Random(7)
    ends = Counter()
    rounds = [one_first, other_first, *[at_once] * 28]
    messages = fill_queue(slot, lane, len(rounds), now=NOON, not_before=NOON + HOUR)
    for message, in_a_round in zip(messages, rounds, strict=True):
        attempt = thought_not_sent(message, journal)
        Person.objects.filter(pk=message.person_id).update(held_at=NOON if held else None)
        waits = offsets.uniform(0, 0.02), offsets.uniform(0, 0.02)

        def work(number, attempt=attempt, waits=waits):
            time.sleep(waits[number])
            return revive(attempt.pk) if number else len(walking.hand_over(journal))

        sent_again, revived = in_a_round(work)
        ends[sent_again, revived] += 1
        assert sent_again + revived == 1
        assert Attempt.objects.filter(message=message, is_not_sent=False).count() == 1
        walking.assert_all_adds_up()
    assert held or len(ends) == 2, "the offsets never let both win"


def one_first(work):
    return [work(0), work(1)]


def other_first(work):
    return [work(1), work(0)][::-1]


def thought_not_sent(message, journal):
    """This one alone was due, and came back; it is due again."""
    due = Due.objects.filter(message=message)
    due.update(not_before=NOON - HOUR)
    come_back(walking.hand_over(journal), NotSent("too_late"))
    due.update(not_before=NOON - HOUR)
    return Attempt.objects.get(message=message)


class TestASecondAttemptThatComesToNothing:
    """The first was thought not sent; a report says that it was taken while a second is live."""

    @pytest.fixture
    def second(self, doubted, intent, journal):
        Due.objects.update(not_before=NOON - HOUR)
        (second,) = walking.hand_over(journal)
        event = WebhookEvent.objects.create(
            account_id=intent.account_id,
            dedupe_key="SM1:delivered:",
            raw=inbox.to_raw(
                Callback(
                    method="POST", url="", headers={}, body=b"",
                    query={"ref": intent.send.ref},
                    form={"MessageSid": "SM1", "MessageStatus": "delivered"},
                )
            ),
        )  # fmt: skip
        inbox.apply_waiting()
        event.refresh_from_db()
        assert event.result == inbox.TWICE_TAKEN
        return second

    def test_is_not_followed_by_a_third(self, second, as_sent):
        come_back([second], NOT_SENT)
        assert not Due.objects.exists()
        assert list(Attempt.objects.order_by("id").values_list("outcome", "is_not_sent")) == [
            ("accepted", False),
            ("not_sent", True),
        ]
        (caps_now, (now,)), (caps_then, (then,)) = counted(), as_sent
        assert (caps_now, now["recent"]) == (caps_then, then["recent"])

    def test_ends_the_message_as_the_report_said(self, second):
        """The report was settled while the second attempt was live: no other one will come."""
        come_back([second], NOT_SENT)
        assert Message.objects.get().status == "delivered"

    def test_keeps_what_the_report_said_on_the_first(self, second):
        first = Attempt.objects.earliest("id")
        assert (first.report_status, first.provider_refs) == ("delivered", ["SM1"])

    def test_that_was_taken_stays_as_it_is(self, second):
        come_back([second], Accepted("SM2"))
        assert Message.objects.get().status == "accepted"
        assert Attempt.objects.latest("id").outcome == "accepted"
