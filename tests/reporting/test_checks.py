"""How checks are run: what cannot be asked is a problem, and stands in nobody's way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import transaction

from reporting.oracle import answers
from reporting.oracle.checks import (
    CannotCheck,
    Check,
    Found,
    Result,
    Scope,
    begin_read_only,
    run,
    some,
    sql,
)

SCOPE = Scope(now=datetime(2035, 3, 7, tzinfo=UTC))


def found_by(*probes, scope: Scope = SCOPE) -> tuple[Found, ...]:
    (result,) = run([Check("X1", "it works", probes)], scope)
    return result.found


@pytest.mark.django_db
class TestSql:
    def test_every_row_is_a_problem_and_its_columns_are_ids(self):
        probe = sql("seen", "SELECT n AS message, 'x' AS status FROM generate_series(1, 2) n")
        examples = ({"message": 1, "status": "x"}, {"message": 2, "status": "x"})
        assert found_by(probe) == (Found("seen", 2, examples),)

    def test_the_first_few_are_examples(self):
        probe = sql("seen", "SELECT n AS message FROM generate_series(1, 100) n ORDER BY n DESC")
        scope = Scope(now=SCOPE.now, examples=2)
        assert found_by(probe, scope=scope) == (
            Found("seen", 100, ({"message": 1}, {"message": 2})),
        )

    def test_none_may_be_examples(self):
        probe = sql("seen", "SELECT 1 AS message")
        scope = Scope(now=SCOPE.now, examples=0)
        assert found_by(probe, scope=scope) == (Found("seen", 1, ()),)

    def test_what_the_database_refuses_is_a_problem_without_its_words(self):
        probe = sql("seen", "SELECT '+12125550100'::bigint::int AS message")
        says = "cannot be checked: the database answered DataError (22003)"
        assert found_by(probe) == (Found(says, 1),)

    def test_what_takes_too_long_is_a_problem(self):
        slow = sql("seen", "SELECT 1 AS message FROM pg_sleep(5)")
        with transaction.atomic():
            begin_read_only(1)
            assert found_by(slow) == (
                Found("cannot be checked: it took longer than a statement may", 1),
            )

    def test_the_next_probe_is_asked_all_the_same(self):
        broken = sql("broken", "SELECT 1 / 0 AS message")
        assert [one.total for one in found_by(broken, sql("seen", "SELECT 1 AS message"))] == [1, 1]

    def test_nothing_can_be_written(self):
        with transaction.atomic():
            begin_read_only(1)
            write = sql("seen", "SELECT setval('delivery_message_id_seq', 1) AS message")
            assert found_by(write)[0].says.startswith("cannot be checked: the database answered")


def test_what_a_probe_lacks_is_a_problem(db):
    def probe(scope: Scope) -> Found:
        raise CannotCheck("the map is gone")

    assert found_by(probe) == (Found("cannot be checked: the map is gone", 1),)


def test_problems_found_one_by_one_are_counted():
    problems = ({"message": n} for n in range(7))
    assert some("seen", problems, Scope(now=SCOPE.now, examples=1)) == Found(
        "seen", 7, ({"message": 0},)
    )


def test_a_check_without_problems_is_one_line():
    result = Result(Check("X1", "it works", ()), (Found("seen"),))
    assert [line.split() for line in answers.lines(result)] == [["X1", "it", "works", "ok"]]


def test_problems_stand_below_their_check():
    ids = ({"message": 7, "status": "sent"}, {"message": 8, "status": "sent"})
    result = Result(Check("X1", "it works", ()), (Found("seen", 9, ids), Found("heard")))
    head, line = answers.lines(result)
    assert head.endswith(" 9 problems")
    assert line == "     - seen: 9 (message 7, status sent; message 8, status sent)"
