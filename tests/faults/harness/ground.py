"""The ground that the harness stands on: servers of its own, and a new database for each row.

The servers are durable ones, as in production, because rows crash them. They lie in a folder that
Postgres' own account can enter. Whoever starts a harness owns them and removes everything when it
has ended, however it ended; what a killed one left behind is removed by the next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from redis import Redis

from config.binaries import PUBLIC, Trouble, others_can_enter
from config.demo_processes import HOST, free_port
from config.servers import DATABASE, Postgres, Valkey
from config.services import Services

PREFIX = "sendonce-faults-"
EMPTY = "sendonce_empty"  # migrated and set up; every row's database is a copy of it

# Waits between two rounds are as short as they may be, so that a row ends soon after its faults.
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "SEND_BATCH": "40",
    "PLAN_EVERY_SECONDS": "5",
    "TIDY_EVERY_SECONDS": "1",
    "SEND_SLICE_SECONDS": "6",
}


@contextlib.contextmanager
def servers() -> Iterator[tuple[Path, dict[str, str], int | None]]:
    """Postgres and Valkey for one harness: their folder, its environment, and a file to keep open.

    The file is locked while anybody needs the servers.
    """
    remove_left_over()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base_folder()))
    services = services_in(folder)
    try:
        urls = services.enter()
        public = f"http://{HOST}:{free_port()}"
        yield folder, {**ENVIRONMENT, **urls, "PUBLIC_BASE_URL": public}, services.hold
    finally:
        remove(services)


def base_folder() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if os.geteuid() or others_can_enter(usual) else PUBLIC


def services_in(folder: Path) -> Services:
    return Services(folder, postgres_port=0, valkey_port=0, say=lambda _: None)


def remove(services: Services) -> None:
    """For whoever owns them, or finds that nobody does."""
    services.leave()
    services.stop()
    for mount in mounts_under(services.folder):
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)
    shutil.rmtree(services.folder, ignore_errors=True)


@contextlib.contextmanager
def left_to_us(folder: Path) -> Iterator[None]:
    """For the process that uses them: it puts them away if their owner was killed meanwhile."""
    owner = os.getppid()
    try:
        yield
    finally:
        if os.getppid() != owner:
            remove(services_in(folder))


def remove_left_over() -> None:
    """Stop and remove what killed harnesses left behind; one that is used keeps its lock."""
    for folder in base_folder().glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Trouble):
            ours = folder.stat().st_uid == os.geteuid()
            if ours and (folder / "run/users.lock").exists() and services_in(folder).leave():
                remove(services_in(folder))


def mounts_under(folder: Path) -> list[Path]:
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return []
    places = [Path(line.split()[1]) for line in lines]
    return [place for place in places if place.is_relative_to(folder)]


class Ground:
    """The servers as the harness uses them. Django's settings name them already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        services = services_in(folder)
        self.postgres: Postgres = services.postgres
        self.valkey: Valkey = services.valkey
        self.postgres_port = self._port(self.postgres)
        self.valkey_port = self._port(self.valkey)

    def prepare(self) -> None:
        """Make the empty installation that every row's database is copied from."""
        call_command("migrate", interactive=False, verbosity=0)
        with Path(os.devnull).open("w") as nowhere:
            call_command("set_up", sandbox=True, stdout=nowhere)
        connection.close()
        with self.maintenance() as database:
            database.execute(f"ALTER DATABASE {DATABASE} RENAME TO {EMPTY}")

    def renew(self, folder: Path) -> None:
        """A new installation in the same place, an empty Redis, and a folder for journals."""
        connection.close()
        self._put_right()
        with self.maintenance() as database:
            database.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            database.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {EMPTY}")
        self.redis().flushall()
        folder.mkdir(parents=True)
        settings.JOURNAL_DIR = folder / "journal"

    def maintenance(self) -> psycopg.Connection:
        """A connection beside the installation's database."""
        url = self.postgres.url(self.postgres_port).removesuffix(DATABASE) + "postgres"
        return psycopg.connect(url, autocommit=True, connect_timeout=10)

    def redis(self) -> Redis:
        return Redis.from_url(settings.REDIS_URL, socket_timeout=10)

    def _put_right(self) -> None:
        """As a row that was broken off in the middle of its fault may have left the servers."""
        for server in (self.postgres, self.valkey):
            process = server.process()
            if process is None:
                self.start_again(server)
            else:
                process.send_signal(signal.SIGCONT)
        redis = self.redis()
        redis.execute_command("REPLICAOF", "NO", "ONE")
        redis.config_set("maxmemory", "0")
        redis.close()

    def start_again(self, server: Postgres | Valkey) -> None:
        """Start a server that is down on the port that everybody knows."""
        port = self.postgres_port if server is self.postgres else self.valkey_port
        if (found := server.start(port)) != port:
            raise Trouble(f"{server.name} came back on port {found}: {port} was taken meanwhile.")

    @staticmethod
    def _port(server: Postgres | Valkey) -> int:
        port = server.running_port()
        if port is None:
            raise Trouble(f"{server.name} of the harness is not up.")
        return port
