"""Where a person may be, from phone, ZIP, state and whatever else is known."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from zoneinfo import ZoneInfo

import phonenumbers
import pytest

from compliance import hours, places
from compliance.places import Places, anywhere_in_us, clean_state, clean_zip, key, places_for

NEW_YORK, CHICAGO, DENVER = "America/New_York", "America/Chicago", "America/Denver"
PHOENIX, LOS_ANGELES, GUAM = "America/Phoenix", "America/Los_Angeles", "Pacific/Guam"
SPLIT_AREA_CODES = [
    *("208", "219", "270", "308", "364", "402", "423", "448", "458", "531", "541", "574", "605"),
    *("606", "620", "701", "765", "775", "785", "812", "850", "865", "906", "907", "915", "928"),
    *("930", "931", "986"),
]
WINTER, SUMMER = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)


def place(zones, states="", *, assumed=False):
    return Places(frozenset(zones.split()), frozenset(states.split()), assumed=assumed)


def offsets(zones, when):
    return {when.astimezone(ZoneInfo(zone)).utcoffset() for zone in zones}


class TestPlacesFor:
    def test_an_area_code_alone_gives_its_state_and_zone(self):
        assert places_for("+12125550123", None, None) == place(NEW_YORK, "NY")

    def test_phone_zip_and_state_are_put_together(self):
        together = place(f"{NEW_YORK} {LOS_ANGELES} {CHICAGO} {DENVER}", "NY CA TX")
        assert places_for("+12125550123", "90012", "TX") == together

    def test_a_zip_gives_its_own_zone_and_not_all_of_its_state(self):
        navajo, tucson = "86515", "85701"
        assert places_for("+12125550123", navajo, None) == place(f"{NEW_YORK} {DENVER}", "NY AZ")
        assert places_for("+12125550123", tucson, None) == place(f"{NEW_YORK} {PHOENIX}", "NY AZ")

    def test_a_stated_state_gives_all_its_zones(self):
        florida = places_for("+12125550123", None, "Florida")
        assert florida == place(f"{NEW_YORK} {CHICAGO}", "NY FL")

    def test_more_zones_are_added_and_take_nothing_away(self):
        more = places_for("+12125550123", None, None, [LOS_ANGELES])
        assert more == place(f"{NEW_YORK} {LOS_ANGELES}", "NY")

    def test_an_unreadable_extra_zone_may_be_anywhere(self):
        found = places_for("+12125550123", None, None, ["Mars/Olympus"])
        assert found == anywhere_in_us()

    @pytest.mark.parametrize("zip_code", ["", "junk", "00000", "99999", "09012", "K1A 0B1"])
    def test_a_zip_that_names_no_place_adds_none(self, zip_code):
        assert places_for("+12125550123", zip_code, None) == place(NEW_YORK, "NY")

    @pytest.mark.parametrize("state", ["", "Ontario", "AE", "Armed Forces Europe", "?"])
    def test_a_state_that_names_no_place_adds_none(self, state):
        assert places_for("+12125550123", None, state) == place(NEW_YORK, "NY")

    def test_a_zip_with_a_junk_zone_counts_as_its_whole_state(self):
        napakiak, alaska = (places_for(None, *fact) for fact in [("99634", None), (None, "AK")])
        assert napakiak == alaska
        assert "America/Adak" in napakiak.zones

    def test_a_short_zip_is_read_with_its_zeros(self):
        assert places_for(None, "501", None) == place(NEW_YORK, "NY")

    def test_a_zip_not_given_out_yet_belongs_to_its_neighbours(self):
        assert places_for(None, "00502", None) == place(NEW_YORK, "NY")

    def test_the_first_and_the_last_zip_are_found(self):
        assert places_for(None, "00501", None) == place(NEW_YORK, "NY")
        assert places_for(None, "99950", None).states == {"AK"}

    def test_a_us_number_without_any_place_may_be_in_any_state(self):
        assert places_for("+18005550123", None, None) == anywhere_in_us()

    def test_a_fact_is_better_than_any_state(self):
        assert places_for("+18005550123", "10001", None) == place(NEW_YORK, "NY")

    def test_without_phone_the_other_facts_count(self):
        assert places_for(None, "10001", None) == place(NEW_YORK, "NY")

    def test_nothing_known_is_no_place(self):
        assert places_for(None, "", "", ()) is None


class TestAbroad:
    def test_a_canadian_code_has_zones_and_no_state(self):
        assert places_for("+16045550123", None, None) == place("America/Vancouver")

    def test_a_canadian_overlay_has_the_zones_of_the_code_it_lies_over(self):
        interior, overlay = (places_for(f"+1{code}5550123", None, None) for code in (250, 778))
        assert interior == overlay == place("America/Vancouver America/Edmonton")

    def test_a_number_abroad_has_the_zones_of_its_country(self):
        assert "Europe/London" in places_for("+442079460958", None, None).zones

    def test_a_person_abroad_with_a_us_zip_may_be_in_both(self):
        zones = places_for("+33123456789", "10001", None).zones
        assert zones == {"Europe/Paris", NEW_YORK}

    @pytest.mark.parametrize("e164", ["+881612345678", "+16005550123", "+999", "junk"])
    def test_a_number_abroad_without_a_zone_is_nowhere_whatever_else_is_known(self, e164):
        assert places_for(e164, "10001", "NY") is None


class TestTerritories:
    def test_a_territorys_area_code_is_that_territory(self):
        assert places_for("+16715550123", None, None) == place(GUAM, "GU")
        assert places_for("+17875550123", None, None) == place("America/Puerto_Rico", "PR")

    def test_country_names_of_islands_are_not_taken_for_states(self):
        """To phonenumbers, MS is Montserrat and KY are the Cayman Islands."""
        assert places_for("+16645550123", None, None).states == frozenset()
        assert places_for("+13455550123", None, None).states == frozenset()

    def test_no_territory_is_in_the_set_of_all_states(self):
        everywhere = anywhere_in_us()
        assert len(everywhere.states) == 51
        assert not everywhere.states & {"PR", "VI", "GU", "MP", "AS", "AE"}
        assert offsets(everywhere.zones, WINTER) == {
            timedelta(hours=-h) for h in (5, 6, 7, 8, 9, 10)
        }
        assert everywhere.assumed

    def test_a_stated_pacific_place_is_a_place_like_any_other(self):
        """A mainland mobile that lives on Guam must not be texted in its night."""
        assert places_for("+12125550123", "96910", None) == place(f"{NEW_YORK} {GUAM}", "NY GU")


class TestSplitAreaCodes:
    @pytest.mark.parametrize("code", SPLIT_AREA_CODES)
    def test_has_the_zones_of_both_sides(self, code):
        zones = places_for(f"+1{code}2345678", None, None).zones
        assert max(len(offsets(zones, when)) for when in (WINTER, SUMMER)) > 1

    @pytest.mark.parametrize(
        ("code", "both"),
        [
            ("850", {CHICAGO, NEW_YORK}),
            ("448", {CHICAGO, NEW_YORK}),
            ("930", {CHICAGO, "America/Indiana/Indianapolis"}),
            ("458", {LOS_ANGELES, "America/Boise"}),
            ("423", {CHICAGO, NEW_YORK}),
            ("364", {CHICAGO, NEW_YORK}),
            ("605", {CHICAGO, DENVER}),
            ("986", {"America/Boise", LOS_ANGELES}),
            ("775", {"America/Boise", LOS_ANGELES}),
            ("907", {"America/Anchorage", "America/Adak"}),
            ("928", {PHOENIX, DENVER}),
        ],
    )
    def test_names_them(self, code, both):
        assert both <= places_for(f"+1{code}2345678", None, None).zones

    def test_a_code_does_not_take_the_state_of_a_neighbouring_county(self):
        assert places_for("+13035550123", None, None) == place(DENVER, "CO")


class TestTables:
    def test_every_us_number_that_phonenumbers_knows_has_a_state_and_a_zone(self):
        kind = phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
        lost = []
        for code in range(200, 1000):
            number = phonenumbers.PhoneNumber(
                country_code=1, national_number=code * 10**7 + 2345678
            )
            is_local = phonenumbers.number_type(number) == kind
            if is_local and phonenumbers.region_code_for_number(number) == "US":
                found = places_for(f"+1{number.national_number}", None, None)
                lost += [code] if found.assumed or len(found.states) != 1 else []
        assert lost == []

    def test_all_their_zones_can_be_read(self):
        areas, runs = places._area_codes().values(), places._zip_ranges()[1]
        found = [area.zones for area in areas] + [found.zones for _last, found in runs]
        names = frozenset().union(*found, *places._state_zones().values())
        assert [name for name in names if not hours.load_zone(name)] == []

    def test_runs_of_zips_are_in_order_and_apart(self):
        starts, ranges = places._zip_ranges()
        ends = [last for last, _ in ranges]
        borders = [border for run in zip(starts, ends, strict=True) for border in run]
        assert borders == sorted(borders)
        assert all(end < start for end, start in zip(ends, starts[1:], strict=False))

    @pytest.mark.parametrize(
        ("state", "beyond"),
        [
            *(
                ("TX", DENVER),
                ("FL", CHICAGO),
                ("NV", "America/Boise"),
                ("MI", "America/Menominee"),
            ),
            *(("NE", DENVER), ("KS", DENVER), ("TN", NEW_YORK), ("KY", CHICAGO)),
            ("OR", "America/Boise"),
        ],
    )
    def test_a_state_over_two_zones_has_both(self, state, beyond):
        assert beyond in places_for(None, None, state).zones


class TestKey:
    def test_does_not_depend_on_order(self):
        assert key(place("b a", "Y X")) == key(place("a b", "X Y")) == "a,b|X,Y|"

    def test_tells_zones_states_and_assumption_apart(self):
        sets = [place("a b"), place("a", "b"), place("", "a b"), place("a b", assumed=True)]
        assert len({key(each) for each in sets}) == len(sets)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("32401", "32401"),
        (" 32401 ", "32401"),
        ("32401-1234", "32401"),
        ("32401 1234", "32401"),
        ("324011234", "32401"),
        ("501", "00501"),
        ("2134", "02134"),
        ("501-1234", "00501"),
        ("5011234", "00501"),
        ("", ""),
        ("  ", ""),
        ("12", None),
        ("123456", None),
        ("K1A 0B1", None),
        ("32401-12", None),
        ("3240x", None),
        ("٣٢٤٠١", None),
    ],
)
def test_clean_zip(raw, cleaned):
    assert clean_zip(raw) == cleaned


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("FL", "FL"),
        ("fl", "FL"),
        ("Fla.", "FL"),
        (" florida ", "FL"),
        ("NEW YORK", "NY"),
        ("new-york", "NY"),
        ("N.Y.", "NY"),
        ("D.C.", "DC"),
        ("Washington, D.C.", "DC"),
        ("Washington", "WA"),
        ("West Virginia", "WV"),
        ("Virginia", "VA"),
        ("Puerto Rico", "PR"),
        ("AE", "AE"),
        ("", ""),
        ("Ontario", None),
        ("XX", None),
        ("...", None),
    ],
)
def test_clean_state(raw, cleaned):
    assert clean_state(raw) == cleaned


class TestPinnedZones:
    def test_come_from_the_package_and_not_from_the_system(self):
        """The package keeps Vancouver on summer time from November 2026; older copies do not."""
        assert places.use_pinned_zones() == version("tzdata")
        january = datetime(2027, 1, 15, tzinfo=UTC).astimezone(ZoneInfo("America/Vancouver"))
        assert january.utcoffset() == timedelta(hours=-7)

    def test_without_the_package_there_is_a_clear_error(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tzdata.zoneinfo.America", None)
        try:
            with pytest.raises(places.ZonesMissing, match="America/New_York cannot be read"):
                places.use_pinned_zones()
        finally:
            monkeypatch.undo()
            places.use_pinned_zones()
