"""The ramp of a new number, as the database reckons it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError

from providers import warming
from providers.models import SenderNumber
from tests.factories import NOON, make_number

pytestmark = pytest.mark.django_db

DAY = timedelta(hours=24)
INSTANT = timedelta(microseconds=1)


def a_number(**fields):
    values = {"segments_per_second": 1.0, "warms_up_since": NOON, **fields}
    return make_number(**values)


def at(number, moment):
    return warming.with_warming(SenderNumber.objects.filter(pk=number.pk), moment).get()


@pytest.fixture(autouse=True)
def _sandbox(sandbox):
    """In it there are accounts."""


class TestTheDay:
    @pytest.mark.parametrize(
        ("after", "day"),
        [
            pytest.param(-DAY, 1, id="before-it-begins"),
            pytest.param(timedelta(), 1, id="at-its-beginning"),
            pytest.param(DAY - INSTANT, 1, id="at-the-end-of-the-first"),
            pytest.param(DAY, 2, id="at-the-beginning-of-the-second"),
            pytest.param(14 * DAY - INSTANT, 14, id="in-the-last-instant"),
            pytest.param(14 * DAY, None, id="when-it-is-over"),
            pytest.param(999 * DAY, None, id="long-after"),
        ],
    )
    def test_is_counted_in_24_hours_from_the_beginning(self, after, day):
        assert at(a_number(), NOON + after).warm_day == day

    def test_begins_when_the_warm_up_did_whatever_the_clocks_of_a_zone_do(self):
        number = at(a_number(), NOON + 5.5 * DAY)  # New York's clocks go forward meanwhile
        assert number.warm_from == NOON + 5 * DAY

    def test_of_a_warm_number_is_none(self):
        number = at(a_number(warms_up_since=None), NOON)
        assert (number.warm_day, number.warm_from, number.warm_ceiling) == (None, None, None)


class TestThePace:
    def test_grows_by_the_same_step_each_day_to_the_full_speed(self):
        number = a_number(segments_per_second=5.0, warm_up_days=4)
        paces = [at(number, NOON + day * DAY).pace for day in range(6)]
        assert paces == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0, 5.0])

    def test_of_a_warm_number_is_its_own(self):
        assert at(a_number(warms_up_since=None, segments_per_second=7.0), NOON).pace == 7.0


class TestTheCeiling:
    def test_begins_with_the_first_days_and_grows_by_the_same_factor(self):
        number = a_number(warm_up_first=200, warm_up_days=14)
        ceilings = [at(number, NOON + day * DAY).warm_ceiling for day in range(15)]
        assert ceilings[:4] == [200, 308, 475, 734]
        assert ceilings[13:] == [56_009, None]  # 86,400 is what it makes in a day

    def test_never_falls(self):
        number = a_number(warm_up_first=7, warm_up_days=30)
        ceilings = [at(number, NOON + day * DAY).warm_ceiling for day in range(30)]
        assert ceilings == sorted(ceilings)

    def test_of_one_that_may_begin_with_more_than_it_makes_in_a_day_stays(self):
        number = a_number(segments_per_second=0.01, warm_up_first=5000)
        assert {at(number, NOON + day * DAY).warm_ceiling for day in range(14)} == {5000}

    def test_of_an_immense_speed_is_a_number_still(self):
        number = a_number(segments_per_second=1e9, warm_up_days=90)
        assert at(number, NOON + 89 * DAY).warm_ceiling == 2_000_000_000


class TestInWords:
    def test_says_the_day_and_what_may_be_sent_in_it(self):
        number = at(a_number(), NOON + 2 * DAY)
        assert warming.in_words(number) == "day 3 of 14: 475 a day"

    def test_says_nothing_of_a_warm_number(self):
        assert warming.in_words(at(a_number(warms_up_since=None), NOON)) == ""


@pytest.mark.parametrize("field", ["warm_up_days", "warm_up_first"])
def test_a_ramp_of_nothing_cannot_be_stored(field):
    with pytest.raises(IntegrityError, match="warm_up_has_a_beginning_and_an_end"):
        a_number(**{field: 0})
