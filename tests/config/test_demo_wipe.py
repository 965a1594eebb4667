from __future__ import annotations

import django_rq
import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from redis import Redis

from brands import clock
from brands.models import Brand, Installation
from campaigns.models import Campaign, Slot
from compliance.models import Person
from config import demo_wipe
from config.demo_stage import BRANDS, CannotStage, Folder
from delivery.models import Frontier, Message
from leads.models import Lead
from providers.models import ProviderAccount
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


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "demo")


@pytest.mark.django_db
class TestWhoMayBeWiped:
    def test_a_real_installation_is_refused_and_left_alone(self, folder):
        make_installation(is_sandbox=False)
        brand = make_brand()
        with pytest.raises(CannotStage, match="a real installation"):
            demo_wipe.wipe(folder)
        assert Brand.objects.get() == brand

    def test_a_real_installation_is_refused_at_the_door(self):
        make_installation(is_sandbox=False)
        with pytest.raises(CannotStage, match="in a sandbox only"):
            demo_wipe.refuse_real()

    def test_an_empty_database_is_not_refused(self):
        demo_wipe.refuse_real()

    def test_a_sandbox_with_other_brands_is_not_taken_for_a_demo(self, folder):
        make_installation()
        make_brand(slug="somebody-else")
        with pytest.raises(CannotStage, match="somebody-else"):
            demo_wipe.is_standing(folder)


@pytest.mark.django_db
class TestWipe:
    def full(self, sandbox):
        brand = make_brand()
        lane = make_number(make_account())
        make_route(brand, lane)
        lead = make_lead(brand)
        slot = open_slot(make_campaign(brand, make_list(brand, lead)), **soon())
        message = make_due(slot, lead, lane, now=clock.now())
        connection.check_constraints()  # a commit would have done it
        return message

    def test_nothing_of_ours_is_left(self, sandbox, folder):
        self.full(sandbox)
        demo_wipe.wipe(folder)
        left = [Installation, Brand, Campaign, Slot, Message, Person, Lead, ProviderAccount]
        assert [model.__name__ for model in left if model.objects.exists()] == []

    def test_ids_go_on_so_that_no_old_one_comes_back(self, sandbox, folder):
        before = self.full(sandbox).pk
        demo_wipe.wipe(folder)
        assert self.full(make_installation()).pk > before

    def test_the_frontier_of_attempts_is_put_back(self, sandbox, folder):
        demo_wipe.wipe(folder)
        assert Frontier.objects.get().attempt_id == 0

    def test_people_who_log_in_are_kept(self, sandbox, folder):
        get_user_model().objects.create_user("staff")
        demo_wipe.wipe(folder)
        assert get_user_model().objects.filter(username="staff").exists()

    def test_only_our_own_keys_leave_redis(self, sandbox, folder, redis: Redis):
        ours = f"sendonce:{{{sandbox.identity}}}:mark"
        others = ("sendonce:{another}:mark", "somebody:else")
        for key in (ours, *others):
            redis.set(key, 1)
        demo_wipe.wipe(folder)
        assert [redis.exists(key) for key in (ours, *others)] == [0, 1, 1]

    def test_jobs_that_wait_are_gone(self, sandbox, folder):
        queue = django_rq.get_queue("plan")
        queue.enqueue("delivery.tasks.plan")
        demo_wipe.wipe(folder)
        assert queue.count == 0

    def test_the_ledger_and_the_journals_are_gone(self, sandbox, folder):
        folder.journal.mkdir(parents=True)
        folder.ledger.write_text("{}\n")
        demo_wipe.wipe(folder)
        assert not folder.ledger.exists()
        assert not folder.journal.exists()


def soon() -> dict[str, object]:
    now = clock.now()
    return {"on": now.date(), "at": now.time().replace(microsecond=0)}


@pytest.mark.django_db
class TestWhatIsGoneOnWith:
    def staged(self, folder, plans=BRANDS):
        folder.path.mkdir()
        folder.ledger.write_text("")
        make_installation()
        for plan in plans:
            brand = make_brand(slug=plan.slug)
            make_route(brand, make_number())
            open_slot(make_campaign(brand, make_list(brand, make_lead(brand))), **soon())

    def test_a_whole_demo(self, folder):
        self.staged(folder)
        assert demo_wipe.is_standing(folder)

    def test_but_not_one_without_its_ledger(self, folder):
        self.staged(folder)
        folder.ledger.unlink()
        assert not demo_wipe.is_standing(folder)

    def test_nor_one_that_was_half_made(self, folder):
        self.staged(folder, BRANDS[:2])
        assert not demo_wipe.is_standing(folder)
