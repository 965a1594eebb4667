"""Limits on the pages of numbers, accounts and brands: what is taken, what is said, who may."""

from __future__ import annotations

import pytest
from django.urls import reverse

from brands.models import Membership
from providers.models import Limit
from tests.factories import make_account, make_brand, make_limit, make_number
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

PAGES = {"brand": "brands_brand", "account": "providers_provideraccount"}
PAGES["number"] = "providers_sendernumber"
DAY = {"amount": "200", "measure": "messages a day", "zone": "America/Los_Angeles"}


def path_of(row, owner):
    return reverse(f"admin:{PAGES[owner]}_change", args=[row.pk])


def make(owner):
    return {"brand": make_brand, "account": make_account, "number": make_number}[owner]()


def form_of(client, path):
    """What the page's form would send as it stands."""
    page = client.get(path)
    forms = [page.context["adminform"].form]
    inlines = [inline.formset for inline in page.context["inline_admin_formsets"]]
    sent = {}
    for formset in inlines:
        management = formset.management_form
        sent |= {
            management.add_prefix(name): management[name].value() for name in management.fields
        }
        forms += formset.forms
    for form in forms:
        sent |= {form.add_prefix(name): form[name].value() for name in form.fields}
    texts = {"link_hosts": "jobs.example.com"}
    sent |= texts
    return {name: value for name, value in sent.items() if value is not None and value is not False}


def save(client, row, owner, *limits, **changes):
    path = path_of(row, owner)
    sent = form_of(client, path)
    stored = int(sent.get("limits-INITIAL_FORMS") or 0)
    for n, limit in enumerate(limits):
        sent |= {f"limits-{n}-{name}": value for name, value in limit.items()}
    sent["limits-TOTAL_FORMS"] = max(stored, len(limits))
    return client.post(path, sent | changes)


def errors(page):
    """Of each limit, where there is nothing wrong with the page beside them."""
    beside = dict(page.context["adminform"].form.errors)
    assert beside == {}, beside
    (formset,) = [
        one.formset for one in page.context["inline_admin_formsets"] if one.formset.model is Limit
    ]
    return [dict(form.errors) for form in formset.forms]


@pytest.fixture
def owner_client(sandbox):
    return client_of(make_user())


class TestALimit:
    @pytest.mark.parametrize("owner", ["brand", "account", "number"])
    def test_is_added_on_the_page_of_whom_it_limits(self, owner_client, owner):
        row = make(owner)
        answer = save(owner_client, row, owner, DAY)
        assert answer.status_code == 302, errors(answer)
        limit = Limit.objects.get()
        assert getattr(limit, f"{owner}_id") == row.pk
        assert (limit.amount, limit.zone) == (200, "America/Los_Angeles")
        assert limit.counted_at is None

    def test_changes_its_amount_and_nothing_else(self, owner_client):
        row = make_account()
        limit = make_limit(5, account=row)
        answer = save(owner_client, row, "account", {**DAY, "id": limit.pk, "amount": "9"})
        assert answer.status_code == 302, errors(answer)
        limit.refresh_from_db()
        assert (limit.amount, limit.zone) == (9, "America/New_York")
        assert limit.counted_at is not None

    def test_is_deleted(self, owner_client):
        row = make_account()
        limit = make_limit(5, account=row)
        save(owner_client, row, "account", {"id": limit.pk, "DELETE": "on", "amount": "5"})
        assert not Limit.objects.exists()

    def test_is_made_anew_in_one_go(self, owner_client):
        row = make_account()
        limit = make_limit(5, account=row)
        gone = {"id": limit.pk, "DELETE": "on", "amount": "5"}
        answer = save(owner_client, row, "account", gone, {**DAY, "zone": "UTC"})
        assert answer.status_code == 302, errors(answer)
        assert Limit.objects.values_list("zone", flat=True).get() == "UTC"

    @pytest.mark.parametrize(
        ("owner", "fields", "field", "says"),
        [
            ("account", {"amount": "0"}, "amount", "More than nothing"),
            ("account", {"amount": "-3"}, "amount", "More than nothing"),
            ("account", {"amount": "many"}, "amount", "Enter a number."),
            ("account", {"amount": "nan"}, "amount", "Enter a number."),
            ("account", {"amount": ""}, "amount", "This field is required."),
            ("account", {"amount": "1e12"}, "amount", "at most 1,000,000,000"),
            ("account", {"amount": "1.5"}, "amount", "A whole number, for a day."),
            ("account", {"zone": ""}, "zone", "Choose the zone"),
            ("number", {"zone": "Mars/Base"}, "zone", "Select a valid choice"),
            ("account", {"measure": "messages a second"}, "zone", "A limit a second has no day"),
            (
                "account",
                {"measure": "segments a second", "zone": ""},
                "measure",
                "have a field of their own",
            ),
            (
                "brand",
                {"measure": "messages a second", "zone": "", "carrier": "att"},
                "carrier",
                "one a day",
            ),
        ],
    )
    def test_that_is_wrong_says_what_to_do(self, owner_client, owner, fields, field, says):
        answer = save(owner_client, make(owner), owner, {**DAY, **fields})
        assert answer.status_code == 200
        assert says in str(errors(answer)[0][field])
        assert not Limit.objects.exists()

    def test_is_not_added_twice(self, owner_client):
        answer = save(owner_client, make_account(), "account", DAY, {**DAY, "amount": "7"})
        assert "There is such a limit already" in str(errors(answer)[1]["amount"])

    def test_of_a_brand_may_go_by_the_brands_own_day(self, owner_client):
        answer = save(owner_client, make_brand(), "brand", {**DAY, "zone": ""})
        assert answer.status_code == 302, errors(answer)


class TestWhoMay:
    def test_a_brands_manager_sets_its_limits(self, sandbox):
        brand = make_brand()
        manager = client_of(make_user(brand, Membership.Role.ADMIN))
        assert save(manager, brand, "brand", DAY).status_code == 302
        assert Limit.objects.get().brand == brand

    def test_a_brands_manager_sees_those_of_its_numbers_and_sets_none(self, sandbox):
        brand = make_brand()
        number = make_number(brand=brand)
        make_limit(77, number=number)
        manager = client_of(make_user(brand, Membership.Role.ADMIN))
        page = manager.get(path_of(number, "number"))
        assert "77" in page.text
        assert "limits_preset" not in page.text
        save(manager, number, "number", DAY)
        assert Limit.objects.count() == 1

    def test_an_analyst_sets_none(self, sandbox):
        brand = make_brand()
        make_limit(77, brand=brand)
        analyst = client_of(make_user(brand, Membership.Role.ANALYST))
        page = analyst.get(path_of(brand, "brand"))
        assert page.status_code == 200
        assert "limits_preset" not in page.text


class TestAPreset:
    def test_is_used_when_it_is_chosen(self, owner_client):
        brand = make_brand()
        answer = save(owner_client, brand, "brand", limits_preset="10dlc-50")
        assert answer.status_code == 302
        assert set(Limit.objects.values_list("amount", "per", "carrier")) == {
            (120, "second", ""),
            (40_000, "day", "t_mobile"),
        }
        page = owner_client.get(path_of(brand, "brand")).text
        assert "Source: Plivo" in page

    def test_is_not_used_by_itself(self, owner_client):
        save(owner_client, make_brand(), "brand")
        assert not Limit.objects.exists()

    def test_of_a_number_is_of_its_kind(self, owner_client):
        page = owner_client.get(path_of(make_number(kind="toll_free"), "number")).text
        assert "Toll-free, verified, at Plivo" in page
        assert "Short code: 100" not in page

    def test_for_the_kind_that_a_number_had_says_so(self, owner_client):
        number = make_number(kind="toll_free")
        changes = {"kind": "short_code", "limits_preset": "toll-free"}
        answer = save(owner_client, number, "number", **changes)
        assert answer.status_code == 200
        (said,) = answer.context["adminform"].form.errors["limits_preset"]
        assert "another kind" in said

    def test_that_does_not_fit_is_refused(self, owner_client):
        answer = save(owner_client, make_brand(), "brand", limits_preset="toll-free")
        assert answer.status_code == 200
        assert not Limit.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestInABrowser:
    @pytest.mark.parametrize("owner", ["brand", "account", "number"])
    def test_the_page_fits_a_phone(self, page, site, owner):
        row = make(owner)
        log_in(page, site, make_user(username="kim"))
        page.goto(f"{site}{path_of(row, owner)}")
        shoot(page, f"limits-{owner}-none")
        owned = {owner: row}
        make_limit(1_000_000_000, unit="segments", zone="America/Argentina/ComodRivadavia", **owned)
        make_limit(2.5, per="second", zone="", **owned)
        page.goto(f"{site}{path_of(row, owner)}")
        shoot(page, f"limits-{owner}-some")

    def test_a_mistake_stands_beside_its_field(self, page, site):
        brand = make_brand(name="An employer with a name that goes on and on")
        log_in(page, site, make_user(username="kim"))
        page.goto(f"{site}{path_of(brand, 'brand')}")
        page.get_by_role("link", name="Add another limit").click()
        page.locator("#id_limits-0-amount").fill("1.5")
        page.locator("[name=_save]").click()
        page.get_by_text("A whole number, for a day.").wait_for()
        shoot(page, "limits-brand-mistake")
        page.locator("#id_limits-0-amount").fill("15")
        page.locator("[name=_save]").click()
        page.get_by_text("was changed successfully").wait_for()
        assert Limit.objects.get().amount == 15
