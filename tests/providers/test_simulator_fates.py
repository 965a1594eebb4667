from __future__ import annotations

from collections import Counter

import pytest

from providers.simulator_fates import course_of, read_report_orders
from providers.simulator_poster import Seal
from providers.simulator_wire import Fate

PHONES = [f"+1202555{n:04}" for n in range(1000, 5000)]


def courses(*, has_old_signature=False, **orders):
    read = read_report_orders({"reports": orders})
    return [course_of(read, to, nth=1, has_old_signature=has_old_signature) for to in PHONES]


def share(found, holds):
    return sum(map(holds, found)) / len(found)


@pytest.mark.parametrize(
    ("orders", "holds"),
    [
        ({"undelivered": 0.25}, lambda c: c.steps[-1].fate is Fate.UNDELIVERED),
        ({"failed": 0.25}, lambda c: c.steps[-1].fate is Fate.FAILED),
        ({"twice": 0.25}, lambda c: c.steps[-1].copies == 2),
        ({"reversed": 0.25}, lambda c: c.steps[-1].fate is Fate.SENT),
        ({"before_answer": 0.25}, lambda c: c.is_before_answer),
        ({"forged": 0.25}, lambda c: len(c.steps) == 3),
        ({"truncated": 0.25}, lambda c: c.steps[0].seal is Seal.TRUNCATED),
        ({"repeated": 0.25}, lambda c: c.steps[-1].seal is Seal.REPEATED),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_share_is_the_share_of_the_messages(orders, holds):
    assert share(courses(**orders), holds) == pytest.approx(0.25, abs=0.03)


def test_the_older_signature_has_its_share_where_there_is_one():
    found = courses(v2=0.25, has_old_signature=True)
    assert share(found, lambda c: c.steps[-1].seal is Seal.OLD) == pytest.approx(0.25, abs=0.03)
    assert share(courses(v2=1), lambda c: c.steps[-1].seal is Seal.OLD) == 0


def test_each_run_is_the_same_and_another_seed_is_another():
    orders = {"undelivered": 0.3, "twice": 0.3, "jitter_ms": 500}
    assert courses(**orders) == courses(**orders)
    assert courses(**orders) != courses(**orders, seed=2)


def test_the_next_text_to_a_number_has_a_fate_of_its_own():
    orders = read_report_orders({"reports": {"undelivered": 0.5}})
    fates = Counter(
        course_of(orders, PHONES[0], nth=nth, has_old_signature=False).steps[-1].fate
        for nth in range(100)
    )
    assert set(fates) == {Fate.UNDELIVERED, Fate.DELIVERED}


def test_pauses_and_jitter_add_up_to_the_delay():
    found = courses(delay_ms=300, jitter_ms=300)
    waits = [course.pause * len(course.steps) for course in found]
    assert 0.3 <= min(waits) < 0.31
    assert 0.59 < max(waits) <= 0.6


def test_a_forgery_says_another_final_word():
    for course in courses(forged=1, undelivered=0.5, intermediate=False):
        lie, truth = course.steps
        assert (lie.fate is Fate.DELIVERED) != (truth.fate is Fate.DELIVERED)


def test_the_older_signature_is_copied_only_after_the_genuine_report():
    found = courses(forged=1, v2=1, intermediate=False, has_old_signature=True)
    seals = Counter(tuple(step.seal for step in course.steps) for course in found)
    assert set(seals) == {
        (Seal.WRONG, Seal.OLD),
        (Seal.NONE, Seal.OLD),
        (Seal.OLD, Seal.COPIED),
    }


def test_what_is_signed_without_its_fields_is_not_cut():
    found = courses(truncated=1, v2=1, has_old_signature=True)
    assert Seal.TRUNCATED not in {step.seal for course in found for step in course.steps}
