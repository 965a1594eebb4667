"""Leads that partners post, and what they are answered."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from brands import keys
from tests.factories import make_brand

URL = "/api/v1/leads"
P, Q = "+12125550101", "+12125550102"
BAD = "+121255501"
AGREED = "2026-01-05T10:00:00Z"


def a_lead(number=P, **cells):
    return {"phone": number, "consent_at": AGREED, **cells}


def key_of(brand, **fields):
    return keys.make(brand, "Portal", **fields).whole


@pytest.fixture
def brand(sandbox):
    return make_brand()


@pytest.fixture
def post(brand):
    return poster(key_of(brand))


def poster(whole):
    """Posts as a partner does: the body as JSON unless it is bytes."""
    client = Client(raise_request_exception=False)

    def post(body, url=URL, *, method="POST", content_type="application/json", **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {whole}", **sent}
        return client.generic(method, url, raw, content_type=content_type, headers=sent)

    return post


def assert_problem(response, status, code, *fields):
    said = response.json()
    assert (response.status_code, said["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"
    assert said["status"] == status
    assert said["type"] == f"urn:sendonce:problem:{code}"
    assert said["title"]
    assert said["detail"]
    assert [error["field"] for error in said["errors"]] == [*fields]


def raise_(error):
    def do(*args):
        raise error

    return do
