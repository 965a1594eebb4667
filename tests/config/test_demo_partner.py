from __future__ import annotations

import itertools

import pytest

from brands.models import ApiKey
from config import demo_partner
from config.demo_partner import Partner, invented
from config.demo_stage import BRANDS, LIST
from leads.models import Lead, ListEntry, RejectedLead
from tests.factories import make_brand, make_list

pytest_plugins = ["tests.browser"]


@pytest.fixture
def stage(site, monkeypatch):
    """The demo's brands with their lists, behind a web server of our own."""
    monkeypatch.setattr(demo_partner, "EVERY", 0.0)
    for plan in BRANDS:
        make_list(make_brand(slug=plan.slug), name=LIST)
    return site


class TestPartner:
    def test_posts_leads_that_get_onto_the_lists(self, stage):
        partner = Partner.of(stage, seed=1)
        for _ in range(12):
            partner.tend()
        assert partner.told == []
        assert Lead.objects.count() == ListEntry.objects.count() == partner.taken > 0
        assert partner.posted == partner.taken + RejectedLead.objects.count()

    def test_waits_between_two_posts(self, stage, monkeypatch):
        partner = Partner.of(stage, seed=1)
        partner.tend()
        posted = partner.posted
        monkeypatch.setattr(demo_partner, "EVERY", 60.0)
        partner.tend()
        partner.tend()
        assert partner.posted > posted
        again = partner.posted
        partner.tend()
        assert partner.posted == again

    def test_has_one_key_that_works_for_each_brand(self, stage):
        Partner.of(stage, seed=1)
        Partner.of(stage, seed=1)
        assert ApiKey.objects.filter(revoked_at=None).count() == len(BRANDS)
        assert ApiKey.objects.count() == 2 * len(BRANDS)

    def test_tells_once_that_its_posts_fail(self, stage):
        partner = Partner.of(stage, seed=1)
        ApiKey.objects.all().delete()
        for _ in range(8):
            partner.tend()
        assert len(partner.told) == 1
        assert "The partner's posts fail: The API refused a post" in partner.told[0]
        assert not Lead.objects.exists()

    def test_goes_on_when_the_web_is_back(self, stage):
        partner = Partner.of("http://127.0.0.1:9", seed=1)
        partner.tend()
        partner.web = stage
        partner.tend()
        assert partner.posted > 0


class TestInvented:
    def test_are_other_people_than_those_of_the_files(self):
        first = [lead["external_ref"] for lead in itertools.islice(invented(1, first=0), 20)]
        later = [lead["external_ref"] for lead in itertools.islice(invented(1, first=20), 20)]
        assert not set(first) & set(later)
        assert all(int(ref.partition("-")[2]) >= demo_partner.BEYOND for ref in first)

    def test_bring_fields_of_their_own(self):
        assert next(invented(1, first=0))["fields"]["occupation"]
