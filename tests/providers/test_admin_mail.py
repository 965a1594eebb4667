"""An account with a mail server, in the admin."""

from __future__ import annotations

import contextlib
import socket

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from providers.models import ProviderAccount
from tests import listening
from tests.factories import make_account, make_installation

ADD = reverse("admin:providers_provideraccount_add")
HERE = listening.HERE.replace("http", "smtp")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _installation():
    make_installation()


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_superuser("staff"))
    return client


def add(staff, **changes):
    """The errors by field of an account that is to be made."""
    form = {
        "name": "Mail",
        "kind": "smtp",
        "base_url": HERE,
        "in_flight": 64,
        "price": "0.0001",
        "weight": 100,
        "blocks_least": 5,
        "blocks_percent": 10,
        "block_rest_hours": "1,4,24",
        "smtp_bounce_domain": "bounces.example.com",
        "smtp_username": "shop",
        "smtp_password": "secret",
        **changes,
    }
    page = staff.post(ADD, form)
    return {} if page.status_code == 302 else page.context["adminform"].form.errors


def test_is_made_with_its_credentials(staff):
    assert add(staff) == {}
    access = ProviderAccount.objects.get().access()
    assert access.base_url == HERE
    assert access.secrets == {
        "bounce_domain": "bounces.example.com",
        "username": "shop",
        "password": "secret",
    }


def test_at_whose_address_nothing_listens_is_refused(staff):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
    assert "Nothing listens there" in add(staff, base_url=url)["base_url"][0]


def test_may_do_without_a_user(staff):
    assert add(staff, smtp_username="", smtp_password="") == {}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"base_url": ""}, "base_url", "type the account's"),
        ({"base_url": "http://127.0.0.1:25"}, "base_url", "must begin with smtp:// or smtps://"),
        ({"base_url": "smtp://127.0.0.1:465"}, "base_url", "so it must be smtps://"),
        ({"base_url": "smtp://relay.example.com"}, "base_url", "may reach this machine only"),
        ({"base_url": "smtp://a:b@127.0.0.1:25"}, "base_url", "no user or password"),
        ({"base_url": "smtp://127.0.0.1:25/in"}, "base_url", "nothing may follow the port"),
        ({"base_url": "relay:25"}, "base_url", "must begin with smtp://"),
        ({"smtp_bounce_domain": ""}, "smtp_bounce_domain", "needed for the account"),
        ({"smtp_bounce_domain": "me@x"}, "smtp_bounce_domain", "such as bounces.example.com"),
        ({"smtp_password": ""}, "smtp_password", "go together"),
    ],
)
def test_is_told_what_is_wrong_at_its_field(staff, changes, field, words):
    assert words in " ".join(add(staff, **changes)[field])
    assert not ProviderAccount.objects.exists()


def test_another_provider_has_no_such_address(staff):
    twilio = {"twilio_account_sid": "AC1", "twilio_auth_token": "t"}
    assert add(staff, kind="twilio", **twilio)["base_url"]


def test_shows_how_mail_comes_back(staff):
    account = make_account(kind="smtp", base_url=HERE)
    url = reverse("admin:providers_provideraccount_change", args=[account.pk])
    page = staff.get(url).text
    assert f"/webhooks/smtp/{account.pk}/{account.webhook_key}/inbound" in page
    assert "--data-binary @-" in page
    assert "DKIM is the relay" in page
