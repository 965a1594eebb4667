"""An account whose provider is told how to speak, on its page in the admin."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from providers.declared import DEFINITIONS
from providers.models import ProviderAccount
from providers.registry import ADAPTERS
from tests.factories import make_account, make_installation
from tests.listening import HERE

ADD = reverse("admin:providers_provideraccount_add")
EXAMPLE = json.loads((DEFINITIONS / "example.json").read_text())
SECRET = "s3cret-key-of-theirs"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def installation():
    return make_installation()


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_superuser("staff"))
    return client


def a_form(**changes):
    return {
        "name": "Main",
        "kind": "generic",
        "base_url": HERE,
        "in_flight": 64,
        "price": "0.0079",
        "weight": 100,
        "blocks_least": 5,
        "blocks_percent": 10,
        "block_rest_hours": "1,4,24",
        "definition": json.dumps(EXAMPLE),
        "generic_secrets": f"api_key = {SECRET}",
        **changes,
    }


def added(staff, **changes):
    assert staff.post(ADD, a_form(**changes)).status_code == 302
    return ProviderAccount.objects.get()


def change(staff, account, **changes):
    url = reverse("admin:providers_provideraccount_change", args=[account.pk])
    inline = {"numbers-TOTAL_FORMS": "0", "numbers-INITIAL_FORMS": "0"}
    inline |= {"limits-TOTAL_FORMS": "0", "limits-INITIAL_FORMS": "0"}
    unchanged = {"definition": account.definition, "generic_secrets": ""}
    return staff.post(url, a_form(**{**unchanged, **inline, **changes}))


def errors_of(page, field):
    return page.context["adminform"].form.errors[field]


class TestADefinition:
    def test_is_saved_as_it_was_typed(self, staff):
        assert json.loads(added(staff).definition) == EXAMPLE

    def test_begins_with_an_example_that_can_be_used(self, staff):
        form = staff.get(ADD).context["adminform"].form
        assert json.loads(form.initial["definition"]) == EXAMPLE

    @pytest.mark.parametrize(
        ("definition", "key"),
        [
            ("", "Type the definition."),
            ("{", "definition: this is not JSON"),
            (json.dumps({**EXAMPLE, "name": 7}), "name: this must be a text"),
            (json.dumps({**EXAMPLE, "secrets": []}), "auth: the secret api_key is not declared"),
        ],
    )
    def test_with_a_mistake_is_not_saved(self, staff, definition, key):
        page = staff.post(ADD, a_form(definition=definition))
        assert errors_of(page, "definition")[0].startswith(key)
        assert not ProviderAccount.objects.exists()

    def test_tells_all_its_mistakes_at_once(self, staff):
        wrong = json.dumps({**EXAMPLE, "name": 7, "secrets": 7})
        assert len(errors_of(staff.post(ADD, a_form(definition=wrong)), "definition")) == 2

    def test_is_changed(self, staff):
        account = added(staff)
        change(staff, account, definition=json.dumps({**EXAMPLE, "evidence": "seen"}))
        account.refresh_from_db()
        assert json.loads(account.definition)["evidence"] == "seen"
        assert account.access().secrets == {"api_key": SECRET}

    def test_of_another_kind_is_not_kept(self, staff):
        added(staff, kind="twilio", twilio_account_sid="AC1", twilio_auth_token="t")
        assert ProviderAccount.objects.get().definition == ""

    def test_has_no_field_where_the_kind_has_none(self, staff):
        url = reverse("admin:providers_provideraccount_change", args=[make_account().pk])
        page = staff.get(url).text
        assert 'name="definition"' not in page
        assert 'name="generic_secrets"' not in page


class TestItsSecrets:
    def test_are_typed_one_a_line(self, staff):
        more = json.dumps({**EXAMPLE, "optional_secrets": ["hook"]})
        lines = f"api_key = {SECRET}\n\n hook=a=b \n"
        account = added(staff, definition=more, generic_secrets=lines)
        assert account.access().secrets == {"api_key": SECRET, "hook": "a=b"}

    def test_never_come_out_again(self, staff):
        account = added(staff)
        for name in ("change", "history"):
            url = reverse(f"admin:providers_provideraccount_{name}", args=[account.pk])
            assert SECRET not in staff.get(url).text

    def test_are_not_even_repeated_after_a_mistake(self, staff):
        page = staff.post(ADD, a_form(in_flight="many"))
        assert page.status_code == 200
        assert SECRET not in page.text

    def test_are_told_by_name_and_length(self, staff):
        account = added(staff)
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        assert f"Stored: api_key ({len(SECRET)} characters)" in staff.get(url).text

    def test_stay_when_nothing_is_typed(self, staff):
        account = added(staff)
        change(staff, account, name="Renamed")
        account.refresh_from_db()
        assert (account.name, account.access().secrets) == ("Renamed", {"api_key": SECRET})

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            (f"{SECRET}", "Line 1 is not of the form name = value."),
            ("api_key =", "Line 1 is not of the form name = value."),
            ("", "Needed for the account: api_key."),
            (f"apikey = {SECRET}", "The definition declares no apikey. It declares: api_key."),
        ],
    )
    def test_with_a_mistake_are_not_saved(self, staff, lines, said):
        page = staff.post(ADD, a_form(generic_secrets=lines))
        assert errors_of(page, "generic_secrets")[0] == said
        assert SECRET not in page.text
        assert not ProviderAccount.objects.exists()

    def test_that_a_new_definition_wants_must_be_typed(self, staff):
        account = added(staff)
        more = json.dumps({**EXAMPLE, "secrets": ["api_key", "tenant"]})
        page = change(staff, account, definition=more)
        assert errors_of(page, "generic_secrets") == ["Needed for the account: tenant."]

    def test_that_a_new_definition_no_longer_names_are_forgotten(self, staff):
        more = json.dumps({**EXAMPLE, "secrets": ["api_key", "tenant"]})
        account = added(staff, definition=more, generic_secrets=f"api_key={SECRET}\ntenant=t1")
        change(staff, account, definition=json.dumps(EXAMPLE))
        account.refresh_from_db()
        assert account.access().secrets == {"api_key": SECRET}


class TestTheAddress:
    @pytest.mark.parametrize("kind", ["generic", "slooce", "pineapple"])
    def test_is_needed_where_the_provider_has_no_usual_one(self, staff, kind):
        page = staff.post(ADD, a_form(kind=kind, base_url=""))
        assert "no usual address" in errors_of(page, "base_url")[0]

    def test_may_not_lead_out_of_a_sandbox(self, staff):
        page = staff.post(ADD, a_form(base_url="https://api.example.com"))
        assert "this machine only" in errors_of(page, "base_url")[0]

    def test_of_reports_is_told_where_no_request_names_it(self, staff):
        account = make_account(kind="slooce")
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        assert "and of its delivery reports" in staff.get(url).text


class TestWhatIsAssumed:
    @pytest.mark.parametrize("kind", ["slooce", "textback", "textback_query", "pineapple"])
    def test_stands_on_the_account_of_a_preset(self, staff, kind):
        account = make_account(kind=kind)
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        page = staff.get(url).content.decode()
        assert ADAPTERS[kind].evidence.split(".")[0].replace("'", "&#x27;") in page

    def test_stands_on_an_account_by_its_definition(self, staff):
        account = added(staff, definition=json.dumps({**EXAMPLE, "evidence": "Seen in a mail."}))
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        assert "Seen in a mail." in staff.get(url).text

    def test_is_no_line_where_nothing_is(self, staff):
        url = reverse("admin:providers_provideraccount_change", args=[make_account().pk])
        assert "What is assumed" not in staff.get(url).text

    def test_is_there_for_who_chooses_a_kind(self, staff):
        page = staff.get(ADD).text
        assert ADAPTERS["slooce"].evidence[:40] in page
        assert "kind == &#x27;slooce&#x27;" in page


@pytest.mark.parametrize("kind", ["slooce", "textback", "textback_query", "pineapple"])
def test_a_presets_credentials_are_asked_for_as_every_providers(staff, kind):
    secrets = {f"{kind}_{name}": f"{name}-value" for name in ADAPTERS[kind].credentials}
    account = added(staff, kind=kind, **secrets)
    assert set(account.access().secrets) == set(ADAPTERS[kind].credentials)
