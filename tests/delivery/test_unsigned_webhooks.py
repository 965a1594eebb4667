"""A provider that signs nothing is known by the key in the path; its STOP names no number."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from delivery import webhooks
from delivery.models import Inbound, Message, WebhookEvent
from tests.delivery.texting import is_out
from tests.factories import make_account, make_brand, make_number, make_person

pytestmark = pytest.mark.django_db

OPT_OUT = {"reportId": "r1", "webhookId": "w1", "type": "UNSUBSCRIBE_REPORT"}
DELIVERED = {"reportId": "r2", "webhookId": "w1", "type": "DELIVERY_REPORT"}


@pytest.fixture(autouse=True)
def _kept(monkeypatch):
    """No account is kept from another test, whose account may have had the same id."""
    monkeypatch.setattr(webhooks, "_lines", {})


@pytest.fixture
def account(sandbox):
    return make_account(kind="simpletexting")


def post(account, fields, *, key=None):
    key = account.webhook_key if key is None else key
    path = f"/webhooks/simpletexting/{account.pk}{f'/{key}' if key else ''}/inbound"
    return Client().post(path, json.dumps(fields), content_type="application/json").status_code


@pytest.mark.parametrize("key", ["", "wrong"])
def test_without_its_key_nothing_is_taken_in(account, key):
    assert post(account, {**OPT_OUT, "values": {"phone": "2125550112"}}, key=key) == 403
    assert not Inbound.objects.exists()


def test_a_report_is_kept_under_its_own_id(account):
    assert post(account, {**DELIVERED, "values": {"messageId": "m1"}}) == 200
    assert WebhookEvent.objects.get().dedupe_key == "r2"


def test_an_opt_out_to_no_number_counts_for_every_brand_and_is_not_answered(account):
    number = make_number(account, brand=make_brand())
    person = make_person(phone="+12125550112")
    assert post(account, {**OPT_OUT, "values": {"phone": "2125550112"}}) == 200
    assert is_out(person, number.brand)
    assert is_out(person, make_brand())
    assert (Inbound.objects.get().label, Message.objects.count()) == ("stop", 0)
