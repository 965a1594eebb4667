from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.speed import segments_per_second
from tests.factories import NOON, make_account, make_brand, make_number, make_route

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
        {"account_paused": True},
    ],
    ids=["paused", "retired", "resting", "account-paused"],
)
def test_leaves_out_a_number_that_cannot_send(fields):
    paused = NOON if fields.pop("account_paused", False) else None
    broken = make_number(make_account(paused_at=paused), segments_per_second=9, **fields)
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


def test_takes_one_statement_for_all_routes(statements):
    brand = make_brand()
    routes = [make_route(brand, make_number(), make_number(), is_default=n == 0) for n in range(4)]
    ids = [route.pk for route in routes]
    assert statements(lambda: segments_per_second(brand, ids, now=NOON)) == 1
