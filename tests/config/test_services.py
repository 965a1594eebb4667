from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config.binaries import Trouble
from config.services import ROOT, Services, act
from tests.services_plugin import base_folder, own_database

POSTGRES = ("DATABASE_URL",)
VALKEY = ("REDIS_URL",)
HOLDS_VALKEY = """
import sys
from pathlib import Path
from config.services import Services
services = Services(Path(sys.argv[1]), valkey_port=0, durable=False)
print(services.enter(["REDIS_URL"])["REDIS_URL"], flush=True)
sys.stdin.read()
services.leave()
"""

MakeServices = Callable[..., Services]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Its path has a space in it and is too long for a unix socket."""
    base = Path(tempfile.mkdtemp(prefix=f"a checkout {'x' * 90}", dir=base_folder()))
    base.chmod(0o711)
    yield base / "var"
    shutil.rmtree(base)


@pytest.fixture
def make(folder: Path) -> Iterator[MakeServices]:
    made: list[Services] = []

    def make_services(**changes: object) -> Services:
        options = {"postgres_port": 0, "valkey_port": 0, "durable": False, "say": lambda _: None}
        made.append(Services(folder, **(options | changes)))  # type: ignore[arg-type]
        return made[-1]

    yield make_services
    for services in made:
        services.stop()
    for services in made[:1]:
        shutil.rmtree(services.postgres.data, ignore_errors=True)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def start_holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the servers."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDS_VALKEY, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = start_holder(folder)
    return process, url_of(process)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, retry=None) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


class TestStarting:
    def test_the_urls_lead_to_a_database_and_a_valkey(self, make: MakeServices) -> None:
        urls = make().enter()
        assert ask(urls["DATABASE_URL"], "SELECT current_database()") == "sendonce"
        assert answers(urls["REDIS_URL"])

    def test_only_what_is_wanted_is_started(self, make: MakeServices) -> None:
        services = make()
        assert list(services.enter(VALKEY)) == ["REDIS_URL"]
        assert not services.postgres.data.exists()

    def test_postgres_opens_no_unix_socket(self, make: MakeServices) -> None:
        url = make().enter(POSTGRES)["DATABASE_URL"]
        assert ask(url, "SHOW unix_socket_directories") == ""

    def test_neither_answers_without_its_password(self, make: MakeServices) -> None:
        urls = make().enter()
        bare = {name: url.split("@")[1] for name, url in urls.items()}
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"postgresql://sendonce@{bare['DATABASE_URL']}")
        with (
            pytest.raises(redis.AuthenticationError),
            redis.Redis.from_url(f"redis://{bare['REDIS_URL']}") as client,
        ):
            client.ping()

    @pytest.mark.parametrize("wanted", [POSTGRES, VALKEY], ids=["Postgres", "Valkey"])
    def test_a_taken_port_makes_way_for_a_free_one_aloud(
        self, make: MakeServices, taken_port: int, wanted: tuple[str]
    ) -> None:
        said: list[str] = []
        services = make(postgres_port=taken_port, valkey_port=taken_port, say=said.append)
        (url,) = services.enter(wanted).values()
        assert f":{taken_port}/" not in url
        assert f"Port {taken_port} is taken" in said[-1]

    def test_a_free_port_is_used_as_asked(self, make: MakeServices) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        assert f":{port}/" in make(valkey_port=port).enter(VALKEY)["REDIS_URL"]

    @pytest.mark.parametrize(
        ("durable", "setting"), [(True, "on"), (False, "off")], ids=["in use", "in tests"]
    )
    def test_commits_are_synchronous_outside_the_tests(
        self, make: MakeServices, durable: bool, setting: str
    ) -> None:
        url = make(durable=durable).enter(POSTGRES)["DATABASE_URL"]
        assert ask(url, "SHOW synchronous_commit") == setting
        assert ask(url, "SHOW fsync") == setting

    def test_a_server_that_cannot_start_is_explained(
        self, make: MakeServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("config.servers.START_TRIES", 1)
        services = make()
        services.valkey.make()
        services.valkey.data.joinpath("sendonce.password").write_text("a\nbroken line")
        with pytest.raises(Trouble, match="Valkey does not start"):
            services.enter(VALKEY)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account for Postgres")
    def test_a_closed_folder_sends_the_data_elsewhere_aloud(
        self, folder: Path, make: MakeServices
    ) -> None:
        folder.parent.chmod(0o700)
        said: list[str] = []
        services = make(say=said.append)
        url = services.enter(POSTGRES)["DATABASE_URL"]
        assert ask(url, "SHOW data_directory") == str(services.postgres.data)
        assert not services.postgres.data.is_relative_to(folder)
        assert make().postgres.data == services.postgres.data
        assert str(services.postgres.data) in said[0]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account for Postgres")
    def test_a_new_checkout_does_not_find_a_removed_ones_data(
        self, folder: Path, make: MakeServices
    ) -> None:
        folder.parent.chmod(0o700)
        first = make().postgres.data
        shutil.rmtree(folder)
        assert make().postgres.data != first


class TestSharing:
    def test_a_second_user_attaches(self, make: MakeServices) -> None:
        assert make().enter(VALKEY) == make().enter(VALKEY)

    def test_the_servers_stay_while_anybody_uses_them(
        self, folder: Path, make: MakeServices
    ) -> None:
        process, url = holder(folder)
        ours = make()
        ours.enter(VALKEY)
        process.communicate("")  # the one that started them leaves
        assert answers(url)

    def test_the_last_one_to_leave_stops_them(self, make: MakeServices) -> None:
        first, last = make(), make()
        url = first.enter(VALKEY)["REDIS_URL"]
        last.enter(VALKEY)
        assert not first.leave()
        assert last.leave()
        assert not answers(url)

    def test_a_killed_owner_leaves_servers_that_the_next_one_uses(
        self, folder: Path, make: MakeServices
    ) -> None:
        process, url = holder(folder)
        kill(process)
        assert make().enter(VALKEY)["REDIS_URL"] == url

    def test_a_killed_user_does_not_count(self, folder: Path, make: MakeServices) -> None:
        ours = make()
        url = ours.enter(VALKEY)["REDIS_URL"]
        kill(holder(folder)[0])
        assert ours.leave()
        assert not answers(url)

    def test_stop_ends_what_a_killed_owner_left(self, folder: Path, make: MakeServices) -> None:
        process, url = holder(folder)
        kill(process)
        assert make().stop() == ["Valkey"]
        assert not answers(url)

    def test_many_at_once_start_one(self, folder: Path) -> None:
        holders = [start_holder(folder) for _ in range(3)]
        urls = {url_of(process) for process in holders}
        for process in holders:
            process.communicate("")
        assert len(urls) == 1


class TestStartingAgain:
    def test_a_killed_postgres_keeps_what_was_committed(self, make: MakeServices) -> None:
        services = make(durable=True)
        url = services.enter(POSTGRES)["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
        running = services.postgres.process()
        assert running
        running.send_signal(signal.SIGKILL)
        again = make(durable=True).enter(POSTGRES)["DATABASE_URL"]
        assert ask(again, "SELECT seven FROM kept") == 7

    def test_a_killed_valkey_comes_back(self, make: MakeServices) -> None:
        services = make()
        services.enter(VALKEY)
        running = services.valkey.process()
        assert running
        running.send_signal(signal.SIGKILL)
        assert answers(make().enter(VALKEY)["REDIS_URL"])

    def test_a_half_made_database_is_made_again(self, make: MakeServices) -> None:
        services = make()
        half = services.postgres.data.with_name("postgres.new")
        half.mkdir()
        (half / "PG_VERSION").write_text("18\n")
        assert ask(services.enter(POSTGRES)["DATABASE_URL"], "SELECT 1") == 1

    def test_a_pid_that_is_somebody_elses_now_is_left_alone(self, make: MakeServices) -> None:
        services = make()
        services.valkey.make()
        with subprocess.Popen(["sleep", "60"]) as stranger:
            (services.valkey.data / "valkey.pid").write_text(f"{stranger.pid}\n")
            stopped = services.stop()
            alive = stranger.poll() is None
            stranger.kill()
        assert (stopped, alive) == ([], True)


@pytest.mark.parametrize(
    "words",
    [[], ["run"], ["run", "--"], ["run", "--fast", "--", "ls"], ["reset", "--y"], ["stop", "now"]],
    ids=" ".join,
)
def test_what_is_not_understood_is_refused(words: list[str]) -> None:
    assert act(words) == 2


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("redis://:secret@127.0.0.1:6379/0", "redis://:secret@127.0.0.1:6379/3"),
        ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/3"),
        ("redis://127.0.0.1:6379/", "redis://127.0.0.1:6379/3"),
    ],
    ids=["a number", "none", "a slash"],
)
def test_each_test_process_has_its_own_valkey_database(url: str, own: str) -> None:
    assert own_database(url, "gw2") == own
