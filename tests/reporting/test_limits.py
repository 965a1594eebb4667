"""O7 and the cap counters, each broken once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from brands.models import Brand, Installation
from campaigns.models import Campaign
from delivery.models import Attempt, CapCounter, SingleText
from reporting.oracle import answers, checks
from tests.factories import make_brand, make_lead
from tests.reporting.world import DAY, NOON, NOW, World, said

pytestmark = pytest.mark.django_db

PER_DAY = "more to a person in 24 hours than allowed"
PER_WEEK = "more to a person in 7 days than allowed"
TOO_SOON = "too soon after the last one to the same person"
RECOUNT = "a cap's counter is not what a recount gives"


@pytest.fixture
def world() -> World:
    return World()


def send_at(world: World, *moments, outcome: str = "accepted", **fields: object) -> None:
    """One person gets so many messages, each of another campaign and with other words."""
    lead = make_lead(world.brand)
    for n, moment in enumerate(moments):
        slot = world.another_slot()
        ends = {"accepted": "accepted", "unknown": "unknown", "rejected": "rejected"}
        world.send(lead, moment, slot=slot, text=f"Job {n}", status=ends[outcome], outcome=outcome)


def limits(world: World, folder, **kwargs: object) -> list[str]:
    return world.problems(folder, **kwargs).get("O7", [])


class TestCaps:
    @pytest.mark.parametrize(("cap", "says"), [(2, ["a brand's daily cap was exceeded"]), (3, [])])
    def test_of_a_brand(self, world, tmp_path, cap, says):
        Brand.objects.update(daily_cap=cap)
        assert limits(world, tmp_path) == says

    @pytest.mark.parametrize(
        ("cap", "says"), [(2, ["a campaign's daily cap was exceeded"]), (3, [])]
    )
    def test_of_a_campaign(self, world, tmp_path, cap, says):
        Campaign.objects.update(daily_cap=cap)
        assert limits(world, tmp_path) == says

    def test_what_was_rejected_does_not_count(self, world, tmp_path):
        Brand.objects.update(daily_cap=3)
        world.send(status="rejected", outcome="rejected")
        assert limits(world, tmp_path) == []

    def test_what_is_unknown_counts(self, world, tmp_path):
        Brand.objects.update(daily_cap=3)
        world.send(status="unknown", outcome="unknown")
        assert limits(world, tmp_path) == ["a brand's daily cap was exceeded"]

    def test_the_day_is_the_brands_own(self, world, tmp_path):
        Attempt.objects.filter(message=world.messages[0]).update(brand_day=DAY - timedelta(days=1))
        assert limits(world, tmp_path) == ["counted on another day than the brand's own"]

    def test_a_zone_of_which_nothing_is_known_is_said(self, world, tmp_path):
        Brand.objects.update(zone="Mars/Olympus")
        assert limits(world, tmp_path) == ["cannot be checked: a brand's zone cannot be read"]


class TestPersonLimits:
    def test_a_fourth_message_within_a_day_is_seen(self, world, tmp_path):
        send_at(world, *(NOON - timedelta(hours=7 * n) for n in range(4)))
        assert limits(world, tmp_path) == [PER_DAY]

    def test_a_fourth_message_after_a_day_is_allowed(self, world, tmp_path):
        send_at(world, *(NOON - timedelta(hours=8 * n) for n in range(4)))
        assert limits(world, tmp_path) == []

    def test_a_seventh_message_within_a_week_is_seen(self, world, tmp_path):
        send_at(world, *(NOON - timedelta(hours=27 * n) for n in range(7)))
        assert limits(world, tmp_path) == [PER_WEEK]

    def test_a_seventh_message_after_a_week_is_allowed(self, world, tmp_path):
        send_at(world, *(NOON - timedelta(hours=28 * n) for n in range(7)))
        assert limits(world, tmp_path) == []

    @pytest.mark.parametrize(("minutes", "says"), [(119, [TOO_SOON]), (120, [])])
    def test_the_gap(self, world, tmp_path, minutes, says):
        send_at(world, NOON, NOON - timedelta(minutes=minutes))
        assert limits(world, tmp_path) == says

    def test_two_in_the_same_moment_are_seen(self, world, tmp_path):
        send_at(world, NOON, NOON)
        assert limits(world, tmp_path) == [TOO_SOON]

    def test_the_limits_are_the_installations_own(self, world, tmp_path):
        Installation.objects.update(person_gap_minutes=10, persons_per_day=1)
        send_at(world, NOON, NOON - timedelta(minutes=30))
        assert limits(world, tmp_path) == [PER_DAY]

    def test_what_was_rejected_does_not_count(self, world, tmp_path):
        send_at(world, NOON, NOON, outcome="rejected")
        assert limits(world, tmp_path) == []

    def test_what_is_unknown_counts(self, world, tmp_path):
        send_at(world, NOON, NOON, outcome="unknown")
        assert limits(world, tmp_path) == [TOO_SOON]

    def test_all_brands_count_together(self, world, tmp_path):
        first = make_lead(world.brand)
        second = make_lead(make_brand(), first.person)
        world.send(first, NOON, kind="single", idempotency_key="a")
        world.send(second, NOON, kind="single", idempotency_key="b")
        assert limits(world, tmp_path) == [TOO_SOON]

    def test_a_campaign_that_follows_a_test_too_soon_is_seen(self, world, tmp_path):
        lead = make_lead(world.brand)
        world.send(lead, NOON, kind="single", is_test=True, idempotency_key="a")
        world.send(lead, NOON + timedelta(minutes=1), slot=world.another_slot(), text="Job")
        assert limits(world, tmp_path) == [TOO_SOON]

    def test_a_test_that_follows_a_campaign_is_not(self, world, tmp_path):
        lead = make_lead(world.brand)
        world.send(lead, NOON, slot=world.another_slot(), text="Job")
        at = NOON + timedelta(minutes=1)
        world.send(lead, at, kind="single", is_test=True, idempotency_key="a")
        assert limits(world, tmp_path) == []

    def test_a_test_to_a_phone_on_a_list_that_follows_a_campaign_is_seen(self, world, tmp_path):
        lead = make_lead(world.brand)
        world.send(lead, NOON, slot=world.another_slot(), text="Job")
        at = NOON + timedelta(minutes=1)
        world.send(lead, at, kind="single", is_test=True, idempotency_key="a")
        SingleText.objects.update(to_a_lead=True)
        assert limits(world, tmp_path) == [TOO_SOON]

    def test_a_test_counts_on_its_brands_cap(self, world, tmp_path):
        Brand.objects.update(daily_cap=3)
        world.send(kind="single", is_test=True, idempotency_key="a")
        assert limits(world, tmp_path) == ["a brand's daily cap was exceeded"]

    def test_what_is_older_than_the_limits_may_be_is_left_alone(self, world, tmp_path):
        send_at(world, NOON, NOON)
        assert limits(world, tmp_path, since=NOON + timedelta(seconds=1)) == []


class TestReplies:
    """One person gets a campaign's text and, a minute later, an answer."""

    def answer(self, world: World, kind: str) -> None:
        inbound = world.inbound({"provider_ref": "SM1"})
        at = NOON + timedelta(minutes=1)
        world.send(world.leads[0], at, kind="reply", inbound=inbound, reply_kind=kind)
        if kind == "more-jobs":
            world.count(f"brand:{world.brand.pk}:{DAY}")

    @pytest.mark.parametrize(
        ("kind", "says"),
        [
            ("stop", []),
            ("help", []),
            ("join", []),
            ("more-jobs", ["a brand's daily cap was exceeded"]),
            ("unheard-of", ["a brand's daily cap was exceeded", TOO_SOON]),
        ],
    )
    def test_what_they_count_on(self, world, tmp_path, kind, says):
        Brand.objects.update(daily_cap=3)
        self.answer(world, kind)
        assert limits(world, tmp_path) == says

    @pytest.mark.parametrize("kind", ["stop", "help", "join", "more-jobs"])
    def test_the_counters_know_the_same(self, world, tmp_path, kind):
        self.answer(world, kind)
        assert "O12" not in world.problems(tmp_path)


class TestCounters:
    @pytest.mark.parametrize("key", ["brand", "campaign"])
    @pytest.mark.parametrize("wrong", [2, 4])
    def test_a_counter_that_is_wrong_is_seen(self, world, tmp_path, key, wrong):
        CapCounter.objects.filter(key__startswith=key).update(used=wrong)
        assert world.problems(tmp_path) == {"O12": [RECOUNT]}

    def test_a_counter_that_is_missing_is_seen(self, world, tmp_path):
        CapCounter.objects.filter(key__startswith="brand").delete()
        assert world.problems(tmp_path) == {"O12": [RECOUNT]}

    def test_a_counter_of_nothing_is_seen(self, world, tmp_path):
        CapCounter.objects.create(key=f"brand:{world.brand.pk}:2035-03-08", used=1)
        assert world.problems(tmp_path) == {"O12": [RECOUNT]}

    def test_what_was_not_given_back_is_seen(self, world, tmp_path):
        world.send(status="rejected", outcome="rejected")
        CapCounter.objects.filter(key__startswith="brand").update(used=4)
        assert world.problems(tmp_path) == {"O12": [RECOUNT]}

    def test_other_counters_are_not_ours_to_judge(self, world, tmp_path):
        CapCounter.objects.create(key=f"decided:{world.campaign.pk}", used=99)
        CapCounter.objects.create(key="x", used=1)
        assert world.problems(tmp_path) == {}

    def test_it_is_seen_without_a_ledger_too(self, world):
        CapCounter.objects.update(used=7)
        scope = checks.Scope(now=NOW, since=NOW - timedelta(days=2))
        assert said(checks.run(answers.WITHOUT_LEDGER, scope)) == {"O12": [RECOUNT]}
