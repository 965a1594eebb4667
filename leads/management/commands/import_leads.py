"""Take in a CSV file of leads: `manage.py import_leads FILE --brand SLUG --list NAME`."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, IntegrityError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from brands.models import Brand
from leads import imports
from leads.csvfile import BadFile, Rows, check_encoding
from leads.imports import Stopped, Summary
from leads.intake import GaveUp
from leads.models import LeadList

EVERY = 5.0  # seconds between two lines of progress
LARGEST_BATCH = 20_000  # a longer transaction would keep an opt-out waiting
BUFFER = 1 << 20


class Command(BaseCommand):
    help = "Take in leads from a CSV file (UTF-8, with a header); - reads standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the CSV file, or - for standard input")
        parser.add_argument("--brand", required=True, metavar="SLUG", help="whose leads they are")
        parser.add_argument("--list", required=True, metavar="NAME", help="made if it is not there")
        parser.add_argument("--source", default="", help="where a row names no source of its own")
        parser.add_argument("--batch", type=batch_size, default=imports.CHUNK, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._import(options)
        except (BadFile, GaveUp) as error:
            raise CommandError(str(error)) from error
        except Stopped as error:
            raise CommandError(f"{error} Importing the file again goes on safely.") from error
        except KeyboardInterrupt as error:
            raise CommandError("Stopped at once.") from error
        except DatabaseError as error:
            first = str(error).partition("\n")[0]
            raise CommandError(f"The database refused or went away: {first}") from error

    def _import(self, options: dict[str, Any]) -> None:
        brand = find_brand(options["brand"])
        with opened(options["file"]) as file:
            size = check_encoding(file) if file.seekable() else None
            rows = Rows(file)
            lead_list = find_list(brand, options["list"])
            began = time.monotonic()
            with progress(size) as report, stop_on_signals() as is_stopped:
                summary = imports.import_file(
                    rows,
                    lead_list,
                    source=options["source"],
                    file_name=name_of(options["file"]),
                    bytes_total=size or 0,
                    chunk=options["batch"],
                    report=report,
                    is_stopped=is_stopped,
                )
        self.stdout.write(closing_words(summary, lead_list, time.monotonic() - began))


def batch_size(text: str) -> int:
    try:
        size = int(text)
    except ValueError:
        size = 0
    if not 1 <= size <= LARGEST_BATCH:
        raise ArgumentTypeError(f"a batch has 1 to {LARGEST_BATCH:,} rows, not {text}")
    return size


def find_brand(slug: str) -> Brand:
    brand = Brand.objects.filter(slug=slug, retired_at__isnull=True).first()
    if brand is None:
        slugs = Brand.objects.filter(retired_at__isnull=True).order_by("slug")
        known = ", ".join(slugs.values_list("slug", flat=True)[:20])
        raise CommandError(f"There is no brand {slug}. There is: {known or 'none yet'}.")
    return brand


def find_list(brand: Brand, name: str) -> LeadList:
    name = " ".join(name.split())
    longest = LeadList._meta.get_field("name").max_length or 0
    if not 0 < len(name) <= longest or not name.isprintable():
        raise CommandError(f"--list wants a name of 1 to {longest} characters.")
    lists = LeadList.objects.filter(brand=brand, name__iexact=name)
    with contextlib.suppress(IntegrityError):  # made by somebody else at this moment
        found = lists.first() or LeadList.objects.create(brand=brand, name=name)
        if found.retired_at:
            raise CommandError(f"The list {found.name} is retired.")
        return found
    return lists.get()


def name_of(file: str) -> str:
    return "standard input" if file == "-" else Path(file).name


@contextlib.contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":  # a reader of our own: Python cannot end while a thread waits in its own one
        yield open(sys.stdin.fileno(), "rb", buffering=BUFFER, closefd=False)  # noqa: SIM115
        return
    try:
        file = Path(name).open("rb", buffering=BUFFER)  # noqa: SIM115 - closed below
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from error
    with file:
        yield file


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM ends the import after the chunk in hand, the second at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def progress(size: int | None) -> Iterator[Callable[[Summary], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines_of_progress(size)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("reading", total=size)
        yield lambda summary: bars.update(
            task, completed=summary.bytes_read, description=words(summary)
        )


def lines_of_progress(size: int | None) -> Callable[[Summary], None]:
    last = time.monotonic()

    def report(summary: Summary) -> None:
        nonlocal last
        if time.monotonic() - last < EVERY:
            return
        last = time.monotonic()
        share = f" ({100 * summary.bytes_read // size} %)" if size else ""
        sys.stderr.write(f"{words(summary)}{share}\n")
        sys.stderr.flush()

    return report


def words(summary: Summary) -> str:
    return f"{summary.taken_in.rows_read:,} rows read, {summary.taken_in.rows_refused:,} refused"


def closing_words(summary: Summary, lead_list: LeadList, seconds: float) -> str:
    done = summary.taken_in
    rate = done.rows_read / max(seconds, 0.001)
    lines = [
        f"{done.file_name}, list {lead_list.name}: import {done.pk}",
        f"  read     {done.rows_read:>11,}   in {seconds:.1f} s, {rate:,.0f} a second",
        f"  created  {done.leads_created:>11,}",
        f"  updated  {done.leads_updated:>11,}   (changed or not)",
        f"  refused  {done.rows_refused:>11,}",
        *lines_by_code(summary.refused),
    ]
    if summary.notices:
        lines += ["  taken with a notice:", *lines_by_code(summary.notices)]
    return "\n".join(lines)


def lines_by_code(counts: Counter[str]) -> list[str]:
    return [f"    {code:<22} {count:>11,}" for code, count in counts.most_common()]
