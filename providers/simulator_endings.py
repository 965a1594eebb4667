"""How a simulated answer leaves: whole, spoilt, too slowly, too long, or not at all."""

from __future__ import annotations

import asyncio

from providers.simulator_behaviour import Ending
from providers.simulator_http import Connection, response, without_length

DRIP_SECONDS = 0.05  # from one byte to the next
GARBAGE = response(200, "<html>upstream said: \x00\ufffd", content_type="text/html")
PADDING = b" " * 10_000_000  # behind it even the best answer is no answer


def finish(connection: Connection, answer: bytes, ending: Ending) -> None:
    match ending:
        case Ending.GARBAGE:
            connection.answer(GARBAGE)
        case Ending.CLOSE:
            connection.close()
        case Ending.HALF:
            connection.answer_and_close(answer[: len(answer) // 2])
        case Ending.HUGE:
            connection.answer_and_close(without_length(answer), PADDING)
        case Ending.DRIP:
            _drip(connection, answer)
        case _:
            connection.answer(answer)


def finish_all(answers: list[tuple[Connection, bytes, Ending]]) -> None:
    for connection, answer, ending in answers:
        finish(connection, answer, ending)


def _drip(connection: Connection, answer: bytes) -> None:
    """A byte now, the others one by one, for as long as there is somebody who waits for them."""
    if len(answer) == 1:
        connection.answer(answer)
    elif connection.begin_answer(answer[:1]):
        loop = asyncio.get_running_loop()
        loop.call_later(DRIP_SECONDS, _drip, connection, answer[1:])
