"""E-mail on the pages of messages, of people, and of tests."""

from __future__ import annotations

import pytest

from compliance.models import ConsentEvent, Person
from delivery import absence
from delivery.models import Attempt, Message, SingleText
from delivery.outcomes import Settled, apply_reports, record
from delivery.planning import plan_open_slots
from delivery.wording import MAIL_MEANS
from leads.models import Lead
from providers.base import Accepted
from providers.base import Status as Word
from tests.delivery import mailing
from tests.delivery.mailing import mailbox, make_mail_campaign, make_mail_slot, make_reader
from tests.delivery.walking import assert_all_adds_up, hand_over, reported
from tests.factories import NOON, make_lead, make_person
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

# Fixtures.
brand = mailing.brand
sender = mailing.sender

OWN = "robin@example.com"


@pytest.fixture
def lead(brand, sender):
    return make_reader(brand, person={"email": "ada@example.com"}, city="Troy")


@pytest.fixture
def message(lead):
    make_mail_slot(lead.brand, lead)
    plan_open_slots()
    message = Message.objects.get()
    page_of(message)  # the first takes its time, and a batch's time-outs last as long as a test
    return message


def page_of(message, user=None):
    return client_of(user or make_user()).get(f"/admin/delivery/message/{message.pk}/change/")


class TestThePageOfAMessage:
    def test_shows_address_channel_subject_and_html(self, message, journal):
        (intent,) = hand_over(journal)
        page = page_of(message)
        assert (page.context["to"], page.context["channel"]) == ("ada@example.com", "E-mail")
        assert page.context["sending"] == "An e-mail of a campaign"
        assert intent.send.subject in page.text
        assert intent.send.unsubscribe_url in page.text
        assert 'sandbox=""' in page.text
        assert "segment" not in page.text.partition("Tries to send it")[0]

    def test_shows_what_it_would_say_before_it_is_sent(self, message):
        words = page_of(message).context["words"]
        assert words.mail.subject == "New jobs in Troy, Ada"
        assert words.text.endswith("/u/…")

    def test_shows_no_address_and_the_template_to_who_may_not_read_it(self, message, brand):
        page = page_of(message, make_user(brand, "analyst"))
        assert page.context["to"] == "a•••@example.com"
        assert page.context["words"].mail.subject == mailing.SUBJECT
        assert "ada@example.com" not in page.text

    def test_shows_the_mailbox_that_the_lead_names_beside(self, brand, sender):
        owner = make_person(phone=None, email=mailbox())
        make_mail_slot(brand, make_lead(brand, email_person=owner))
        plan_open_slots()
        assert page_of(Message.objects.get()).context["to"] == owner.email

    def test_tells_of_a_mailbox_where_it_was_delivered(self, message, journal):
        (intent,) = hand_over(journal)
        record([Settled(intent.attempt_id, intent.message_id, Accepted("Q1"))])
        apply_reports([reported(intent, Word.DELIVERED, provider_ref="Q1")])
        assert page_of(message).context["means"] == MAIL_MEANS[Word.DELIVERED]

    def test_stands_in_the_list_with_its_address(self, message):
        assert "ada@example.com" in client_of(make_user()).get("/admin/delivery/message/").text


class TestThePersonsPage:
    def why(self, person):
        return client_of(make_user()).get("/admin/why/", {"phone": person.phone}).context

    def test_tells_a_dead_mailbox_from_a_dead_phone(self, lead):
        Person.objects.update(email_undeliverable_at=NOON)
        (keep,) = self.why(lead.person)["keeps"]
        assert keep.words.startswith("E-mail: a•••@example.com does not exist, since Wed 7 Mar")

    def test_says_why_a_slot_of_email_left_them_out(self, lead):
        Person.objects.update(email_undeliverable_at=NOON)
        make_mail_slot(lead.brand, lead)
        plan_open_slots()
        (one,) = self.why(lead.person)["absences"]
        assert one.words == "Left out: the address does not work."

    @pytest.mark.parametrize("channel", ["sms", "email"])
    def test_each_channel_has_its_own_reason(self, lead, channel):
        person = lead.person
        person.undeliverable_at = NOON if channel == "sms" else None
        person.email_undeliverable_at = NOON if channel == "email" else None
        found = [bool(absence.suppressions(person, lead, None, one)) for one in ("sms", "email")]
        assert found == [channel == "sms", channel == "email"]


class TestATest:
    @pytest.fixture
    def campaign(self, brand, sender):
        return make_mail_campaign(brand)

    @pytest.fixture
    def staff(self, brand):
        return client_of(make_user(brand, "marketer"))

    def form(self, **changes):
        values = {"value_first_name": "Robin", "value_city": "Troy", "token": "t" * 24}
        return {"email": OWN, "agrees": "on", **values, **changes}

    def ask(self, staff, campaign, **changes):
        return staff.post(f"/admin/campaign/{campaign.pk}/test/", self.form(**changes))

    def test_goes_to_the_mailbox_of_who_asks(self, staff, campaign, journal):
        assert self.ask(staff, campaign, email=f" {OWN.upper()} ").status_code == 302
        (intent,) = hand_over(journal)
        assert (intent.send.to_email, intent.send.to_e164) == (OWN, "")
        assert intent.send.subject == "New jobs in Troy, Robin"
        assert "Robin" in intent.send.html
        assert_all_adds_up()

    def test_rests_on_a_consent_of_its_own_by_email(self, staff, campaign):
        self.ask(staff, campaign)
        single, event = SingleText.objects.get(), ConsentEvent.objects.get(channel="email")
        assert "my own e-mail address" in event.wording
        assert (single.channel, Lead.objects.get().consent) == ("email", None)

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"email": ""}, "email", "Type your own e-mail address."),
            ({"email": "robin at home"}, "email", "This is not an e-mail address."),
            ({"email": "a@example.com\nBcc: b@example.com"}, "email", "not an e-mail address"),
            ({"agrees": ""}, "agrees", "Tick this"),
        ],
    )
    def test_says_which_field_is_wrong(self, staff, campaign, changes, field, words):
        page = self.ask(staff, campaign, **changes)
        assert words in str(page.context["form"].errors[field])
        assert not Message.objects.exists()

    def test_to_a_dead_mailbox_is_refused(self, staff, campaign, journal):
        make_person(phone=None, email=OWN, email_undeliverable_at=NOON)
        self.ask(staff, campaign)
        assert hand_over(journal) == []
        assert Message.objects.get().reason == "undeliverable"

    def test_goes_ten_times_an_hour_to_one_mailbox(self, staff, campaign):
        for n in range(11):
            page = self.ask(staff, campaign, token=f"{n:024d}")
        assert "This mailbox got 10 tests" in str(page.context["form"].errors["email"])
        assert Message.objects.count() == 10

    def test_leads_to_the_pretend_mailbox(self, staff, campaign, sender):
        page = self.ask(staff, campaign)
        progress = staff.get(page.headers["location"]).text
        assert f'href="{sender.account.base_url}/mail#{OWN}"' in progress
        assert "Read it in the pretend mailbox" in progress

    def test_in_a_browser(self, page, site, brand, campaign, journal, provoked):
        provoked += ["Blocked script execution"]
        user = make_user(brand, "marketer")
        log_in(page, site, user)
        page.goto(f"{site}/admin/campaign/{campaign.pk}/test/")
        page.get_by_label("Your e-mail address").fill("nobody")
        page.get_by_role("button", name="Send me a test").click()
        page.get_by_text("This is not an e-mail address.").wait_for()
        shoot(page, "mail-test-wrong")
        page.get_by_label("Your e-mail address").fill(OWN)
        page.get_by_text("This is my own e-mail address").click()
        page.get_by_role("button", name="Send me a test").click()
        page.get_by_text(f"Your test to {OWN}").wait_for()
        hand_over(journal)
        page.locator("iframe").wait_for()
        shoot(page, "mail-test")
        log_in(page, site, make_user())
        page.goto(f"{site}/admin/delivery/message/{Message.objects.get().pk}/change/")
        page.get_by_text("Channel").wait_for()
        shoot(page, "mail-message")
        assert Attempt.objects.count() == 1
