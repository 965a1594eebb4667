from __future__ import annotations

import pytest
from django.db import connection

from campaigns.models import Slot
from compliance.models import Person
from config import bench_history, bench_scale, bench_stage
from delivery import planning
from delivery.models import Attempt, CapCounter, Due, Frontier, Message, Sticky
from leads.models import Lead, ListEntry
from tests.delivery.waiting import wait_until

PEOPLE, EARLIER = 300, 120
SIMULATOR = "http://127.0.0.1:9"


@pytest.mark.django_db
class TestHistory:
    @pytest.fixture(autouse=True)
    def brands(self, monkeypatch):
        monkeypatch.setattr(bench_history, "come_to_rest", lambda: None)  # not in a transaction
        brands = bench_stage.found(simulator=SIMULATOR, daily_cap=10_000)
        bench_history.grow(brands, messages=EARLIER, people=PEOPLE)
        return brands

    def test_there_are_as_many_people_and_messages_as_were_asked_for(self, brands):
        assert Person.objects.count() == Lead.objects.count() == PEOPLE
        assert Message.objects.filter(status="delivered").count() == EARLIER
        bench_history.grow(brands, messages=EARLIER + 60, people=PEOPLE + 100)
        assert Person.objects.count() == Lead.objects.count() == PEOPLE + 100
        assert Message.objects.values("person").distinct().count() == EARLIER + 60

    def test_each_message_left_behind_what_sending_leaves(self):
        sent = Message.objects.filter(link__isnull=False, slot__state=Slot.State.CLOSED)
        assert sent.count() == Attempt.objects.filter(report_status="delivered").count() == EARLIER
        assert ListEntry.objects.count() == Sticky.objects.count() == EARLIER
        assert Person.objects.exclude(recent=[]).count() == EARLIER
        assert sum(CapCounter.objects.values_list("used", flat=True)) == 2 * EARLIER
        assert Frontier.objects.get().attempt_id == Attempt.objects.latest("id").pk

    def test_what_a_person_got_lately_names_the_message(self):
        for message in Message.objects.select_related("person"):
            assert [entry[1] for entry in message.person.recent] == [message.pk]

    def test_recipients_are_those_who_got_nothing_today(self, brands):
        bench_history.start_campaigns(brands, 100, "Round 1")
        assert planning.plan_open_slots() == 100
        Person.objects.filter(message__status="planned").update(
            last_message_at=bench_history.clock.now()
        )
        bench_history.start_campaigns(brands, 200, "Round 2")
        assert planning.plan_open_slots() == 200
        assert Due.objects.values("message__person").distinct().count() == 300


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_keeps_the_dead_until_it_is_closed():
    def oldest() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(backend_xmin) FROM pg_stat_activity"
                " WHERE state = 'idle in transaction' AND datname = current_database()"
            )
            return cursor.fetchone()[0]

    with bench_scale.snapshot():
        assert oldest() == 1
    wait_until(lambda: oldest() == 0)  # the server ends a connection after it was told to


def a_round(cost: float, accepted: int = 1_000, **more: object) -> dict[str, object]:
    cpu = {"workers": cost * 0.75, "postgres": cost * 0.25, "simulator": 9.0}
    return {
        "accepted": accepted,
        "cpu_seconds": cpu,
        "messages_per_second": 1,
        "p95_seconds": 1.0,
        **more,
    }


class TestSideBySide:
    def test_rounds_are_compared_with_the_first(self):
        found = bench_scale.side_by_side({"at_1": a_round(1.0), "at_2": a_round(1.1)})
        assert found["cpu_ms_per_message"] == {"at_1": 1.0, "at_2": 1.1}
        assert found["times_its_base"] == {"at_2": 1.1}

    def test_a_minute_under_a_snapshot_is_compared_with_one_without(self):
        rounds = {"at_1": 1.0, "at_1_for_a_minute": 0.5, "at_1_with_a_snapshot": 0.8}
        found = bench_scale.side_by_side({name: a_round(cost) for name, cost in rounds.items()})
        assert found["times_its_base"] == {"at_1_for_a_minute": 0.5, "at_1_with_a_snapshot": 1.6}

    @pytest.mark.parametrize(
        ("name", "cost", "is_met"),
        [
            pytest.param("at_2", 1.2, True, id="flat"),
            pytest.param("at_2", 1.3, False, id="not flat"),
            pytest.param("at_2_with_a_snapshot", 2.0, True, id="twice under a snapshot"),
            pytest.param("at_2_with_a_snapshot", 2.1, False, id="more than twice"),
        ],
    )
    def test_the_goal_is_told(self, name: str, cost: float, is_met: bool):
        bases = {"at_1": a_round(1.0), "at_2_for_a_minute": a_round(1.0)}
        found = bench_scale.side_by_side({**bases, name: a_round(cost)})
        assert list(found["is_goal_met"].values()) == [True, is_met]

    def test_what_was_sent_after_the_snapshot_is_not_counted(self):
        cut = a_round(1.0, accepted=5_000, counted=500)
        assert bench_scale.cost_ms(cut) == 2.0


@pytest.mark.parametrize(
    ("trouble", "is_well"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"is_goal_met": {"at_2": False}}, True, id="slow is not wrong"),
        pytest.param({"taken_by_the_provider": 6}, False, id="taken, but not recorded"),
        pytest.param({"is_clean": False}, False, id="the rows disagree"),
        pytest.param({"is_complete": False}, False, id="a worker died"),
    ],
)
def test_what_makes_a_run_fail(trouble: dict[str, object], is_well: bool):
    found = {
        "is_clean": True,
        "is_complete": True,
        "duplicates": 0,
        "accepted": 5,
        "taken_by_the_provider": 5,
        **trouble,
    }
    assert bench_scale.is_well(found) is is_well
