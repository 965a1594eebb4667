"""The table at the end, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.faults.harness.trials import Chunk, Result, Trial

ORACLE = tuple(f"O{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
OWN = {
    "rows": "rows",
    "ledger": "ledg",
    "left": "left",
    "workers": "work",
    "connections": "conn",
    "journals": "jrnl",
    "recovery": "reco",
    "drain": "drai",
    "row": "row",
    "harness": "harn",
}
FORM = 2


def lines(results: Sequence[Result]) -> list[str]:
    """One line a row; under it what was wrong, with the seed that brings it back."""
    cells = [_heads(), *(_cells(result) for result in results)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    told = []
    for row, result in zip(cells, [None, *results], strict=True):
        told.append(
            "  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True))
        )
        told += [] if result is None else [f"    {line}" for line in troubles(result)]
    return [line.rstrip() for line in told]


def _padded(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() or cell in ("-", ".") else cell.ljust(width)


def _heads() -> list[str]:
    more = ["unknown", "deaths", "recovery", "seconds", "verdict"]
    return ["fault", "trials", "hits", *ORACLE, *OWN.values(), *more]


def _cells(result: Result) -> list[str]:
    recovery = result.worst(lambda chunk: chunk.recovery)
    return [
        result.name,
        str(result.trials),
        str(result.hits),
        *(_problems(result, check) for check in (*ORACLE, *OWN)),
        f"{result.total(lambda c: c.unknown):.0f}/{result.total(lambda c: c.bound):.0f}",
        f"{result.total(lambda c: c.deaths):.0f}",
        "-" if recovery is None else f"{recovery:.1f} s",
        f"{result.total(lambda c: c.seconds):.0f}",
        verdict(result),
    ]


def _problems(result: Result, check: str) -> str:
    """How many; a dot for none, a dash where nobody looked."""
    looked = check in OWN or any(check in chunk.problems for chunk in result.chunks)
    many = result.problems(check)
    return str(many) if many else "." if looked and not result.skipped else "-"


def verdict(result: Result) -> str:
    if result.skipped:
        return f"skipped: {result.skipped}"
    if not result.is_whole:
        return "UNFINISHED"
    if result.missed:
        return "MISSED"
    return "ok" if result.is_well else "FAILED"


def troubles(result: Result) -> Iterable[str]:
    if result.missed:
        yield f"only {result.hits} of {result.trials} trials were hits"
        yield from (f"never hit: {kind}" for kind in result.never_hit)
    for chunk in result.chunks:
        if chunk.is_well:
            continue
        yield f"seed {chunk.seed}; logs in {chunk.logs}"
        yield from chunk.words


def write(path: Path, results: Iterable[Result], settings: Mapping[str, object]) -> None:
    """Written anew after each row, beside its place first, so that it is whole at any time."""
    told = {"form": FORM, "settings": settings, "rows": [_plain(result) for result in results]}
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(told, indent=1, default=_text) + "\n")
    beside.rename(path)


def _plain(result: Result) -> dict[str, Any]:
    return {**asdict(result), "verdict": verdict(result)}


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Result]]:
    """The settings and the results of a run that is gone on with. Raises ValueError."""
    told = json.loads(path.read_text())
    if not isinstance(told, dict) or told.get("form") != FORM:
        raise ValueError(f"{path} is not a run of faults")
    results = [_result(row) for row in told["rows"]]
    return told["settings"], {result.name: result for result in results}


def _result(plain: dict[str, Any]) -> Result:
    chunks = [_chunk(dict(chunk)) for chunk in plain["chunks"]]
    return Result(plain["name"], plain["says"], plain["wanted"], plain["planned"], chunks)


def _chunk(plain: dict[str, Any]) -> Chunk:
    trials = [_trial(dict(trial)) for trial in plain.pop("trials")]
    return Chunk(trials=trials, **plain)


def _trial(plain: dict[str, Any]) -> Trial:
    at = plain.pop("ended_at")
    return Trial(ended_at=at and datetime.fromisoformat(at), **plain)
