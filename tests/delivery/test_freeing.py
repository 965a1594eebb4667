"""What a carrier's limit holds comes back when there is room again, and no more than fits."""

from __future__ import annotations

import pytest

from compliance.models import Person
from delivery import freeing
from delivery.models import Due
from providers.models import Limit
from tests.delivery import taking
from tests.factories import NOON, fill_queue, make_limit, make_slot

pytestmark = pytest.mark.django_db

take = taking.take  # a fixture


@pytest.fixture
def slot(lane):
    return make_slot(lane)


def limit(slot, amount, unit="messages"):
    fields = {"zone": "America/Los_Angeles", "carrier": "t_mobile", "unit": unit}
    return make_limit(amount, brand=slot.campaign.brand, **fields)


@pytest.fixture
def held(slot, lane, take):
    """Five of seven people of the carrier, whose limit took two."""
    limit(slot, 2)
    fill_queue(slot, lane, 7, now=NOON)
    Person.objects.update(carrier="T-Mobile")
    take(slot)
    assert Due.objects.filter(reason="carrier_cap").count() == 5
    return slot


def waits():
    return Due.objects.filter(not_before__gt=NOON + taking.HOUR).count()


def test_without_room_nothing_comes_back(held):
    assert freeing.free_held() == 0
    assert waits() == 5


def test_where_the_limit_is_raised_as_many_come_back_as_it_lets_pass(held, take):
    Limit.objects.update(amount=5)
    assert freeing.free_held() == 3
    assert len(take(held).intents) == 3
    assert freeing.free_held() == 0
    assert waits() == 2


def test_where_the_limit_is_gone_all_come_back(held, take):
    Limit.objects.all().delete()
    assert freeing.free_held() == 5
    assert len(take(held).intents) == 5


def test_the_tightest_of_several_limits_counts(held):
    Limit.objects.update(amount=100)
    limit(held, 13, unit="segments")
    assert freeing.free_held() == 3


def test_what_is_not_counted_yet_lets_nothing_pass(held):
    Limit.objects.update(amount=100, counted_at=None)
    assert freeing.free_held() == 0


@pytest.mark.parametrize(("left", "come_back"), [(10, 0), (13, 3)])
def test_of_segments_what_a_long_text_takes_is_no_room(held, left, come_back):
    """Else one that does not fit would be looked at again each few seconds."""
    Limit.objects.all().delete()
    limit(held, left, unit="segments")
    assert freeing.free_held() == come_back


def test_what_waits_for_something_else_stays(held):
    Limit.objects.all().delete()
    Due.objects.update(reason="quiet_hours")
    assert freeing.free_held() == 0
