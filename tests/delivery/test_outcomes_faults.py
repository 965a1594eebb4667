"""What is not sent by a fault, or for now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from brands import clock
from compliance.models import Person
from delivery import retries
from delivery.models import Attempt, Due
from delivery.outcomes import Settled, record
from providers.base import Fault, NotSent
from providers.models import ProviderAccount, RouteNumber, SenderNumber
from tests.delivery import coming_back
from tests.delivery.coming_back import NOT_SENT, THROTTLED, attempt, caps, state
from tests.factories import (
    NOON,
    fill_queue,
    make_due,
    make_lead,
    make_number,
)

pytestmark = pytest.mark.django_db

hand_over = coming_back.hand_over
message = coming_back.message
come_back = coming_back.come_back

UNREACHABLE = NotSent("no_connection", unreachable=True)
ACCOUNT_FAULT = NotSent("20003", fault=Fault.ACCOUNT)
SENDER_FAULT = NotSent("21606", fault=Fault.SENDER)


def wait():
    """Seconds from the answer to the next try."""
    return (Due.objects.get().not_before - attempt().answered_at).total_seconds()


def another_lane(slot, **fields):
    number = make_number()
    RouteNumber.objects.create(route=slot.route, number=number, **fields)
    return number


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
