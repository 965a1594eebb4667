"""People who tap on their links, many at once: plain HTTP/1.1 over connections that are kept.

A library for requests would take more of the processors than the web server that is measured.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import uvloop

from config.bench_progress import Report
from config.demo_processes import HOST

AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
UNREADABLE = 0  # in the place of a status
ANSWER_SECONDS = 15.0
NOBODYS = "22222222"  # a code that is no link
WARM_REQUESTS = 50


@dataclass(slots=True)
class Followed:
    """`answers` by status, and how long each took; both in seconds."""

    answers: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0


def follow_all(
    links: Iterable[tuple[str, str]], port: int, *, connections: int, report: Report
) -> Followed:
    """Ask for each link, (domain, code), once, as fast as it is answered."""
    return uvloop.run(follow(links, port, connections=connections, report=report))


async def follow(
    links: Iterable[tuple[str, str]], port: int, *, connections: int, report: Report
) -> Followed:
    followed, requests = Followed(), map(_request, links)
    began = time.perf_counter()
    people = (_tap(requests, port, followed, report) for _ in range(connections))
    await asyncio.gather(*people)
    followed.seconds = time.perf_counter() - began
    return followed


def warm_up(port: int, *, processes: int) -> None:
    """Have each process of a web server read its code and connect, which it does when first asked.

    Its port is open before.
    """
    nothing = [(HOST, NOBODYS)] * (WARM_REQUESTS * processes)
    follow_all(nothing, port, connections=4 * processes, report=lambda _: None)


def _request(link: tuple[str, str]) -> bytes:
    domain, code = link
    return f"GET /{code} HTTP/1.1\r\nHost: {domain}\r\nUser-Agent: {AGENT}\r\n\r\n".encode("ascii")


async def _tap(requests: Iterator[bytes], port: int, followed: Followed, report: Report) -> None:
    """One connection. When it breaks it is not made again: the others go on with what is left."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        for request in requests:
            began = time.perf_counter()
            writer.write(request)
            status = await asyncio.wait_for(_answer(reader), ANSWER_SECONDS)
            followed.waits.append(time.perf_counter() - began)
            followed.answers[status] += 1
            report(len(followed.waits))
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        followed.answers[UNREADABLE] += 1
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    """The status of an answer, read to its end. Raises ValueError where its length is not told."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head)
    if length is None:
        raise ValueError("an answer without its length")
    await reader.readexactly(int(length[1]))
    return int(head.split(b" ", 2)[1])
