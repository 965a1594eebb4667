"""A sandbox with a campaign that is due, its simulated provider, and the processes that send it."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from django.conf import settings
from django.db import connection

from brands import clock
from brands.models import Installation
from delivery import journal, settling, sql
from delivery.journal import Past
from delivery.models import Attempt, Due, Message
from delivery.states import Status
from providers.models import ProviderAccount, SenderNumber
from providers.simulator_ledger import LedgerEntry, read_ledger
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_due,
    make_number,
    make_slot,
    numbers,
    set_clock,
)
from tests.faults import child
from tests.faults.child import Setup, Trick
from tests.faults.invariants import assert_consistent

FREE = ("--port", "0", "--mail-port", "0", "--ledger")
ROOT = Path(__file__).parents[2]
ADDRESS = ("USER", "PASSWORD", "HOST", "PORT", "NAME")
PATIENCE = 60.0  # seconds; nothing takes as long, even on a crowded machine, unless it fails
POLL = 0.03
LATER = timedelta(minutes=6)  # longer than a message waits between two tries
# What was handed over too late, as by a pause, is due again half a second later.
IS_QUIET = """
SELECT NOT EXISTS (SELECT 1 FROM delivery_attempt WHERE outcome = '') AND NOT EXISTS (
    SELECT 1 FROM delivery_due WHERE not_before <= sendonce_now() + interval '1 second')
"""

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.faults.child"])


def eventually(happens: Callable[[], object], what: str = "it did not happen") -> None:
    until = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < until, what
        time.sleep(POLL)


@dataclass
class Simulator:
    """The provider: a process of its own, whose ledger is the truth."""

    port: int
    ledger: Path
    mail_port: int = 0

    def obey(self, **command: object) -> None:
        self._ask("/control", json.dumps(command).encode())

    def reset(self) -> None:
        self._ask("/control/reset", b"")

    def says(self) -> dict[str, Any]:
        """Its counts: `requests_in_ledger`, `connections` and others."""
        return self._ask("/control", None)

    def _ask(self, path: str, body: bytes | None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, data=body, timeout=PATIENCE) as answer:
            said: dict[str, Any] = json.loads(answer.read())
        return said


@contextlib.contextmanager
def running_simulator(folder: Path) -> Iterator[Simulator]:
    ledger = folder / "ledger.jsonl"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "simulate_providers", "--with-parent", *FREE, str(ledger)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said, mail = process.stdout.readline(), process.stdout.readline()
        port = int(said.partition(",")[0].rpartition(":")[2])
        yield Simulator(port, ledger, int(mail.rpartition(":")[2]))
    finally:
        process.kill()
        process.communicate()


@dataclass
class World:
    """One test's installation: a campaign to `people`, and a second one to a few of the same.

    Whichever text comes first to one of those few, their allowance holds the other one back.
    """

    installation: Installation
    simulator: Simulator
    folder: Path
    account: ProviderAccount = field(init=False)
    lanes: list[SenderNumber] = field(init=False)
    people: int = 0
    received_before: int = 0
    never_claimed: int = 0
    messages: list[Message] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)

    @property
    def journals(self) -> Path:
        return self.folder / "journal"

    def fill(
        self,
        people: int = 60,
        *,
        twice: int = 4,
        in_flight: int = 8,
        rate: float = 2000.0,
        url: str = "",
    ) -> None:
        """`rate`: segments a second of each of two numbers; a message is one segment.

        `url`: another provider than the simulator.
        """
        pass_over_magic_numbers(people)
        url = url or f"http://127.0.0.1:{self.simulator.port}"
        self.account = make_account(base_url=url, in_flight=in_flight)
        self.lanes = [make_number(self.account, segments_per_second=rate) for _ in range(2)]
        brand = make_brand(daily_cap=people + twice)
        slot, other = make_slot(self.lanes[0], brand=brand), make_slot(brand=brand, text="More")
        self.received_before += self.received()
        self.people, half = people, people // 2
        self.messages = fill_queue(slot, self.lanes[0], people - half, now=NOON)
        self.messages += fill_queue(slot, self.lanes[1], half, now=NOON)
        for message in self.messages[:twice]:
            self.messages.append(make_due(other, message.lead, self.lanes[0], now=NOON))

    # --- what happened --------------------------------------------------------------------------

    @property
    def sid(self) -> str:
        """The account's name at the provider."""
        return self.account.access().secrets["account_sid"]

    def ledger(self) -> list[LedgerEntry]:
        if not self.simulator.ledger.exists():
            return []
        entries = read_ledger(self.simulator.ledger)
        return [entry for entry in entries if entry.submission.account == self.sid]

    def received(self) -> int:
        """How many requests came to the provider in this test; quicker than reading its ledger."""
        return int(self.simulator.says()["requests_in_ledger"]) - self.received_before

    def count(self, *statuses: Status) -> int:
        return Message.objects.filter(status__in=statuses).count()

    def outcomes(self) -> dict[str, int]:
        found = Attempt.objects.values_list("outcome", flat=True)
        return {outcome: list(found).count(outcome) for outcome in set(found)}

    def is_quiet(self) -> bool:
        """Nothing is in flight, and nothing is due or will be in a moment; seen at one moment."""
        return bool(sql.one(IS_QUIET)[0])

    def journal_files(self) -> list[str]:
        return sorted(path.name for path in self.journals.glob("*"))

    # --- who does it ----------------------------------------------------------------------------

    def start(
        self,
        *tricks: Trick,
        seconds: float = 60.0,
        does: Callable[[Setup], None] = child.send,
        **database: object,
    ) -> Child:
        setup = Setup(
            database={**place_of_database(), **database},
            redis_url=settings.REDIS_URL,
            journals=self.journals,
            log=self.folder / f"child-{len(self.children)}.log",
            seconds=seconds,
            tricks=tricks,
        )
        self.children.append(Child(setup, does))
        return self.children[-1]

    def pasts(self) -> list[Past]:
        """What the journals tell, of workers dead or alive."""
        return [journal.read(path) for path in sorted(self.journals.glob("*.journal"))]

    def on_the_wire(self) -> int:
        """How many requests the journals leave open."""
        return sum(len(past.unanswered) for past in self.pasts())

    def answered(self) -> int:
        return sum(len(past.outcomes) for past in self.pasts())

    def settle(self) -> int:
        """What the reaper does for a worker that is gone."""
        return settling.settle_dead(self.journals, str(self.installation.identity))

    def send_the_rest(self) -> None:
        """A second worker looks for what is left, when every wait between two tries is over."""
        set_clock(clock.now() + LATER)
        if self.is_quiet():
            self.start(seconds=0.3).over()
        else:
            self.send_all(self.start())

    def send_all(self, worker: Child) -> None:
        eventually(lambda: worker.is_over or self.is_quiet(), "messages wait, and nobody sends")
        worker.end()

    def assert_consistent(self, *, settled: bool = True) -> None:
        assert_consistent(self.ledger(), settled=settled)

    def assert_sent_once(self, *, unknown: int = 0, without: int = 0) -> None:
        """Everybody was sent one text, but for at most `unknown` in doubt and `without` set aside.

        The texts that a person's allowance holds back still wait.
        """
        self.assert_consistent()
        in_doubt = self.count(Status.UNKNOWN)
        assert in_doubt <= unknown
        assert self.count(Status.ACCEPTED) == self.people - in_doubt - without
        held = Due.objects.filter(reason="person_limit").count()
        assert held == self.count(Status.PLANNED) == len(self.messages) - self.people

    def clean_up(self) -> None:
        for one in self.children:
            one.kill()


class Child:
    """A process that sends. `end` and `died` fail the test, with its last words, if it did not."""

    def __init__(self, setup: Setup, does: Callable[[Setup], None]) -> None:
        self._log = setup.log
        self.process: BaseProcess = forks.Process(target=does, args=[setup])
        self.process.start()

    @property
    def is_over(self) -> bool:
        return not self.process.is_alive()

    @property
    def is_stopped(self) -> bool:
        return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        psutil.Process(self.process.pid).send_signal(number)

    def end(self) -> None:
        """Ask it to end, as one asks a worker."""
        if not self.is_over:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself just now
                self.signal(signal.SIGTERM)
        self.over()

    def over(self) -> None:
        """It ended by itself."""
        self._over_with(0)

    def died(self) -> None:
        """It was killed, or kills itself."""
        self._over_with(-signal.SIGKILL)

    def _over_with(self, code: int) -> None:
        self.process.join(PATIENCE)
        assert self.process.exitcode == code, self._log.read_text()[-3000:]

    def kill(self) -> None:
        if not self.is_over:
            self.process.kill()
            self.process.join()


def pass_over_magic_numbers(people: int) -> None:
    """The simulator behaves strangely to recipients whose last four digits are low."""
    while not 20 < next(numbers) % 10_000 < 9_900 - people:
        pass


def address_of_database() -> str:
    """The test database as a URL, for commands."""
    own = {name: quote(str(connection.settings_dict[name]), safe="") for name in ADDRESS}
    return "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**own)


def place_of_database() -> dict[str, Any]:
    return {name: connection.settings_dict[name] for name in ("NAME", "HOST", "PORT")}
