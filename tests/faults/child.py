"""What runs in the child processes of these tests: the real worker, with something in it wrapped.

The product has no switch for any of this. A trick takes the place of a named function of ours
before the slice begins, and sends its own process a signal when the walk comes by.
"""

from __future__ import annotations

import importlib
import itertools
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import connection

import tests.faults.preload  # noqa: F401 - before anything that has models
from brands import clock
from delivery import shifting, sql, worker

MEGABYTES = b"SELECT repeat('x', 1000000) FROM generate_series(1, 64)"


class Trick(Protocol):
    def play(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Where a child finds its servers and its journals, and what befalls it."""

    database: Mapping[str, Any]
    redis_url: str
    journals: Path
    log: Path
    seconds: float = 60.0
    tricks: tuple[Trick, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Struck:
    """A signal at the `nth` time that `target` ("module:name", "module:Class.name") is reached.

    `at` is before or after the call; one that returned an empty list is not counted, nor is one
    before the first of `armed_by`, nor one whose first argument is about another message.
    """

    target: str
    at: str
    nth: int = 1
    armed_by: str = ""
    message_id: int | None = None
    signal: int = signal.SIGKILL

    def play(self) -> None:
        armed, seen = threading.Event(), itertools.count(1)

        def strike(argument: Any = None) -> None:
            about = self.message_id in (None, getattr(argument, "message_id", None))
            if armed.is_set() and about and next(seen) == self.nth:
                signal.pthread_kill(threading.get_ident(), self.signal)

        if self.armed_by:
            wrap(self.armed_by, "after", lambda *_: armed.set())
        else:
            armed.set()
        wrap(self.target, self.at, strike)


# A worker that has sent all and stored nothing, however slow the machine is.
FIRST_ANSWER = Struck(
    target="delivery.journal:Journal.came_back", at="before", signal=signal.SIGSTOP
)


@dataclass(frozen=True, kw_only=True)
class Slowed:
    """Stays so many seconds longer in each call of `target`."""

    target: str
    seconds: float

    def play(self) -> None:
        wrap(self.target, "after", lambda *_: time.sleep(self.seconds))


@dataclass(frozen=True, kw_only=True)
class StruckReading:
    """SIGSTOP after the first call of `target`, in the middle of an answer of many megabytes.

    The server fills every buffer and waits to write on, so its time-outs do not end it.
    """

    target: str

    def play(self) -> None:
        first = itertools.count(1)

        def strike(*_: Any) -> None:
            if next(first) == 1:
                wire = connection.connection.pgconn
                wire.send_query(MEGABYTES)
                wire.flush()
                os.kill(os.getpid(), signal.SIGSTOP)
                while wire.get_result() is not None:  # what its driver reads when it goes on
                    pass
                sql.rows("SELECT 1")

        wrap(self.target, "after", strike)


@dataclass(frozen=True, kw_only=True)
class FullDisk:
    """No file of this process grows beyond so many bytes: the write that would is cut, or fails."""

    size: int

    def play(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


def wrap(target: str, at: str, then: Callable[..., None]) -> None:
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    def wrapper(*arguments: Any, **named: Any) -> Any:
        if at == "before":
            then(*arguments[:1])
        result = original(*arguments, **named)
        if at == "after" and result != []:
            then(*arguments[:1])
        return result

    setattr(owner, name, wrapper)


def send(setup: Setup) -> None:
    """A slice of sending; SIGTERM ends it as it ends the slice of an RQ worker."""
    begin(setup)
    signal.signal(signal.SIGTERM, ask_to_end)
    for trick in setup.tricks:
        trick.play()
    worker.send_for(setup.seconds)


def ask_to_end(*_: object) -> None:
    worker.stopping.is_asked = True


def shift(setup: Setup) -> None:
    """Move the sandbox's clock an hour ahead, as the command does."""
    begin(setup)
    shifting.shift_to(clock.now() + timedelta(hours=1))


def begin(setup: Setup) -> None:
    log = os.open(setup.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    connection.settings_dict.update(setup.database)
    settings.REDIS_URL, settings.JOURNAL_DIR = setup.redis_url, setup.journals
