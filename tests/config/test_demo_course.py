from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from brands import clock
from campaigns.models import Slot
from config import demo_course
from config.demo_course import Course, Stuck
from delivery import planning
from delivery.models import Attempt, Due, Inbound, Message, Planned
from providers.models import ProviderAccount
from tests.factories import (
    DAY,
    NOON,
    TWELVE,
    make_account,
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_places,
    make_route,
    open_slot,
    set_clock,
)

CHICAGO = "America/Chicago"
NEW_YORK = "America/New_York"


def make_slot(*zones: str) -> Slot:
    """A slot at noon, two hours long, for one person in each of these zones."""
    brand = make_brand()
    make_route(brand, make_number(make_account()))
    leads = [make_lead(brand, places=make_places(zone)) for zone in zones]
    campaign = make_campaign(brand, make_list(brand, *leads))
    return open_slot(campaign, on=DAY, at=TWELVE, length_minutes=120)


def make_attempt(**fields: object) -> Attempt:
    message = Message.objects.latest("id")
    number = message.due.lane
    fields = {"outcome": "", "is_not_sent": False, **fields}
    return Attempt.objects.create(
        message=message,
        account_id=number.account_id,
        number=number,
        sender="00000000-0000-0000-0000-000000000001",
        ref=f"{message.pk:022d}",
        text="Hi",
        segments=1,
        brand_day=DAY,
        intent_at=clock.now(),
        **fields,
    )


def finish() -> None:
    """Everything that is planned was sent, and the planner has closed what is over."""
    Due.objects.all().delete()
    Message.objects.filter(status="planned").update(status="expired")
    planning.plan_open_slots()


def is_now(moment) -> bool:
    return timedelta() <= clock.now() - moment < timedelta(seconds=5)


@pytest.mark.django_db
class TestCourse:
    @pytest.fixture(autouse=True)
    def morning(self, sandbox):
        set_clock(NOON + timedelta(seconds=30))

    def test_the_clock_stays_while_a_part_that_is_due_is_not_planned(self):
        make_slot("America/New_York", CHICAGO)
        assert not Course.of_open_slots().step()
        assert is_now(NOON + timedelta(seconds=30))

    def test_the_clock_stays_while_rows_are_due(self):
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        assert not Course.of_open_slots().step()

    def test_the_clock_stays_while_a_request_is_in_flight(self, monkeypatch):
        moves = []
        monkeypatch.setattr(demo_course.shifting, "shift_to", lambda to, **_: moves.append(to))
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        make_attempt()
        finish()
        assert not Course.of_open_slots().step()
        assert moves == []

    def test_the_clock_stays_while_a_text_that_came_in_is_not_applied(self):
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        finish()
        account = ProviderAccount.objects.get()
        text = Inbound.objects.create(account=account, provider_ref="SM1", from_value="+1")
        course = Course.of_open_slots()
        assert not course.step()
        Inbound.objects.filter(pk=text.pk).update(applied_at=clock.now())
        assert course.step()

    def test_the_clock_goes_to_the_next_zone_when_nothing_is_left_to_do(self):
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        finish()
        assert Course.of_open_slots().step()
        assert is_now(NOON + timedelta(hours=1))

    def test_it_stops_where_a_row_is_held_until(self):
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        Due.objects.update(not_before=NOON + timedelta(minutes=20))
        assert Course.of_open_slots().step()
        assert is_now(NOON + timedelta(minutes=20))

    def test_it_passes_over_rows_that_are_too_few_to_stop_for(self):
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        Due.objects.update(not_before=NOON + timedelta(minutes=20))
        assert Course.of_open_slots(worth_a_stop=100).step()
        assert is_now(NOON + timedelta(hours=1))

    def test_rows_held_until_about_the_same_time_are_waited_for_together(self):
        make_slot("America/New_York", "America/Detroit")
        planning.plan_open_slots()
        first, second = Due.objects.order_by("pk")
        Due.objects.filter(pk=first.pk).update(not_before=NOON + timedelta(minutes=20))
        Due.objects.filter(pk=second.pk).update(not_before=NOON + timedelta(minutes=20, seconds=50))
        assert Course.of_open_slots().step()
        assert is_now(NOON + timedelta(minutes=20, seconds=50))

    def test_it_ends_with_the_last_slot(self):
        make_slot("America/New_York")
        planning.plan_open_slots()
        finish()
        course = Course.of_open_slots()
        assert course.step()
        assert is_now(NOON + timedelta(hours=2))
        planning.plan_open_slots()
        assert course.is_over

    def test_it_goes_on_for_a_slot_that_somebody_opens_meanwhile(self):
        first = make_slot(NEW_YORK)
        course = Course.of_open_slots()
        second = make_slot(NEW_YORK)
        course.step()
        Slot.objects.filter(pk=first.pk).update(state=Slot.State.CLOSED)
        assert not course.is_over
        assert [leg.slot for leg in course.legs] == [first, second]

    def test_rows_that_nobody_sends_hold_it_up_only_for_a_while(self, monkeypatch):
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        monkeypatch.setattr(demo_course, "STALLED_AFTER", 0.0)
        course = Course.of_open_slots()
        assert course.step()
        assert course.stalls == 1

    def test_it_says_so_when_nothing_moves_any_more(self, monkeypatch):
        make_slot("America/New_York")
        set_clock(NOON + timedelta(hours=3))
        monkeypatch.setattr(demo_course, "STALLED_AFTER", 0.0)
        course = Course.of_open_slots()
        assert not course.step()
        monkeypatch.setattr(demo_course, "STUCK_AFTER", 0.0)
        with pytest.raises(Stuck, match="slots are still open"):
            course.step()

    def test_it_runs_to_the_end_and_is_tended_on_the_way(self, monkeypatch):
        monkeypatch.setattr(demo_course, "POLL", 0.01)
        make_slot("America/New_York", CHICAGO)
        hours = Counter()

        def tend():
            hours[clock.now().hour] += 1
            planning.plan_open_slots()
            finish()

        course = Course.of_open_slots()
        course.run(tend)
        assert course.shifts == 2  # to Chicago's noon, then to its end, when New York's is over
        assert sorted(hours) == [17, 18, 20]
        assert Planned.objects.count() == 2
