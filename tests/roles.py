"""What each role may do with each table, and rows and clients to try it with.

It is a table of its own, so that a mistake in `brands/access.py` is not repeated by its tests.
"""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

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
    WebhookEvent,
    WebhookTally,
)
from leads.models import Import, ImportError, Lead, LeadList, ListEntry, RejectedLead
from links.models import Click, ShortLink
from providers.models import ProviderAccount, Route, SenderNumber, WeightChange
from tests.factories import (
    make_brand,
    make_lead,
    make_number,
)
from tests.rows import MAKERS
from tests.staff import client_of, make_user

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


ROLE = pytest.mark.parametrize("role", ROLES)
MODEL = pytest.mark.parametrize("model", RIGHTS, ids=lambda model: model.__name__)
