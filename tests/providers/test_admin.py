from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from brands import clock
from brands.models import Installation
from providers.models import ProviderAccount, RouteNumber, WeightChange
from providers.route_admin import shares_in_words
from tests.factories import make_account, make_brand, make_installation, make_number, make_route
from tests.listening import HERE
from tests.staff import client_of, make_user

ADD = reverse("admin:providers_provideraccount_add")
SECRETS = {"account_sid": "AC123", "auth_token": "s3cret-token"}

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
        "kind": "twilio",
        "base_url": HERE,
        "in_flight": 64,
        "price": "0.0079",
        "weight": 100,
        "blocks_least": 5,
        "blocks_percent": 10,
        "block_rest_hours": "1,4,24",
        **{f"twilio_{name}": value for name, value in SECRETS.items()},
        **changes,
    }


def change(staff, account, **changes):
    url = reverse("admin:providers_provideraccount_change", args=[account.pk])
    empty = {f"twilio_{name}": "" for name in SECRETS}
    empty |= {"numbers-TOTAL_FORMS": "0", "numbers-INITIAL_FORMS": "0"}
    empty |= {"limits-TOTAL_FORMS": "0", "limits-INITIAL_FORMS": "0"}
    return staff.post(url, a_form(**{**empty, **changes}))


class TestCredentials:
    def test_are_sealed_into_the_account(self, staff):
        staff.post(ADD, a_form())
        account = ProviderAccount.objects.get()
        assert account.access().secrets == SECRETS
        assert b"s3cret" not in bytes(account.sealed_credentials)

    def test_never_come_out_again(self, staff):
        staff.post(ADD, a_form())
        account = ProviderAccount.objects.get()
        for name in ("change", "history"):
            url = reverse(f"admin:providers_provideraccount_{name}", args=[account.pk])
            page = staff.get(url).text
            assert "s3cret" not in page
            assert "AC123" not in page

    def test_are_not_even_repeated_after_a_mistake(self, staff):
        page = staff.post(ADD, a_form(in_flight="many"))
        assert page.status_code == 200
        assert "s3cret" not in page.text

    def test_stay_as_they_are_when_nothing_is_typed(self, staff):
        staff.post(ADD, a_form())
        account = ProviderAccount.objects.get()
        change(staff, account, name="Renamed")
        account.refresh_from_db()
        assert (account.name, account.access().secrets) == ("Renamed", SECRETS)

    def test_are_changed_one_by_one(self, staff):
        staff.post(ADD, a_form())
        account = ProviderAccount.objects.get()
        change(staff, account, twilio_auth_token="other")
        account.refresh_from_db()
        assert account.access().secrets == {**SECRETS, "auth_token": "other"}

    def test_must_be_complete(self, staff):
        page = staff.post(ADD, a_form(twilio_auth_token=" "))
        assert "This is needed for the account." in page.text
        assert not ProviderAccount.objects.exists()

    @pytest.mark.parametrize(("method", "count"), [("sha256", 1), ("SHA-256", 0)])
    def test_must_have_their_form(self, staff, method, count):
        secrets = {"api_key": "key1", "api_secret": "secret1", "signature_method": method}
        form = {f"vonage_sms_{name}": value for name, value in secrets.items()}
        page = staff.post(ADD, a_form(kind="vonage_sms", **form))
        assert ProviderAccount.objects.count() == count
        assert ("One of md5hash, md5, sha1, sha256, sha512" in page.text) is not bool(count)

    def test_must_have_their_form_with_what_was_stored_before(self, staff):
        account = make_account(kind="vonage")
        account.seal({"api_key": "key1", "api_secret": "secret1"})
        account.save()
        page = change(staff, account, vonage_application_id="app1")
        errors = page.context["adminform"].form.errors
        assert errors == {
            "vonage_private_key": ["The application and its private key go together."]
        }
        account.refresh_from_db()
        assert "application_id" not in account.access().secrets

    def test_must_all_be_typed_again_when_their_key_is_gone(self, staff):
        account = make_account()
        ProviderAccount.objects.update(sealed_credentials=b"not ours")
        page = change(staff, account, twilio_auth_token="other")
        assert "This is needed for the account." in page.text

    def test_may_wait_while_something_else_is_changed(self, staff):
        account = make_account()
        ProviderAccount.objects.update(sealed_credentials=b"not ours")
        change(staff, account, name="Renamed")
        account.refresh_from_db()
        assert (account.name, bytes(account.sealed_credentials)) == ("Renamed", b"not ours")


class TestAnAccount:
    def test_is_simulated_in_a_sandbox(self, staff):
        staff.post(ADD, a_form())
        assert ProviderAccount.objects.get().is_simulated is True

    def test_may_not_lead_out_of_a_sandbox(self, staff):
        page = staff.post(ADD, a_form(base_url="https://api.example.com"))
        assert "a simulated account may reach this machine only" in page.text
        assert not ProviderAccount.objects.exists()

    def test_waits_for_the_installation(self, staff):
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE brands_installation")
        page = staff.post(ADD, a_form())
        assert "run `manage.py set_up`" in page.text.replace("&#x60;", "`")
        assert not ProviderAccount.objects.exists()

    def test_keeps_its_kind(self, staff):
        page = staff.get(
            reverse("admin:providers_provideraccount_change", args=[make_account().pk])
        )
        assert 'name="kind"' not in page.text

    def test_leaves_a_row_when_its_weight_is_changed(self, staff):
        account = make_account()
        change(staff, account, weight=50)
        row = WeightChange.objects.get()
        assert (row.account, row.before, row.after) == (account, 100, 50)
        assert row.reason == "Set by staff"

    def test_leaves_none_when_it_is_not(self, staff):
        change(staff, make_account(), price_micros=1)
        assert not WeightChange.objects.exists()

    def test_is_forgiven_its_faults_when_it_resumes(self, staff):
        account = make_account(fault="20003")
        form = {"action": "forgive", "_selected_action": [account.pk]}
        staff.post(reverse("admin:providers_provideraccount_changelist"), form)
        account.refresh_from_db()
        assert (account.fault, account.paused_at) == ("", None)
        assert account.resumed_at


def test_a_real_installation_has_real_accounts(staff):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE brands_installation")
    Installation.objects.create(is_sandbox=False)
    page = staff.post(ADD, a_form())
    assert "not https" in page.text
    staff.post(ADD, a_form(base_url=""))
    assert ProviderAccount.objects.get().is_simulated is False


class TestARoute:
    def form(self, *lanes, **changes):
        rows = {
            f"numbers-{at}-{name}": value
            for at, lane in enumerate(lanes)
            for name, value in {"number": lane.pk, "order": 0, "weight": 100}.items()
        }
        totals = {"numbers-TOTAL_FORMS": len(lanes), "numbers-INITIAL_FORMS": 0}
        return {"name": "Main", "channel": "sms", **totals, **rows, **changes}

    def test_uses_its_brands_own_numbers_and_those_of_nobody(self, staff):
        brand = make_brand()
        lanes = make_number(brand=brand), make_number()
        staff.post(reverse("admin:providers_route_add"), self.form(*lanes, brand=brand.pk))
        assert RouteNumber.objects.count() == 2

    def test_takes_no_number_of_another_brand(self, staff):
        lane = make_number(brand=make_brand(name="Other"))
        form = self.form(lane, brand=make_brand().pk)
        page = staff.post(reverse("admin:providers_route_add"), form)
        assert "belongs to Other." in page.text
        assert not RouteNumber.objects.exists()

    def test_is_opened_with_as_many_queries_for_ten_numbers_as_for_one(self, staff):
        counts = []
        for lanes in (1, 10):
            route = make_route(make_brand(), *[make_number() for _ in range(lanes)])
            url = reverse("admin:providers_route_change", args=[route.pk])
            staff.get(url)
            with CaptureQueriesContext(connection) as queries:
                assert staff.get(url).text.count('-weight" value="100"') >= lanes
            counts.append(len(queries))
        assert counts[0] == counts[1]


class TestTheState:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            pytest.param({}, "Works", id="working"),
            pytest.param({"paused_at": clock.now}, "Paused since", id="paused"),
            pytest.param({"paused_at": clock.now, "fault": "20003"}, "Refused: 20003", id="fault"),
            pytest.param({"retired_at": clock.now}, "Retired", id="retired"),
        ],
    )
    def test_of_an_account_stands_in_the_list(self, staff, fields, words):
        make_account(**{name: v() if callable(v) else v for name, v in fields.items()})
        url = reverse("admin:providers_provideraccount_changelist")
        assert words in staff.get(url).text

    def test_of_a_number_says_until_when_it_rests(self, staff):
        make_number(rests_until=clock.now() + timedelta(minutes=5))
        url = reverse("admin:providers_sendernumber_changelist")
        assert "Rests until" in staff.get(url).text


class TestThePrice:
    def test_is_typed_in_dollars(self, staff):
        staff.post(ADD, a_form(price="0.0125"))
        assert ProviderAccount.objects.get().price_micros == 12_500

    @pytest.mark.parametrize("price", ["-1", "11", "cheap"])
    def test_names_its_field_when_it_is_wrong(self, staff, price):
        page = staff.post(ADD, a_form(price=price))
        assert page.context["adminform"].form.errors["price"]
        assert not ProviderAccount.objects.exists()


def test_a_stored_credential_is_told_by_its_length_only(staff):
    staff.post(ADD, a_form())
    account = ProviderAccount.objects.get()
    page = staff.get(reverse("admin:providers_provideraccount_change", args=[account.pk])).text
    assert f"Stored, {len(SECRETS['auth_token'])} characters." in page


class TestSharesInWords:
    def test_divide_each_order_by_weight(self):
        brand = make_brand()
        route = make_route(brand)
        for value, weight, order in (
            ("+12025550101", 300, 0),
            ("+12025550102", 100, 0),
            ("+12025550103", 1, 1),
        ):
            number = make_number(value=value)
            RouteNumber.objects.create(route=route, number=number, weight=weight, order=order)
        words = "+12025550101 75 %, +12025550102 25 %; then +12025550103 100 %"
        assert shares_in_words(route) == words

    def test_divide_by_the_weights_of_accounts_too(self):
        lanes = [make_number(make_account(weight=weight)) for weight in (300, 100)]
        route = make_route(make_brand(), *lanes)
        assert shares_in_words(route) == f"{lanes[0]} 75 %, {lanes[1]} 25 %"


class TestABrandsAdmin:
    def test_is_offered_their_own_numbers_and_those_of_all(self):
        brand = make_brand()
        mine, anybodys = make_number(brand=brand), make_number()
        make_number(brand=make_brand())
        page = client_of(make_user(brand, "admin")).get(reverse("admin:providers_route_add"))
        (inline,) = page.context["inline_admin_formsets"]
        field = inline.formset.empty_form.fields["number"]
        assert set(field.queryset) == {mine, anybodys}

    def test_changes_no_throughput_of_a_number(self):
        number = make_number(brand=make_brand())
        client = client_of(make_user(number.brand, "admin"))
        url = reverse("admin:providers_sendernumber_change", args=[number.pk])
        inline = {"limits-TOTAL_FORMS": "0", "limits-INITIAL_FORMS": "0"}
        client.post(url, {"kind": "toll_free", "segments_per_second": "9999", **inline})
        number.refresh_from_db()
        assert (number.kind, number.segments_per_second) == ("toll_free", 1000.0)
