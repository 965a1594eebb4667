"""The wire that the harness puts between workers and a provider."""

from __future__ import annotations

import asyncio
import time
from itertools import chain

import pytest

from providers.base import REQUEST_SECONDS, Accepted, NotSent, Unknown
from tests.faults.harness.wire import Fault, Kind, Wire
from tests.providers.benches import in_bench
from tests.providers.peers import an_access

TAKEN, NOT_THERE = [("accepted", True)], []
SHORT = {"request_seconds": 1.0}


def through_a_wire(tmp_path, scenario, **limits):
    async def wired(on):
        with Wire(on.port) as wire:
            on.access = an_access(wire.port)
            return await scenario(on, wire)

    return in_bench(tmp_path, wired, **limits)


def test_what_is_not_spoilt_passes_on_one_connection(tmp_path):
    async def scenario(on, wire):
        outcomes = [await on.send(f"r{n}") for n in range(3)]
        return outcomes, await on.look_up(), wire.carried

    outcomes, _, carried = through_a_wire(tmp_path, scenario)
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 3
    assert carried == 4


@pytest.mark.parametrize(
    ("fault", "verdicts"),
    [
        (Fault(Kind.HANG), TAKEN),
        (Fault(Kind.HALF_OPEN), NOT_THERE),
        (Fault(Kind.DRIP), TAKEN),
        (Fault(Kind.CUT_ANSWER), TAKEN),
        (Fault(Kind.CUT_ANSWER, rude=True), TAKEN),
        (Fault(Kind.CUT_ANSWER, at=40), TAKEN),
        (Fault(Kind.CUT_ANSWER, at=-1), TAKEN),
        (Fault(Kind.CUT_REQUEST), NOT_THERE),
        (Fault(Kind.CUT_REQUEST, at=-1), NOT_THERE),
        (Fault(Kind.CUT_REQUEST, at=-1, rude=True), NOT_THERE),
    ],
    ids=lambda value: f"{value.kind.name} {value.at}" if isinstance(value, Fault) else "",
)
def test_a_fault_leaves_one_message_in_doubt_and_says_which(tmp_path, fault, verdicts):
    async def scenario(on, wire):
        wire.spoil([fault])
        first = await on.send("r1")
        found = on.verdicts()
        on.transport._request_seconds = REQUEST_SECONDS  # only the first is to be without an answer
        second = await on.send("r2")
        return type(first), found, type(second), [strike.ref for strike in wire.strikes]

    happened = through_a_wire(tmp_path, scenario, **SHORT)
    assert happened == (Unknown, verdicts, Accepted, ["r1"])


def test_a_look_up_is_not_worth_a_fault(tmp_path):
    async def scenario(on, wire):
        wire.spoil([Fault(Kind.HANG)])
        await on.look_up()
        return wire.strikes, wire.left

    assert through_a_wire(tmp_path, scenario, **SHORT) == ([], 1)


def test_a_strike_is_over_when_the_client_has_gone(tmp_path):
    async def scenario(on, wire):
        wire.spoil([Fault(Kind.HANG)])
        await on.send()
        until = time.monotonic() + 5
        while wire.open_ones and time.monotonic() < until:
            await asyncio.sleep(0.01)
        return wire.open_ones

    assert through_a_wire(tmp_path, scenario, **SHORT) == 0


def test_a_wire_that_is_shut_refuses_and_may_be_opened_again(tmp_path):
    async def scenario(on, wire):
        outcomes = [await on.send("r1")]
        wire.shut()
        async with asyncio.timeout(10):
            while any(kept.is_usable for kept in chain(*on.transport._idle.values())):
                await asyncio.sleep(0.01)
        outcomes.append(await on.send("r2"))
        wire.open()
        return [*outcomes, await on.send("r3")]

    first, refused, last = through_a_wire(tmp_path, scenario)
    assert (type(first), type(last)) == (Accepted, Accepted)
    assert refused == NotSent("could_not_connect", unreachable=True)


def test_an_answer_that_ends_with_its_connection_passes_too(tmp_path):
    async def scenario(on, wire):
        await on.control({"mode": "huge"})
        return await on.send()

    assert through_a_wire(tmp_path, scenario) == Unknown("AnswerTooLarge")
