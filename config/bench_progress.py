"""How far a benchmark is: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

EVERY = 5.0  # seconds between two lines
A_SECOND = 2  # how often the bar is drawn: what is measured wants the processors for itself

Report = Callable[[int], None]


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Report]:
    """Call what it yields with how many are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield in_lines(what, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bars = Progress(
        *(*columns, TimeElapsedColumn()),
        console=console,
        transient=True,
        refresh_per_second=A_SECOND,
    )
    with bars:
        task = bars.add_task(what, total=total)
        yield lambda done: bars.update(task, completed=min(done, total))


def in_lines(what: str, total: int) -> Report:
    began = last = time.monotonic()

    def report(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY:
            return
        last = now
        rate = done / (now - began)
        sys.stderr.write(f"{what}: {min(done, total):,} of {total:,}, {rate:,.0f} a second\n")
        sys.stderr.flush()

    return report
