"""The oracle: the simulator's ledger against the database. Ends with 1 when anything is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, transaction

from reporting.oracle import answers, checks, ledger
from reporting.oracle.checks import Result, Scope

STATEMENT_SECONDS = 300


class Command(BaseCommand):
    help = (
        "Compare the simulator's ledger with the database: one line a check, exit 1 on any problem."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--ledger", required=True, type=Path, help="the simulator's ledger file"
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
        parser.add_argument(
            "--limit-examples",
            type=int,
            default=5,
            metavar="N",
            help="how many problems of a kind are shown by their ids (5)",
        )

    def handle(self, **options: Any) -> None:
        if options["limit_examples"] < 0:
            raise CommandError("--limit-examples must not be negative.")
        try:
            tally, results = self._check(options["ledger"], options["limit_examples"])
            if options["json"]:
                counts = {"requests": tally.requests, "taken": tally.taken, "torn": tally.torn}
                answers.write_json(options["json"], results, ledger=counts)
        except ledger.BadLedger as error:
            raise CommandError(f"The ledger cannot be used: {error}.") from error
        except OperationalError as error:
            raise CommandError(
                f"The database cannot be reached ({type(error).__name__})."
            ) from error
        except OSError as error:
            raise CommandError(f"{options['json']} cannot be written: {error.strerror}.") from error
        if any(result.problems for result in results):
            sys.exit(1)

    def _check(self, path: Path, examples: int) -> tuple[ledger.Tally, list[Result]]:
        scope = Scope(now=checks.installation_now(), examples=examples)
        results = []
        with ledger.laid_open(path) as tally:
            self.stdout.write(_told(tally))
            with transaction.atomic():
                checks.begin_read_only(STATEMENT_SECONDS)
                for result in checks.run(answers.WITH_LEDGER, scope):
                    results.append(result)
                    self.stdout.write("\n".join(answers.lines(result)))
        return tally, results


def _told(tally: ledger.Tally) -> str:
    torn = f", {tally.torn} lines cut off" if tally.torn else ""
    return f"ledger: {tally.requests} requests, {tally.taken} taken by providers{torn}"
