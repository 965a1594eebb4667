"""The embedded servers of one checkout, shared by all processes that want them.

Whoever comes first starts them, later ones attach, the last one to leave stops them. Every user
holds a shared lock on `run/users.lock`, so whoever gets it alone is the last; starting and stopping
happen behind `run/gate.lock`. The kernel drops both locks when a process dies, however it dies:
servers that a killed user left behind are used, or stopped, by the next one.

    python -m config.services run [--migrate] -- COMMAND …
    python -m config.services stop
    python -m config.services reset [--yes]
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from config.binaries import Trouble, postgres_folder
from config.processes import attend, end_recorded, recorded
from config.servers import Postgres, Say, Server, Valkey

ROOT = Path(__file__).resolve().parent.parent
POSTGRES_PORT = 54329
VALKEY_PORT = 63799
URLS = ("DATABASE_URL", "REDIS_URL")


def say(text: str) -> None:
    sys.stderr.write(f"Sendonce: {text}\n")
    sys.stderr.flush()


class Services:
    """The servers of one folder. A port of 0 means any free one; not durable is for tests only."""

    def __init__(
        self,
        folder: Path,
        *,
        postgres_port: int = POSTGRES_PORT,
        valkey_port: int = VALKEY_PORT,
        durable: bool = True,
        say: Say = say,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.run = self.folder / "run"
        self.run.mkdir(mode=0o700, exist_ok=True)
        logs = self.folder / "log"
        data = postgres_folder(self.folder)
        self.postgres = Postgres(data, logs / "postgres.log", say, durable=durable)
        self.valkey = Valkey(self.folder / "valkey", logs / "valkey.log", say, durable=durable)
        self.ports = {self.postgres.name: postgres_port, self.valkey.name: valkey_port}
        self.hold: int | None = None

    def enter(self, wanted: Collection[str] = URLS) -> dict[str, str]:
        """Keep the servers of these variables up until `leave`; return the URL of each."""
        with self._gate():
            self.hold = os.open(self._users, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self.hold, fcntl.LOCK_SH)
            try:
                return {name: self._up(name) for name in wanted}
            except BaseException:
                self._let_go()
                raise

    def leave(self) -> bool:
        """Stop the servers if nobody else is using them; return whether nobody was."""
        with self._gate():
            return self._let_go()

    def stop(self) -> list[str]:
        """Stop the servers, whoever is using them; return the names of those that were up."""
        with self._gate():
            return [server.name for server in self._servers if server.stop()]

    @property
    def _servers(self) -> tuple[Server, ...]:
        return self.postgres, self.valkey

    @property
    def _users(self) -> Path:
        return self.run / "users.lock"

    def _up(self, name: str) -> str:
        server: Server = self.postgres if name == "DATABASE_URL" else self.valkey
        port = server.running_port() or server.start(self.ports[server.name])
        if server is self.postgres:
            self.postgres.ensure_database(port)
        return server.url(port)

    def _let_go(self) -> bool:
        if self.hold is not None:
            os.close(self.hold)
            self.hold = None
        with locked(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            for server in self._servers if alone else ():
                server.stop()
            return alone

    @contextlib.contextmanager
    def _gate(self) -> Iterator[None]:
        with locked(self.run / "gate.lock", fcntl.LOCK_EX):
            yield


@contextlib.contextmanager
def locked(path: Path, kind: int) -> Iterator[bool]:
    """Hold a lock on this file; yields False if it was not to be had at once, as `kind` asked."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(file)


def run(command: Sequence[str], *, migrate: bool) -> int:
    """Run a command with both URLs set, and be its terminal's stand-in; return its exit code."""
    wanted = [name for name in URLS if not os.environ.get(name)]
    services = Services(ROOT / "var")
    urls = services.enter(wanted)
    try:
        environment = {**os.environ, **urls}
        if migrate:
            with locked(services.run / "migrate.lock", fcntl.LOCK_EX):
                bring_up_to_date(environment)
        with recorded(services.run) as record:
            return attend(command, environment, keep_open=services.hold, started=record)
    finally:
        services.leave()


def bring_up_to_date(environment: dict[str, str]) -> None:
    """Apply the migrations that are missing; says nothing unless it fails."""
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--no-input", "--verbosity", "0"]
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise Trouble(
            f"The database could not be brought up to date.\n{reason}\n"
            "`./dev manage migrate` tells more."
        )


def stop() -> int:
    services = Services(ROOT / "var")
    ended = end_recorded(services.run, belongs_to=str(ROOT))
    stopped = services.stop()
    if ended:
        say(f"Ended {ended} process{'es' * (ended > 1)}.")
    say(f"Stopped {' and '.join(stopped)}." if stopped else "No server was running.")
    return 0


def reset(*, sure: bool) -> int:
    services = Services(ROOT / "var")
    data = services.postgres.data
    if not sure and not confirmed(services.folder, data):
        say("Nothing was removed.")
        return 1
    stop()
    doomed = {path for path in services.folder.iterdir() if path != services.run} | {data}
    for path in doomed:
        is_folder = path.is_dir() and not path.is_symlink()
        shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True)
    say("Removed.")
    return 0


def confirmed(folder: Path, data: Path) -> bool:
    where = f"{folder}" if data.is_relative_to(folder) else f"{folder} and {data}"
    sys.stderr.write(f"This removes the database and everything else in {where}. Type yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() == "yes"


def act(words: Sequence[str]) -> int:
    """Verb and options, then what follows the first `--`, untouched."""
    own = list(words[: words.index("--")] if "--" in words else words)
    command = words[len(own) + 1 :]
    match own:
        case ["run", *options] if command and options in ([], ["--migrate"]):
            return run(command, migrate=bool(options))
        case ["stop"] if not command:
            return stop()
        case ["reset", *options] if not command and options in ([], ["--yes"]):
            return reset(sure=bool(options))
    usage = "usage: ./dev stop, ./dev reset [--yes], ./dev manage COMMAND"
    say(f"That is not understood: {' '.join(words)}\n{usage}")
    return 2


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def main() -> int:
    signal.signal(signal.SIGTERM, end_at_once)
    try:
        return act(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        say(f"{error.filename} belongs to another account, or may not be written: run as that one.")
    except Trouble as trouble:
        say(str(trouble))
    return 1


if __name__ == "__main__":
    sys.exit(main())
