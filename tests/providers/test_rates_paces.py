"""Further limits a second in the grant: in messages or segments, beside those of the number."""

from __future__ import annotations

import math

import pytest

from providers import rates
from providers.rates import Pace
from tests.providers import buckets

PACE = 9
FIVE = Pace(5.0, in_messages=True)


def want(rows=1000, *, paces=(PACE,), **fields):
    made = buckets.want(rows, **fields)
    return rates.Want(**{name: getattr(made, name) for name in made.__slots__} | {"paces": paces})


@pytest.fixture
def ask(frozen):
    """Grant these wants under this pace, by a number of a hundred segments a second."""

    def ask(*wants, pace=FIVE, mark=buckets.FRESH, **returned):
        return rates.grant(
            frozen.redis,
            installation=frozen.installation,
            wants=wants,
            limits=rates.Limits(lanes={1: 100.0, 2: 100.0}, paces={PACE: pace} if pace else {}),
            returned=rates.Returned(**returned),
            read_mark=lambda: mark,
        )

    return ask


@pytest.fixture
def full(frozen, ask):
    """Every bucket is full."""

    def fill(**fields):
        for _ in range(2):
            ask(want(rows=0), want(rows=0, lane=2), **fields)
            frozen.wait(10_000)

    return fill


class TestAPace:
    def test_that_is_new_starts_empty(self, ask, frozen):
        assert ask(want()).rows == (0,)

    def test_in_messages_costs_one_a_message_however_long(self, ask, full):
        full()
        assert ask(want(segments=7)).rows == (9,)  # two seconds' worth, less the one for replies

    def test_in_segments_costs_the_segments(self, ask, full):
        pace = Pace(5.0)
        full(pace=pace)
        assert ask(want(segments=3), pace=pace).rows == (3,)

    def test_fills_by_its_own_rate(self, ask, full, frozen):
        full()
        ask(want())
        frozen.wait(1)
        assert ask(want()).rows == (5,)

    def test_binds_all_that_name_it_together(self, ask, full):
        full()
        assert ask(want(rows=6), want(lane=2)).rows == (6, 3)

    def test_binds_nobody_else(self, ask, full):
        full()
        assert ask(want(), want(lane=2, paces=())).rows == (9, 100)

    def test_keeps_its_last_token_for_replies(self, ask, full):
        full()
        ask(want())
        assert ask(want(reply=True)).rows == (1,)

    def test_of_a_brand_keeps_none(self, ask, full):
        pace = Pace(5.0, in_messages=True, spare=False)
        full(pace=pace)
        assert ask(want(), pace=pace).rows == (10,)

    def test_gets_back_messages_that_were_not_sent(self, ask, full):
        full()
        ask(want())
        assert ask(want(), paces={PACE: 4}).rows == (4,)

    def test_is_paid_what_was_sent_beyond(self, ask, full):
        full()
        assert ask(want(), paces={PACE: -4}).rows == (5,)

    def test_says_how_long_to_wait(self, ask, full):
        full()
        ask(want())
        assert ask(want()).waits == (0.2,)

    @pytest.mark.parametrize(
        "rate", [0, -1.0, math.nan, math.inf, None, "5", True], ids=lambda rate: repr(rate)
    )
    def test_that_cannot_be_read_grants_nothing(self, ask, full, rate):
        full()
        assert ask(want(), pace=Pace(rate, in_messages=True)).rows == (0,)

    def test_that_is_not_there_grants_nothing(self, ask, full):
        full()
        assert ask(want(), pace=None).rows == (0,)

    def test_takes_nothing_from_the_number_when_it_is_empty(self, ask, full):
        full()
        ask(want())
        assert ask(want(), want(paces=())).rows == (0, 100)
        assert ask(want(paces=())).rows == (90,)  # of 200, less nine, 100, and one for replies

    def test_that_is_gone_loses_what_is_given_back(self, ask):
        assert ask(want(rows=0, paces=()), pace=None, paces={PACE: 5}).trouble == ""


def test_debts_of_a_call_that_failed_are_paid_again():
    debts = rates.Returned(paces={1: -3, 2: 4}).debts()
    assert debts.paces == {1: -3}


def test_a_call_without_paces_asks_for_no_more_buckets_than_before():
    wants, limits = [buckets.want()], rates.Limits(lanes={1: 10.0})
    names = [name for name, *_ in rates._buckets(wants, limits, rates.Returned())]
    assert names == ["lane:1"]
