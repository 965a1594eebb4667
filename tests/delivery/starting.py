"""Campaigns that are about to be started."""

from __future__ import annotations

from datetime import time

import pytest
from django.urls import reverse

from campaigns.models import Slot
from tests.factories import (
    DAY,
    make_account,
    make_brand,
    make_campaign,
    make_list,
    make_number,
    make_route,
)
from tests.staff import client_of, make_user


@pytest.fixture
def brand(sandbox):
    return a_brand()


@pytest.fixture
def marketer(brand):
    return client_of(make_user(brand, "marketer"))


def a_brand():
    brand = make_brand(name="Acme", short_domain="go.example.com")
    make_route(brand, make_number(make_account(price_micros=5000)), name="Long codes")
    return brand


def a_campaign(brand, *leads, **fields):
    """With one draft slot, an hour from now."""
    campaign = make_campaign(brand, make_list(brand, *leads), **fields)
    add_slot(campaign)
    return campaign


def add_slot(campaign, **fields):
    values = {"local_date": DAY, "local_time": time(13), "length_minutes": 240, **fields}
    return Slot.objects.create(campaign=campaign, **values)


def address(campaign):
    return reverse("start-campaign", args=[campaign.pk])


def is_open(campaign):
    return set(campaign.slots.values_list("state", flat=True)) == {"open"}
