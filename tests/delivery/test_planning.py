from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import DatabaseError, OperationalError

from brands import clock
from compliance import consent
from compliance.models import Person, Rejoin
from delivery import planning
from delivery.models import Due, Message, Planned, Sticky
from delivery.planning import plan_open_slots
from leads.models import Lead, ListEntry
from providers.models import ProviderAccount, RouteNumber, SenderNumber
from tests.factories import (
    NOON,
    make_account,
    make_brand,
    make_lead,
    make_leads,
    make_number,
    make_places,
    make_route,
    make_slot,
    set_clock,
)

pytestmark = pytest.mark.django_db

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"
NOON_IN_LOS_ANGELES = NOON + timedelta(hours=3)
SECOND = timedelta(seconds=1)


@pytest.fixture
def brand(sandbox):
    """A brand with a default route of one number."""
    brand = make_brand()
    make_route(brand, make_number())
    return brand


def a_slot(brand, *leads, **fields):
    return make_slot(None, *leads, brand=brand, **fields)


def join(slot, lead):
    return ListEntry.objects.create(
        lead_list=slot.campaign.lead_list, lead=lead, places=lead.places
    )


def move(entry, places):
    """As the intake does when a lead's places change: a new entry with a new id."""
    lead, lead_list = entry.lead, entry.lead_list
    entry.delete()
    Lead.objects.filter(pk=lead.pk).update(places=places)
    return ListEntry.objects.create(lead_list=lead_list, lead=lead, places=places)


def suppressed(slot):
    slot.refresh_from_db()
    return slot.suppressed


def opt_out(lead):
    consent.opt_out([lead.person_id], source="staff")


class TestWhenASlotIsDue:
    def test_a_message_is_due_at_the_slots_local_time(self, brand):
        a_slot(brand, make_lead(brand))
        plan_open_slots()
        due = Due.objects.get()
        assert (due.not_before, due.expires_at) == (NOON, NOON + timedelta(hours=4))

    def test_it_is_due_at_the_latest_of_the_times_of_all_places(self, brand):
        a_slot(brand, make_lead(brand, places=make_places(NEW_YORK, LOS_ANGELES)))
        set_clock(NOON_IN_LOS_ANGELES)
        plan_open_slots()
        assert Due.objects.get().not_before == NOON_IN_LOS_ANGELES

    def test_each_place_is_planned_half_an_hour_before_its_time(self, brand):
        east = make_lead(brand)
        west = make_lead(brand, places=make_places(LOS_ANGELES))
        a_slot(brand, east, west, at=time(12, 31))
        assert plan_open_slots() == 0
        set_clock(NOON + timedelta(minutes=1, seconds=1))
        plan_open_slots()
        assert Message.objects.get().lead == east
        set_clock(NOON_IN_LOS_ANGELES - timedelta(minutes=1))
        assert plan_open_slots() == 0
        set_clock(NOON_IN_LOS_ANGELES + timedelta(minutes=1, seconds=1))
        plan_open_slots()
        assert Message.objects.latest("id").lead == west

    def test_leads_who_come_later_join(self, brand):
        slot = a_slot(brand, make_lead(brand))
        plan_open_slots()
        later = make_lead(brand)
        join(slot, later)
        assert plan_open_slots() == 1
        assert Due.objects.latest("message_id").message.lead == later

    def test_leads_who_come_after_the_end_do_not(self, brand):
        slot = a_slot(brand, make_lead(brand, places=make_places(LOS_ANGELES)))
        set_clock(NOON + timedelta(hours=4, seconds=1))
        join(slot, make_lead(brand))  # in New York, where the slot is over
        assert plan_open_slots() == 1
        assert Message.objects.get().lead.places.zones == [LOS_ANGELES]

    def test_who_is_planned_too_late_is_shown_as_expired(self, brand):
        """The planner was down, or the slot was started after its end."""
        slot = a_slot(brand, *make_leads(brand, 3))
        set_clock(NOON + timedelta(hours=4))
        assert plan_open_slots() == 3
        found = Message.objects.values_list("status", "reason").distinct()
        assert list(found) == [("expired", "no_capacity")]
        assert not Due.objects.exists()
        slot.refresh_from_db()
        assert slot.state == "closed"

    def test_a_place_without_new_leads_is_not_planned_again(self, brand, monkeypatch):
        a_slot(brand, *make_leads(brand, 3))
        plan_open_slots()
        chunks = []
        monkeypatch.setattr(planning, "_plan_chunk", lambda *share: chunks.append(share) or (0, 0))
        plan_open_slots()
        assert chunks == []

    def test_a_campaign_that_was_not_started_is_not_planned(self, brand):
        slot = a_slot(brand, make_lead(brand))
        type(slot).objects.filter(pk=slot.pk).update(state="draft")
        assert plan_open_slots() == 0


class TestWhoIsPlanned:
    @pytest.mark.parametrize(
        ("reason", "change"),
        [
            pytest.param("opted_out", opt_out, id="opted-out"),
            pytest.param(
                "undeliverable",
                lambda lead: Person.objects.update(undeliverable_at=NOON),
                id="undeliverable",
            ),
            pytest.param("sunset", lambda lead: Person.objects.update(sunset_at=NOON), id="sunset"),
            pytest.param(
                "lead_inactive", lambda lead: Lead.objects.update(status="inactive"), id="inactive"
            ),
        ],
    )
    def test_who_is_suppressed_is_counted_and_has_no_message(self, brand, reason, change):
        lead = make_lead(brand)
        slot = a_slot(brand, lead)
        change(lead)
        plan_open_slots()
        assert suppressed(slot) == {reason: 1}
        assert not Message.objects.exists()

    def test_counts_add_up_over_the_runs(self, brand):
        first, second = make_lead(brand), make_lead(brand)
        opt_out(first)
        opt_out(second)
        slot = a_slot(brand, first)
        plan_open_slots()
        join(slot, second)
        plan_open_slots()
        assert suppressed(slot) == {"opted_out": 2}

    def test_the_persons_own_join_lifts_an_opt_out_for_that_brand_only(self, brand):
        other = make_brand()
        make_route(other, make_number())
        lead = make_lead(brand)
        there = make_lead(other, lead.person)
        opt_out(lead)
        lead.person.refresh_from_db()
        Rejoin.objects.create(
            person=lead.person, brand=brand, after_event_id=lead.person.opt_out_event_id
        )
        here, elsewhere = a_slot(brand, lead), a_slot(other, there)
        plan_open_slots()
        assert Message.objects.get().lead == lead
        assert (suppressed(here), suppressed(elsewhere)) == ({}, {"opted_out": 1})

    def test_a_later_opt_out_counts_again(self, brand):
        lead = make_lead(brand)
        opt_out(lead)
        lead.person.refresh_from_db()
        Rejoin.objects.create(
            person=lead.person, brand=brand, after_event_id=lead.person.opt_out_event_id
        )
        opt_out(lead)
        slot = a_slot(brand, lead)
        plan_open_slots()
        assert suppressed(slot) == {"opted_out": 1}

    def test_who_has_a_message_is_not_counted_as_suppressed_later(self, brand):
        lead = make_lead(brand)
        slot = a_slot(brand, lead)
        plan_open_slots()
        opt_out(lead)
        move(ListEntry.objects.get(), make_places("America/Detroit"))
        plan_open_slots()
        assert suppressed(slot) == {}

    def test_everybody_is_a_message_or_is_counted(self, brand):
        leads = make_leads(brand, 7)
        opt_out(leads[0])
        nowhere = make_lead(brand, places=None)
        slot = a_slot(brand, nowhere, *leads)
        plan_open_slots()
        states = Counter(Message.objects.values_list("status", flat=True))
        assert states == {"planned": 6, "refused": 1}
        assert sum(states.values()) + sum(suppressed(slot).values()) == len(leads) + 1


class TestRefusedRows:
    def refused(self):
        message = Message.objects.get()
        assert not Due.objects.exists()
        return message.status, message.reason

    def test_who_may_be_anywhere_is_refused(self, brand):
        a_slot(brand, make_lead(brand, places=None))
        plan_open_slots()
        assert self.refused() == ("refused", "no_place")

    def test_who_has_no_hour_that_suits_all_places_is_refused(self, brand):
        type(brand).objects.update(opens=time(10), sunday_opens=time(10), closes=time(14))
        a_slot(brand, make_lead(brand, places=make_places(NEW_YORK, "Asia/Tokyo")))
        plan_open_slots()
        assert self.refused() == ("refused", "no_common_window")

    def test_without_a_route_all_are_refused(self, brand):
        a_slot(brand, make_lead(brand))
        RouteNumber.objects.all().delete()
        plan_open_slots()
        assert self.refused() == ("refused", "no_route")

    def test_who_may_be_anywhere_is_refused_in_the_brands_own_time(self, brand):
        a_slot(brand, make_lead(brand, places=None), at=time(13))
        assert plan_open_slots() == 0
        set_clock(NOON + timedelta(minutes=31))
        assert plan_open_slots() == 1


class TestOnce:
    def test_a_lead_is_planned_once_however_often_it_runs(self, brand):
        a_slot(brand, make_lead(brand))
        assert [plan_open_slots(), plan_open_slots()] == [1, 0]

    def test_an_entry_that_moved_to_other_places_is_not_planned_again(self, brand):
        a_slot(brand, make_lead(brand))
        plan_open_slots()
        move(ListEntry.objects.get(), make_places("America/Detroit"))
        assert plan_open_slots() == 0
        assert Due.objects.count() == Message.objects.count() == 1

    def test_one_person_behind_two_leads_of_a_list_gets_one_message(self, brand):
        lead = make_lead(brand)
        twin = make_lead(make_brand(), lead.person)
        a_slot(brand, lead, twin)
        assert plan_open_slots() == 1
        assert Due.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_two_planners_at_once_make_one_message_a_lead(self, brand, at_once):
        leads = make_leads(brand, 200)
        slot = a_slot(brand, *leads)
        for lead in leads[:20]:
            opt_out(lead)
        planned = at_once(lambda _: plan_open_slots(chunk=10), threads=3)
        assert sum(planned) == Message.objects.count() == Due.objects.count() == 180
        assert suppressed(slot) == {"opted_out": 20}


class TestChunks:
    @pytest.mark.parametrize("many", [9, 10, 20, 25])
    def test_everybody_is_planned_whatever_the_size_of_a_chunk(self, brand, many):
        a_slot(brand, *make_leads(brand, many))
        assert plan_open_slots(chunk=10) == many

    def test_remember_how_far_they_came(self, brand):
        slot = a_slot(brand, *make_leads(brand, 25))
        plan_open_slots(chunk=10)
        progress = Planned.objects.get()
        assert progress.slot == slot
        assert progress.through_entry_id == ListEntry.objects.latest("id").pk

    @pytest.fixture
    def taken(self, brand, statements):
        """The statements it takes to plan so many leads, in chunks of ten or of this size."""

        def count(many, chunk=10):
            slot = a_slot(brand, *make_leads(brand, many))
            return statements(lambda: planning.plan_slot(slot, chunk=chunk))

        count(1)  # reads the zones of the places, once in a process's life
        return count

    def test_take_as_many_statements_for_one_lead_as_for_many(self, taken):
        assert taken(1, chunk=1000) == taken(300, chunk=1000)
        assert Due.objects.count() == 302

    def test_take_a_fixed_number_of_statements_each(self, taken):
        one, two, three = taken(9), taken(19), taken(29)
        assert three - two == two - one == 7
        # savepoint, time-outs, lock of the list and of the slot, lanes, plan, release


class TestTheNumber:
    def lanes(self):
        return set(Due.objects.values_list("lane_id", flat=True))

    def test_a_person_keeps_the_number_it_knows(self, brand):
        known = make_number()
        RouteNumber.objects.create(route=brand.route_set.get(), number=known)
        leads = make_leads(brand, 20)
        Sticky.objects.bulk_create(
            Sticky(person_id=lead.person_id, brand=brand, number=known) for lead in leads
        )
        a_slot(brand, *leads)
        plan_open_slots()
        assert self.lanes() == {known.pk}

    def test_a_number_that_rests_is_nobodys(self, brand):
        resting = SenderNumber.objects.get()
        other = make_number()
        RouteNumber.objects.create(route=brand.route_set.get(), number=other)
        SenderNumber.objects.filter(pk=resting.pk).update(rests_until=NOON + timedelta(hours=1))
        lead = make_lead(brand)
        Sticky.objects.create(person=lead.person, brand=brand, number=resting)
        a_slot(brand, lead)
        plan_open_slots()
        assert self.lanes() == {other.pk}

    def test_weights_divide_the_rest(self, brand):
        heavy = make_number()
        RouteNumber.objects.create(route=brand.route_set.get(), number=heavy, weight=300)
        a_slot(brand, *make_leads(brand, 400))
        plan_open_slots()
        assert 250 < Due.objects.filter(lane=heavy).count() < 350

    def test_an_accounts_weight_counts_too(self, brand):
        light = make_number(make_account(weight=0))
        RouteNumber.objects.create(route=brand.route_set.get(), number=light)
        a_slot(brand, *make_leads(brand, 50))
        plan_open_slots()
        assert light.pk not in self.lanes()

    def test_a_fall_back_waits_for_its_turn(self, brand):
        spare = make_number()
        RouteNumber.objects.create(route=brand.route_set.get(), number=spare, order=1)
        first, second = make_lead(brand), make_lead(brand)
        slot = a_slot(brand, first)
        plan_open_slots()
        assert spare.pk not in self.lanes()
        ProviderAccount.objects.exclude(pk=spare.account_id).update(paused_at=NOON)
        join(slot, second)
        plan_open_slots()
        assert Due.objects.get(message__lead=second).lane == spare

    def test_where_all_rest_the_message_waits_for_the_first(self, brand):
        SenderNumber.objects.update(paused_at=NOON)
        a_slot(brand, make_lead(brand))
        plan_open_slots()
        assert self.lanes() == {SenderNumber.objects.get().pk}

    def test_a_row_is_priced_by_its_slots_largest_text(self, brand):
        a_slot(brand, make_lead(brand), text="x" * 400, priority=7)
        plan_open_slots()
        due = Due.objects.get()
        assert (due.segments, due.priority, due.queue) == (3, 7, due.campaign_id)


class TestClosing:
    def test_a_slot_closes_when_its_last_place_is_over(self, brand):
        slot = a_slot(brand, make_lead(brand))
        plan_open_slots()
        Due.objects.all().delete()
        set_clock(NOON + timedelta(hours=4) - 30 * SECOND)
        plan_open_slots()
        slot.refresh_from_db()
        assert slot.state == "open"
        set_clock(NOON + timedelta(hours=4))
        plan_open_slots()
        slot.refresh_from_db()
        assert slot.state == "closed"
        assert NOON + timedelta(hours=4) - SECOND <= slot.closed_at <= clock.now()

    def test_it_stays_open_while_a_message_of_it_waits(self, brand):
        slot = a_slot(brand, make_lead(brand))
        plan_open_slots()
        set_clock(NOON + timedelta(hours=5))
        plan_open_slots()
        slot.refresh_from_db()
        assert slot.state == "open"

    def test_it_does_not_wait_for_another_slot_of_the_campaign(self, brand):
        slot = a_slot(brand, make_lead(brand), length_minutes=60)
        later = type(slot).objects.create(
            campaign=slot.campaign, local_date=slot.local_date, ordinal=2, local_time=time(12, 20)
        )
        type(slot).objects.filter(pk=later.pk).update(
            state="open", route=slot.route, template_version=slot.template_version
        )
        assert plan_open_slots() == 2
        Due.objects.filter(message__slot=slot).delete()
        set_clock(NOON + timedelta(hours=1, minutes=1))
        plan_open_slots()
        slot.refresh_from_db()
        later.refresh_from_db()
        assert (slot.state, later.state) == ("closed", "open")

    def test_it_stays_open_while_a_part_of_it_cannot_be_planned(self, brand, monkeypatch):
        slot = a_slot(brand, make_lead(brand))
        set_clock(NOON + timedelta(hours=4))

        def wait_in_vain(*_):
            raise OperationalError("lock timeout")

        with monkeypatch.context() as patched:
            patched.setattr(planning, "_plan_chunk", wait_in_vain)
            assert plan_open_slots() == 0
        slot.refresh_from_db()
        assert slot.state == "open"
        assert plan_open_slots() == 1

    def test_a_slot_without_people_closes_in_the_brands_own_time(self, brand):
        slot = a_slot(brand, length_minutes=60)
        plan_open_slots()
        slot.refresh_from_db()
        assert slot.state == "open"
        set_clock(NOON + timedelta(hours=1))
        plan_open_slots()
        slot.refresh_from_db()
        assert slot.state == "closed"

    def test_a_closed_slot_plans_nothing(self, brand):
        slot = a_slot(brand, make_lead(brand))
        type(slot).objects.filter(pk=slot.pk).update(state="closed")
        assert planning.plan_slot(slot) == 0  # read while it was still open
        assert not Message.objects.exists()


class TestTrouble:
    def test_a_slot_that_cannot_be_planned_leaves_the_others_theirs(self, brand, monkeypatch):
        broken, whole = a_slot(brand, make_lead(brand)), a_slot(brand, make_lead(brand))
        plan_slot = planning.plan_slot

        def plan(slot, **options):
            if slot.pk == broken.pk:
                raise DatabaseError("broken")
            return plan_slot(slot, **options)

        monkeypatch.setattr(planning, "plan_slot", plan)
        assert plan_open_slots() == 1
        assert Message.objects.get().slot == whole

    def test_messages_are_made_with_the_sandboxs_time(self, brand):
        a_slot(brand, make_lead(brand))
        plan_open_slots()
        assert abs(Message.objects.get().created_at - clock.now()) < timedelta(minutes=1)
        assert datetime.now(UTC) < NOON
