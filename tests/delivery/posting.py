"""Callbacks that a provider posts, and what is kept of them."""

from __future__ import annotations

import pytest
from django.apps import apps

from delivery import webhooks
from delivery.models import WebhookTally
from tests.delivery.callers import post, report_fields, text_fields
from tests.factories import make_account

TO = "+12125550111"
SENDER = "+12125550112"


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """No account is kept from another test, whose account may have had the same id."""
    monkeypatch.setattr(webhooks, "_lines", {})
    return webhooks._lines


@pytest.fixture(params=["twilio", "plivo"])
def account(request, sandbox):
    return make_account(kind=request.param)


@pytest.fixture
def twilio(sandbox):
    return make_account()


@pytest.fixture
def plivo(sandbox):
    return make_account(kind="plivo")


def a_report(account, **fields):
    return report_fields(account, **{"provider_ref": "SM1", "to": TO, **fields})


def a_text(account, text="hello", **fields):
    fields = {"provider_ref": "SM2", "sender": SENDER, "to": TO, "text": text, **fields}
    return text_fields(account, **fields)


def status(account, **changes):
    return post(account, "status", a_report(account), "ref=r1", **changes).status_code


def tally():
    return {(one.account_id, one.what): one.count for one in WebhookTally.objects.all()}


def rows():
    """How many rows each table has, but the one in which failures are counted."""
    return {
        model: model.objects.count()
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and model is not WebhookTally
    }
