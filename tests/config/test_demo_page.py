from __future__ import annotations

import pytest

from brands.models import Brand, Installation
from config import demo_wipe
from config.demo_stage import CannotStage
from tests.config.demos import running
from tests.factories import make_brand, make_installation
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

URL = "/admin/wipe/"


class TestWipePage:
    def test_asks_who_runs_the_demo_to_wipe_it(self, sandbox):
        with running():
            response = client_of(make_user()).post(URL)
        assert response.url == "/admin/"
        assert demo_wipe.is_asked()

    def test_asks_once_before(self, sandbox):
        with running():
            response = client_of(make_user()).get(URL)
        assert "Wipe it and begin anew" in response.text
        assert not demo_wipe.is_asked()

    def test_wipes_nothing_where_no_demo_runs(self, sandbox):
        make_brand()
        response = client_of(make_user()).post(URL)
        assert "Nobody runs a demo here, so nothing was wiped." in response.text
        assert Brand.objects.exists()
        assert not demo_wipe.is_asked()

    def test_is_not_there_in_a_real_installation(self):
        make_installation(is_sandbox=False)
        owner = client_of(make_user())
        assert (owner.get(URL).status_code, owner.post(URL).status_code) == (404, 404)

    def test_cannot_be_asked_of_a_real_installation_by_any_way(self):
        make_installation(is_sandbox=False)
        with pytest.raises(CannotStage):
            demo_wipe.ask()
        assert Installation.objects.get().wipe_asked_at is None


def test_a_demo_is_seen_to_run_while_it_runs(sandbox):
    assert not demo_wipe.is_run()
    with running():
        assert demo_wipe.is_run()
    assert not demo_wipe.is_run()


def test_the_button_stands_in_the_top_line_of_a_sandbox(page, site):
    log_in(page, site, make_user())
    page.goto(f"{site}/admin/brands/brand/")
    with running():
        page.get_by_role("link", name="Wipe").click()
        page.get_by_text("Vonage lets nothing through for a while").wait_for()
        page.get_by_text("Plivo refuses our credentials").wait_for()
        shoot(page, "wipe")
        page.get_by_role("button", name="Wipe it and begin anew").click()
        page.get_by_text("a new demo begins by itself").wait_for()
    assert demo_wipe.is_asked()
