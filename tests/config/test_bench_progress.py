from __future__ import annotations

import itertools

import pytest

from config import bench_progress
from config.bench_progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by two seconds whenever it is looked at."""
    seconds = itertools.count(step=2)
    monkeypatch.setattr(bench_progress.time, "monotonic", lambda: float(next(seconds)))


def test_elsewhere_than_on_a_terminal_it_is_a_line_every_few_seconds(clock, capsys):
    with progress("Sending", 1_000) as report:
        for done in (100, 200, 300, 2_000, 2_000, 2_000):
            report(done)
    told = capsys.readouterr().err.splitlines()
    assert told == ["Sending: 300 of 1,000, 50 a second", "Sending: 1,000 of 1,000, 167 a second"]


def test_on_a_terminal_it_is_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("Sending", 1_000) as report:
        report(400)
    told = capsys.readouterr().err
    assert "Sending" in told
    assert "400/1000" in told
