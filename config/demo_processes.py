"""The processes of a demo or a benchmark: started by one parent, put back when one dies.

They die with the parent, however it dies, and stand outside its terminal: Ctrl-C reaches the parent
alone, which ends them in order, so that what is on the wire is answered and stored first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.processes import end_recorded, end_with_parent
from config.services import ROOT

HOST = "127.0.0.1"
MANAGE = (sys.executable, str(ROOT / "manage.py"))
WORKER = ("--worker-class", "delivery.worker.Worker", "--verbosity", "0")
MOST_DEATHS = 4  # within `DEATHS_WITHIN`, those that were asked for not counted
DEATHS_WITHIN = 60.0
READY_SECONDS = 60.0
DRAIN_SECONDS = 30.0
LAST_LINES = 12


class Broken(Exception):
    """A process cannot be kept up; the message says which one, and its last words."""


@dataclass(slots=True)
class Child:
    """`serves`: the others need it to end well, so it ends after them."""

    name: str
    command: tuple[str, ...]
    serves: bool
    process: subprocess.Popen[bytes]
    deaths: list[float] = field(default_factory=list)

    @property
    def is_up(self) -> bool:
        return self.process.poll() is None


class Children:
    """Use it as a context: whatever is still up at its end is ended."""

    def __init__(self, *, environment: Mapping[str, str], logs: Path, run: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._logs = logs
        self._run = run
        self._children: dict[str, Child] = {}
        logs.mkdir(parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str, *command: str, serves: bool = False) -> None:
        self._log(name).unlink(missing_ok=True)
        process = self._spawn(name, command)
        self._children[name] = Child(name, command, serves, process)

    def pids(self) -> dict[str, int]:
        """Those that are up, by name."""
        return {child.name: child.process.pid for child in self._children.values() if child.is_up}

    def tend(self) -> list[str]:
        """Start again what has died; returns the names. Raises Broken for what keeps dying."""
        dead = [child for child in self._children.values() if not child.is_up]
        for child in dead:
            end_group(child.process.pid)
            self._forget(child)
            self._count_death(child)
            child.process = self._spawn(child.name, child.command)
        return [child.name for child in dead]

    def kill(self, name: str) -> None:
        """End one as a crash would, at once, and start it again."""
        child = self._children[name]
        end_group(child.process.pid)
        child.process.wait()
        self._forget(child)
        child.process = self._spawn(name, child.command)

    def wait_for(self, name: str, port: int) -> None:
        """Wait until a child listens on its port. Raises Broken."""
        until = time.monotonic() + READY_SECONDS
        while not is_open(port):
            if not self._children[name].is_up or time.monotonic() > until:
                raise Broken(self._last_words(name))
            time.sleep(0.05)

    def end_all_but(self, *names: str) -> None:
        """Ask the others to end, those that serve last, and wait."""
        for serves in (False, True):
            chosen = [
                child
                for name, child in self._children.items()
                if name not in names and child.serves == serves
            ]
            self._end(chosen)
        self._children = {name: self._children[name] for name in names if name in self._children}

    def end(self) -> None:
        """Ask all to end, those that serve last, and wait; a second Ctrl-C ends them at once."""
        try:
            for serves in (False, True):
                self._end([child for child in self._children.values() if child.serves == serves])
        except KeyboardInterrupt:
            self._kill(list(self._children.values()))

    def _spawn(self, name: str, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self._pid_file(process.pid).write_text(f"{process.pid}\n")
        return process

    def _end(self, children: list[Child]) -> None:
        for child in children:
            if child.is_up:
                child.process.terminate()
        until = time.monotonic() + DRAIN_SECONDS
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(until - time.monotonic(), 0.01))
        self._kill(children)

    def _kill(self, children: list[Child]) -> None:
        for child in children:
            if child.is_up:
                end_group(child.process.pid)
                child.process.wait()
            self._forget(child)

    def _count_death(self, child: Child) -> None:
        now = time.monotonic()
        child.deaths = [at for at in child.deaths if now - at < DEATHS_WITHIN]
        child.deaths.append(now)
        if len(child.deaths) > MOST_DEATHS:
            raise Broken(self._last_words(child.name))

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([f"{name} does not stay up. {self._log(name)} ends with:", *lines])

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _pid_file(self, pid: int) -> Path:
        return self._run / f"{pid}.pid"

    def _forget(self, child: Child) -> None:
        self._pid_file(child.process.pid).unlink(missing_ok=True)


def end_group(leader: int) -> None:
    """End at once what is left of a child's process group, such as a web server's own workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def end_left_over(run: Path) -> int:
    """End what a killed parent left behind; returns how many processes."""
    return end_recorded(run, belongs_to=str(ROOT)) if run.is_dir() else 0


def start_simulator(
    children: Children, *, port: int, ledger: Path, latency_ms: float, mail_port: int | None = None
) -> None:
    """Start the simulated providers, and wait until they listen; mail only where it has a port.

    Raises Broken.
    """
    ledger.parent.mkdir(parents=True, exist_ok=True)
    mail = () if mail_port is None else ("--mail-port", str(mail_port))
    children.start(
        "simulator",
        *(*MANAGE, "simulate_providers", "--with-parent", "--port", str(port), *mail),
        *("--ledger", str(ledger), "--latency-ms", str(latency_ms)),
        serves=True,
    )
    for used in (port,) if mail_port is None else (port, mail_port):
        children.wait_for("simulator", used)


def start_workers(children: Children, count: int) -> None:
    """The scheduler and the workers of all queues, as in production."""
    for number in range(1, count + 1):
        children.start(f"send-{number}", *MANAGE, "rqworker", "send", *WORKER)
    for queue in ("replies", "reports", "upkeep", "plan", "chores"):
        children.start(queue, *MANAGE, "rqworker", queue, *WORKER)
    children.start("scheduler", *MANAGE, "scheduler", "--interval", "1")


def send_workers(pids: Mapping[str, int]) -> list[str]:
    return sorted(name for name in pids if name.startswith("send-"))


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def free_port(first: int = 0, tries: int = 50) -> int:
    """The first free port from `first` on; 0 means any. Raises OSError when there is none."""
    for port in (first,) if first == 0 else range(first, min(first + tries, 65_536)):
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            return int(listener.getsockname()[1])
    raise OSError(f"no port from {first} on is free")


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end us as Ctrl-C does: through every `finally`."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
