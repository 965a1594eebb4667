from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.allowances import Budget, PersonLimits, cap_keys

NOW = 1_780_500_000.0  # an epoch second
HOUR, DAY = 3_600.0, 86_400.0
LIMITS = PersonLimits(3, 6, timedelta(hours=2))
TODAY = date(2026, 6, 3)


def sent(*hours_ago):
    return [(NOW - hours * HOUR, 99, "", "") for hours in hours_ago]


class TestPersonLimits:
    @pytest.mark.parametrize(
        ("recent", "allowed_at"),
        [
            pytest.param([], 0.0, id="nothing-yet"),
            pytest.param(sent(1), NOW + HOUR, id="gap"),
            pytest.param(sent(20, 10, 3), NOW + 4 * HOUR, id="day"),
            pytest.param(sent(30, 20, 10, 3), NOW + 4 * HOUR, id="day-without-what-is-older"),
            pytest.param(sent(156, 120, 96, 72, 48, 36), NOW + 12 * HOUR, id="week"),
            pytest.param(sent(3, 20, 10), NOW + 4 * HOUR, id="in-any-order"),
            pytest.param(sent(23, 10, 1), NOW + HOUR, id="the-latest-of-them"),
        ],
    )
    def test_say_when_one_more_is_allowed(self, recent, allowed_at):
        assert LIMITS.allowed_at(recent, 5) == allowed_at

    def test_leave_out_the_message_itself(self):
        assert LIMITS.allowed_at([(NOW, 5, "", "")], 5) == 0.0

    @pytest.mark.parametrize("limits", [(0, 6), (3, 0)], ids=["none-a-day", "none-a-week"])
    def test_of_none_are_never_met(self, limits):
        assert PersonLimits(*limits, timedelta()).allowed_at([], 5) == float("inf")

    @given(st.lists(st.floats(0, 10 * 24), max_size=12))
    def test_hold_in_every_span_when_sends_wait_for_them(self, waits):
        """Whoever sends no earlier than allowed never has too many in a day or in a week."""
        times: list[float] = []
        at = NOW
        for wait in waits:
            recent = [(time, 99, "", "") for time in times]
            at = max(at + wait * HOUR, LIMITS.allowed_at(recent, 5))
            times.append(at)
        for n, time in enumerate(times):
            assert sum(time <= other < time + DAY for other in times) <= 3
            assert sum(time <= other < time + 7 * DAY for other in times) <= 6
            assert n == 0 or time - times[n - 1] >= 2 * HOUR


class TestBudget:
    def test_takes_one_of_each(self):
        budget = Budget(left={"brand": 2, "campaign": 1})
        assert budget.take(("brand", "campaign")) is None
        assert budget.left == {"brand": 1, "campaign": 0}

    @pytest.mark.parametrize(
        ("left", "full"),
        [
            ({"brand": 0, "campaign": 5}, "brand"),
            ({"brand": 2, "campaign": 0}, "campaign"),
            ({"brand": -1, "campaign": 1}, "brand"),
        ],
        ids=["first", "second", "over"],
    )
    def test_takes_nothing_where_one_has_none_left(self, left, full):
        budget = Budget(left=dict(left))
        assert budget.take(("brand", "campaign")) == full
        assert budget.left == left

    def test_knows_no_end_of_what_has_no_cap(self):
        budget = Budget(left={"brand": 1})
        assert budget.take(("brand", "campaign")) is None
        assert budget.left == {"brand": 0}


class TestCapKeys:
    def test_are_the_brands_and_the_campaigns_on_the_brands_day(self):
        assert cap_keys(1, 2, TODAY) == ("brand:1:2026-06-03", "campaign:2:2026-06-03")

    def test_are_the_brands_alone_without_a_campaign(self):
        assert cap_keys(1, None, TODAY) == ("brand:1:2026-06-03",)
