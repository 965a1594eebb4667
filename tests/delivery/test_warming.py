"""A number that warms up sends slower, and no more a day than its ramp allows."""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import timedelta

import pytest
from django.db import OperationalError

from delivery import resting, tasks, upkeep
from delivery.journal import Journal
from delivery.models import Attempt, CapCounter, Due, Message
from delivery.planning import plan_open_slots
from delivery.routing import lanes_of, move_resting
from providers.base import NotSent
from providers.models import RouteNumber, SenderNumber
from tests.delivery import granting, taking, walking
from tests.delivery.granting import granted, wait_in_queue
from tests.delivery.taking import HOUR, states
from tests.factories import (
    NOON,
    fill_queue,
    make_brand,
    make_leads,
    make_number,
    make_route,
    make_slot,
    set_clock,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)
BEGAN = NOON - HOUR
KEY = f"warm:{{}}:{int(BEGAN.timestamp())}"

take = taking.take  # fixtures
bench = granting.bench


@pytest.fixture
def lane(sandbox):
    """In the first day of its warm-up, in which it may send three messages."""
    return make_number(warms_up_since=BEGAN, warm_up_first=3)


def number():
    return SenderNumber.objects.order_by("pk").first()


def used():
    return list(CapCounter.objects.filter(key__startswith="warm:").values_list("key", "used"))


class TestTheCeiling:
    def test_lets_so_many_pass_and_holds_the_rest_until_the_next_day(self, slot, lane, take):
        fill_queue(slot, lane, 5, now=NOON)
        assert len(take(slot).intents) == 3
        held = set(Due.objects.values_list("reason", "not_before"))
        assert held == {("warm_up", BEGAN + DAY)}
        assert used() == [(KEY.format(lane.pk), 3)]

    def test_counts_over_batches(self, slot, lane, take):
        fill_queue(slot, lane, 2, now=NOON)
        take(slot)
        fill_queue(slot, lane, 2, now=NOON)
        assert len(take(slot).intents) == 1

    def test_counts_over_brands(self, lane, take):
        slots = [make_slot(lane), make_slot(lane)]
        for slot in slots:
            fill_queue(slot, lane, 2, now=NOON)
        assert len(take(*slots).intents) == 3

    def test_is_another_the_next_day(self, slot, lane, take):
        fill_queue(slot, lane, 3, now=NOON)
        take(slot)
        set_clock(BEGAN + DAY + SECOND)
        Due.objects.all().delete()
        fill_queue(slot, lane, 90, now=BEGAN + DAY + SECOND)
        ceiling = SenderNumber.objects.raw(
            "SELECT n.id, sendonce_warm_ceiling(n, sendonce_now()) AS most"
            " FROM providers_sendernumber n"
        )[0].most
        assert 3 < ceiling < 90
        assert len(take(slot).intents) == ceiling

    def test_is_none_for_a_warm_number(self, slot, lane, take):
        SenderNumber.objects.update(warms_up_since=None)
        fill_queue(slot, lane, 5, now=NOON)
        assert len(take(slot).intents) == 5
        assert used() == []

    def test_is_none_when_the_warm_up_is_over(self, slot, lane, take):
        SenderNumber.objects.update(warms_up_since=NOON - 14 * DAY)
        fill_queue(slot, lane, 5, now=NOON)
        assert len(take(slot).intents) == 5

    def test_gets_back_what_did_not_leave(self, slot, lane, journal):
        fill_queue(slot, lane, 3, now=NOON)
        intents = walking.hand_over(journal)
        walking.come_back(intents[:1], NotSent("429", throttled=True))
        assert used() == [(KEY.format(lane.pk), 2)]

    def test_gets_nothing_back_of_what_left_before_it_began(self, slot, lane, journal):
        SenderNumber.objects.update(warms_up_since=None)
        fill_queue(slot, lane, 1, now=NOON)
        intents = walking.hand_over(journal)
        SenderNumber.objects.update(warms_up_since=NOON + HOUR)
        CapCounter.objects.create(key=f"warm:{lane.pk}:{int((NOON + HOUR).timestamp())}", used=2)
        walking.come_back(intents, NotSent("429", throttled=True))
        assert [count for _, count in used()] == [2]

    def test_does_not_keep_an_answer(self, slot, lane, take, journal):
        fill_queue(slot, lane, 3, now=NOON)
        take(slot)
        lead = make_leads(slot.campaign.brand, 1)[0]
        walking.make_reply(lead.person, slot.campaign.brand, lane)
        (intent,) = walking.hand_over(journal)
        assert intent.lane_id == lane.pk

    def test_costs_no_statement_for_each_message(self, slot, lane, take, statements):
        SenderNumber.objects.update(warm_up_first=1000)
        fill_queue(slot, lane, 1, now=NOON)
        take(slot)  # reads the zones of the places, once in a process's life
        fill_queue(slot, lane, 5, now=NOON)
        of_five = statements(lambda: take(slot))
        fill_queue(slot, lane, 200, now=NOON)
        assert statements(lambda: take(slot)) == of_five

    @pytest.mark.django_db(transaction=True)
    def test_holds_against_eight_workers(self, lane, take, at_once, tmp_path):
        SenderNumber.objects.update(warm_up_first=60)
        slot = make_slot(lane)
        fill_queue(slot, lane, 400, now=NOON)

        def work(_):
            with Journal.open(tmp_path, "x") as journal:
                for _ in range(100):
                    with contextlib.suppress(OperationalError):  # it waited too long for a lock
                        take(slot, rows=17, into=journal)
                    if not Due.objects.filter(reason="").exists():
                        break

        at_once(work, threads=8)
        assert states() == {"sending": 60, "planned": 340}
        assert Attempt.objects.count() == 60
        assert used() == [(KEY.format(lane.pk), 60)]


class TestGrants:
    def test_go_by_the_pace_of_the_day(self, lane, bench):
        """A fifteenth of 150 segments a second, in the first of 14 days."""
        SenderNumber.objects.update(segments_per_second=150.0, warm_up_first=1000)
        wait_in_queue(lane, 500)
        assert granted(bench.full()) == {(7, lane.pk): 10}

    def test_are_for_no_more_than_the_day_has_left(self, lane, bench):
        CapCounter.objects.create(key=KEY.format(lane.pk), used=1)
        wait_in_queue(lane, 50)
        assert granted(bench.full()) == {(7, lane.pk): 2}

    def test_are_none_when_the_day_has_nothing_left(self, lane, bench):
        CapCounter.objects.create(key=KEY.format(lane.pk), used=3)
        wait_in_queue(lane, 50)
        assert granted(bench.full()) == {}

    def test_of_an_answer_go_on(self, lane, bench):
        CapCounter.objects.create(key=KEY.format(lane.pk), used=3)
        wait_in_queue(lane, 1, queue=0)
        assert granted(bench.full()) == {(0, lane.pk): 1}


class TestTheSpread:
    def test_gives_a_number_that_warms_up_as_much_as_it_is_fast(self, sandbox):
        cold = make_number(segments_per_second=10.0, warms_up_since=BEGAN, warm_up_days=4)
        brand = make_brand()
        make_route(brand, cold, make_number(segments_per_second=10.0))
        make_slot(None, *make_leads(brand, 600), brand=brand)
        plan_open_slots()
        assert 70 < Due.objects.filter(lane=cold).count() < 130  # a sixth of 600

    def test_never_leaves_it_without_weight(self, sandbox):
        lane = make_number(warms_up_since=BEGAN, warm_up_days=90)
        route = make_route(make_brand(), lane)
        RouteNumber.objects.update(weight=1)
        lane.account.weight = 1
        lane.account.save()
        (found,) = lanes_of([route.pk], now=NOON)[route.pk]
        assert found.weight == 1

    def test_leaves_a_brake_a_brake(self, sandbox):
        route = make_route(make_brand(), make_number(warms_up_since=BEGAN))
        RouteNumber.objects.update(weight=0)
        (found,) = lanes_of([route.pk], now=NOON)[route.pk]
        assert found.weight == 0


class TestTheRest:
    @pytest.fixture
    def full(self, slot, lane, take):
        """What waited for more than it may send."""
        fill_queue(slot, lane, 5, now=NOON)
        take(slot)
        return lane

    def test_of_one_that_sent_all_lasts_until_the_next_day(self, full):
        assert resting.rest_warming() == 1
        assert (number().rests_until, number().rests_because) == (BEGAN + DAY, "warm_up")

    def test_begins_once(self, full):
        resting.rest_warming()
        assert resting.rest_warming() == 0

    def test_is_none_while_there_is_something_left(self, slot, lane, take):
        fill_queue(slot, lane, 2, now=NOON)
        take(slot)
        assert resting.rest_warming() == 0
        assert number().rests_until is None

    def test_gives_what_waits_to_the_other_numbers_at_once(self, full, slot, take):
        other = make_number()
        RouteNumber.objects.create(route=slot.route, number=other)
        tasks.fail_over()
        assert Counter(Due.objects.values_list("lane_id", flat=True)) == {other.pk: 2}
        assert len(take(slot).intents) == 2

    def test_ends_with_the_warm_up(self, full):
        resting.rest_warming()
        SenderNumber.objects.update(warms_up_since=None)
        resting.rest_warming()
        assert (number().rests_until, number().rests_because) == (None, "")

    def test_ends_when_more_is_allowed(self, full):
        resting.rest_warming()
        SenderNumber.objects.update(warm_up_first=4)
        resting.rest_warming()
        assert number().rests_until is None

    def test_is_what_ended_those_that_waited_too_long_for_it(self, full):
        resting.rest_warming()
        Due.objects.update(reason="", expires_at=NOON)
        upkeep.sweep_expired()
        expired = Message.objects.filter(status="expired")
        assert set(expired.values_list("reason", flat=True)) == {"warm_up"}

    def test_does_not_shorten_a_rest_for_blocks(self, full):
        SenderNumber.objects.update(rests_until=NOON + HOUR, rests_because="blocks")
        assert resting.rest_warming() == 0
        assert (number().rests_until, number().rests_because) == (NOON + HOUR, "blocks")

    def test_takes_two_statements_for_any_number_of_numbers(self, full, statements):
        assert statements(resting.rest_warming) == 3  # the clock's, too
        for _ in range(5):
            make_number(warms_up_since=BEGAN)
        assert statements(resting.rest_warming) == 3

    def test_moves_no_answers(self, full, slot):
        RouteNumber.objects.create(route=slot.route, number=make_number())
        brand = slot.campaign.brand
        reply = walking.make_reply(make_leads(brand, 1)[0].person, brand, full)
        resting.rest_warming()
        move_resting()
        assert Due.objects.get(message=reply).lane == full
