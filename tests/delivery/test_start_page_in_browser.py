"""The page that starts a campaign, in a browser."""

from __future__ import annotations

from datetime import date, time

import pytest

from brands.models import Brand
from compliance import consent
from compliance.models import Person
from leads.models import ListEntry
from providers.models import SenderNumber
from tests.delivery import starting
from tests.delivery.starting import a_brand, a_campaign, add_slot, address, is_open
from tests.factories import (
    NOON,
    make_campaign,
    make_lead,
    make_leads,
    make_list,
    make_places,
)
from tests.staff import log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

brand = starting.brand
marketer = starting.marketer


def people_of_many_kinds(brand):
    leads = make_leads(brand, 40)
    leads += make_leads(brand, 12, places=make_places("America/Los_Angeles"))
    leads += [make_lead(brand, consent=None) for _ in range(7)]
    leads += [make_lead(brand, places=None), make_lead(brand, places=None)]
    gone = make_leads(brand, 5)
    consent.opt_out([lead.person_id for lead in gone], source="staff")
    held = make_leads(brand, 3)
    consent.hold([lead.person_id for lead in held], reason="unclear")
    full = make_lead(brand)
    Person.objects.filter(pk=full.person_id).update(recent=[[NOON.timestamp(), 1, "x", None]])
    return [*leads, *gone, *held, full, make_lead(brand, first_name="Wilhelmina-Charlotte")]


def test_a_small_campaign_is_started_by_one_press(page, site):
    brand = a_brand()
    campaign = a_campaign(brand, *people_of_many_kinds(brand), name="Spring openings")
    SenderNumber.objects.update(segments_per_second=2)
    log_in(page, site, make_user(brand, "marketer"))
    page.goto(site + address(campaign))
    shoot(page, "start")
    page.emulate_media(color_scheme="dark")
    page.reload()
    shoot(page, "start-dark")
    page.emulate_media(color_scheme="light")
    page.reload()
    page.get_by_role("button", name="Start: 66 people").click()
    page.get_by_text("Started: first messages leave at 13:00").wait_for()
    assert is_open(campaign)
    page.goto(site + address(campaign))
    page.get_by_text("There is nothing left to start").wait_for()
    shoot(page, "started")


def test_its_tables_stay_in_their_cards(page, site):
    brand = a_brand()
    campaign = a_campaign(brand, *people_of_many_kinds(brand), name="Spring openings")
    for day in (date(2035, 3, 8), date(2035, 3, 14)):
        add_slot(campaign, local_date=day)
    log_in(page, site, make_user(brand, "marketer"))
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(site + address(campaign))
    shoot(page, "start-tables")
    for table in page.locator(".so-card table").all():
        assert table.evaluate("table => table.closest('.so-card').scrollWidth") <= table.evaluate(
            "table => table.closest('.so-card').clientWidth"
        )


def test_a_big_campaign_is_started_by_its_number(page, site):
    brand = a_brand()
    campaign = a_campaign(brand, name="A long name " * 9)
    leads = make_leads(brand, 10_001)
    ListEntry.objects.bulk_create(
        ListEntry(lead_list=campaign.lead_list, lead=lead, places=lead.places) for lead in leads
    )
    add_slot(campaign, local_date=date(2035, 3, 8))
    log_in(page, site, make_user(brand, "marketer"))
    page.goto(site + address(campaign))
    number = page.get_by_label("Type the number of people: 10,001")
    number.fill("10,000")
    page.get_by_role("button", name="Start: 10,001 people").click()
    page.get_by_text("That is not the number of people. Type 10,001 to start.").wait_for()
    assert number.input_value() == "10,000"
    assert not is_open(campaign)
    shoot(page, "start-big-wrong")
    number.fill("10 001")
    page.get_by_role("button", name="Start: 10,001 people").click()
    page.get_by_text("Started: first messages leave at 13:00").wait_for()
    assert is_open(campaign)


def test_a_campaign_that_cannot_start_says_why(page, site):
    brand = a_brand()
    Brand.objects.update(paused_at=NOON)
    campaign = make_campaign(brand, make_list(brand), name="Not ready")
    add_slot(campaign, local_time=time(6), length_minutes=30)
    log_in(page, site, make_user(brand, "marketer"))
    page.goto(site + address(campaign))
    page.get_by_text("is over in every place of the list").wait_for()
    shoot(page, "start-blocked")
    page.get_by_role("link", name="Put it right").click()
    page.wait_for_url(f"{site}/admin/campaigns/campaign/{campaign.pk}/change/**")


def test_an_empty_list_says_so(page, site):
    brand = a_brand()
    campaign = a_campaign(brand, name="Nobody yet")
    log_in(page, site, make_user(brand, "marketer"))
    page.goto(site + address(campaign))
    page.get_by_text("There is nobody to send to").wait_for()
    shoot(page, "start-empty")
