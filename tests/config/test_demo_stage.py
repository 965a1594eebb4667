from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from redis import Redis

from brands.models import Brand, Installation
from campaigns.models import Campaign, Slot
from compliance.models import Person
from config import demo_stage as stage
from config.demo_stage import ALL_MAGIC, BRANDS, MAGIC, CannotStage, Folder
from delivery.models import Frontier, Message
from leads.models import Lead, LeadList
from providers.models import ProviderAccount, SenderNumber
from tests.factories import (
    make_account,
    make_brand,
    make_campaign,
    make_due,
    make_installation,
    make_lead,
    make_list,
    make_number,
    make_route,
    open_slot,
)

SIMULATOR = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "demo")


def make_demo(folder: Folder, leads: int = 300) -> None:
    stage.found(seed=1, simulator=SIMULATOR, short_domain=None)
    stage.invent(folder, leads=leads, seed=1)
    for plan in BRANDS:
        stage.take_in(folder, plan)
    stage.make_campaigns()


def rows_of(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def phones(folder: Folder, slug: str) -> list[str]:
    """Their digits, without the country's."""
    cells = (row.partition(",")[0] for row in rows_of(stage.leads_file(folder, slug)))
    return ["".join(filter(str.isdigit, cell))[-10:] for cell in cells]


@pytest.mark.django_db
class TestWhoMayBeWiped:
    def test_a_real_installation_is_refused_and_left_alone(self, folder):
        make_installation(is_sandbox=False)
        brand = make_brand()
        with pytest.raises(CannotStage, match="a real installation"):
            stage.wipe(folder)
        assert Brand.objects.get() == brand

    def test_a_real_installation_is_refused_at_the_door(self):
        make_installation(is_sandbox=False)
        with pytest.raises(CannotStage, match="in a sandbox only"):
            stage.refuse_real()

    def test_an_empty_database_is_not_refused(self):
        stage.refuse_real()

    def test_a_sandbox_with_other_brands_is_not_taken_for_a_demo(self, folder):
        make_installation()
        make_brand(slug="somebody-else")
        with pytest.raises(CannotStage, match="somebody-else"):
            stage.is_standing(folder)


@pytest.mark.django_db
class TestWipe:
    def full(self, sandbox):
        brand = make_brand()
        lane = make_number(make_account())
        make_route(brand, lane)
        lead = make_lead(brand)
        slot = open_slot(make_campaign(brand, make_list(brand, lead)), **soon())
        message = make_due(slot, lead, lane, now=stage.clock.now())
        connection.check_constraints()  # a commit would have done it
        return message

    def test_nothing_of_ours_is_left(self, sandbox, folder):
        self.full(sandbox)
        stage.wipe(folder)
        left = [Installation, Brand, Campaign, Slot, Message, Person, Lead, ProviderAccount]
        assert [model.__name__ for model in left if model.objects.exists()] == []

    def test_ids_go_on_so_that_no_old_one_comes_back(self, sandbox, folder):
        before = self.full(sandbox).pk
        stage.wipe(folder)
        assert self.full(make_installation()).pk > before

    def test_the_frontier_of_attempts_is_put_back(self, sandbox, folder):
        stage.wipe(folder)
        assert Frontier.objects.get().attempt_id == 0

    def test_people_who_log_in_are_kept(self, sandbox, folder):
        get_user_model().objects.create_user("staff")
        stage.wipe(folder)
        assert get_user_model().objects.filter(username="staff").exists()

    def test_only_our_own_keys_leave_redis(self, sandbox, folder, redis: Redis):
        ours = f"sendonce:{{{sandbox.identity}}}:mark"
        others = ("sendonce:{another}:mark", "somebody:else")
        for key in (ours, *others):
            redis.set(key, 1)
        stage.wipe(folder)
        assert [redis.exists(key) for key in (ours, *others)] == [0, 1, 1]

    def test_jobs_that_wait_are_gone(self, sandbox, folder):
        queue = stage.django_rq.get_queue("plan")
        queue.enqueue("delivery.tasks.plan")
        stage.wipe(folder)
        assert queue.count == 0

    def test_the_ledger_and_the_journals_are_gone(self, sandbox, folder):
        folder.journal.mkdir(parents=True)
        folder.ledger.write_text("{}\n")
        stage.wipe(folder)
        assert not folder.ledger.exists()
        assert not folder.journal.exists()


def soon() -> dict[str, object]:
    now = stage.clock.now()
    return {"on": now.date(), "at": now.time().replace(microsecond=0)}


@pytest.mark.parametrize(
    ("now", "morning"),
    [
        pytest.param("2035-03-07T12:00Z", "2035-03-07T14:50Z", id="the same day"),
        pytest.param("2035-03-07T15:00Z", "2035-03-08T14:50Z", id="the next day"),
        pytest.param("2035-03-10T15:00Z", "2035-03-12T13:50Z", id="past Sunday, in summer time"),
        pytest.param("2035-03-08T02:00Z", "2035-03-08T14:50Z", id="the date in New York counts"),
    ],
)
def test_the_clock_begins_at_ten_to_ten_in_new_york(now: str, morning: str):
    assert stage.next_morning(datetime.fromisoformat(now)) == datetime.fromisoformat(morning)
    assert stage.next_morning(datetime.fromisoformat(now)).tzinfo == UTC


@pytest.mark.parametrize("leads", [100, 999, 50_000])
def test_every_lead_belongs_to_a_brand(leads: int):
    assert sum(stage.sizes(leads)) == leads


class TestInvent:
    def test_each_brand_gets_as_many_rows_as_it_was_promised(self, folder):
        rows = stage.invent(folder, leads=2_000, seed=1)
        assert rows == {
            plan.slug: size for plan, size in zip(BRANDS, stage.sizes(2_000), strict=True)
        }
        assert {slug: len(phones(folder, slug)) for slug in rows} == rows

    def test_only_wanted_magic_numbers_are_in(self, folder):
        stage.invent(folder, leads=20_000, seed=1)
        endings = {phone[-4:] for plan in BRANDS for phone in phones(folder, plan.slug)}
        assert endings.isdisjoint(set(ALL_MAGIC) - set(MAGIC))
        assert endings & set(MAGIC)

    def test_neighbouring_brands_share_a_few_people(self, folder):
        stage.invent(folder, leads=5_000, seed=1)
        first, second, third = (Counter(phones(folder, plan.slug)) for plan in BRANDS)
        assert 0 < (first & second).total() <= 0.02 * second.total()
        assert 0 < (second & third).total() <= 0.02 * third.total()

    def test_the_same_seed_invents_the_same_people(self, folder, tmp_path):
        other = Folder(tmp_path / "other")
        for place in (folder, other):
            stage.invent(place, leads=500, seed=7)
        slug = BRANDS[0].slug
        assert phones(folder, slug) == phones(other, slug)


@pytest.mark.django_db
class TestStage:
    def test_each_brand_has_numbers_on_both_accounts(self):
        stage.found(seed=1, simulator=SIMULATOR, short_domain=None)
        lanes = Counter(SenderNumber.objects.values_list("brand__slug", "account__name"))
        assert set(lanes.values()) == {stage.NUMBERS_EACH}
        assert len(lanes) == len(BRANDS) * len(stage.ACCOUNTS)
        assert SenderNumber.objects.values("value").distinct().count() == sum(lanes.values())

    def test_the_cap_is_just_above_what_can_be_sent(self, folder):
        make_demo(folder)
        stage.opt_out_some(1, share=0.02)
        (capped,) = Brand.objects.filter(daily_cap__isnull=False)
        able = Lead.objects.filter(brand=capped, person__opted_out_at=None).count()
        assert able < capped.daily_cap <= able * 1.1

    def test_every_campaign_is_started_with_one_slot_on_the_clocks_day(self, folder):
        make_demo(folder)
        slots = Slot.objects.values_list("campaign__brand__slug", "state", "local_date")
        assert set(slots) == {(plan.slug, "open", stage.today()) for plan in BRANDS}

    def test_the_lists_hold_what_the_files_held(self, folder):
        make_demo(folder)
        kept = Counter(Lead.objects.values_list("brand__slug", flat=True))
        for plan in BRANDS:
            entries = LeadList.objects.get(brand__slug=plan.slug).listentry_set.count()
            rows = len(rows_of(stage.leads_file(folder, plan.slug)))
            assert 0.9 * rows < kept[plan.slug] == entries <= rows

    def test_a_whole_demo_is_gone_on_with(self, folder):
        make_demo(folder)
        folder.ledger.write_text("")
        assert stage.is_standing(folder)

    def test_a_demo_without_its_ledger_is_made_again(self, folder):
        make_demo(folder)
        assert not stage.is_standing(folder)

    def test_a_demo_that_was_half_made_is_made_again(self, folder):
        stage.found(seed=1, simulator=SIMULATOR, short_domain=None)
        folder.path.mkdir()
        folder.ledger.write_text("")
        assert not stage.is_standing(folder)

    def test_the_next_day_has_a_slot_of_each_campaign(self, folder):
        make_demo(folder)
        before = stage.today()
        on = stage.open_next_day()
        assert on > before
        assert Slot.objects.filter(local_date=on, state="open").count() == len(BRANDS)

    def test_the_share_that_opts_out_is_as_asked_and_not_twice_the_same(self, folder):
        make_demo(folder)
        people = Person.objects.count()
        gone = stage.opt_out_some(1, share=0.1) + stage.opt_out_some(1, share=0.1)
        assert Person.objects.filter(opted_out_at__isnull=False).count() == gone
        assert gone == int(people * 0.1) + int((people - int(people * 0.1)) * 0.1)
