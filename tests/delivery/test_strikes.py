from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Campaign
from compliance.models import Person
from delivery import claims, sendings, steps, strikes
from delivery.models import Attempt, CapCounter, Due, Message, Strike
from delivery.states import Kind
from delivery.steps import Draft
from leads.models import Lead
from tests.delivery import taking
from tests.delivery.taking import (
    HOUR,
    MINUTE,
    SOON,
    a_message,
    make_due_again,
    sent_to,
    state,
    states,
)
from tests.factories import NOON, fill_queue, make_lead

pytestmark = pytest.mark.django_db

take = taking.take  # a fixture


def poison(monkeypatch, spoil):
    """The first step spoils the message of whoever is called Poison."""

    def spoil_poison(draft, facts):
        return spoil(draft) if draft.values["first_name"] == "Poison" else draft

    def spoil_late(draft, facts):
        result = steps.reserve(draft, facts)
        return spoil_poison(result, facts) if isinstance(result, Draft) else result

    monkeypatch.setitem(sendings.STEPS, Kind.CAMPAIGN, (*sendings.CAMPAIGN[:-1], spoil_late))


def raise_an_error(draft):
    raise RuntimeError("a bug")


SPOILS = {
    "a-step-that-raises": raise_an_error,
    "nul": lambda draft: draft._replace(text="a\0b"),
    "lone-surrogate": lambda draft: draft._replace(text="a\ud800b"),
    "too-many-segments": lambda draft: draft._replace(segments=10**6),
    "lane-that-does-not-exist": lambda draft: draft._replace(lane_id=0),
}


class TestAPoisonedRow:
    def poisoned(self, slot, lane):
        neighbours = fill_queue(slot, lane, 3, now=NOON)
        return a_message(slot, first_name="Poison"), {message.pk for message in neighbours}

    @pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
    def test_waits_alone_and_its_neighbours_are_sent(self, slot, lane, take, monkeypatch, spoil):
        poison(monkeypatch, spoil)
        message, neighbours = self.poisoned(slot, lane)
        assert sent_to(take(slot)) == neighbours
        due = Due.objects.get()
        assert (due.message, due.reason, due.strikes) == (message, "step_failed", 1)
        assert NOON + MINUTE <= due.not_before < NOON + MINUTE + SOON
        assert state(message) == ("planned", "")
        assert Attempt.objects.count() == len(neighbours)

    def test_is_found_among_many_however_many_there_are(self, slot, lane, take, monkeypatch):
        poison(monkeypatch, SPOILS["nul"])
        neighbours = {message.pk for message in fill_queue(slot, lane, 37, now=NOON)}
        spoiled = {a_message(slot, first_name="Poison").pk for _ in range(5)}
        assert sent_to(take(slot)) == neighbours
        assert set(Due.objects.values_list("message_id", "strikes")) == {(i, 1) for i in spoiled}
        assert CapCounter.objects.get(key=f"decided:{slot.campaign_id}").used == 42

    def test_is_looked_for_without_a_lock_on_what_other_batches_need(
        self, slot, lane, take, monkeypatch
    ):
        """Counters of caps that are written while looking are rolled back and let go at once."""
        poison(monkeypatch, SPOILS["nul"])
        self.poisoned(slot, lane)
        with CaptureQueriesContext(connection) as captured:
            take(slot)
        ran = [query["sql"] or "" for query in captured]
        last_tried = max(i for i, said in enumerate(ran) if said.startswith("ROLLBACK TO"))
        attempts, counters = (
            [i > last_tried for i, said in enumerate(ran) if f"INSERT INTO {table} " in said]
            for table in ("delivery_attempt", "delivery_capcounter AS c")
        )
        assert (attempts.count(True), attempts.count(False) > 1) == (1, True)
        assert counters.count(True) == 2  # of all together, and of the one that was struck

    @pytest.mark.django_db(transaction=True)
    def test_is_found_even_where_only_the_commit_objects(self, slot, lane, take, monkeypatch):
        """A foreign key is checked by the COMMIT, past every statement of the batch."""
        poison(monkeypatch, lambda draft: draft._replace(person_id=0))
        _, neighbours = self.poisoned(slot, lane)
        assert sent_to(take(slot)) == neighbours
        assert Due.objects.get().reason == "step_failed"
        assert states() == {"sending": 3, "planned": 1}

    def test_takes_nothing_from_the_caps_or_its_person(self, slot, take, monkeypatch):
        poison(monkeypatch, SPOILS["nul"])
        a_message(slot, first_name="Poison")
        take(slot)
        assert Person.objects.get().recent == []
        assert list(CapCounter.objects.values_list("key")) == [(f"decided:{slot.campaign_id}",)]

    def test_is_tried_again_later_and_later_and_ends_as_dead(self, slot, take, monkeypatch):
        poison(monkeypatch, raise_an_error)
        message = a_message(slot, first_name="Poison")
        waits = []
        for _ in range(4):
            take(slot)
            waits.append(round((Due.objects.get().not_before - NOON) / MINUTE))
            make_due_again()
        assert waits == [1, 2, 4, 8]
        take(slot)
        assert state(message) == ("dead", "step_failed")
        assert not Due.objects.exists()

    def test_recovers_when_the_bug_is_gone(self, slot, take, monkeypatch):
        with monkeypatch.context() as patched:
            poison(patched, raise_an_error)
            message = a_message(slot, first_name="Poison")
            take(slot)
        make_due_again()
        assert sent_to(take(slot)) == {message.pk}

    def test_is_remembered_with_the_step_that_failed(self, slot, take, monkeypatch):
        poison(monkeypatch, raise_an_error)
        message = a_message(slot, first_name="Poison")
        take(slot)
        strike = Strike.objects.get()
        assert (strike.message, strike.campaign) == (message, slot.campaign)
        assert strike.step == "spoil_late"

    def test_of_a_kind_without_steps_is_never_sent(self, slot, lane, take):
        neighbour = a_message(slot)
        lead = make_lead(slot.campaign.brand)
        single = Message.objects.create(
            brand=slot.campaign.brand,
            lead=lead,
            person=lead.person,
            kind="single",
            idempotency_key="k1",
            expires_at=NOON + HOUR,
        )
        Due.objects.create(
            message=single,
            brand=single.brand,
            lane=lane,
            queue=slot.campaign_id,
            not_before=NOON - HOUR,
            expires_at=NOON + HOUR,
        )
        assert sent_to(take(slot)) == {neighbour.pk}
        assert Due.objects.get().reason == "step_failed"


class TestStrikes:
    @pytest.fixture
    def strike(self, slot, lane, take, monkeypatch):
        """So many messages that fail among so many that do not."""
        poison(monkeypatch, raise_an_error)

        def strike(failing, whole=0):
            fill_queue(slot, lane, whole, now=NOON)
            leads = Lead.objects.filter(pk__in=[
                message.lead_id for message in fill_queue(slot, lane, failing, now=NOON)
            ])  # fmt: skip
            leads.update(first_name="Poison")
            take(slot, rows=2000)
            slot.campaign.refresh_from_db()
            return slot.campaign

        return strike

    def test_twenty_pause_the_campaign(self, strike):
        campaign = strike(20)
        assert NOON <= campaign.paused_at < NOON + MINUTE
        assert campaign.pause_reason == "20 of the last 1000 messages failed by an error of ours"

    def test_nineteen_do_not(self, strike):
        assert strike(19).paused_at is None

    def test_count_over_the_batches(self, strike):
        assert strike(10).paused_at is None
        assert strike(10).paused_at is not None

    def test_count_within_the_last_thousand_decisions_only(self, slot, strike):
        strike(19)
        CapCounter.objects.filter(key=f"decided:{slot.campaign_id}").update(used=1500)
        assert strike(1).paused_at is None

    def test_never_move_an_earlier_pause(self, slot, strike):
        Campaign.objects.update(paused_at=NOON - HOUR, pause_reason="by hand")
        row = claims.Claimed(**dict.fromkeys(claims.COLUMNS, 0) | {"campaign_id": slot.campaign_id})
        strikes.apply([(row, "a_step")] * 20, NOON)
        strikes.pause_failing([row], {strikes.decided_key(slot.campaign_id): 20}, NOON)
        assert Campaign.objects.get().pause_reason == "by hand"
