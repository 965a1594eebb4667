from __future__ import annotations

from datetime import date, time, timedelta

import pytest

from brands.models import Brand, Installation
from campaigns.models import Campaign
from campaigns.starting import CannotStart, start
from compliance import consent
from compliance.models import Person
from delivery import forecast as forecasting
from delivery.forecast import TooLong, forecast
from delivery.models import Due, Message
from delivery.planning import plan_open_slots
from delivery.steps import hash_of_words
from leads.models import Lead
from providers.models import ProviderAccount, SenderNumber
from tests.delivery.foreseeing import (
    HOUR,
    MINUTE,
    a_campaign,
    acme,
    add_slot,
    check,
    foreseen,
    happened,
    of_slot,
    sent,
    walk,
    write_in,
)
from tests.factories import (
    DAY,
    NOON,
    make_account,
    make_campaign,
    make_lead,
    make_leads,
    make_list,
    make_number,
    make_person,
    make_places,
    open_slot,
)

pytestmark = pytest.mark.django_db

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"
FAR_AWAY = ("Asia/Kolkata", "Pacific/Auckland")  # with New York, no hour suits all


@pytest.fixture
def brand(sandbox):
    return acme()


def opt_out(person):
    consent.opt_out([person.pk], source="staff")


TEXT = "Hi {first_name}, in {city|your town}: {link}"


def people_of_every_kind(brand):
    """One lead of each kind; more of those who get it."""
    words = hash_of_words("Hi Ada, in your town: ")
    leads = {
        "good": make_lead(brand),
        "in Los Angeles": make_lead(brand, places=make_places(LOS_ANGELES)),
        "twice in New York and Los Angeles": make_lead(
            brand, places=make_places(NEW_YORK, LOS_ANGELES)
        ),
        "opted out": make_lead(brand),
        "opted out and back": make_lead(brand),
        "opted out by the e-mail's owner": make_lead(brand, email_person=make_person()),
        "undeliverable": make_lead(brand),
        "asleep": make_lead(brand),
        "switched off": make_lead(brand, status="inactive"),
        "without consent": make_lead(brand, consent=None),
        "e-mail only": make_lead(brand, make_person(phone=None, email="ada@example.com")),
        "nowhere": make_lead(brand, places=None),
        "awake when it is over": make_lead(brand, places=make_places("Asia/Tokyo", NEW_YORK)),
        "never awake": make_lead(brand, places=make_places(NEW_YORK, *FAR_AWAY)),
        "without a name": make_lead(brand, first_name=""),
        "with blanks for a name": make_lead(brand, first_name="  "),
        "on hold": make_lead(brand),
        "on hold without consent": make_lead(brand, consent=None),
        "on hold by the e-mail's owner": make_lead(brand, email_person=make_person()),
        "has just written": make_lead(brand),
        "whose e-mail's owner has just written": make_lead(brand, email_person=make_person()),
        "had one an hour before": make_lead(brand),
        "had three today": make_lead(brand),
        "had six this week": make_lead(brand),
        "had three, but yesterday": make_lead(brand),
        "had the same words today": make_lead(brand),
        "had the same words yesterday": make_lead(brand),
    }

    def person(kind):
        return Person.objects.filter(pk=leads[kind].person_id)

    opt_out(leads["opted out"].person)
    opt_out(leads["opted out and back"].person)
    consent.rejoin(leads["opted out and back"].person_id, brand_id=brand.pk, wording="JOIN")
    opt_out(leads["opted out by the e-mail's owner"].email_person)
    consent.mark_undeliverable([leads["undeliverable"].person_id])
    person("asleep").update(sunset_at=NOON)
    consent.hold([leads["on hold"].person_id], reason="unclear")
    consent.hold([leads["on hold without consent"].person_id], reason="unclear")
    consent.hold([leads["on hold by the e-mail's owner"].email_person_id], reason="unclear")
    write_in(leads["has just written"].person)
    write_in(leads["whose e-mail's owner has just written"].email_person)
    day, before = DAY.isoformat(), NOON - HOUR
    person("had one an hour before").update(recent=sent((NOON, "x", day)))
    person("had three today").update(recent=sent(*[(NOON - n * HOUR, "x", day) for n in (4, 3, 2)]))
    person("had six this week").update(
        recent=sent(*[(NOON - timedelta(days=n), "x", "") for n in range(6, 0, -1)])
    )
    person("had three, but yesterday").update(
        recent=sent(*[(NOON - n * HOUR, "x", "") for n in (27, 26, 25)])
    )
    person("had the same words today").update(recent=sent((before, words, day)))
    person("had the same words yesterday").update(recent=sent((before, words, "2035-03-06")))
    return list(leads.values())


class TestIsWhatHappens:
    """The forecast, then the same campaign through the planner and the walk."""

    def test_to_people_of_every_kind(self, brand, journal):
        campaign = a_campaign(brand, *people_of_every_kind(brand), text=TEXT)
        (said,) = check(campaign, journal).values()
        assert said == {
            "suppressed": {"opted_out": 1, "undeliverable": 1, "sunset": 1, "lead_inactive": 1},
            "refused": {
                "opted_out": 1,
                "no_consent": 1,
                "no_address": 1,
                "no_place": 1,
                "no_common_window": 1,
                "cannot_render": 2,
                "same_words": 1,
            },
            "expired": {
                "person_held": 3,
                "inbound_waiting": 2,
                "person_limit": 2,
                "quiet_hours": 1,
            },
            "leaving": 7,
            "audience": 23,
        }

    def test_to_people_in_many_places_when_it_is_late_already(self, brand, journal):
        east = make_leads(brand, 2)
        west = make_leads(brand, 3, places=make_places(LOS_ANGELES))
        campaign = make_campaign(brand, make_list(brand, *east, *west))
        campaign.lead_list.listentry_set.update(added_at=NOON - 5 * HOUR)
        add_slot(campaign, local_time=time(9), length_minutes=60)
        (said,) = check(campaign, journal).values()
        assert (said["expired"], said["leaving"]) == ({"no_capacity": 2}, 3)

    def test_to_who_came_when_it_was_over(self, brand, journal):
        campaign = make_campaign(brand, make_list(brand, *make_leads(brand, 2)))
        campaign.lead_list.listentry_set.update(added_at=NOON - 5 * HOUR)
        for lead in [make_lead(brand), make_lead(brand, places=make_places(LOS_ANGELES))]:
            campaign.lead_list.listentry_set.create(lead=lead, places=lead.places)
        add_slot(campaign, local_time=time(9), length_minutes=60)
        (said,) = check(campaign, journal).values()
        assert (said["audience"], said["expired"]) == (3, {"no_capacity": 2})

    @pytest.mark.parametrize(
        ("at", "text", "later"),
        [
            (time(13, 30), "Hi {first_name}", {"expired": {"person_limit": 2}}),
            (time(17), "Hi {first_name}", {"refused": {"same_words": 2}}),
        ],
        ids=["within-the-gap", "same-words"],
    )
    def test_of_two_slots_on_a_day(self, brand, journal, at, text, later):
        campaign = a_campaign(brand, *make_leads(brand, 2), text=text)
        add_slot(campaign, ordinal=2, local_time=at, length_minutes=30)
        first, second = check(campaign, journal).values()
        assert first["leaving"] == 2
        assert second == {**second, "leaving": 0, "audience": 2, **later}

    def test_of_slots_that_repeat_their_words(self, brand, journal):
        campaign = a_campaign(brand, *make_leads(brand, 2), repeats_words=True)
        add_slot(campaign, ordinal=2, local_time=time(16))
        assert [one["leaving"] for one in check(campaign, journal).values()] == [2, 2]

    def test_of_more_slots_than_a_person_may_get(self, brand, journal):
        Installation.objects.update(persons_per_day=2, person_gap_minutes=10)
        campaign = a_campaign(brand, *make_leads(brand, 2), repeats_words=True)
        had = make_lead(brand)
        Person.objects.filter(pk=had.person_id).update(recent=sent((NOON - HOUR, "x", "")))
        campaign.lead_list.listentry_set.create(lead=had, places=had.places)
        for ordinal, hour in ((2, 14), (3, 15)):
            add_slot(campaign, ordinal=ordinal, local_time=time(hour))
        said = check(campaign, journal).values()
        assert [one["leaving"] for one in said] == [3, 2, 0]

    def test_after_a_slot_that_is_open_already(self, brand, journal):
        campaign = make_campaign(brand, make_list(brand, *make_leads(brand, 2)))
        open_slot(campaign, on=DAY, at=time(13))
        later = add_slot(campaign, ordinal=2, local_time=time(16))
        said = foreseen(of_slot(campaign))
        start(campaign)
        walk(campaign, journal, until=NOON + 10 * HOUR)
        assert happened(later) == said
        assert said["refused"] == {"same_words": 2}

    def test_of_texts_that_are_too_long_for_some(self, brand, journal):
        room = 1600 - len(" Reply STOP to opt out") - len("https://go.example.com/abcdefgh")
        short, long = make_lead(brand, first_name="y" * 10), make_lead(brand, first_name="y" * 11)
        text = "{first_name}" + "x" * (room - 10) + "{link}"
        (said,) = check(a_campaign(brand, short, long, text=text), journal).values()
        assert (said["refused"], said["leaving"]) == ({"too_long": 1}, 1)

    def test_of_a_slot_before_the_hours(self, brand, journal):
        Brand.objects.update(opens=time(14), sunday_opens=time(14))
        campaign = make_campaign(brand, make_list(brand, *make_leads(brand, 2)))
        add_slot(campaign, length_minutes=45)
        add_slot(campaign, local_date=date(2035, 3, 8), local_time=time(13, 30))
        campaign.refresh_from_db()
        too_early, waits = check(campaign, journal, until=NOON + 34 * HOUR).values()
        assert too_early["expired"] == {"quiet_hours": 2}
        assert waits["leaving"] == 2

    def test_of_a_daily_cap(self, brand, journal):
        campaign = a_campaign(brand, *make_leads(brand, 5), daily_cap=3)
        (said,) = check(campaign, journal).values()
        assert (said["expired"], said["leaving"]) == ({"campaign_cap": 2}, 3)

    def test_of_numbers_that_are_paused_in_part(self, brand, journal):
        route = brand.route_set.get()
        route.numbers.create(number=make_number(paused_at=NOON))
        (said,) = check(a_campaign(brand, *make_leads(brand, 4)), journal).values()
        assert said["leaving"] == 4


class TestWhen:
    def test_the_first_and_the_last_leave(self, brand):
        SenderNumber.objects.update(segments_per_second=1)
        west = make_leads(brand, 11, places=make_places(LOS_ANGELES))
        one = of_slot(a_campaign(brand, *make_leads(brand, 5), *west))
        assert one.first_at == NOON + HOUR
        assert one.last_at == NOON + 4 * HOUR + timedelta(seconds=10)

    def test_the_numbers_are_too_slow_for_all(self, brand):
        SenderNumber.objects.update(segments_per_second=0.01)
        one = of_slot(a_campaign(brand, *make_leads(brand, 200)))
        assert one.leaving == pytest.approx(144, abs=1)  # four hours at one in 100 seconds
        assert one.expiring == {"no_capacity": 200 - one.leaving}

    def test_what_waits_there_already_goes_first(self, brand):
        SenderNumber.objects.update(segments_per_second=1)
        before = make_campaign(brand, make_list(brand, *make_leads(brand, 60)), text="Hallo")
        open_slot(before, on=DAY, at=time(12))
        plan_open_slots()
        Due.objects.update(not_before=NOON + HOUR)
        told = forecast(a_campaign(brand, *make_leads(brand, 2)))
        assert told.ahead == 60
        assert told.last_at == NOON + HOUR + timedelta(seconds=61)

    def test_a_slot_that_is_due_now_leaves_now(self, brand):
        campaign = make_campaign(brand, make_list(brand, make_lead(brand)))
        add_slot(campaign, local_time=time(11))
        assert NOON <= of_slot(campaign).first_at < NOON + MINUTE

    def test_who_had_enough_lately_leaves_later(self, brand):
        lead = make_lead(brand)
        Person.objects.update(recent=sent((NOON, "x", "")))
        one = of_slot(a_campaign(brand, lead))
        assert (one.leaving, one.late) == (1, 1)
        assert one.first_at == NOON + 2 * HOUR


class TestWhatItCosts:
    def test_is_the_largest_message_for_each_who_gets_one(self, brand):
        text = "{first_name|" + "y" * 20 + "}" + "x" * 120  # 21 of the opt-out line and a blank
        told = forecast(a_campaign(brand, *make_leads(brand, 3), text=text))
        assert told.segments == 2
        assert told.costs_micros == (30_000, 30_000)

    def test_is_a_range_where_accounts_differ(self, brand):
        dear = make_number(make_account(price_micros=8000))
        brand.route_set.get().numbers.create(number=dear)
        told = forecast(a_campaign(brand, *make_leads(brand, 10)))
        assert told.costs_micros == (50_000, 80_000)

    def test_counts_nobody_who_gets_none(self, brand):
        told = forecast(a_campaign(brand, make_lead(brand), make_lead(brand, consent=None)))
        assert (told.people, told.leaving) == (2, 1)


class TestHowFast:
    @pytest.mark.parametrize(
        ("account", "of_brand", "speed"),
        [(None, None, 50), (20, None, 40), (None, 10, 10), (20, 1000, 40)],
        ids=["the-numbers", "their-account", "the-brand", "the-least-of-all"],
    )
    def test_is_the_numbers_as_far_as_account_and_brand_let_them(
        self, brand, account, of_brand, speed
    ):
        SenderNumber.objects.update(segments_per_second=30)
        second = make_number(make_account(segments_per_second=None), segments_per_second=20)
        brand.route_set.get().numbers.create(number=second)
        ProviderAccount.objects.exclude(pk=second.account_id).update(segments_per_second=account)
        Brand.objects.update(segments_per_second=of_brand)
        campaign = a_campaign(Brand.objects.get())
        assert forecast(campaign).segments_per_second == speed


class TestTheForecast:
    def test_takes_as_many_statements_for_many_as_for_few(self, brand, statements):
        few, many = a_campaign(brand, *make_leads(brand, 2)), a_campaign(brand)
        many.lead_list.listentry_set.bulk_create(
            many.lead_list.listentry_set.model(
                lead_list=many.lead_list, lead=lead, places=lead.places
            )
            for lead in make_leads(brand, 300)
        )
        forecast(few)
        assert statements(lambda: forecast(few)) == statements(lambda: forecast(many)) < 25

    def test_changes_nothing(self, brand):
        campaign = a_campaign(brand, *make_leads(brand, 2))
        forecast(campaign)
        assert not Message.objects.exists()
        assert not Due.objects.exists()
        assert campaign.slots.get().state == "draft"

    def test_of_an_empty_list_is_nobody(self, brand):
        told = forecast(a_campaign(brand))
        assert (told.people, told.leaving, told.first_at) == (0, 0, None)
        assert len(told.slots) == 1

    def test_needs_a_route(self, brand):
        brand.route_set.update(is_default=False)
        with pytest.raises(CannotStart, match="Route"):
            forecast(a_campaign(brand))

    def test_is_given_up_when_it_takes_too_long(self, brand, monkeypatch):
        campaign = a_campaign(brand, *make_leads(brand, 2))
        monkeypatch.setattr(forecasting, "PATIENCE_MS", 30)
        monkeypatch.setattr("delivery.ahead.AHEAD", "SELECT pg_sleep(5), %(now)s")
        with pytest.raises(TooLong):
            forecast(campaign)
        assert Lead.objects.count() == 2  # the connection goes on

    def test_is_not_for_people_who_differ_too_much(self, brand, monkeypatch):
        monkeypatch.setattr("delivery.audience.MOST", 2)
        places = [make_places(), make_places(LOS_ANGELES)]
        with pytest.raises(TooLong):
            forecast(a_campaign(brand, *(make_lead(brand, places=one) for one in places)))

    def test_reads_a_text_as_the_steps_do(self, brand, journal):
        """Per cents, braces in names and odd fall-backs do no harm."""
        lead = make_lead(brand, first_name="50% {off}", city="  Reno ")
        campaign = a_campaign(brand, lead, text="100% {first_name}|{city|}|{state|%s} {brand}")
        assert of_slot(campaign).leaving == 1
        assert Campaign.objects.count() == 1
