"""The instants of a slot over one place and over several."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from campaigns.schedule import (
    NO_COMMON_WINDOW,
    Moments,
    due_at,
    expires_at,
    moments,
    planning_opens_at,
)
from compliance.hours import SendingHours
from compliance.places import anywhere_in_us, places_for

NEW_YORK, CHICAGO, DENVER = "America/New_York", "America/Chicago", "America/Denver"
HONOLULU, PHOENIX, GUAM = "Pacific/Honolulu", "America/Phoenix", "Pacific/Guam"
NEVER_TOGETHER = {NEW_YORK, "Europe/London", "Asia/Tokyo"}
HOURS = SendingHours(time(9), time(20))
DAY = date(2026, 7, 1)
TWO_HOURS = timedelta(hours=2)


def at(text, zone):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slot(wall, zones, *, day=DAY, window=TWO_HOURS, hours=HOURS):
    return moments(day, time.fromisoformat(wall), zones=zones, window=window, hours=hours)


class TestDueAt:
    def test_in_one_place_it_is_the_slots_local_time(self):
        assert due_at(DAY, time(10), {NEW_YORK}) == at("2026-07-01 10:00", NEW_YORK)

    def test_each_place_is_due_at_its_own_hour(self):
        dues = [due_at(DAY, time(10), {zone}) for zone in (NEW_YORK, CHICAGO, DENVER)]
        assert [due.hour for due in dues] == [14, 15, 16]

    @pytest.mark.parametrize("zones", list(permutations([NEW_YORK, DENVER, CHICAGO])))
    def test_over_several_places_it_is_the_latest(self, zones):
        assert due_at(DAY, time(10), zones) == at("2026-07-01 10:00", DENVER)

    def test_the_local_date_is_kept_beyond_the_date_line(self):
        assert due_at(DAY, time(10), {GUAM}) == utc("2026-07-01 00:00")
        assert due_at(DAY, time(10), {GUAM, NEW_YORK}) == at("2026-07-01 10:00", NEW_YORK)

    def test_a_split_area_code_is_due_on_its_later_side(self):
        panhandle = places_for("+18505550123", None, None)
        assert due_at(DAY, time(10), panhandle.zones) == at("2026-07-01 10:00", CHICAGO)

    def test_an_unknown_place_in_the_us_is_due_at_the_hour_of_hawaii(self):
        everywhere = anywhere_in_us().zones
        assert due_at(DAY, time(9), everywhere) == at("2026-07-01 09:00", HONOLULU)

    @pytest.mark.parametrize(
        ("day", "due"),
        [
            (date(2026, 3, 7), "2026-03-07 15:00"),
            (date(2026, 3, 8), "2026-03-08 14:00"),
            (date(2026, 11, 1), "2026-11-01 15:00"),
            (date(2027, 3, 14), "2027-03-14 14:00"),
            (date(2027, 11, 7), "2027-11-07 15:00"),
        ],
        ids=str,
    )
    def test_follows_the_clock_changes(self, day, due):
        assert due_at(day, time(10), {NEW_YORK}) == utc(due)

    def test_the_later_place_changes_with_the_season(self):
        """Arizona is with Denver in winter and an hour behind it in summer."""
        zones = {PHOENIX, DENVER}
        assert due_at(date(2026, 1, 5), time(10), zones) == utc("2026-01-05 17:00")
        assert due_at(DAY, time(10), zones) == utc("2026-07-01 17:00")

    def test_a_time_that_is_skipped_comes_right_after_the_gap(self):
        assert due_at(date(2026, 3, 8), time(2, 30), {NEW_YORK}) == utc("2026-03-08 07:00")

    def test_a_time_that_comes_twice_is_the_later(self):
        assert due_at(date(2026, 11, 1), time(1, 30), {NEW_YORK}) == utc("2026-11-01 06:30")

    @pytest.mark.parametrize("zones", [set(), {"Napakiak"}, {NEW_YORK, ""}])
    def test_needs_readable_places(self, zones):
        with pytest.raises(ValueError, match="zones that can be read"):
            due_at(DAY, time(10), zones)


class TestMoments:
    def test_last_as_long_as_the_window(self):
        due = at("2026-07-01 10:00", NEW_YORK)
        assert slot("10:00", {NEW_YORK}) == Moments(due, due + TWO_HOURS)

    def test_end_at_the_close(self):
        close = at("2026-07-01 20:00", NEW_YORK)
        assert slot("19:00", {NEW_YORK}) == Moments(at("2026-07-01 19:00", NEW_YORK), close)

    def test_end_at_the_first_close_of_several_places(self):
        due, close = at("2026-07-01 13:00", HONOLULU), at("2026-07-01 20:00", NEW_YORK)
        assert slot("13:00", {NEW_YORK, HONOLULU}) == Moments(due, close)

    def test_never_reach_into_the_next_day(self):
        close = at("2026-07-01 20:00", NEW_YORK)
        assert slot("10:00", {NEW_YORK}, window=timedelta(days=3)).expires_at == close

    def test_before_opening_wait_for_it_within_the_window(self):
        due = at("2026-07-01 08:00", NEW_YORK)
        assert slot("08:00", {NEW_YORK}) == Moments(due, due + TWO_HOURS)

    def test_before_opening_end_at_the_close_of_the_hours_waited_for(self):
        close = at("2026-07-01 20:00", NEW_YORK)
        assert slot("08:00", {NEW_YORK}, window=timedelta(days=1)).expires_at == close

    def test_outside_the_hours_expire_without_having_been_open(self):
        """In Honolulu it is the slot's hour only when New York has closed."""
        due = at("2026-07-01 16:00", HONOLULU)
        found = slot("16:00", {NEW_YORK, HONOLULU})
        assert found == Moments(due, due + TWO_HOURS)
        assert HOURS.next_opening(due, {NEW_YORK, HONOLULU}) > found.expires_at

    def test_on_a_closed_sunday_expire_the_same_day(self):
        sunday, no_sunday = date(2026, 7, 5), SendingHours(time(9), time(20), sunday_opens=time(20))
        due = at("2026-07-05 10:00", NEW_YORK)
        found = slot("10:00", {NEW_YORK}, day=sunday, hours=no_sunday)
        assert found == Moments(due, due + TWO_HOURS)

    def test_without_known_hours_last_as_long_as_the_window(self):
        due = at("2026-07-01 19:00", NEW_YORK)
        assert slot("19:00", {NEW_YORK}, hours=None) == Moments(due, due + TWO_HOURS)

    def test_places_that_are_never_open_together_have_none(self):
        assert slot("10:00", NEVER_TOGETHER) == NO_COMMON_WINDOW
        assert NO_COMMON_WINDOW.code == "no_common_window"

    @pytest.mark.parametrize("zones", [set(), {"Napakiak"}, {NEW_YORK, ""}])
    @pytest.mark.parametrize("hours", [HOURS, None], ids=["hours", "no hours"])
    def test_no_place_or_an_unreadable_one_has_none(self, zones, hours):
        assert slot("10:00", zones, hours=hours) == NO_COMMON_WINDOW


def test_expires_at_counts_elapsed_time_and_not_the_wall_clock():
    night = SendingHours(time(0, 30), time(20))
    due = at("2026-03-08 01:00", NEW_YORK)
    end = expires_at(due, window=TWO_HOURS, zones={NEW_YORK}, hours=night)
    assert end == at("2026-03-08 04:00", NEW_YORK)


def test_planning_opens_half_an_hour_before():
    assert planning_opens_at(utc("2026-07-01 14:00")) == utc("2026-07-01 13:30")
