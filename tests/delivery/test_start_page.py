"""None"""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from django.urls import reverse

from brands.models import Brand
from campaigns.models import Campaign, ListRoute, Template, TemplateVersion
from compliance import consent
from delivery import starting_page
from delivery.forecast import TooLong, forecast
from leads.models import LeadList
from providers.models import ProviderAccount, Route, SenderNumber
from tests.delivery import starting
from tests.delivery.starting import a_campaign, add_slot, address, is_open
from tests.factories import (
    DAY,
    NOON,
    make_brand,
    make_campaign,
    make_lead,
    make_leads,
    make_list,
    make_number,
    make_route,
    make_template,
)
from tests.staff import client_of, make_user

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

brand = starting.brand
marketer = starting.marketer


def seen_on(page):
    return re.search(r'name="seen" value="([^"]+)"', page.text)[1]


def look_and_press(client, campaign, typed=""):
    page = client.get(address(campaign))
    return client.post(address(campaign), {"seen": seen_on(page), "typed": typed})


def pretend(monkeypatch, people):
    """As if the list had so many people, each time the page asks."""
    ask = starting_page.forecast
    counts = iter(people)

    def pretended(campaign):
        told = ask(campaign)
        told.slots[0].leaving = next(counts)
        return told

    monkeypatch.setattr(starting_page, "forecast", pretended)


def after_the_next_figures(monkeypatch, change):
    """A colleague does something between the forecast and the start."""

    def slowly(campaign):
        told = forecast(campaign)
        monkeypatch.setattr(starting_page, "forecast", forecast)
        change()
        return told

    monkeypatch.setattr(starting_page, "forecast", slowly)


def another_route(campaign):
    return make_route(campaign.brand, make_number(), is_default=False)


def another_default(campaign):
    Route.objects.update(is_default=False)
    make_route(campaign.brand, make_number())


def another_slot(campaign):
    """What was seen has been started by a colleague, and is over; another stands in its place."""
    settled = {"template_version": campaign.template.latest(), "route": Route.objects.get()}
    campaign.slots.update(state="closed", **settled)
    add_slot(campaign, ordinal=2)


CHANGES = {
    "another list": lambda campaign: Campaign.objects.update(
        lead_list=make_list(campaign.brand, make_lead(campaign.brand))
    ),
    "other rules of the list": lambda campaign: LeadList.objects.update(rules={"state": "NY"}),
    "another text": lambda campaign: TemplateVersion.objects.create(
        template=campaign.template, number=2, text="Other words"
    ),
    "another template": lambda campaign: Campaign.objects.update(
        template=make_template(campaign.brand)
    ),
    "another opt-out line": lambda campaign: Brand.objects.update(opt_out_line="STOP to end"),
    "another destination": lambda campaign: Campaign.objects.update(
        destination="https://jobs.example.com/x"
    ),
    "another route of the campaign": lambda campaign: Campaign.objects.update(
        route=another_route(campaign)
    ),
    "another route of the list": lambda campaign: ListRoute.objects.create(
        lead_list=campaign.lead_list, route=another_route(campaign)
    ),
    "another route of the brand": another_default,
    "another cap": lambda campaign: Campaign.objects.update(daily_cap=500),
    "leave to repeat words": lambda campaign: Campaign.objects.update(repeats_words=True),
    "a slot more": lambda campaign: add_slot(campaign, ordinal=2),
    "another day": lambda campaign: campaign.slots.update(local_date=DAY + timedelta(days=1)),
    "another time": lambda campaign: campaign.slots.update(local_time=time(15)),
    "another length": lambda campaign: campaign.slots.update(length_minutes=60),
    "another slot at that time": another_slot,
}


class TestThePage:
    def test_shows_who_gets_what_when_and_for_how_much(self, brand, marketer):
        leads = [*make_leads(brand, 3), make_lead(brand, consent=None), make_lead(brand)]
        consent.opt_out([leads[-1].person_id], source="staff")
        text = marketer.get(address(a_campaign(brand, *leads))).text
        for part in (
            'id="people">4 ',
            'id="leaving">3 ',
            "$0.02",
            "No consent on record for this brand",
            "The person opted out",
            "13:00",
            "New York (18:00 UTC)",
            "Start: 4 people",
            "Long codes",
        ):
            assert part in text, part

    def test_shows_the_text_with_the_longest_names(self, brand, marketer):
        leads = make_lead(brand, first_name="Al"), make_lead(brand, first_name="Wilhelmina")
        text = marketer.get(address(a_campaign(brand, *leads))).text
        assert "Hi Wilhelmina, see https://go.example.com/" in text

    def test_of_a_campaign_with_nothing_set_up_says_all_that_is_missing(self, sandbox):
        brand = make_brand()
        campaign = make_campaign(brand, make_list(brand), text="See {link}", destination="")
        text = client_of(make_user(brand, "marketer")).get(address(campaign)).text
        for part in ("Destination:", "Route:", "Slots:"):
            assert part in text
        assert 'name="seen"' not in text

    @pytest.mark.parametrize(
        ("brake", "says"),
        [
            (lambda b: Brand.objects.update(paused_at=NOON), "The brand Acme is paused."),
            (lambda b: Campaign.objects.update(paused_at=NOON), "The campaign is paused."),
            (
                lambda b: SenderNumber.objects.update(paused_at=NOON),
                "Every number of the route Long codes is paused or rests.",
            ),
            (
                lambda b: ProviderAccount.objects.update(paused_at=NOON),
                "Every number of the route Long codes is paused or rests.",
            ),
        ],
        ids=["brand", "campaign", "number", "account"],
    )
    def test_warns_of_what_holds_messages_back(self, brand, marketer, brake, says):
        campaign = a_campaign(brand, make_lead(brand))
        brake(brand)
        page = marketer.get(address(campaign))
        assert says in page.text
        assert "Start: 1 person" in page.text

    def test_warns_that_all_is_stopped(self, brand, marketer, sandbox):
        campaign = a_campaign(brand, make_lead(brand))
        type(sandbox).objects.update(stopped_at=NOON)
        assert "All sending is stopped." in marketer.get(address(campaign)).text

    def test_takes_as_many_statements_for_many_people_as_for_few(self, brand, marketer, statements):
        few, many = (a_campaign(brand, *make_leads(brand, count)) for count in (2, 150))
        for campaign in (few, many):
            marketer.get(address(campaign))  # the longest names are kept for a minute
        of_few = statements(lambda: marketer.get(address(few)))
        assert of_few == statements(lambda: marketer.get(address(many)))

    def test_of_a_started_campaign_says_since_when(self, brand, marketer):
        campaign = a_campaign(brand, make_lead(brand))
        look_and_press(marketer, campaign)
        text = marketer.get(address(campaign)).text
        assert "Started at 12:00 on Wed 7 Mar 2035 in New York" in text
        assert reverse("admin:campaigns_campaign_change", args=[campaign.pk]) in text

    def test_shows_names_as_they_are(self, brand, marketer):
        lead = make_lead(brand, first_name="<b>Ada</b>")
        text = marketer.get(address(a_campaign(brand, lead, name="<i>Spring</i>"))).text
        assert "<b>Ada" not in text
        assert "<i>Spring" not in text


class TestWhoMayStart:
    @pytest.mark.parametrize(
        ("role", "status"), [("admin", 200), ("marketer", 200), ("analyst", 403), ("partner", 403)]
    )
    def test_by_role(self, brand, role, status):
        campaign = a_campaign(brand, make_lead(brand))
        client = client_of(make_user(brand, role))
        assert client.get(address(campaign)).status_code == status
        assert client.post(address(campaign), {}).status_code == status
        assert not is_open(campaign)

    def test_another_brands_campaign_is_not_there(self, brand, marketer):
        foreign = a_campaign(a_foreign_brand(), text="Hi")
        assert marketer.get(address(foreign)).status_code == 404
        assert marketer.post(address(foreign), {}).status_code == 404

    def test_who_may_only_look_at_this_brand_may_not_start_for_it(self, brand):
        user = make_user(brand, "analyst")
        user.membership_set.create(brand=a_foreign_brand(), role="marketer")
        assert client_of(user).get(address(a_campaign(brand))).status_code == 403

    def test_a_missing_campaign_is_not_there(self, marketer):
        assert marketer.get("/admin/campaign/987654/start/").status_code == 404


def a_foreign_brand():
    brand = make_brand()
    make_route(brand, make_number())
    return brand


class TestStarting:
    def test_opens_the_slots_and_says_when_the_first_leaves(self, brand, marketer):
        campaign = a_campaign(brand, make_lead(brand))
        response = look_and_press(marketer, campaign)
        assert response.url == "/admin/"
        assert is_open(campaign)
        (said,) = response.wsgi_request._messages
        assert str(said) == (
            "Started: first messages leave at 13:00 on Wed 7 Mar 2035 in New York (18:00 UTC)."
        )

    def test_twice_starts_once(self, brand, marketer):
        campaign = a_campaign(brand, make_lead(brand))
        form = {"seen": seen_on(marketer.get(address(campaign)))}
        marketer.post(address(campaign), form)
        campaign.refresh_from_db()
        since = campaign.started_at
        again = marketer.post(address(campaign), form)
        campaign.refresh_from_db()
        assert again.url == "/admin/"
        assert campaign.started_at == since
        assert "started already" in str(list(again.wsgi_request._messages)[-1])

    def test_stands_in_the_campaigns_history(self, brand, marketer):
        campaign = a_campaign(brand, make_lead(brand))
        look_and_press(marketer, campaign)
        text = marketer.get(reverse("admin:campaigns_campaign_history", args=[campaign.pk])).text
        assert "Started." in text

    def test_needs_no_number_for_ten_thousand(self, brand, marketer, monkeypatch):
        campaign = a_campaign(brand)
        pretend(monkeypatch, [10_000, 10_000])
        look_and_press(marketer, campaign)
        assert is_open(campaign)

    @pytest.mark.parametrize("typed", ["10001", "10,001", " 10 001 ", "10\u00a0001"])
    def test_takes_the_number_as_people_write_it(self, brand, marketer, monkeypatch, typed):
        campaign = a_campaign(brand)
        pretend(monkeypatch, [10_001, 10_001])
        look_and_press(marketer, campaign, typed)
        assert is_open(campaign)

    @pytest.mark.parametrize(
        ("typed", "says"),
        [
            ("", "Type 10,001 here to start."),
            ("10000", "That is not the number of people."),
            ("10.001", "That is not the number of people."),
            ("yes", "That is not the number of people."),
            ("\x00", "That is not the number of people."),
            ("1" * 5000, "That is not the number of people."),
        ],
        ids=["nothing", "another", "a-point", "a-word", "a-nul", "endless"],
    )
    def test_refuses_another_number_and_keeps_it(self, brand, marketer, monkeypatch, typed, says):
        campaign = a_campaign(brand)
        pretend(monkeypatch, [10_001, 10_001])
        page = look_and_press(marketer, campaign, typed)
        assert says in page.text
        assert f'value="{typed}"' in page.text
        assert not is_open(campaign)

    @pytest.mark.parametrize(
        ("before", "now", "starts"),
        [(1000, 1099, True), (4000, 4200, True), (4000, 4201, False), (1000, 1100, False)],
        ids=["fewer-than-100", "5-per-cent", "more", "100-of-1000"],
    )
    def test_asks_again_when_the_audience_has_grown(
        self, brand, marketer, monkeypatch, before, now, starts
    ):
        campaign = a_campaign(brand)
        pretend(monkeypatch, [before, now])
        page = look_and_press(marketer, campaign)
        assert is_open(campaign) is starts
        if not starts:
            assert f"There are more people than you saw: {now:,} now" in page.text

    def test_asks_for_the_new_number_when_it_has_grown(self, brand, marketer, monkeypatch):
        campaign = a_campaign(brand)
        pretend(monkeypatch, [11_000, 12_000, 12_000])
        page = look_and_press(marketer, campaign, "11000")
        form = {"seen": seen_on(page), "typed": "12000"}
        assert marketer.post(address(campaign), form).url == "/admin/"

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_asks_again_when_the_campaign_is_not_what_was_seen(self, brand, marketer, change):
        campaign = a_campaign(brand, make_lead(brand))
        form = {"seen": seen_on(marketer.get(address(campaign)))}
        change(campaign)
        page = marketer.post(address(campaign), form)
        assert "The campaign has changed since you looked at it." in page.text
        assert not campaign.slots.filter(state="open").exists()
        again = {"seen": seen_on(page), "typed": ""}  # now that the new figures were seen
        assert marketer.post(address(campaign), again).url == "/admin/"

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_asks_again_when_it_changes_while_the_figures_are_made(
        self, brand, marketer, monkeypatch, change
    ):
        campaign = a_campaign(brand, make_lead(brand))
        form = {"seen": seen_on(marketer.get(address(campaign)))}
        with monkeypatch.context() as slow:
            after_the_next_figures(slow, lambda: change(campaign))
            page = marketer.post(address(campaign), form)
        assert "The campaign was changed meanwhile: look again." in page.text
        assert not campaign.slots.filter(state="open").exists()
        again = {"seen": seen_on(page), "typed": ""}
        assert marketer.post(address(campaign), again).url == "/admin/"

    @pytest.mark.parametrize("model", [Campaign, LeadList, Template])
    def test_says_what_was_put_away_while_the_figures_were_made(
        self, brand, marketer, monkeypatch, model
    ):
        campaign = a_campaign(brand, make_lead(brand))
        form = {"seen": seen_on(marketer.get(address(campaign)))}
        after_the_next_figures(monkeypatch, lambda: model.objects.update(retired_at=NOON))
        page = marketer.post(address(campaign), form)
        assert "is retired; bring it back first." in page.text
        assert 'name="seen"' not in page.text
        assert not is_open(campaign)

    @pytest.mark.parametrize("seen", ["", "forged:abc", "e30:1x:y"])
    def test_needs_the_page_that_was_seen(self, brand, marketer, seen):
        campaign = a_campaign(brand, make_lead(brand))
        page = marketer.post(address(campaign), {"seen": seen})
        assert "more than 15 minutes ago" in page.text
        assert not is_open(campaign)

    def test_not_from_another_campaigns_page(self, brand, marketer):
        one, other = a_campaign(brand, make_lead(brand)), a_campaign(brand)
        page = marketer.post(address(one), {"seen": seen_on(marketer.get(address(other)))})
        assert "The campaign has changed" in page.text
        assert not is_open(one)

    def test_not_from_a_page_that_is_too_old(self, brand, marketer, monkeypatch):
        campaign = a_campaign(brand, make_lead(brand))
        monkeypatch.setattr(starting_page, "VALID_SECONDS", -1)
        assert "15 minutes" in look_and_press(marketer, campaign).text
        assert not is_open(campaign)

    def test_not_a_list_of_another_brand(self, brand, marketer):
        campaign = a_campaign(brand, make_lead(brand))
        form = {"seen": seen_on(marketer.get(address(campaign)))}
        rival = make_brand(name="Rival")
        Campaign.objects.update(lead_list=make_list(rival, make_lead(rival)))
        page = marketer.post(address(campaign), form)
        assert "belongs to another brand, Rival." in page.text
        assert not is_open(campaign)

    def test_not_while_something_is_missing(self, brand, marketer):
        campaign = a_campaign(brand, make_lead(brand))
        form = {"seen": seen_on(marketer.get(address(campaign)))}
        campaign.slots.update(local_date=DAY - timedelta(days=1))
        page = marketer.post(address(campaign), form)
        assert "6 March 2035 at 13:00 is over in every place of the list" in page.text
        assert not is_open(campaign)


class TestAListThatIsTooLong:
    @pytest.fixture(autouse=True)
    def endless(self, monkeypatch):
        def never(campaign):
            raise TooLong

        monkeypatch.setattr(starting_page, "forecast", never)

    def test_is_started_by_its_name_only(self, brand, marketer):
        campaign = a_campaign(brand, make_lead(brand))
        page = look_and_press(marketer, campaign, "List")
        assert "Type the name of the list" in page.text
        assert not is_open(campaign)
        look_and_press(marketer, campaign, campaign.lead_list.name)
        assert is_open(campaign)

    def test_is_not_started_by_a_number_that_was_seen_before(self, brand, marketer, monkeypatch):
        campaign = a_campaign(brand, make_lead(brand))
        with monkeypatch.context() as before:
            before.setattr(starting_page, "forecast", forecast)
            page = marketer.get(address(campaign))
        assert "Start: 1 person" in page.text
        page = marketer.post(address(campaign), {"seen": seen_on(page), "typed": "1"})
        assert "Type the name of the list" in page.text
        assert not is_open(campaign)
