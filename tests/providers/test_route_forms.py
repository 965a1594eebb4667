from __future__ import annotations

import pytest
from django.urls import reverse

from providers.models import Route, RouteNumber, SenderNumber
from providers.registry import ADAPTERS
from tests.factories import make_account, make_brand, make_number, make_route
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]

ADD = "admin:providers_route_add"
NO_LIMITS = {"limits-TOTAL_FORMS": "0", "limits-INITIAL_FORMS": "0"}


@pytest.fixture
def staff(sandbox):
    return client_of(make_user())


def a_form(brand, *numbers, **changes):
    rows = {
        f"numbers-{at}-{name}": value
        for at, number in enumerate(numbers)
        for name, value in {"number": number.pk, "order": 0, "weight": 100}.items()
    }
    totals = {"numbers-TOTAL_FORMS": len(numbers), "numbers-INITIAL_FORMS": 0}
    return {"brand": brand.pk, "name": "Main", "channel": "sms", **totals, **rows, **changes}


def errors_of(page):
    (inline,) = page.context["inline_admin_formsets"]
    return str([page.context["adminform"].form.errors, inline.formset.errors])


class TestARoute:
    @pytest.mark.parametrize(
        ("channel", "kind", "words"),
        [
            ("email", "long_code", "is no e-mail sender, and this route is for e-mail."),
            ("sms", "email", "is an e-mail sender, and this route is for text messages."),
        ],
    )
    def test_has_no_number_of_the_other_channel(self, staff, channel, kind, words):
        form = a_form(make_brand(), make_number(kind=kind), channel=channel)
        assert words in errors_of(staff.post(reverse(ADD), form))
        assert not RouteNumber.objects.exists()

    @pytest.mark.parametrize(("channel", "kind"), [("email", "email"), ("sms", "toll_free")])
    def test_has_numbers_of_its_own(self, staff, channel, kind):
        staff.post(reverse(ADD), a_form(make_brand(), make_number(kind=kind), channel=channel))
        assert Route.objects.get().channel == channel
        assert RouteNumber.objects.count() == 1

    def test_of_an_unknown_channel_is_none(self, staff):
        page = staff.post(reverse(ADD), a_form(make_brand(), channel="fax"))
        assert "channel" in page.context["adminform"].form.errors

    def test_is_a_default_beside_that_of_the_other_channel(self, staff):
        brand = make_brand()
        make_route(brand)
        staff.post(reverse(ADD), a_form(brand, channel="email", is_default="on"))
        assert Route.objects.filter(brand=brand, is_default=True).count() == 2

    def test_is_no_second_default_of_its_channel(self, staff):
        brand = make_brand(name="Acme")
        first = make_route(brand, name="First")
        page = staff.post(reverse(ADD), a_form(brand, is_default="on"))
        words = "First is the default for text messages of Acme: take the mark off it first."
        assert words in errors_of(page)
        other = make_route(brand, name="Second", is_default=False)
        url = reverse("admin:providers_route_change", args=[other.pk])
        form = {"name": "Second", "is_default": "on", "numbers-TOTAL_FORMS": 0}
        page = staff.post(url, {**form, "numbers-INITIAL_FORMS": 0})
        assert words in errors_of(page)
        assert Route.objects.get(is_default=True) == first

    def test_keeps_its_channel(self, staff):
        route = make_route(make_brand())
        url = reverse("admin:providers_route_change", args=[route.pk])
        form = {"name": "New", "channel": "email", "numbers-TOTAL_FORMS": 0}
        staff.post(url, {**form, "numbers-INITIAL_FORMS": 0})
        route.refresh_from_db()
        assert (route.name, route.channel) == ("New", "sms")


class TestANumber:
    ADD = "admin:providers_sendernumber_add"

    def add(self, staff, account, **changes):
        form = {"account": account.pk, "value": "+12025550100", "kind": "long_code"}
        form |= {"warm_up_days": 14, "warm_up_first": 200, **NO_LIMITS}
        return staff.post(reverse(self.ADD), {**form, "segments_per_second": 1, **changes})

    def test_that_sends_email_is_on_an_account_that_does(self, staff):
        account = make_account(name="Texts")
        page = self.add(staff, account, kind="email", value="jobs@mail.example.com")
        words = "Texts sends text messages: choose a number of another kind, or another account."
        assert words in page.context["adminform"].form.errors["kind"]
        assert not SenderNumber.objects.exists()

    def test_of_an_account_that_sends_email_is_an_address(self, staff, monkeypatch):
        monkeypatch.setattr(ADAPTERS["twilio"], "channel", "email", raising=False)
        account = make_account(name="Mail")
        errors = self.add(staff, account, kind="email").context["adminform"].form.errors
        assert "This is not an e-mail address" in str(errors["value"])
        errors = self.add(staff, account).context["adminform"].form.errors
        assert "Mail sends e-mail: choose an e-mail sender, or another account." in errors["kind"]
        self.add(staff, account, kind="email", value="jobs@mail.example.com")
        assert SenderNumber.objects.get().channel == "email"

    def test_does_not_leave_its_channel_while_a_route_has_it(self, staff, monkeypatch):
        monkeypatch.setattr(ADAPTERS["twilio"], "channel", "email", raising=False)
        number = make_number()
        make_route(make_brand(), number, name="Main")
        url = reverse("admin:providers_sendernumber_change", args=[number.pk])
        page = staff.post(url, {"kind": "email", "segments_per_second": 1, **NO_LIMITS})
        words = "The route Main is for text messages: take it off there first."
        assert words in page.context["adminform"].form.errors["kind"]


def test_a_route_of_email_in_a_browser(page, site):
    log_in(page, site, make_user())
    brand = make_brand(name="Acme Jobs of the Greater Springfield Metropolitan Area")
    sender = make_number(kind="email", value="jobs.and.more.jobs@mail.springfield.example.com")
    route = make_route(brand, sender, name="E-mail", channel="email")
    page.goto(f"{site}/admin/providers/route/{route.pk}/change/")
    page.get_by_text("E-mail").first.wait_for()
    shoot(page, "mail-route")
    page.goto(f"{site}/admin/providers/route/")
    shoot(page, "mail-routes")
