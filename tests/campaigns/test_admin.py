from __future__ import annotations

from datetime import date, time

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from campaigns.models import Campaign, ListRoute, Slot, TemplateVersion
from tests.factories import (
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_route,
    make_template,
    open_slot,
)

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
    def add_version(self, staff, template, text, initial):
        return staff.post(
            reverse("admin:campaigns_template_change", args=[template.pk]),
            {"name": template.name, **inline("versions", {"text": text}, initial=initial)},
        )

    def test_gets_new_versions_with_the_next_number(self, staff):
        template = make_template(make_brand(), "One {link}")
        self.add_version(staff, template, "Two {link}", 0)
        self.add_version(staff, template, "Three {link}", 0)
        versions = template.versions.order_by("number").values_list("number", "text")
        assert list(versions) == [(1, "One {link}"), (2, "Two {link}"), (3, "Three {link}")]

    def test_starts_with_version_one(self, staff):
        form = {"brand": make_brand().pk, "name": "New", **inline("versions", {"text": "Hi"})}
        staff.post(reverse("admin:campaigns_template_add"), form)
        assert TemplateVersion.objects.get().number == 1

    def test_never_changes_what_a_version_said(self, staff):
        template = make_template(make_brand(), "One")
        version = template.versions.get()
        rows = {"versions-0-id": version.pk, "versions-0-text": "Changed"}
        form = {"name": "New name", **inline("versions", initial=1), **rows}
        staff.post(reverse("admin:campaigns_template_change", args=[template.pk]), form)
        version.refresh_from_db()
        assert version.text == "One"

    def test_refuses_a_text_that_can_never_be_filled_in(self, staff):
        template = make_template(make_brand(), "One")
        page = self.add_version(staff, template, "Hi {nickname}", 0)
        assert "{nickname} is not a name we know" in page.text
        assert template.versions.count() == 1


class TestACampaign:
    def form(self, brand, **changes):
        return {
            "brand": brand.pk,
            "name": "Spring",
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

    def test_is_started(self, staff):
        campaign = a_campaign()
        Slot.objects.create(campaign=campaign, local_date="2026-06-01", local_time="10:00")
        page = self.act(staff, "start", campaign)
        assert f"{campaign}: 1 slots opened." in page.text
        assert campaign.slots.get().state == "open"

    def test_says_why_it_cannot_start(self, staff):
        page = self.act(staff, "start", a_campaign())
        assert "the campaign has no draft slot to start" in page.text

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


def test_a_lists_route_is_of_the_same_brand(staff):
    form = {"lead_list": make_list(make_brand()).pk, "route": make_route(make_brand()).pk}
    page = staff.post(reverse("admin:campaigns_listroute_add"), form)
    assert "belongs to another brand" in page.text
    assert not ListRoute.objects.exists()
