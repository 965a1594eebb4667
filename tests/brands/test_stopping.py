from __future__ import annotations

import pytest

from brands.models import Installation
from tests.factories import make_brand
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

URL = "/admin/stop-all/"


def is_stopped():
    return Installation.objects.get().stopped_at is not None


class TestStopAll:
    def test_asks_before_it_stops(self, sandbox):
        response = client_of(make_user()).get(URL)
        assert "Stop all sending?" in response.text
        assert not is_stopped()

    def test_stops_and_leads_back(self, sandbox):
        response = client_of(make_user()).post(URL, {"do": "stop", "next": "/admin/brands/brand/"})
        assert response.url == "/admin/brands/brand/"
        assert is_stopped()

    def test_goes_on_again(self, sandbox):
        owner = client_of(make_user())
        owner.post(URL, {"do": "stop"})
        owner.post(URL, {"do": "go_on"})
        assert not is_stopped()

    def test_leads_nowhere_else_afterwards(self, sandbox):
        wanted = {"do": "stop", "next": "https://elsewhere.example.com/"}
        assert client_of(make_user()).post(URL, wanted).url == "/admin/"

    @pytest.mark.parametrize("role", ["admin", "marketer", "analyst", "partner"])
    def test_is_for_superusers_only(self, sandbox, role):
        client = client_of(make_user(make_brand(), role))
        assert client.post(URL, {"do": "stop"}).status_code == 403
        assert not is_stopped()


def test_the_brake_stands_on_every_page(page, site):
    log_in(page, site, make_user())
    page.goto(f"{site}/admin/brands/brand/")
    page.get_by_role("link", name="Stop all sending").click()
    shoot(page, "stop-all")
    page.get_by_role("button", name="Stop all sending").click()
    page.get_by_text("All sending is stopped since").wait_for()
    assert page.url.endswith("/admin/brands/brand/")
    shoot(page, "stopped")
