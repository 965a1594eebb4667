from __future__ import annotations

from datetime import date, time, timedelta

import pytest
from django.core.exceptions import ValidationError

from brands import clock
from campaigns.models import Campaign, Slot, Template, TemplateVersion
from campaigns.setting_up import (
    CampaignDraft,
    SlotDraft,
    copy,
    faults,
    free_name,
    set_up,
    tomorrow,
    usual_slot,
)
from tests.factories import (
    DAY,
    NOON,
    make_brand,
    make_campaign,
    make_list,
    make_number,
    make_route,
    make_template,
)

pytestmark = pytest.mark.django_db

TOMORROW = DAY + timedelta(days=1)
SUNDAY = date(2035, 3, 11)


@pytest.fixture
def brand(sandbox):
    return make_brand(name="Acme", link_hosts=["jobs.example.com", "www.example.com"])


def a_draft(brand, **fields):
    fields = {
        "name": "Spring",
        "text": "Hi {first_name|there}, see {link}",
        "destination": "https://jobs.example.com/x",
        "slots": (SlotDraft(TOMORROW, time(10)),),
        **fields,
    }
    return CampaignDraft(
        brand=brand, lead_list=fields.pop("lead_list", None) or make_list(brand), **fields
    )


def refusal(draft):
    """What is wrong, by field; nothing was made."""
    made = [model.objects.count() for model in (Campaign, Slot, Template, TemplateVersion)]
    with pytest.raises(ValidationError) as caught:
        set_up(draft)
    now = [model.objects.count() for model in (Campaign, Slot, Template, TemplateVersion)]
    assert now == made
    return caught.value.message_dict


class TestSetUp:
    def test_makes_a_draft_campaign_with_its_parts(self, brand):
        route = make_route(brand, make_number(), is_default=False)
        draft = a_draft(brand, route=route)
        campaign = set_up(draft)
        assert (campaign.brand, campaign.name) == (brand, "Spring")
        assert (campaign.lead_list, campaign.route) == (draft.lead_list, route)
        assert (campaign.destination, campaign.started_at) == ("https://jobs.example.com/x", None)

    def test_makes_a_draft_slot_for_each_time(self, brand):
        slots = (SlotDraft(TOMORROW, time(10), 60), SlotDraft(SUNDAY, time(9)))
        campaign = set_up(a_draft(brand, slots=slots))
        rows = campaign.slots.order_by("local_date")
        fields = ("local_date", "ordinal", "local_time", "length_minutes", "state")
        assert list(rows.values_list(*fields)) == [
            (TOMORROW, 1, time(10), 60, "draft"),
            (SUNDAY, 1, time(9), 120, "draft"),
        ]

    def test_saves_a_new_text_under_the_campaigns_name(self, brand):
        template = set_up(a_draft(brand)).template
        assert template.name == "Spring"
        assert template.latest().text == "Hi {first_name|there}, see {link}"

    def test_saves_a_new_text_beside_one_of_that_name(self, brand):
        Template.objects.create(brand=brand, name="Spring")
        assert set_up(a_draft(brand)).template.name == "Spring 2"

    def test_saves_a_new_text_under_a_name_of_its_own(self, brand):
        assert set_up(a_draft(brand, text_name="Hello")).template.name == "Hello"

    def test_takes_a_saved_text(self, brand):
        template = make_template(brand)
        assert set_up(a_draft(brand, template=template, text="")).template == template
        assert Template.objects.count() == 1

    def test_tells_of_a_name_taken_at_the_same_moment(self, brand, monkeypatch):
        make_campaign(brand, make_list(brand), name="Spring")
        monkeypatch.setattr("campaigns.setting_up.faults", lambda draft, now: {})
        assert refusal(a_draft(brand)) == {
            "name": ["This name has just been taken; choose another one."]
        }

    def test_takes_as_many_statements_whatever_the_times(self, brand, statements):
        template = make_template(brand)
        days = [TOMORROW + timedelta(days=n) for n in range(20)]
        one, many = (
            a_draft(brand, name=name, template=template, slots=tuple(slots))
            for name, slots in (
                ("One", [SlotDraft(days[0], time(12))]),
                ("Many", [SlotDraft(day, time(12)) for day in days]),
            )
        )
        assert statements(lambda: set_up(many)) == statements(lambda: set_up(one))


class TestRefuses:
    @pytest.mark.parametrize("part", ["lead_list", "template", "route"])
    def test_a_part_of_another_brand(self, brand, part):
        other = make_brand(name="Other")
        make = {"lead_list": make_list, "template": make_template, "route": make_route}[part]
        words = refusal(a_draft(brand, **{part: make(other)}))
        assert words[part][0].endswith("belongs to another brand, Other.")

    @pytest.mark.parametrize(
        ("field", "changes", "words"),
        [
            ("text", {"text": " \n"}, "There is no text yet; write what people will read."),
            ("text", {"text": "Hi {nick}"}, "{nick} is not a name we know; use one of: brand"),
            ("text", {"text": "Hi {first_name"}, "A { stands alone"),
            ("destination", {"destination": ""}, "The text has a {link}; say where it leads."),
            (
                "destination",
                {"destination": "https://evil.example.org/"},
                "evil.example.org is not among the brand's link hosts. Links of Acme may lead to"
                " jobs.example.com, www.example.com.",
            ),
            ("slots", {"slots": ()}, "Add at least one time to send at."),
        ],
        ids=[
            "no-text",
            "unknown-name",
            "stray-brace",
            "link-to-nowhere",
            "foreign-host",
            "no-slot",
        ],
    )
    def test_what_cannot_be_sent(self, brand, field, changes, words):
        assert refusal(a_draft(brand, **changes))[field][0].startswith(words)

    def test_a_saved_text_without_words(self, brand):
        empty = Template.objects.create(brand=brand, name="Empty")
        assert "template" in refusal(a_draft(brand, template=empty))

    def test_a_name_that_is_taken(self, brand):
        make_campaign(brand, make_list(brand), name="Spring")
        words = "Acme has a campaign of this name already; choose another one."
        assert refusal(a_draft(brand)) == {"name": [words]}

    def test_a_name_of_the_text_that_is_taken(self, brand):
        Template.objects.create(brand=brand, name="Hello")
        words = "Acme has a template of this name already; choose another one."
        assert refusal(a_draft(brand, text_name="Hello")) == {"text_name": [words]}

    def test_everything_at_once(self, brand):
        draft = a_draft(brand, text="", destination="https://no.example.org/", slots=())
        assert set(refusal(draft)) == {"text", "destination", "slots"}


class TestSlots:
    """It is noon of a Wednesday in New York; the brand sends from 8:00, on Sundays from 12:00."""

    def words(self, *slots):
        brand = make_brand(name="Acme", sunday_opens=time(12))
        errors = faults(a_draft(brand, slots=slots), NOON)
        return {name: str(found[0].message) for name, found in errors.items()}

    @pytest.mark.parametrize(
        "slot",
        [
            SlotDraft(DAY, time(12)),
            SlotDraft(DAY, time(11), 120),
            SlotDraft(TOMORROW, time(8)),
            SlotDraft(TOMORROW, time(20, 59)),
            SlotDraft(SUNDAY, time(12)),
            SlotDraft(DAY + timedelta(days=400), time(12)),
        ],
        ids=["now", "half-over", "opening", "last-minute", "sunday-noon", "far"],
    )
    def test_may_be_any_time_to_come_within_hours(self, sandbox, slot):
        assert self.words(slot) == {}

    @pytest.mark.parametrize(
        ("slot", "words"),
        [
            (SlotDraft(DAY, time(10), 120), "This time is over in New York, where it is 7 Mar"),
            (SlotDraft(DAY - timedelta(days=1), time(20), 720), "This time is over in New York"),
            (SlotDraft(date.min, time(10)), "This time is over in New York"),
            (SlotDraft(date.max, time(10)), "This is more than 400 days away; is the year right?"),
            (SlotDraft(TOMORROW, time(7, 59)), "On a Thursday Acme sends from 08:00 to 21:00."),
            (SlotDraft(TOMORROW, time(21)), "On a Thursday Acme sends from 08:00 to 21:00."),
            (SlotDraft(SUNDAY, time(10)), "On a Sunday Acme sends from 12:00 to 21:00."),
        ],
        ids=["over", "yesterday", "year-1", "year-9999", "early", "late", "sunday-morning"],
    )
    def test_say_why_nothing_could_be_sent_then(self, sandbox, slot, words):
        assert self.words(SlotDraft(SUNDAY, time(12)), slot)["slot-1"].startswith(words)

    def test_are_one_a_day(self, sandbox):
        found = self.words(SlotDraft(TOMORROW, time(10)), SlotDraft(TOMORROW, time(15)))
        assert found["slot-1"].startswith("There is a time on this day already")

    @pytest.mark.parametrize(
        ("day", "opens", "at"),
        [
            (TOMORROW, time(9), time(10)),
            (SUNDAY, time(9), time(12)),
            (TOMORROW, time(11), time(11)),
        ],
        ids=["usual", "sunday", "late-opening"],
    )
    def test_are_mid_morning_or_at_opening_unless_told(self, sandbox, day, opens, at):
        brand = make_brand(opens=opens, closes=time(20), sunday_opens=time(12))
        assert usual_slot(brand, day) == SlotDraft(day, at)

    def test_are_tomorrow_in_the_brands_own_zone(self, sandbox):
        assert tomorrow(make_brand(zone="Pacific/Auckland"), NOON) == DAY + timedelta(days=2)


class TestFreeName:
    def test_is_the_name_itself_or_one_with_a_number(self, brand):
        names = []
        for _ in range(3):
            names.append(free_name(Template, brand, "Spring"))
            Template.objects.create(brand=brand, name=names[-1])
        assert names == ["Spring", "Spring 2", "Spring 3"]

    def test_fits_the_column(self, brand):
        Template.objects.create(brand=brand, name="x" * 110)
        assert len(free_name(Template, brand, "x" * 120)) <= 120


class TestCopy:
    def test_is_a_draft_with_the_same_parts_tomorrow(self, brand):
        campaign = set_up(a_draft(brand, slots=(SlotDraft(SUNDAY, time(15), 60),)))
        Campaign.objects.filter(pk=campaign.pk).update(started_at=NOON, daily_cap=5)
        campaign.refresh_from_db()
        made = copy(campaign, clock.now())
        assert (made.name, made.started_at, made.daily_cap) == ("Spring (copy)", None, 5)
        assert (made.lead_list, made.template) == (campaign.lead_list, campaign.template)
        slot = made.slots.get()
        assert (slot.local_date, slot.local_time) == (TOMORROW, time(15))
        assert (slot.length_minutes, slot.state) == (60, "draft")

    def test_has_a_time_though_the_other_has_none(self, brand):
        made = copy(make_campaign(brand, make_list(brand)), clock.now())
        assert made.slots.get().local_time == time(10)

    def test_can_be_made_again(self, brand):
        campaign = make_campaign(brand, make_list(brand), name="Spring")
        names = [copy(campaign, clock.now()).name for _ in range(2)]
        assert names == ["Spring (copy)", "Spring (copy) 2"]
