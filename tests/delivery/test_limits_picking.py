"""What limits as rows leave to be picked, and where the rows of a full number go."""

from __future__ import annotations

import pytest

from delivery import routing
from delivery.claims import REPLIES
from delivery.models import CapCounter, Due, Sticky
from tests.delivery import granting, taking
from tests.delivery.granting import HOUR, granted, rows_granted, spend_all, wait_in_queue
from tests.delivery.walking import make_reply
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_lead,
    make_limit,
    make_number,
    make_slot,
)

pytestmark = pytest.mark.django_db

bench, take = granting.bench, taking.take  # fixtures


@pytest.fixture
def lane(sandbox):
    return make_number(segments_per_second=100.0)


def use(limit, many):
    CapCounter.objects.create(key=f"{limit.unit}:{limit.pk}:2035-03-07", used=many)


class TestADay:
    def test_bounds_what_is_picked(self, bench, lane):
        use(make_limit(10, number=lane), 7)
        wait_in_queue(lane, 50)
        assert rows_granted(bench.full()) == 3

    def test_in_segments_bounds_it_by_the_largest_text(self, bench, lane):
        make_limit(10, number=lane, unit="segments")
        wait_in_queue(lane, 50, segments=3)
        assert rows_granted(bench.full()) == 3

    def test_of_an_account_bounds_its_numbers_together(self, bench, lane):
        make_limit(10, account=lane.account)
        wait_in_queue(lane, 50)
        wait_in_queue(make_number(lane.account), 50)
        assert rows_granted(bench.full()) == 10

    def test_that_is_used_up_leaves_the_rows_where_they_are(self, bench, lane):
        use(make_limit(10, number=lane), 10)
        wait_in_queue(lane, 50)
        assert granted(bench.full()) == {}

    def test_that_is_not_counted_yet_leaves_them_too(self, bench, lane):
        make_limit(10, number=lane, counted_at=None)
        wait_in_queue(lane, 50)
        assert granted(bench.full()) == {}

    def test_of_a_carrier_is_left_to_the_steps(self, bench, lane):
        brand = make_brand()
        use(make_limit(10, brand=brand, carrier="t_mobile"), 10)
        wait_in_queue(lane, 50, brand=brand)
        assert rows_granted(bench.full()) == 50

    def test_holds_no_reply(self, bench, lane):
        use(make_limit(10, number=lane), 10)
        wait_in_queue(lane, 2, queue=REPLIES)
        assert granted(bench.full()) == {(REPLIES, lane.pk): 2}

    def test_counts_what_was_picked_before_the_queue_is_read_again(self, bench, lane):
        make_limit(10, number=lane)
        wait_in_queue(lane, 50)
        picker = bench.full()
        assert [rows_granted(picker, 6), rows_granted(picker, 6)] == [6, 4]

    def test_takes_as_many_statements_for_six_limits_as_for_none(self, bench, lane, statements):
        brand = make_brand()
        wait_in_queue(lane, 5, brand=brand)
        without = statements(lambda: bench.full().grants(500))
        for unit in ("messages", "segments"):
            for owner in ({"number": lane}, {"account": lane.account}, {"brand": brand}):
                make_limit(1000, unit=unit, **owner)
        assert statements(lambda: bench.full().grants(500)) == without


class TestASecond:
    def start(self, bench, lane):
        """Let the buckets of the limits start and fill."""
        picker = bench.full()
        rows_granted(picker)
        bench.wait(100_000)
        return bench.picker()

    def test_in_messages_holds_back_long_ones_no_more_than_short_ones(self, bench, lane):
        make_limit(5, number=lane, per="second", zone="")
        wait_in_queue(lane, 200, segments=3)
        assert spend_all(self.start(bench, lane), lane) == 9

    def test_of_an_account_is_shared_by_its_numbers(self, bench, lane):
        make_limit(5, account=lane.account, per="second", zone="")
        wait_in_queue(lane, 50)
        wait_in_queue(make_number(lane.account, segments_per_second=100.0), 50)
        assert rows_granted(self.start(bench, lane)) == 9

    def test_of_a_kind_leaves_other_kinds_alone(self, bench, lane):
        make_limit(
            5, account=lane.account, kind="toll_free", per="second", unit="segments", zone=""
        )
        wait_in_queue(lane, 50)
        assert rows_granted(self.start(bench, lane)) == 50

    def test_of_a_brand_binds_no_reply(self, bench, lane):
        brand = make_brand()
        make_limit(1, brand=brand, per="second")
        wait_in_queue(lane, 5, queue=REPLIES, brand=brand)
        assert rows_granted(bench.full()) == 5

    def test_holds_a_suspect_too(self, bench, lane):
        limit = make_limit(5, number=lane, per="second", zone="")
        wait_in_queue(lane, 1, crashes=1)
        assert bench.full().grant_alone() is None  # its bucket is new, and empty
        limit.delete()
        assert bench.picker().grant_alone() is not None


def full_number(lane, **fields):
    use(make_limit(100, number=lane, **fields), 100)


def full_account(lane, **fields):
    use(make_limit(100, account=lane.account, **fields), 100)


class TestAFullNumber:
    @pytest.fixture
    def other(self, lane):
        return make_number(make_account(kind="plivo"), segments_per_second=10.0)

    @pytest.fixture
    def slot(self, lane, other):
        slot = make_slot(lane)
        slot.route.numbers.create(number=other)
        return slot

    def lanes_of_rows(self):
        return set(Due.objects.values_list("lane_id", flat=True))

    @pytest.mark.parametrize("fill", [full_number, full_account])
    def test_gives_its_rows_to_the_others_of_the_route(self, slot, lane, other, fill):
        fill_queue(slot, lane, 3, now=NOON)
        fill(lane)
        assert routing.move_resting() == 3
        assert self.lanes_of_rows() == {other.pk}

    def test_gives_up_those_too_that_it_held_until_tomorrow(self, slot, lane, other):
        fill_queue(slot, lane, 3, now=NOON)
        Due.objects.update(reason="number_cap", not_before=NOON + 12 * HOUR)
        full_number(lane)
        routing.move_resting()
        assert set(Due.objects.values_list("reason", "lane_id")) == {("", other.pk)}
        assert Due.objects.filter(not_before__lt=NOON + HOUR).count() == 3

    def test_keeps_what_the_carrier_holds(self, slot, lane, other):
        fill_queue(slot, lane, 1, now=NOON)
        Due.objects.update(reason="carrier_cap", not_before=NOON + 12 * HOUR)
        full_number(lane)
        routing.move_resting()
        assert Due.objects.get().reason == "carrier_cap"
        assert Due.objects.get().not_before == NOON + 12 * HOUR

    def test_keeps_its_answers_for_no_limit_holds_them(self, slot, lane, other):
        brand = slot.campaign.brand
        reply = make_reply(make_lead(brand).person, brand, lane)
        full_number(lane)
        routing.move_resting()
        assert Due.objects.get(message=reply).lane == lane

    def test_gives_nothing_to_another_that_is_full(self, slot, lane, other):
        fill_queue(slot, lane, 3, now=NOON)
        full_number(lane)
        full_number(other)
        assert routing.move_resting() == 0

    def test_is_one_with_less_left_than_a_long_text_takes(self, slot, lane, other):
        fill_queue(slot, lane, 3, now=NOON)
        use(make_limit(100, number=lane, unit="segments"), 91)
        assert routing.move_resting() == 3

    def test_is_none_with_more_left_than_that(self, slot, lane, other):
        fill_queue(slot, lane, 3, now=NOON)
        use(make_limit(100, number=lane, unit="segments"), 90)
        assert routing.move_resting() == 0

    def test_is_none_tomorrow(self, slot, lane, other):
        fill_queue(slot, lane, 3, now=NOON)
        limit = make_limit(100, number=lane)
        CapCounter.objects.create(key=f"messages:{limit.pk}:2035-03-06", used=100)
        assert routing.move_resting() == 0

    def test_is_none_by_a_limit_of_another_kind(self, slot, lane, other):
        fill_queue(slot, lane, 3, now=NOON)
        full_account(lane, kind="toll_free")
        assert routing.move_resting() == 0

    def test_is_left_out_when_messages_are_planned(self, slot, lane, other):
        full_number(lane)
        (lanes,) = routing.lanes_of([slot.route_id], now=NOON).values()
        assert [one.number_id for one in routing.candidates(lanes)] == [other.pk]

    def test_goes_on_to_its_last_segment_where_there_is_no_other(self, bench, lane):
        use(make_limit(100, number=lane, unit="segments"), 95)
        wait_in_queue(lane, 50)
        assert rows_granted(bench.full()) == 5

    def test_gives_its_people_to_the_number_that_took_over(self, slot, lane, other, take):
        (message,) = fill_queue(slot, lane, 1, now=NOON)
        Sticky.objects.create(person_id=message.person_id, brand_id=message.brand_id, number=lane)
        full_number(lane)
        routing.move_resting()
        assert len(take(slot).intents) == 1
        assert Sticky.objects.get().number == other
