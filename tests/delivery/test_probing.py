"""An account that is out is tried with one message at a time, of all workers together."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brands import clock
from campaigns.models import Campaign
from delivery import pipeline
from delivery.models import Attempt, Due
from delivery.probing import Probes, seed
from delivery.routing import move_resting
from providers import rates
from providers.models import Halves, ProviderAccount, RouteNumber, SenderNumber
from tests.delivery import granting, walking
from tests.delivery.granting import granted, rows_granted, wait_in_queue
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_number,
    make_person,
    make_route,
    make_slot,
)

pytestmark = pytest.mark.django_db

bench, lane = granting.bench, granting.lane  # fixtures

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def put_out(lane, ago=20 * SECOND, **fields):
    """Out since then, and free to be tried."""
    fields = {"halves": Halves.OUT, "halves_since": clock.now() - ago, **fields}
    ProviderAccount.objects.filter(pk=lane.account_id).update(**fields)


def lease_left(lane):
    """Seconds until somebody else may try the account; None: at once."""
    until = ProviderAccount.objects.get(pk=lane.account_id).probe_until
    return until and (until - clock.now()).total_seconds()


class TestWhatIsPicked:
    def test_is_one_message_of_an_account_that_is_out(self, bench, lane):
        other = make_number(lane.account)
        for queue in (7, 8):
            wait_in_queue(lane, 5, queue=queue)
            wait_in_queue(other, 5, queue=queue)
        picker = bench.full()
        put_out(lane)
        assert [rows_granted(picker), rows_granted(picker)] == [1, 0]
        assert lease_left(lane) > 20

    def test_is_one_of_all_workers_together(self, bench, lane):
        wait_in_queue(lane, 5)
        pickers = bench.full(), bench.picker(), bench.picker()
        put_out(lane)
        assert sum(rows_granted(picker) for picker in pickers) == 1

    def test_is_as_much_as_ever_of_the_others(self, bench, lane):
        healthy = make_number()
        wait_in_queue(lane, 5)
        wait_in_queue(healthy, 5)
        picker = bench.full()
        put_out(lane)
        assert granted(picker) == {(7, lane.pk): 1, (7, healthy.pk): 5}

    def test_is_nothing_before_the_first_trial_is_due(self, bench, lane):
        wait_in_queue(lane, 5)
        picker = bench.full()
        put_out(lane, probe_until=clock.now() + MINUTE)
        assert rows_granted(picker) == 0

    def test_is_one_suspect_at_most(self, bench, lane):
        wait_in_queue(lane, 1, crashes=1)
        wait_in_queue(lane, 1, queue=8, crashes=1)
        first, second = bench.full(), bench.picker()
        put_out(lane)
        assert [bool(first.grant_alone()), second.grant_alone(), first.grant_alone()] == [
            True, None, None
        ]  # fmt: skip

    def test_is_not_tried_while_the_breaker_rests_the_account(self, bench, lane):
        wait_in_queue(lane, 5)
        picker = bench.full()
        for _ in range(rates.Breaker.STRIKES):
            bench.breaker.refused(lane.account_id, now=bench.seconds)
        put_out(lane)
        assert (rows_granted(picker), lease_left(lane)) == (0, None)

    def test_costs_a_statement_a_second_and_account(self, bench, lane):
        wait_in_queue(lane, 5)
        picker = bench.full()
        put_out(lane, probe_until=clock.now() + MINUTE)
        picker.grants(500)
        with CaptureQueriesContext(connection) as queries:
            for _ in range(5):
                picker.grants(500)
        assert [one["sql"] for one in queries if "probe_until" in one["sql"]] == []


class TestALease:
    def test_comes_back_where_no_tokens_were_granted(self, bench, lane):
        wait_in_queue(lane, 5)
        put_out(lane)
        assert rows_granted(bench.picker()) == 0  # its bucket begins empty
        assert lease_left(lane) is None

    def test_comes_back_where_no_message_left(self, bench, lane):
        wait_in_queue(lane, 5)
        picker = bench.full()
        put_out(lane)
        picker.grants(500)
        assert lease_left(lane) > 20
        picker.spent([])
        assert lease_left(lane) is None

    def test_stays_where_one_did(self, bench, lane):
        wait_in_queue(lane, 5)
        picker = bench.full()
        put_out(lane)
        picker.grants(500)
        picker.spent([(7, lane.pk, 1)])
        picker.spent([])
        assert lease_left(lane) > 20

    @pytest.mark.parametrize(
        ("out_for", "least", "most"),
        [(20, 20, 30), (100, 90, 110), (3000, 290, 300)],
        ids=["half-a-minute-at-first", "as-long-as-it-is-out", "five-minutes-at-most"],
    )
    def test_grows_with_the_time_the_account_is_out(self, lane, out_for, least, most):
        """Each lost trial is a message that somebody may not get."""
        put_out(lane, ago=out_for * SECOND)
        assert Probes().lease(lane.account_id)
        assert least < lease_left(lane) <= most

    def test_is_not_had_for_an_account_that_is_back(self, lane):
        put_out(lane, halves=Halves.HALF)
        assert not Probes().lease(lane.account_id)

    def test_of_somebody_else_is_not_given_back(self, lane):
        put_out(lane)
        late = Probes()
        assert late.lease(lane.account_id)
        put_out(lane, probe_until=clock.now() + 2 * MINUTE)
        late.release(lane.account_id)
        assert lease_left(lane) > 60


@pytest.mark.django_db(transaction=True)
def test_several_workers_at_once_have_one_lease(lane, at_once):
    put_out(lane)
    assert sorted(at_once(lambda _: Probes().lease(lane.account_id), threads=4)) == [0, 0, 0, 1]


class TestATrial:
    """The way of one message to an account that is out, as a worker takes it."""

    def test_leaves_with_its_intent(self, bench, lane, journal):
        fill_queue(make_slot(lane), lane, 5, now=NOON)
        picker, parcels = bench.full(), []
        put_out(lane)
        outbox = SimpleNamespace(submit=parcels.append)
        for _ in range(3):
            pipeline.send_batch(500, picker=picker, sender=outbox, journal=journal)
        assert (Attempt.objects.count(), len(parcels)) == (1, 1)


# --- moving off, and the seed --------------------------------------------------------------------


@pytest.fixture
def lanes(sandbox):
    """A number of an account that is out, and one of another on the same route."""
    out, healthy = make_number(make_account(price_micros=1)), make_number()
    put_out(out)
    return out, healthy


@pytest.fixture
def slot(lanes):
    brand = make_brand()
    make_route(brand, *lanes)
    return make_slot(brand=brand)


def on(lane):
    return Due.objects.filter(lane=lane).count()


class TestAnAccountThatIsOut:
    def test_has_its_rows_moved_to_the_others(self, lanes, slot):
        fill_queue(slot, lanes[0], 5, now=NOON)
        assert (move_resting(), on(lanes[1])) == (5, 5)

    def test_keeps_them_where_there_is_no_other(self, lanes, slot):
        RouteNumber.objects.filter(number=lanes[1]).delete()
        fill_queue(slot, lanes[0], 5, now=NOON)
        assert (move_resting(), on(lanes[0])) == (0, 5)

    def test_answers_by_another_number(self, lanes, slot):
        message = walking.make_reply(make_person(), slot.campaign.brand, lanes[0])
        assert Due.objects.get(message=message).lane == lanes[1]


class TestTheSeed:
    def test_is_one_message_of_a_route_with_a_number_of_the_account(self, lanes, slot):
        fill_queue(slot, lanes[1], 5, now=NOON)
        assert [seed(), seed(), on(lanes[0])] == [1, 0, 1]

    def test_goes_back_when_nobody_takes_it(self, lanes, slot):
        fill_queue(slot, lanes[1], 5, now=NOON)
        seed()
        assert (move_resting(), on(lanes[0])) == (1, 0)

    @pytest.mark.parametrize(
        "change",
        [
            lambda lanes: put_out(lanes[0], halves=Halves.HALF),
            lambda lanes: put_out(lanes[0], probe_until=clock.now() + MINUTE),
            lambda lanes: put_out(lanes[0], paused_at=NOON),
            lambda lanes: SenderNumber.objects.filter(pk=lanes[0].pk).update(paused_at=NOON),
            lambda lanes: SenderNumber.objects.filter(pk=lanes[0].pk).update(
                rests_until=clock.now() + MINUTE
            ),
            lambda lanes: RouteNumber.objects.filter(number=lanes[0]).update(weight=0),
            lambda lanes: Campaign.objects.update(paused_at=NOON),
        ],
        ids=["half", "leased", "paused", "number-paused", "number-rests", "braked", "campaign"],
    )
    def test_is_none_where_the_account_may_not_be_tried(self, lanes, slot, change):
        fill_queue(slot, lanes[1], 5, now=NOON)
        change(lanes)
        assert (seed(), on(lanes[0])) == (0, 0)

    def test_is_none_of_what_is_not_due(self, lanes, slot):
        fill_queue(slot, lanes[1], 5, now=NOON, not_before=NOON + 30 * MINUTE)
        assert seed() == 0

    def test_is_none_of_another_route(self, lanes, slot):
        other = make_slot(lanes[1])
        fill_queue(other, lanes[1], 5, now=NOON)
        assert seed() == 0

    def test_is_no_message_the_account_refused_for_its_own_fault(self, lanes, slot):
        message, _ = fill_queue(slot, lanes[1], 2, now=NOON)
        Attempt.objects.create(
            message=message,
            account=lanes[0].account,
            number=lanes[0],
            sender=UUID(int=1),
            ref="r1",
            text="Hi",
            segments=1,
            brand_day=NOON.date(),
            intent_at=NOON,
            outcome="not_sent",
            is_not_sent=True,
            fault="account",
        )
        assert seed() == 1
        assert Due.objects.get(message=message).lane == lanes[1]

    def test_costs_one_statement_where_nobody_is_out(self, lanes, slot):
        put_out(lanes[0], halves=Halves.FULL)
        with CaptureQueriesContext(connection) as queries:
            assert seed() == 0
        assert len(queries) == 2  # and the clock
