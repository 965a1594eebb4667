from __future__ import annotations

from collections import Counter
from datetime import time, timedelta

import pytest

from campaigns.models import Slot
from compliance.models import Person
from delivery import planning
from delivery.explain import Clock
from delivery.models import Message
from delivery.planning import plan_open_slots
from delivery.wording import DO
from leads.models import ListEntry
from tests.delivery import asking
from tests.delivery.asking import (
    HOUR,
    SUPPRESSED,
    a_slot,
    opt_out,
    page_about,
    rejoin,
    switch_off,
    undeliverable,
)
from tests.factories import (
    DAY,
    NOON,
    make_campaign,
    make_lead,
    make_leads,
    make_list,
    make_places,
    set_clock,
)

pytestmark = pytest.mark.django_db

LOS_ANGELES = "America/Los_Angeles"

brand = asking.brand  # a fixture


def absences_of(lead):
    return page_about(lead).context["absences"]


def small(reason):
    return reason.label[:1].lower() + reason.label[1:]


class TestWhyThereIsNoMessage:
    """Each answer beside what planning really does."""

    def only(self, lead):
        (found,) = absences_of(lead)
        return found

    def test_who_has_a_message_is_not_among_them(self, brand):
        lead = make_lead(brand)
        a_slot(brand, lead)
        plan_open_slots()
        assert absences_of(lead) == []
        assert len(page_about(lead).context["messages_to"]) == 1

    def test_not_on_its_list(self, brand):
        lead = make_lead(brand)
        slot = a_slot(brand, make_lead(brand))
        assert self.only(lead).words == f"Not on the list “{slot.campaign.lead_list}”."

    @SUPPRESSED
    def test_suppressed(self, brand, change, reason):
        lead = make_lead(brand)
        slot = a_slot(brand, lead)
        change(lead)
        before = self.only(lead)
        assert before.is_to_come
        assert before.words.endswith(f"left out: {small(reason)}.")
        plan_open_slots()
        after = self.only(lead)
        assert after.words == f"Left out: {small(reason)}."
        assert after.to_do == DO[reason]
        slot.refresh_from_db()
        assert slot.suppressed == {reason.value: 1}

    def test_the_reasons_are_those_that_planning_counted(self, brand):
        """Several reasons at once: planning counts the first."""
        leads = make_leads(brand, 6)
        for lead in leads[:3]:
            opt_out(lead)
        for lead in leads[2:5]:
            undeliverable(lead)
        slot = a_slot(brand, *leads)
        plan_open_slots()
        found = Counter(one.words for lead in leads for one in absences_of(lead))
        slot.refresh_from_db()
        assert slot.suppressed == {"opted_out": 3, "undeliverable": 2}
        assert found == {
            "Left out: the person opted out.": 3,
            "Left out: the address does not work.": 2,
        }

    def test_who_joined_again_is_planned(self, brand):
        lead = make_lead(brand)
        opt_out(lead)
        rejoin(lead)
        a_slot(brand, lead)
        assert "left out" not in self.only(lead).words
        plan_open_slots()
        assert absences_of(lead) == []

    def test_what_held_then_and_holds_no_more_is_told_as_of_then(self, brand):
        lead = make_lead(brand)
        opt_out(lead)
        a_slot(brand, lead)
        plan_open_slots()
        rejoin(lead)
        assert self.only(lead).words == (
            "Left out when the list was gone through, for a reason of that moment:"
            " the person opted out."
        )

    def test_what_planning_counted_for_nobody_is_not_its_reason(self, brand):
        lead = make_lead(brand)
        undeliverable(lead)
        a_slot(brand, lead)
        plan_open_slots()
        Person.objects.filter(pk=lead.person_id).update(undeliverable_at=None)
        switch_off(lead)
        assert self.only(lead).words.endswith(
            "for a reason of that moment: the address does not work."
        )

    def test_what_began_after_planning_is_not_made_its_reason(self, brand):
        lead, other = make_lead(brand), make_lead(brand)
        undeliverable(lead)
        opt_out(other)
        slot = a_slot(brand, lead, other)
        plan_open_slots()
        set_clock(NOON + HOUR)
        Person.objects.filter(pk=lead.person_id).update(undeliverable_at=None)
        opt_out(lead)
        slot.refresh_from_db()
        assert "for a reason of that moment" in self.only(lead).words

    def test_not_planned_yet(self, brand):
        lead = make_lead(brand, places=make_places(LOS_ANGELES))
        a_slot(brand, lead)
        plan_open_slots()
        assert self.only(lead).words == (
            "Not planned yet: due Wed 7 Mar 2035, 12:00 in Los Angeles (20:00 UTC),"
            " and planned half an hour before."
        )
        set_clock(NOON + 3 * HOUR)
        plan_open_slots()
        assert absences_of(lead) == []

    def test_just_before_the_planner_comes_by(self, brand):
        lead = make_lead(brand)
        a_slot(brand, lead)
        assert "within a minute or two" in self.only(lead).words

    def test_added_after_the_slot_had_ended_for_them(self, brand):
        slot = a_slot(brand, make_lead(brand, places=make_places(LOS_ANGELES)))
        set_clock(NOON + timedelta(hours=4, seconds=1))
        lead = make_lead(brand)
        ListEntry.objects.create(lead_list=slot.campaign.lead_list, lead=lead, places=lead.places)
        assert "after the slot had ended for them" in self.only(lead).words
        plan_open_slots()
        assert not Message.objects.filter(lead=lead).exists()
        assert "after the slot had ended for them" in self.only(lead).words

    def test_not_started(self, brand):
        lead = make_lead(brand)
        campaign = make_campaign(brand, make_list(brand, lead))
        Slot.objects.create(campaign=campaign, local_date=DAY, local_time=time(15))
        found = self.only(lead)
        assert found.is_to_come
        assert "has not been started" in found.words

    def test_a_draft_of_a_retired_campaign_is_not_coming(self, brand):
        lead = make_lead(brand)
        campaign = make_campaign(brand, make_list(brand, lead), retired_at=NOON)
        Slot.objects.create(campaign=campaign, local_date=DAY, local_time=time(15))
        assert absences_of(lead) == []

    def test_a_slot_that_closed_is_told_for_a_week(self, brand):
        lead = make_lead(brand)
        opt_out(lead)
        a_slot(brand, lead)
        plan_open_slots()
        set_clock(NOON + 5 * HOUR)
        plan_open_slots()
        assert Slot.objects.get().state == "closed"
        assert self.only(lead).words == "Left out: the person opted out."
        set_clock(NOON + timedelta(days=8))
        assert absences_of(lead) == []

    def test_the_time_is_the_planners_own(self, brand):
        """The share of one person is that of their places in the planner's shares."""
        lead = make_lead(brand, places=make_places(LOS_ANGELES, "America/Denver"))
        nowhere = make_lead(brand, places=None)
        slot = a_slot(brand, lead, nowhere, at=time(18))
        shares = {share.places_id: share for share in planning.shares_of(slot)}
        for one in (lead, nowhere):
            zones = tuple(one.places.zones) if one.places else ()
            due = Clock(zones, brand.zone).said(shares[one.places_id].due_at)
            assert f"due {due}" in self.only(one).words
