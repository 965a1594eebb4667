"""Running rows: chunk by chunk on fresh ground, told as they come, kept in a file as they end."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from tests.faults.harness import table
from tests.faults.harness.arena import opened
from tests.faults.harness.ground import Ground
from tests.faults.harness.judge import judge
from tests.faults.harness.trials import Chunk, Result, Row


class TookTooLong(Exception):
    """A chunk did not come to its end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`trials`: instead of what each row says; `times`: as many times that.

    `done`: results of a run that is gone on with.
    """

    rows: Sequence[Row]
    seed: int
    is_release: bool = False
    trials: int | None = None
    times: int = 1
    json: Path | None = None
    done: dict[str, Result] = field(default_factory=dict)

    def wanted(self, row: Row) -> int:
        return self.times * (self.trials or (row.release if self.is_release else row.short))

    def settings(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "release": self.is_release,
            "trials": self.trials,
            "times": self.times,
        }


def run(plan: Plan, run_chunk: Callable[[Row, int, str], Chunk]) -> list[Result]:
    """All rows, one after the other; chunks that are done already are not run again."""
    results = [plan.done.get(row.name) or begun(plan, row) for row in plan.rows]
    for row, result in zip(plan.rows, results, strict=True):
        for number, trials in enumerate(row.chunks(plan.wanted(row))):
            if number < len(result.chunks):
                continue
            chunk = run_chunk(row, trials, f"{plan.seed}:{row.name}:{number}")
            result.chunks.append(chunk)
            tell(row, chunk, number)
            if plan.json:
                table.write(plan.json, with_chunks(plan, results), plan.settings())
    return results


def begun(plan: Plan, row: Row) -> Result:
    wanted = plan.wanted(row)
    return Result(row.name, row.says, wanted, len(row.chunks(wanted)))


def with_chunks(plan: Plan, results: Iterable[Result]) -> list[Result]:
    """Also those of rows that are not run this time."""
    known = {**plan.done, **{result.name: result for result in results}}
    return [result for result in known.values() if result.chunks]


def on(ground: Ground, row: Row, trials: int, seed: str) -> Chunk:
    """So many trials on fresh ground, and the judgement. Whatever is raised makes it fail."""
    chunk, began = Chunk(seed=seed), time.monotonic()
    chunk.skipped = row.why_not()
    if not chunk.skipped:
        folder = ground.folder / "rows" / seed.replace(":", "-")
        try:
            with at_most(row.seconds), opened(ground, folder) as arena:
                chunk.trials = row.run(arena, trials, random.Random(seed))
                judge(arena, chunk)
        except Exception as error:
            chunk.complain("harness", f"{type(error).__name__}: {error}"[:500])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "harness.log").write_text(traceback.format_exc())
        if not chunk.is_well:
            chunk.logs = str(keep(folder))
        shutil.rmtree(folder, ignore_errors=True)
    chunk.seconds = time.monotonic() - began
    return chunk


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def end(number: int, frame: object) -> None:
        raise TookTooLong(f"not at its end after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def keep(folder: Path) -> Path:
    """What a chunk that failed left in its folder, where it outlives the harness."""
    kept = Path(settings.VAR_DIR) / "faults" / folder.name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, ignore_dangling_symlinks=True)
    return kept


def tell(row: Row, chunk: Chunk, number: int) -> None:
    """A line to whoever waits."""
    verdict = "skipped" if chunk.skipped else "ok" if chunk.is_well else "FAILED"
    say(
        f"{row.name} {number + 1}: {chunk.hits} of {len(chunk.trials)} hit, "
        f"{verdict}, {chunk.seconds:.1f} s, seed {chunk.seed}"
    )
    for words in chunk.words:
        say(f"    {words}")


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
