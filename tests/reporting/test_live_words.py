from __future__ import annotations

from collections import Counter
from datetime import date, time, timedelta

import pytest

from brands.models import Brand
from campaigns.models import Campaign, Slot
from delivery.states import Reason
from reporting import live_words
from reporting.live import GROUPS
from reporting.live_board import Figures, Row
from reporting.live_finish import Finish, Span
from reporting.report import PARTS, What
from reporting.report_look import TITLES
from tests.factories import NOON

HOUR = timedelta(hours=1)
THROUGH = Span(NOON, NOON, NOON + 4 * HOUR)
MORE_TO_COME = Span(NOON, NOON + 3 * HOUR, NOON + 7 * HOUR)


def a_row(*, groups=None, waits=None, span=THROUGH, state="open", **fields):
    brand = Brand(name="NurseNow", zone="America/New_York")
    campaign = Campaign(name="Nights", brand=brand, pause_reason="20 failed")
    slot = Slot(
        campaign=campaign, local_date=date(2035, 3, 7), local_time=time(12), state=state,
        closed_at=NOON - 5 * HOUR / 60,
    )  # fmt: skip
    figures = Figures(Counter(groups or {}))
    return Row(
        slot=slot, span=span, may_brake=True, figures=figures, waits=Counter(waits or {}), **fields
    )


WAITING = {"waiting": 5}
LATE = Finish(NOON + 4 * HOUR, is_late=True)
PILLS = {
    "ended": (a_row(state="closed"), "Ended"),
    "stopped": (a_row(brake=Reason.STOP_ALL, rate=5.0), "All stopped"),
    "brand-paused": (a_row(brake=Reason.BRAND_PAUSED), "Brand paused"),
    "paused": (a_row(brake=Reason.CAMPAIGN_PAUSED), "Paused"),
    "sending": (a_row(groups=WAITING, rate=5.0), "Sending"),
    "too-slow": (a_row(groups=WAITING, rate=5.0, finish=LATE), "Too slow"),
    "local-hour": (
        a_row(groups=WAITING, waits={"local_hour": 5}, next_at=NOON + HOUR),
        "Waits for 13:00 EST",
    ),
    "capped": (a_row(groups=WAITING, waits={"campaign_cap": 5}), "Daily cap reached"),
    "number-paused": (a_row(groups=WAITING, waits={"lane_paused": 5}), "Number paused"),
    "next": (a_row(groups=WAITING, waits={"next": 3, "person_held": 2}), "About to leave"),
    "held": (a_row(groups=WAITING, waits={"person_held": 5}), "Held"),
    "more-to-come": (a_row(groups={"sent": 5}, span=MORE_TO_COME), "More at 15:00 EST"),
    "awaits-answers": (a_row(groups={"sending": 5}), "Sending"),
    "handed-over": (a_row(groups={"accepted": 5}), "All handed over"),
    "nobody": (a_row(), "Nobody to text"),
}


class TestPill:
    @pytest.mark.parametrize(("row", "words"), PILLS.values(), ids=PILLS)
    def test_says_the_state_in_a_word_or_two(self, row, words):
        assert live_words.pill(row, NOON).words == words

    def test_says_why_a_campaign_paused_itself(self):
        row = a_row(brake=Reason.CAMPAIGN_PAUSED)
        assert live_words.pill(row, NOON).detail == "20 failed"

    def test_says_how_long_ago_a_slot_ended(self):
        assert live_words.pill(a_row(state="closed"), NOON).detail == "5 min ago"


RATES = {0.0: "", 0.01: "1 a minute", 0.5: "30 a minute", 3.44: "3.4 a second",
         1234.5: "1,234 a second"}  # fmt: skip


class TestWords:
    @pytest.mark.parametrize(("a_second", "words"), RATES.items())
    def test_of_a_rate(self, a_second, words):
        assert live_words.rate(a_second) == words

    @pytest.mark.parametrize(
        ("seconds", "words"), [(60.0, "minute"), (1.0, "second"), (7.6, "8 seconds")]
    )
    def test_of_the_window(self, seconds, words):
        assert live_words.window(seconds) == words

    def test_of_a_time_name_the_day_where_it_is_another(self):
        tomorrow = live_words.clock_time(NOON + 24 * HOUR, "America/Chicago", NOON)
        assert tomorrow == "Thu 8 Mar, 11:00 CST"

    def test_of_a_finish(self):
        assert live_words.finish(a_row(finish=Finish(NOON + HOUR)), NOON) == (
            "through about 13:00 EST"
        )
        assert live_words.finish(a_row(finish=LATE), NOON) == "some will not leave by 16:00 EST"
        assert live_words.finish(a_row(), NOON) == ""


class TestParts:
    def test_name_every_group_once(self):
        assert set(live_words.LABELS) == set(live_words.BAR) == set(GROUPS)

    @pytest.mark.parametrize("what", [What.DELIVERED, What.UNKNOWN, What.FAILED, What.WAITING])
    def test_of_one_name_hold_what_the_reports_column_of_that_name_holds(self, what):
        assert set(GROUPS[what]) == set(PARTS[what])
        assert live_words.LABELS[what][0] == TITLES[what][0]

    def test_of_what_is_awaited_hold_what_the_reports_column_does(self):
        assert {*GROUPS["sending"], *GROUPS["accepted"]} == set(PARTS[What.AWAITING])

    def test_of_a_bar_are_those_with_messages_and_fill_it(self):
        shown = live_words.bar(Figures(Counter(delivered=1, waiting=3)))
        assert [(part.key, part.many, part.share) for part in shown] == [
            ("delivered", 1, "25.00"),
            ("waiting", 3, "75.00"),
        ]
