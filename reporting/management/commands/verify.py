"""The oracle's half that needs no ledger, for production: it only reads, and never for long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from reporting.oracle import answers, checks
from reporting.oracle.checks import Result, Scope
from reporting.oracle.command import OracleCommand, at_least


class Command(OracleCommand):
    help = "Check the database against itself, read-only; exit 1 on any problem."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=at_least(1),
            default=2,
            metavar="N",
            help="hold the sends of the last N days against the limits of now (2)",
        )
        parser.add_argument(
            "--statement-seconds",
            type=at_least(1),
            default=30,
            metavar="N",
            help="give up a statement after so long, which counts as a problem (30)",
        )
        super().add_arguments(parser)

    def results(self, options: Mapping[str, Any]) -> Iterator[Result]:
        with transaction.atomic():  # read committed: no statement's snapshot outlives it
            checks.begin_read_only(options["statement_seconds"])
            now = checks.installation_now()
            since = now - timedelta(days=options["days"])
            scope = Scope(now=now, since=since, examples=options["limit_examples"])
            yield from checks.run(answers.WITHOUT_LEDGER, scope)
