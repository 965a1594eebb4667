"""How often the steps said no or "not now": summed up from what the workers logged of each batch.

The rows cannot tell: a message that was held and then sent shows nothing of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVENT = "batch decided"


@dataclass(slots=True)
class Said:
    """`reasons` counts holds and refusals; what is claimed again after a hold counts again."""

    batches: int = 0
    claimed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def said_in(logs: Path) -> Said:
    """Of all batches in the log files of a folder."""
    said = Said()
    for entry in decided(logs):
        said.batches += 1
        said.claimed += entry["claimed"]
        said.reasons.update(entry["said"])
    return said


def decided(logs: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(logs.glob("*.log")):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if EVENT in line and (entry := _read(line)).get("event") == EVENT:
                    yield entry


def _read(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:  # a line that a dying process did not finish
        return {}
    return entry if isinstance(entry, dict) else {}
