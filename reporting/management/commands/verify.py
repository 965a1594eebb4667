"""The oracle's half that needs no ledger, for production: it reads only, and never for long."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, transaction

from reporting.oracle import answers, checks
from reporting.oracle.checks import Scope


class Command(BaseCommand):
    help = "Check the database against itself, read-only: one line a check, exit 1 on any problem."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=int,
            default=2,
            metavar="N",
            help="judge sends of the last N days by the limits and hours of now (2)",
        )
        parser.add_argument(
            "--statement-seconds",
            type=int,
            default=30,
            metavar="N",
            help="give a check up after so long, which counts as a problem (30)",
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
        parser.add_argument("--limit-examples", type=int, default=5, metavar="N")

    def handle(self, **options: Any) -> None:
        if options["days"] < 1 or options["statement_seconds"] < 1:
            raise CommandError("--days and --statement-seconds must be at least 1.")
        if options["limit_examples"] < 0:
            raise CommandError("--limit-examples must not be negative.")
        try:
            results = self._verify(options)
            if options["json"]:
                answers.write_json(options["json"], results)
        except OperationalError as error:
            raise CommandError(
                f"The database cannot be reached ({type(error).__name__})."
            ) from error
        except OSError as error:
            raise CommandError(f"{options['json']} cannot be written: {error.strerror}.") from error
        if any(result.problems for result in results):
            sys.exit(1)

    def _verify(self, options: dict[str, Any]) -> list[checks.Result]:
        results = []
        with transaction.atomic():  # each statement sees its own moment, so vacuum is not held up
            checks.begin_read_only(options["statement_seconds"])
            now = checks.installation_now()
            since = now - timedelta(days=options["days"])
            scope = Scope(now=now, since=since, examples=options["limit_examples"])
            for result in checks.run(answers.WITHOUT_LEDGER, scope):
                results.append(result)
                self.stdout.write("\n".join(answers.lines(result)))
        return results
