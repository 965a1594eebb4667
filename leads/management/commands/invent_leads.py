"""Invent leads as a CSV file: `manage.py invent_leads --count 50000 --out leads.csv`."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leads.invention import CannotInvent, Inventor

WRITTEN_AT_ONCE = 2_000  # lines


class Command(BaseCommand):
    help = "Write invented leads as CSV. The same arguments write the same file."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--count", type=whole, required=True, metavar="N")
        parser.add_argument("--seed", type=whole, default=1, metavar="S")
        parser.add_argument(
            "--first",
            type=whole,
            default=0,
            metavar="I",
            help="begin with the lead of this index, to cut a seed's leads into several files",
        )
        parser.add_argument("--out", default="-", metavar="FILE", help="standard output if absent")
        parser.add_argument(
            "--magic", type=share, default=0.0, help="share of numbers ending in 0001 to 0015"
        )
        parser.add_argument(
            "--bad", type=share, default=0.0, help="share of rows that cannot be taken in"
        )
        parser.add_argument(
            "--as-of",
            type=moment,
            help="consents lie in the 60 days before this time; today at 00:00 UTC if absent",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        as_of = options["as_of"] or today()
        inventor = Inventor(
            options["seed"], as_of=as_of, magic=options["magic"], bad=options["bad"]
        )
        try:
            lines = inventor.lines(options["count"], first=options["first"])
            write(lines, options["out"])
        except CannotInvent as error:
            raise CommandError(str(error)) from error
        except BrokenPipeError:  # the reader has seen enough; nothing is left to be flushed
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            name = options["out"]
            raise CommandError(f"{name} cannot be written: {error.strerror}.") from error


def write(lines: Iterable[str], name: str) -> None:
    if name == "-":
        return write_to(sys.stdout, lines)
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        return write_to(file, lines)


def write_to(file: TextIO, lines: Iterable[str]) -> None:
    each = iter(lines)
    while part := list(islice(each, WRITTEN_AT_ONCE)):
        file.write("".join(part))
    file.flush()


def whole(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text} is not a whole number")
    return int(text)


def share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return number


def moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is not a date or time such as 2026-03-01") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def today() -> datetime:
    """The real day: these are rows for a file, and a sandbox's clock is never behind it."""
    seconds = time.time()
    return datetime.fromtimestamp(seconds - seconds % 86_400, UTC)
