"""O4, each part broken once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from campaigns.models import Campaign, Slot
from compliance.models import Places
from delivery.models import Message, Planned
from leads.models import Lead, ListEntry
from tests.factories import make_lead, make_places
from tests.reporting.world import NOON, NOW, World, raw

pytestmark = pytest.mark.django_db

DOES_NOT_ADD_UP = "people on the list, messages and suppressed do not add up"
NEVER_PLANNED = "part of the list was never planned for"


@pytest.fixture
def world() -> World:
    return World()


def on_the_list(world: World, *, places: Places | None = None, considered: bool = True) -> Lead:
    """Somebody on the list who has no message."""
    lead = make_lead(world.brand, places=places or world.leads[0].places)
    entry = ListEntry.objects.create(
        lead_list=world.campaign.lead_list, lead=lead, places=lead.places
    )
    ListEntry.objects.filter(pk=entry.pk).update(added_at=NOON - timedelta(days=1))
    if considered:
        Planned.objects.update(through_entry_id=entry.pk)
    return lead


def suppress(world: World, **reasons: int) -> None:
    Slot.objects.filter(pk=world.slot.pk).update(suppressed=reasons)


class TestTheSum:
    def test_somebody_considered_and_lost_is_seen(self, world, tmp_path):
        on_the_list(world)
        assert world.problems(tmp_path) == {"O4": [DOES_NOT_ADD_UP]}

    def test_somebody_suppressed_is_not(self, world, tmp_path):
        for _ in range(3):
            on_the_list(world)
        suppress(world, opted_out=2, sunset=1)
        assert world.problems(tmp_path) == {}

    def test_more_suppressed_than_there_are_is_seen(self, world, tmp_path):
        suppress(world, opted_out=1)
        assert world.problems(tmp_path) == {"O4": [DOES_NOT_ADD_UP]}

    def test_somebody_switched_off_need_not_be_counted(self, world, tmp_path):
        lead = on_the_list(world)
        Lead.objects.filter(pk=lead.pk).update(status="inactive")
        assert world.problems(tmp_path) == {}

    def test_people_without_a_place_are_counted_like_the_others(self, world, tmp_path):
        lead = on_the_list(world, considered=False)
        ListEntry.objects.filter(lead=lead).update(places=None)
        Planned.objects.create(
            slot=world.slot, places=None, through_entry_id=ListEntry.objects.latest("id").pk
        )
        assert world.problems(tmp_path) == {"O4": [DOES_NOT_ADD_UP]}

    def test_an_open_slot_is_not_judged_yet(self, world, tmp_path):
        on_the_list(world)
        Slot.objects.update(state="open")
        assert world.problems(tmp_path) == {}

    def test_a_slot_that_closed_long_ago_is_not_judged_again(self, world, tmp_path):
        on_the_list(world)
        assert world.problems(tmp_path, since=NOW) == {}


class TestPartsNeverPlanned:
    def test_somebody_after_the_last_one_considered_is_seen(self, world, tmp_path):
        on_the_list(world, considered=False)
        assert world.problems(tmp_path) == {"O4": [NEVER_PLANNED]}

    def test_a_set_of_places_that_was_left_out_is_seen(self, world, tmp_path):
        on_the_list(world, places=make_places("America/Denver"), considered=False)
        assert world.problems(tmp_path) == {"O4": [NEVER_PLANNED]}

    def test_whoever_joined_after_the_slot_came_due_is_not(self, world, tmp_path):
        on_the_list(world, considered=False)
        ListEntry.objects.update(added_at=NOON + timedelta(minutes=1))
        assert world.problems(tmp_path) == {}

    def test_a_later_place_comes_due_later(self, world, tmp_path):
        lead = on_the_list(world, places=make_places("America/Denver"), considered=False)
        ListEntry.objects.filter(lead=lead).update(added_at=NOON + timedelta(hours=1))
        assert world.problems(tmp_path) == {"O4": [NEVER_PLANNED]}

    def test_a_campaign_started_too_late_reaches_nobody_by_right(self, world, tmp_path):
        on_the_list(world, considered=False)
        Campaign.objects.update(started_at=NOON + timedelta(minutes=1))
        assert world.problems(tmp_path) == {}

    def test_a_further_slot_counts_from_its_first_message_on(self, world, tmp_path):
        on_the_list(world, considered=False)
        Slot.objects.create(
            campaign=world.campaign, local_date="2035-03-09", local_time="12:00", ordinal=2
        )
        Message.objects.update(created_at=NOON + timedelta(minutes=1))
        assert NEVER_PLANNED not in world.problems(tmp_path).get("O4", [])


def test_a_message_beyond_the_progress_is_seen(world, tmp_path):
    first = ListEntry.objects.order_by("id").first()
    Planned.objects.update(through_entry_id=first.pk)
    says = "a message beyond what its slot's progress says"
    assert world.problems(tmp_path) == {"O4": [says]}


def test_a_lead_whose_places_changed_later_is_not_beyond_the_progress(world, tmp_path):
    entry = ListEntry.objects.order_by("id").last()
    ListEntry.objects.filter(pk=entry.pk).update(added_at=NOW, places=make_places("America/Denver"))
    assert world.problems(tmp_path) == {}


def test_two_messages_of_one_slot_to_one_person_are_seen(world, tmp_path):
    other = world.another_slot()
    message = world.send(world.leads[0], NOW, slot=other, text="Other words")
    raw("UPDATE delivery_message SET slot_id = %s WHERE id = %s", [world.slot.pk, message.pk])
    assert "a person has two messages of one slot" in world.problems(tmp_path)["O4"]


@pytest.mark.parametrize("status", ["planned", "sending"])
def test_a_message_that_is_not_at_an_end_in_a_closed_slot_is_seen(world, tmp_path, status):
    raw("UPDATE delivery_message SET status = %s WHERE id = %s", [status, world.messages[0].pk])
    says = "a closed slot has a message that is not at an end"
    assert says in world.problems(tmp_path)["O4"]


def test_a_state_that_nobody_counts_is_seen(world, tmp_path):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE delivery_message DROP CONSTRAINT message_status_is_known")
    raw("UPDATE delivery_message SET status = 'lost' WHERE id = %s", [world.messages[0].pk])
    assert "a message in a state that nobody counts" in world.problems(tmp_path)["O4"]
