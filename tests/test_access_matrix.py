"""Every address by every role: a row of one's own brand, of a foreign one, and a missing one.

The addresses come from the URL list. What each role may do stands here as a table of its own, so
that a mistake in `brands/access.py` is not repeated by its test.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from brands import clock, keys
from brands.models import ApiKey, Brand, ClockShift, Installation, Membership
from campaigns.models import Campaign, ListRoute, Slot, Template
from compliance.models import ClosedDay, ConsentEvent, Keyword, OptOutEvent, Person, StateRule
from delivery.models import (
    Attempt,
    CapCounter,
    Due,
    Inbound,
    InboundReview,
    Message,
    SingleText,
    WebhookEvent,
    WebhookTally,
)
from leads.models import Import, ImportError, Lead, LeadList, ListEntry, RejectedLead
from links.models import Click, ShortLink
from providers.models import ProviderAccount, Route, SenderNumber, WeightChange
from tests.factories import (
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_person,
)
from tests.rows import MAKERS
from tests.staff import client_of, make_user
from tests.urls import Address, addresses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]

ROLES = ("superuser", "admin", "marketer", "analyst", "partner", "nobody")
MEMBERS = frozenset({"admin", "marketer", "analyst"})
SENDERS = frozenset({"admin", "marketer"})
MANAGERS = frozenset({"admin"})
NO_ONE: frozenset[str] = frozenset()
MISSING = 987_654_321
numbers = count(1)


class Rights(NamedTuple):
    """The roles that may, for rows of their own brand; a superuser may do what anybody may."""

    look: frozenset[str]
    change: frozenset[str] = NO_ONE
    add: frozenset[str] = NO_ONE
    brake: frozenset[str] = NO_ONE
    owner: frozenset[str] = frozenset({"change", "add"})  # what is there for a superuser


ALL = frozenset({"change", "add"})
LOOK_ONLY = NO_ONE
RIGHTS = {
    Brand: Rights(MEMBERS, MANAGERS, NO_ONE, SENDERS, ALL),
    ApiKey: Rights(MANAGERS, MANAGERS, MANAGERS, NO_ONE, ALL),
    Campaign: Rights(MEMBERS, SENDERS, SENDERS, SENDERS, ALL),
    Template: Rights(MEMBERS, SENDERS, SENDERS, NO_ONE, ALL),
    ListRoute: Rights(MEMBERS, SENDERS, SENDERS, NO_ONE, ALL),
    Slot: Rights(MEMBERS, SENDERS, SENDERS, NO_ONE, ALL),
    LeadList: Rights(MEMBERS, SENDERS, SENDERS, NO_ONE, ALL),
    Lead: Rights(SENDERS, SENDERS, NO_ONE, NO_ONE, frozenset({"change"})),
    ListEntry: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    Import: Rights(MEMBERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    ImportError: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    RejectedLead: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    Person: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    OptOutEvent: Rights(SENDERS, NO_ONE, SENDERS, NO_ONE, frozenset({"add"})),
    ConsentEvent: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    Keyword: Rights(MEMBERS, MANAGERS, MANAGERS, NO_ONE, ALL),
    Route: Rights(MEMBERS, MANAGERS, MANAGERS, NO_ONE, ALL),
    SenderNumber: Rights(MEMBERS, MANAGERS, NO_ONE, MANAGERS, ALL),
    Message: Rights(MEMBERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    Due: Rights(MEMBERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    Attempt: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    Inbound: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    InboundReview: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    ShortLink: Rights(MEMBERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    Click: Rights(SENDERS, NO_ONE, NO_ONE, NO_ONE, LOOK_ONLY),
    # of the installation
    User: Rights(NO_ONE),
    Membership: Rights(NO_ONE),
    Installation: Rights(NO_ONE, owner=frozenset({"change"})),
    ClockShift: Rights(NO_ONE, owner=LOOK_ONLY),
    StateRule: Rights(NO_ONE),
    ClosedDay: Rights(NO_ONE),
    ProviderAccount: Rights(NO_ONE),
    WeightChange: Rights(NO_ONE, owner=LOOK_ONLY),
    WebhookEvent: Rights(NO_ONE, owner=LOOK_ONLY),
    WebhookTally: Rights(NO_ONE, owner=LOOK_ONLY),
    CapCounter: Rights(NO_ONE, owner=LOOK_ONLY),
}
# Rows that explain nothing that was sent: they may go.
DELETED = {Keyword, ListRoute, Membership, StateRule, ClosedDay}
BRANDLESS = {model for model, rights in RIGHTS.items() if not rights.look}


def of_a_number():
    return make_number(brand=make_brand())


def of_a_lead():
    return make_lead(make_brand()).person


def of_an_opt_out():
    return OptOutEvent.objects.create(person=of_a_lead(), source="staff")


def of_a_review():
    inbound = MAKERS[Inbound]()
    return InboundReview.objects.create(inbound=inbound, person=inbound.person, decision="")


ROWS = {**MAKERS, SenderNumber: of_a_number, Person: of_a_lead, OptOutEvent: of_an_opt_out}
ROWS[InboundReview] = of_a_review

BRAND_OF = {
    Brand: lambda row: row,
    Slot: lambda row: row.campaign.brand,
    ListRoute: lambda row: row.lead_list.brand,
    ListEntry: lambda row: row.lead_list.brand,
    ImportError: lambda row: row.taken_in.brand,
    Person: lambda row: row.leads.get().brand,
    OptOutEvent: lambda row: row.person.leads.get().brand,
    Attempt: lambda row: row.message.brand,
    InboundReview: lambda row: row.inbound.brand,
    Click: lambda row: row.link.brand,
}


def brand_of(row):
    if type(row) in BRANDLESS:
        return make_brand()
    return BRAND_OF.get(type(row), lambda row: row.brand)(row)


def client_for(role, brand):
    if role == "nobody":
        return Client()
    return client_of(make_user() if role == "superuser" else make_user(brand, role))


def url_of(model, page, *args):
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=args)


def answer(client, url, method="get", body=None):
    response = getattr(client, method)(url, body or {})
    if response.status_code == 302 and response.url.startswith("/admin/login/"):
        return "log-in"
    return response.status_code


def may(role, allowed):
    return role == "superuser" or role in allowed


# --- the tables --------------------------------------------------------------------------------

ROLE = pytest.mark.parametrize("role", ROLES)
MODEL = pytest.mark.parametrize("model", RIGHTS, ids=lambda model: model.__name__)


def test_every_table_of_the_admin_is_in_the_matrix():
    assert set(RIGHTS) == set(admin.site._registry)


@MODEL
@ROLE
class TestTables:
    def test_the_list_holds_the_rows_of_ones_own_brands_only(self, model, role):
        row, foreign = ROWS[model](), ROWS[model]()
        client, url = client_for(role, brand_of(row)), url_of(model, "changelist")
        if role == "nobody":
            assert answer(client, url) == "log-in"
        elif not may(role, RIGHTS[model].look):
            assert answer(client, url) == 403
        else:
            shown = {one.pk for one in client.get(url).context["cl"].result_list}
            assert row.pk in shown
            assert (foreign.pk in shown) == (role == "superuser")

    def test_a_row_opens_for_who_may_look(self, model, role):
        row = ROWS[model]()
        client, found = client_for(role, brand_of(row)), 200
        if role == "nobody":
            found = "log-in"
        elif not may(role, RIGHTS[model].look):
            found = 403
        assert answer(client, url_of(model, "change", row.pk)) == found

    def test_a_foreign_row_is_as_missing_as_a_missing_one(self, model, role):
        brand, foreign = brand_of(ROWS[model]()), ROWS[model]()
        client = client_for(role, brand)
        answers = [answer(client, url_of(model, "change", pk)) for pk in (foreign.pk, MISSING)]
        if role == "superuser":
            assert answers == [200, 404]
        elif role == "nobody":
            assert answers == ["log-in"] * 2
        else:
            assert answers == [404 if may(role, RIGHTS[model].look) else 403] * 2

    def test_nothing_is_changed_by_who_may_not(self, model, role):
        row, foreign = ROWS[model](), ROWS[model]()
        client, rights = client_for(role, brand_of(row)), RIGHTS[model]
        urls = [url_of(model, "change", one.pk) for one in (row, foreign)]
        answers = [answer(client, url, "post") for url in urls]
        if role == "superuser":
            assert answers[0] == answers[1]
            assert (answers[0] == 403) == ("change" not in rights.owner)
        elif role == "nobody":
            assert answers == ["log-in"] * 2
        elif role in rights.change:
            assert answers[0] in (200, 302)
            assert answers[1] == 404
        else:
            assert answers == [403, 403]

    def test_a_new_row_is_made_by_who_may_add(self, model, role):
        client = client_for(role, brand_of(ROWS[model]()))
        if role == "nobody":
            assert answer(client, url_of(model, "add")) == "log-in"
            return
        owners = "add" in RIGHTS[model].owner
        found = (role == "superuser" and owners) or role in RIGHTS[model].add
        assert answer(client, url_of(model, "add")) == (200 if found else 403)

    def test_the_history_is_for_who_may_look(self, model, role):
        row, foreign = ROWS[model](), ROWS[model]()
        client = client_for(role, brand_of(row))
        answers = [answer(client, url_of(model, "history", pk)) for pk in (row.pk, foreign.pk)]
        if role == "nobody":
            assert answers == ["log-in"] * 2
        elif role == "superuser":
            assert answers == [200, 200]
        else:
            assert answers == ([200, 404] if role in RIGHTS[model].look else [404, 404])


BRAKED = [model for model, rights in RIGHTS.items() if rights.brake or model is ProviderAccount]


@pytest.mark.parametrize("model", BRAKED, ids=lambda model: model.__name__)
@pytest.mark.parametrize("does", ["pause", "resume"])
@ROLE
def test_who_may_brake_brakes_their_own(model, does, role):
    row, foreign = ROWS[model](), ROWS[model]()
    client, rights = client_for(role, brand_of(row)), RIGHTS[model]
    pks = (row.pk, foreign.pk, MISSING)
    answers = [answer(client, url_of(model, does, pk), "post") for pk in pks]
    if role == "superuser":
        assert answers == [302, 302, 404]
    elif role == "nobody":
        assert answers == ["log-in"] * 3
    else:
        own = 302 if role in rights.brake else 403 if role in rights.look else 404
        assert answers == [own, 404, 404]


@MODEL
@ROLE
def test_what_is_kept_for_good_is_deleted_by_nobody_and_the_rest_by_who_may_change_it(model, role):
    row, foreign = ROWS[model](), ROWS[model]()
    client = client_for(role, brand_of(row))
    answers = [answer(client, url_of(model, "delete", one.pk)) for one in (row, foreign)]
    if role == "nobody":
        assert answers == ["log-in"] * 2
    elif role == "superuser":
        assert answers == [200 if model in DELETED else 403] * 2
    elif model in DELETED and role in RIGHTS[model].change:
        assert answers == [200, 404]
    else:
        assert answers == [403, 403]


# --- whoever may more for one brand than for another -------------------------------------------

OF_BRANDS = [model for model in RIGHTS if model not in BRANDLESS]
STAMPS = ("paused_at", "retired_at", "fault", "resumed_at")


def a_mixed_user(own, foreign):
    """An admin of one brand who may only look at what the other does."""
    user = make_user(own, "admin")
    Membership.objects.create(user=user, brand=foreign, role="analyst")
    return client_of(user)


def state_of(row):
    return {name: getattr(type(row).objects.get(pk=row.pk), name, None) for name in STAMPS}


ACTIONS = [
    (model, name)
    for model in OF_BRANDS
    for action in admin.site._registry[model].actions
    for name in [action if isinstance(action, str) else action.__name__]
]


@pytest.mark.parametrize(
    ("model", "action"), ACTIONS, ids=[f"{model.__name__} {name}" for model, name in ACTIONS]
)
def test_an_action_leaves_the_rows_that_one_may_only_look_at(model, action):
    row, foreign = ROWS[model](), ROWS[model]()
    stamp = clock.now()
    for name in ("paused_at", "retired_at"):  # so that each action would have something to do
        if hasattr(foreign, name) and action in ("resume", "forgive", "bring_back"):
            model.objects.filter(pk=foreign.pk).update(**{name: stamp})
    before = state_of(foreign)
    client = a_mixed_user(brand_of(row), brand_of(foreign))
    data = {"action": action, "_selected_action": [foreign.pk]}
    client.post(url_of(model, "changelist"), data)
    assert state_of(foreign) == before


BY_ANOTHER = [(Slot, "campaign", Campaign), (ListRoute, "lead_list", LeadList)]
BY_ANOTHER += [(Campaign, "brand", Brand), (Template, "brand", Brand), (Keyword, "brand", Brand)]


@pytest.mark.parametrize(
    ("model", "field", "of"), BY_ANOTHER, ids=[m.__name__ for m, _, _ in BY_ANOTHER]
)
class TestMixed:
    def test_plants_no_row_in_a_brand_that_one_may_only_look_at(self, model, field, of):
        row, foreign = ROWS[of](), ROWS[of]()
        client = a_mixed_user(brand_of(row), brand_of(foreign))
        page = client.post(url_of(model, "add"), {field: foreign.pk})
        assert field in page.context["adminform"].form.errors

    def test_is_not_even_offered_it(self, model, field, of):
        row, foreign = ROWS[of](), ROWS[of]()
        client = a_mixed_user(brand_of(row), brand_of(foreign))
        query = f"?app_label={model._meta.app_label}&model_name={model._meta.model_name}"
        url = f"{reverse('admin:autocomplete')}{query}&field_name={field}&term="
        offered = {one["id"] for one in client.get(url).json()["results"]}
        assert str(row.pk) in offered
        assert str(foreign.pk) not in offered


@pytest.mark.parametrize("model", OF_BRANDS, ids=lambda model: model.__name__)
class TestLists:
    @pytest.mark.parametrize(
        "query",
        [
            pytest.param("id__regex=[", id="a pattern"),
            pytest.param("pk__contains=1", id="a part"),
            pytest.param("id__exact=1%00", id="a NUL"),
            pytest.param("brand=" + "9" * 5000, id="a brand without end"),
            pytest.param("brand__name__startswith=A", id="through a relation"),
            pytest.param("person__leads__brand=1", id="another brand's leads"),
        ],
    )
    def test_answer_no_look_up_that_is_not_theirs(self, model, query):
        client = client_for("admin", brand_of(ROWS[model]()))
        assert client.get(f"{url_of(model, 'changelist')}?{query}").status_code in (200, 302, 400)


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
    "follow": "tests/links/test_views.py",
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


# --- choices -----------------------------------------------------------------------------------

OFFERED = [
    (Campaign, "brand", Brand),
    (Campaign, "lead_list", LeadList),
    (Campaign, "template", Template),
    (Campaign, "route", Route),
    (Keyword, "brand", Brand),
    (Slot, "campaign", Campaign),
]


@pytest.mark.parametrize(
    ("model", "field", "of"), OFFERED, ids=[f"{m.__name__} {f}" for m, f, _ in OFFERED]
)
def test_a_form_offers_nothing_of_another_brand(model, field, of):
    row, foreign = ROWS[of](), ROWS[of]()
    client = client_for("admin", brand_of(row))
    query = f"?app_label={model._meta.app_label}&model_name={model._meta.model_name}"
    answers = client.get(reverse("admin:autocomplete") + f"{query}&field_name={field}&term=")
    assert answers.status_code == 200
    offered = {one["id"] for one in answers.json()["results"]}
    assert str(row.pk) in offered
    assert str(foreign.pk) not in offered
