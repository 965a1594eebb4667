"""Which number each person is texted from, where the route has its own ideas about it."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest

from campaigns.models import Slot
from compliance.models import Person
from delivery.forecast import forecast
from delivery.models import Due, Message, Sticky
from delivery.planning import plan_open_slots
from providers.models import Route, RouteNumber, SenderNumber
from tests.delivery import foreseeing
from tests.factories import (
    NOON,
    make_brand,
    make_lead,
    make_leads,
    make_number,
    make_person,
    make_route,
    make_slot,
)

pytestmark = pytest.mark.django_db

phones = count(1)


def people_of(area, brand, many):
    """Leads whose phones have this area code."""
    return [
        make_lead(brand, make_person(phone=f"+1{area}555{next(phones):04d}")) for _ in range(many)
    ]


def a_number(area, **fields):
    return make_number(value=f"+1{area}555{next(phones):04d}", **fields)


@pytest.fixture
def brand(sandbox):
    """Its route has a number in New York and one in Atlanta, and prefers the nearer."""
    brand = make_brand()
    make_route(brand, a_number("212"), a_number("404"), prefers_area=True)
    return brand


def number_in(area):
    return SenderNumber.objects.get(value__startswith=f"+1{area}")


def planned(brand, *leads):
    """How many each number got, by its area code."""
    slot = make_slot(None, *leads, brand=brand)
    plan_open_slots()
    found = Due.objects.filter(message__slot=slot).values_list("lane__value", flat=True)
    return Counter(value[2:5] for value in found)


class TestNear:
    def test_each_person_is_texted_from_their_own_area(self, brand):
        leads = [*people_of("212", brand, 12), *people_of("404", brand, 8)]
        assert planned(brand, *leads) == {"212": 12, "404": 8}
        by_area = Message.objects.filter(due__lane=number_in("404"))
        assert {person.phone[2:5] for person in Person.objects.filter(message__in=by_area)} == {
            "404"
        }

    def test_everybody_else_is_spread_by_weight(self, brand):
        spread = planned(brand, *people_of("617", brand, 80))
        assert spread.total() == 80
        assert 20 < spread["212"] < 60

    def test_is_no_matter_where_the_route_does_not_ask(self, brand):
        Route.objects.update(prefers_area=False)
        assert planned(brand, *people_of("212", brand, 60))["404"] > 10

    def test_several_of_an_area_share_it_by_weight(self, brand):
        second = a_number("212")
        RouteNumber.objects.create(route=brand.route_set.get(), number=second, weight=300)
        assert planned(brand, *people_of("212", brand, 200)) == {"212": 200}
        assert 110 < Due.objects.filter(lane=second).count() < 185

    def test_a_number_that_rests_is_nobodys(self, brand):
        SenderNumber.objects.filter(pk=number_in("404").pk).update(paused_at=NOON)
        assert planned(brand, *people_of("404", brand, 5)) == {"212": 5}

    def test_a_fall_back_is_not_taken_for_its_area(self, brand):
        RouteNumber.objects.filter(number=number_in("404")).update(order=1)
        assert planned(brand, *people_of("404", brand, 5)) == {"212": 5}

    def test_a_number_without_weight_is_not_taken_for_its_area(self, brand):
        RouteNumber.objects.filter(number=number_in("404")).update(weight=0)
        assert planned(brand, *people_of("404", brand, 5)) == {"212": 5}

    @pytest.mark.parametrize(
        ("kind", "value"),
        [("short_code", "21255"), ("toll_free", "+14045550100"), ("alphanumeric", "+1404")],
    )
    def test_only_a_long_code_is_anywhere(self, brand, kind, value):
        SenderNumber.objects.filter(pk=number_in("404").pk).update(kind=kind, value=value)
        leads = people_of("404", brand, 60)
        make_slot(None, *leads, brand=brand)
        plan_open_slots()
        assert Due.objects.filter(lane__kind="long_code").count() > 10

    def test_is_less_than_the_number_a_person_knows(self, brand):
        leads = people_of("404", brand, 5)
        for lead in leads:
            Sticky.objects.create(person=lead.person, brand=brand, number=number_in("212"))
        assert planned(brand, *leads) == {"212": 5}

    def test_takes_as_many_statements_as_without(self, brand, statements):
        def plan(*, prefers_area, many):
            Slot.objects.update(state="closed", closed_at=NOON)
            Route.objects.update(prefers_area=prefers_area)
            make_slot(None, *people_of("404", brand, many), brand=brand)
            return statements(plan_open_slots)

        plan(prefers_area=False, many=1)  # reads the zones of the places, once in a process's life
        without = plan(prefers_area=False, many=1)
        assert plan(prefers_area=True, many=40) == without

    def test_is_foreseen_as_it_is_planned(self, brand):
        leads = [*people_of("212", brand, 12), *people_of("404", brand, 8)]
        SenderNumber.objects.filter(pk=number_in("212").pk).update(segments_per_second=0.01)
        campaign = foreseeing.a_campaign(brand, *leads)
        (one,) = forecast(campaign).slots
        assert one.leaving == 20
        assert (one.last_at - one.first_at).total_seconds() > 1000  # 12 of them, each 100 seconds


class TestTheNumberAPersonKnows:
    @pytest.fixture
    def leads(self, brand):
        Route.objects.update(prefers_area=False)
        leads = make_leads(brand, 60)
        for lead in leads:
            Sticky.objects.create(person=lead.person, brand=brand, number=number_in("212"))
        return leads

    def test_is_kept(self, brand, leads):
        assert planned(brand, *leads) == {"212": 60}

    def test_is_not_kept_where_the_route_does_not_ask(self, brand, leads):
        Route.objects.update(keeps_number=False)
        assert planned(brand, *leads)["404"] > 10

    def test_is_foreseen_as_it_is_planned(self, brand, leads):
        SenderNumber.objects.filter(pk=number_in("404").pk).update(segments_per_second=0.01)
        campaign = foreseeing.a_campaign(brand, *leads)
        quick = forecast(campaign).last_at
        Route.objects.update(keeps_number=False)
        assert forecast(campaign).last_at > quick
