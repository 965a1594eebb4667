"""The web server as providers know it: real, on a port of its own, with what they post to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import StringIO
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from config import demo_processes
from config.demo_processes import HOST, Children
from config.web import start_web
from delivery.models import Attempt
from tests.delivery import callers
from tests.faults.world import PATIENCE, World, address_of_database

ANSWER_WITHIN = 20.0  # seconds
NO_ANSWER = 0
TRIES = 3
numbers = count(1)


@dataclass(slots=True)
class Post:
    """A callback, signed for its fields."""

    what: str  # "status" or "inbound"
    fields: dict[str, str]
    ref: str = ""
    copy: int = 1


@dataclass(slots=True)
class Posted:
    """One time that it was posted. Times are real Unix seconds; `answer` is 0 where none came."""

    post: Post
    number: int
    posted_at: float
    answered_at: float = 0.0
    answer: int = NO_ANSWER

    @property
    def took(self) -> float:
        return self.answered_at - self.posted_at

    def lines(self, account: str) -> list[str]:
        """As the simulator would have noted it in its ledger."""
        fields = self.post.fields
        told: dict[str, object] = {
            "callback": self.number,
            "posted_at": self.posted_at,
            "provider": "twilio",
            "account": account,
            "genuine": True,
            "copy": self.post.copy,
            "provider_ref": fields["MessageSid"],
            "to": fields["To"],
        }
        if self.post.what == "inbound":
            told |= {"kind": "inbound", "from": fields["From"], "text": fields["Body"]}
        else:
            told |= {"kind": "report", "ref": self.post.ref, "code": ""}
            told["word"] = fields["MessageStatus"]
        answer = {
            "callback": self.number,
            "answered_at": self.answered_at,
            "answer": self.answer,
        }
        return [json.dumps(told), json.dumps(answer)]


def a_text(world: World, sender: str, words: str, *, to: str = "") -> Post:
    """A person writes to the first of our numbers, or to the one that is named."""
    fields = callers.text_fields(
        world.account,
        provider_ref=f"SM{next(numbers):032x}",
        sender=sender,
        to=to or world.lanes[0].value,
        text=words,
    )
    return Post("inbound", fields)


def a_report(world: World, attempt: Attempt, word: str, to: str) -> Post:
    (provider_ref,) = attempt.provider_refs
    fields = callers.report_fields(world.account, provider_ref=provider_ref, word=word, to=to)
    return Post("status", fields, ref=attempt.ref)


@dataclass
class Web:
    """A web server on the test's database, which can be killed and started again."""

    world: World
    children: Children
    port: int
    posted: list[Posted] = field(default_factory=list)
    _lines: list[http.client.HTTPConnection] = field(default_factory=list)  # that are free
    _is_up: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        start_web(self.children, self.port)
        self._is_up.set()

    def kill(self) -> None:
        """With the processes that it has started, as a host that loses its power would."""
        pid = self.children.pids()["web"]
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        os.killpg(pid, signal.SIGKILL)
        self._is_up.clear()
        _, alive = psutil.wait_procs(family, PATIENCE)
        assert not alive
        self.close()

    def start_again(self) -> None:
        assert self.children.tend() == ["web"]
        self.children.wait_for("web", self.port)
        self._is_up.set()

    def post_when_up(self, post: Post) -> Posted:
        self._is_up.wait(PATIENCE)
        return self.post(post)

    def post(self, post: Post) -> Posted:
        """Post it now, and keep what was answered."""
        path, headers = self._sealed(post)
        done = Posted(post, next(numbers), time.time())
        self.posted.append(done)
        done.answer = self._answer(path, urlencode(post.fields).encode(), headers)
        done.answered_at = time.time()
        return done

    def post_all(self, posts: Iterable[Post], *, threads: int) -> list[Posted]:
        """Post them in this order, from so many threads at once."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.post, posts))

    def _sealed(self, post: Post) -> tuple[str, dict[str, str]]:
        """The address and the headers."""
        account = self.world.account
        path = callers.address(account, post.what, f"ref={post.ref}" if post.ref else "")
        token = account.access().secrets["auth_token"]
        url = f"http://{HOST}:{self.port}{path}"
        headers = callers.sign(account.kind, url, post.fields, token=token)
        return path, {"Content-Type": callers.FORM, **headers}

    def _answer(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        try:
            line = self._lines.pop()
        except IndexError:
            line = http.client.HTTPConnection(HOST, self.port, timeout=ANSWER_WITHIN)
        try:
            line.request("POST", path, body, headers)
            answer = line.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            line.close()
            return NO_ANSWER
        self._lines.append(line)
        return int(answer.status)

    def close(self) -> None:
        while self._lines:
            self._lines.pop().close()

    def assert_the_ledger_is_clean(self) -> None:
        """By the oracle, from what the simulator received and what was posted here."""
        ledger, told = self.world.folder / "ledger.jsonl", StringIO()
        write_ledger(ledger, self.world, self.posted)
        try:
            call_command("check_ledger", ledger=ledger, stdout=told)
        except SystemExit:
            pytest.fail(told.getvalue())


def write_ledger(path: Path, world: World, posted: Iterable[Posted]) -> None:
    """The lines of this test alone, and those of its callbacks, which nobody else has noted."""
    own = {entry.seq for entry in world.ledger()}
    with world.simulator.ledger.open() as lines:
        kept = [line for line in lines if json.loads(line).get("seq") in own]
    kept += [f"{line}\n" for done in posted for line in done.lines(world.sid)]
    path.write_text("".join(kept))


@contextlib.contextmanager
def serving(world: World, *, database_port: int | None = None) -> Iterator[Web]:
    """`database_port`: of a wire to the database that can be cut."""
    address, port = address_of_database(), demo_processes.free_port()
    if database_port is not None:
        own = connection.settings_dict["PORT"]
        address = address.replace(f":{own}/", f":{database_port}/")
    environment = {
        "DATABASE_URL": address,
        "REDIS_URL": settings.REDIS_URL,
        "JOURNAL_DIR": str(world.journals),
        "PUBLIC_BASE_URL": f"http://{HOST}:{port}",
    }
    logs, run = world.folder / "logs", world.folder / "run"
    with Children(environment=environment, logs=logs, run=run) as children:
        web = Web(world, children, port)
        web.start()
        with contextlib.closing(web):
            yield web


def in_time(happens: Callable[[], dict[str, tuple[float, float]]]) -> None:
    """What must happen within some seconds: (took, most) by name, in one of a few tries.

    A machine may stand still in any. What waits behind something else does so in each.
    """
    late: dict[str, tuple[float, float]] = {}
    for _ in range(TRIES):
        took = happens()
        late = {what: times for what, times in took.items() if times[0] > times[1]}
        if not late:
            break
    assert late == {}
