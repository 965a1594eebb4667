from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry

from brands import clock, keys
from brands.models import ApiKey
from tests.factories import NOON, make_brand
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

LIST = "/admin/brands/apikey/"
ADD = f"{LIST}add/"
WHOLE = re.compile(r"so_test_[A-Za-z0-9]{43}")


@pytest.fixture
def brand(sandbox):
    return make_brand(name="Nurse Jobs")


@pytest.fixture
def staff(brand):
    return client_of(make_user(brand, "admin"))


def page_of(key, does="change"):
    return f"{LIST}{key.pk}/{does}/"


def said(owner, **fields):
    return {"brand": owner.pk, "name": "Portal", "scopes": "leads:write", "last_day": "", **fields}


class TestMakingAKey:
    def test_shows_the_whole_key_once(self, staff, brand):
        response = staff.post(ADD, said(brand))
        whole = WHOLE.search(response.text)[0]
        assert keys.find(whole).key.brand == brand
        assert "no-store" in response["Cache-Control"]
        for url in (LIST, page_of(ApiKey.objects.get()), f"{LIST}?q=Portal"):
            assert whole not in staff.get(url).text

    def test_shows_the_line_to_paste(self, staff, brand, settings):
        settings.PUBLIC_BASE_URL = "https://sms.example.com"
        text = staff.post(ADD, said(brand)).text
        assert "curl https://sms.example.com/api/v1/leads" in text

    def test_leaves_no_trace_of_the_key_in_the_history(self, staff, brand):
        whole = WHOLE.search(staff.post(ADD, said(brand)).text)[0]
        assert whole[12:] not in str([*LogEntry.objects.values(), *ApiKey.objects.values()])

    def test_lets_it_work_to_the_end_of_its_last_day_where_the_brand_is(self, staff, brand):
        staff.post(ADD, said(brand, last_day="2035-03-31"))
        expected = datetime(2035, 4, 1, 4, tzinfo=UTC)  # midnight in New York
        assert ApiKey.objects.get().expires_at == expected

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            pytest.param({"name": ""}, "name", id="no name"),
            pytest.param({"name": "x" * 81}, "name", id="long name"),
            pytest.param({"name": "a\0b"}, "name", id="NUL"),
            pytest.param({"brand": ""}, "brand", id="no brand"),
            pytest.param({"brand": "x"}, "brand", id="no brand's number"),
            pytest.param({"scopes": ""}, "scopes", id="no scope"),
            pytest.param({"scopes": "leads:read"}, "scopes", id="another scope"),
            pytest.param({"last_day": "May"}, "last_day", id="no day"),
            pytest.param({"last_day": "2035-03-06"}, "last_day", id="yesterday"),
            pytest.param({"last_day": "9999-12-31"}, "last_day", id="the last day there is"),
        ],
    )
    def test_names_the_field_that_is_wrong_and_makes_none(self, staff, brand, wrong, field):
        response = staff.post(ADD, said(brand, **wrong))
        assert response.status_code == 200
        assert field in response.context["adminform"].form.errors
        assert not ApiKey.objects.exists()

    def test_is_not_for_another_brand(self, staff, brand):
        response = staff.post(ADD, said(make_brand()))
        assert "brand" in response.context["adminform"].form.errors

    def test_is_not_for_a_retired_brand(self, staff):
        old = make_brand(retired_at=NOON)
        response = client_of(make_user()).post(ADD, said(old))
        assert "brand" in response.context["adminform"].form.errors

    @pytest.mark.parametrize("role", ["marketer", "analyst", "partner"])
    def test_is_for_who_manages_the_brand(self, brand, role):
        client = client_of(make_user(brand, role))
        assert client.get(ADD).status_code == 403
        assert client.post(ADD, said(brand)).status_code == 403
        assert client.get(LIST).status_code == 403


class TestChangingAKey:
    def test_changes_its_name_and_its_last_day(self, staff, brand):
        key = keys.make(brand, "Portal").key
        staff.post(page_of(key), {"name": "Fair", "last_day": "2035-03-07"})
        key = ApiKey.objects.get()
        assert (key.name, key.scopes) == ("Fair", ["leads:write"])
        assert key.expires_at == datetime(2035, 3, 8, 5, tzinfo=UTC)

    def test_leaves_an_expiry_as_it_was_where_nobody_changed_it(self, staff, brand):
        key = keys.make(brand, "Portal", expires_at=NOON + timedelta(hours=1)).key
        staff.post(page_of(key), {"name": "Fair", "last_day": "2035-03-07"})
        assert ApiKey.objects.get().expires_at == key.expires_at

    def test_takes_the_end_away(self, staff, brand):
        key = keys.make(brand, "Portal", expires_at=NOON + timedelta(hours=1)).key
        staff.post(page_of(key), {"name": "Portal", "last_day": ""})
        assert ApiKey.objects.get().expires_at is None

    def test_never_changes_the_key_itself(self, staff, brand):
        made = keys.make(brand, "Portal")
        staff.post(page_of(made.key), {"name": "Fair", "prefix": "x", "key_hash": "x"})
        assert keys.find(made.whole).key.name == "Fair"

    def test_of_another_brand_is_a_404(self, staff):
        key = keys.make(make_brand(), "Theirs").key
        assert staff.get(page_of(key)).status_code == 404
        assert staff.post(page_of(key), {"name": "x"}).status_code == 404


class TestRevoking:
    def test_asks_first(self, staff, brand):
        key = keys.make(brand, "Portal").key
        assert "Revoke Portal?" in staff.get(page_of(key, "revoke")).text
        assert ApiKey.objects.get().revoked_at is None

    def test_ends_the_key(self, staff, brand):
        made = keys.make(brand, "Portal")
        assert staff.post(page_of(made.key, "revoke")).url == page_of(made.key)
        assert keys.find(made.whole).state == "key_revoked"
        assert "Revoked." in LogEntry.objects.get().get_change_message()

    def test_says_so_when_it_is_revoked_already(self, staff, brand):
        key = keys.make(brand, "Portal").key
        for _ in range(2):
            assert staff.post(page_of(key, "revoke")).status_code == 302
        assert LogEntry.objects.count() == 1
        assert "It has opened nothing since" in staff.get(page_of(key, "revoke")).text

    def test_is_a_404_for_another_brands_key_and_for_none(self, staff, brand):
        key = keys.make(make_brand(), "Theirs").key
        for url in (page_of(key, "revoke"), f"{LIST}0/revoke/", f"{LIST}x/revoke/"):
            assert staff.post(url).status_code == 404
        assert ApiKey.objects.get().revoked_at is None

    def test_is_a_post(self, staff, brand):
        key = keys.make(brand, "Portal").key
        assert staff.put(page_of(key, "revoke")).status_code == 405

    def test_never_deletes(self, staff, brand):
        key = keys.make(brand, "Portal").key
        assert staff.post(page_of(key, "delete"), {"post": "yes"}).status_code == 403


class TestTheList:
    def test_says_of_each_key_whether_it_works(self, staff, brand):
        keys.revoke(keys.make(brand, "Old").key)
        keys.make(brand, "Over", expires_at=clock.now())
        keys.make(brand, "Portal")
        found = re.findall(r'so-pill [^"]*">(\w+)', staff.get(LIST).text)
        assert found == ["Works", "Expired", "Revoked"]

    def test_shows_and_offers_only_the_users_own_brands(self, staff, brand):
        other = make_brand(name="Their Brand")
        keys.make(other, "Theirs")
        keys.make(brand, "Ours")
        text = staff.get(LIST).text
        assert "Ours" in text
        assert "Theirs" not in text
        assert "Their Brand" not in text


def test_a_key_is_made_copied_and_revoked(page, site):
    brand = make_brand(name="Nurse Jobs of the Greater North-East and All Its Many Suburbs")
    log_in(page, site, make_user(brand, "admin"))
    page.goto(f"{site}{LIST}")
    shoot(page, "keys-empty")
    page.goto(f"{site}{ADD}")
    page.get_by_label("Name").fill("Acme Leads, New York")
    page.get_by_label("Brand").select_option(index=1)
    page.get_by_label("Last day it works").fill("2020-01-01")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("This day is over where the brand is.").wait_for()
    shoot(page, "key-wrong")
    assert page.get_by_label("Name").input_value() == "Acme Leads, New York"
    page.get_by_label("Last day it works").fill("2036-01-31")
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Copy the key now").wait_for()
    shoot(page, "key-made")
    page.emulate_media(color_scheme="light")
    whole = page.locator("#so-key").inner_text()
    assert WHOLE.fullmatch(whole)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == whole
    page.reload()
    assert whole not in page.content()
    shoot(page, "key")
    page.get_by_role("link", name="Revoke this key").click()
    shoot(page, "key-revoke")
    page.get_by_role("button", name="Revoke it").click()
    page.get_by_text("it opens nothing any more").wait_for()
    shoot(page, "key-revoked")
    keys.find(keys.make(brand, "A portal").whole)
    page.goto(f"{site}{LIST}")
    shoot(page, "keys")
