from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from delivery import routing
from delivery.models import Attempt, Due
from delivery.routing import Lane, bounds, candidates, choose_again, move_resting
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_number,
    make_route,
    make_slot,
)

HOUR = timedelta(hours=1)
SOON = timedelta(minutes=1)


def a_lane(number_id, **changes):
    values = {
        "account_id": number_id * 10,
        "weight": 100,
        "order": 0,
        "segments_per_second": 10.0,
        "is_usable": True,
    }
    return Lane(number_id, **{**values, **changes})


class TestCandidates:
    def test_are_the_usable_ones_of_the_first_order(self):
        first, second, spare = a_lane(1), a_lane(2), a_lane(3, order=1)
        assert candidates([first, second, spare]) == [first, second]

    def test_fall_back_only_when_all_before_rest(self):
        resting, spare = a_lane(1, is_usable=False), a_lane(2, order=1)
        assert candidates([resting, a_lane(3)]) == [a_lane(3)]
        assert candidates([resting, spare]) == [spare]

    def test_are_one_that_may_come_back_when_all_rest(self):
        lanes = [a_lane(1, is_usable=False), a_lane(2, is_usable=False, order=1)]
        assert candidates(lanes) == lanes[:1]

    def test_leave_out_what_is_barred_or_has_no_weight(self):
        lanes = [a_lane(1), a_lane(2, weight=0), a_lane(3)]
        assert candidates(lanes, without={1}) == [a_lane(3)]
        assert candidates(lanes, without={1, 2, 3}) == []

    def test_are_one_without_weight_where_there_is_no_other(self):
        brake = a_lane(1, weight=0)
        assert candidates([brake]) == [brake]
        assert candidates([brake, a_lane(2, order=1)]) == [a_lane(2, order=1)]


@pytest.mark.django_db
def test_the_largest_weights_can_be_multiplied(sandbox):
    most = 32_767  # of a column
    lane = make_number(make_account(weight=most))
    route = make_route(make_brand(), lane)
    RouteNumber.objects.update(weight=most)
    (found,) = routing.lanes_of([route.pk], now=NOON)[route.pk]
    assert found.weight == 2 * most * most


class TestBounds:
    def test_divide_the_whole_by_weight(self):
        assert bounds([a_lane(1, weight=1), a_lane(2, weight=2), a_lane(3, weight=1)]) == [
            0.0,
            0.25,
            0.75,
        ]

    def test_of_nothing_are_none(self):
        assert bounds([]) == []

    def test_of_one_without_weight_are_the_whole(self):
        assert bounds([a_lane(1, weight=0)]) == [0.0]


class TestChooseAgain:
    def test_chooses_by_weight(self):
        lanes = [a_lane(1, weight=300), a_lane(2, weight=100), a_lane(3, weight=0)]
        chosen = Counter(choose_again(lanes, (), ()) for _ in range(400))
        assert chosen.keys() == {1, 2}
        assert 240 < chosen[1] < 360

    def test_never_chooses_a_barred_account_or_number(self):
        lanes = [a_lane(1, account_id=8), a_lane(2, account_id=8), a_lane(3), a_lane(4)]
        assert {choose_again(lanes, {8}, {3}) for _ in range(20)} == {4}

    @pytest.mark.parametrize(
        "lanes",
        [[], [a_lane(1, is_usable=False)], [a_lane(1, weight=0)]],
        ids=["none", "resting", "without-weight"],
    )
    def test_chooses_none_where_none_may_send(self, lanes):
        assert choose_again(lanes, (), ()) is None


@pytest.mark.django_db
class TestLanesOf:
    def lanes(self, route):
        return routing.lanes_of([route.pk], now=NOON)[route.pk]

    def test_are_in_fall_back_order_with_their_weights(self, sandbox):
        brand, first, second = make_brand(), make_number(make_account(weight=50)), make_number()
        route = make_route(brand)
        RouteNumber.objects.create(route=route, number=second, order=1, weight=3)
        RouteNumber.objects.create(route=route, number=first, order=0, weight=2)
        found = [(lane.number_id, lane.weight, lane.order) for lane in self.lanes(route)]
        assert found == [(first.pk, 200, 0), (second.pk, 600, 1)]

    @pytest.mark.parametrize(
        ("halves", "weights"), [(2, [200, 200]), (1, [100, 200]), (0, [0, 200])]
    )
    def test_weigh_as_much_as_is_left_to_their_account(self, sandbox, halves, weights):
        brand, lanes = make_brand(), [make_number(make_account(halves=halves)), make_number()]
        found = self.lanes(make_route(brand, *lanes))
        assert [lane.weight for lane in found] == [100 * weight for weight in weights]

    @pytest.fixture
    def priced(self, sandbox):
        """A route with a dear number, two cheap ones, and the cheapest for when all those rest."""
        lanes = [make_number(make_account(price_micros=price)) for price in (900, 700, 700, 1)]
        route = make_route(make_brand(), *lanes, prefers_cheapest=True)
        RouteNumber.objects.filter(number=lanes[3]).update(order=5)
        return route, lanes

    def test_go_by_price_within_one_order_where_the_route_prefers_the_cheapest(self, priced):
        route, (dear, cheap, other, last) = priced
        found = [(lane.number_id, lane.order) for lane in self.lanes(route)]
        assert found == [(cheap.pk, 0), (other.pk, 0), (dear.pk, 1), (last.pk, 2)]

    def test_go_by_order_alone_where_it_does_not(self, priced):
        route, lanes = priced
        Route.objects.update(prefers_cheapest=False)
        found = [(lane.number_id, lane.order) for lane in self.lanes(route)]
        assert found == [(lane.pk, order) for lane, order in zip(lanes, (0, 0, 0, 1), strict=True)]

    @pytest.mark.parametrize(
        ("resting", "takes_over"),
        [((), {1, 2}), ((1,), {2}), ((1, 2), {0}), ((0, 1, 2), {3})],
        ids=["the-cheapest", "one-of-two-rests", "both-rest", "all-of-its-order-rest"],
    )
    def test_let_the_next_dearer_take_over_from_what_cannot_send(self, priced, resting, takes_over):
        route, lanes = priced
        for at in resting:
            ProviderAccount.objects.filter(pk=lanes[at].account_id).update(halves=0)
        found = candidates(self.lanes(route))
        assert {lane.number_id for lane in found} == {lanes[at].pk for at in takes_over}

    @pytest.mark.parametrize(
        ("model", "change", "usable"),
        [
            pytest.param(SenderNumber, {"paused_at": NOON}, False, id="number-paused"),
            pytest.param(SenderNumber, {"rests_until": NOON + SOON}, False, id="number-rests"),
            pytest.param(SenderNumber, {"rests_until": NOON}, True, id="number-has-rested"),
            pytest.param(ProviderAccount, {"paused_at": NOON}, False, id="account-paused"),
            pytest.param(SenderNumber, {}, True, id="as-it-is"),
        ],
    )
    def test_are_usable_while_nothing_holds_them(self, sandbox, model, change, usable):
        route = make_route(make_brand(), make_number())
        if change:
            model.objects.update(**change)
        assert [lane.is_usable for lane in self.lanes(route)] == [usable]

    @pytest.mark.parametrize("model", [SenderNumber, ProviderAccount])
    def test_are_none_of_what_is_retired(self, sandbox, model):
        route = make_route(make_brand(), make_number())
        model.objects.update(retired_at=NOON)
        assert self.lanes(route) == []


@pytest.mark.django_db
class TestMoveResting:
    @pytest.fixture
    def lanes(self, sandbox):
        """A number that is paused, and one that is not."""
        return [make_number(paused_at=NOON), make_number(segments_per_second=1.0)]

    @pytest.fixture
    def slot(self, lanes):
        brand = make_brand()
        make_route(brand, *lanes)
        return make_slot(brand=brand)

    def by_lane(self, lanes):
        found = Counter(Due.objects.values_list("lane_id", flat=True))
        return [found[lane.pk] for lane in lanes]

    def test_moves_what_waits_for_a_paused_number(self, slot, lanes):
        fill_queue(slot, lanes[0], 2, now=NOON)
        assert move_resting() == 2
        assert self.by_lane(lanes) == [0, 2]

    @pytest.mark.parametrize(
        "rest",
        [
            lambda lane: SenderNumber.objects.filter(pk=lane.pk).update(rests_until=NOON + HOUR),
            lambda lane: SenderNumber.objects.filter(pk=lane.pk).update(retired_at=NOON),
            lambda lane: ProviderAccount.objects.filter(numbers=lane).update(paused_at=NOON),
            lambda lane: ProviderAccount.objects.filter(numbers=lane).update(retired_at=NOON),
            lambda lane: ProviderAccount.objects.filter(numbers=lane).update(halves=0),
        ],
        ids=["rests", "retired", "account-paused", "account-retired", "account-out"],
    )
    def test_moves_it_whatever_keeps_the_number_out(self, slot, lanes, rest):
        SenderNumber.objects.update(paused_at=None)
        rest(lanes[0])
        fill_queue(slot, lanes[0], 2, now=NOON)
        assert move_resting() == 2

    def test_moves_no_more_at_once_than_the_others_can_send_in_two_seconds(self, slot, lanes):
        """It is called each second: what rests for long must not bury the others."""
        fill_queue(slot, lanes[0], 100, now=NOON)
        assert move_resting() == 2
        assert self.by_lane(lanes) == [98, 2]

    def test_moves_at_least_one(self, slot, lanes):
        SenderNumber.objects.update(segments_per_second=0.001)
        fill_queue(slot, lanes[0], 3, now=NOON)
        assert move_resting() == 1

    def test_moves_nothing_where_nobody_else_can_send(self, slot, lanes):
        SenderNumber.objects.update(paused_at=NOON)
        fill_queue(slot, lanes[0], 3, now=NOON)
        assert move_resting() == 0

    def test_moves_nothing_to_a_number_without_weight(self, slot, lanes):
        RouteNumber.objects.filter(number=lanes[1]).update(weight=0)
        fill_queue(slot, lanes[0], 3, now=NOON)
        assert move_resting() == 0

    def test_leaves_the_rows_of_a_number_that_sends(self, slot, lanes):
        fill_queue(slot, lanes[1], 3, now=NOON)
        assert move_resting() == 0

    def test_leaves_what_has_expired(self, slot, lanes):
        fill_queue(slot, lanes[0], 3, now=NOON, expires_at=NOON)
        assert move_resting() == 0

    def test_never_moves_a_message_to_an_account_at_fault(self, slot, lanes):
        (message,) = fill_queue(slot, lanes[0], 1, now=NOON)
        Attempt.objects.create(
            message=message,
            account=lanes[1].account,
            number=lanes[1],
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
        assert move_resting() == 0
        ProviderAccount.objects.update(resumed_at=NOON + SOON)
        assert move_resting() == 1

    def test_leaves_a_message_its_time(self, slot, lanes):
        """Planned half an hour ahead, it must not leave before its slot begins."""
        fill_queue(slot, lanes[0], 1, now=NOON, not_before=NOON + SOON)
        move_resting()
        assert Due.objects.get().not_before == NOON + SOON

    @pytest.mark.parametrize(
        "reason", ["lane_paused", "account_fault", "throttled", "not_connected"]
    )
    def test_lets_go_at_once_what_waited_for_the_number_alone(self, slot, lanes, reason):
        later = {"not_before": NOON + HOUR, "reason": reason}
        fill_queue(slot, lanes[0], 1, now=NOON, **later)
        move_resting()
        due = Due.objects.get()
        assert NOON <= due.not_before < NOON + SOON
        assert due.reason == ""

    @pytest.mark.parametrize("reason", ["person_limit", "quiet_hours", "brand_cap", "step_failed"])
    def test_holds_what_waits_for_something_else(self, slot, lanes, reason):
        later = {"not_before": NOON + HOUR, "reason": reason}
        fill_queue(slot, lanes[0], 1, now=NOON, **later)
        move_resting()
        due = Due.objects.get()
        assert (due.not_before, due.reason, due.lane) == (NOON + HOUR, reason, lanes[1])

    def test_sends_each_list_by_its_own_route(self, slot, lanes):
        other = make_number()
        elsewhere = make_brand()
        make_route(elsewhere, lanes[0], other)
        fill_queue(slot, lanes[0], 2, now=NOON)
        fill_queue(make_slot(brand=elsewhere), lanes[0], 2, now=NOON)
        assert move_resting() == 4
        assert self.by_lane([lanes[0], lanes[1], other]) == [0, 2, 2]
