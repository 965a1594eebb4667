"""Run the simulated providers in the foreground, until Ctrl-C."""

from __future__ import annotations

import errno
import resource
from pathlib import Path
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from providers import simulator
from providers.simulator_ledger import LedgerBroken

MAX_LATENCY_MS = 600_000
MAX_FILES = 65_536


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []  # it needs neither database nor Redis

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8200, help="0 takes any that is free.")
        parser.add_argument(
            "--mail-port", type=int, help="Speak SMTP, too; 0 takes any port that is free."
        )
        parser.add_argument(
            "--ledger",
            type=Path,
            default=Path(settings.VAR_DIR) / "ledger.jsonl",
            help="The file it appends to; default %(default)s.",
        )
        parser.add_argument("--latency-ms", type=float, default=0.0)
        parser.add_argument(
            "--with-parent", action="store_true", help="End when the process that started it ends."
        )

    def handle(self, *_: Any, **options: Any) -> None:
        for name in ("port", "mail_port"):
            if not 0 <= (options[name] or 0) <= 65_535:
                option = name.replace("_", "-")
                raise CommandError(f"--{option} must be a number from 0 to 65535")
        if not 0 <= options["latency_ms"] <= MAX_LATENCY_MS:
            raise CommandError(f"--latency-ms must be a number from 0 to {MAX_LATENCY_MS}")
        _allow_many_connections()
        try:
            uvloop.run(
                simulator.serve(
                    port=options["port"],
                    mail_port=options["mail_port"],
                    ledger_path=options["ledger"],
                    latency=options["latency_ms"] / 1000,
                    ends_with_parent=options["with_parent"],
                    ready=lambda port, mail_port: self._ready(port, mail_port, options["ledger"]),
                )
            )
        except OSError as error:
            raise CommandError(_explained(error, options)) from error
        except LedgerBroken as error:
            raise CommandError(str(error)) from error

    def _ready(self, port: int, mail_port: int | None, ledger: Path) -> None:
        self.stdout.write(f"Simulator on http://{simulator.HOST}:{port}, ledger {ledger}")
        if mail_port is not None:
            self.stdout.write(f"Its mail server is smtp://{simulator.HOST}:{mail_port}")
        self.stdout.flush()


def _allow_many_connections() -> None:
    """Each request in flight has a connection; the usual soft limit is 1,024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _explained(error: OSError, options: dict[str, Any]) -> str:
    """Which of the two ports it was, the error of the loop tells only in words."""
    mail_port = options["mail_port"]
    is_mail = bool(mail_port) and f"{mail_port})" in str(error)
    port, option = (mail_port, "--mail-port") if is_mail else (options["port"], "--port")
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: choose another with {option}, or {option} 0 for any"
    return f"port {port} cannot be used: {error.strerror}"
