"""What staff see of an account's weight, and the pin that keeps it as it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from brands import clock
from providers.models import Halves, ProviderAccount, Route, WeightChange
from providers.route_admin import shares_in_words
from tests.factories import NOON, make_account, make_brand, make_number, make_route
from tests.providers.test_admin import change
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
BECAUSE = "31 of 120 answers in the last minute were lost or 5xx"


def page_of(account):
    return reverse("admin:providers_provideraccount_change", args=[account.pk])


def at(moment):
    """A time as the form sends it."""
    day, hour = f"{moment:%Y-%m-%d %H:%M:%S}".split()
    return {"pinned_until_0": day, "pinned_until_1": hour}


@pytest.fixture
def staff(sandbox):
    return client_of(make_user(username="kim"))


@pytest.fixture
def account(sandbox):
    """Out since a moment."""
    made = make_account(halves=Halves.OUT, halves_since=NOON, probe_until=NOON + HOUR)
    WeightChange.objects.create(
        account=made, before=100, after=100, halves_after=Halves.OUT, reason=BECAUSE
    )
    return made


class TestThePage:
    @pytest.mark.parametrize(
        ("halves", "words"),
        [(Halves.HALF, "Half weight since 07 Mar, 17:00 UTC"), (Halves.OUT, "Out since 07 Mar")],
    )
    def test_says_how_much_it_gets_since_when_and_why(self, staff, account, halves, words):
        ProviderAccount.objects.update(halves=halves)
        text = staff.get(page_of(account)).text
        assert words in text
        assert f"because {BECAUSE}." in text

    def test_says_that_nothing_is_wrong(self, staff):
        text = staff.get(page_of(make_account())).text
        assert "Full weight" in text
        assert "Nothing so far." in text

    def test_shows_the_last_changes(self, staff, account):
        for n in range(25):
            WeightChange.objects.create(
                account=account, before=n, after=n + 1, reason=f"reason {n}."
            )
        text = staff.get(page_of(account)).text
        assert "reason 24." in text
        assert "reason 4." not in text


class TestAPin:
    def test_gives_the_account_its_full_weight_at_once(self, staff, account):
        until = clock.now() + HOUR
        change(staff, account, **at(until))
        account.refresh_from_db()
        assert account.pinned_until == until.replace(microsecond=0)
        assert (account.halves, account.probe_until) == (Halves.FULL, None)
        assert account.halves_since > NOON
        row = WeightChange.objects.latest("id")
        assert (row.halves_before, row.halves_after) == (Halves.OUT, Halves.FULL)
        assert row.reason == f"Pinned by kim until {until:%d %b, %H:%M} UTC"
        assert f"Pinned until {until:%d %b, %H:%M} UTC" in staff.get(page_of(account)).text

    def test_that_is_over_before_it_begins_is_refused(self, staff, account):
        page = change(staff, account, **at(clock.now() - HOUR))
        assert "This time is over: type a later one, or nothing." in page.text
        account.refresh_from_db()
        assert (account.pinned_until, account.halves) == (None, Halves.OUT)

    @pytest.mark.parametrize("typed", [("soon", ""), ("2035-03-09", ""), ("2035-03-09", "25:00")])
    def test_that_is_no_time_is_refused_in_its_field(self, staff, account, typed):
        page = change(staff, account, pinned_until_0=typed[0], pinned_until_1=typed[1])
        assert page.context["adminform"].form.errors.keys() == {"pinned_until"}

    def test_of_long_ago_is_in_nobodys_way(self, staff, account):
        ProviderAccount.objects.update(pinned_until=NOON - HOUR)
        change(staff, account, **at(NOON - HOUR), name="Renamed")
        account.refresh_from_db()
        assert (account.name, account.halves) == ("Renamed", Halves.OUT)

    def test_and_a_weight_are_one_change(self, staff, account):
        change(staff, account, **at(clock.now() + HOUR), weight=50)
        row = WeightChange.objects.latest("id")
        assert row.moved == "100 to 50, out to full weight"
        assert row.reason.startswith("Set by kim; Pinned by kim until ")


def test_the_shares_of_a_route_go_by_price_where_it_prefers_the_cheapest(sandbox):
    dear, cheap = (make_number(make_account(price_micros=price)) for price in (9, 7))
    route = make_route(make_brand(), dear, cheap)
    assert shares_in_words(route) == f"{dear} 50 %, {cheap} 50 %"
    route = Route.objects.get()
    route.prefers_cheapest = True
    assert shares_in_words(route) == f"{cheap} 100 %; then {dear} 100 %"


@pytest.mark.parametrize("halves", Halves)
def test_a_page_with_a_long_name_fits_a_phone(page, site, halves):
    name = "The account of the reminders of all brands in the east, by our second contract"
    account = make_account(name=name, halves=halves, halves_since=NOON, weight=0)
    for _ in range(3 if halves < Halves.FULL else 0):
        WeightChange.objects.create(
            account=account, before=100, after=100, halves_after=halves, reason=BECAUSE
        )
    make_number(account)
    make_route(make_brand(), make_number(account), prefers_cheapest=True)
    log_in(page, site, make_user(username="kim"))
    for word, path in {
        "account": page_of(account),
        "accounts": reverse("admin:providers_provideraccount_changelist"),
        "route": reverse("admin:providers_route_change", args=[Route.objects.get().pk]),
        "changes": reverse("admin:providers_weightchange_changelist"),
    }.items():
        assert page.goto(f"{site}{path}").status == 200
        page.locator("#content").wait_for()
        shoot(page, f"weight-{halves.name.lower()}-{word}")
