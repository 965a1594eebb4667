from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from brands.admin import lines
from brands.models import ApiKey, Brand, Installation
from tests.factories import make_brand, make_installation

BRANDS = reverse("admin:brands_brand_changelist")
INSTALLATIONS = reverse("admin:brands_installation_changelist")

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_superuser("staff"))
    return client


def a_form(**changes):
    return {
        "name": "Acme",
        "slug": "acme",
        "zone": "America/New_York",
        "opens": "9:00",
        "closes": "20:00",
        "sunday_opens": "12:00",
        "fairness_weight": "1",
        "short_domain": "go.acme.example",
        "opt_out_line": "Reply STOP to opt out",
        **changes,
    }


def act(client, url, action, *rows):
    pks = [row.pk for row in rows]
    return client.post(url, {"action": action, "_selected_action": pks}, follow=True)


class TestABrand:
    def test_keeps_its_link_hosts_as_a_list_typed_one_a_line(self, staff):
        form = a_form(link_hosts="Jobs.example.com\n\n apply.example.org ")
        staff.post(reverse("admin:brands_brand_add"), form)
        brand = Brand.objects.get()
        assert brand.link_hosts == ["jobs.example.com", "apply.example.org"]
        page = staff.get(reverse("admin:brands_brand_change", args=[brand.pk])).text
        assert "jobs.example.com\napply.example.org" in page

    @pytest.mark.parametrize("host", ["https://jobs.example.com", "jobs/", "a..b", "-", "jö.de"])
    def test_refuses_what_is_not_a_host_and_says_which(self, staff, host):
        page = staff.post(reverse("admin:brands_brand_add"), a_form(link_hosts=f"ok.com {host}"))
        assert f"{host} is not a host name" in page.text
        assert not Brand.objects.exists()

    def test_refuses_hours_outside_the_law_in_words(self, staff):
        page = staff.post(reverse("admin:brands_brand_add"), a_form(closes="22:00"))
        assert "Hours must lie between 8:00 and 21:00" in page.text
        assert not Brand.objects.exists()

    def test_is_paused_and_resumed(self, staff):
        brand, other = make_brand(), make_brand()
        assert "1 paused." in act(staff, BRANDS, "pause", brand).text
        brand.refresh_from_db()
        other.refresh_from_db()
        assert (brand.paused_at is None, other.paused_at) == (False, None)
        act(staff, BRANDS, "resume", brand)
        brand.refresh_from_db()
        assert brand.paused_at is None

    def test_stays_paused_since_the_first_time(self, staff):
        brand = make_brand()
        act(staff, BRANDS, "pause", brand)
        first = Brand.objects.get().paused_at
        assert "0 paused." in act(staff, BRANDS, "pause", brand).text
        assert Brand.objects.get().paused_at == first

    def test_stops_sending_when_it_is_retired(self, staff):
        brand = make_brand()
        act(staff, BRANDS, "retire_and_pause", brand)
        brand.refresh_from_db()
        assert brand.retired_at == brand.paused_at
        assert brand.retired_at

    def test_comes_back_paused(self, staff):
        brand = make_brand()
        act(staff, BRANDS, "retire_and_pause", brand)
        act(staff, BRANDS, "bring_back", brand)
        brand.refresh_from_db()
        assert brand.retired_at is None
        assert brand.paused_at

    def test_is_not_paused_by_someone_who_may_only_look(self, client):
        user = User.objects.create_user("looker", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_brand"))
        client.force_login(user)
        brand = make_brand()
        act(client, BRANDS, "pause", brand)
        brand.refresh_from_db()
        assert brand.paused_at is None

    @pytest.mark.parametrize(("value", "names"), [("yes", ["Old"]), ("no", ["New"]), ("x", None)])
    def test_is_found_by_whether_it_is_paused(self, staff, value, names):
        act(staff, BRANDS, "pause", make_brand(name="Old"))
        make_brand(name="New")
        rows = staff.get(BRANDS, {"paused_at": value}).context["cl"].result_list
        assert sorted(row.name for row in rows) == sorted(names or ["Old", "New"])


class TestTheInstallation:
    def test_stops_all_and_goes_on(self, staff):
        installation = make_installation()
        act(staff, INSTALLATIONS, "stop_all", installation)
        installation.refresh_from_db()
        assert installation.stopped_at
        act(staff, INSTALLATIONS, "end_the_stop", installation)
        installation.refresh_from_db()
        assert installation.stopped_at is None

    def test_changes_its_limits_but_not_what_it_is(self, staff):
        made = make_installation()
        form = {"persons_per_day": 2, "persons_per_week": 5, "person_gap_minutes": 60}
        staff.post(
            reverse("admin:brands_installation_change", args=[made.pk]),
            {**form, "is_sandbox": "", "identity": "x", "system_identifier": "7"},
        )
        changed = Installation.objects.get()
        assert changed.persons_per_day == 2
        assert (changed.is_sandbox, changed.identity) == (True, made.identity)
        assert changed.system_identifier == ""


def test_an_api_keys_hash_is_never_shown(staff):
    key = ApiKey.objects.create(
        brand=make_brand(), name="Portal", prefix="pk1", key_hash="f00dface", scopes=["leads"]
    )
    page = staff.get(reverse("admin:brands_apikey_change", args=[key.pk])).text
    assert "pk1" in page
    assert "f00dface" not in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"zip": "<b>"}, "<div>zip: &lt;b&gt;</div>"),
        (["a", "b"], "<div>a</div><div>b</div>"),
        ({}, "-"),
        ([], "-"),
        ("plain", "plain"),
    ],
    ids=["mapping", "list", "empty mapping", "empty list", "text"],
)
def test_stored_json_is_read_line_by_line(value, shown):
    assert lines(value) == shown
