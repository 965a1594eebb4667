from __future__ import annotations

import json
from datetime import date, time

import pytest

from brands import clock
from brands.models import Brand
from campaigns import starting
from campaigns.models import Campaign, ListRoute, Slot, Template, TemplateVersion
from campaigns.starting import CannotStart, blockers, largest_segments, route_of, start, terms
from leads.models import Lead, LeadList
from providers.models import ProviderAccount, Route, SenderNumber
from tests.delivery.waiting import while_held
from tests.factories import (
    NOON,
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_places,
    make_route,
    make_template,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def brand(sandbox):
    return make_brand(name="Acme", short_domain="go.example.com")


@pytest.fixture
def route(brand):
    return make_route(brand, make_number())


def a_campaign(brand, *leads, **fields):
    """With one draft slot."""
    campaign = make_campaign(brand, make_list(brand, *leads), **fields)
    add_slot(campaign)
    return campaign


def add_slot(campaign, **fields):
    fields = {"local_date": date(2035, 3, 7), "local_time": time(12), **fields}
    return Slot.objects.create(campaign=campaign, **fields)


class TestStart:
    def test_opens_the_draft_slots(self, brand, route):
        campaign = a_campaign(brand)
        add_slot(campaign, ordinal=2)
        assert start(campaign) == 2
        assert set(campaign.slots.values_list("state", flat=True)) == {"open"}

    def test_says_when_the_campaign_began(self, brand, route):
        campaign = a_campaign(brand)
        start(campaign)
        campaign.refresh_from_db()
        assert NOON <= campaign.started_at <= clock.now()

    def test_pins_what_each_slot_says_and_how(self, brand, route):
        campaign = a_campaign(brand, text="x" * 200)
        LeadList.objects.update(rules={"state": "NY"})
        campaign.lead_list.refresh_from_db()
        start(campaign)
        slot = campaign.slots.get()
        assert slot.template_version == campaign.template.latest()
        assert (slot.route, slot.list_rules, slot.largest_segments) == (route, {"state": "NY"}, 2)

    def test_pins_for_good(self, brand, route):
        """A later version or route is for later slots."""
        campaign = a_campaign(brand, text="Hi")
        start(campaign)
        TemplateVersion.objects.create(template=campaign.template, number=2, text="Ho")
        Campaign.objects.update(route=make_route(brand, make_number(), is_default=False))
        campaign.refresh_from_db()
        add_slot(campaign, ordinal=2)
        assert start(campaign) == 1
        first, second = campaign.slots.order_by("ordinal")
        assert (first.template_version.text, second.template_version.text) == ("Hi", "Ho")
        assert (first.route, second.route) == (route, campaign.route)

    def test_keeps_the_first_time_it_began(self, brand, route):
        campaign = a_campaign(brand)
        Campaign.objects.update(started_at=NOON)
        start(campaign)
        campaign.refresh_from_db()
        assert campaign.started_at == NOON

    def test_leaves_closed_slots_closed(self, brand, route):
        campaign = a_campaign(brand)
        start(campaign)
        Slot.objects.update(state="closed")
        add_slot(campaign, ordinal=2)
        start(campaign)
        assert list(campaign.slots.order_by("ordinal").values_list("state", flat=True)) == [
            "closed",
            "open",
        ]

    @pytest.mark.django_db(transaction=True)
    def test_twice_at_once_opens_each_slot_once(self, brand, route, at_once):
        campaign = a_campaign(brand)

        def work(_):
            try:
                return start(Campaign.objects.get(pk=campaign.pk))
            except CannotStart:
                return 0

        assert sorted(at_once(work)) == [0, 1]


class TestCannotStart:
    def refusal(self, campaign):
        with pytest.raises(CannotStart) as caught:
            start(campaign)
        campaign.refresh_from_db()
        assert campaign.started_at is None
        assert not campaign.slots.exclude(state="draft").exists()
        return str(caught.value)

    def test_without_a_text(self, brand, route):
        campaign = a_campaign(brand)
        Campaign.objects.update(template=brand.template_set.create(name="Empty"))
        campaign.refresh_from_db()
        assert self.refusal(campaign) == "Template: it has no text yet; add a version."

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("Hi {first}", "Template: {first} is not a name we know; use one of: brand, city,"),
            ("Hi {first_name", "Template: A { stands alone; names are written like {first_name}."),
            ("Hi {first_name!r}", "Template: A { stands alone;"),
        ],
        ids=["unknown-name", "stray-brace", "format-trick"],
    )
    def test_with_a_text_that_cannot_be_filled_in(self, brand, route, text, words):
        assert self.refusal(a_campaign(brand, text=text)).startswith(words)

    def test_with_a_link_to_nowhere(self, brand, route):
        campaign = a_campaign(brand, text="See {link}", destination="")
        words = "Destination: the template has a {link}; say where it leads."
        assert self.refusal(campaign) == words

    def test_without_a_route(self, brand):
        words = "Route: neither list, campaign nor brand has one; choose a default route."
        assert self.refusal(a_campaign(brand)) == words

    def test_with_a_route_without_numbers(self, brand):
        route = make_route(brand)
        words = f"Route: {route.name} has no sender number; add one."
        assert self.refusal(a_campaign(brand)) == words

    def test_with_a_route_whose_numbers_are_retired(self, brand, route):
        SenderNumber.objects.update(retired_at=NOON)
        words = f"Route: {route.name} has no sender number; add one."
        assert self.refusal(a_campaign(brand)) == words

    def test_without_a_slot(self, brand, route):
        campaign = make_campaign(brand, make_list(brand))
        words = "Slots: the campaign has no draft slot to start; add one."
        assert self.refusal(campaign) == words

    def test_a_second_time_without_a_new_slot(self, brand, route):
        campaign = a_campaign(brand)
        start(campaign)
        with pytest.raises(CannotStart, match="no draft slot"):
            start(campaign)

    @pytest.mark.parametrize(
        ("put_away", "words"),
        [
            (lambda: Campaign.objects.update(retired_at=NOON), "Campaign: Spring is retired;"),
            (lambda: Brand.objects.update(retired_at=NOON), "Brand: Acme is retired;"),
            (lambda: LeadList.objects.update(retired_at=NOON), "List: "),
            (lambda: Template.objects.update(retired_at=NOON), "Template: "),
        ],
        ids=["campaign", "brand", "list", "template"],
    )
    def test_with_what_was_put_away(self, brand, route, put_away, words):
        campaign = a_campaign(brand, name="Spring")
        put_away()
        assert self.refusal(Campaign.objects.get()).startswith(words)
        assert campaign.slots.get().state == "draft"

    @pytest.mark.parametrize(
        ("part", "make", "field"),
        [
            ("lead_list", make_list, "List"),
            ("template", make_template, "Template"),
            ("route", lambda other: make_route(other, make_number()), "Route"),
        ],
        ids=["list", "template", "route"],
    )
    def test_with_a_part_of_another_brand(self, brand, route, part, make, field):
        campaign = a_campaign(brand)
        Campaign.objects.update(**{part: make(make_brand(name="Rival"))})
        words = self.refusal(campaign)
        assert words.startswith(f"{field}: ")
        assert words.endswith(" belongs to another brand, Rival.")

    def test_with_a_route_of_another_brand_for_the_list(self, brand, route):
        campaign = a_campaign(brand)
        rivals = make_route(make_brand(name="Rival"), make_number())
        ListRoute.objects.create(lead_list=campaign.lead_list, route=rivals)
        assert self.refusal(campaign) == f"Route: {rivals} belongs to another brand, Rival."

    def test_with_a_route_that_was_put_away(self, brand):
        route = make_route(brand, make_number(), is_default=False, retired_at=NOON)
        words = f"Route: {route.name} is retired; choose another."
        assert self.refusal(a_campaign(brand, route=route)) == words

    def test_with_a_route_whose_accounts_are_retired(self, brand, route):
        ProviderAccount.objects.update(retired_at=NOON)
        assert "has no sender number" in self.refusal(a_campaign(brand))


def a_colleague_chooses_another_list(campaign):
    Campaign.objects.update(lead_list=make_list(campaign.brand, make_lead(campaign.brand)))


CHANGES = {
    "another list": a_colleague_chooses_another_list,
    "other rules of the list": lambda campaign: LeadList.objects.update(rules={"state": "NY"}),
    "another text": lambda campaign: TemplateVersion.objects.create(
        template=campaign.template, number=2, text="Other words"
    ),
    "another route": lambda campaign: Campaign.objects.update(
        route=make_route(campaign.brand, make_number(), is_default=False)
    ),
    "a slot more": lambda campaign: add_slot(campaign, ordinal=2),
    "a slot less": lambda campaign: campaign.slots.filter(ordinal=9).update(state="closed"),
    "another time": lambda campaign: campaign.slots.update(local_time=time(14)),
}


class TestWhatWasSeen:
    """What is opened is what was looked at and checked, whatever happens meanwhile."""

    @pytest.fixture
    def campaign(self, brand, route):
        campaign = a_campaign(brand)
        add_slot(campaign, ordinal=9, template_version=campaign.template.latest(), route=route)
        return campaign

    def refusal(self, campaign, seen=None):
        with pytest.raises(CannotStart) as caught:
            start(campaign, seen)
        assert not campaign.slots.filter(state="open").exists()
        assert Campaign.objects.get().started_at is None
        return str(caught.value)

    def test_starts(self, campaign):
        assert start(campaign, terms(campaign)) == 2

    def test_can_be_signed(self, campaign):
        seen = terms(campaign)
        assert json.loads(json.dumps(seen)) == seen

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_does_not_start_what_there_is_now(self, campaign, change):
        seen = terms(campaign)
        change(campaign)
        words = "The campaign was changed meanwhile: look again."
        assert self.refusal(campaign, seen) == words

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_is_not_changed_on_the_way(self, campaign, change, monkeypatch):
        self.meanwhile(monkeypatch, lambda: change(campaign))
        assert self.refusal(campaign) == "The campaign was changed meanwhile: look again."

    @pytest.mark.parametrize("model", [Campaign, Brand, LeadList, Template])
    def test_is_not_put_away_on_the_way(self, campaign, model, monkeypatch):
        self.meanwhile(monkeypatch, lambda: model.objects.update(retired_at=NOON))
        assert "is retired; bring it back first." in self.refusal(campaign)

    def test_is_not_given_to_another_brand_on_the_way(self, campaign, monkeypatch):
        rival = make_brand(name="Rival", short_domain="rival.example.com")
        self.meanwhile(monkeypatch, lambda: Campaign.objects.update(brand=rival, route=None))
        assert "belongs to another brand, Acme." in self.refusal(campaign)

    def meanwhile(self, monkeypatch, change):
        """While the list is gone through, which may take long."""

        def slowly(text, campaign):
            change()
            return largest_segments(text, campaign)

        monkeypatch.setattr(starting, "largest_segments", slowly)

    def test_is_read_anew(self, brand, campaign):
        """Whoever starts may have read the campaign long ago."""
        stale = Campaign.objects.select_related("lead_list").get()
        LeadList.objects.update(rules={"state": "NY"})
        start(stale)
        assert campaign.slots.get(ordinal=1).list_rules == {"state": "NY"}

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("change", [CHANGES["another list"], CHANGES["another time"]])
    def test_waits_for_who_changes_it_and_then_asks_again(self, campaign, change):
        def work():
            with pytest.raises(CannotStart, match="changed meanwhile"):
                start(campaign)
            return "refused"

        with while_held(lambda: change(campaign), work) as results:
            assert not results
        assert results == ["refused"]
        assert not campaign.slots.filter(state="open").exists()


PAST = {"local_date": date(2035, 3, 7), "local_time": time(8), "length_minutes": 60}


class TestASlotThatIsOver:
    """It is noon in New York."""

    def a_campaign(self, brand, *zones, **slot):
        leads = [make_lead(brand, places=make_places(*places)) for places in zones]
        campaign = make_campaign(brand, make_list(brand, *leads))
        add_slot(campaign, **{**PAST, **slot})
        return campaign

    @pytest.mark.parametrize(
        "zones",
        [[], [["America/New_York"]], [["America/New_York"], ["America/Chicago"]]],
        ids=["nobody", "one-place", "two-places"],
    )
    def test_in_every_place_is_refused_by_its_time(self, brand, route, zones):
        campaign = self.a_campaign(brand, *zones)
        with pytest.raises(CannotStart, match="Slots: 7 March 2035 at 08:00 is over in every"):
            start(campaign)

    @pytest.mark.parametrize(
        "zones",
        [
            [["America/New_York"], ["America/Los_Angeles"]],
            [["America/New_York", "America/Los_Angeles"]],
        ],
        ids=["somebody-further-west", "somebody-who-may-be-there"],
    )
    def test_in_some_places_only_starts(self, brand, route, zones):
        assert start(self.a_campaign(brand, *zones, length_minutes=120)) == 1

    def test_is_refused_though_another_is_to_come(self, brand, route):
        campaign = self.a_campaign(brand)
        add_slot(campaign, ordinal=2)
        with pytest.raises(CannotStart, match="08:00 is over"):
            start(campaign)
        assert not campaign.slots.exclude(state="draft").exists()

    def test_is_left_alone_once_it_is_open(self, brand, route):
        campaign = self.a_campaign(brand)
        campaign.slots.update(local_date=date(2035, 3, 8))
        start(campaign)
        campaign.slots.update(local_date=date(2035, 3, 7))
        add_slot(campaign, ordinal=2)
        assert start(campaign) == 1

    def test_ends_with_the_hours_of_the_day(self, brand, route):
        """Nobody is sent anything after them, however long the slot is."""
        Brand.objects.update(opens=time(8), closes=time(11), sunday_opens=time(8))
        campaign = self.a_campaign(Brand.objects.get(), ["America/New_York"], length_minutes=600)
        with pytest.raises(CannotStart, match="is over in every place"):
            start(campaign)


class TestBlockers:
    def test_are_all_that_stand_in_the_way(self, brand):
        campaign = make_campaign(brand, make_list(brand), text="See {link}", destination="")
        assert [one.field for one in blockers(campaign)] == ["Destination", "Route", "Slots"]

    def test_are_none_for_what_can_start(self, brand, route):
        assert blockers(a_campaign(brand)) == []


class TestRouteOf:
    @pytest.fixture
    def routes(self, brand, route):
        """The campaign's own, and the list's own."""
        return [make_route(brand, make_number(), is_default=False) for _ in range(2)]

    def test_is_the_lists_first(self, brand, routes):
        campaign = a_campaign(brand, route=routes[0])
        ListRoute.objects.create(lead_list=campaign.lead_list, route=routes[1])
        assert route_of(campaign) == routes[1]

    def test_is_the_campaigns_next(self, brand, routes):
        assert route_of(a_campaign(brand, route=routes[0])) == routes[0]

    def test_is_the_brands_default_at_last(self, brand, route, routes):
        assert route_of(a_campaign(brand)) == route

    def test_is_never_a_retired_default(self, brand, route, routes):
        Route.objects.filter(pk=route.pk).update(retired_at=NOON)
        with pytest.raises(CannotStart, match="choose a default route"):
            route_of(a_campaign(brand))

    def test_is_never_another_brands(self, brand):
        make_route(make_brand(), make_number())
        with pytest.raises(CannotStart, match="choose a default route"):
            route_of(a_campaign(brand))


class TestLargestSegments:
    def parts(self, brand, text, **names):
        lead = make_lead(brand, **names)
        return largest_segments(text, a_campaign(brand, make_lead(brand), lead, text=text))

    def test_counts_the_longest_names_of_the_list(self, brand):
        # 138 characters, a blank and 21 of the opt-out line are exactly one segment
        assert self.parts(brand, "{first_name}" + "x" * 100, first_name="y" * 38) == 1
        assert self.parts(brand, "{first_name}" + "x" * 100, first_name="y" * 39) == 2

    def test_counts_nobody_elses(self, brand):
        make_lead(make_brand(), first_name="y" * 80)
        make_lead(brand, first_name="y" * 80)  # on no list
        assert self.parts(brand, "{first_name}" + "x" * 100) == 1

    def test_counts_the_brand_and_its_link(self, brand):
        link = "https://go.example.com/abcdefgh"
        room = 138 - len("Acme") - len(link)
        assert self.parts(brand, "{brand}{link}" + "x" * room) == 1
        assert self.parts(brand, "{brand}{link}" + "x" * (room + 1)) == 2

    def test_counts_the_opt_out_line_once(self, brand):
        assert self.parts(brand, "x" * 139 + "Reply STOP to opt out") == 1

    def test_counts_a_fall_back_that_is_longer_than_any_name(self, brand):
        assert self.parts(brand, "{first_name|" + "y" * 60 + "}" + "x" * 100, first_name="Al") == 2

    def test_counts_a_list_without_people(self, brand):
        assert largest_segments("Hi {first_name}", a_campaign(brand)) == 1
        assert not Lead.objects.exists()
