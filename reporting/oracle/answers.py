"""What the oracle says: which checks there are, and the lines that tell their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from reporting.oracle.audience import O4
from reporting.oracle.checks import Check, Found, Ids, Result
from reporting.oracle.limits import O7
from reporting.oracle.quiet import O6
from reporting.oracle.rates import O8
from reporting.oracle.reports import O11, O11_OWN
from reporting.oracle.rows import O9, O12
from reporting.oracle.stops import O5, O5_OWN
from reporting.oracle.wire import O1, O1_OWN, O2, O3

WITH_LEDGER = (O1, O2, O3, O4, O5, O6, O7, O8, O9, O11, O12)
WITHOUT_LEDGER = (
    Check("O1", O1.name, (O1_OWN,)),
    O4,
    Check("O5", O5.name, (O5_OWN,)),
    O7,
    O9,
    O11_OWN,
    O12,
)


def lines(result: Result) -> Iterator[str]:
    """A line for the check, and below it one for each kind of problem."""
    verdict = "ok" if not result.problems else _problems(result.problems)
    yield f"{result.check.id:<4} {result.check.name:<62} {verdict}"
    for found in result.found:
        if found.total:
            yield f"     - {found.says}: {found.total}{_such_as(found.examples)}"


def as_json(results: Sequence[Result], **more: object) -> str:
    return json.dumps(
        {
            "ok": not any(result.problems for result in results),
            "checks": [
                {
                    "id": result.check.id,
                    "name": result.check.name,
                    "problems": result.problems,
                    "found": [_plain(found) for found in result.found if found.total],
                }
                for result in results
            ],
            **more,
        },
        indent=2,
    )


def _problems(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"


def _such_as(examples: Sequence[Ids]) -> str:
    if not examples:
        return ""
    told = "; ".join(
        ", ".join(f"{name} {value}" for name, value in ids.items()) for ids in examples
    )
    return f" ({told})"


def _plain(found: Found) -> dict[str, object]:
    return {"says": found.says, "total": found.total, "examples": list(found.examples)}
