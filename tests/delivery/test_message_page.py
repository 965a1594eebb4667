from __future__ import annotations

from datetime import timedelta

import pytest

from brands.models import Brand
from campaigns.models import Campaign
from delivery import sendings, steps
from delivery.models import Due, Inbound, Message
from delivery.outcomes import apply_reports
from delivery.planning import plan_open_slots
from delivery.states import Reason
from delivery.wording import DO, NEVER_AGAIN
from providers.base import Accepted, NotSent, Rejected, Unknown
from providers.base import ErrorClass as Class
from tests.delivery import asking
from tests.delivery.asking import HOUR, a_slot, opt_out
from tests.delivery.texting import later, say, store, texted
from tests.delivery.walking import come_back, hand_over, make_reply, reported
from tests.factories import NOON, make_brand, make_lead, make_number, make_person
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

brand = asking.brand  # a fixture
people = asking.people  # a fixture


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

        broken = tuple(add_link if one is steps.add_link else one for one in sendings.CAMPAIGN)
        monkeypatch.setitem(sendings.STEPS, "campaign", broken)
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


def message_of(lead):
    return Message.objects.get(lead=lead)


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
