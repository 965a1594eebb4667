"""The oracle: the simulator's ledger against the database. Ends with 1 when anything is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from reporting.oracle import answers, checks, ledger
from reporting.oracle.checks import Result, Scope
from reporting.oracle.command import OracleCommand

STATEMENT_SECONDS = 300


class Command(OracleCommand):
    help = "Compare the simulator's ledger with the database; exit 1 on any problem."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--ledger", required=True, type=Path, help="the simulator's file")
        super().add_arguments(parser)

    def results(self, options: Mapping[str, Any]) -> Iterator[Result]:
        scope = Scope(now=checks.installation_now(), examples=options["limit_examples"])
        with ledger.laid_open(options["ledger"]) as self.tally:
            self.stdout.write(_told(self.tally))
            with transaction.atomic():
                checks.begin_read_only(STATEMENT_SECONDS)
                yield from checks.run(answers.WITH_LEDGER, scope)

    def more(self) -> dict[str, object]:
        return {"ledger": asdict(self.tally)}


def _told(tally: ledger.Tally) -> str:
    posts = f", {tally.callbacks} callbacks" if tally.callbacks else ""
    torn = f", {tally.torn} cut off" if tally.torn else ""
    return f"ledger: {tally.requests} requests, {tally.taken} taken by providers{posts}{torn}"
