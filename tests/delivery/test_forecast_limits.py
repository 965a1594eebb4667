"""A forecast under limits as rows promises what the walk then does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compliance.models import Person
from delivery.forecast import forecast
from delivery.models import CapCounter, Message
from delivery.routing import move_resting
from delivery.starting_words import caps
from providers.models import SenderNumber
from tests.delivery import foreseeing
from tests.delivery.foreseeing import a_campaign, acme, check, of_slot
from tests.factories import NOON, make_account, make_leads, make_limit, make_number

pytestmark = pytest.mark.django_db


@pytest.fixture
def brand(sandbox):
    return acme()


def owned(owner, brand):
    number = SenderNumber.objects.get()
    return {"number": number, "account": number.account, "brand": brand}[owner]


@pytest.mark.parametrize(
    ("owner", "reason"),
    [("number", "number_cap"), ("account", "account_cap"), ("brand", "brand_cap")],
)
def test_of_a_limit_a_day(brand, journal, owner, reason):
    make_limit(3, **{owner: owned(owner, brand)})
    campaign = a_campaign(brand, *make_leads(brand, 5))
    (said,) = check(campaign, journal).values()
    assert (said["expired"], said["leaving"]) == ({reason: 2}, 3)


def test_of_a_limit_in_segments(brand, journal):
    make_limit(7, number=owned("number", brand), unit="segments")
    campaign = a_campaign(brand, *make_leads(brand, 5), text="x" * 170)
    (said,) = check(campaign, journal).values()
    assert (said["expired"], said["leaving"]) == ({"number_cap": 2}, 3)


def test_of_a_limit_that_is_used_in_part(brand):
    limit = make_limit(3, number=owned("number", brand))
    CapCounter.objects.create(key=f"messages:{limit.pk}:2035-03-07", used=2)
    assert of_slot(a_campaign(brand, *make_leads(brand, 5))).leaving == 1


def test_of_a_limit_whose_next_day_begins_within_the_slot(brand):
    make_limit(3, number=owned("number", brand), zone="Europe/London")  # midnight: 19:00 here
    campaign = a_campaign(brand, *make_leads(brand, 8))
    campaign.slots.update(length_minutes=420)
    one = of_slot(campaign)
    assert one.leaving == 6
    assert NOON + timedelta(hours=7) <= one.last_at < NOON + timedelta(hours=7, minutes=1)


@pytest.mark.parametrize(("counts", "leaving"), [(True, 5), (False, 8)])
def test_of_a_carriers_limit(brand, journal, counts, leaving):
    make_limit(
        2, brand=brand, unit="segments", zone="America/Los_Angeles", carrier="t_mobile",
        counts_unknown=counts,
    )  # fmt: skip
    leads = make_leads(brand, 10)
    people = [lead.person_id for lead in leads]
    Person.objects.filter(pk__in=people[:4]).update(carrier="T-Mobile USA")
    Person.objects.filter(pk__in=people[4:7]).update(carrier="Verizon Wireless")
    (said,) = check(a_campaign(brand, *leads), journal).values()
    assert said["leaving"] == leaving
    assert said["expired"] == {"carrier_cap": 10 - leaving}


def test_of_two_numbers_of_which_one_is_full_soon(brand, monkeypatch, journal):
    """The other one takes over what the first may not send any more."""
    first = SenderNumber.objects.get()
    brand.route_set.get().numbers.create(number=make_number(make_account()))
    make_limit(3, number=first)
    handed_over = foreseeing.hand_over

    def hand_over_and_move(journal):
        sent = handed_over(journal)
        move_resting()
        return sent

    monkeypatch.setattr(foreseeing, "hand_over", hand_over_and_move)
    (said,) = check(a_campaign(brand, *make_leads(brand, 40)), journal).values()
    assert said["leaving"] == 40
    assert Message.objects.filter(attempts__number=first).count() <= 3


def test_of_a_number_that_warms_up(brand, journal):
    SenderNumber.objects.update(warms_up_since=NOON - timedelta(hours=1), warm_up_first=3)
    (said,) = check(a_campaign(brand, *make_leads(brand, 5)), journal).values()
    assert (said["expired"], said["leaving"]) == ({"warm_up": 2}, 3)


def test_of_a_warm_up_whose_next_day_begins_within_the_slot(brand):
    SenderNumber.objects.update(warms_up_since=NOON - timedelta(hours=21), warm_up_first=3)
    one = of_slot(a_campaign(brand, *make_leads(brand, 5)))
    assert one.leaving == 5
    assert NOON + timedelta(hours=3) <= one.last_at < NOON + timedelta(hours=3, minutes=1)


def test_of_a_limit_a_second(brand):
    SenderNumber.objects.update(segments_per_second=100)
    make_limit(1, number=owned("number", brand), per="second", zone="")
    told = forecast(a_campaign(brand, *make_leads(brand, 61)))
    assert told.last_at == NOON + timedelta(hours=1, seconds=60)
    assert told.segments_per_second == 1


def test_tells_what_each_sort_of_limit_has_left(brand):
    make_limit(30, number=owned("number", brand))
    make_limit(40, number=make_number())  # of another route
    make_limit(50, brand=brand, unit="segments")
    told = forecast(a_campaign(brand, *make_leads(brand, 2)))
    assert caps(told) == [
        ("The number's daily limit is reached", "30"),
        ("The brand's daily cap is reached", "50 segments"),
    ]


def test_takes_as_many_statements_for_many_limits_as_for_one(brand, statements):
    campaign = a_campaign(brand, *make_leads(brand, 3))
    make_limit(3, number=owned("number", brand))
    forecast(campaign)  # reads the zones of the places, once in a process's life
    of_one = statements(lambda: forecast(campaign))
    make_limit(30, number=owned("number", brand), unit="segments")
    make_limit(30, account=owned("account", brand))
    make_limit(30, brand=brand, per="second")
    assert statements(lambda: forecast(campaign)) == of_one
