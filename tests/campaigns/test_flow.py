from __future__ import annotations

import re
from datetime import time, timedelta
from html import unescape

import pytest
from django.test import Client

from brands import access
from brands.access import Ability
from brands.models import Brand, Membership
from campaigns.models import Campaign, ListRoute, Slot, Template
from leads.models import LeadList
from tests.factories import (
    DAY,
    make_brand,
    make_campaign,
    make_lead,
    make_leads,
    make_list,
    make_number,
    make_route,
    make_template,
)
from tests.staff import client_of, make_user

pytestmark = pytest.mark.django_db

URL = "/admin/new-campaign/"
PARTS = "/admin/new-campaign/parts/"
TEXT = "/admin/new-campaign/text/"
TOMORROW = DAY + timedelta(days=1)
APOSTROPHE = "\u2019"


@pytest.fixture
def brand(sandbox):
    brand = make_brand(name="Acme Jobs")
    make_route(brand, make_number(segments_per_second=30), name="Main")
    return brand


@pytest.fixture
def user(brand):
    return make_user(brand, "marketer")


@pytest.fixture
def staff(user):
    return client_of(user)


def a_form(brand, **changes):
    """The form as it stands after a list was chosen and a text was written."""
    listed = brand.leadlist_set.first() or make_list(brand)
    return {
        "brand": brand.pk,
        "was_brand": brand.pk,
        "name": "Spring",
        "lead_list": listed.pk,
        "template": "",
        "text": "Hi {first_name|there}, see {link}",
        "text_name": "",
        "destination": "https://jobs.example.com/",
        "route": "",
        "slots-TOTAL_FORMS": 1,
        "slots-INITIAL_FORMS": 0,
        "slots-0-local_date": TOMORROW.isoformat(),
        "slots-0-local_time": "10:00",
        "slots-0-length_minutes": "120",
        **changes,
    }


def words_of(response):
    """The page's words without its tags."""
    body = response.text.rpartition("</head>")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def nothing_made():
    return not (Campaign.objects.exists() or Template.objects.exists() or Slot.objects.exists())


class TestTheForm:
    def test_is_filled_in_as_far_as_can_be(self, brand, staff):
        make_list(brand, name="Only list")
        page = staff.get(URL)
        form, slots = page.context["form"], page.context["slots"]
        assert form["lead_list"].value() == LeadList.objects.get().pk
        assert form["name"].value() == "Thursday, 8 March"
        assert form["destination"].value() == "https://jobs.example.com/"
        (slot,) = slots.forms
        assert (slot["local_date"].value(), slot["local_time"].value()) == (TOMORROW, time(10))

    def test_leaves_the_choice_between_two_lists_open(self, brand, staff):
        make_list(brand)
        make_list(brand)
        assert staff.get(URL).context["form"]["lead_list"].value() is None

    def test_takes_the_list_of_the_address(self, brand, staff):
        chosen, _ = make_list(brand), make_list(brand)
        assert staff.get(f"{URL}?list={chosen.pk}").context["lead_list"] == chosen

    def test_says_how_fast_the_route_is(self, brand, staff):
        assert "Main (default) 30 messages a second" in words_of(staff.get(URL))

    def test_says_that_the_lists_own_route_goes_before(self, brand, staff):
        own = make_route(brand, make_number(), is_default=False, name="Own")
        ListRoute.objects.create(lead_list=make_list(brand), route=own)
        assert "always get their messages by Own" in words_of(staff.get(URL))

    def test_offers_nothing_of_another_brand(self, brand, staff):
        other = make_brand(name="Other")
        make_list(other, name="Foreign list")
        make_template(other)
        make_route(other, make_number(), name="Foreign route")
        page = staff.get(URL).text
        assert "Foreign" not in page
        assert "Other" not in page

    def test_offers_nothing_retired(self, brand, staff):
        make_list(brand, name="Old list", retired_at="2035-01-01T00:00Z")
        make_route(brand, name="Old route", is_default=False, retired_at="2035-01-01T00:00Z")
        assert "Old" not in staff.get(URL).text

    def test_tells_whom_no_brand_may_be_chosen_for(self, brand, staff):
        Brand.objects.update(retired_at="2035-01-01T00:00Z")
        assert "There is no brand to send for yet." in staff.get(URL).text

    @pytest.mark.parametrize("role", ["analyst", "partner"])
    def test_is_not_for_those_who_only_look(self, brand, role):
        client = client_of(make_user(brand, role))
        assert client.get(URL).status_code == 403
        assert client.post(URL, a_form(brand)).status_code == 403
        assert nothing_made()

    def test_takes_as_many_queries_whatever_there_is(self, brand, staff, statements):
        listed = make_list(brand, make_lead(brand))
        staff.get(f"{URL}?list={listed.pk}")
        one = statements(lambda: staff.get(f"{URL}?list={listed.pk}"))
        for _ in range(5):
            make_list(brand)
            make_template(brand)
            make_route(brand, make_number(), make_number(), is_default=False)
        assert statements(lambda: staff.get(f"{URL}?list={listed.pk}")) == one


class TestSaving:
    def test_makes_the_campaign_and_leads_to_its_start(self, brand, staff):
        response = staff.post(URL, a_form(brand))
        campaign = Campaign.objects.get()
        assert response.url == f"/admin/campaign/{campaign.pk}/start/"
        assert campaign.template.latest().text == "Hi {first_name|there}, see {link}"
        assert campaign.slots.get().local_date == TOMORROW

    def test_counts_a_line_end_once(self, brand, staff):
        staff.post(URL, a_form(brand, text=" One\r\nTwo \r\n"))
        assert Campaign.objects.get().template.latest().text == "One\nTwo"

    def test_leaves_what_was_typed_aside_for_a_saved_text(self, brand, staff):
        saved = make_template(brand)
        staff.post(URL, a_form(brand, template=saved.pk, text="Hi {nick}"))
        assert Campaign.objects.get().template == saved

    @pytest.mark.parametrize("part", ["lead_list", "template", "route"])
    def test_refuses_a_part_of_another_brand(self, brand, staff, part):
        other = make_brand()
        make = {"lead_list": make_list, "template": make_template, "route": make_route}[part]
        form = a_form(brand, **{part: make(other).pk})
        page = staff.post(URL, form)
        assert "is not one of this brand&#x27;s; choose one that is." in page.text
        assert not Campaign.objects.exists()

    def test_refuses_another_brand_with_its_parts(self, brand, staff):
        page = staff.post(URL, a_form(make_brand()))
        assert "Choose one of your brands." in page.context["form"].errors["brand"]
        assert nothing_made()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"name": ""}, "Give the campaign a name."),
            ({"name": "x" * 121}, "at most 120 characters"),
            ({"lead_list": ""}, "Choose the list of people to write to."),
            ({"lead_list": "1; DROP"}, "This list is not one of this brand"),
            ({"lead_list": "9" * 40}, "This list is not one of this brand"),
            ({"text": ""}, "There is no text yet"),
            ({"text": "Hi {nick}"}, "{nick} is not a name we know"),
            ({"text": "a\0b"}, "Null characters are not allowed."),
            ({"text": "x" * 1_601}, "at most 1600 characters"),
            ({"destination": "no address"}, "This is not a web address"),
            ({"destination": "javascript:alert(1)"}, "This is not a web address"),
            ({"destination": "https://evil.example.org/"}, "not among the brand&#x27;s link hosts"),
            ({"slots-0-local_date": "soon"}, "This is not a day."),
            ({"slots-0-local_date": "2035-03-06"}, "This time is over in New York"),
            ({"slots-0-local_date": "9999-12-31"}, "is the year right?"),
            ({"slots-0-local_time": "25:00"}, "This is not a time of day."),
            ({"slots-0-local_time": "23:00"}, "Acme Jobs sends from 08:00 to 21:00."),
            ({"slots-0-length_minutes": "7"}, "Select a valid choice."),
            ({"slots-TOTAL_FORMS": "2"}, "Choose a day."),
            ({"slots-TOTAL_FORMS": "0"}, "Add at least one time to send at."),
            ({"slots-TOTAL_FORMS": "x"}, "The times were lost on the way"),
            ({"slots-TOTAL_FORMS": "999"}, "A campaign has at most 31 times here."),
        ],
        ids=lambda value: None if isinstance(value, str) else " ".join(value),
    )
    def test_says_what_is_wrong_and_keeps_what_was_typed(self, brand, staff, changes, words):
        form = a_form(brand, **{"text_name": "Kept as typed", **changes})
        page = staff.post(URL, form)
        assert page.status_code == 200
        assert words in page.text
        assert "Kept as typed" in page.text
        assert nothing_made()

    def test_says_all_that_is_wrong_at_once(self, brand, staff):
        changes = {"name": "", "text": "Hi {nick}", "destination": "https://evil.example.org/"}
        page = staff.post(URL, a_form(brand, **changes, **{"slots-0-local_time": "23:00"}))
        assert set(page.context["form"].errors) == {"name", "text", "destination"}
        assert set(page.context["slots"].forms[0].errors) == {"local_date"}

    def test_puts_a_slots_fault_beside_that_slot(self, brand, staff):
        more = {"slots-TOTAL_FORMS": 2, "slots-1-local_date": TOMORROW.isoformat()}
        more |= {"slots-1-local_time": "15:00", "slots-1-length_minutes": "60"}
        page = staff.post(URL, a_form(brand, **more))
        first, second = page.context["slots"].forms
        assert first.errors == {}
        assert "nobody gets the same words twice a day" in second.errors["local_date"][0]

    def test_needs_a_post_from_our_own_page(self, brand, user):
        client = Client(enforce_csrf_checks=True)
        client.force_login(user)
        assert client.post(URL, a_form(brand)).status_code == 403
        assert nothing_made()


class TestParts:
    def post(self, staff, form, **more):
        return staff.post(PARTS, {**form, **more}, headers={"HX-Request": "true"})

    def test_of_another_brand_keep_what_was_typed(self, brand, user, staff):
        other = make_brand(name="Other", link_hosts=["other.example.com"])
        Membership.objects.create(user=user, brand=other, role="marketer")
        make_list(other, name="Their list")
        form = a_form(brand, text="Hello {first_name}", text_name="My words")
        part = self.post(staff, form, brand=other.pk)
        for kept in ("Hello {first_name}", "My words", "Their list", TOMORROW.isoformat()):
            assert kept in part.text
        assert "https://other.example.com/" in part.text
        assert "Main" not in part.text

    def test_of_another_brand_keep_a_destination_that_was_typed(self, brand, user, staff):
        other = make_brand(link_hosts=["other.example.com"])
        Membership.objects.create(user=user, brand=other, role="marketer")
        form = a_form(brand, destination="https://jobs.example.com/deep")
        assert "https://jobs.example.com/deep" in self.post(staff, form, brand=other.pk).text

    @pytest.mark.parametrize("key", ["", "x", "0", "9" * 30])
    def test_of_no_brand_are_not_there(self, brand, staff, key):
        assert self.post(staff, a_form(brand), brand=key).status_code == 404

    def test_of_a_foreign_brand_are_not_there(self, brand, staff):
        assert self.post(staff, a_form(brand), brand=make_brand().pk).status_code == 404

    def test_say_nothing_is_wrong_before_it_is_saved(self, brand, staff):
        part = self.post(staff, a_form(brand, text="", name=""))
        assert "so-wrong" not in part.text

    def test_have_one_more_time_on_the_next_day(self, brand, staff):
        part = self.post(staff, a_form(brand, **{"slots-0-length_minutes": "60"}), do="add")
        _, second = part.context["slots"].forms
        assert second["local_date"].value() == (TOMORROW + timedelta(days=1)).isoformat()
        assert second["length_minutes"].value() == "60"

    def test_take_as_many_queries_whatever_the_times(self, brand, staff, statements):
        form, many = a_form(brand), {"slots-TOTAL_FORMS": 31}
        self.post(staff, form)
        one = statements(lambda: self.post(staff, form))
        assert statements(lambda: self.post(staff, form, **many)) == one

    def test_have_31_times_at_most(self, brand, staff):
        form = a_form(brand, **{"slots-TOTAL_FORMS": 31})
        assert len(self.post(staff, form, do="add").context["slots"].forms) == 31

    def test_have_one_time_less(self, brand, staff):
        form = a_form(brand, **{"slots-TOTAL_FORMS": 2, "slots-1-local_date": "2035-04-01"})
        (left,) = self.post(staff, form, do="remove-0").context["slots"].forms
        assert left["local_date"].value() == "2035-04-01"

    @pytest.mark.parametrize("do", ["remove-0", "remove-7", "remove-x", "remove", "else", "add-"])
    def test_keep_the_last_time_whatever_is_asked(self, brand, staff, do):
        form = a_form(brand, **{"slots-0-local_date": "9999-12-31"})
        assert self.post(staff, form, do=do).context["slots"].forms

    def test_open_a_saved_text_to_be_written_anew(self, brand, staff):
        saved = make_template(brand, "Saved words")
        part = self.post(staff, a_form(brand, template=saved.pk), do="write")
        assert part.context["saved"] is None
        assert part.context["form"]["text"].value() == "Saved words"

    def test_show_a_saved_text_with_its_price(self, brand, staff):
        saved = make_template(brand, "It" + APOSTROPHE + "s time")
        part = self.post(staff, a_form(brand, template=saved.pk))
        assert "curly apostrophe" in part.text
        assert "data-plainer" not in part.text  # what was said is not changed

    @pytest.mark.parametrize(
        ("many", "words"),
        [(0, "Nobody is on this list yet."), (1, "1 person on it."), (3, "3 people on it.")],
    )
    def test_say_how_many_people_are_on_the_list(self, brand, staff, many, words):
        listed = make_list(brand, *make_leads(brand, many))
        assert words in words_of(self.post(staff, a_form(brand, lead_list=listed.pk)))

    def test_do_not_count_a_long_list_to_its_end(self, brand, staff, monkeypatch):
        monkeypatch.setattr("campaigns.flow.COUNTED", 2)
        listed = make_list(brand, *make_leads(brand, 3))
        part = self.post(staff, a_form(brand, lead_list=listed.pk))
        assert "More than 2 people." in words_of(part)


class TestTheCounter:
    def count(self, staff, brand, text, **more):
        return staff.post(TEXT, {"brand": brand.pk, "text": text, **more})

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("x" * 110, "1 segment , 132 of 160 characters"),
            ("x" * 139, "2 segments , 161 of 306 characters"),
            ("\u044f", "1 segment , 23 of 70 characters large alphabet: 70 a segment, not 160"),
            ("5\u20ac", "Each € counts as two."),
            ("", "Write a text to see what it costs."),
            ("Hi {nick}", "{nick} is not a name we know"),
            ("Hi {", "A { stands alone"),
            ("Hi {city}", "Whoever has no city gets no message."),
        ],
        ids=["one", "two", "large", "double", "none", "unknown-name", "brace", "no-fall-back"],
    )
    def test_says_what_a_text_costs_and_means(self, brand, staff, text, words):
        assert words in words_of(self.count(staff, brand, text))

    def test_names_the_very_characters_that_make_it_dear(self, brand, staff):
        text = f"It{APOSTROPHE}s time for new jobs, come and see" + "x" * 20
        part = self.count(staff, brand, text)
        assert "These characters make this 2 segments instead of 1." in words_of(part)
        assert f"{APOSTROPHE} curly apostrophe: use '" in words_of(part)
        assert f">{APOSTROPHE}</mark>" in part.text

    def test_offers_the_text_without_them(self, brand, staff):
        part = self.count(staff, brand, f'It{APOSTROPHE}s "on"')
        assert 'data-plainer="It&#x27;s &quot;on&quot;"' in part.text

    def test_says_when_a_name_makes_it_dear(self, brand, staff):
        listed = make_list(brand, make_lead(brand, first_name="Zo\u00eb"))
        part = self.count(staff, brand, "Hi {first_name}", lead_list=listed.pk)
        assert "comes from this person's name or place" in words_of(part)
        assert "Names such as Zo\u00eb need the large alphabet." in words_of(part)
        assert "data-plainer" not in part.text

    def test_says_the_largest_case_of_the_list(self, brand, staff):
        people = [make_lead(brand, first_name=name) for name in ("Al", "Alexandra" * 8)]
        listed = make_list(brand, *people)
        part = self.count(staff, brand, "Hi {first_name}" + "x" * 100, lead_list=listed.pk)
        assert "1 segment" in words_of(part)
        assert "Up to 2 segments for the longest names in this list." in words_of(part)

    def test_says_so_when_the_list_is_too_large_to_count(self, brand, staff, monkeypatch):
        monkeypatch.setattr("campaigns.sizing.longest_values_soon", lambda *_: None)
        listed = make_list(brand, make_lead(brand))
        part = self.count(staff, brand, "Hi {first_name}", lead_list=listed.pk)
        assert "are not counted" in words_of(part)

    def test_reads_as_a_person_of_the_list_gets_it(self, brand, staff):
        listed = make_list(brand, make_lead(brand, first_name="Grace", last_name="Hopper"))
        part = self.count(staff, brand, "Hi {first_name}", lead_list=listed.pk)
        assert "Hi Grace Reply STOP to opt out" in words_of(part)
        assert "As Grace Hopper from this list gets it." in words_of(part)

    def test_shows_that_a_person_without_a_value_gets_nothing(self, brand, staff):
        listed = make_list(brand, make_lead(brand, first_name="Grace"))
        part = self.count(staff, brand, "Hi from {city}", lead_list=listed.pk)
        assert "Hi from [no city]" in words_of(part)

    def test_shows_nobodys_name_of_another_brands_list(self, brand, staff):
        other = make_brand()
        listed = make_list(other, make_lead(other, first_name="Secret"))
        part = self.count(staff, brand, "Hi {first_name}", lead_list=listed.pk)
        assert "Secret" not in part.text
        assert "As an invented Maria Lopez gets it." in words_of(part)

    def test_shows_an_invented_person_to_who_may_read_nobodys_name(self, brand, staff, monkeypatch):
        both = frozenset({Ability.FIGURES, Ability.ROWS, Ability.SEND})
        monkeypatch.setitem(access.MAY, "marketer", both)
        listed = make_list(brand, make_lead(brand, first_name="Grace"))
        part = self.count(staff, brand, "Hi {first_name}", lead_list=listed.pk)
        assert "Grace" not in part.text

    def test_knows_no_foreign_brand(self, brand, staff):
        other = make_brand(name="Foreign")
        part = self.count(staff, other, "Hi {brand}")
        assert "Choose a brand" in words_of(part)
        assert "Foreign" not in part.text

    @pytest.mark.parametrize(
        "text", ["a\0b", "x" * 100_000, "{" * 5_000, "\U0001f600" * 3_000], ids=str.__len__
    )
    def test_takes_anything(self, brand, staff, text):
        assert self.count(staff, brand, text).status_code == 200

    def test_takes_no_get(self, brand, staff):
        assert staff.get(TEXT).status_code == 405

    def test_takes_as_many_queries_whatever_the_list(self, brand, staff, statements):
        text = "Hi {first_name} {city|x}"
        lists = [make_list(brand, *make_leads(brand, many)) for many in (1, 1, 20)]
        self.count(staff, brand, text, lead_list=lists[0].pk)
        one, many = (
            statements(lambda listed=listed: self.count(staff, brand, text, lead_list=listed.pk))
            for listed in lists[1:]
        )
        assert one == many


def test_a_campaign_of_that_name_is_told_by_the_field(brand, staff):
    make_campaign(brand, make_list(brand), name="Spring")
    page = staff.post(URL, a_form(brand))
    assert "Acme Jobs has a campaign of this name already" in page.context["form"].errors["name"][0]
