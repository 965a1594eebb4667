"""What reaches a client that reads whatever comes."""

from __future__ import annotations

import asyncio

import pytest

from providers.simulator_behaviour import Ending
from providers.simulator_endings import DRIP_SECONDS, GARBAGE, PADDING, finish
from providers.simulator_http import Connection, json_response
from tests.providers.peers import run
from tests.providers.test_simulator_http import post

WHOLE = json_response(201, {"sid": "SM1"})


async def left(ending, answer=WHOLE, *, leaves_after=None):
    """What comes of an answer; a client that leaves early hears no more."""
    open_ones = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(lambda _, connection: finish(connection, answer, ending), open_ones),
        "127.0.0.1",
        0,
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        writer.write(post(b"/a"))
        if leaves_after is None:
            writer.write_eof()
            return await reader.read()
        came = await reader.readexactly(leaves_after)
        writer.transport.abort()
        await ended(open_ones)
        return came
    finally:
        writer.transport.abort()
        server.close()
        for connection in list(open_ones):
            connection.abort()
        await ended(open_ones)


async def ended(connections):
    """When the server has seen their end; uvloop cannot end before."""
    async with asyncio.timeout(30):
        while connections:
            await asyncio.sleep(DRIP_SECONDS)


@pytest.mark.parametrize(
    ("ending", "answer"),
    [
        (Ending.ANSWER, WHOLE),
        (Ending.MOVED, WHOLE),
        (Ending.ANOTHERS, WHOLE),
        (Ending.GARBAGE, GARBAGE),
        (Ending.HALF, WHOLE[: len(WHOLE) // 2]),
        (Ending.CLOSE, b""),
    ],
    ids=lambda value: value.name if isinstance(value, Ending) else "",
)
def test_an_answer_leaves_as_its_ending_says(ending, answer):
    assert run(left(ending)) == answer


def test_a_huge_answer_tells_no_length_and_has_megabytes_behind_it():
    head, _, body = run(left(Ending.HUGE)).partition(b"\r\n\r\n")
    assert b"content-length" not in head.lower()
    assert body == b'{"sid": "SM1"}' + PADDING


def test_a_dripped_answer_comes_whole_and_late():
    async def timed():
        began = asyncio.get_running_loop().time()
        came = await left(Ending.DRIP, b"abcd")
        return came, asyncio.get_running_loop().time() - began

    came, took = run(timed())
    assert came == b"abcd"
    assert took > 2.5 * DRIP_SECONDS


def test_no_more_drips_to_a_client_that_has_gone():
    assert run(left(Ending.DRIP, leaves_after=2)) == WHOLE[:2]
