from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from brands.models import Brand, ClockShift, Installation
from brands.paging import BigTable
from campaigns.models import Campaign, Slot
from compliance.models import ConsentEvent, OptOutEvent, Person
from delivery.models import (
    Attempt,
    Due,
    Inbound,
    InboundReview,
    Message,
    WebhookEvent,
)
from leads.models import Lead, LeadList, ListEntry
from links.models import Click, ShortLink
from providers.models import ProviderAccount, Route, SenderNumber
from tests.factories import (
    make_installation,
)
from tests.rows import MAKERS

OURS = {"brands", "compliance", "leads", "campaigns", "providers", "delivery", "links"}
BIG = [Person, Lead, Message, Due, Attempt, Click, ListEntry, ShortLink, Inbound, WebhookEvent]
BIG += [InboundReview]
KEPT = [Brand, Person, Lead, LeadList, Campaign, Slot, ProviderAccount, SenderNumber, Route]
KEPT += [Installation, ClockShift, OptOutEvent, ConsentEvent]

pytestmark = pytest.mark.django_db
MODELS = pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__)


def page_of(model, name, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def queries_of(client, url):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in queries]


@pytest.fixture(autouse=True)
def installation():
    return make_installation()


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_superuser("staff"))
    return client


def test_every_table_people_need_is_tried_here():
    registered = {m for m in admin.site._registry if m._meta.app_label in OURS}
    assert registered == {m for m in MAKERS if m._meta.app_label in OURS}


def test_the_front_page_opens(staff):
    assert staff.get("/admin/").status_code == 200


@MODELS
class TestEachPage:
    def test_lists_ten_rows_with_as_many_queries_as_one(self, staff, model):
        MAKERS[model]()
        url = page_of(model, "changelist")
        staff.get(url)  # content types and the like are read once
        one = queries_of(staff, url)
        for _ in range(9):
            MAKERS[model]()
        assert len(queries_of(staff, url)) == len(one)

    def test_opens_a_row_with_as_many_queries_whatever_else_there_is(self, staff, model):
        row = MAKERS[model]()
        url = page_of(model, "change", row.pk)
        staff.get(url)
        one = queries_of(staff, url)
        for _ in range(9):
            MAKERS[model]()
        assert len(queries_of(staff, url)) == len(one)

    def test_opens_the_form_for_a_new_row_where_there_may_be_one(self, staff, model):
        allowed = admin.site._registry[model].has_add_permission(a_request(staff))
        assert staff.get(page_of(model, "add")).status_code == (200 if allowed else 403)

    def test_counts_its_rows_once_at_most(self, staff, model):
        MAKERS[model]()
        found = [q for q in queries_of(staff, page_of(model, "changelist")) if "COUNT(" in q]
        assert len(found) <= 1

    def test_answers_a_search_for_anything(self, staff, model):
        MAKERS[model]()
        for words in ("12", "Not a number", "(212) 555-0100", "9" * 30, "a\0b"):
            response = staff.get(page_of(model, "changelist"), {"q": words})
            assert response.status_code == 200, words


def a_request(client):
    return client.get("/admin/").wsgi_request


@pytest.mark.parametrize("model", BIG, ids=lambda model: model.__name__)
class TestBigTables:
    def test_are_not_counted(self, staff, model):
        MAKERS[model]()
        assert isinstance(admin.site._registry[model], BigTable)
        assert not [q for q in queries_of(staff, page_of(model, "changelist")) if "COUNT(" in q]

    def test_show_more_on_the_next_page(self, staff, model, monkeypatch):
        monkeypatch.setattr(admin.site._registry[model], "list_per_page", 1)
        first, second = MAKERS[model](), MAKERS[model]()
        url = page_of(model, "changelist")
        shown = [staff.get(url, {"p": p}).context["cl"].result_list for p in (1, 2)]
        assert [list(rows) for rows in shown] == [[second], [first]]

    def test_are_never_offered_whole_in_a_form(self, staff, model):
        request = a_request(staff)
        for page in admin.site._registry.values():
            if page.has_add_permission(request) or page.has_change_permission(request):
                fields = page.get_form(request).base_fields.items()
                offered = {n for n, field in fields if offers(field, model)}
                assert offered <= set(page.autocomplete_fields), page


def offers(field, model):
    return getattr(field, "queryset", None) is not None and field.queryset.model is model


@pytest.mark.parametrize("model", KEPT, ids=lambda model: model.__name__)
def test_rows_that_are_kept_cannot_be_deleted_here(staff, model):
    row = MAKERS[model]()
    assert staff.post(page_of(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in staff.get(page_of(model, "changelist")).text
