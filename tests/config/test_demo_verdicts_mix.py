"""What a demo with several kinds of providers must have shown."""

from __future__ import annotations

import pytest

from campaigns.models import Campaign
from compliance import consent
from config import demo_verdicts
from config.demo_accounts import SENDING, THROTTLES
from config.demo_verdicts import Verdict
from delivery.models import Message
from tests.config.test_demo_verdicts import make_attempt, make_messages
from tests.factories import NOON, fill_queue, make_account, make_number, make_slot

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon(sandbox):
    """They look at the database."""


class TestTheMix:
    def accepted_by(self, *kinds: str) -> Verdict:
        for kind in kinds:
            lane = make_number(make_account(kind=kind))
            (message,) = make_messages(1)
            make_attempt(message, lane)
        return demo_verdicts.on_the_mix()

    def test_all_kinds_that_send_accepted_something(self):
        assert self.accepted_by(*SENDING) == Verdict(
            "5 of 5 kinds of providers accepted messages"
            " (twilio, plivo, sinch, vonage, simpletexting)",
            holds=True,
        )

    def test_a_kind_that_took_nothing_is_trouble(self):
        assert self.accepted_by(*SENDING[1:], "pineapple") == Verdict(
            "4 of 5 kinds of providers accepted messages (plivo, sinch, vonage, simpletexting)",
            holds=False,
        )

    def test_what_was_tried_and_not_taken_counts_for_nothing(self):
        lane = make_number(make_account(kind="twilio"))
        (message,) = make_messages(1)
        make_attempt(message, lane, fault="account")
        assert not demo_verdicts.on_the_mix().holds


class TestTheEmail:
    def mailed(self, status: str, *, opted_out: bool = False) -> None:
        lane = make_number()
        slot = make_slot(lane)
        Campaign.objects.filter(pk=slot.campaign_id).update(channel="email")
        (message,) = fill_queue(slot, lane, 1, now=NOON)
        Message.objects.filter(pk=message.pk).update(status="sending")
        Message.objects.filter(pk=message.pk).update(status=status)
        if opted_out:
            consent.opt_out([message.person_id], source="unsubscribe")

    def test_was_taken_and_reported_on_and_somebody_got_out(self):
        self.mailed("delivered", opted_out=True)
        assert demo_verdicts.on_email() == Verdict(
            "1 of 1 e-mails were accepted, 1 have their final report; 1 who got one unsubscribed",
            holds=True,
        )

    @pytest.mark.parametrize("status", ["accepted", "rejected", "unknown"])
    def test_that_came_to_no_end_is_trouble(self, status):
        self.mailed(status)
        assert not demo_verdicts.on_email().holds

    def test_that_is_missing_is_trouble(self):
        make_messages(1, status="delivered")
        assert not demo_verdicts.on_email().holds


class TestTheThrottlingProvider:
    @pytest.fixture
    def lane(self):
        return make_number(make_account(name=THROTTLES, kind="vonage"))

    def throttle(self, message: Message, lane) -> None:
        make_attempt(message, lane, outcome="not_sent", is_not_sent=True, code="429")

    def verdict(self) -> Verdict:
        return demo_verdicts.on_the_throttling_provider()

    def test_what_it_turned_away_left_later_and_it_came_back(self, lane):
        for message in make_messages(2):
            self.throttle(message, lane)
            make_attempt(message, lane)
        assert self.verdict() == Verdict(
            "2 of 2 messages that Vonage throttled left later; it came back", holds=True
        )

    def test_what_it_turned_away_for_good_is_trouble(self, lane):
        first, second = make_messages(2)
        self.throttle(first, lane)
        self.throttle(second, lane)
        make_attempt(second, lane)
        assert self.verdict() == Verdict(
            "1 of 2 messages that Vonage throttled left later; it came back", holds=False
        )

    def test_that_all_left_by_others_does_not_bring_it_back(self, lane):
        (message,) = make_messages(1)
        make_attempt(message, lane, fault="account", code="401")
        (other,) = make_messages(1)
        self.throttle(other, lane)
        make_attempt(other, make_number())
        assert self.verdict() == Verdict(
            "1 of 1 messages that Vonage throttled left later; it did not come back", holds=False
        )

    def test_that_nothing_was_throttled_is_trouble(self, lane):
        for message in make_messages(2):
            make_attempt(message, lane)
        assert not self.verdict().holds

    def test_who_is_turned_away_once_by_everybody_proves_nothing(self, lane):
        (message,) = make_messages(1, ending="0005")
        self.throttle(message, lane)
        make_attempt(message, lane)
        assert not self.verdict().holds
