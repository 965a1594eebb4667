"""Asking why: a brand that can send, what befalls its leads, and the page that explains it."""

from __future__ import annotations

from datetime import time, timedelta

import pytest

from compliance import consent
from compliance.models import Person
from delivery import inbound
from delivery.outcomes import apply_reports
from delivery.planning import plan_open_slots
from delivery.states import Reason
from leads.models import Lead
from providers.base import Accepted, InboundMessage, NotSent, Unknown
from tests.delivery.walking import come_back, hand_over, reported
from tests.factories import (
    NOON,
    make_account,
    make_brand,
    make_lead,
    make_number,
    make_route,
    make_slot,
)
from tests.staff import client_of, make_user

URL = "/admin/why/"
HOUR = timedelta(hours=1)


@pytest.fixture
def brand(sandbox):
    brand = make_brand()
    make_route(brand, make_number(make_account(name="East")))
    return brand


def a_slot(brand, *leads, **fields):
    return make_slot(None, *leads, brand=brand, **fields)


def page_about(lead, user=None):
    return client_of(user or make_user()).get(URL, {"phone": lead.person.phone})


def opt_out(lead):
    consent.opt_out([lead.person_id], source="staff")


def rejoin(lead):
    consent.rejoin(lead.person_id, brand_id=lead.brand_id, wording="JOIN")


def undeliverable(lead):
    Person.objects.filter(pk=lead.person_id).update(undeliverable_at=NOON - HOUR)


def sunset(lead):
    Person.objects.filter(pk=lead.person_id).update(sunset_at=NOON - HOUR)


def switch_off(lead):
    Lead.objects.filter(pk=lead.pk).update(status="inactive")


SUPPRESSED = pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(opt_out, Reason.OPTED_OUT, id="opted-out"),
        pytest.param(undeliverable, Reason.UNDELIVERABLE, id="undeliverable"),
        pytest.param(sunset, Reason.SUNSET, id="sunset"),
        pytest.param(switch_off, Reason.LEAD_INACTIVE, id="switched-off"),
    ],
)


@pytest.fixture
def people(site, journal):
    """Messages of four fates, and somebody who gets none; by name."""
    brand = make_brand(name="Harbour Jobs")
    lane = make_number(make_account(name="Twilio east"), brand=brand)
    make_route(brand, lane)
    names = ("Ada", "Ben", "Cleo", "Dan")
    leads = {name: make_lead(brand, first_name=name, source="Spring fair") for name in names}
    a_slot(brand, *leads.values(), name="Nurses in New York, early shift")
    plan_open_slots()
    opt_out(leads["Ben"])
    sent = {one.send.to_e164: one for one in hand_over(journal)}
    ada, cleo = (sent[leads[name].person.phone] for name in ("Ada", "Cleo"))
    come_back([ada], Accepted(f"SM{ada.send.ref}"))
    apply_reports([reported(ada)])
    come_back([cleo], Unknown("503"))
    come_back([sent[leads["Dan"].person.phone]], NotSent("30", throttled=True, retry_after=300))
    a_slot(brand, make_lead(brand), name="Drivers")
    a_slot(brand, leads["Ada"], name="Evening shift", at=time(19))
    said = InboundMessage(
        provider_ref="SM-in", from_e164=ada.send.to_e164, to_value=lane.value, text="who is this?"
    )
    inbound.apply(inbound.store(lane.account_id, said, {}))
    return leads
