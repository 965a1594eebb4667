from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.speed import segments_per_second
from providers.models import ProviderAccount
from tests.factories import NOON, make_account, make_brand, make_limit, make_number, make_route

pytestmark = pytest.mark.django_db


def speed(brand, *lanes, now=NOON):
    route = make_route(brand, *lanes)
    return segments_per_second(brand, [route.pk], now=now)[route.pk]


def test_is_the_sum_of_its_numbers():
    lanes = [make_number(segments_per_second=rate) for rate in (3, 4)]
    assert speed(make_brand(), *lanes) == 7


def test_is_no_more_than_an_account_may_send():
    account = make_account(segments_per_second=5)
    lanes = [make_number(account, segments_per_second=4) for _ in range(2)]
    assert speed(make_brand(), *lanes, make_number(segments_per_second=1)) == 6


def test_is_no_more_than_the_brand_may_send():
    assert speed(make_brand(segments_per_second=2), make_number(segments_per_second=9)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"paused_at": NOON},
        {"retired_at": NOON},
        {"rests_until": NOON + timedelta(minutes=1)},
        {"account": {"paused_at": NOON}},
        {"account": {"halves": 0}},
    ],
    ids=["paused", "retired", "resting", "account-paused", "account-out"],
)
def test_leaves_out_a_number_that_cannot_send(fields):
    fields = dict(fields)
    account = make_account(**fields.pop("account", {}))
    broken = make_number(account, segments_per_second=9, **fields)
    assert speed(make_brand(), broken, make_number(segments_per_second=1)) == 1


def test_is_nothing_without_a_number():
    assert speed(make_brand()) == 0


def test_counts_a_fallback_only_while_all_before_it_rest():
    brand, first, second = make_brand(), make_number(segments_per_second=3), make_number()
    route = make_route(brand, first, second)
    route.numbers.filter(number=second).update(order=1)
    assert segments_per_second(brand, [route.pk], now=NOON) == {route.pk: 3}
    type(first).objects.filter(pk=first.pk).update(paused_at=NOON)
    assert segments_per_second(brand, [route.pk], now=NOON) == {route.pk: 1000}


def test_takes_two_statements_for_all_routes(statements):
    brand = make_brand()
    routes = [make_route(brand, make_number(), make_number(), is_default=n == 0) for n in range(4)]
    ids = [route.pk for route in routes]
    assert statements(lambda: segments_per_second(brand, ids, now=NOON)) == 2


def test_is_that_of_the_cheapest_where_the_route_prefers_it():
    brand, lanes = make_brand(), []
    for price, rate in ((900, 9), (700, 3), (700, 4)):
        lanes.append(make_number(make_account(price_micros=price), segments_per_second=rate))
    route = make_route(brand, *lanes, prefers_cheapest=True)
    assert segments_per_second(brand, [route.pk], now=NOON) == {route.pk: 7}
    ProviderAccount.objects.filter(price_micros=700).update(halves=0)
    assert segments_per_second(brand, [route.pk], now=NOON) == {route.pk: 9}


@pytest.mark.parametrize("owner", ["number", "account", "brand"])
def test_is_no_more_than_a_further_limit_lets_pass(owner):
    brand, lane = make_brand(), make_number(segments_per_second=9)
    found = {"number": lane, "account": lane.account, "brand": brand}
    make_limit(4, per="second", zone="", **{owner: found[owner]})
    assert speed(brand, lane) == 4


def test_of_a_service_is_held_by_a_limit_for_long_codes_too():
    lane = make_number(segments_per_second=9, kind="service")
    make_limit(4, per="second", zone="", account=lane.account, kind="long_code")
    assert speed(make_brand(), lane) == 4


def test_is_not_slowed_by_a_limit_of_another_kind_of_numbers():
    lane = make_number(segments_per_second=9)
    make_limit(4, per="second", zone="", account=lane.account, kind="toll_free")
    assert speed(make_brand(), lane) == 9
