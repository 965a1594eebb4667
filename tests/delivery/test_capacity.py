from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from delivery.capacity import Cap, Limits, Pipe, Run, Wave, simulate
from delivery.states import Reason

NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)  # in New York
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ONE, OTHER = 1, 2


def a_wave(messages, *, lane=ONE, at=NOON, lasts=HOUR, segments=1, **fields):
    return Wave(
        lane_id=lane,
        ready_at=at,
        expires_at=at + lasts,
        messages=messages,
        segments=segments,
        **fields,
    )


def limits(*rates, account=None, brand=None, caps=()):
    """Numbers 1, 2 … with these rates, all of one account."""
    pipes = {number: Pipe(7, rate, account) for number, rate in enumerate(rates, start=1)}
    return Limits(pipes=pipes, brand_rate=brand, caps=caps, zone="America/New_York")


def sent(messages, first, last):
    """Seconds after noon."""
    return Run(messages, NOON + first * SECOND, NOON + last * SECOND)


def run(*waves, by):
    return [rounded(one) for one in simulate(waves, by, begin=NOON)]


def rounded(one):
    times = (at and at.replace(microsecond=0) for at in (one.first_at, one.last_at))
    first, last = times
    return replace(one, first_at=first, last_at=last)


@pytest.mark.parametrize(
    ("waves", "by", "runs"),
    [
        ([a_wave(10)], limits(1), [sent(10, 0, 9)]),
        ([a_wave(10, segments=2)], limits(1), [sent(10, 0, 18)]),
        ([a_wave(10), a_wave(5)], limits(1), [sent(10, 0, 9), sent(5, 10, 14)]),
        ([a_wave(10), a_wave(5, lane=OTHER)], limits(1, 1), [sent(10, 0, 9), sent(5, 0, 4)]),
        ([a_wave(10), a_wave(5, at=NOON + HOUR)], limits(1), [sent(10, 0, 9), sent(5, 3600, 3604)]),
        (
            [a_wave(10), a_wave(10, is_campaigns=False)],
            limits(1),
            [sent(10, 10, 19), sent(10, 0, 9)],
        ),
        ([a_wave(10), a_wave(10, lane=OTHER)], limits(1, 1, account=1), [sent(10, 0, 18)] * 2),
        ([a_wave(10), a_wave(10, lane=OTHER)], limits(1, 1, brand=1), [sent(10, 0, 18)] * 2),
        (
            [a_wave(10), a_wave(10, lane=OTHER, is_brands=False, is_campaigns=False)],
            limits(1, 1, brand=0.5),
            [sent(10, 0, 18), sent(10, 0, 9)],
        ),
        ([a_wave(10, at=NOON - HOUR, lasts=2 * HOUR)], limits(1), [sent(10, 0, 9)]),
        ([a_wave(0)], limits(1), [Run(0, None, None, Reason.NO_CAPACITY)]),
        ([], limits(1), []),
    ],
    ids=[
        "a second for each",
        "longer texts take longer",
        "one after the other",
        "two numbers at once",
        "one later",
        "what waits there already goes first",
        "the account is slower than its numbers",
        "the brand is slower than its numbers",
        "the brand's speed binds no other brand",
        "ready before the beginning",
        "nobody",
        "no wave",
    ],
)
def test_how_long_it_takes(waves, by, runs):
    assert run(*waves, by=by) == runs


@pytest.mark.parametrize(
    ("waves", "by", "ends"),
    [
        ([a_wave(100, lasts=MINUTE)], limits(1), [(60, "no_capacity")]),
        ([a_wave(100, at=NOON - HOUR, lasts=HOUR)], limits(1), [(0, "no_capacity")]),
        ([a_wave(60), a_wave(9, lasts=MINUTE)], limits(1), [(60, ""), (0, "no_capacity")]),
        ([a_wave(9)], limits(1, caps=[Cap(Reason.CAMPAIGN_CAP, 5, 2)]), [(3, "campaign_cap")]),
        ([a_wave(9)], limits(1, caps=[Cap(Reason.BRAND_CAP, 5, 5)]), [(0, "brand_cap")]),
        ([a_wave(9)], limits(1, caps=[Cap(Reason.BRAND_CAP, 5, 9)]), [(0, "brand_cap")]),
        (
            [a_wave(9), a_wave(4, is_campaigns=False)],
            limits(1, caps=[Cap(Reason.BRAND_CAP, 10), Cap(Reason.CAMPAIGN_CAP, 8)]),
            [(6, "brand_cap"), (4, "")],
        ),
        (
            [a_wave(9), a_wave(4, is_brands=False, is_campaigns=False)],
            limits(1, caps=[Cap(Reason.BRAND_CAP, 3)]),
            [(3, "brand_cap"), (4, "")],
        ),
        (
            [a_wave(9, lasts=24 * HOUR)],
            limits(1, caps=[Cap(Reason.BRAND_CAP, 5, 2)]),
            [(8, "brand_cap")],
        ),
    ],
    ids=[
        "the slot ends first",
        "it is over already",
        "others are in the way until it ends",
        "what is left of the campaign's cap",
        "no cap left",
        "the cap was lowered",
        "others of the brand use its cap first",
        "other brands do not",
        "the cap is full again at the brand's midnight",
    ],
)
def test_how_many_leave_and_why_the_rest_does_not(waves, by, ends):
    assert [(one.sent, one.reason) for one in run(*waves, by=by)] == ends


def test_a_cap_that_is_reached_lets_the_rest_leave_at_the_brands_midnight():
    by = limits(1, caps=[Cap(Reason.BRAND_CAP, 5)])
    (one,) = run(a_wave(7, lasts=24 * HOUR), by=by)
    assert one == sent(7, 0, 12 * 3600 + 1)


def test_thousands_of_waves_are_gone_through_at_once():
    waves = [a_wave(7, lane=1 + n % 10, at=NOON + n % 300 * MINUTE) for n in range(3000)]
    runs = simulate(waves, limits(*[1.0] * 10), begin=NOON)
    assert sum(one.sent for one in runs) == 21_000
