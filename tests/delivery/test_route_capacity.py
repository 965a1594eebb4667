"""The most a route sends in a minute, and what binds it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from brands.models import Installation
from delivery.models import CapCounter
from delivery.route_capacity import NO_NUMBER, OWN_SPEED, Bound, Most, Outlet, most_per_minute
from delivery.route_room import capacity_of
from providers.models import ProviderAccount, SenderNumber
from tests.factories import NOON, make_account, make_brand, make_limit, make_number, make_route

TWO = [Outlet(1, 10.0), Outlet(2, 5.0)]


@pytest.mark.parametrize(
    ("bounds", "each", "expected"),
    [
        ([], 1, Most(900, 900, OWN_SPEED)),
        ([], 3, Most(900, 300, OWN_SPEED)),
        ([Bound("the account", [1, 2], 100.0)], 1, Most(900, 900, OWN_SPEED)),
        ([Bound("the account", [1, 2], 5.0)], 1, Most(300, 300, "the account")),
        ([Bound("messages", [1], 2.0, in_messages=True)], 4, Most(780, 195, "messages")),
        ([Bound("the day", [1, 2], 30, is_daily=True)], 2, Most(30, 15, "the day")),
        ([Bound("the day", [1], 30, True, is_daily=True)], 1, Most(330, 330, "the day")),
        ([Bound("the day", [1, 2], 0, True, is_daily=True)], 1, Most(0, 0, "the day")),
        (
            [Bound("the account", [1, 2], 8.0), Bound("the brand", [1, 2], 4.0)],
            1,
            Most(240, 240, "the brand"),
        ),
        ([Bound("of others", [3], 1.0)], 1, Most(900, 900, OWN_SPEED)),
    ],
    ids=[
        "the numbers alone",
        "longer messages are fewer",
        "a limit that is not reached",
        "an account slower than its numbers",
        "messages a second",
        "segments left of a day",
        "messages left of a number's day",
        "a day that is over",
        "the narrower of two",
        "a limit of other numbers",
    ],
)
def test_what_leaves_in_a_minute(bounds, each, expected):
    found = most_per_minute(TWO, bounds, segments_each=each)
    assert (round(found.segments, 6), round(found.messages, 6), found.binds) == (
        expected.segments,
        expected.messages,
        expected.binds,
    )


def test_nothing_leaves_without_a_number():
    assert most_per_minute([], []) == Most(0.0, 0.0, NO_NUMBER)


@pytest.mark.django_db
class TestOfARoute:
    @pytest.fixture
    def route(self, sandbox):
        account = make_account(name="East")
        self.lane = make_number(account, segments_per_second=10.0, value="+12025550100")
        return make_route(make_brand(name="Acme"), self.lane)

    def said(self, route):
        found = capacity_of(route, NOON)
        return round(found.segments), found.binds

    def test_is_that_of_its_numbers(self, route):
        assert self.said(route) == (600, OWN_SPEED)

    def test_is_bound_by_the_account(self, route):
        ProviderAccount.objects.update(segments_per_second=2.0)
        assert self.said(route) == (120, "the account East")

    def test_is_bound_by_the_brand(self, route):
        route.brand.segments_per_second = 1.0
        assert self.said(route) == (60, "the brand Acme")

    @pytest.mark.parametrize(
        ("owner", "fields", "expected"),
        [
            (
                "number",
                {"per": "second", "zone": ""},
                (300, "the number +12025550100: 5 messages a second"),
            ),
            (
                "account",
                {"per": "second", "zone": "", "kind": "long_code", "unit": "segments"},
                (300, "the account East: 5 segments a second by Long code (10DLC)"),
            ),
            ("brand", {}, (3, "the brand Acme: 5 messages a day, 3 left today")),
        ],
    )
    def test_is_bound_by_a_limit(self, route, owner, fields, expected):
        found = {"number": self.lane, "account": self.lane.account, "brand": route.brand}
        limit = make_limit(5, **{owner: found[owner]}, **fields)
        CapCounter.objects.create(key=f"messages:{limit.pk}:2035-03-07", used=2)
        assert self.said(route) == expected

    def test_is_bound_by_the_daily_cap_of_the_brand(self, route):
        route.brand.daily_cap = 5
        CapCounter.objects.create(key=f"brand:{route.brand_id}:2035-03-07", used=2)
        assert self.said(route) == (3, "the brand Acme: 5 messages a day, 3 left today")

    def test_is_bound_by_what_a_warm_up_has_left_of_its_day(self, route):
        began = NOON - timedelta(hours=1)
        SenderNumber.objects.update(warms_up_since=began, warm_up_first=9)
        key = f"warm:{self.lane.pk}:{int(began.timestamp())}"
        CapCounter.objects.create(key=key, used=7)
        words = "the number +12025550100, which warms up: 2 messages left today"
        assert self.said(route) == (2, words)

    def test_is_not_that_of_a_carrier(self, route):
        make_limit(5, brand=route.brand, carrier="t_mobile")
        assert self.said(route) == (600, OWN_SPEED)

    def test_is_none_when_all_its_numbers_are_paused(self, route):
        SenderNumber.objects.update(paused_at=NOON)
        assert self.said(route) == (0, NO_NUMBER)

    def test_is_nothing_while_its_brand_is_paused(self, route):
        route.brand.paused_at = NOON
        assert capacity_of(route, NOON) == Most(0.0, 0.0, "the brand is paused")

    def test_is_nothing_while_all_sending_is_stopped(self, route):
        Installation.objects.update(stopped_at=NOON)
        assert capacity_of(route, NOON) == Most(0.0, 0.0, "all sending is stopped")

    def test_takes_as_many_statements_for_one_number_as_for_ten(self, route, statements):
        of_one = statements(lambda: capacity_of(route, NOON))
        for _ in range(9):
            number = make_number()
            make_limit(5, number=number)
            route.numbers.create(number=number)
        assert statements(lambda: capacity_of(route, NOON)) == of_one == 4
