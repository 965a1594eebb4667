"""Every address of the URL list by every role; a new one without its row here fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from brands import clock, keys
from brands.models import Brand
from delivery.models import (
    Message,
    SingleText,
)
from leads.models import Import, Lead
from tests.factories import (
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_person,
    make_route,
)
from tests.roles import (
    MANAGERS,
    MEMBERS,
    MISSING,
    NO_ONE,
    RIGHTS,
    ROLE,
    ROLES,
    SENDERS,
    answer,
    client_for,
    may,
    numbers,
)
from tests.urls import Address, addresses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]

# --- the pages of our own ----------------------------------------------------------------------


class Rule(NamedTuple):
    """Who may open a page, and what it opens: a function from a brand to the page's arguments."""

    roles: frozenset[str]
    of: Callable[[Brand], dict[str, object]] | None = None
    method: str = "get"
    query: Callable[[Brand], str] = lambda brand: ""
    body: Callable[[Brand], dict[str, object]] | None = None


EVERYBODY = frozenset({"admin", "marketer", "analyst", "partner"})


def a_campaign_of(brand):
    return make_campaign(brand, make_list(brand, make_lead(brand)))


def an_import_of(brand):
    return Import.objects.create(brand=brand, lead_list=make_list(brand), file_name="a.csv")


def a_test_of(brand):
    """Of a campaign and of a test message; both are the brand's."""
    message = Message.objects.create(
        brand=brand,
        person=make_person(),
        kind="single",
        idempotency_key=f"test-{next(numbers)}",
        expires_at=clock.now(),
    )
    SingleText.objects.create(message=message, text="Hi", is_test=True)
    return {"campaign_id": a_campaign_of(brand).pk, "message_id": message.pk}


def of_campaign(brand):
    return {"campaign_id": a_campaign_of(brand).pk}


def of_route(brand):
    return {"route_id": make_route(brand).pk}


def of_import(brand):
    return {"import_id": an_import_of(brand).pk}


def brand_in_query(name):
    """A page that takes a brand in its query, as `?brand=7`."""
    return lambda brand: f"?{name}={brand.pk}"


PAGES: dict[str, Rule] = {
    "stop-all": Rule(NO_ONE),
    "wipe-sandbox": Rule(NO_ONE),
    "admin:index": Rule(EVERYBODY),
    "admin:search": Rule(EVERYBODY),
    "admin:password_change": Rule(EVERYBODY),
    "admin:password_change_done": Rule(EVERYBODY),
    "live": Rule(MEMBERS),
    "report": Rule(MEMBERS, query=brand_in_query("brand")),
    "report-csv": Rule(MEMBERS, query=brand_in_query("brand")),
    "report-rows": Rule(MEMBERS, query=lambda brand: f"?what=planned&brand={brand.pk}"),
    "route": Rule(MEMBERS, of_route),
    "why": Rule(SENDERS),
    "upload-leads": Rule(SENDERS),
    "upload-sample": Rule(SENDERS),
    "import-progress": Rule(MEMBERS, of_import),
    "import-stop": Rule(SENDERS, of_import, "post"),
    "import-errors": Rule(SENDERS, of_import),
    "new-campaign": Rule(SENDERS),
    "campaign-parts": Rule(SENDERS, method="post", body=lambda brand: {"brand": brand.pk}),
    "campaign-text": Rule(SENDERS, method="post"),
    "start-campaign": Rule(SENDERS, of_campaign),
    "test-campaign": Rule(SENDERS, of_campaign),
    "test-progress": Rule(SENDERS, a_test_of),
    "admin:campaigns_campaign_copy": Rule(
        SENDERS, lambda brand: {"object_id": a_campaign_of(brand).pk}, "post"
    ),
    "admin:providers_sendernumber_wake": Rule(
        MANAGERS, lambda brand: {"object_id": make_number(brand=brand).pk}, "post"
    ),
    "admin:brands_apikey_revoke": Rule(
        MANAGERS, lambda brand: {"object_id": keys.make(brand, "Portal").key.pk}
    ),
}

# Without a log-in, or with one of their own; each is tried where it is made.
PUBLIC = {
    "api-leads": "below",
    "leads/": "the same, with a stroke at its end",
    "api-schema": "below",
    "api-docs": "below",
    "api-nothing": "below",
    "admin:login": "tests/brands/test_log_in.py",
    "admin:logout": "tests/brands/test_log_in.py",
    "admin:jsi18n": "a script without data",
    "webhook-status": "tests/delivery/test_webhooks.py",
    "webhook-inbound": "tests/delivery/test_webhooks.py",
    "webhook-status-by-key": "tests/delivery/test_unsigned_webhooks.py",
    "webhook-inbound-by-key": "tests/delivery/test_unsigned_webhooks.py",
    "follow": "tests/links/test_views.py",
    "unsubscribe": "tests/delivery/test_unsubscribing.py",
}
# Of Django's admin, tried below or leading only to what is tried above.
OF_DJANGO = {
    "admin:autocomplete",
    "admin:view_on_site",
    "admin:app_list",
    "admin:<path:object_id>/",
}
OF_DJANGO |= {"admin:<path:object_id>/", "admin:(?P<url>.*)$", "admin:auth_user_password_change"}
TABLE_PAGES = {"changelist", "add", "change", "delete", "history", "pause", "resume"}


def is_of_a_table(address: Address) -> bool:
    space, _, name = address.name.partition(":")
    model, _, page = name.rpartition("_")
    known = {f"{model._meta.app_label}_{model._meta.model_name}" for model in RIGHTS}
    return space == "admin" and model in known and page in TABLE_PAGES


def test_every_address_has_its_place_in_the_matrix():
    tried = {*PAGES, *PUBLIC, *OF_DJANGO}
    left = {one.name for one in addresses() if one.name not in tried and not is_of_a_table(one)}
    assert left == set()


@pytest.mark.parametrize("name", PAGES)
@ROLE
def test_a_page_opens_for_who_may_and_only_on_their_own(name, role):
    rule, brand, other = PAGES[name], make_brand(), make_brand()
    client = client_for(role, brand)

    def opened(of):
        arguments = rule.of(of) if rule.of else {}
        SingleText.objects.update(asked_by=User.objects.order_by("-pk").first())
        url = reverse(name, kwargs=arguments) + rule.query(of)
        return answer(client, url, rule.method, rule.body and rule.body(of))

    # The admin looks for the row before it asks whether one may: what one may not see is missing.
    refused = 404 if name.startswith("admin:") and rule.of else 403
    if role == "nobody":
        assert opened(brand) == "log-in"
    elif not may(role, rule.roles):
        assert opened(brand) in (403, refused)
    else:
        assert opened(brand) in (200, 302)
    if (rule.of or rule.body or rule.query(brand)) and role not in ("nobody", "superuser"):
        assert opened(other) == (404 if role in rule.roles else refused)


@pytest.mark.parametrize("name", [name for name, rule in PAGES.items() if rule.of])
@ROLE
def test_a_page_of_a_missing_row_is_a_404(name, role):
    rule, brand = PAGES[name], make_brand()
    url = reverse(name, kwargs=dict.fromkeys(rule.of(brand), MISSING))
    found = 404 if may(role, rule.roles) or name.startswith("admin:") else 403
    assert answer(client_for(role, brand), url, rule.method) == (
        "log-in" if role == "nobody" else found
    )


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_page_takes_no_other_method(name, method):
    rule, brand = PAGES[name], make_brand()
    url = reverse(name, kwargs=rule.of(brand) if rule.of else {}) + rule.query(brand)
    found = answer(client_for("superuser", brand), url, method)
    assert found == 405 or (name.startswith("admin:") and found in (200, 302))


# --- the API -----------------------------------------------------------------------------------

API = reverse("api-leads")


def post_lead(whole, query=""):
    headers = {"Authorization": f"Bearer {whole}"} if whole else {}
    body = {"phone": "+12125550100", "consent_at": "2026-01-01T00:00:00Z"}
    return Client().post(API + query, body, content_type="application/json", headers=headers)


def problem_of(response):
    assert response["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


class TestTheApi:
    @pytest.mark.parametrize("role", [role for role in ROLES if role != "nobody"])
    def test_no_log_in_of_a_page_opens_it(self, role):
        client = client_for(role, make_brand())
        response = client.post(API, {"phone": "+12125550100"}, content_type="application/json")
        assert response.status_code == 401
        assert not Lead.objects.exists()

    def test_a_key_takes_leads_in_for_its_own_brand(self):
        brand = make_brand()
        make_brand()
        assert post_lead(keys.make(brand, "Portal").whole).status_code == 201
        assert Lead.objects.get().brand == brand

    def test_a_list_of_another_brand_is_as_missing_as_a_missing_one(self):
        foreign = make_list(make_brand(), name="Theirs")
        whole = keys.make(make_brand(), "Portal").whole
        found = problem_of(post_lead(whole, f"?list={foreign.name}"))
        assert found == problem_of(post_lead(whole, "?list=Nowhere"))
        assert found == (404, "list_not_found")

    @pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
    def test_there_is_no_other_method(self, method):
        whole = keys.make(make_brand(), "Portal").whole
        response = getattr(Client(), method)(API, headers={"Authorization": f"Bearer {whole}"})
        assert problem_of(response)[0] == 405

    @pytest.mark.parametrize("name", ["api-schema", "api-docs"])
    def test_anybody_may_read_how_it_works(self, name):
        assert Client().get(reverse(name)).status_code == 200

    def test_nothing_else_is_there(self):
        assert problem_of(Client().get("/api/v1/brands"))[0] == 404
