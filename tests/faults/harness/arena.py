"""Where a row acts: fresh ground with a load on it, its crew, and what it may look at.

A row injects faults and tells of each whether it hit; it judges nothing but what only it can know.
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import django_rq
from django.conf import settings
from django.db import connection

from brands import clock
from config.demo_processes import HOST, free_port
from config.processes import waited
from delivery import sql, tasks
from delivery.states import Reason, Status
from providers.simulator_ledger import LedgerEntry, read_ledger
from tests.faults.harness import crew
from tests.faults.harness.crew import Crew
from tests.faults.harness.ground import Ground
from tests.faults.harness.load import Load, Stage

T = TypeVar("T")

PATIENCE = 40.0  # seconds; nothing that a row waits for takes as long unless it fails
SENT_OR_SAID_NO = frozenset({Status.ACCEPTED, Status.UNKNOWN, Reason.OPTED_OUT})

LEFT = "SELECT count(*) FROM delivery_due WHERE not_before <= (SELECT sendonce_now())"
TEXTS_LEFT = """
SELECT count(*) FROM delivery_due d LEFT JOIN campaigns_campaign c ON c.id = d.campaign_id
WHERE d.not_before <= (SELECT sendonce_now()) AND c.channel IS DISTINCT FROM 'email'
"""
STORED = "SELECT count(*) FROM delivery_attempt WHERE outcome <> ''"
PENDING = "SELECT count(*) FROM delivery_attempt WHERE outcome = ''"


class NotSo(Exception):
    """What a row waited for did not happen; a sentence."""


@dataclass
class Arena:
    """`doubt`: so many messages may end unknown, beyond those in flight at deaths.

    `may_end`: the reasons for which messages may end, or the states of those without. `spared`:
    requests (seq in the ledger) that the database is right to know nothing of. `problems`: what the
    row itself found wrong; `at_end` says what only shows when all is sent, in sentences.
    """

    ground: Ground
    folder: Path
    crew: Crew
    doubt: int = 0
    may_end: set[str] = field(default_factory=lambda: set(SENT_OR_SAID_NO))
    spared: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    at_end: list[Callable[[], Iterable[str]]] = field(default_factory=list)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    port: int = field(default_factory=free_port)
    mail_port: int = field(default_factory=free_port)
    stage: Stage = field(init=False)
    _busy_until: float = 0.0

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def web_port(self) -> int:
        """Where providers call us back, when a row starts the web server."""
        return int(urlsplit(settings.PUBLIC_BASE_URL).port or 0)

    def load(self, load: Load, *, provider_port: int | None = None) -> Stage:
        """Start the simulator and make the load, all of it due. Nobody sends yet.

        `provider_port`: of a wire that stands between the workers and the simulator.
        """
        self.crew.start_simulator(
            port=self.port,
            mail_port=self.mail_port,
            ledger=self.ledger,
            latency_ms=load.latency_ms,
        )
        self.stage = Stage(
            load,
            simulator=f"http://{HOST}:{provider_port or self.port}",
            mail_server=f"smtp://{HOST}:{self.mail_port}",
        )
        self.stage.make()
        return self.stage

    def keep(self, context: AbstractContextManager[T]) -> T:
        """Enter a context that is left with the arena, when all is judged."""
        return self.stack.enter_context(context)

    def keep_busy(self, seconds: float = 2.0) -> None:
        """A few more people on the lists, when the work would be over within so many seconds.

        So little is left to do when the faults are over. May be called all the time.
        """
        if time.monotonic() < self._busy_until:
            return
        many = int(seconds * self.stage.load.rate)
        if (left := self.texts_left()) < many:
            self.stage.join(max(many - left, many // 2))
        self._busy_until = time.monotonic() + seconds / 4

    def ask_for_slice(self) -> None:
        """One more job of sending, for a worker more than the dispatcher knows of."""
        django_rq.get_queue("send").enqueue(tasks.send_slice, result_ttl=0, job_timeout=-1)

    # --- the provider ---------------------------------------------------------------------------

    def told(self, **command: object) -> dict[str, Any]:
        """Tell the simulator how to behave."""
        return self._ask("/control", json.dumps(command).encode())

    def behaves_again(self) -> None:
        self._ask("/control/reset", b"")

    def received(self) -> int:
        return int(self._ask("/control", None)["requests_in_ledger"])

    def _ask(self, path: str, body: bytes | None) -> dict[str, Any]:
        url = f"http://{HOST}:{self.port}{path}"
        with urllib.request.urlopen(url, data=body, timeout=PATIENCE) as answer:
            said: dict[str, Any] = json.loads(answer.read())
        return said

    def requests(self) -> list[LedgerEntry]:
        return list(read_ledger(self.ledger)) if self.ledger.exists() else []

    # --- what there is to see -------------------------------------------------------------------

    def now(self) -> datetime:
        return clock.now()

    def left(self) -> int:
        """Messages that are due and wait."""
        return int(sql.one(LEFT)[0])

    def texts_left(self) -> int:
        """The same without e-mail, which leaves so slowly that it is always there."""
        return int(sql.one(TEXTS_LEFT)[0])

    def stored(self) -> int:
        """Attempts whose outcome is stored."""
        return int(sql.one(STORED)[0])

    def pending(self) -> int:
        """Attempts that wait for their outcome."""
        return int(sql.one(PENDING)[0])

    def has_work(self) -> bool:
        """Whether an outcome is still to come."""
        return bool(self.left() or self.pending())

    def on_the_wire(self, name: str | None = None) -> int:
        """Requests that are announced and not answered, of one worker or of all."""
        pid = None if name is None else self.crew.pid(name)
        return sum(len(past.unanswered) for past in crew.pasts(self.crew.journals, pid))

    def senders_of(self, name: str) -> list[UUID]:
        """The names under which a worker's journals go."""
        return [past.sender for past in crew.pasts(self.crew.journals, self.crew.pid(name))]

    def busy_ones(self) -> list[str]:
        """Workers that have requests on the wire right now."""
        return [name for name in self.crew.names("send-") if self.on_the_wire(name)]

    def until(self, happens: Callable[[], object], what: str, *, seconds: float = PATIENCE) -> None:
        if not waited(lambda: bool(happens()), seconds):
            raise NotSo(f"{what}: not within {seconds:.0f} s")

    def until_sending(self, *, many: int = 20) -> None:
        """Until so many more outcomes are stored."""
        before = self.stored()

        def are_sent() -> bool:
            self.keep_busy()
            return self.stored() >= before + many

        self.until(are_sent, "messages are being sent")

    def until_busy(self) -> None:
        """Until messages are on the wire and others wait."""

        def are_busy() -> bool:
            self.keep_busy()
            return self.on_the_wire() > 0 and self.texts_left() > 0

        self.until(are_busy, "messages are on the wire")

    def doubts(self, *names: str) -> int:
        """What these have on the wire may end in doubt, as when they stand still for long."""
        many = sum(map(self.on_the_wire, names))
        self.doubt += many
        return many


@contextlib.contextmanager
def opened(ground: Ground, folder: Path) -> Iterator[Arena]:
    """An arena on fresh ground; when it is left nothing of it runs any more."""
    ground.renew(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(connection.close)
        yield Arena(ground, folder, stack.enter_context(Crew(folder)), stack=stack)
