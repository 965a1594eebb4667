"""What the live page says went wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from brands import clock
from campaigns.models import Campaign
from delivery.models import WebhookTally
from leads.models import Import
from providers.models import ProviderAccount, SenderNumber
from reporting import live, live_health
from tests.factories import (
    NOON,
    make_brand,
    make_list,
    make_number,
    make_route,
    make_slot,
)
from tests.staff import make_user

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def lane(sandbox):
    return make_number(value="+12025550100")


class TestTroubles:
    def words(self, user=None):
        user = user or make_user()
        parts = live_health.accounts(user, live.measure(), clock.now())
        return [one.words for one in live_health.troubles(user, parts, clock.now())]

    def test_are_none_when_all_is_well(self, lane):
        make_slot(lane)
        assert self.words() == []

    def test_name_what_the_provider_said(self, lane):
        make_slot(lane)
        ProviderAccount.objects.update(name="Main", paused_at=NOON, fault="402")
        assert self.words() == ["Account Main is paused: the provider said 402"]

    def test_name_paused_and_resting_numbers(self, lane):
        rests = make_number(lane.account, rests_until=NOON + HOUR)
        make_route(make_slot(lane).campaign.brand, rests, is_default=False)
        SenderNumber.objects.filter(pk=lane.pk).update(paused_at=NOON, fault="21610")
        ProviderAccount.objects.update(name="Main")
        assert self.words() == [
            "Number +12025550100 is paused: the provider said 21610",
            "1 number of Main cannot reach the provider and will try again within seconds",
        ]

    def test_name_numbers_that_carriers_block_and_until_when(self, lane):
        """It could reach its provider; and one that warms up is no trouble."""
        make_slot(lane)
        resting = {"rests_until": NOON + HOUR, "rest_words": "carriers blocked 5 of 9 messages"}
        SenderNumber.objects.update(rests_because="blocks", **resting)
        words = "rests until 07 Mar, 18:00 UTC: carriers blocked 5 of 9 messages"
        assert self.words() == [f"Number {lane.value} {words}"]
        SenderNumber.objects.update(rests_because="warm_up")
        assert self.words() == []

    def test_name_campaigns_that_paused_themselves_and_no_others(self, lane):
        struck, braked = make_slot(lane).campaign, make_slot(lane).campaign
        Campaign.objects.filter(pk=struck.pk).update(paused_at=NOON, pause_reason="20 failed")
        Campaign.objects.filter(pk=braked.pk).update(paused_at=NOON)
        assert self.words() == [f"Campaign {struck.name} paused itself: 20 failed"]

    def test_name_imports_that_failed_within_a_day(self, sandbox):
        brand = make_brand()
        for name, ago in (("new.csv", HOUR), ("old.csv", 25 * HOUR)):
            Import.objects.create(
                brand=brand, lead_list=make_list(brand), file_name=name, state="failed",
                problem="line 3 cannot be read", finished_at=NOON - ago,
            )  # fmt: skip
        assert self.words() == ["The import of new.csv stopped: line 3 cannot be read"]

    def test_of_other_brands_are_not_told(self, lane):
        theirs = make_slot(lane).campaign
        Campaign.objects.update(paused_at=NOON, pause_reason="20 failed")
        ProviderAccount.objects.update(paused_at=NOON, fault="402")
        Import.objects.create(
            brand=theirs.brand, lead_list=theirs.lead_list, file_name="a.csv", state="failed",
            finished_at=NOON,
        )  # fmt: skip
        WebhookTally.objects.create(what="forged", hour=NOON, count=3)
        assert self.words(make_user(make_brand(), "admin")) == []

    def test_tell_superusers_of_forged_callbacks(self, sandbox):
        WebhookTally.objects.create(what="forged", hour=NOON, count=3)
        WebhookTally.objects.create(what="forged", hour=NOON - 4 * HOUR, count=9)
        assert self.words() == ["3 callbacks with a wrong signature came in the last hours"]
