from __future__ import annotations

from datetime import date, time

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from campaigns.admin import CampaignAdmin, SlotAdmin, TemplateAdmin
from campaigns.models import Campaign, ListRoute, Slot, TemplateVersion
from campaigns.starting import start
from tests.factories import (
    NOON,
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_route,
    make_template,
    open_slot,
)
from tests.staff import client_of, make_user

CAMPAIGNS = reverse("admin:campaigns_campaign_changelist")

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_superuser("staff"))
    return client


def inline(prefix, *rows, initial=0):
    form = {f"{prefix}-TOTAL_FORMS": len(rows) + initial, f"{prefix}-INITIAL_FORMS": initial}
    for number, row in enumerate(rows, start=initial):
        form |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return form


def a_campaign(**fields):
    brand = make_brand()
    make_route(brand, make_number())
    return make_campaign(brand, make_list(brand, make_lead(brand)), **fields)


class TestATemplate:
    def say(self, staff, template, text):
        url = reverse("admin:campaigns_template_change", args=[template.pk])
        return staff.post(url, {"name": template.name, "text": text})

    def versions(self, template):
        return list(template.versions.order_by("number").values_list("number", "text"))

    def test_gets_new_versions_with_the_next_number(self, staff):
        template = make_template(make_brand(), "One {link}")
        self.say(staff, template, "Two {link}")
        self.say(staff, template, "Three {link}")
        assert self.versions(template) == [
            (1, "One {link}"),
            (2, "Two {link}"),
            (3, "Three {link}"),
        ]

    def test_starts_with_version_one(self, staff):
        form = {"brand": make_brand().pk, "channel": "sms", "name": "New", "text": "Hi"}
        staff.post(reverse("admin:campaigns_template_add"), form)
        assert TemplateVersion.objects.get().number == 1

    def test_has_no_new_version_for_the_same_words(self, staff):
        template = make_template(make_brand(), "One\nTwo")
        self.say(staff, template, "One\r\nTwo ")
        assert self.versions(template) == [(1, "One\nTwo")]

    def test_shows_its_versions_newest_first(self, staff):
        template = make_template(make_brand(), "The first words")
        self.say(staff, template, "The second words")
        url = reverse("admin:campaigns_template_change", args=[template.pk])
        shown = staff.get(url).text.partition('id="versions"')[2]
        assert 0 < shown.index("The second words") < shown.index("The first words")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("Hi {nickname}", "{nickname} is not a name we know"),
            ("Hi {first_name", "A { stands alone"),
            (" ", "There is no text yet"),
            ("", "This field is required"),
            ("x" * 1_601, "at most 1600 characters"),
        ],
        ids=["unknown-name", "stray-brace", "blanks", "nothing", "too-long"],
    )
    def test_refuses_a_text_that_can_never_be_sent(self, staff, text, words):
        template = make_template(make_brand(), "One")
        page = self.say(staff, template, text)
        assert words in page.text
        assert self.versions(template) == [(1, "One")]

    def test_keeps_what_was_typed_when_it_refuses(self, staff):
        page = self.say(staff, make_template(make_brand(), "One"), "Hi {nickname}, all is well")
        assert "Hi {nickname}, all is well</textarea>" in page.text


class TestACampaign:
    def form(self, brand, **changes):
        return {
            "brand": brand.pk,
            "name": "Spring",
            "channel": "sms",
            "lead_list": make_list(brand).pk,
            "template": make_template(brand).pk,
            "destination": "https://jobs.example.com/",
            "priority": 100,
            **inline("slots", {"local_date": "2026-06-01", "ordinal": 1, "local_time": "10:00"}),
            "slots-0-length_minutes": 120,
            **changes,
        }

    def test_is_made_with_its_slots(self, staff):
        staff.post(reverse("admin:campaigns_campaign_add"), self.form(make_brand()))
        slot = Slot.objects.get()
        assert (slot.local_date, slot.local_time) == (date(2026, 6, 1), time(10))
        assert (slot.campaign.name, slot.state) == ("Spring", "draft")

    @pytest.mark.parametrize("part", ["lead_list", "template", "route"])
    def test_takes_no_part_of_another_brand(self, staff, part):
        other = make_brand(name="Other")
        make = {"lead_list": make_list, "template": make_template, "route": make_route}[part]
        form = self.form(make_brand(), **{part: make(other).pk})
        page = staff.post(reverse("admin:campaigns_campaign_add"), form)
        assert "belongs to another brand, Other." in page.text
        assert not Campaign.objects.exists()

    def test_keeps_its_brand_and_list_once_started(self, staff):
        campaign = a_campaign()
        open_slot(campaign, on=date(2026, 6, 1), at=time(10))
        form = self.form(make_brand(), template=make_template(campaign.brand).pk)
        form |= inline("slots", initial=1) | {"slots-0-id": campaign.slots.get().pk}
        staff.post(reverse("admin:campaigns_campaign_change", args=[campaign.pk]), form)
        changed = Campaign.objects.get()
        assert changed.name == "Spring"
        assert (changed.brand, changed.lead_list) == (campaign.brand, campaign.lead_list)

    def test_forgets_why_it_was_paused_when_it_resumes(self, staff):
        campaign = a_campaign(pause_reason="too many errors")
        self.act(staff, "pause", campaign)
        self.act(staff, "resume", campaign)
        campaign.refresh_from_db()
        assert (campaign.paused_at, campaign.pause_reason) == (None, "")

    def act(self, staff, action, campaign):
        form = {"action": action, "_selected_action": [campaign.pk]}
        return staff.post(CAMPAIGNS, form, follow=True)


class TestTheListOfCampaigns:
    def row(self, staff, **fields):
        a_campaign(**fields)
        return staff.get(CAMPAIGNS).text

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({}, ">Draft</span>"),
            ({"started_at": NOON}, ">Done</span>"),
            ({"paused_at": NOON, "pause_reason": "errors"}, ">Paused</span> <span>errors"),
            ({"paused_at": NOON}, ">Paused</span> <span>by a person"),
            ({"retired_at": NOON, "paused_at": NOON}, ">Retired</span>"),
        ],
        ids=["draft", "done", "paused-by-us", "paused-by-hand", "retired"],
    )
    def test_says_the_state_of_each(self, staff, fields, words):
        assert words in self.row(staff, **fields)

    def test_says_when_the_next_time_is(self, staff):
        campaign = a_campaign()
        for day in (3, 1, 2):
            Slot.objects.create(
                campaign=campaign, local_date=date(2035, 6, day), local_time=time(9)
            )
        assert "Fri 1 Jun 2035, 09:00, not started" in staff.get(CAMPAIGNS).text

    def test_says_of_a_started_one_that_it_is_started(self, staff):
        open_slot(a_campaign(), on=date(2035, 6, 1), at=time(9))
        page = staff.get(CAMPAIGNS).text
        assert ">Started</span>" in page
        assert "Fri 1 Jun 2035, 09:00<" in page

    def test_leads_to_the_flow_and_says_so_when_it_is_empty(self, staff):
        page = staff.get(CAMPAIGNS).text
        assert "No campaign yet" in page
        assert reverse("new-campaign") in page

    def test_does_not_invite_those_who_only_look(self):
        page = client_of(make_user(make_brand(), "analyst")).get(CAMPAIGNS).text
        assert "No campaign yet" in page
        assert reverse("new-campaign") not in page

    def test_is_not_called_empty_when_a_search_finds_nothing(self, staff):
        assert "No campaign yet" not in staff.get(CAMPAIGNS, {"q": "nothing like it"}).text


class TestACopy:
    def copy(self, client, campaign):
        return client.post(reverse("admin:campaigns_campaign_copy", args=[campaign.pk]))

    def test_is_opened_to_be_changed(self, sandbox, staff):
        response = self.copy(staff, a_campaign(name="Spring"))
        made = Campaign.objects.get(name="Spring (copy)")
        assert response.url == reverse("admin:campaigns_campaign_change", args=[made.pk])

    def test_needs_a_post(self, sandbox, staff):
        url = reverse("admin:campaigns_campaign_copy", args=[a_campaign().pk])
        assert staff.get(url).status_code == 405
        assert Campaign.objects.count() == 1

    def test_is_not_for_those_who_only_look(self, sandbox):
        campaign = a_campaign()
        client = client_of(make_user(campaign.brand, "analyst"))
        assert self.copy(client, campaign).status_code == 403
        assert Campaign.objects.count() == 1

    def test_of_another_brands_is_not_there(self, sandbox):
        client = client_of(make_user(make_brand(), "admin"))
        assert self.copy(client, a_campaign()).status_code == 404
        assert Campaign.objects.count() == 1


class TestASlot:
    form = {
        "local_date": "2026-07-01",
        "ordinal": 2,
        "local_time": "11:00",
        "length_minutes": 60,
        "state": "closed",
    }

    def change(self, staff, slot):
        url = reverse("admin:campaigns_slot_change", args=[slot.pk])
        assert staff.post(url, self.form).status_code == 302
        slot.refresh_from_db()
        return slot

    def test_may_be_moved_while_it_is_a_draft(self, staff):
        campaign = a_campaign()
        slot = Slot.objects.create(campaign=campaign, local_date="2026-06-01", local_time="10:00")
        moved = self.change(staff, slot)
        assert (moved.local_date, moved.ordinal) == (date(2026, 7, 1), 2)
        assert moved.state == "draft"

    def test_is_settled_once_it_is_open(self, staff):
        slot = open_slot(a_campaign(), on=date(2026, 6, 1), at=time(10))
        same = self.change(staff, slot)
        assert (same.local_date, same.local_time) == (date(2026, 6, 1), time(10))
        assert same.state == "open"


def meanwhile(monkeypatch, page, change):
    """While the form of a page is being saved."""
    save = page.save_model

    def slowly(*args):
        change()
        save(*args)

    monkeypatch.setattr(page, "save_model", slowly)


class TestSavedWhileSomethingHappens:
    """Only what was changed in the form is written."""

    @pytest.fixture
    def campaign(self, sandbox):
        campaign = a_campaign(name="Spring")
        later = {"local_date": date(2035, 6, 1), "local_time": time(10)}
        Slot.objects.create(campaign=campaign, **later)
        return campaign

    def save(self, staff, campaign, **changes):
        form = {
            "brand": campaign.brand_id,
            "name": campaign.name,
            "channel": campaign.channel,
            "lead_list": campaign.lead_list_id,
            "template": campaign.template_id,
            "destination": campaign.destination,
            "priority": campaign.priority,
            **inline("slots", initial=1),
            "slots-0-id": campaign.slots.get().pk,
            **changes,
        }
        url = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
        page = staff.post(url, form, follow=True)
        campaign.refresh_from_db()
        return page

    def test_a_start_stays(self, staff, campaign, monkeypatch):
        meanwhile(monkeypatch, CampaignAdmin, lambda: start(campaign))
        self.save(staff, campaign, name="Summer")
        assert campaign.name == "Summer"
        assert campaign.started_at is not None

    def test_a_pause_stays(self, staff, campaign, monkeypatch):
        stamps = {"paused_at": NOON, "pause_reason": "too many errors"}
        meanwhile(monkeypatch, CampaignAdmin, lambda: Campaign.objects.update(**stamps))
        self.save(staff, campaign, name="Summer")
        assert (campaign.name, campaign.paused_at) == ("Summer", NOON)
        assert campaign.pause_reason == "too many errors"

    def test_a_form_without_a_change_writes_nothing(self, staff, campaign, monkeypatch):
        change = {"name": "By a colleague", "daily_cap": 5}
        meanwhile(monkeypatch, CampaignAdmin, lambda: Campaign.objects.update(**change))
        self.save(staff, campaign)
        assert (campaign.name, campaign.daily_cap) == ("By a colleague", 5)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("lead_list", lambda campaign: make_list(campaign.brand).pk),
            ("destination", lambda campaign: "https://jobs.example.com/other"),
        ],
        ids=["list", "destination"],
    )
    def test_what_a_start_settled_stays(self, staff, campaign, monkeypatch, field, value):
        before, wanted = getattr(campaign, field), value(campaign)
        meanwhile(monkeypatch, CampaignAdmin, lambda: Campaign.objects.update(started_at=NOON))
        page = self.save(staff, campaign, name="Summer", **{field: wanted})
        assert "It was started while you changed it, and nothing was saved." in page.text
        assert (getattr(campaign, field), campaign.name) == (before, "Spring")

    def test_a_slot_that_was_started_stays(self, staff, campaign, monkeypatch):
        slot = campaign.slots.get()
        meanwhile(monkeypatch, SlotAdmin, lambda: start(campaign))
        page = self.save_slot(staff, slot, local_time="15:00")
        assert "It was started while you changed it, and nothing was saved." in page.text
        assert slot.local_time == time(10)

    def test_a_slot_without_a_change_is_not_written(self, staff, campaign, monkeypatch):
        slot = campaign.slots.get()
        meanwhile(monkeypatch, SlotAdmin, lambda: start(campaign))
        self.save_slot(staff, slot)
        assert (slot.state, slot.template_version) == ("open", campaign.template.latest())

    def save_slot(self, staff, slot, **changes):
        form = {
            "local_date": f"{slot.local_date}",
            "ordinal": slot.ordinal,
            "local_time": f"{slot.local_time:%H:%M}",
            "length_minutes": slot.length_minutes,
            **changes,
        }
        page = staff.post(reverse("admin:campaigns_slot_change", args=[slot.pk]), form, follow=True)
        slot.refresh_from_db()
        return page

    def test_a_template_that_was_put_away_stays_away(self, staff, monkeypatch):
        template = make_template(make_brand(), "One")
        change = {"retired_at": NOON}
        meanwhile(monkeypatch, TemplateAdmin, lambda: type(template).objects.update(**change))
        url = reverse("admin:campaigns_template_change", args=[template.pk])
        staff.post(url, {"name": "Another name", "text": "Two"})
        template.refresh_from_db()
        assert (template.name, template.retired_at) == ("Another name", NOON)
        assert template.latest().text == "Two"


def test_a_lists_route_is_of_the_same_brand(staff):
    form = {"lead_list": make_list(make_brand()).pk, "route": make_route(make_brand()).pk}
    page = staff.post(reverse("admin:campaigns_listroute_add"), form)
    assert "belongs to another brand" in page.text
    assert not ListRoute.objects.exists()
