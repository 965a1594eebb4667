"""The processes of one row, and the manager that starts again what died unasked.

What a worker had announced when it died is read from its journal at its death, whatever killed it:
no more than that may end in doubt.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.db import connection

from config.demo_processes import Children, is_open
from config.processes import waited
from config.web import THREADS, start_web
from delivery import journal
from tests.faults.child import Setup, Trick
from tests.faults.harness import hands

LOOK_EVERY = 0.02
PATIENCE = 30.0  # seconds that a process may take to end when it is asked to
TOO_SOON = 1.0  # who dies within this is started again after REST, not at once
REST = 0.5
PLACE = ("NAME", "HOST", "PORT")
WEB_CONNECTIONS = THREADS + 1  # of each process: one a thread, and that of its start

forks = multiprocessing.get_context("forkserver")


class CrewTrouble(Exception):
    """A process does not do what the harness needs of it; a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """`in_flight`: requests that were announced and not answered. `asked`: it was told to end."""

    name: str
    code: int | None
    in_flight: int
    asked: bool


@dataclass(slots=True, kw_only=True)
class Member:
    name: str
    does: Callable[..., None]
    arguments: tuple[Any, ...]
    setup: Setup
    is_kept: bool
    keeps_tricks: bool
    process: BaseProcess
    started_at: float = field(default_factory=time.monotonic)
    asked: bool = False
    death: Death | None = None
    starts_at: float = 0.0  # not before, when it is dead and kept

    @property
    def is_up(self) -> bool:
        return self.process.is_alive()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


class Crew:
    """Use it as a context; nothing of it outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journals = folder / "journal"
        self.deaths: list[Death] = []
        self._members: dict[str, Member] = {}
        self._lock = threading.RLock()
        self._is_over = threading.Event()
        self._manager = threading.Thread(target=self._manage, name="manager", daemon=True)
        self._web: Children | None = None
        self._web_processes = 0

    def __enter__(self) -> Crew:
        forks.set_forkserver_preload([hands.__name__])
        self._manager.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._manager.join()
        for member in self._members.values():
            if member.is_up:
                member.process.kill()
        waited(lambda: not any(member.is_up for member in self._members.values()), PATIENCE)
        if self._web:
            self._web.end()

    # --- who is there ---------------------------------------------------------------------------

    def start(
        self,
        name: str,
        does: Callable[..., None],
        *arguments: Any,
        tricks: tuple[Trick, ...] = (),
        database: Mapping[str, Any] | None = None,
        kept: bool = True,
        keeps_tricks: bool = False,
    ) -> Member:
        """`kept`: started again whenever it dies, then without its tricks unless it keeps them."""
        place = {key: connection.settings_dict[key] for key in PLACE}
        setup = Setup(
            database={**place, **(database or {})},
            redis_url=settings.REDIS_URL,
            journals=self.journals,
            log=self.folder / f"{name}.log",
            tricks=tricks,
        )
        with self._lock:
            member = Member(
                name=name, does=does, arguments=arguments, setup=setup, is_kept=kept,
                keeps_tricks=keeps_tricks, process=_spawn(does, setup, arguments),
            )  # fmt: skip
            self._members[name] = member
        return member

    def replace(self, name: str) -> None:
        """Another one in the place of one that has ended, with the same tricks."""
        member = self._members[name]
        self.start(
            name, member.does, *member.arguments, tricks=member.setup.tricks,
            kept=member.is_kept, keeps_tricks=member.keeps_tricks,
        )  # fmt: skip

    def start_simulator(
        self, *, port: int, mail_port: int, ledger: Path, latency_ms: float
    ) -> None:
        self.start("simulator", hands.simulate, port, mail_port, ledger, latency_ms, kept=False)
        if not waited(lambda: is_open(port), PATIENCE):
            raise CrewTrouble(f"The simulator does not listen: see {self.folder}/simulator.log.")

    def start_workers(self, send: int = 4, **how: Any) -> None:
        """Scheduler and workers, as in production; `how` goes to the workers that send."""
        for number in range(1, send + 1):
            self.start(f"send-{number}", hands.work, "send", **how)
        self.start("replies", hands.work, "replies")
        self.start("reports", hands.work, "reports")
        self.start("upkeep", hands.work, "upkeep", "plan")
        self.start("scheduler", hands.schedule)

    def start_web(self, port: int, *, processes: int = 1, database_port: int | None = None) -> None:
        """The real web server, at the address that callbacks go to; it is not started again."""
        place = dict(connection.settings_dict)
        url = os.environ["DATABASE_URL"]
        if database_port is not None:
            url = url.replace(f":{place['PORT']}/", f":{database_port}/")
        environment = {"DATABASE_URL": url, "JOURNAL_DIR": str(self.journals)}
        run = self.folder / "run"
        self._web_processes = processes
        self._web = Children(environment=environment, logs=self.folder, run=run)
        start_web(self._web, port, processes=processes)

    def names(self, prefix: str = "") -> list[str]:
        """Those that should be up, by name."""
        with self._lock:
            return sorted(
                name
                for name, member in self._members.items()
                if name.startswith(prefix) and (member.is_kept or member.is_up) and not member.asked
            )

    def still_up(self) -> list[str]:
        """Those that are up, asked to end or not."""
        with self._lock:
            return sorted(name for name, member in self._members.items() if member.is_up)

    def pid(self, name: str) -> int:
        return self._members[name].pid

    def is_up(self, name: str) -> bool:
        with self._lock:
            return self._members[name].is_up

    def missing(self) -> list[str]:
        """Those that should be up and are not, or stand still."""
        return [name for name in self.names() if not self._runs(name)]

    def is_steady(self) -> bool:
        """Everybody is up, and not just begun: to start into the end of a fault may fail."""
        young = time.monotonic() - TOO_SOON
        return not self.missing() and all(
            self._members[name].started_at < young for name in self.names()
        )

    def _runs(self, name: str) -> bool:
        return self.is_up(name) and not self.is_stopped(name)

    def is_stopped(self, name: str) -> bool:
        try:
            return psutil.Process(self.pid(name)).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def most_connections(self) -> int:
        """How many connections to the database those that are up may have."""
        mine = [name for name in self.names() if name != "simulator" and self.is_up(name)]
        return len(mine) + (WEB_CONNECTIONS * self._web_processes)

    def log_lines(self, words: str, prefix: str = "") -> int:
        """How many lines of the logs of those say these words."""
        logs = self.folder.glob(f"{prefix}*.log")
        return sum(log.read_text(errors="replace").count(words) for log in logs)

    # --- what befalls them ----------------------------------------------------------------------

    def signal(self, name: str, number: int) -> None:
        with self._lock:
            if self._members[name].is_up:
                os.kill(self.pid(name), number)

    def kill(self, name: str) -> Death:
        """SIGKILL; what was in flight then is told. The manager starts it again."""
        with self._lock:
            member = self._members[name]
            member.process.kill()
            waited(lambda: not member.is_up, PATIENCE)
            return self._buried(member)

    def pause(self, name: str) -> None:
        """SIGSTOP, and it stands still when this returns."""
        self.signal(name, signal.SIGSTOP)
        if not waited(lambda: self.is_stopped(name) or not self.is_up(name), PATIENCE):
            raise CrewTrouble(f"{name} cannot be stopped.")

    def go_on(self, *names: str) -> None:
        for name in names or self.names():
            self.signal(name, signal.SIGCONT)

    def ask_to_end(self, *names: str) -> None:
        """SIGTERM to all of them, which then are not started again."""
        with self._lock:
            for name in names:
                self._members[name].asked = True
                self.signal(name, signal.SIGTERM)

    def end(self, *names: str) -> list[int | None]:
        """Ask them to end and wait; returns their exit codes. Who does not end is killed."""
        self.ask_to_end(*names)
        waited(lambda: not any(map(self.is_up, names)), PATIENCE)
        for name in names:
            if self.is_up(name):
                self.kill(name)
        self._look()
        return [death.code for name in names if (death := self._members[name].death)]

    def death_of(self, name: str, patience: float) -> Death | None:
        """Wait for the death of one that is not kept; None when it still lives."""
        waited(lambda: not self.is_up(name), patience)
        self._look()
        return self._members[name].death

    def forget(self, name: str) -> None:
        """One that has ended and is not to be missed."""
        with self._lock:
            del self._members[name]

    # --- the manager ----------------------------------------------------------------------------

    def _manage(self) -> None:
        while not self._is_over.wait(LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        with self._lock:
            for member in self._members.values():
                if not member.is_up:
                    self._buried(member)
                    self._start_again(member)

    def _buried(self, member: Member) -> Death:
        """Its death, noted once."""
        if member.death is None:
            member.death = Death(
                name=member.name,
                code=member.process.exitcode,
                in_flight=len(announced_by(self.journals, member.pid)),
                asked=member.asked,
            )
            self.deaths.append(member.death)
            now = time.monotonic()
            member.starts_at = now + (REST if now - member.started_at < TOO_SOON else 0.0)
        return member.death

    def _start_again(self, member: Member) -> None:
        if member.asked or not member.is_kept or time.monotonic() < member.starts_at:
            return
        if not member.keeps_tricks:
            member.setup = replace(member.setup, tricks=())
        member.process = _spawn(member.does, member.setup, member.arguments)
        member.started_at, member.death = time.monotonic(), None


def _spawn(does: Callable[..., None], setup: Setup, arguments: tuple[Any, ...]) -> BaseProcess:
    process = forks.Process(target=does, args=[setup, *arguments])
    process.start()
    return process


def announced_by(journals: Path, pid: int) -> frozenset[str]:
    """The refs that a process announced and has no answer for, from its journals."""
    return frozenset().union(*(past.unanswered for past in pasts(journals, pid)))


def pasts(journals: Path, pid: int | None = None) -> list[journal.Past]:
    """What the journals tell that are there, of all processes or of one."""
    found = []
    for path in sorted(journals.glob(f"*{journal.SUFFIX}")):
        with contextlib.suppress(OSError, journal.Unreadable):
            if pid is None or writer_of(path) == pid:
                found.append(journal.read(path))
    return found


def writer_of(path: Path) -> int:
    """The process that writes a journal, from its first line, where it stands for people."""
    with path.open("rb") as file:
        header = file.readline().partition(b" ")[2]
    return int(json.loads(header)["pid"]) if header else 0
