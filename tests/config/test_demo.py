from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
import pytest
from django.core.management import CommandError, call_command

from config import demo
from config.bench import databases
from config.demo import CannotStage, Killer, alone
from config.processes import is_over, waited
from config.services import ROOT
from tests.config.demos import running
from tests.factories import make_installation


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
        killer = Killer.of(leads=1_000, kills=20, seed=1)
        assert len(killer.moments) == 20
        assert 50 <= min(killer.moments) <= max(killer.moments) <= 850

    def test_it_waits_for_its_moment(self):
        children, killer = FakeChildren(), Killer(random.Random(1), [1])
        killer.look(children)
        assert children.killed == []


@pytest.mark.django_db
def test_a_second_demo_on_the_same_database_is_refused():
    with running(), pytest.raises(CannotStage, match="Another demo runs"), alone():
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
    ],
)
def test_a_bad_argument_is_explained(words: list[str], reason: str):
    with pytest.raises(CommandError, match=reason):
        call_command("demo", *words)


def test_an_unknown_argument_ends_the_command_without_a_traceback():
    done = manage("demo", "--fast", environment=dict(os.environ))
    assert done.returncode == 2
    assert "unrecognized arguments: --fast" in done.stderr
    assert "Traceback" not in done.stderr


def manage(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def own_environment(tmp_path):
    """A database, a Redis database and a folder that only this test uses."""
    url, redis = urlsplit(os.environ["DATABASE_URL"]), urlsplit(os.environ["REDIS_URL"])
    name = f"demo_{os.getpid()}"
    # A benchmark takes the last one that is empty, as this one is at first.
    number = databases(os.environ["REDIS_URL"]) // 2 + int(redis.path.strip("/") or 0)
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


STARTED = {"simulator", "web", "replies", "reports", "upkeep", "plan", "chores", "scheduler"}


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
        assert "takes them again, and was resumed." in done.stdout
        assert "5 of 5 kinds of providers accepted messages" in done.stdout
        assert "lets messages through again." in done.stdout

    def test_ctrl_c_ends_everything_that_was_started(self, tmp_path):
        with own_environment(tmp_path) as environment:
            assert manage("migrate", "-v0", environment=environment).returncode == 0
            demo_that_lasts = ("demo", "--check", "--leads", "4000")
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), *demo_that_lasts],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for line in process.stdout:
                if " planned " in line:
                    break
            started = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            process.communicate()
        assert process.returncode == 130
        assert {file.stem for file in (tmp_path / "log" / "demo").iterdir()} == STARTED | {
            f"send-{number}" for number in range(1, demo.default_workers() + 1)
        }
        assert len(started) > len(STARTED) + demo.default_workers()  # the web has one of its own
        assert waited(lambda: all(map(is_over, started)), 10)
