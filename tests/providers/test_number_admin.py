"""The list and the page of numbers: how they fare, rest and warm up, and who may end a rest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from brands import clock
from providers.models import ProviderAccount, Route, SenderNumber
from providers.number_admin import brief
from tests.factories import NOON, make_account, make_brand, make_number, make_route
from tests.staff import client_of, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIST = reverse("admin:providers_sendernumber_changelist")
HEALTH = {"sent": 12_340, "ended": 12_000, "delivered": 11_652, "blocked": 48, "opted_out": 148}
RESTS = {
    "rests_until": NOON + 4 * HOUR,
    "rests_because": "blocks",
    "rest_words": "carriers blocked 31 of 120 messages within an hour",
    "block_rests": 2,
    "rested_at": NOON,
}


@pytest.fixture
def staff():
    return client_of(make_user())


@pytest.mark.parametrize(
    ("number", "words"), [(1000.0, "1,000"), (0.2, "0.2"), (1 / 3, "0.333"), (66.666, "66.7")]
)
def test_a_speed_is_said_briefly(number, words):
    assert brief(number) == words


def page_of(number):
    return reverse("admin:providers_sendernumber_change", args=[number.pk])


def wake(client, number):
    return client.post(reverse("admin:providers_sendernumber_wake", args=[number.pk]))


def a_form(number, **changes):
    return {
        "kind": number.kind,
        "segments_per_second": number.segments_per_second,
        "warm_up_days": number.warm_up_days,
        "warm_up_first": number.warm_up_first,
        "warms_up_since_0": "",
        "warms_up_since_1": "",
        "limits-TOTAL_FORMS": "0",
        "limits-INITIAL_FORMS": "0",
        **changes,
    }


class TestTheList:
    def test_says_how_a_number_fares(self, staff):
        make_number(health=HEALTH)
        words = "97.1 % delivered, 0.4 % blocked, 1.2 % opted out of 12,340"
        assert words in staff.get(LIST).text

    def test_says_how_fast_it_is_while_it_warms_up(self, staff):
        make_number(segments_per_second=1.0, warms_up_since=NOON - 2 * DAY)
        assert "0.2 of 1 (day 3 of 14: 475 a day)" in staff.get(LIST).text

    def test_says_until_when_it_rests(self, staff):
        make_number(**RESTS)
        assert "Rests until 07 Mar, 21:00 UTC" in staff.get(LIST).text

    def test_takes_as_many_queries_for_ten_as_for_one(self, staff, statements):
        make_number(health=HEALTH, **RESTS)
        staff.get(LIST)
        of_one = statements(lambda: staff.get(LIST))
        for _ in range(9):
            make_number(warms_up_since=NOON, **RESTS)
        assert statements(lambda: staff.get(LIST)) == of_one

    def test_ends_rests(self, staff):
        number = make_number(**RESTS)
        form = {"action": "end_rest", "_selected_action": [number.pk]}
        assert "1 send again." in staff.post(LIST, form, follow=True).text
        number.refresh_from_db()
        assert (number.rests_until, number.rests_because) == (None, "")


class TestThePage:
    def test_says_why_it_rests_and_offers_to_end_it(self, staff):
        number = make_number(**RESTS)
        page = staff.get(page_of(number)).text
        assert "carriers blocked 31 of 120 messages within an hour" in page
        assert "This is rest number 2 in 7 days." in page
        assert "End the rest" in page

    def test_keeps_the_reason_when_the_rest_is_over(self, staff):
        number = make_number(**{**RESTS, "rests_until": NOON - HOUR})
        page = staff.get(page_of(number)).text
        assert "Not now. The last time was from 07 Mar, 17:00 UTC on: carriers blocked" in page
        assert "End the rest" not in page

    @pytest.mark.parametrize("because", ["", "warm_up"])
    def test_does_not_offer_to_end_what_would_begin_again(self, staff, because):
        number = make_number(rests_until=NOON + HOUR, rests_because=because)
        assert "End the rest" not in staff.get(page_of(number)).text
        wake(staff, number)
        number.refresh_from_db()
        assert number.rests_until == NOON + HOUR

    def test_ends_the_rest_by_its_button(self, staff):
        number = make_number(**RESTS)
        assert wake(staff, number).status_code == 302
        number.refresh_from_db()
        assert number.rests_until is None
        assert number.rested_at >= NOON

    def test_starts_a_warm_up(self, staff):
        number = make_number()
        form = {"warms_up_since_0": "2035-03-07", "warms_up_since_1": "08:00", "warm_up_first": 50}
        assert staff.post(page_of(number), a_form(number, **form)).status_code == 302
        number.refresh_from_db()
        assert number.warms_up_since == NOON.replace(hour=8)
        assert number.warm_up_first == 50

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            (
                {"warms_up_since_0": "2035-03-09", "warms_up_since_1": "08:00"},
                "warms_up_since",
                "This is still to come.",
            ),
            ({"warm_up_days": 0}, "warm_up_days", "greater than or equal to 1"),
            ({"warm_up_days": 91}, "warm_up_days", "less than or equal to 90"),
            ({"warm_up_first": ""}, "warm_up_first", "required"),
            ({"segments_per_second": "1e20"}, "segments_per_second", "At most 1,000,000,000."),
        ],
    )
    def test_names_the_field_that_is_wrong(self, staff, changes, field, words):
        number = make_number()
        page = staff.post(page_of(number), a_form(number, **changes))
        (error,) = page.context["adminform"].form.errors[field]
        assert words in error


class TestABrandsAdmin:
    def test_may_end_a_rest(self):
        number = make_number(brand=make_brand(), **RESTS)
        wake(client_of(make_user(number.brand, "admin")), number)
        number.refresh_from_db()
        assert number.rests_until is None

    def test_changes_no_warm_up(self):
        number = make_number(brand=make_brand(), warms_up_since=NOON)
        client = client_of(make_user(number.brand, "admin"))
        client.post(page_of(number), a_form(number))
        number.refresh_from_db()
        assert number.warms_up_since == NOON

    def test_of_another_brand_ends_nothing(self):
        number = make_number(brand=make_brand(), **RESTS)
        assert wake(client_of(make_user(make_brand(), "admin")), number).status_code == 404
        number.refresh_from_db()
        assert number.rests_until is not None


@pytest.mark.parametrize(
    ("hours", "problem"),
    [("", "required"), ("1, x", "Item 2"), ("0", "Item 1"), ("1,2,3,4,5,6,7,8,9,10,11", "10")],
)
def test_an_accounts_hours_of_rest_are_checked(staff, hours, problem):
    account = make_account()
    url = reverse("admin:providers_provideraccount_change", args=[account.pk])
    page = staff.post(url, {"block_rest_hours": hours})
    assert problem in str(page.context["adminform"].form.errors["block_rest_hours"])
    assert ProviderAccount.objects.get().block_rest_hours == [1, 4, 24]


def test_a_routes_choices_are_kept(staff):
    route = make_route(make_brand(), make_number())
    url = reverse("admin:providers_route_change", args=[route.pk])
    form = {"name": route.name, "prefers_area": "on"}
    form |= {"numbers-TOTAL_FORMS": 0, "numbers-INITIAL_FORMS": 0}
    assert staff.post(url, form).status_code == 302
    stored = Route.objects.get()
    assert (stored.keeps_number, stored.prefers_area) == (False, True)


def test_a_stored_number_is_what_the_page_reads(staff):
    """The clock of the page is the installation's."""
    number = make_number(segments_per_second=5.0, warms_up_since=clock.now())
    assert "0.333 segments a second, day 1 of 14: 200 a day" in staff.get(page_of(number)).text
    assert SenderNumber.objects.count() == 1
