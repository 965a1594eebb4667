"""What a row of faults is, what a trial of it tells, and what a chunk of trials came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.harness.arena import Arena

MUST_HIT = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`hit`: the fault met what it was meant for, such as a request in flight at a kill.

    `kind`: of the faults of its row, where there are several; each must have hit at least once.
    `ended_at` is the end of the fault by the installation's clock; from there the recovery counts.
    """

    hit: bool
    what: str = ""
    kind: str = ""
    ended_at: datetime | None = None
    recovery: float | None = None  # seconds until outcomes are stored again


Run = Callable[["Arena", int, Random], list[Trial]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`short` and `release`: how many trials. They are made in chunks, each on fresh ground.

    `why_not`: says why it cannot be run on this machine, or nothing.
    """

    name: str
    says: str
    short: int
    release: int
    run: Run
    chunk: int = 0
    seconds: float = 300.0  # a chunk that takes longer is broken off and fails
    why_not: Callable[[], str] = lambda: ""

    def chunks(self, trials: int) -> list[int]:
        """How many trials each chunk has."""
        size = self.chunk or self.short
        return [min(size, trials - start) for start in range(0, trials, size)]


@dataclass(slots=True, kw_only=True)
class Chunk:
    """What a chunk came to. `problems` are counted by check; `words` tell them."""

    seed: str
    trials: list[Trial] = field(default_factory=list)
    problems: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    unknown: int = 0
    bound: int = 0
    deaths: int = 0
    seconds: float = 0.0
    logs: str = ""
    skipped: str = ""

    @property
    def hits(self) -> int:
        return sum(trial.hit for trial in self.trials)

    @property
    def is_well(self) -> bool:
        return not any(self.problems.values())

    @property
    def recovery(self) -> float | None:
        return max((t.recovery for t in self.trials if t.recovery is not None), default=None)

    def complain(self, check: str, words: str, many: int = 1) -> None:
        self.problems[check] = self.problems.get(check, 0) + many
        self.words.append(f"{check}: {words}")


@dataclass(slots=True)
class Result:
    """A row and all its chunks so far."""

    name: str
    says: str
    wanted: int
    planned: int  # chunks
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def trials(self) -> int:
        return sum(len(chunk.trials) for chunk in self.chunks)

    @property
    def hits(self) -> int:
        return sum(chunk.hits for chunk in self.chunks)

    @property
    def skipped(self) -> str:
        return next((chunk.skipped for chunk in self.chunks if chunk.skipped), "")

    @property
    def missed(self) -> bool:
        """Too few of the faults were really hit for the row to show anything."""
        few = self.hits < MUST_HIT * max(self.trials, 1)
        return not self.skipped and bool(few or self.never_hit)

    @property
    def never_hit(self) -> list[str]:
        """Kinds of faults."""
        trials = [trial for chunk in self.chunks for trial in chunk.trials]
        return sorted({t.kind for t in trials} - {t.kind for t in trials if t.hit})

    @property
    def is_whole(self) -> bool:
        return len(self.chunks) >= self.planned

    @property
    def is_well(self) -> bool:
        return self.is_whole and not self.missed and all(chunk.is_well for chunk in self.chunks)

    def problems(self, check: str) -> int:
        return sum(chunk.problems.get(check, 0) for chunk in self.chunks)

    def worst(self, of: Callable[[Chunk], float | None]) -> float | None:
        return max(_known(map(of, self.chunks)), default=None)

    def total(self, of: Callable[[Chunk], float]) -> float:
        return sum(map(of, self.chunks))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
