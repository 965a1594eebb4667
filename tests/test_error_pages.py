from __future__ import annotations

import pytest
from django.core.exceptions import BadRequest, PermissionDenied
from django.test import Client
from django.urls import path

from tests.factories import make_brand
from tests.staff import client_of, make_user, shoot

pytest_plugins = ["tests.browser"]


def raise_it(error):
    def view(request):
        raise error

    return view


urlpatterns = [
    path("bad", raise_it(BadRequest("no"))),
    path("forbidden", raise_it(PermissionDenied("no"))),
    path("broken", raise_it(ZeroDivisionError("secret words"))),
]


@pytest.mark.urls(__name__)
class TestErrorPages:
    @pytest.mark.parametrize(
        ("url", "status", "words"),
        [
            pytest.param("/bad", 400, "We could not read that request", id="a bad request"),
            pytest.param("/forbidden", 403, "You may not do this", id="not allowed"),
            pytest.param("/nowhere", 404, "There is no such page", id="nowhere"),
            pytest.param("/broken", 500, "Something went wrong on our side", id="our own fault"),
        ],
    )
    def test_each_says_what_to_do_and_needs_no_database(self, url, status, words):
        response = Client(raise_request_exception=False).get(url)
        assert response.status_code == status
        assert words in response.text
        assert "To the front page" in response.text

    def test_none_tells_what_broke(self):
        page = Client(raise_request_exception=False).get("/broken").text
        assert "secret words" not in page
        assert "Traceback" not in page


@pytest.mark.django_db
def test_a_form_that_was_tampered_with_is_a_403_in_words(sandbox):
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())
    response = client.post("/admin/stop-all/", {"do": "stop"})
    assert response.status_code == 403
    assert "go back, reload the page and try again" in response.text.lower()


@pytest.mark.django_db
def test_a_role_that_may_not_is_told_so(sandbox):
    response = client_of(make_user(make_brand(), "analyst")).get("/admin/stop-all/")
    assert response.status_code == 403
    assert "You may not do this" in response.text


def test_they_look_like_ours(page, site, provoked):
    provoked.append("404 (Not Found)")
    page.goto(f"{site}/no-such-page")
    shoot(page, "not-found")
