"""The harness itself: what makes a row fail, what it writes down, and how it goes on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.faults.__main__ import parser
from tests.faults.harness import points, table
from tests.faults.harness.rows import ROWS, NoSuchRow, chosen
from tests.faults.harness.running import Plan, run
from tests.faults.harness.trials import Chunk, Result, Row, Trial
from tests.faults.world import ROOT

HIT, MISS = Trial(hit=True), Trial(hit=False)
AT = datetime(2035, 3, 7, 17, tzinfo=UTC)


def a_result(*trials, **found):
    return Result("row", "says", len(trials), 1, [Chunk(seed="1:row:0", trials=[*trials], **found)])


def a_row(name="row", **fields):
    fields = {"says": "a fault", "short": 2, "release": 5, "run": lambda *_: [], **fields}
    return Row(name=name, **fields)


def a_plan(*rows, **fields):
    return Plan(rows=rows, seed=7, **fields)


def hitting(row, trials, seed):
    return Chunk(seed=seed, trials=[replace(HIT, ended_at=AT, recovery=0.5)] * trials, unknown=1)


def test_a_row_with_too_few_hits_fails():
    assert a_result(*[HIT] * 4, MISS).is_well
    assert not a_result(*[HIT] * 3, MISS).is_well


def test_a_row_that_made_no_trial_fails():
    assert not a_result().is_well


def test_a_problem_of_any_check_fails_its_row_and_is_told_with_its_seed():
    result = a_result(HIT)
    result.chunks[0].complain("O1", "a message was taken more than once", 3)
    assert not result.is_well
    told = "\n".join(table.lines([result]))
    assert "FAILED" in told
    assert "seed 1:row:0" in told
    assert "O1: a message was taken more than once" in told


def test_a_row_that_cannot_be_run_here_is_shown_and_does_not_fail():
    result = a_result(skipped="nobody may mount a disk")
    assert result.is_well
    assert "skipped: nobody may mount a disk" in table.lines([result])[1]


def test_a_row_that_nobody_knows_is_told_with_those_there_are():
    with pytest.raises(NoSuchRow, match=f"no row nonsense.*{ROWS[0].name}"):
        chosen(["nonsense"])


def test_an_unknown_row_ends_the_command_before_any_server_is_started():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "nonsense"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no row nonsense" in done.stderr


def test_every_row_has_a_name_of_its_own():
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("words", [["--times", "0"], ["--trials", "-1"], ["--times", "twice"]])
def test_less_than_one_trial_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(words)
    assert "is not a whole number from 1" in capsys.readouterr().err


def test_every_point_leads_to_something():
    points.check()
    assert len({point.name for point in points.POINTS}) == len(points.POINTS)


def test_trials_are_made_in_chunks_of_the_short_count_each_with_a_seed_of_its_own():
    (result,) = run(a_plan(a_row(), is_release=True), hitting)
    assert [len(chunk.trials) for chunk in result.chunks] == [2, 2, 1]
    assert [chunk.seed for chunk in result.chunks] == ["7:row:0", "7:row:1", "7:row:2"]


def test_what_was_written_is_read_again_as_it_was(tmp_path):
    file = tmp_path / "faults.json"
    results = run(a_plan(a_row("one"), a_row("two"), json=file), hitting)
    settings, done = table.read(file)
    assert list(done.values()) == results
    assert settings == {"seed": 7, "release": False, "trials": None, "times": 1}


def test_a_resumed_run_makes_only_the_chunks_that_are_missing(tmp_path):
    file = tmp_path / "faults.json"
    rows = [a_row("one"), a_row("two")]

    def interrupted(row, trials, seed):
        if seed == "7:two:1":
            raise KeyboardInterrupt
        return hitting(row, trials, seed)

    with pytest.raises(KeyboardInterrupt):
        run(a_plan(*rows, is_release=True, json=file), interrupted)
    _, done = table.read(file)
    made = []

    def counted(row, trials, seed):
        made.append(seed)
        return hitting(row, trials, seed)

    results = run(a_plan(*rows, is_release=True, json=file, done=done), counted)
    assert made == ["7:two:1", "7:two:2"]
    assert results == run(a_plan(*rows, is_release=True), hitting)
