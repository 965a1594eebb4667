"""Replies with the label that each must get, and ways to put many to a test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance.keywords import Label

HELD = {Label.STOP, Label.REVIEW}
OPEN = {Label.NONE, Label.HELP, Label.JOIN, Label.MORE_JOBS}


def labelled() -> list[tuple[Label, str]]:
    lines = (Path(__file__).parent / "replies.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(maxsplit=1) for line in lines]
    return [(Label(label), json.loads(reply)) for label, reply in rows]


ROWS = labelled()
OF_THE_REFERENCE = 181  # the rows that come first; ours follow


def rows(*labels: Label) -> pytest.MarkDecorator:
    chosen = [row for row in ROWS if row[0] in labels]
    ids = [f"{label}-{reply}" for label, reply in chosen]
    return pytest.mark.parametrize("reply", [reply for _, reply in chosen], ids=ids)


def replies(*texts: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("reply", texts, ids=[ascii(text)[:60] for text in texts])
