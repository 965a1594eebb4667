"""Each way to break a promise is noticed by a test, which says what was broken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.faults.mutations import control
from tests.faults.mutations.control import DoesNotFit, Report
from tests.faults.mutations.table import MUTATIONS, Change

ONE = SimpleNamespace(says="sent twice")


def test_every_mutation_is_caught_and_the_copy_as_it_stands_passes(tmp_path, subtests):
    verdicts = list(control.judged(tmp_path))
    assert len(verdicts) == len(MUTATIONS) + 1
    for verdict in verdicts:
        with subtests.test(msg=verdict.name):
            assert verdict.trouble == ""


def test_an_anchor_must_be_there_once(tmp_path):
    (tmp_path / "some.py").write_text("a = 1\na = 1\nb = 2\n")
    for old in ("a = 1", "c = 3"):
        with pytest.raises(DoesNotFit, match="not once"):
            control.apply(Change("some.py", old, ""), tmp_path)
    control.apply(Change("some.py", "b = 2", "b = 3"), tmp_path)
    assert (tmp_path / "some.py").read_text() == "a = 1\na = 1\nb = 3\n"


@pytest.mark.parametrize(
    ("report", "trouble"),
    [
        (Report(1, ["a message was sent twice"], []), ""),
        (Report(1, ["no such name"], []), "no failure says 'sent twice'"),
        (Report(1, ["E  no name\n    assert x, 'sent twice'"], []), "no failure says 'sent twice'"),
        (Report(1, [], []), "nobody noticed"),
        (Report(0, ["sent twice"], ["ImportError"]), "something else broke"),
    ],
    ids=["says it", "says something else", "says it further down", "passes", "is broken itself"],
)
def test_a_mutation_is_caught_by_a_test_that_says_what_was_broken(report, trouble):
    assert control.why_not_caught(ONE, report).startswith(trouble)
    assert bool(control.why_not_caught(ONE, report)) == bool(trouble)


def test_a_report_of_pytest_tells_failures_from_errors():
    xml = """<testsuites><testsuite><testcase/>
        <testcase><failure message="wrong">E assert</failure></testcase>
        <testcase><error message="no server">E Trouble</error></testcase>
        </testsuite></testsuites>"""
    assert control.read(xml) == Report(1, ["wrong\nE assert"], ["no server\nE Trouble"])
