"""The list and the page of numbers as a browser shows them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from providers.models import SenderNumber
from tests.factories import NOON, make_account, make_brand, make_number, make_route
from tests.staff import log_in, make_user, shoot

pytest_plugins = ["tests.browser"]

LONG = "Northeastern Healthcare and Hospitality Staffing Partners of Greater Philadelphia"


def open_page(page, site, name, *arguments):
    log_in(page, site, make_user())
    page.goto(site + reverse(f"admin:providers_{name}", args=arguments))


@pytest.fixture
def numbers(site):
    """One that fares well, one that rests, one that warms up, one of which little is known."""
    brand = make_brand(name="Harbor Jobs")
    account = make_account(name=LONG[:80])
    good = {"sent": 12_340, "ended": 12_300, "delivered": 11_943, "blocked": 49, "opted_out": 148}
    return [
        make_number(account, brand=brand, segments_per_second=4.0, health=good),
        make_number(
            account,
            brand=brand,
            health={**good, "delivered": 9_102, "blocked": 3_100},
            rests_until=NOON + timedelta(hours=4),
            rests_because="blocks",
            rest_words="carriers blocked 31 of 120 messages within an hour",
            block_rests=2,
            rested_at=NOON,
        ),
        make_number(
            account,
            segments_per_second=1.0,
            warms_up_since=NOON - timedelta(days=2),
            health={"sent": 310, "ended": 44, "delivered": 44},
        ),
        make_number(account),
    ]


def test_the_list_shows_how_each_fares(page, site, numbers):
    open_page(page, site, "sendernumber_changelist")
    assert page.get_by_text("97.1 % delivered").is_visible()
    shoot(page, "numbers")


def test_an_empty_list_is_a_page(page, site):
    open_page(page, site, "sendernumber_changelist")
    shoot(page, "numbers-empty")


def test_a_number_that_rests_is_woken_by_its_button(page, site, numbers):
    open_page(page, site, "sendernumber_change", numbers[1].pk)
    shoot(page, "number-rests")
    page.get_by_role("button", name="End the rest").click()
    page.get_by_text("sends again").wait_for()
    assert SenderNumber.objects.get(pk=numbers[1].pk).rests_until is None


def test_a_number_that_warms_up_says_how_far_it_is(page, site, numbers):
    open_page(page, site, "sendernumber_change", numbers[2].pk)
    assert page.get_by_text("day 3 of 14: 475 a day").is_visible()
    page.locator("#id_warm_up_days").fill("0")
    page.locator("#id_warms_up_since_0").fill("2035-03-19")
    page.evaluate("document.querySelector('#sendernumber_form').noValidate = true")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("This is still to come.").wait_for()
    shoot(page, "number-wrong")


def test_an_account_says_when_its_numbers_rest(page, site, numbers):
    open_page(page, site, "provideraccount_change", numbers[0].account_id)
    assert page.locator("#id_block_rest_hours").input_value() == "1,4,24"
    shoot(page, "account-blocks")


def test_a_route_offers_its_two_choices(page, site, numbers):
    route = make_route(make_brand(), numbers[3])
    open_page(page, site, "route_change", route.pk)
    assert page.locator("#id_keeps_number").is_checked()
    shoot(page, "route-choices")
