from __future__ import annotations

from collections import Counter
from datetime import time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brands.models import Brand, Installation
from campaigns.models import Campaign, Slot
from compliance import consent
from compliance.models import Person
from delivery import inbound, planning, steps
from delivery.explain import Clock
from delivery.models import Due, Inbound, Message
from delivery.outcomes import apply_reports
from delivery.person_page import NOBODY, Address, Problem, latest_messages, read_address
from delivery.planning import plan_open_slots
from delivery.states import Reason
from delivery.wording import DO, NEVER_AGAIN
from leads.models import Lead, ListEntry
from providers.base import Accepted, InboundMessage, NotSent, Rejected, Unknown
from providers.base import ErrorClass as Class
from tests.delivery.texting import later, say, store, texted
from tests.delivery.walking import come_back, hand_over, make_reply, reported
from tests.factories import (
    DAY,
    NOON,
    make_account,
    make_brand,
    make_campaign,
    make_lead,
    make_leads,
    make_list,
    make_number,
    make_person,
    make_places,
    make_route,
    make_slot,
    set_clock,
)
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

URL = "/admin/why/"
LOS_ANGELES = "America/Los_Angeles"
HOUR = timedelta(hours=1)


@pytest.fixture
def brand(sandbox):
    brand = make_brand()
    make_route(brand, make_number(make_account(name="East")))
    return brand


def a_slot(brand, *leads, **fields):
    return make_slot(None, *leads, brand=brand, **fields)


def page_about(lead, user=None):
    return client_of(user or make_user()).get(URL, {"phone": lead.person.phone})


def absences_of(lead):
    return page_about(lead).context["absences"]


def keeps_of(lead, user=None):
    return [keep.words for keep in page_about(lead, user).context["keeps"]]


def opt_out(lead):
    consent.opt_out([lead.person_id], source="staff")


def rejoin(lead):
    consent.rejoin(lead.person_id, brand_id=lead.brand_id, wording="JOIN")


def undeliverable(lead):
    Person.objects.filter(pk=lead.person_id).update(undeliverable_at=NOON - HOUR)


def sunset(lead):
    Person.objects.filter(pk=lead.person_id).update(sunset_at=NOON - HOUR)


def switch_off(lead):
    Lead.objects.filter(pk=lead.pk).update(status="inactive")


def small(reason):
    return reason.label[:1].lower() + reason.label[1:]


SUPPRESSED = pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(opt_out, Reason.OPTED_OUT, id="opted-out"),
        pytest.param(undeliverable, Reason.UNDELIVERABLE, id="undeliverable"),
        pytest.param(sunset, Reason.SUNSET, id="sunset"),
        pytest.param(switch_off, Reason.LEAD_INACTIVE, id="switched-off"),
    ],
)


class TestTheBox:
    @pytest.mark.parametrize(
        "typed",
        ["+12125550100", "2125550100", "(212) 555-0100", "212.555.0100", " 1-212-555-0100 "],
    )
    def test_reads_a_number_in_any_form(self, typed):
        assert read_address(typed) == Address("+12125550100")

    def test_reads_an_address_in_any_case(self):
        assert read_address(" Ada@Example.com") == Address("ada@example.com", is_email=True)

    @pytest.mark.parametrize(
        "typed", ["hello", "12", "9" * 300, "800 555 0100", "a@", "@", "a\0@b.example", "\0"]
    )
    def test_says_why_it_is_none_and_keeps_what_was_typed(self, brand, typed):
        assert isinstance(read_address(typed[:254]), Problem)
        response = client_of(make_user()).get(URL, {"phone": typed})
        assert response.status_code == 200
        assert response.context["error"]
        assert response.context["typed"] == typed[:254]

    def test_asks_for_something_when_nothing_was_typed(self, brand):
        client = client_of(make_user())
        assert client.get(URL).context["error"] == ""
        assert client.get(URL, {"phone": " "}).context["error"]

    def test_finds_a_person_by_their_e_mail(self, brand):
        person = make_person(email="ada@example.com")
        make_lead(brand, person)
        response = client_of(make_user()).get(URL, {"phone": "Ada@example.com"})
        assert response.context["person"] == person


class TestWhoMayAsk:
    @pytest.mark.parametrize("role", ["analyst", "partner"])
    def test_is_for_who_may_read_numbers(self, brand, role):
        assert page_about(make_lead(brand), make_user(brand, role)).status_code == 403

    def test_an_unknown_and_a_foreign_person_are_the_same(self, brand):
        marketer = client_of(make_user(brand, "marketer"))
        foreign = make_lead(make_brand())
        answers = [
            marketer.get(URL, {"phone": phone}).context["nobody"]
            for phone in (foreign.person.phone, "+12125559999")
        ]
        assert answers == [NOBODY, NOBODY]

    def test_shows_rows_of_the_readers_brands_only(self, brand):
        lead, other = make_lead(brand), make_brand(name="Somebody else")
        make_route(other, make_number())
        elsewhere = make_lead(other, lead.person)
        a_slot(brand, lead)
        a_slot(other, elsewhere)
        plan_open_slots()
        consent.opt_out([lead.person_id], source="inbound", brand_id=other.pk)
        response = page_about(lead, make_user(brand, "marketer"))
        assert [one["message"].brand for one in response.context["messages_to"]] == [brand]
        assert [one["lead"] for one in response.context["brands"]] == [lead]
        assert "to another brand" in response.context["keeps"][0].detail
        assert "Somebody else" not in response.text

    def test_changes_nothing_by_a_post(self, brand):
        lead = make_lead(brand)
        response = client_of(make_user()).post(URL, {"phone": lead.person.phone})
        assert response.status_code == 405


class TestWhatKeepsMessagesAway:
    def test_nothing_does(self, brand):
        response = page_about(make_lead(brand))
        assert response.context["keeps"] == []
        assert "Nothing keeps messages from them" in response.text

    @SUPPRESSED
    def test_what_suppresses_them_is_said(self, brand, change, reason):
        lead = make_lead(brand)
        change(lead)
        (words,) = keeps_of(lead)
        assert words.startswith(("Opted out", reason.label))

    def test_an_opt_out_is_quoted_with_the_text_they_wrote(self, brand):
        lead, lane = make_lead(brand), brand.route_set.get().numbers.get().number
        lane.brand = brand
        lane.save()
        said = InboundMessage(
            provider_ref="SM1", from_e164=lead.person.phone, to_value=lane.value, text="stop it"
        )
        inbound.apply(inbound.store(lane.account_id, said, {}))
        (keep,) = page_about(lead).context["keeps"]
        assert "for all brands" in keep.words
        assert keep.detail == f"They texted “stop it” to {brand}. {DO[Reason.OPTED_OUT]}"

    def test_a_brand_they_joined_again_is_named(self, brand):
        lead = make_lead(brand)
        opt_out(lead)
        rejoin(lead)
        (words,) = keeps_of(lead)
        assert words.endswith(f"for all brands but {brand}, which they joined again")

    def test_whom_a_lead_names_beside_counts_too(self, brand):
        lead = make_lead(brand)
        beside = make_person(email="ada@example.com")
        Lead.objects.filter(pk=lead.pk).update(email_person=beside)
        consent.opt_out([beside.pk], source="staff")
        (words,) = keeps_of(lead)
        assert words.startswith("Somebody with the same e-mail address opted out")

    def test_whom_a_lead_names_beside_binds_the_brands_that_name_them(self, brand, journal):
        """The other brand goes on texting, so the page must not say that it does not."""
        beside, other = make_person(phone=None, email="ada@example.com"), make_brand(name="Rival")
        make_route(other, make_number())
        lead = make_lead(brand, email_person=beside)
        elsewhere = make_lead(other, lead.person)
        consent.opt_out([beside.pk], source="staff")
        (words,) = keeps_of(lead)
        assert words.endswith(f"only for {brand}, where the lead has that address")
        a_slot(brand, lead)
        a_slot(other, elsewhere)
        plan_open_slots()
        hand_over(journal)
        sent = Message.objects.exclude(status="refused")
        assert [message.brand for message in sent] == [other]

    def test_whom_a_lead_names_beside_binds_no_brand_that_they_joined_again(self, brand):
        beside = make_person(phone=None, email="ada@example.com")
        lead = make_lead(brand, email_person=beside)
        consent.opt_out([beside.pk], source="staff")
        consent.rejoin(lead.person_id, brand_id=brand.pk, wording="JOIN", linked=[beside.pk])
        assert keeps_of(lead) == []

    def test_a_hold_of_whom_a_lead_names_beside_is_of_the_brands_that_name_them(self, brand):
        beside = make_person(phone=None, email="ada@example.com")
        lead = make_lead(brand, email_person=beside)
        make_lead(make_brand(name="Rival"), lead.person)
        consent.hold([beside.pk], reason="A reply must be judged")
        (words,) = keeps_of(lead)
        assert f"is on hold, only for {brand}, where the lead has that address" in words

    def test_a_text_that_is_not_read_yet_holds_everything_and_is_not_shown(self, brand):
        """Whose words they are is not known before: the number may be another brand's."""
        lead = make_lead(brand)
        store(make_number(), lead.person, "my secret")
        response = page_about(lead, make_user(brand, "marketer"))
        (keep,) = response.context["keeps"]
        assert keep.words == "A text of theirs is being read; nothing is sent until then"
        assert keep.passes
        assert "my secret" not in response.text

    def test_a_text_that_was_read_holds_nothing(self, brand):
        lead = make_lead(brand)
        say(make_number(), lead.person, "hello")
        assert keeps_of(lead) == []

    def test_a_text_of_whom_a_lead_names_beside_holds_the_brands_that_name_them(self, brand):
        beside, lane = make_person(email="ada@example.com"), make_number()
        lead = make_lead(brand, email_person=beside)
        make_lead(make_brand(name="Rival"), lead.person)
        store(lane, beside, "my secret")
        assert keeps_of(lead) == [
            "A text of somebody with the same e-mail address is being read;"
            f" nothing is sent till then, only for {brand}, where the lead has that address"
        ]

    def test_a_text_of_who_names_them_beside_holds_everything(self, brand, journal):
        owner = make_person(email="ada@example.com")
        names_them, lead = make_lead(brand, email_person=owner), make_lead(brand, owner)
        a_slot(brand, lead)
        plan_open_slots()
        store(make_number(), names_them.person, "hello")
        assert keeps_of(lead) == [
            "A text of somebody with the same e-mail address is being read;"
            " nothing is sent until then"
        ]
        assert hand_over(journal) == []

    def test_a_hold_says_why(self, brand):
        lead = make_lead(brand)
        consent.hold([lead.person_id], reason="A reply must be judged")
        (words,) = keeps_of(lead)
        assert words.startswith("On hold since")
        assert words.endswith("a reply must be judged")

    def test_a_reached_limit_says_until_when(self, brand, journal):
        Installation.objects.update(person_gap_minutes=120)
        lead = make_lead(brand)
        a_slot(brand, lead)
        plan_open_slots()
        come_back(hand_over(journal), Accepted("SM1"))
        (words,) = keeps_of(lead)
        assert words.startswith("Had enough messages lately")
        assert "14:00 in New York (19:00 UTC)" in words

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [({"consent": None}, Reason.NO_CONSENT), ({"places": None}, Reason.NO_PLACE)],
        ids=["no consent", "no place"],
    )
    def test_what_a_lead_lacks_is_said(self, brand, fields, reason):
        lead = make_lead(brand, **fields)
        assert keeps_of(lead) == [f"{reason.label} ({brand})"]


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


class TestQueries:
    def test_are_as_many_for_much_as_for_little(self, brand):
        lead = make_lead(brand)
        client = client_of(make_user(brand, "marketer"))

        def queries():
            with CaptureQueriesContext(connection) as captured:
                client.get(URL, {"phone": lead.person.phone})
            return len(captured)

        a_slot(brand, lead)
        plan_open_slots()
        a_slot(brand)
        client.get(URL, {"phone": lead.person.phone})  # content types and the like are read once
        few = queries()
        for _ in range(5):
            a_slot(brand, lead)
        plan_open_slots()
        opt_out(lead)
        for _ in range(5):
            a_slot(brand, lead)
            a_slot(brand)
        plan_open_slots()
        rejoin(lead)
        response = client.get(URL, {"phone": lead.person.phone})
        assert len(response.context["messages_to"]) == 6
        assert len(response.context["absences"]) == 11
        assert queries() <= few + 1  # the opt-out itself

    def test_find_messages_by_the_index_on_the_person(self, brand):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = latest_messages(7)[:20].explain()
        assert "one_message_per_person_campaign_slot" in plan
        assert "Sort Key: created_at DESC" in plan


# --- the page of a message ----------------------------------------------------------------------


def url_of(message):
    return f"/admin/delivery/message/{message.pk}/change/"


def shown(message, user=None):
    return client_of(user or make_user()).get(url_of(message))


@pytest.fixture
def message(brand):
    lead = make_lead(brand, first_name="Ada")
    a_slot(brand, lead)
    plan_open_slots()
    return Message.objects.get()


class TestThePageOfAMessage:
    def words(self, response):
        return [line.words for line, _ in response.context["lines"]]

    def test_shows_what_was_sent_as_a_bubble(self, message, journal):
        (intent,) = hand_over(journal)
        assert intent.send.text in shown(message).text
        assert "1 segment" in shown(message).text

    def test_shows_what_it_would_say_before_it_is_sent(self, message):
        response = shown(message)
        words = response.context["words"]
        assert words.text.startswith("Hi Ada, see https://go")
        assert words.text.endswith("Reply STOP to opt out")
        assert words.note.startswith("Never sent")

    def test_shows_who_may_not_read_people_neither_number_nor_name_nor_words(
        self, message, journal
    ):
        (intent,) = hand_over(journal)
        text = shown(message, make_user(message.brand, "analyst")).text
        assert message.person.phone not in text
        assert intent.send.text not in text
        assert "Hi {first_name|there}" in text
        assert "Ada" not in text

    def test_a_refused_one_says_why_and_what_to_do(self, message, journal):
        opt_out(message.lead)
        hand_over(journal)
        response = shown(message)
        assert "Refused by our rules: the person opted out" in self.words(response)
        assert DO[Reason.OPTED_OUT] in response.text
        assert "As things stand it would say this" in response.text

    def test_a_held_one_says_until_when(self, message, journal):
        Brand.objects.update(daily_cap=0)
        hand_over(journal)
        waits = self.words(shown(message))[-1]
        assert waits.startswith("Waits: the brand's daily cap is reached, until Thu 8 Mar 2035")

    def test_one_that_waits_says_what_is_in_its_way_now(self, message):
        Campaign.objects.update(paused_at=NOON)
        assert self.words(shown(message))[-1] == "In its way right now: the campaign is paused"

    def test_a_delivered_one(self, message, journal):
        (intent,) = hand_over(journal)
        come_back([intent], Accepted(f"SM{intent.send.ref}"))
        apply_reports([reported(intent)])
        assert self.words(shown(message))[1:] == [
            f"Given to East, to leave from {intent.send.from_value}",
            "East took it",
            "East reported: delivered",
        ]

    def test_an_unknown_one(self, message, journal):
        come_back(hand_over(journal), Unknown("503"))
        response = shown(message)
        assert NEVER_AGAIN in response.text

    def test_a_rejected_one(self, message, journal):
        come_back(hand_over(journal), Rejected(Class.PERMANENT_RECIPIENT, "21610"))
        assert (
            "East refused it: the person has opted out with the provider (code 21610)"
            in self.words(shown(message))
        )

    def test_an_answer_of_ours(self, message, brand):
        answer = make_reply(message.person, brand, Due.objects.get().lane)
        Inbound.objects.update(text="STOP")
        response = shown(answer)
        assert self.words(response)[0] == "The person texted “STOP”, and this is our answer"
        assert "opted out" in response.context["words"].text

    def test_an_error_of_ours_names_the_rule_it_happened_in(self, message, journal, monkeypatch):
        def add_link(draft, facts):
            raise RuntimeError

        broken = tuple(add_link if one is steps.add_link else one for one in steps.CAMPAIGN)
        monkeypatch.setitem(steps.STEPS, "campaign", broken)
        hand_over(journal)
        found = shown(message).context["steps"]
        assert [step.words for step in found if step.state.name == "WAITS"] == [
            "It gets its personal link"
        ]

    def test_what_they_wrote_back_to_its_brand_is_shown(self, journal):
        lane, brand, person = make_number(), make_brand(), make_person()
        message = texted(person, lane, brand, journal)
        say(lane, person, "who is this?")
        found = self.words(shown(message, make_user(brand, "marketer")))
        assert "The person wrote “who is this?”" in found

    @pytest.mark.parametrize("keep", [say, store], ids=["read", "not read yet"])
    def test_what_they_wrote_to_another_brand_on_the_number_is_not_shown(self, journal, keep):
        """Numbers are shared: a text answers the brand that texted last."""
        lane, brand, person = make_number(), make_brand(), make_person()
        message = texted(person, lane, brand, journal)
        later(timedelta(minutes=1))
        texted(person, lane, make_brand(), journal)
        keep(lane, person, "my secret")
        response = shown(message, make_user(brand, "marketer"))
        assert "my secret" not in response.text
        assert not any("The person wrote" in words for words in self.words(response))

    def test_a_foreign_and_a_missing_one_are_not_there(self, message):
        stranger = client_of(make_user(make_brand(), "admin"))
        missing = url_of(message).replace(str(message.pk), "999999")
        for url in (url_of(message), missing, "/admin/delivery/message/x/change/"):
            assert stranger.get(url).status_code == 404

    def test_is_never_changed(self, message):
        assert client_of(make_user()).post(url_of(message)).status_code == 403

    def test_reads_as_much_for_many_tries_as_for_one(self, message, journal, statements):
        user = make_user()
        client = client_of(user)
        come_back(hand_over(journal), NotSent("x"))
        client.get(url_of(message))
        one = statements(lambda: client.get(url_of(message)))
        for _ in range(3):
            Due.objects.update(not_before=NOON - HOUR)
            come_back(hand_over(journal), NotSent("x"))
        assert message.attempts.count() == 4
        assert statements(lambda: client.get(url_of(message))) == one


# --- in a browser -------------------------------------------------------------------------------


@pytest.fixture
def people(site, journal):
    """Messages of four fates, and somebody who gets none; by name."""
    brand = make_brand(name="Harbour Jobs")
    lane = make_number(make_account(name="Twilio east"), brand=brand)
    make_route(brand, lane)
    names = ("Ada", "Ben", "Cleo", "Dan")
    leads = {name: make_lead(brand, first_name=name, source="Spring fair") for name in names}
    a_slot(brand, *leads.values(), name="Nurses in New York, early shift")
    plan_open_slots()
    opt_out(leads["Ben"])
    sent = {one.send.to_e164: one for one in hand_over(journal)}
    ada, cleo = (sent[leads[name].person.phone] for name in ("Ada", "Cleo"))
    come_back([ada], Accepted(f"SM{ada.send.ref}"))
    apply_reports([reported(ada)])
    come_back([cleo], Unknown("503"))
    come_back([sent[leads["Dan"].person.phone]], NotSent("30", throttled=True, retry_after=300))
    a_slot(brand, make_lead(brand), name="Drivers")
    a_slot(brand, leads["Ada"], name="Evening shift", at=time(19))
    said = InboundMessage(
        provider_ref="SM-in", from_e164=ada.send.to_e164, to_value=lane.value, text="who is this?"
    )
    inbound.apply(inbound.store(lane.account_id, said, {}))
    return leads


def message_of(lead):
    return Message.objects.get(lead=lead)


def test_the_box_finds_a_person_and_says_why(page, site, people):
    log_in(page, site, make_user())
    digits = people["Ada"].person.phone[2:]
    page.goto(f"{site}{URL}")
    shoot(page, "why-empty")
    box = page.get_by_label("Phone number or e-mail address")
    box.fill("212 555 01000")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("No phone number has this many digits.").wait_for()
    assert box.input_value() == "212 555 01000"
    shoot(page, "why-wrong")
    box.fill("212 555 9999")
    page.get_by_role("button", name="Find").click()
    page.get_by_text(NOBODY).wait_for()
    shoot(page, "why-nobody")
    box.fill(f"({digits[:3]}) {digits[3:6]}-{digits[6:]}")
    page.get_by_role("button", name="Find").click()
    page.get_by_text("It reached the phone.").wait_for()
    page.get_by_text("Not on the list").wait_for()
    page.get_by_text("Not planned yet: due Wed 7 Mar 2035, 19:00 in New York").wait_for()
    page.get_by_text("who is this?").wait_for()
    shoot(page, "why-person")
    page.get_by_role("link", name="Nurses in New York, early shift").first.click()
    page.get_by_text("Twilio east reported: delivered").wait_for()


def test_somebody_who_opted_out(page, site, people):
    log_in(page, site, make_user())
    page.goto(f"{site}{URL}?phone={people['Ben'].person.phone.replace('+', '%2B')}")
    page.get_by_text("Only the person can change that").wait_for()
    shoot(page, "why-opted-out")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("Ada", "It reached the phone.", id="delivered"),
        pytest.param("Ben", "Refused by our rules: the person opted out", id="refused"),
        pytest.param("Cleo", "Nobody knows whether Twilio east took it", id="unknown"),
        pytest.param("Dan", "Waits: the provider asked us to wait, until", id="held"),
    ],
)
def test_the_page_of_a_message(page, site, people, name, words):
    log_in(page, site, make_user())
    page.goto(f"{site}{url_of(message_of(people[name]))}")
    page.get_by_text(words).first.wait_for()
    shoot(page, f"message-{name.lower()}")
    if name == "Dan":
        page.emulate_media(color_scheme="dark")
        page.reload()
        shoot(page, "message-dark")


def test_the_list_of_messages(page, site, people):
    log_in(page, site, make_user(people["Ada"].brand, "analyst"))
    page.goto(f"{site}/admin/delivery/message/")
    page.get_by_text("Refused by our rules").first.wait_for()
    shoot(page, "messages")
