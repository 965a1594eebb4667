from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from delivery.capacity import Cap, Limits, Pipe, Run, Valve, Wave, simulate
from delivery.limits import Limit
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


def of_number(most, *lanes, used=0, **fields):
    return Cap(Reason.NUMBER_CAP, most, used, lanes=frozenset(lanes), **fields)


def by_carrier(counts_unknown=True):
    """A limit of five segments for T-Mobile."""
    return Limit(
        id=1, number_id=None, account_id=None, brand_id=1, kind="", unit="segments", per="day",
        amount=5, carrier="t_mobile", counts_unknown=counts_unknown, is_counted=True,
        day="2035-03-07", next_day_at=None, zone="America/Los_Angeles", used=0,
    )  # fmt: skip


CARRIERS_DAY = Cap(Reason.CARRIER_CAP, 5, in_segments=True, limit=by_carrier())


@pytest.mark.parametrize(
    ("waves", "by", "runs"),
    [
        ([a_wave(9)], limits(1, caps=[of_number(5, ONE)]), [(5, "number_cap")]),
        ([a_wave(9)], limits(1, caps=[of_number(5, OTHER)]), [(9, "")]),
        ([a_wave(9)], limits(1, caps=[of_number(5, ONE, used=2)]), [(3, "number_cap")]),
        (
            [a_wave(9, segments=2)],
            limits(1, caps=[of_number(5, ONE, in_segments=True)]),
            [(2, "number_cap")],
        ),
        (
            [a_wave(9, is_brands=False, is_campaigns=False)],
            limits(1, caps=[of_number(5, ONE)]),
            [(5, "number_cap")],
        ),
        (
            [a_wave(9, or_by=frozenset({ONE, OTHER}))],
            limits(1, 1, caps=[of_number(5, ONE)]),
            [(9, "")],
        ),
        (
            [a_wave(9, or_by=frozenset({ONE, OTHER}))],
            limits(1, 1, caps=[of_number(5, ONE), of_number(1, OTHER)]),
            [(6, "number_cap")],
        ),
        (
            [a_wave(9, or_by=frozenset({ONE, OTHER}))],
            limits(1, 1, caps=[of_number(5, ONE, OTHER)]),
            [(5, "number_cap")],
        ),
        (
            [a_wave(9, carrier="t_mobile"), a_wave(9, carrier="att"), a_wave(9)],
            limits(1, caps=[CARRIERS_DAY]),
            [(5, "carrier_cap"), (9, ""), (0, "carrier_cap")],
        ),
        (
            [a_wave(9, carrier="t_mobile"), a_wave(9)],
            limits(1, caps=[replace(CARRIERS_DAY, limit=by_carrier(counts_unknown=False))]),
            [(5, "carrier_cap"), (9, "")],
        ),
        (
            [a_wave(9, carrier="t_mobile", is_brands=False)],
            limits(1, caps=[CARRIERS_DAY]),
            [(9, "")],
        ),
    ],
    ids=[
        "of the number",
        "of another number",
        "used in part",
        "in segments promises no half message",
        "of the number holds other brands too",
        "what the number may not send another one takes over",
        "until that is full too",
        "a limit of both",
        "of a carrier holds its people, and those of whom nothing is known",
        "of a carrier may leave those out",
        "of a carrier is the brand's",
    ],
)
def test_what_a_day_lets_pass(waves, by, runs):
    assert [(one.sent, one.reason) for one in run(*waves, by=by)] == runs


def test_a_day_is_full_again_at_the_midnight_of_its_own_zone():
    cap = of_number(5, ONE, zone="America/Los_Angeles")
    wave = a_wave(9, at=NOON, lasts=24 * HOUR)
    (found,) = run(wave, by=limits(1, caps=[cap]))
    assert found.sent == 9
    assert found.last_at == datetime(2035, 3, 8, 8, 0, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("valve", "segments", "last"),
    [
        (Valve(0.5, in_messages=True, lanes=frozenset({ONE})), 1, 18),
        (Valve(0.5, in_messages=True, lanes=frozenset({ONE})), 2, 18),
        (Valve(1.0, in_messages=False, lanes=frozenset({ONE})), 2, 18),
        (Valve(0.5, in_messages=True, lanes=frozenset({OTHER})), 1, 0),
        (Valve(0.5, in_messages=True, lanes=frozenset({ONE}), is_brands=True), 1, 18),
    ],
)
def test_a_limit_a_second_slows_its_numbers(valve, segments, last):
    by = replace(limits(10, 10), valves=[valve])
    assert run(a_wave(10, segments=segments), by=by) == [sent(10, 0, last)]


def test_a_brands_limit_a_second_slows_no_other_brand():
    by = replace(limits(1), valves=[Valve(0.5, True, frozenset({ONE}), is_brands=True)])
    wave = a_wave(10, is_brands=False, is_campaigns=False)
    assert run(wave, by=by) == [sent(10, 0, 9)]
