"""What is wrong in the form of an account is said by its field, and nothing is saved."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.urls import reverse

from brands.models import Installation
from providers import account_form, reach
from providers.declared import DEFINITIONS
from providers.models import ProviderAccount
from providers.reach import Reach
from providers.registry import ADAPTERS
from tests.factories import make_account, make_brand, make_installation
from tests.listening import HERE
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

ADD = reverse("admin:providers_provideraccount_add")
TOTALS = {
    f"{rows}-{which}_FORMS": "0" for rows in ("numbers", "limits") for which in ("TOTAL", "INITIAL")
}
EXAMPLE = json.loads((DEFINITIONS / "example.json").read_text())
SECRETS = {
    "twilio": {"account_sid": "AC1", "auth_token": "t1"},
    "sinch": {"service_plan_id": "plan-1", "api_token": "t1"},
    "vonage_sms": {"api_key": "k1", "api_secret": "s1"},
    "vonage": {"api_key": "k1", "api_secret": "s1"},
    "generic": {"secrets": "api_key = k1"},
}


@pytest.fixture
def staff(client):
    make_installation()
    client.force_login(User.objects.create_superuser("staff"))
    return client


@pytest.fixture
def a_real_installation(staff):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE brands_installation")
    Installation.objects.create(is_sandbox=False)


@pytest.fixture
def closed_port():
    """A port that refuses: it was free a moment ago."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


def a_form(kind="twilio", **changes):
    secrets = {f"{kind}_{name}": value for name, value in SECRETS[kind].items()}
    usual = {"name": "Main", "kind": kind, "base_url": HERE, "in_flight": 64, "price": "0.0079"}
    rests = {"blocks_least": 5, "blocks_percent": 10, "block_rest_hours": "1,4,24"}
    return {**usual, **rests, "weight": 100, **secrets, **changes}


def errors(staff, *args, **changes):
    """The errors of the form by field; nothing may have been saved then."""
    page = staff.post(ADD, a_form(*args, **changes))
    if page.status_code == 302:
        return {}
    assert not ProviderAccount.objects.exists()
    return page.context["adminform"].form.errors


@pytest.mark.parametrize("kind", SECRETS)
def test_what_is_right_is_saved(staff, kind):
    definition = json.dumps(EXAMPLE) if kind == "generic" else ""
    assert errors(staff, kind, definition=definition) == {}
    assert ProviderAccount.objects.count() == 1


class TestCredentials:
    @pytest.mark.parametrize("kind", [kind for kind in ADAPTERS if ADAPTERS[kind].credentials])
    def test_that_are_needed_are_named(self, staff, kind):
        needed = ADAPTERS[kind].credentials
        form = {f"{kind}_{name}": "" for name in needed}
        page = staff.post(ADD, {**a_form(), "kind": kind, **form})
        found = page.context["adminform"].form.errors
        assert {found[name][0] for name in form} == {"This is needed for the account."}

    @pytest.mark.parametrize(
        ("kind", "changes", "field", "words"),
        [
            ("vonage_sms", {"signature_method": "SHA-256"}, "signature_method", "One of md5hash"),
            ("vonage", {"application_id": "a1"}, "private_key", "go together"),
            (
                "vonage",
                {"application_id": "a1", "private_key": "no key"},
                "private_key",
                "",
            ),
        ],
    )
    def test_of_the_wrong_form_are_said_by_field(self, staff, kind, changes, field, words):
        found = errors(staff, kind, **{f"{kind}_{name}": value for name, value in changes.items()})
        assert list(found) == [f"{kind}_{field}"]
        assert words in found[f"{kind}_{field}"][0]

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            ("api_key", "Line 1 is not of the form name = value."),
            ("api_key = k1\ntoken = t1", "The definition declares no token."),
            ("", "Needed for the account: api_key."),
        ],
    )
    def test_of_a_definition_are_said_by_line_or_name(self, staff, typed, words):
        found = errors(staff, "generic", definition=json.dumps(EXAMPLE), generic_secrets=typed)
        assert list(found) == ["generic_secrets"]
        assert words in found["generic_secrets"][0]


class TestADefinition:
    def said(self, staff, **changes):
        found = errors(staff, "generic", definition=json.dumps({**EXAMPLE, **changes}))
        assert list(found) == ["definition"]
        return found["definition"]

    def test_with_an_unknown_place_names_the_key_and_those_there_are(self, staff):
        request = {**EXAMPLE["request"], "body": {**EXAMPLE["request"]["body"], "x": "{nobody}"}}
        (said,) = self.said(staff, request=request)
        assert said.startswith("request.body: there is no {nobody} here; use ")

    def test_whose_status_map_misses_a_word_of_theirs_names_it(self, staff):
        status = {**EXAMPLE["webhooks"]["status"], "words": ["DELIVERED", "LOST"]}
        status["status_map"] = {"DELIVERED": "delivered"}
        (said,) = self.said(staff, webhooks={**EXAMPLE["webhooks"], "status": status})
        assert said == (
            "webhooks.status.status_map: it misses their word LOST; say which of ours that is"
        )

    def test_that_is_no_json_says_where(self, staff):
        found = errors(staff, "generic", definition="{\n  oops")
        assert "line 2" in found["definition"][0]


class TestAnAddress:
    def test_at_which_nothing_listens_is_refused(self, staff, closed_port):
        found = errors(staff, base_url=f"http://127.0.0.1:{closed_port}")
        assert found["base_url"] == [
            "Nothing listens there: correct the host or the port, or start what should."
        ]

    @pytest.mark.parametrize("found", [Reach.NO_SUCH_NAME, Reach.NOT_ALLOWED])
    def test_whose_name_leads_nowhere_is_refused(self, staff, monkeypatch, found):
        monkeypatch.setattr(account_form, "reach", lambda url, simulated: found)
        assert errors(staff)["base_url"] == [account_form.NOT_REACHED[found]]

    def test_that_is_slow_is_saved_with_a_warning(self, staff, monkeypatch):
        monkeypatch.setattr(account_form, "reach", lambda url, simulated: Reach.UNSURE)
        page = staff.post(ADD, a_form(), follow=True)
        assert "Nothing answered at its address within two seconds" in page.text
        assert ProviderAccount.objects.count() == 1

    def test_that_stays_is_not_tried_again(self, staff, closed_port):
        account = make_account(base_url=f"http://127.0.0.1:{closed_port}")
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        staff.post(url, {**a_form(base_url=account.base_url, name="Renamed"), **TOTALS})
        account.refresh_from_db()
        assert account.name == "Renamed"

    def test_is_tried_for_nobody_who_may_not_change_accounts(self, staff, monkeypatch):
        tried = []
        monkeypatch.setattr(account_form, "reach", lambda url, simulated: tried.append(url))
        account = make_account()
        stranger = client_of(make_user(make_brand(), "marketer"))
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        assert stranger.post(url, a_form()).status_code == 403
        assert tried == []

    def test_is_tried_while_no_transaction_is_open(self, staff, monkeypatch):
        before, seen = len(connection.savepoint_ids), []

        def look(url, simulated):
            seen.append(len(connection.savepoint_ids))
            return Reach.ANSWERS

        monkeypatch.setattr(account_form, "reach", look)
        staff.post(ADD, a_form())
        assert seen == [before]

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("http://api.example.com", "not https"),
            ("https://127.0.0.1:8000", "not a public address"),
            ("https://10.0.0.1", "not a public address"),
            ("https://localhost", "not a public address"),
            ("https://kim:secret@api.example.com", "no user or password"),
        ],
    )
    def test_that_is_private_is_refused_outside_a_sandbox(
        self, staff, a_real_installation, url, words
    ):
        assert words in errors(staff, base_url=url)["base_url"][0]


class TestReach:
    def test_finds_what_listens(self):
        assert reach.reach(HERE, simulated=True) is Reach.ANSWERS

    def test_finds_a_port_that_refuses(self, closed_port):
        url = f"http://127.0.0.1:{closed_port}"
        assert reach.reach(url, simulated=True) is Reach.REFUSES

    def test_finds_no_name_that_there_cannot_be(self):
        found = reach.reach("https://nobody.invalid", simulated=False)
        assert found in (Reach.NO_SUCH_NAME, Reach.UNSURE)  # without a network nobody knows

    def test_is_back_in_time_whatever_hangs(self, monkeypatch):
        monkeypatch.setattr(reach, "SECONDS", 0.05)
        monkeypatch.setattr(reach, "resolved", lambda *_: time.sleep(1))
        began = time.monotonic()
        assert reach.reach(HERE, simulated=True) is Reach.UNSURE
        assert time.monotonic() - began < 0.9

    def test_never_connects_to_an_address_that_may_not_be_used(self):
        assert reach.reach("https://127.0.0.1", simulated=False) is Reach.UNSURE


class TestAnOption:
    def test_is_the_usual_one_where_nothing_was_chosen(self, staff):
        assert errors(staff, "sinch") == {}
        account = ProviderAccount.objects.get()
        assert account.access().options == {"delivery_report": "per_recipient_final"}

    def test_is_kept_and_can_be_changed(self, staff):
        errors(staff, "sinch", sinch_option_delivery_report="full")
        account = ProviderAccount.objects.get()
        assert account.access().options == {"delivery_report": "full"}
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        assert '<option value="full" selected>' in staff.get(url).text
        form = a_form("sinch", sinch_option_delivery_report="per_recipient_final")
        assert staff.post(url, form | TOTALS).status_code == 302
        account.refresh_from_db()
        assert account.options == {"delivery_report": "per_recipient_final"}

    def test_that_there_is_not_is_refused_by_its_field(self, staff):
        found = errors(staff, "sinch", sinch_option_delivery_report="sometimes")
        assert list(found) == ["sinch_option_delivery_report"]

    def test_is_none_of_another_provider(self, staff):
        assert errors(staff, sinch_option_delivery_report="full") == {}
        assert ProviderAccount.objects.get().options == {}


def test_the_form_says_by_its_field_what_is_wrong(page, site):
    log_in(page, site, make_user(username="kim"))
    page.goto(f"{site}{ADD}")
    page.locator("#id_name").fill("An account with a long name that somebody thought was good")
    page.get_by_label("Kind").select_option("sinch")
    page.get_by_label("Address").fill("http://127.0.0.1:9")
    shoot(page, "account-sinch")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Nothing listens there").wait_for()
    shoot(page, "account-wrong")
