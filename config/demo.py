"""The demo: three invented brands send a campaign each through six simulated providers, and one of
them an e-mail through a seventh.

It is a sandbox whose clock moves on by itself. Messages are reported on, people answer, one
provider throttles for a while, and half-way another one fails. `check` runs it once from an empty
stage, with a second slot of one brand, and judges it; `keep_running` goes on, a slot each few
minutes, until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from rich.console import Console

from brands import clock
from campaigns.models import Slot
from config import demo_accounts, demo_verdicts, demo_wipe
from config import demo_processes as processes
from config import demo_stage as stage
from config import demo_summary as summary
from config.demo_course import Course
from config.demo_killer import SENT, Killer
from config.demo_outside import PAUSED_FOR, THROTTLED_FOR, Outside
from config.demo_partner import Partner
from config.demo_processes import HOST, MANAGE, Children
from config.demo_readers import Readers
from config.demo_stage import BRANDS, CannotStage, Folder
from config.demo_summary import Phases, Told
from config.web import start_web
from delivery import shifting, sql

LATENCY_MS = 40.0
WEB_PORT = 8000
NEXT_SLOT_SECONDS = 15.0
SHOWN_PACE = 15.0  # segments a second of each number, where somebody watches
SHOWN_FAULT = 25.0  # seconds a provider fails, or throttles, where somebody watches
LOOKED_UP_AFTER = timedelta(seconds=90)  # the first look-up is due a minute after the intent
LINK_SCHEME = "http"  # nothing speaks https on this machine
ADMIN = "demo"

# Requests that one worker may have on the wire.
IN_FLIGHT_EACH = demo_accounts.IN_FLIGHT * len(demo_accounts.NAMES)

SECOND_SLOT = BRANDS[-1:]  # of the check: enough to see that it skips who stopped

WORTH_A_STOP = 100  # messages held for a time to come, where somebody watches the clock
FEW = 100  # messages that are due
MOVING = """
SELECT count(*) = %s FROM (SELECT 1 FROM delivery_due
    WHERE not_before <= sendonce_now() AND expires_at > sendonce_now() LIMIT %s) due
"""


class WipeAsked(Exception):
    """Somebody pressed the button on the web."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`kills`: how many send workers are killed while they send."""

    leads: int = 20_000
    workers: int = 2
    seed: int = 1
    kills: int = 0
    web_port: int = WEB_PORT


@dataclass(slots=True)
class Demo:
    """One demo on this database, from its first process to its last."""

    options: Options
    told: Told
    folder: Folder = field(default_factory=lambda: Folder(Path(settings.VAR_DIR) / "demo"))
    phases: Phases = field(default_factory=Phases)
    web_port: int = 0
    outside: Outside = field(init=False)
    partner: Partner | None = None  # who posts leads while the demo is shown
    readers: Readers | None = None  # who follow links meanwhile
    simulator_port: int = field(default_factory=processes.free_port)
    mail_port: int = field(default_factory=processes.free_port)

    def check(self) -> bool:
        """Run once on an empty stage; returns whether all was well. Raises CannotStage."""
        self.web_port = processes.free_port()
        with alone(), self._children() as children:
            self._make(children)
            self._open(children)
            killer = self._killer()
            with self.phases.timed("sending"):
                processes.start_workers(children, self.options.workers)
                self._run(children, killer)
            self._hear_out(children)
            with self.phases.timed("second slot"):
                self.told.say(f"A second slot for {SECOND_SLOT[0].name}, on the next morning.")
                stage.open_next_day(SECOND_SLOT)
                self._run(children, killer)
            return self._judge(children, killer.killed * IN_FLIGHT_EACH, is_whole=True)

    def keep_running(self) -> None:
        """Go on with the demo that is there, or make one; until Ctrl-C.

        It is slow enough to be watched, and begins anew when somebody asks for it on the web.
        """
        self.web_port = processes.free_port(self.options.web_port)
        with alone(), self._children() as children:
            while True:
                try:
                    self._show(children)
                except WipeAsked:
                    self.told.say("An empty sandbox was asked for: beginning anew.")
                    children.end_all_but("web")
                    demo_wipe.wipe(self.folder)

    def _show(self, children: Children) -> None:
        """Set up what is not there, then slot after slot. Raises WipeAsked."""
        if demo_wipe.is_standing(self.folder):
            self.told.say("Going on with the demo that is there.")
            self._start_simulator(children)
            stage.point_at(**self._addresses)
        else:
            self._make(children)
            # Not of a demo that goes on: by a lower limit, what it sent before were too fast.
            demo_accounts.set_pace(SHOWN_PACE)
        self._open(children, paused_for=SHOWN_FAULT, throttled_for=SHOWN_FAULT)
        self.partner = Partner.of(self._web, seed=self.options.seed)
        self.readers = Readers.of(self._web, seed=self.options.seed)
        self._tell_address()
        processes.start_workers(children, self.options.workers)
        killer, before = self._killer(), demo_verdicts.unknown_for_good()
        while True:
            if Slot.objects.filter(state=Slot.State.OPEN).exists():
                with self.phases.timed("sending"):
                    self._run(children, killer)
                self._judge(children, before + killer.killed * IN_FLIGHT_EACH)
                self._wait(children)
            self.outside.fail_again(sql.one(SENT)[0], self.options.leads // 3)
            self.told.say(f"The slots of {stage.open_next_day():%A %Y-%m-%d} are open.")

    @property
    def _web(self) -> str:
        return f"http://{HOST}:{self.web_port}"

    @property
    def _simulator(self) -> str:
        return f"http://{HOST}:{self.simulator_port}"

    @property
    def _addresses(self) -> dict[str, str]:
        """Where providers, their mail server and the links of all brands are."""
        return {
            "simulator": self._simulator,
            "mail_server": f"smtp://{HOST}:{self.mail_port}",
            "short_domain": f"{HOST}:{self.web_port}",
        }

    @contextlib.contextmanager
    def _children(self) -> Iterator[Children]:
        processes.end_left_over(self.folder.run)
        environment = {
            "JOURNAL_DIR": str(self.folder.journal),
            "PLAN_EVERY_SECONDS": "2",
            "TIDY_EVERY_SECONDS": "1",
            "LOOK_UP_EVERY_SECONDS": "2",
            "SEND_JOBS_QUEUED": str(2 * self.options.workers),
            "FIGURES_EVERY_SECONDS": "5",
            "WATCH_EVERY_SECONDS": "15",
            "HEALTH_EVERY_SECONDS": "30",
            "PUBLIC_BASE_URL": self._web,
            "SHORT_LINK_SCHEME": LINK_SCHEME,
        }
        logs = Path(settings.VAR_DIR) / "log" / "demo"
        with Children(environment=environment, logs=logs, run=self.folder.run) as children:
            yield children

    def _start_simulator(self, children: Children) -> None:
        processes.start_simulator(
            children,
            port=self.simulator_port,
            mail_port=self.mail_port,
            ledger=self.folder.ledger,
            latency_ms=LATENCY_MS,
        )

    def _make(self, children: Children) -> None:
        """An empty stage, then brands, leads from their CSV files, and started campaigns."""
        options = self.options
        self.told.say("Emptying the sandbox and setting it up")
        with self.phases.timed("setting up"):
            demo_wipe.wipe(self.folder)
            self._start_simulator(children)
            stage.found(seed=options.seed, **self._addresses)
        with self.phases.timed("inventing"):
            rows = stage.invent(self.folder, leads=options.leads, seed=options.seed)
        with self.phases.timed("importing"):
            for plan in BRANDS:
                self.told.say(f"Importing {rows[plan.slug]:,} leads for {plan.name}")
                stage.take_in(self.folder, plan)
            stage.opt_out_some(options.seed, share=stage.SHARE_OPTED_OUT / 2)
            stage.make_campaigns()

    def _run(self, children: Children, killer: Killer) -> None:
        """Until all open slots are closed. Half of the opt-outs come when planning has begun."""
        worth_a_stop = WORTH_A_STOP if self.partner else 1
        course, progress = Course.of_open_slots(worth_a_stop=worth_a_stop), summary.Progress()
        late_opt_outs = share_if_fresh(course)

        def tend() -> None:
            nonlocal late_opt_outs
            self._tend(children)
            killer.look(children)
            if late_opt_outs and sql.one(SENT)[0]:
                stage.opt_out_some(self.options.seed, share=late_opt_outs)
                late_opt_outs = 0.0
            if self.told.is_time():
                progress.read()
                self.told.show(progress.words(summary.time_in(BRANDS[0].zone)))

        with self.told.moving():
            course.run(tend)
        if course.stalls:
            self.told.say(f"The clock went on {course.stalls} times although messages waited.")

    def _tend(self, children: Children) -> None:
        """What goes on all the time: dead processes come back, and the provider fails or mends.

        While it is shown a partner posts leads, readers click, and a wipe may be asked for.
        """
        children.tend()
        self.outside.tend(sql.one(SENT)[0])
        while self.outside.told:
            self.told.say(self.outside.told.pop(0))
        if self.partner is not None and self.readers is not None:
            self._tend_visitors(self.partner, self.readers)

    def _tend_visitors(self, partner: Partner, readers: Readers) -> None:
        """Raises WipeAsked."""
        readers.tend()
        is_moving, *_ = sql.one(MOVING, FEW, FEW)
        if is_moving:  # a trickle of late leads would keep the clock from going on
            partner.tend()
        while partner.told:
            self.told.say(partner.told.pop(0))
        if demo_wipe.is_asked():
            self.partner = self.readers = None
            raise WipeAsked

    def _killer(self) -> Killer:
        options = self.options
        return Killer.of(leads=options.leads, kills=options.kills, seed=options.seed)

    def _hear_out(self, children: Children) -> None:
        """Until what providers and people still had to say has come in."""
        with self.phases.timed("hearing out"):
            self.outside.hear_out(lambda: self._tend(children))

    def _look_up(self, children: Children) -> None:
        """Until who was asked about messages of unknown fate has answered."""
        shifting.shift_to(clock.now() + LOOKED_UP_AFTER)
        self._hear_out(children)

    def _judge(self, children: Children, most_unknown: int, *, is_whole: bool = False) -> bool:
        """Tell the figures and whether all is well; so many may be unknown by our own doing.

        `is_whole`: a provider must have failed, and a second slot must have been sent.
        """
        self._hear_out(children)
        self._look_up(children)
        with self.phases.timed("checking"):
            clean = self._ledger_is_clean()
        found = summary.columns()
        self.told.console.print(summary.table(found))
        judged = demo_verdicts.verdicts(
            found["All"], most_unknown=most_unknown, ledger_is_clean=clean
        )
        judged += demo_verdicts.on_a_whole_check() if is_whole else []
        for verdict in judged:
            self.told.say(verdict.words())
        self.told.say(f"Callbacks that came to nothing: {summary.turned_away()}.")
        self.told.say(self.phases.words())
        self.phases.seconds.clear()
        return all(verdict.holds for verdict in judged)

    def _ledger_is_clean(self) -> bool:
        """By a process of its own: the oracle shares nothing with what it judges."""
        sql.rows("ANALYZE")  # its joins are over tables that were empty two minutes ago
        command = [*MANAGE, "check_ledger", "--ledger", str(self.folder.ledger)]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, "SHORT_LINK_SCHEME": LINK_SCHEME},
        )
        self.told.say(done.stdout.rstrip())
        return done.returncode == 0

    def _open(
        self,
        children: Children,
        *,
        paused_for: float = PAUSED_FOR,
        throttled_for: float = THROTTLED_FOR,
    ) -> None:
        """Start the web; from then on messages are reported on and people answer."""
        if "web" not in children.pids():
            call_command("collectstatic", interactive=False, verbosity=0, stdout=StringIO())
            start_web(children, self.web_port)
        self.outside = Outside(
            simulator=self._simulator,
            web=self._web,
            seed=self.options.seed,
            fails_at=sql.one(SENT)[0] + self.options.leads // 2,
            throttles_at=sql.one(SENT)[0] + self.options.leads // 4,
            paused_for=paused_for,
            throttled_for=throttled_for,
        )
        self.outside.begin()

    def _tell_address(self) -> None:
        if self.web_port != self.options.web_port:
            self.told.say(f"Port {self.options.web_port} is taken.")
        password = give_password()
        self.told.say(f"The web is up: {self._web}/admin/")
        self.told.say(f"A pretend phone that reads and answers texts: {self._simulator}/phone")
        self.told.say(f"A pretend mailbox for its e-mails: {self._simulator}/mail")
        self.told.say(f"Log in as {ADMIN} with the password {password}")

    def _wait(self, children: Children) -> None:
        self.told.say(f"The next slots open in {NEXT_SLOT_SECONDS:.0f} s. Ctrl-C ends the demo.")
        until = time.monotonic() + NEXT_SLOT_SECONDS
        while time.monotonic() < until:
            self._tend(children)
            time.sleep(0.5)


def run(options: Options, *, check: bool, console: Console) -> bool:
    """Returns whether all was well. Raises CannotStage, Broken, Stuck or CannotInvent."""
    demo_wipe.refuse_real()
    demo = Demo(options, Told(console))
    with processes.ended_by_signals():
        if check:
            return demo.check()
        demo.keep_running()
    return True


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two demos on one database would wipe each other's rows. Raises CannotStage."""
    holder = connection.copy()
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [demo_wipe.ONE_DEMO])
            if not cursor.fetchone()[0]:
                raise CannotStage("Another demo runs on this database: end it first.")
        yield
    finally:
        holder.close()


def share_if_fresh(course: Course) -> float:
    """The share of people who still opt out when their messages are already planned."""
    fresh = course.legs and not sql.one(SENT)[0]
    return stage.SHARE_OPTED_OUT / 2 if fresh else 0.0


def give_password() -> str:
    """A new password for the demo's administrator, who is made if need be."""
    password = secrets.token_urlsafe(9)
    users = get_user_model()
    user, _ = users.objects.get_or_create(
        username=ADMIN, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save(update_fields=["password"])
    return password


def default_workers() -> int:
    return max(2, min(4, os.cpu_count() or 2))
