from __future__ import annotations

import pytest

from brands.log_in import PARTNER
from tests.factories import make_brand
from tests.staff import make_user, shoot

pytest_plugins = ["tests.browser"]

PASSWORD = "correct horse battery"
OFFERED = {  # addresses of the sidebar that only some may open
    "superuser": {"/admin/leads/lead/", "/admin/brands/apikey/", "/admin/auth/user/"},
    "admin": {"/admin/leads/lead/", "/admin/brands/apikey/"},
    "marketer": {"/admin/leads/lead/"},
    "analyst": set(),
}
EVERYBODYS = {"/admin/", "/admin/report/", "/admin/campaigns/campaign/", "/admin/delivery/message/"}


def a_user(role):
    user = make_user() if role == "superuser" else make_user(make_brand(), role)
    user.set_password(PASSWORD)
    user.save()
    return user


def log_in_as(page, site, user, password=PASSWORD):
    page.goto(f"{site}/admin/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize("role", OFFERED)
def test_leads_to_the_index_with_what_the_role_may_open(page, site, role):
    log_in_as(page, site, a_user(role))
    page.get_by_role("heading", name="What moves now").wait_for()
    links = {link.get_attribute("href") for link in page.locator("#nav-sidebar a").all()}
    assert links >= EVERYBODYS
    assert links & OFFERED["superuser"] == OFFERED[role]


@pytest.mark.django_db
def test_leads_to_the_index_from_its_own_address_too(client):
    typed = {"username": a_user("superuser").username, "password": PASSWORD}
    assert client.post("/admin/login/", typed).url == "/admin/"


def test_tells_a_partner_to_ask_for_a_key(page, site):
    user = a_user("marketer")
    user.membership_set.update(role="partner")
    type(user).objects.update(is_staff=False)
    log_in_as(page, site, user)
    page.get_by_text(PARTNER).wait_for()
    shoot(page, "log-in-partner")


def test_keeps_the_name_after_a_wrong_password(page, site):
    user = a_user("analyst")
    log_in_as(page, site, user, "wrong")
    page.get_by_text("Please enter the correct username and password").wait_for()
    assert page.get_by_label("Username").input_value() == user.username
    shoot(page, "log-in-wrong")


def test_ends_by_logging_out(page, site):
    log_in_as(page, site, a_user("analyst"))
    page.get_by_role("heading", name="What moves now").wait_for()
    page.locator("#nav-sidebar").get_by_text("staff").last.click()
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{site}/admin/report/")
    page.get_by_label("Password").wait_for()
