"""What the oracle's commands share: their options, lines, exit code and bad input."""

from __future__ import annotations

import argparse
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError

from reporting.oracle import answers
from reporting.oracle.checks import Result
from reporting.oracle.lines import BadLedger


def at_least(least: int) -> Any:
    """A whole number from `least` on, for argparse."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return value

    return number


class OracleCommand(BaseCommand, ABC):
    """Tells each result as it comes; ends with 1 when there is any problem."""

    requires_system_checks = ()  # it judges the rows, not the settings

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
        parser.add_argument(
            "--limit-examples",
            type=at_least(0),
            default=5,
            metavar="N",
            help="how many problems of a kind are shown by their ids (5)",
        )

    @abstractmethod
    def results(self, options: Mapping[str, Any]) -> Iterator[Result]:
        """Carry the checks out; each result comes as soon as it is there. Raises BadLedger."""

    def more(self) -> dict[str, object]:
        """What else belongs into the JSON file, once all results are there."""
        return {}

    def handle(self, **options: Any) -> None:
        try:
            results = self._told(self.results(options))
        except BadLedger as error:
            raise CommandError(f"The ledger cannot be used: {error}.") from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                "The database cannot be reached, or ended the connection."
            ) from error
        except ProgrammingError as error:
            raise CommandError("The database is not set up; run the migrations first.") from error
        if options["json"]:
            self._write(options["json"], results)
        if any(result.problems for result in results):
            sys.exit(1)

    def _told(self, results: Iterable[Result]) -> list[Result]:
        told = []
        for result in results:
            self.stdout.write("\n".join(answers.lines(result)))
            self.stdout.flush()
            told.append(result)
        return told

    def _write(self, path: Path, results: Sequence[Result]) -> None:
        try:
            path.write_text(answers.as_json(results, **self.more()) + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
