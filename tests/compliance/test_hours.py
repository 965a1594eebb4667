"""Sending hours over zones, with the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compliance.hours import (
    HORIZON,
    SendingHours,
    closing_instant,
    load_zone,
    opening_instant,
)
from compliance.places import anywhere_in_us, use_pinned_zones

NEW_YORK, LOS_ANGELES, HONOLULU = "America/New_York", "America/Los_Angeles", "Pacific/Honolulu"
PHOENIX, DENVER, GUAM = "America/Phoenix", "America/Denver", "Pacific/Guam"
LONDON, TOKYO = "Europe/London", "Asia/Tokyo"
NINE_TO_EIGHT = SendingHours(time(9), time(20))
STRICT = SendingHours(time(9), time(20), sunday_opens=time(12))
NO_SUNDAY = SendingHours(time(9), time(20), sunday_opens=time(20))
FEDERAL = SendingHours(time(8), time(20))


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def at(text, zone):
    """A wall time as an instant; only for times that exist once."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


class TestIsOpen:
    @pytest.mark.parametrize(
        ("wall", "is_open"),
        [
            ("2026-07-01 08:59:59.999999", False),
            ("2026-07-01 09:00", True),
            ("2026-07-01 19:59:59.999999", True),
            ("2026-07-01 20:00", False),
        ],
    )
    def test_opens_at_the_first_and_closes_before_the_last_instant(self, wall, is_open):
        assert NINE_TO_EIGHT.is_open(at(wall, NEW_YORK), {NEW_YORK}) is is_open

    def test_all_places_must_be_open(self):
        early = at("2026-07-01 10:00", NEW_YORK)
        assert NINE_TO_EIGHT.is_open(early, {NEW_YORK})
        assert not NINE_TO_EIGHT.is_open(early, {NEW_YORK, LOS_ANGELES})

    def test_sunday_has_its_own_opening(self):
        assert not STRICT.is_open(at("2026-07-05 11:59", NEW_YORK), {NEW_YORK})
        assert STRICT.is_open(at("2026-07-05 12:00", NEW_YORK), {NEW_YORK})

    def test_sunday_is_the_day_of_the_place_and_not_of_the_clock(self):
        monday_in_utc = utc("2026-07-06 00:30")  # Sunday 14:30 in Honolulu
        assert not NO_SUNDAY.is_open(monday_in_utc, {HONOLULU})

    def test_no_place_is_never_open(self):
        assert not NINE_TO_EIGHT.is_open(at("2026-07-01 12:00", NEW_YORK), frozenset())

    @pytest.mark.parametrize("junk", ["", "Napakiak", "America", "../etc/passwd", "\x00"])
    def test_a_place_that_cannot_be_read_is_never_open(self, junk):
        noon = at("2026-07-01 12:00", NEW_YORK)
        assert not NINE_TO_EIGHT.is_open(noon, {NEW_YORK, junk})
        assert NINE_TO_EIGHT.next_opening(noon, {NEW_YORK, junk}) is None

    @pytest.mark.parametrize("closes", [time(9), time(8), time(0)])
    def test_hours_that_end_before_they_begin_are_closed(self, closes):
        inverted = SendingHours(time(9), closes)
        assert inverted.on(date(2026, 7, 1)) is None
        assert not inverted.is_open(at("2026-07-01 09:00", NEW_YORK), {NEW_YORK})

    def test_a_moment_without_a_zone_is_an_error(self):
        with pytest.raises(ValueError, match="without a time zone"):
            NINE_TO_EIGHT.is_open(datetime(2026, 7, 1, 12), {NEW_YORK})  # noqa: DTZ001


@pytest.mark.parametrize(
    ("zone", "day", "nine"),
    [
        (NEW_YORK, "2026-03-07", "14:00"),
        (NEW_YORK, "2026-03-08", "13:00"),
        (NEW_YORK, "2026-10-31", "13:00"),
        (NEW_YORK, "2026-11-01", "14:00"),
        (NEW_YORK, "2027-03-14", "13:00"),
        (NEW_YORK, "2027-11-07", "14:00"),
        (PHOENIX, "2026-03-07", "16:00"),
        (PHOENIX, "2026-03-08", "16:00"),
        (DENVER, "2026-03-07", "16:00"),
        (DENVER, "2026-03-08", "15:00"),
        ("America/Boise", "2026-11-01", "16:00"),
        (HONOLULU, "2027-03-14", "19:00"),
        ("America/Puerto_Rico", "2027-11-07", "13:00"),
        ("America/Vancouver", "2026-03-08", "16:00"),
        ("America/Vancouver", "2026-11-01", "16:00"),  # summer time stays, says the newer data
    ],
)
def test_nine_in_the_morning_follows_the_clock_changes(zone, day, nine):
    use_pinned_zones()
    morning = utc(f"{day} {nine}")
    assert opening_instant(date.fromisoformat(day), time(9), ZoneInfo(zone)) == morning
    assert NINE_TO_EIGHT.is_open(morning, {zone})
    assert not NINE_TO_EIGHT.is_open(morning - timedelta(microseconds=1), {zone})


class TestOddTimes:
    """In New York the hour from 2:00 is skipped on 8 March 2026; from 1:00 it comes twice on
    1 November."""

    SKIPPED, TWICE = date(2026, 3, 8), date(2026, 11, 1)
    ZONE = ZoneInfo(NEW_YORK)

    def test_an_opening_that_is_skipped_comes_right_after_the_gap(self):
        assert opening_instant(self.SKIPPED, time(2, 30), self.ZONE) == utc("2026-03-08 07:00")

    def test_a_close_that_is_skipped_comes_right_at_the_gap(self):
        assert closing_instant(self.SKIPPED, time(2, 30), self.ZONE) == utc("2026-03-08 07:00")

    def test_an_opening_that_comes_twice_is_the_later(self):
        assert opening_instant(self.TWICE, time(1, 30), self.ZONE) == utc("2026-11-01 06:30")

    def test_a_close_that_comes_twice_is_the_earlier(self):
        assert closing_instant(self.TWICE, time(1, 30), self.ZONE) == utc("2026-11-01 05:30")

    def test_the_hour_before_a_doubled_opening_is_closed_both_times(self):
        night = SendingHours(time(1, 30), time(3))
        first_time, second_time = utc("2026-11-01 05:45"), utc("2026-11-01 06:15")
        assert not night.is_open(first_time, {NEW_YORK})
        assert not night.is_open(second_time, {NEW_YORK})
        assert night.is_open(utc("2026-11-01 06:30"), {NEW_YORK})

    def test_a_window_inside_the_gap_does_not_open(self):
        night = SendingHours(time(2, 10), time(2, 50))
        before = utc("2026-03-08 06:00")
        assert night.next_opening(before, {NEW_YORK}) == at("2026-03-09 02:10", NEW_YORK)


class TestNextOpening:
    def test_is_now_while_open(self):
        noon = at("2026-07-01 12:00", NEW_YORK)
        assert NINE_TO_EIGHT.next_opening(noon, {NEW_YORK}) == noon

    def test_is_the_next_morning_after_the_close(self):
        evening = at("2026-07-01 20:00", NEW_YORK)
        morning = at("2026-07-02 09:00", NEW_YORK)
        assert NINE_TO_EIGHT.next_opening(evening, {NEW_YORK}) == morning

    def test_waits_for_the_last_place_to_open(self):
        early = at("2026-07-01 09:30", NEW_YORK)
        opening = at("2026-07-01 09:00", LOS_ANGELES)
        assert NINE_TO_EIGHT.next_opening(early, {NEW_YORK, LOS_ANGELES}) == opening

    def test_skips_a_closed_sunday(self):
        saturday_night = at("2026-07-04 21:00", NEW_YORK)
        assert NO_SUNDAY.next_opening(saturday_night, {NEW_YORK}) == at(
            "2026-07-06 09:00", NEW_YORK
        )

    def test_is_none_when_the_places_are_never_open_together(self):
        noon = at("2026-07-01 12:00", NEW_YORK)
        assert NINE_TO_EIGHT.next_opening(noon, {NEW_YORK, LONDON, TOKYO}) is None

    def test_finds_the_one_hour_that_new_york_and_guam_share(self):
        noon = at("2026-07-01 12:00", NEW_YORK)
        morning = at("2026-07-02 09:00", GUAM)
        assert NINE_TO_EIGHT.next_opening(noon, {NEW_YORK, GUAM}) == morning
        assert NINE_TO_EIGHT.closing(morning, {NEW_YORK, GUAM}) == morning + timedelta(hours=1)

    def test_is_none_when_every_day_is_closed(self):
        never = SendingHours(time(20), time(9))
        assert never.next_opening(utc("2026-07-01 12:00"), {NEW_YORK}) is None

    def test_is_none_without_a_place(self):
        assert NINE_TO_EIGHT.next_opening(utc("2026-07-01 12:00"), frozenset()) is None

    def test_is_in_utc_whatever_now_is_in(self):
        noon = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo(NEW_YORK))
        assert NINE_TO_EIGHT.next_opening(noon, {NEW_YORK}).tzinfo is UTC

    def test_looks_seven_days_ahead_and_no_further(self):
        """One minute a week, and between the two Sundays the clock is put back an hour."""
        weekly = SendingHours(time(20), time(20), sunday_opens=time(19, 59))
        opening = at("2026-11-01 19:59", NEW_YORK)
        assert weekly.next_opening(opening - HORIZON, {NEW_YORK}) == opening
        assert weekly.next_opening(opening - HORIZON - timedelta(seconds=1), {NEW_YORK}) is None


class TestClosing:
    def test_is_the_close_of_the_day(self):
        noon = at("2026-07-01 12:00", NEW_YORK)
        assert NINE_TO_EIGHT.closing(noon, {NEW_YORK}) == at("2026-07-01 20:00", NEW_YORK)

    def test_is_the_close_of_the_first_place_to_close(self):
        noon = at("2026-07-01 12:00", LOS_ANGELES)
        close = at("2026-07-01 20:00", NEW_YORK)
        assert NINE_TO_EIGHT.closing(noon, {NEW_YORK, LOS_ANGELES}) == close

    def test_is_none_while_a_place_is_closed(self):
        assert NINE_TO_EIGHT.closing(at("2026-07-01 10:00", NEW_YORK), {NEW_YORK, DENVER}) is None


@pytest.mark.parametrize(
    ("hours", "day", "opens", "closes"),
    [
        (FEDERAL, "2026-07-01", "14:00", "20:00"),
        (FEDERAL, "2026-12-01", "13:00", "20:00"),
        (NINE_TO_EIGHT, "2026-07-01", "15:00", "20:00"),
        (NINE_TO_EIGHT, "2026-12-01", "14:00", "20:00"),
        (STRICT, "2026-07-05", "18:00", "20:00"),
    ],
    ids=["8-20 summer", "8-20 winter", "9-20 summer", "9-20 winter", "strict Sunday"],
)
def test_the_window_common_to_all_states_in_new_york_time(hours, day, opens, closes):
    everywhere = anywhere_in_us().zones
    opening = hours.next_opening(at(f"{day} 00:00", NEW_YORK), everywhere)
    assert opening == at(f"{day} {opens}", NEW_YORK)
    assert hours.closing(opening, everywhere) == at(f"{day} {closes}", NEW_YORK)


def test_zones_are_looked_up_once():
    assert load_zone(NEW_YORK) is load_zone(NEW_YORK)


MINUTE = timedelta(minutes=1)
TIMES = st.times().map(lambda value: value.replace(second=0, microsecond=0))
NIGHT_TIMES = st.sampled_from([time(0), time(1), time(1, 30), time(2), time(2, 30), time(3)])
ZONES = st.sampled_from(
    [
        *(NEW_YORK, LOS_ANGELES, HONOLULU, PHOENIX, DENVER, GUAM, TOKYO, LONDON),
        *("America/Adak", "America/Havana", "America/St_Johns"),
        *("Africa/Cairo", "Australia/Lord_Howe"),
    ]
)
STARTS = st.one_of(
    st.integers(0, 700 * 24 * 60).map(lambda minutes: utc("2026-01-01") + MINUTE * minutes),
    st.sampled_from([utc("2026-03-06"), utc("2026-10-30"), utc("2027-03-12")]),
)


def open_minutes(hours, zone, first, minutes):
    """By scan: a day is open after its last minute before opening, until its first at closing."""
    walls = [(first + MINUTE * step).astimezone(ZoneInfo(zone)) for step in range(minutes)]
    days: dict[date, list[tuple[int, time]]] = {}
    for step, wall in enumerate(walls):
        days.setdefault(wall.date(), []).append((step, wall.time()))
    return set().union(*(open_steps(hours, day, steps) for day, steps in days.items()))


def open_steps(hours, day, steps):
    late = hours.sunday_opens if day.weekday() == 6 and hours.sunday_opens else hours.opens
    if late >= hours.closes:
        return set()
    on_time = [step for step, wall in steps if wall == late]
    too_early = [step + 1 for step, wall in steps if wall < late]
    opening = max(on_time or too_early or [steps[0][0]])
    closing = min([step for step, wall in steps if wall >= hours.closes] or [steps[-1][0] + 1])
    return set(range(opening, closing))


@settings(max_examples=60)
@given(
    st.one_of(TIMES, NIGHT_TIMES),
    st.one_of(TIMES, NIGHT_TIMES),
    st.none() | TIMES,
    st.sets(ZONES, min_size=1, max_size=3),
    STARTS,
)
@example(time(1, 30), time(3), None, {NEW_YORK}, utc("2026-11-01 04:00"))
@example(time(2, 30), time(3), None, {NEW_YORK}, utc("2026-03-08 04:00"))
@example(time(0), time(0, 30), None, {"America/Havana"}, utc("2026-03-07 12:00"))
@example(time(9), time(20), time(20), {NEW_YORK, GUAM}, utc("2026-07-03 12:00"))
def test_next_opening_is_the_first_open_minute_of_a_scan(opens, closes, sunday, zones, now):
    hours = SendingHours(opens, closes, sunday)
    before, week = 2 * 24 * 60, 7 * 24 * 60
    start = now - MINUTE * before
    scans = [open_minutes(hours, zone, start, before + week + before) for zone in sorted(zones)]
    opened = sorted(step for step in set.intersection(*scans) if before <= step <= before + week)
    expected = start + MINUTE * opened[0] if opened else None
    assert hours.next_opening(now, zones) == expected
    assert hours.is_open(now, zones) is (expected == now)
