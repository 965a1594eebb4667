"""O7 on limits of a day, and their counters, each broken once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery.models import Attempt, CapCounter
from tests.factories import make_limit
from tests.reporting.world import NOON, World

pytestmark = pytest.mark.django_db

LONG_AGO = NOON - timedelta(days=3)
EXCEEDED = "a limit of a day was exceeded"


@pytest.fixture
def world() -> World:
    """With three messages of one segment by one number."""
    return World()


def limits(world: World, folder, **kwargs: object) -> list[str]:
    return world.problems(folder, **kwargs).get("O7", [])


def owners(world):
    return {"number": world.number, "account": world.number.account, "brand": world.brand}


@pytest.mark.parametrize("owner", ["number", "account", "brand"])
@pytest.mark.parametrize("unit", ["messages", "segments"])
@pytest.mark.parametrize(("amount", "says"), [(2, [EXCEEDED]), (3, [])])
def test_an_exceeded_limit_is_found(world, tmp_path, owner, unit, amount, says):
    make_limit(amount, unit=unit, counted_at=LONG_AGO, **{owner: owners(world)[owner]})
    assert limits(world, tmp_path) == says


def test_what_was_sent_before_it_was_set_is_not_judged_by_it(world, tmp_path):
    make_limit(2, number=world.number, counted_at=NOON + timedelta(hours=9))
    assert limits(world, tmp_path) == []


def test_numbers_of_another_kind_are_not_judged_by_it(world, tmp_path):
    make_limit(2, account=world.number.account, kind="toll_free")
    assert limits(world, tmp_path) == []


@pytest.mark.parametrize(("counted", "says"), [(True, [EXCEEDED]), (False, [])])
def test_of_a_carriers_limit_what_counted_on_it_is_judged(world, tmp_path, counted, says):
    limit = make_limit(2, brand=world.brand, carrier="t_mobile", zone="America/Los_Angeles")
    if counted:
        day = Attempt.objects.first().brand_day
        Attempt.objects.update(counted_on=[f"messages:{limit.pk}:{day}"])
    assert limits(world, tmp_path) == says


@pytest.mark.parametrize(("used", "is_wrong"), [(3, False), (2, True), (4, True)])
def test_a_counter_is_recounted(world, tmp_path, used, is_wrong):
    limit = make_limit(50, number=world.number, counted_at=LONG_AGO)
    day = Attempt.objects.first().brand_day
    Attempt.objects.update(counted_on=[f"messages:{limit.pk}:{day}"])
    CapCounter.objects.create(key=f"messages:{limit.pk}:{day}", used=used)
    assert ("O12" in world.problems(tmp_path)) is is_wrong
