"""None"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

import pytest

from brands.models import Brand, Membership
from campaigns.models import Template
from campaigns.rendering import Mail
from delivery import singles, upkeep
from delivery.models import Due, Message
from delivery.states import Reason, Status
from delivery.testing_story import ADVICE, GOING, TONE_OF, story
from delivery.wording import DO, MEANS, TONES
from leads.models import Lead
from providers.base import Accepted, ErrorClass, Rejected, Unknown
from tests.delivery import singles_asked, testing_asked, texting, walking
from tests.delivery.singles_asked import TEXT
from tests.delivery.testing_asked import OWN, form
from tests.factories import (
    NOON,
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_person,
    set_clock,
)
from tests.reporting.world import raw
from tests.staff import client_of, make_user

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

staff = testing_asked.staff
work = testing_asked.work

# Fixtures: what can be sent.
brand = singles_asked.brand
lane = singles_asked.lane
campaign = singles_asked.campaign


@pytest.fixture
def url(campaign):
    return f"/admin/campaign/{campaign.pk}/test/"


def alerts(html):
    """What the page says is wrong."""
    return re.findall(r'class="so-(?:error|note so-bad)"[^>]*>([^<]*)<', html)


class TestTheForm:
    def test_shows_the_very_text_for_an_invented_person(self, staff, url, campaign):
        html = staff.get(url).text
        seen = singles.preview(
            campaign, Mail("", TEXT), {"first_name": "Robin", "city": "Springfield"}
        )
        assert seen.text in html
        assert "1 segment<" in html

    def test_asks_for_the_names_in_the_text_alone(self, staff, url):
        names = re.findall(r'name="value_(\w+)"', staff.get(url).text)
        assert names == ["first_name", "city"]

    def test_offers_the_number_of_the_last_test(self, staff, url):
        assert f'value="{OWN}"' not in staff.get(url).text
        staff.post(url, form())
        assert f'value="{OWN}"' in staff.get(url).text

    def test_says_when_a_phone_on_a_list_gets_tests(self, staff, url):
        assert "A phone that is on a list gets tests only in sending hours" in staff.get(url).text

    def test_does_not_offer_a_colleagues_number(self, staff, url, brand):
        client_of(make_user(brand, "admin")).post(url, form())
        assert OWN not in staff.get(url).text

    def test_the_preview_follows_what_is_typed(self, staff, url):
        html = staff.get(url, {"value_first_name": "Kim"}, headers={"HX-Request": "true"}).text
        assert html.startswith("<section")
        assert "Hi Kim, your town has work" in html

    def test_the_preview_says_what_is_missing(self, staff, url):
        html = staff.get(url, {"value_city": "Troy"}, headers={"HX-Request": "true"}).text
        assert alerts(html) == ["First name: The text needs a value here."]

    def test_shows_markup_in_a_value_as_text(self, staff, url):
        seen = {"value_first_name": "<b>Kim</b>"}
        html = staff.get(url, seen, headers={"HX-Request": "true"}).text
        assert "<b>Kim" not in html
        assert "&lt;b&gt;Kim" in html

    def test_asks_the_database_a_fixed_number_of_times(self, staff, url, brand, statements):
        staff.get(url)
        before = statements(lambda: staff.get(url))
        for n in range(5):
            staff.post(url, form(token=str(n) * 24))
        assert statements(lambda: staff.get(url)) == before


class TestSending:
    def test_plans_one_test_and_shows_it(self, staff, url):
        response = staff.post(url, form())
        message = Message.objects.get()
        assert response.url == f"{url}{message.pk}/"
        assert message.person.phone == OWN
        assert message.single.values == {"first_name": "Robin", "city": "Troy"}

    def test_a_double_click_plans_one(self, staff, url):
        assert staff.post(url, form()).url == staff.post(url, form()).url
        assert Due.objects.count() == 1

    def test_the_next_form_plans_another(self, staff, url):
        for _ in range(2):
            token = re.search(r'name="token" value="([^"]+)"', staff.get(url).text)[1]
            staff.post(url, form(token=token))
        assert Due.objects.count() == 2

    @pytest.mark.parametrize("token", [None, "", "x", "x" * 5000, "é" * 30])
    def test_without_a_token_of_ours_it_is_sent_all_the_same(self, staff, url, token):
        staff.post(url, form(token=token))
        assert Due.objects.count() == 1

    def test_reads_a_number_however_it_is_typed(self, staff, url):
        staff.post(url, form(phone=" (212) 555-0143 "))
        assert Message.objects.get().person.phone == OWN


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            pytest.param({"phone": ""}, "Type the number of your own phone.", id="no-phone"),
            pytest.param(
                {"phone": "call me"}, "This does not read as one phone number.", id="words"
            ),
            pytest.param(
                {"phone": "+1 800 555 0143"}, "Toll-free numbers are not texted.", id="toll-free"
            ),
            pytest.param(
                {"agrees": None},
                "Tick this: a test goes only to whoever agreed to get it.",
                id="not-agreed",
            ),
            pytest.param({"value_first_name": " "}, "The text needs a value here.", id="no-value"),
        ],
    )
    def test_says_which_field_and_why_and_keeps_what_was_typed(self, staff, url, changes, says):
        html = staff.post(url, form(value_city="Kept & safe", **changes)).text
        assert says in alerts(html)
        assert 'value="Kept &amp; safe"' in html
        assert not Message.objects.exists()
        assert not Lead.objects.exists()

    @pytest.mark.parametrize("name", ["phone", "value_first_name"])
    @pytest.mark.parametrize("value", ["x" * 5000, "\x00", "\ufffe"])
    def test_is_never_an_error_of_ours(self, staff, url, name, value):
        assert staff.post(url, form(**{name: value})).status_code in (200, 302)

    def test_a_campaign_without_a_text_says_so(self, staff, url, campaign, brand):
        empty = Template.objects.create(brand=brand, name="Empty")
        type(campaign).objects.update(template=empty)
        for response in (staff.get(url), staff.post(url, form())):
            assert "it has no text yet" in alerts(response.text)[0]

    def test_a_campaign_without_a_route_says_so(self, staff, url, brand):
        brand.route_set.update(is_default=False)
        for response in (staff.get(url), staff.post(url, form())):
            assert "Route" in alerts(response.text)[0]
        assert f'value="{OWN}"' in response.text

    def test_the_limit_of_tests_stands_by_the_phone(self, staff, url):
        for n in range(10):
            staff.post(url, form(token=f"{n:024d}"))
        html = staff.post(url, form()).text
        assert 'id="phone-error">This phone got 10 tests within an hour' in html


class TestWhoMay:
    @pytest.mark.parametrize(
        ("role", "status"),
        [("admin", 200), ("marketer", 200), ("analyst", 403), ("partner", 403)],
    )
    def test_is_for_those_who_send_for_the_brand(self, url, brand, role, status):
        assert client_of(make_user(brand, role)).get(url).status_code == status

    def test_another_brands_campaign_is_not_there(self, url):
        stranger = client_of(make_user(make_brand(), "admin"))
        assert stranger.get(url).status_code == stranger.post(url, form()).status_code == 404
        assert not Message.objects.exists()

    def test_who_sends_for_another_brand_only_looks_at_this_one(self, url, brand):
        user = make_user(make_brand(), "admin")
        Membership.objects.create(user=user, brand=brand, role="analyst")
        assert client_of(user).get(url).status_code == 404

    @pytest.mark.parametrize("number", [0, 10**9, 10**30])
    def test_a_campaign_that_is_missing_is_not_there(self, staff, number):
        assert staff.get(f"/admin/campaign/{number}/test/").status_code == 404

    def test_a_test_is_shown_to_whoever_asked_for_it_alone(self, staff, url, brand):
        address = staff.post(url, form()).url
        assert staff.get(address).status_code == 200
        assert client_of(make_user(brand, "admin")).get(address).status_code == 404

    @pytest.mark.parametrize("number", [0, 10**9, 10**30])
    def test_a_test_that_is_missing_is_not_there(self, staff, url, number):
        assert staff.get(f"{url}{number}/").status_code == 404

    def test_a_test_at_another_brands_campaign_is_not_there(self, brand, url, campaign):
        owner = client_of(make_user())
        address = owner.post(url, form()).url
        other = make_campaign(other_brand := make_brand(), make_list(other_brand))
        elsewhere = address.replace(f"/{campaign.pk}/", f"/{other.pk}/", 1)
        assert owner.get(elsewhere).status_code == 404


class TestItsProgress:
    @pytest.fixture
    def ask(self, staff, url):
        """Sends the form; returns a function that reads what the test's page says."""

        def ask():
            address = staff.post(url, form(token=secrets.token_urlsafe(16))).url
            return lambda: staff.get(address, headers={"HX-Request": "true"}).text

        return ask

    def test_waits_in_the_queue(self, ask):
        html = ask()()
        assert "Waits for its turn" in html
        assert 'hx-trigger="every 1s"' in html

    def test_is_held_while_the_brand_is_paused_and_says_why(self, ask, journal):
        says = ask()
        Brand.objects.update(paused_at=NOON)
        walking.hand_over(journal)
        assert "The brand is paused. Resume sending on the page of the brand." in says()

    def test_to_a_phone_on_a_list_is_held_at_night_and_says_why(self, ask, brand, journal):
        lead = make_lead(brand, make_person(phone=OWN))
        make_list(brand, lead)
        set_clock(NOON + timedelta(hours=11))  # 23:00 in New York
        says = ask()
        walking.hand_over(journal)
        assert Reason.QUIET_HOURS.label in says()
        set_clock(NOON + timedelta(hours=11, minutes=11))
        upkeep.sweep_expired()
        assert Reason.QUIET_HOURS.label in says()
        assert "hx-trigger" not in says()

    def test_is_handed_over(self, ask, journal, lane):
        says = ask()
        walking.hand_over(journal)
        assert f"Handed to {lane.account}, from {lane}." in says()

    @pytest.mark.parametrize(
        ("outcome", "words", "goes_on"),
        [
            pytest.param(Accepted("SM1"), "accepted it.", True, id="accepted"),
            pytest.param(Unknown("lost"), MEANS[Status.UNKNOWN], True, id="unknown"),
            pytest.param(
                Rejected(ErrorClass.PERMANENT_CONTENT, "30007"),
                MEANS[Status.REJECTED],
                False,
                id="rejected",
            ),
        ],
    )
    def test_tells_the_providers_answer(self, ask, journal, outcome, words, goes_on):
        says = ask()
        walking.come_back(walking.hand_over(journal), outcome)
        html = says()
        assert words in html
        assert ("hx-trigger" in html) is goes_on

    def test_ends_with_the_report(self, ask, journal):
        says = ask()
        intents = walking.hand_over(journal)
        walking.come_back(intents, Accepted("SM1"))
        Message.objects.update(status=Status.SENT)
        assert MEANS[Status.SENT] in says()
        Message.objects.update(status=Status.DELIVERED)
        assert MEANS[Status.DELIVERED] in says()
        assert "hx-trigger" not in says()

    def test_after_a_stop_it_says_how_to_come_back(self, ask, journal, lane):
        says = ask()
        walking.hand_over(journal)
        texting.say(lane, Message.objects.get().person, "STOP")
        again = ask()
        walking.hand_over(journal)
        assert "The person opted out. Text START from that phone" in again()
        assert "hx-trigger" not in again()
        assert "opted out" not in says()

    def test_stops_asking_ten_minutes_after_its_end(self, ask, journal):
        says = ask()
        walking.come_back(walking.hand_over(journal), Unknown("lost"))
        set_clock(NOON + timedelta(minutes=21))
        assert "hx-trigger" not in says()
        assert "Load it again" in says()

    def test_takes_a_fixed_number_of_statements(self, ask, journal, statements):
        says = ask()
        waiting = statements(says)
        walking.hand_over(journal)
        assert statements(says) == waiting <= 14

    def test_a_sandbox_leads_to_the_pretend_phone(self, ask, lane):
        assert f'href="{lane.account.base_url}/phone#{OWN}"' in ask()()

    def test_a_real_account_does_not(self, ask, lane):
        says = ask()
        raw("UPDATE providers_provideraccount SET is_simulated = false")
        assert "/phone#" not in says()


class TestTheWords:
    def test_what_goes_on_is_not_final(self):
        assert {status for status in Status if TONES[status] == "info"} <= GOING

    def test_every_colour_of_a_state_is_told_in_a_tone(self):
        assert set(TONE_OF) == {tone for tone in TONES.values() if tone}

    @pytest.mark.parametrize("reason", [one for one in Reason if one])
    def test_every_reason_says_what_to_do(self, reason):
        ended = Message(status=Status.REFUSED, reason=reason)
        last = story(ended, None, None, 0)[-1]
        assert last.words == MEANS[Status.REFUSED]
        assert last.detail == f"{reason.label}. {ADVICE.get(reason, DO[reason])}"

    def test_what_waits_for_a_slot_is_said_of_no_test(self):
        told = [ADVICE.get(reason, DO[reason]) for reason in Reason]
        assert not any("slot" in words for words in told)
