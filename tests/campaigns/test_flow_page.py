"""The campaign flow in a browser."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from django.urls import reverse

from brands.models import Membership
from campaigns.models import Campaign, Slot
from tests.factories import (
    DAY,
    NOON,
    make_brand,
    make_campaign,
    make_leads,
    make_list,
    make_number,
    make_route,
    make_template,
    open_slot,
)
from tests.staff import log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

URL = "/admin/new-campaign/"
CURLY = "It\u2019s time \u2013 new jobs in {city|your area}, {first_name|there} \U0001f600: {link}"
LABEL = "What people read"
TOMORROW = DAY + timedelta(days=1)


@pytest.fixture
def brand(site):
    brand = make_brand(name="Acme Jobs", sunday_opens="12:00")
    make_route(brand, make_number(segments_per_second=30), name="Main route")
    return brand


@pytest.fixture
def listed(brand):
    people = make_leads(brand, 12, first_name="Maria", last_name="Ruiz", city="Springfield")
    make_list(brand, name="Autumn list")
    return make_list(brand, *people, name="Spring list")


@pytest.fixture
def marketer(page, site, brand):
    user = make_user(brand, "marketer")
    log_in(page, site, user)
    return user


class Clicks:
    """Counts what a person does with the mouse; choosing in a list is two clicks."""

    def __init__(self):
        self.made = 0

    def on(self, target):
        self.made += 1
        target.click()

    def choose(self, target, label):
        self.made += 2
        target.select_option(label=label)


def test_from_the_index_to_the_start_page_in_nine_clicks_at_most(page, site, listed, marketer):
    clicks = Clicks()
    page.goto(f"{site}/admin/")
    clicks.on(page.get_by_role("link", name="New campaign").first)
    clicks.choose(page.get_by_label("List"), "Spring list")
    page.get_by_text("12 people on it.").wait_for()
    clicks.on(page.get_by_label(LABEL))
    page.keyboard.type("We have new jobs for you: ")
    clicks.on(page.get_by_role("button", name="Personal link"))
    page.get_by_text("We have new jobs for you: http").wait_for()
    shoot(page, "flow")
    clicks.on(page.get_by_role("button", name="Save and review"))
    page.wait_for_url("**/start/")
    assert page.url == site + reverse("start-campaign", args=[Campaign.objects.get().pk])
    assert clicks.made <= 9
    template = Campaign.objects.get().template
    assert template.latest().text == "We have new jobs for you: {link}"


def test_in_the_dark(page, site, listed, marketer):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site}{URL}?list={listed.pk}")
    page.get_by_label(LABEL).fill(CURLY)
    page.get_by_text("curly apostrophe").wait_for()
    shoot(page, "dark")


def test_by_keyboard_alone(page, site, listed, marketer):
    page.goto(site + URL)
    page.get_by_label("Name of the campaign").focus()
    keys = page.keyboard
    keys.press("ControlOrMeta+a")
    keys.type("By keyboard")
    keys.press("Tab")
    with page.expect_response("**/parts/"):
        keys.type("Spring")
        page.get_by_label("List").press("Enter")
    page.get_by_text("12 people on it.").wait_for()
    page.get_by_label(LABEL).focus()
    keys.type("Hello")
    page.get_by_text("1 segment").wait_for()
    page.get_by_label("Name of the campaign").press("Enter")
    page.wait_for_url("**/start/")
    assert Campaign.objects.get().name == "By keyboard"


def test_the_counter_marks_what_doubles_the_cost_and_replaces_it(page, site, listed, marketer):
    page.goto(f"{site}{URL}?list={listed.pk}")
    page.get_by_label(LABEL).fill(CURLY)
    page.get_by_text("curly apostrophe").wait_for()
    marks = page.locator("#text-bubble mark")
    assert marks.all_text_contents() == ["\u2019", "\u2013", "\U0001f600"]
    shoot(page, "dear")
    page.get_by_role("button", name="Replace them").click()
    page.get_by_text("curly apostrophe").wait_for(state="hidden")
    assert page.get_by_label(LABEL).input_value().startswith("It's time - new jobs")
    assert marks.count() == 0


def test_wrong_input_is_told_and_keeps_what_was_typed(page, site, listed, marketer):
    page.goto(site + URL)
    page.get_by_label("Name of the campaign").fill("")
    page.get_by_label(LABEL).fill("Hi {nick}, see {link}")
    page.get_by_text("{nick} is not a name we know").wait_for()
    page.get_by_label("Where {link} leads").fill("https://elsewhere.example.org/jobs")
    page.get_by_role("button", name="Add another time").click()
    page.get_by_role("group", name="Time 2").wait_for()
    page.get_by_label("Time", exact=True).first.fill("23:00")
    page.get_by_role("button", name="Save and review").click()
    page.get_by_text("Nothing is saved yet.").wait_for()
    for words in (
        "Give the campaign a name.",
        "Choose the list of people to write to.",
        "is not among the brand's link hosts",
        "Acme Jobs sends from 08:00 to 21:00.",
    ):
        assert page.get_by_text(words).is_visible()
    assert page.get_by_label(LABEL).input_value() == "Hi {nick}, see {link}"
    assert page.get_by_label("Time", exact=True).first.input_value() == "23:00"
    assert not Campaign.objects.exists()
    shoot(page, "wrong")


def test_another_brand_brings_its_own_parts_and_keeps_the_text(page, site, listed, marketer):
    other = make_brand(name="Beta Work", link_hosts=["beta.example.com"])
    Membership.objects.create(user=marketer, brand=other, role="marketer")
    make_list(other, name="Beta people")
    page.goto(site + URL)
    page.get_by_label(LABEL).fill("Hi from {brand}")
    page.get_by_text("Hi from Acme Jobs").wait_for()
    page.get_by_label("Brand").select_option(label="Beta Work")
    page.get_by_text("Hi from Beta Work").wait_for()
    assert page.get_by_label(LABEL).input_value() == "Hi from {brand}"
    assert page.get_by_label("List").locator("option").all_text_contents()[1:] == ["Beta people"]
    assert page.get_by_label("Where {link} leads").input_value() == "https://beta.example.com/"
    assert page.get_by_text("Beta Work has no route yet.").is_visible()
    shoot(page, "other-brand")


def test_a_saved_text_is_shown_and_can_be_written_anew(page, site, listed, marketer):
    make_template(listed.brand, "Hello {first_name|there}, spring is here")
    page.goto(f"{site}{URL}?list={listed.pk}")
    page.get_by_label("Text", exact=True).select_option(index=1)
    page.get_by_text("Hello Maria, spring is here").wait_for()
    shoot(page, "saved-text")
    page.get_by_role("button", name="Change it into a new text").click()
    box = page.get_by_label(LABEL)
    box.wait_for()
    assert box.input_value() == "Hello {first_name|there}, spring is here"


def test_the_list_of_campaigns_says_what_to_do_when_there_are_none(page, site, marketer):
    page.goto(f"{site}/admin/campaigns/campaign/")
    shoot(page, "no-campaigns")
    page.get_by_role("link", name="Set up a campaign").click()
    page.wait_for_url(f"**{URL}")


def test_a_template_has_the_same_counter(page, site, brand, marketer):
    template = make_template(brand, "Hello {first_name|there}, spring is here")
    page.goto(f"{site}/admin/campaigns/template/{template.pk}/change/")
    page.get_by_text("Hello Maria, spring is here").wait_for()
    page.get_by_label(LABEL).fill(CURLY)
    page.get_by_text("curly apostrophe").wait_for()
    shoot(page, "template")
    page.get_by_role("button", name="Replace them").click()
    page.get_by_text("curly apostrophe").wait_for(state="hidden")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was changed successfully").wait_for()
    assert template.latest().text.startswith("It's time - new jobs")


def test_a_campaign_shows_its_state_and_what_can_be_done(page, site, listed, marketer):
    draft = make_campaign(listed.brand, listed, name="A draft with a rather long name " * 3)
    Slot.objects.create(campaign=draft, local_date=TOMORROW, local_time=time(10))
    running = make_campaign(listed.brand, listed, name="Spring")
    open_slot(running, on=TOMORROW, at=time(12))
    reason = "Too many texts were refused"
    make_campaign(listed.brand, listed, name="Held", paused_at=NOON, pause_reason=reason)
    page.goto(f"{site}/admin/campaigns/campaign/")
    shoot(page, "campaigns")
    page.get_by_role("link", name="Spring", exact=True).click()
    page.get_by_role("link", name="Send me a test").wait_for()
    shoot(page, "campaign")
    page.get_by_role("button", name="Copy campaign").click()
    page.get_by_text("Spring (copy) is a draft").wait_for()
    page.get_by_role("link", name="Start…").click()
    page.wait_for_url("**/start/")


def test_a_slot_reads_in_words(page, site, listed, marketer):
    slot = open_slot(make_campaign(listed.brand, listed), on=TOMORROW, at=time(12))
    Slot.objects.update(suppressed={"opted_out": 1_200, "sunset": 3})
    page.goto(f"{site}/admin/campaigns/slot/{slot.pk}/change/")
    assert page.get_by_text("said STOP: 1,200").is_visible()
    shoot(page, "slot")


def test_a_new_template_is_counted_once_its_brand_is_chosen(page, site, brand, marketer):
    page.goto(f"{site}/admin/campaigns/template/add/")
    page.get_by_label(LABEL).fill("Hi from {brand}")
    page.get_by_text("Choose a brand; its name").wait_for()
    page.locator("#id_brand").select_option(label="Acme Jobs")
    page.get_by_text("Hi from Acme Jobs Reply STOP to opt out").wait_for()
    shoot(page, "new-template")
