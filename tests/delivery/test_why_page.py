from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brands.models import Installation
from compliance import consent
from delivery import inbound
from delivery.models import Message
from delivery.person_page import NOBODY, Address, Problem, latest_messages, read_address
from delivery.planning import plan_open_slots
from delivery.states import Reason
from delivery.wording import DO
from leads.models import Lead
from providers.base import Accepted, InboundMessage
from tests.delivery import asking
from tests.delivery.asking import SUPPRESSED, URL, a_slot, opt_out, page_about, rejoin
from tests.delivery.texting import say, store
from tests.delivery.walking import come_back, hand_over
from tests.factories import make_brand, make_lead, make_number, make_person, make_route
from tests.plans import plan_by_indexes
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

brand = asking.brand  # a fixture
people = asking.people  # a fixture


def keeps_of(lead, user=None):
    return [keep.words for keep in page_about(lead, user).context["keeps"]]


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
        plan = plan_by_indexes(latest_messages(7)[:20])
        assert "one_message_per_person_campaign_slot" in plan
        assert "Sort Key: created_at DESC" in plan


# --- in a browser -------------------------------------------------------------------------------


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
