"""Where and when a message that certainly did not leave goes round again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.models import Campaign
from delivery import retries
from delivery.claims import REPLIES
from delivery.models import Due
from delivery.retries import queue_of, undone
from providers.base import Fault, NotSent
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber
from tests.delivery import walking
from tests.delivery.walking import come_back, last_attempt
from tests.factories import (
    NOON,
    fill_queue,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_route,
)

THROTTLED = NotSent("429", throttled=True, retry_after=40.0)
UNREACHABLE = NotSent("no_connection", unreachable=True)
FAULT = NotSent("20003", fault=Fault.ACCOUNT)
SENDER_FAULT = NotSent("21606", fault=Fault.SENDER)
PLAIN = NotSent("transport_closed")
OURS = ["too_late", "journal_not_written", "error_before_sending", "worker_died_before_sending"]
HOUR = timedelta(hours=1)


@pytest.fixture
def message(slot, lane):
    return make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON)


@pytest.fixture
def came_back(message, journal):
    """The queue row of the message after it came back like this, with all mended between."""

    def came_back(*outcomes):
        for n, outcome in enumerate(outcomes):
            if n:
                mend()
            come_back(walking.hand_over(journal), outcome)
        return Due.objects.get()

    return came_back


def mend():
    ProviderAccount.objects.update(paused_at=None)
    SenderNumber.objects.update(paused_at=None, rests_until=None)
    Due.objects.update(not_before=NOON - HOUR)


def another(slot, **fields):
    number = make_number()
    RouteNumber.objects.create(route=slot.route, number=number, **fields)
    return number


def wait(due):
    """Seconds from the answer to the next try."""
    return (due.not_before - last_attempt().answered_at).total_seconds()


class TestQueueOf:
    @pytest.mark.parametrize(
        ("kind", "campaign_id", "queue"),
        [("campaign", 7, 7), ("single", None, -3), ("reply", None, REPLIES)],
    )
    def test_is_the_one_that_its_kind_waits_in(self, kind, campaign_id, queue):
        assert queue_of(kind, 3, campaign_id) == queue


@pytest.mark.django_db
class TestTries:
    def test_are_what_was_not_sent_for_no_fault_of_ours(self, came_back):
        assert came_back(PLAIN, FAULT, PLAIN).tries == 3

    @pytest.mark.parametrize("code", OURS)
    def test_leave_out_what_was_our_own_doing(self, came_back, code):
        assert came_back(PLAIN, NotSent(code), NotSent(code)).tries == 1

    def test_leave_out_throttles_and_refused_connections(self, came_back):
        assert came_back(THROTTLED, UNREACHABLE, PLAIN, THROTTLED).tries == 1

    @pytest.mark.parametrize("code", OURS)
    def test_of_our_own_doing_wait_a_moment_only(self, came_back, code):
        due = came_back(PLAIN, PLAIN, NotSent(code))
        assert due.reason == "not_sent"
        assert 0.5 <= wait(due) <= 0.625

    def test_wait_longer_each_time(self, came_back):
        assert 80 <= wait(came_back(*[PLAIN] * 4)) <= 100


@pytest.mark.django_db
class TestTheWay:
    @pytest.mark.parametrize(
        ("outcome", "reason"), [(FAULT, "account_fault"), (UNREACHABLE, "not_connected")]
    )
    def test_leads_to_another_account_at_once(self, slot, came_back, outcome, reason):
        other = another(slot, order=1)
        due = came_back(outcome)
        assert (due.lane, due.reason, wait(due)) == (other, reason, 0)

    @pytest.mark.parametrize("outcome", [THROTTLED, PLAIN])
    def test_stays_the_same_for_what_only_takes_time(self, slot, lane, came_back, outcome):
        another(slot, order=1)
        due = came_back(outcome)
        assert due.lane == lane
        assert wait(due) >= 10

    def test_leads_away_from_all_numbers_of_an_account_that_was_not_reached(
        self, slot, lane, came_back
    ):
        RouteNumber.objects.create(route=slot.route, number=make_number(lane.account))
        other = another(slot, order=5)
        assert came_back(UNREACHABLE).lane == other

    def test_waits_where_there_is_no_other(self, lane, came_back):
        due = came_back(UNREACHABLE)
        assert (due.lane, due.reason) == (lane, "not_connected")
        assert 5 <= wait(due) <= 6.25

    @pytest.mark.parametrize("field", ["paused_at", "retired_at"])
    def test_never_leads_to_what_is_out_of_use(self, slot, lane, came_back, field):
        other = another(slot, order=1)
        ProviderAccount.objects.filter(pk=other.account_id).update(**{field: NOON})
        assert came_back(FAULT).lane == lane

    def test_ends_at_the_messages_own_time(self, message, came_back):
        end = Due.objects.get().expires_at
        assert came_back(THROTTLED).expires_at == end == message.expires_at


@pytest.mark.django_db
class TestAReply:
    @pytest.fixture
    def reply(self, lane):
        """Of a brand without a route."""
        return walking.make_reply(make_person(), make_brand(), lane)

    def back(self, journal, outcome):
        come_back(walking.hand_over(journal), outcome)
        return Due.objects.get()

    @pytest.mark.parametrize("outcome", [FAULT, UNREACHABLE, THROTTLED, PLAIN])
    def test_without_a_route_keeps_its_number_and_its_queue(self, reply, lane, journal, outcome):
        due = self.back(journal, outcome)
        assert (due.message, due.lane, due.queue) == (reply, lane, REPLIES)
        assert due.expires_at == reply.expires_at

    def test_goes_by_another_number_of_its_brands_own_route(self, reply, journal):
        other = make_number()
        make_route(reply.brand, other)
        due = self.back(journal, FAULT)
        assert (due.lane, due.queue, wait(due)) == (other, REPLIES, 0)

    @pytest.mark.parametrize(
        "fields", [{"is_default": False}, {"retired_at": NOON}], ids=["not-usual", "retired"]
    )
    def test_goes_by_no_other_route(self, reply, lane, journal, fields):
        route = make_route(reply.brand, make_number())
        Route.objects.filter(pk=route.pk).update(**fields)
        assert self.back(journal, FAULT).lane == lane


@pytest.mark.django_db
class TestUndone:
    def test_a_campaigns_message_has_its_slots_route_and_priority(self, slot, message, journal):
        Campaign.objects.update(priority=7)
        Route.objects.update(is_default=False)
        make_route(slot.campaign.brand, make_number())
        (intent,) = walking.hand_over(journal)
        (row,) = undone([message.pk], [intent.attempt_id])
        assert (row.message_id, row.route_id, row.priority) == (message.pk, slot.route_id, 7)

    def test_a_batch_takes_as_many_statements_for_one_as_for_300(
        self, slot, lane, journal, statements
    ):
        another(slot)

        def back(many):
            fill_queue(slot, lane, many, now=NOON)
            intents = walking.hand_over(journal)
            assert len(intents) == many
            taken = statements(lambda: come_back(intents, SENDER_FAULT))
            Due.objects.update(not_before=NOON + HOUR)
            SenderNumber.objects.update(paused_at=None)
            return taken

        assert back(1) == back(300)
        assert Due.objects.exclude(lane=lane).count() == 301


def test_nothing_to_go_round_asks_for_nothing():
    """No database is at hand here."""
    retries.go_round([], {}, now=NOON)
