"""A test that a member of staff sends to a phone: a brand that can, a campaign, and the asking."""

from __future__ import annotations

import pytest

from compliance import phones
from delivery import singles
from tests.factories import (
    make_brand,
    make_campaign,
    make_list,
    make_number,
    make_route,
    phone,
)
from tests.staff import make_user

TEXT = "Hi {first_name}, {city|your town} has work: {link}"
VALUES = {"first_name": "Robin"}


@pytest.fixture
def brand(sandbox):
    return make_brand(name="Acme")


@pytest.fixture
def lane(brand):
    lane = make_number()
    make_route(brand, lane)
    return lane


@pytest.fixture
def campaign(brand, lane):
    return make_campaign(brand, make_list(brand), text=TEXT)


@pytest.fixture
def user(sandbox):
    return make_user()


@pytest.fixture
def ask(campaign, user):
    """Ask for a test to one and the same phone."""
    own = phones.parse(phone())

    def ask(to=own, key="k1", values=VALUES, **fields):
        wanted = {"asked_by": user, "idempotency_key": key, **fields}
        return singles.send_test(campaign, to=to, values=values, **wanted)

    return ask
