from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from redis import Redis

from brands import clock
from brands.models import Brand
from compliance import phones
from compliance.models import Person
from config import bench, bench_figures, bench_run, bench_stage, bench_words
from config.bench import NoGround, own_database, own_redis
from config.bench_run import TookTooLong
from config.services import ROOT
from delivery import planning
from delivery.models import Attempt, Due, Message, Sticky
from leads.models import Lead
from providers.models import ProviderAccount, SenderNumber

GONE = 4_000_000  # no process has so high a number
SIMULATOR = "http://127.0.0.1:9"


def names() -> set[str]:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        return {name for (name,) in server.execute("SELECT datname FROM pg_database")}


def make_database(name: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")


@pytest.mark.django_db(transaction=True)
class TestOwnDatabase:
    def test_is_there_while_it_is_used_and_gone_afterwards(self):
        with own_database() as url:
            mine = urlsplit(url).path.strip("/")
            assert mine in names()
        assert mine not in names()

    def test_goes_even_when_somebody_still_holds_it_open(self):
        with own_database() as url:
            held = psycopg.connect(url)
        assert urlsplit(url).path.strip("/") not in names()
        held.close()

    def test_goes_when_the_measuring_fails(self):
        with pytest.raises(ZeroDivisionError), own_database() as url:
            raise ZeroDivisionError
        assert urlsplit(url).path.strip("/") not in names()

    def test_what_a_killed_run_left_behind_is_removed(self):
        make_database(f"bench_{GONE}")
        bench.remove_left_over()
        assert f"bench_{GONE}" not in names()

    def test_one_whose_run_goes_on_is_kept(self):
        name = f"bench_{os.getppid()}"
        make_database(name)
        bench.remove_left_over()
        assert name in names()
        bench.drop(name)

    def test_without_an_address_it_is_said_which_variable_is_missing(self, monkeypatch):
        monkeypatch.delenv("DATABASE_URL")
        with pytest.raises(NoGround, match="DATABASE_URL is not set"), own_database():
            pass


class TestOwnRedis:
    def test_is_another_database_and_empty_again_afterwards(self, redis):
        redis.set("ours", 1)
        with own_redis() as url:
            mine = Redis.from_url(url)
            assert mine.get("ours") is None
            mine.set("theirs", 1)
        assert mine.get("theirs") is None
        assert mine.get(bench.OWNER) != str(os.getpid()).encode()  # another run may have it now
        assert redis.get("ours") == b"1"

    def test_two_runs_do_not_share_one(self):
        with own_redis() as first, own_redis() as second:
            assert first != second

    def test_one_that_holds_something_is_passed_over(self):
        with own_redis() as url:
            pass
        other = Redis.from_url(url)
        other.set("somebody", "else")
        with own_redis() as mine:
            assert mine != url
        assert other.get("somebody") == b"else"
        other.flushdb()

    def test_one_that_a_killed_run_left_behind_is_used_again(self):
        with own_redis() as url:
            pass
        left = Redis.from_url(url)
        left.mset({bench.OWNER: GONE, "rq:queue:send": "old"})
        with own_redis() as mine:
            assert mine == url
            assert left.get("rq:queue:send") is None


@pytest.mark.parametrize(
    ("now", "noon"),
    [
        pytest.param("2035-03-07T12:00Z", "2035-03-07T20:00Z", id="the same day"),
        pytest.param("2035-03-07T20:00Z", "2035-03-08T20:00Z", id="noon is over"),
        pytest.param("2035-03-11T02:00Z", "2035-03-12T19:00Z", id="past Sunday, in summer time"),
    ],
)
def test_the_clock_begins_at_noon_on_the_west_coast(now: str, noon: str):
    assert bench_stage.next_noon(datetime.fromisoformat(now)) == datetime.fromisoformat(noon)


@pytest.mark.django_db
class TestStage:
    PEOPLE = 600

    @pytest.fixture(autouse=True)
    def stage(self, django_db_setup):
        bench_stage.make(self.PEOPLE, simulator=SIMULATOR)

    def test_everybody_has_a_valid_number_of_their_own_without_magic(self):
        found = list(Person.objects.values_list("phone", flat=True))
        assert len(set(found)) == self.PEOPLE
        assert {phones.parse(phone).e164 for phone in found} == set(found)
        assert min(int(phone[-4:]) for phone in found) > 15

    def test_each_lead_is_one_brands_and_has_consent_name_and_place(self):
        whole = Lead.objects.exclude(consent=None).exclude(places=None).exclude(last_name="")
        assert whole.filter(status="active").count() == self.PEOPLE
        assert Lead.objects.values("brand").distinct().count() == bench_stage.BRANDS

    def test_they_live_in_four_time_zones_and_are_known_to_both_brands_everywhere(self):
        zones = Lead.objects.values_list("places__zones", flat=True)
        assert len({tuple(found) for found in zones}) >= 4
        brands = {}
        for phone, brand in Lead.objects.values_list("person__phone", "brand"):
            brands.setdefault(phone[2:5], set()).add(brand)
        assert all(len(found) == bench_stage.BRANDS for found in brands.values())

    def test_there_are_numbers_for_the_largest_of_all_runs(self):
        assert bench_stage.most_people() >= 1_000_000

    def test_more_people_get_numbers_of_their_own(self):
        brands = list(Brand.objects.order_by("id"))
        bench_stage.make_people(100, brands, there=self.PEOPLE)
        found = Person.objects.values_list("phone", flat=True)
        assert len(set(found)) == Lead.objects.count() == self.PEOPLE + 100

    def test_half_of_them_know_a_number(self):
        assert Sticky.objects.count() == pytest.approx(self.PEOPLE / 2, abs=4)

    def test_all_is_due_at_once_when_planned(self):
        planned = planning.plan_open_slots()
        now = clock.now()
        assert planned == self.PEOPLE - self.PEOPLE // bench_stage.EVERY
        assert Due.objects.filter(not_before__lte=now, expires_at__gt=now).count() == planned

    def test_nothing_is_sent_before_the_release(self):
        assert Brand.objects.count() == bench_stage.BRANDS
        assert bench_stage.Installation.objects.get().stopped_at is not None
        bench_stage.release()
        assert bench_stage.Installation.objects.get().stopped_at is None

    def test_one_of_a_hundred_has_opted_out_in_the_end(self):
        planning.plan_open_slots()
        bench_stage.opt_out_half(bench_stage.EVERY // 2)
        gone = Person.objects.filter(opted_out_at__isnull=False).count()
        assert gone == self.PEOPLE // 100

    def test_all_limits_together_allow_a_fifth_more_than_the_goal(self):
        most = 1.2 * bench_stage.GOAL
        for rows in (SenderNumber, ProviderAccount, Brand):
            rates = rows.objects.values_list("segments_per_second", flat=True)
            assert sum(rates) == pytest.approx(most)

    def test_every_cap_is_on(self):
        assert all(Brand.objects.values_list("daily_cap", flat=True))


class TestFigures:
    def test_a_person_who_was_taken_twice_is_one_duplicate(self, tmp_path):
        ledger = tmp_path / "ledger.jsonl"
        ledger.write_text("".join(map(request, range(1, 4), "aab", [True, True, True])))
        assert bench_figures.duplicates(ledger) == 1

    def test_what_was_not_taken_is_no_duplicate(self, tmp_path):
        ledger = tmp_path / "ledger.jsonl"
        ledger.write_text("".join(map(request, range(1, 4), "aab", [False, True, True])))
        assert bench_figures.duplicates(ledger) == 0

    @pytest.mark.django_db
    def test_it_is_done_when_nothing_waits_and_nothing_is_in_flight(self):
        bench_stage.make(200, simulator=SIMULATOR)
        assert bench_figures.is_done()
        planning.plan_open_slots()
        assert not bench_figures.is_done()
        Due.objects.all().delete()
        Message.objects.update(status="sending")
        assert not bench_figures.is_done()
        Message.objects.update(status="accepted")
        assert bench_figures.is_done()

    @pytest.mark.django_db
    def test_only_attempts_of_the_round_are_counted(self):
        bench_stage.make(200, simulator=SIMULATOR)
        planning.plan_open_slots()
        before, now = bench_figures.last_attempt(), clock.now()
        first, second = Message.objects.all()[:2]
        earlier = make_attempt(first, at=now)
        assert bench_figures.last_attempt() == earlier.pk > before
        make_attempt(second, at=now + timedelta(seconds=1))
        assert bench_figures.span(before) == (now, 2)
        assert bench_figures.span(earlier.pk) == (now + timedelta(seconds=1), 1)
        assert bench_figures.percentiles(now, earlier.pk) == (1.0, 1.0)

    @pytest.mark.django_db(transaction=True)
    def test_statements_are_counted_from_when_it_was_asked_for(self):
        assert bench_figures.count_statements()
        before = bench_figures.statements(are_counted=True)
        for _ in range(10):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 'counted by the benchmark'")
        after = bench_figures.statements(are_counted=True)
        assert after.statements - before.statements >= 10
        assert after.round_trips >= after.statements

    @pytest.mark.django_db
    def test_where_nobody_counts_the_transactions_are_told_all_the_same(self):
        found = bench_figures.statements(are_counted=False)
        assert (found.statements, found.round_trips) == (None, None)
        assert found.transactions > 0

    @pytest.mark.django_db
    def test_the_servers_are_found_among_the_processes(self):
        assert "postgres" in bench_figures.postgres().name()
        assert "server" in bench_figures.valkey().name()

    @pytest.mark.django_db
    def test_processor_seconds_are_told_by_kind(self):
        me = os.getpid()
        processors = bench_figures.Processors(
            {"send-1": me, "simulator": me, "scheduler": me, "plan": me, "upkeep": me}
        )
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        used = processors.used()
        assert 0.1 < used["workers"] < 5
        assert set(used) >= {"workers", "simulator", "postgres", "valkey"}
        assert processors.peak_mb() > 10


def make_attempt(message: Message, *, at: datetime) -> Attempt:
    number = SenderNumber.objects.earliest("id")
    return Attempt.objects.create(
        message=message,
        account=number.account,
        number=number,
        sender=uuid4(),
        ref=f"ref-{message.pk}",
        text="Hi",
        segments=1,
        brand_day=at.date(),
        outcome="accepted",
        intent_at=at,
        answered_at=at,
    )


def request(seq: int, to: str, took: bool) -> str:
    asked = {"seq": seq, "received_at": 1.0, "provider": "twilio", "account": "A", "from": "b"}
    answered = {"seq": seq, "verdict": "accepted", "took": took, "provider_ref": f"S{seq}"}
    lines = ({**asked, "to": to, "text": "Hi", "ref": f"r{seq}"}, answered)
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_it_stops_by_itself(monkeypatch):
    monkeypatch.setattr(bench_run.signal, "alarm", lambda seconds: None)
    with pytest.raises(TookTooLong, match="after 600 seconds"), bench_run.at_most(600):
        signal.raise_signal(signal.SIGALRM)


def test_more_rows_may_take_longer():
    assert bench_run.patience(100) == 600
    assert bench_run.patience(400_000) > 2_000


@pytest.mark.parametrize(
    ("trouble", "is_well"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"duplicates": 1}, False, id="a duplicate"),
        pytest.param({"is_clean": False}, False, id="the ledger disagrees"),
        pytest.param({"is_complete": False}, False, id="a worker died"),
    ],
)
def test_what_makes_a_run_fail(trouble: dict[str, object], is_well: bool):
    found = {"duplicates": 0, "is_clean": True, "is_complete": True, **trouble}
    assert bench_run.is_well(found) is is_well


def test_the_lines_name_every_figure_and_say_what_was_not_counted():
    found = {"messages_per_second": 9_500, "statements_per_message": None, "said": {"held": 2}}
    told = "\n".join(bench_words.lines(found))
    words = Counter(told.split())
    assert words["9,500"] == words["held"] == 1
    assert "not counted" in told


class TestFolders:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(bench, "folders", lambda: tmp_path)
        return tmp_path

    def ended_with(self, code: int, monkeypatch) -> Path:
        def attend(command, environment, **_):
            folder = Path(command[-1])
            folder.mkdir()
            return code

        monkeypatch.setattr(bench, "attend", attend)
        assert bench.run_apart(["delivery"]) == code
        return bench.folders() / str(os.getpid())

    @pytest.mark.django_db(transaction=True)
    def test_what_went_well_leaves_no_files(self, monkeypatch):
        assert not self.ended_with(0, monkeypatch).exists()

    @pytest.mark.django_db(transaction=True)
    def test_ledger_and_logs_of_what_went_wrong_are_kept(self, monkeypatch, capsys):
        kept = self.ended_with(1, monkeypatch)
        assert kept.exists()
        assert str(kept) in capsys.readouterr().out

    @pytest.mark.django_db(transaction=True)
    def test_until_the_next_run(self, folder):
        for number in (GONE, os.getppid()):
            (folder / str(number)).mkdir()
        bench.remove_left_over()
        assert [path.name for path in folder.iterdir()] == [str(os.getppid())]


def manage(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "bench", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param([], "the following arguments are required: what", id="nothing"),
        pytest.param(["delivery", "--messages", "0"], "argument --messages", id="no messages"),
        pytest.param(["scale", "--there", "many"], "argument --there", id="no number"),
        pytest.param(
            ["delivery", "--latency-ms", "-1"], "argument --latency-ms", id="back in time"
        ),
    ],
)
def test_a_bad_argument_is_explained(words: list[str], reason: str):
    with pytest.raises(CommandError, match=reason):
        call_command("bench", *words)


def test_what_it_does_not_know_ends_the_command():
    done = manage("everything")
    _, errors = done.communicate()
    assert done.returncode == 2
    assert "invalid choice: 'everything'" in errors


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path):
    with pytest.raises(CommandError, match=r"folder\.json cannot be written: No such file"):
        call_command("bench", "delivery", "--json", str(tmp_path / "no" / "folder.json"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(["compare", "--messages", "1000000"], "It would take", id="people"),
        pytest.param(["compare", "--job-workers", *"1234"], "At most 3 counts", id="counts"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_made(words: list[str], reason: str):
    with pytest.raises(CommandError, match=reason):
        call_command("bench", *words)


def measured(file: Path, *words: str) -> dict[str, object]:
    """The figures of a small run, which went well and left nothing behind."""
    done = manage(*words, "--workers", "1", "--json", str(file))
    said = "".join(done.communicate())
    assert done.returncode == 0, said
    assert f"bench_{done.pid}" not in names()  # another test may measure at this moment
    found = json.loads(file.read_text())
    assert {name for name, value in found.items() if value is None} == set()
    return found


def test_a_small_delivery_measures_everything(tmp_path):
    found = measured(tmp_path / "figures.json", "delivery", "--messages", "400")
    assert found["accepted"] == 396
    assert found["statuses"] == {"accepted": 396, "refused: opted_out": 2}
    assert found["duplicates"] == 0
    assert set(found) >= KEYS


def test_a_small_comparison_tells_both_rates(tmp_path):
    words = ("--messages", "100", "--job-workers", "2", "--latency-ms", "0")
    found = measured(tmp_path / "figures.json", "compare", *words)
    assert found["rq_with_2_workers"]["is_complete"]
    assert found["ours"]["accepted"] > 2_000
    assert found["times_as_fast_as"]["rq_with_2_workers"] > 1


def test_a_small_flood_of_reports_is_applied(tmp_path):
    found = measured(tmp_path / "figures.json", "reports", "--messages", "100")
    assert found["delivered"] == found["applied"] == 100


def test_links_that_are_followed_are_clicks(tmp_path):
    found = measured(tmp_path / "figures.json", "redirects", "--messages", "300")
    assert found["answers"] == {"302": 299}
    assert found["clicks"] == 299
    assert found["cpu_seconds"].keys() >= {"web", "postgres", "followers"}


def test_a_small_scale_goes_through_its_rounds(tmp_path):
    words = ("--messages", "100", "--there", "150")
    found = measured(tmp_path / "figures.json", "scale", *words)
    assert found["accepted"] == found["taken_by_the_provider"] == 4_100
    assert list(found["times_its_base"]) == ["at_150_for_a_minute", "at_150_with_a_snapshot"]


KEYS = {
    "messages_per_second",
    "planning_seconds",
    "duplicates",
    "cpu_seconds",
    "peak_worker_mb",
    "p95_seconds",
    "statements_per_message",
    "said_by_steps",
    "settings",
}
