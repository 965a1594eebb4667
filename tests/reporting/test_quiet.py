"""O6: the hours are the person's own, in every place they may be in."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from brands.models import Brand, ClockShift
from compliance.models import Person
from delivery.models import Attempt, Inbound, SingleText
from leads.models import Lead
from reporting.oracle.quiet import Hours
from tests.reporting.world import NOON, NOW, World

QUIET = {"O6": ["received in the person's quiet hours"]}
NEW_YORK = ZoneInfo("America/New_York")
HOURS = Hours(time(9), time(20), time(12))


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """In New York; 7 March 2035 is a Wednesday."""
    return datetime(2035, 3, day, hour, minute, second, tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        pytest.param(at(7, 8, 59, 59), False, id="a second too early"),
        pytest.param(at(7, 9), True, id="at opening"),
        pytest.param(at(7, 19, 59, 59), True, id="the last second"),
        pytest.param(at(7, 20, 0, 14), True, id="under way at the close"),
        pytest.param(at(7, 20, 0, 16), False, id="too late"),
        pytest.param(at(7, 23), False, id="at night"),
        pytest.param(at(7, 0), False, id="at midnight"),
        pytest.param(at(4, 11, 59), False, id="early on Sunday"),
        pytest.param(at(4, 12), True, id="Sunday noon"),
        pytest.param(at(11, 12), True, id="the Sunday on which clocks change"),
    ],
)
def test_hours(moment, allowed):
    assert HOURS.allow(moment, NEW_YORK) is allowed


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.django_db
class TestInQuietHours:
    def test_a_text_at_night_is_seen(self, world, tmp_path):
        world.requests[0]["received_at"] -= 8 * 3600
        assert world.problems(tmp_path) == QUIET

    def test_the_clock_in_force_at_the_receipt_counts(self, world, tmp_path):
        """Received at noon of the clock of then; by the clock of now it was night."""
        world.shift_by(NOW - world.real_now + timedelta(hours=12), since=world.real_now)
        assert "O6" not in world.problems(tmp_path)

    def test_the_real_time_alone_does_not_count(self, world, tmp_path):
        assert ClockShift.objects.get().total_seconds > 0
        Brand.objects.update(opens=time(11), sunday_opens=time(11), closes=time(13))
        assert "O6" not in world.problems(tmp_path)

    def test_hours_are_the_brands_own(self, world, tmp_path):
        Brand.objects.update(opens=time(13), sunday_opens=time(13))
        assert world.problems(tmp_path) == QUIET

    @pytest.mark.parametrize(
        "place",
        [
            pytest.param({"zip_code": "96813"}, id="the ZIP"),
            pytest.param({"state": "HI"}, id="the state"),
        ],
    )
    def test_every_place_of_the_lead_counts(self, world, tmp_path, place):
        Lead.objects.filter(pk=world.leads[0].pk).update(**place)  # 7:00 in Hawaii
        assert world.problems(tmp_path) == QUIET

    def test_the_area_code_counts(self, world, tmp_path):
        phone = "+19075550123"
        Person.objects.filter(pk=world.leads[0].person_id).update(phone=phone)
        world.requests[0]["to"] = phone
        assert world.problems(tmp_path) == QUIET

    def test_a_number_abroad_that_nobody_can_place_may_get_nothing(self, world, tmp_path):
        world.requests[0]["to"] = "+999123456789"
        assert world.problems(tmp_path) == QUIET

    def test_help_may_be_answered_at_night(self, world, tmp_path):
        inbound = Inbound.objects.create(
            account=world.number.account, provider_ref="SM1", applied_at=NOON
        )
        world.send(kind="reply", inbound=inbound, reply_kind="help")
        world.requests[-1]["received_at"] -= 8 * 3600
        assert Attempt.objects.count() == 4
        assert world.problems(tmp_path) == {}

    def test_more_jobs_wait_for_the_morning(self, world, tmp_path):
        inbound = Inbound.objects.create(
            account=world.number.account, provider_ref="SM1", applied_at=NOON
        )
        world.send(kind="reply", inbound=inbound, reply_kind="more-jobs")
        world.count(f"brand:{world.brand.pk}:2035-03-07")
        world.requests[-1]["received_at"] -= 8 * 3600
        assert world.problems(tmp_path) == QUIET


@pytest.mark.django_db
class TestATestOfStaff:
    """Asked for at 2:30 at night."""

    @pytest.mark.parametrize(("is_test", "problems"), [(True, {}), (False, QUIET)])
    def test_may_come_at_any_hour_and_no_other_single_message(
        self, world, tmp_path, is_test, problems
    ):
        at_night = NOW - timedelta(hours=10)
        world.send(at=at_night, kind="single", is_test=is_test, idempotency_key="k1")
        assert world.problems(tmp_path) == problems

    def test_to_a_phone_on_a_list_may_not(self, world, tmp_path):
        at_night = NOW - timedelta(hours=10)
        world.send(at=at_night, kind="single", is_test=True, idempotency_key="k1")
        SingleText.objects.update(to_a_lead=True)
        assert world.problems(tmp_path) == QUIET

    def test_a_campaigns_message_is_no_test_whatever_its_text_says(self, world, tmp_path):
        message = world.send(at=NOW - timedelta(hours=10), text="Job")
        SingleText.objects.create(message=message, text="Job", is_test=True)
        assert world.problems(tmp_path)["O6"] == QUIET["O6"]
