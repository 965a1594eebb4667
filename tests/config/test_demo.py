from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from rich.console import Console

from brands import clock
from campaigns.models import Slot
from config import demo, demo_course, demo_summary
from config.bench import databases
from config.demo import CannotStage, Killer, Options, alone
from config.demo_course import Course, Stuck
from config.demo_summary import Column, Phases, Progress, Told
from config.services import ROOT
from delivery import planning
from delivery.models import Attempt, Due, Message, Planned
from tests.factories import (
    DAY,
    NOON,
    TWELVE,
    make_account,
    make_brand,
    make_campaign,
    make_installation,
    make_lead,
    make_list,
    make_number,
    make_places,
    make_route,
    open_slot,
    set_clock,
)

CHICAGO = "America/Chicago"


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


class FakeChildren:
    def __init__(self):
        self.killed = []

    def pids(self):
        return {"send-1": 1, "send-2": 2, "upkeep": 3}

    def kill(self, name):
        self.killed.append(name)


@pytest.mark.django_db
class TestKiller:
    def test_kills_as_often_as_asked_and_only_who_sends(self, sandbox):
        children, killer = FakeChildren(), Killer(random.Random(1), [0, 0, 0])
        for _ in range(5):
            killer.look(children)
        assert killer.killed == len(children.killed) == 3
        assert set(children.killed) <= {"send-1", "send-2"}

    def test_its_moments_lie_within_the_sending(self):
        killer = Killer.of(Options(leads=1_000, kills=20))
        assert len(killer.moments) == 20
        assert 50 <= min(killer.moments) <= max(killer.moments) <= 850

    def test_it_waits_for_its_moment(self):
        children, killer = FakeChildren(), Killer(random.Random(1), [1])
        killer.look(children)
        assert children.killed == []


class TestVerdicts:
    @pytest.fixture(autouse=True)
    def database(self, sandbox, django_db_setup):
        """They look at magic numbers."""

    def judged(self, *, clean=True, most_unknown=0, **ends: int) -> list[bool]:
        every = Column(ends=Counter({(status, ""): count for status, count in ends.items()}))
        found = demo_summary.verdicts(every, most_unknown=most_unknown, ledger_is_clean=clean)
        return [verdict.holds for verdict in found]

    pytestmark = pytest.mark.django_db

    def test_all_is_well_when_everybody_was_sent_to(self):
        assert self.judged(accepted=99, refused=5) == [True] * 4

    @pytest.mark.parametrize(
        ("changes", "holds"),
        [
            pytest.param({"clean": False}, [False, True, True, True], id="the ledger disagrees"),
            pytest.param({"planned": 1}, [True, False, True, True], id="one still waits"),
            pytest.param({"sending": 1}, [True, False, True, True], id="one is in flight"),
            pytest.param({"expired": 2}, [True, True, False, True], id="too few were accepted"),
        ],
    )
    def test_each_trouble_is_seen(self, changes: dict[str, int], holds: list[bool]):
        assert self.judged(**{"accepted": 150, **changes}) == holds

    def test_more_unknown_than_kills_explain_is_trouble(self, sandbox):
        make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        Message.objects.update(status="sending")
        Message.objects.update(status="unknown")
        assert self.judged(accepted=200, most_unknown=0)[3] is False
        assert self.judged(accepted=200, most_unknown=2)[3] is True

    def test_unknown_that_a_magic_number_asks_for_is_no_trouble(self):
        make_slot("America/New_York")
        planning.plan_open_slots()
        message = Message.objects.get()
        type(message.person).objects.update(phone="+12125550007")
        Message.objects.update(status="sending")
        Message.objects.update(status="unknown")
        assert self.judged(accepted=200)[3] is True


@pytest.mark.django_db
class TestTable:
    def test_it_tells_each_brands_ends_and_those_of_all(self, sandbox):
        for _ in range(2):
            make_slot("America/New_York", CHICAGO)
        planning.plan_open_slots()
        found = demo_summary.columns()
        assert [column.audience for column in found.values()] == [1, 1, 2]
        assert found["All"].ends == {("planned", ""): 2}
        console = Console(file=io.StringIO(), width=80)
        console.print(demo_summary.table(found))
        assert "audience" in console.file.getvalue()

    def test_progress_counts_what_providers_took(self, sandbox):
        make_slot("America/New_York")
        planning.plan_open_slots()
        Message.objects.update(status="sending")
        Message.objects.update(status="accepted")
        progress = Progress()
        progress.read()
        assert progress.words("noon").startswith("noon · planned 0 · sending 0 · accepted 1 ·")

    def test_the_rate_is_that_of_the_last_seconds(self, sandbox, monkeypatch):
        make_slot("America/New_York")
        planning.plan_open_slots()
        progress, now = Progress(), 100.0
        monkeypatch.setattr(demo_summary.time, "monotonic", lambda: now)
        progress.read()
        Message.objects.update(status="sending")
        Message.objects.update(status="accepted")
        now = 102.0
        progress.read()
        assert progress.rate == 0.5


class TestTold:
    def told(self, *, terminal: bool) -> Told:
        return Told(Console(file=io.StringIO(), force_terminal=terminal, width=80))

    def test_without_a_terminal_each_word_is_a_line(self):
        told = self.told(terminal=False)
        with told.moving():
            told.show("one")
            told.show("two")
        assert told.console.file.getvalue() == "one\ntwo\n"

    def test_on_a_terminal_the_line_moves_and_is_gone_at_the_end(self):
        told = self.told(terminal=True)
        with told.moving():
            told.show("one")
        assert "\x1b[2K" in told.console.file.getvalue()

    def test_lines_come_every_few_seconds_only(self):
        told = self.told(terminal=False)
        assert [told.is_time(), told.is_time()] == [True, False]


def test_the_phases_are_told_in_order_with_their_sum(monkeypatch):
    phases, moments = Phases(), iter([0.0, 1.5, 2.0, 2.5])
    monkeypatch.setattr(demo_summary.time, "monotonic", lambda: next(moments))
    for name in ("importing", "sending"):
        with phases.timed(name):
            pass
    assert phases.words() == "importing 1.5 s, sending 0.5 s; together 2.0 s"


@pytest.mark.django_db
def test_a_second_demo_on_the_same_database_is_refused():
    with alone(), pytest.raises(CannotStage, match="Another demo runs"), alone():
        pass


@pytest.mark.django_db
def test_the_administrator_can_log_in_with_the_password_that_is_told(client):
    password = demo.give_password()
    assert client.login(username=demo.ADMIN, password=password)
    assert client.get("/admin/").status_code == 200


@pytest.mark.django_db
def test_a_real_installation_is_left_alone_with_a_clear_sentence():
    make_installation(is_sandbox=False)
    with pytest.raises(CommandError, match="This database is a real installation"):
        call_command("demo", check=True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(["--leads", "many"], "argument --leads: 'many' is not a whole", id="words"),
        pytest.param(["--leads", "5"], "not a whole number from 100", id="too few"),
        pytest.param(["--workers", "0"], "argument --workers", id="nobody to send"),
        pytest.param(["--kill", "-1"], "argument --kill", id="below nothing"),
        pytest.param(["--port", "70000"], "argument --port", id="no such port"),
        pytest.param(["--fast"], "unrecognized arguments: --fast", id="unknown"),
    ],
)
def test_a_bad_argument_is_explained(words: list[str], reason: str):
    done = manage("demo", *words, environment=dict(os.environ))
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def manage(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def own_environment(tmp_path):
    """A database, a Redis database and a folder that only this test uses."""
    url, redis = urlsplit(os.environ["DATABASE_URL"]), urlsplit(os.environ["REDIS_URL"])
    name = f"demo_{os.getpid()}"
    number = databases(os.environ["REDIS_URL"]) - 1 - int(redis.path.strip("/") or 0)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield {
                **os.environ,
                "DATABASE_URL": urlunsplit(url._replace(path=f"/{name}")),
                "REDIS_URL": urlunsplit(redis._replace(path=f"/{number}")),
                "VAR_DIR": str(tmp_path),
            }
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


class TestAsAWhole:
    def test_a_small_demo_with_a_kill_runs_well_and_tells_it(self, tmp_path):
        with own_environment(tmp_path) as environment:
            assert manage("migrate", "-v0", environment=environment).returncode == 0
            words = ("--check", "--leads", "400", "--kill", "1")
            done = manage("demo", *words, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "NOT OK" not in done.stdout
        lines = (tmp_path / "demo" / "ledger.jsonl").read_text().splitlines()
        taken = [json.loads(line) for line in lines if '"took"' in line]
        assert sum(line["took"] for line in taken) > 350

    def test_ctrl_c_ends_everything_that_was_started(self, tmp_path):
        with own_environment(tmp_path) as environment:
            assert manage("migrate", "-v0", environment=environment).returncode == 0
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "demo", "--check", "--leads", "400"],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for line in process.stdout:
                if " planned " in line:
                    break
            started = [int(file.stem) for file in (tmp_path / "demo" / "run").glob("*.pid")]
            process.send_signal(signal.SIGINT)
            process.communicate()
        assert process.returncode == 130
        assert len(started) == 6
        assert [pid for pid in started if os.path.exists(f"/proc/{pid}")] == []
