from __future__ import annotations

from datetime import time, timedelta

import pytest
from django.urls import reverse

from brands.models import Brand, Installation
from compliance import phones
from compliance.models import Person
from delivery import singles
from delivery.forecast import forecast
from delivery.models import Due
from delivery.planning import plan_open_slots
from providers.models import SenderNumber
from tests.delivery.foreseeing import (
    HOUR,
    MINUTE,
    a_campaign,
    acme,
    add_slot,
    check,
    of_slot,
    sent,
    write_in,
)
from tests.delivery.walking import make_reply
from tests.factories import (
    DAY,
    NOON,
    make_brand,
    make_campaign,
    make_lead,
    make_leads,
    make_list,
    make_number,
    make_person,
    make_places,
    make_route,
    open_slot,
)
from tests.staff import client_of, make_user

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@pytest.fixture
def brand(sandbox):
    return acme()


def planned(brand, many, *, at=time(12), **fields):
    """Another campaign to people of its own, whose messages wait in the queue."""
    lead_list = make_list(brand, *make_leads(brand, many))
    campaign = make_campaign(brand, lead_list, text="Hallo", **fields)
    open_slot(campaign, on=DAY, at=at)
    plan_open_slots()
    return campaign


class TestTheBrandsCap:
    def test_is_used_by_what_waits_already(self, brand, journal):
        Brand.objects.update(daily_cap=12)
        planned(brand, 10)
        (said,) = check(a_campaign(Brand.objects.get(), *make_leads(brand, 5)), journal).values()
        assert (said["leaving"], said["expired"]) == (2, {"brand_cap": 3})

    def test_is_not_used_by_answers(self, brand, journal):
        Brand.objects.update(daily_cap=10)
        campaign = a_campaign(Brand.objects.get(), *make_leads(brand, 10))
        add_slot(campaign, local_time=time(12), ordinal=2)
        for _ in range(3):
            make_reply(make_person(), brand, SenderNumber.objects.get())
        first, _ = check(campaign, journal).values()
        assert first["leaving"] == 10

    def test_is_not_used_by_other_brands_on_the_number(self, brand):
        Brand.objects.update(daily_cap=5)
        other = make_brand()
        make_route(other, SenderNumber.objects.get())
        planned(other, 5)
        told = forecast(a_campaign(Brand.objects.get(pk=brand.pk), *make_leads(brand, 5)))
        assert (told.ahead, told.leaving) == (5, 5)

    def test_is_not_used_by_a_campaign_that_is_paused(self, brand, journal):
        Brand.objects.update(daily_cap=10)
        planned(brand, 10, paused_at=NOON)
        (said,) = check(a_campaign(Brand.objects.get(), *make_leads(brand, 10)), journal).values()
        assert said["leaving"] == 10

    @pytest.mark.parametrize(
        ("others", "leaving"), [(0, 10), (1, 3)], ids=["no-other-number", "another-of-the-route"]
    )
    def test_is_used_by_what_waits_at_a_paused_number_if_it_can_move(self, brand, others, leaving):
        Brand.objects.update(daily_cap=10)
        resting = make_number()
        route = make_route(brand, resting, is_default=False)
        planned(brand, 7, route=route)
        SenderNumber.objects.filter(pk=resting.pk).update(paused_at=NOON)
        for _ in range(others):
            route.numbers.create(number=make_number())
        one = of_slot(a_campaign(Brand.objects.get(), *make_leads(brand, 10)))
        assert one.leaving == leaving

    def test_is_used_by_what_expires_within_the_minute_in_which_it_may_leave(self, brand):
        Brand.objects.update(daily_cap=3)
        planned(brand, 2)
        ready = NOON + 30 * MINUTE
        Due.objects.update(not_before=ready + 10 * SECOND, expires_at=ready + 50 * SECOND)
        one = of_slot(a_campaign(Brand.objects.get(), *make_leads(brand, 3)))
        assert (one.leaving, one.expiring) == (1, {"brand_cap": 2})


class TestTheCampaignsCap:
    def test_is_used_by_its_own_messages_that_wait(self, brand, journal):
        Installation.objects.update(persons_per_day=5, person_gap_minutes=0)
        lead_list = make_list(brand, *make_leads(brand, 10))
        campaign = make_campaign(brand, lead_list, daily_cap=15, repeats_words=True)
        open_slot(campaign, on=DAY, at=time(12))
        plan_open_slots()
        add_slot(campaign, local_time=time(12, 20), ordinal=2)
        (said,) = check(campaign, journal).values()
        assert (said["leaving"], said["expired"]) == (5, {"campaign_cap": 5})

    def test_is_not_used_by_other_campaigns(self, brand):
        planned(brand, 3)
        assert of_slot(a_campaign(brand, *make_leads(brand, 4), daily_cap=4)).leaving == 4


class TestTheNumbers:
    def test_are_not_kept_busy_by_a_brand_that_is_paused(self, brand):
        SenderNumber.objects.update(segments_per_second=1)
        other = make_brand()
        make_route(other, SenderNumber.objects.get())
        planned(other, 60, at=time(12, 30))
        campaign = make_campaign(brand, make_list(brand, make_lead(brand)))
        add_slot(campaign, local_time=time(12, 30))
        busy = of_slot(campaign).first_at
        Brand.objects.filter(pk=other.pk).update(paused_at=NOON)
        assert busy - of_slot(campaign).first_at == 60 * SECOND

    def test_are_kept_busy_by_answers_of_a_brand_that_is_paused(self, brand):
        other = make_brand(paused_at=NOON)
        make_reply(make_person(), other, SenderNumber.objects.get())
        assert forecast(a_campaign(brand, make_lead(brand))).ahead == 1

    def test_are_kept_busy_by_the_campaign_itself_though_it_is_paused(self, brand):
        campaign = planned(brand, 3, paused_at=NOON)
        add_slot(campaign, ordinal=2)
        assert forecast(campaign).ahead == 3


class TestAPerson:
    """Who has a message in the queue is treated as if it were sent."""

    @pytest.fixture(autouse=True)
    def limits(self, brand):
        Installation.objects.update(persons_per_day=5, person_gap_minutes=0)

    def a_second_slot(self, brand, *, first, second, **fields):
        """Of a campaign whose first is planned and waits."""
        campaign = make_campaign(brand, make_list(brand, *make_leads(brand, 4)), **fields)
        open_slot(campaign, on=DAY, at=first)
        plan_open_slots()
        assert Due.objects.count() == 4
        add_slot(campaign, local_time=second, ordinal=2)
        return campaign

    @pytest.mark.parametrize("first", [time(12), time(12, 20)], ids=["due", "due-soon"])
    def test_is_not_told_the_same_twice(self, brand, journal, first):
        campaign = self.a_second_slot(brand, first=first, second=time(13))
        (said,) = check(campaign, journal).values()
        assert said["refused"] == {"same_words": 4}

    def test_hears_other_words(self, brand, journal):
        campaign = self.a_second_slot(brand, first=time(12), second=time(13))
        campaign.template.versions.create(number=2, text="Something new")
        (said,) = check(campaign, journal).values()
        assert said["leaving"] == 4

    @pytest.mark.parametrize("first", [time(12), time(12, 20)], ids=["due", "due-soon"])
    def test_gets_no_more_than_a_day_allows(self, brand, journal, first):
        Installation.objects.update(persons_per_day=1)
        campaign = self.a_second_slot(brand, first=first, second=time(13), repeats_words=True)
        (said,) = check(campaign, journal).values()
        assert said["expired"] == {"person_limit": 4}

    def test_gets_no_more_than_a_day_allows_counting_what_was_sent(self, brand, journal):
        Installation.objects.update(persons_per_day=2)
        campaign = self.a_second_slot(brand, first=time(12), second=time(13), repeats_words=True)
        some = Person.objects.order_by("id")[:3].values("pk")
        Person.objects.filter(pk__in=some).update(recent=sent((NOON - 9 * HOUR, "x", "")))
        (said,) = check(campaign, journal).values()
        assert (said["expired"], said["leaving"]) == ({"person_limit": 3}, 1)

    def test_gets_it_when_the_gap_is_over(self, brand):
        Installation.objects.update(person_gap_minutes=90)
        campaign = self.a_second_slot(brand, first=time(12), second=time(13), repeats_words=True)
        one = of_slot(campaign)
        assert (one.leaving, one.late) == (4, 4)
        assert one.first_at - NOON - 90 * MINUTE < MINUTE

    def test_gets_what_is_due_before_the_one_that_waits(self, brand, journal):
        Installation.objects.update(persons_per_day=1)
        campaign = self.a_second_slot(
            brand, first=time(12, 30), second=time(12, 10), repeats_words=True
        )
        (said,) = check(campaign, journal).values()
        assert said["leaving"] == 4

    def test_has_one_of_another_campaign(self, brand, journal):
        Installation.objects.update(persons_per_day=1)
        one = planned(brand, 3)
        campaign = make_campaign(brand, one.lead_list)
        add_slot(campaign)
        (said,) = check(campaign, journal).values()
        assert said["expired"] == {"person_limit": 3}

    def test_has_the_same_words_of_another_campaign(self, brand, journal):
        one = planned(brand, 3)
        campaign = make_campaign(brand, one.lead_list, text="Hallo")
        add_slot(campaign)
        (said,) = check(campaign, journal).values()
        assert said["refused"] == {"same_words": 3}

    def test_has_one_of_another_campaign_that_is_paused(self, brand, journal):
        Installation.objects.update(persons_per_day=1)
        one = planned(brand, 3, paused_at=NOON)
        campaign = make_campaign(brand, one.lead_list)
        add_slot(campaign)
        (said,) = check(campaign, journal).values()
        assert said["leaving"] == 3

    def test_has_an_answer_which_counts_on_nothing(self, brand, journal):
        Installation.objects.update(persons_per_day=1)
        lead = make_lead(brand)
        make_reply(lead.person, brand, SenderNumber.objects.get())
        (said,) = check(a_campaign(brand, lead), journal).values()
        assert said["leaving"] == 1

    def test_has_a_test(self, brand, journal):
        Installation.objects.update(persons_per_day=1)
        lead = make_lead(brand)
        campaign = a_campaign(brand, lead)
        singles.send_test(
            campaign,
            to=phones.parse(lead.person.phone),
            values={"first_name": "Ada"},
            asked_by=make_user(),
            idempotency_key="once",
        )
        told = of_slot(campaign)
        assert told.expiring == {"person_limit": 1}

    @pytest.mark.parametrize("opens", [time(12), time(12, 20)], ids=["now", "soon"])
    def test_with_an_open_slot_is_counted_once(self, brand, journal, opens):
        """The slot's turn and the message that is planned of it are the same."""
        Installation.objects.update(persons_per_day=2)
        campaign = self.a_second_slot(brand, first=opens, second=time(13), repeats_words=True)
        (said,) = check(campaign, journal).values()
        assert said["leaving"] == 4


class TestSomebodyLinkedByEMail:
    @pytest.mark.parametrize(
        ("writer", "waits"),
        [("the person", True), ("the owner", True), ("another lead of the owner's", False)],
    )
    def test_holds_it_while_a_text_is_not_read(self, brand, journal, writer, waits):
        owner = make_person()
        lead = make_lead(brand, email_person=owner)
        other = make_lead(brand, email_person=owner)
        writers = {"the person": lead.person, "the owner": owner}
        write_in(writers.get(writer, other.person))
        (said,) = check(a_campaign(brand, lead), journal).values()
        assert said["leaving"] == (0 if waits else 1)

    def test_holds_it_for_the_owner_while_the_leads_text_is_not_read(self, brand, journal):
        owner = make_lead(brand)
        write_in(make_lead(brand, email_person=owner.person).person)
        (said,) = check(a_campaign(brand, owner), journal).values()
        assert said["expired"] == {"inbound_waiting": 1}


class TestCampaignsThatAreNotPlannedYet:
    """They are named, for what they will send is not in the figures."""

    def opened(self, brand, lead_list, *, at=time(15), **fields):
        campaign = make_campaign(brand, lead_list, text="Hallo", **fields)
        open_slot(campaign, on=DAY, at=at)
        return campaign

    def test_to_the_same_list(self, brand):
        campaign = a_campaign(brand, *make_leads(brand, 2))
        other = self.opened(brand, campaign.lead_list)
        assert forecast(campaign).unplanned == [other]

    def test_to_a_list_that_shares_somebody(self, brand):
        one, two, three = make_leads(brand, 3)
        other = self.opened(brand, make_list(brand, two, three))
        self.opened(brand, make_list(brand, three), name="To others")
        assert forecast(a_campaign(brand, one, two)).unplanned == [other]

    def test_in_some_places_only(self, brand):
        east, west = make_lead(brand), make_lead(brand, places=make_places("America/Los_Angeles"))
        other = self.opened(brand, make_list(brand, east, west), at=time(12))
        plan_open_slots()
        assert forecast(a_campaign(brand, west)).unplanned == [other]
        assert forecast(a_campaign(brand, east)).unplanned == []

    def test_but_neither_its_own_nor_paused_nor_planned_nor_draft_ones(self, brand):
        campaign = a_campaign(brand, *make_leads(brand, 2))
        self.opened(brand, campaign.lead_list, paused_at=NOON)
        self.opened(brand, campaign.lead_list, at=time(12))
        plan_open_slots()
        add_slot(make_campaign(brand, campaign.lead_list))
        open_slot(campaign, on=DAY, at=time(16), ordinal=3)
        add_slot(campaign, ordinal=4)
        assert forecast(campaign).unplanned == []

    def test_stand_on_the_page(self, brand):
        campaign = a_campaign(brand, *make_leads(brand, 2))
        self.opened(brand, campaign.lead_list, name="Spring & summer")
        client = client_of(make_user(brand, "marketer"))
        page = client.get(reverse("start-campaign", args=[campaign.pk]))
        assert "have not been planned yet" in page.text
        assert "Spring &amp; summer" in page.text
