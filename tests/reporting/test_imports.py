"""The oracle imports nothing of what it judges."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JUDGED = {"brands", "campaigns", "compliance", "config", "delivery", "leads", "links", "providers"}
BY_TEXT = {"__import__", "import_module", "get_model"}
COMMANDS = ROOT / "reporting" / "management" / "commands"
FILES = [
    *sorted((ROOT / "reporting" / "oracle").glob("*.py")),
    COMMANDS / "check_ledger.py",
    COMMANDS / "verify.py",
]


def imported(source: str) -> set[str]:
    """The packages that a source imports; all of ours where it imports by a text."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        elif BY_TEXT & {getattr(node, "id", ""), getattr(node, "attr", "")}:
            found |= JUDGED
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_oracle_stands_on_its_own(path):
    assert imported(path.read_text()) & JUDGED == set()


@pytest.mark.parametrize(
    "source",
    [
        "from delivery.states import MOVES",
        "import compliance.hours",
        "def f():\n    from campaigns import models",
        "apps.get_model('delivery', 'Message')",
        "importlib.import_module('delivery')",
    ],
)
def test_what_it_may_not_import_is_seen(source):
    assert imported(source) & JUDGED
