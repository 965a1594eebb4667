"""Every table by every role: a row of one's own brand, of a foreign one, and a missing one."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from brands import clock
from brands.models import Brand, Membership
from campaigns.models import Campaign, ListRoute, Slot, Template
from compliance.models import Keyword
from leads.models import LeadList
from providers.models import ProviderAccount, Route
from tests.roles import (
    BRANDLESS,
    DELETED,
    MISSING,
    MODEL,
    RIGHTS,
    ROLE,
    ROWS,
    answer,
    brand_of,
    client_for,
    may,
    url_of,
)
from tests.staff import client_of, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]

# --- the tables --------------------------------------------------------------------------------


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
