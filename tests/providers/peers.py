"""The other end of the wire for the tests of this folder: raw servers, and sends to aim at them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import uvloop

from providers import base
from providers.adapters.twilio import Twilio
from providers.base import Access, LookUp, SendRequest
from providers.transport import Transport

ACCOUNT = "AC00000000000000000000000000000001"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TURNS = 8  # of a loop, until who was just accepted is talked to, and can be hung up on
Talk = Callable[["Client"], Awaitable[None]]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return uvloop.run(coroutine)


def a_send(ref: str = "r1", **changes: Any) -> SendRequest:
    values: dict[str, Any] = {
        "ref": ref,
        "to_e164": "+12025550143",
        "from_value": "+15005550001",
        "text": "hi & bye",
        "segments": 1,
        "status_callback_url": f"https://hooks.example.com/cb?ref={ref}",
    }
    return SendRequest(**{**values, **changes})


def a_look_up(**changes: Any) -> LookUp:
    """The question after what `a_send` sends."""
    values: dict[str, Any] = {
        "ref": "r1",
        "to_e164": "+12025550143",
        "from_value": "+15005550001",
        "text": "hi & bye",
        "intended_at": NOON,
    }
    return LookUp(**{**values, **changes})


def an_access(port: int, **changes: Any) -> Access:
    values: dict[str, Any] = {
        "kind": "twilio",
        "base_url": f"http://127.0.0.1:{port}",
        "secrets": {"account_sid": ACCOUNT, "auth_token": "token"},
        "simulated": True,
    }
    return Access(**{**values, **changes})


def taken(send: SendRequest, sid: str = "SM1") -> bytes:
    body = f'{{"sid":"{sid}","to":"{send.to_e164}","status":"queued","num_segments":"1"}}'
    return answer(201, body.encode())


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


class Client:
    """One connection as the server sees it."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: Any) -> None:
        self.peer, self.reader, self.writer = peer, reader, writer

    async def read(self) -> bytes:
        """One whole request; IncompleteReadError when the client has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            0,
        )
        request = head + await self.reader.readexactly(length)
        self.peer.requests.append(request)
        return request

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        self.writer.transport.abort()


class Peer:
    """A server on this machine that does what `talk` says, and remembers what it read."""

    def __init__(self, talk: Talk) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._talk = talk
        self._talks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            await self._talk(Client(self, reader, writer))
        writer.close()
        self._talks.discard(task)

    @contextlib.asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Peer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **options)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for _ in range(TURNS):
                await asyncio.sleep(0)
            talks = list(self._talks)
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)  # they close their sockets in the next turn


def always(data: bytes) -> Talk:
    async def talk(client: Client) -> None:
        while True:
            await client.read()
            await client.write(data)

    return talk


async def outcomes_of(talk: Talk, count: int = 1, **limits: float) -> tuple[Any, Peer]:
    """Send so many messages one after another to a peer that talks like this."""
    async with Peer(talk).running() as peer, Transport(**limits) as transport:
        outcomes = []
        for n in range(count):
            send = a_send(f"r{n}")
            results = await transport.send(Twilio(), [send], an_access(peer.port))
            assert list(results) == [send.ref]
            outcomes.append(results[send.ref])
        return outcomes, peer


def outcome_of(talk: Talk, **limits: float) -> base.Outcome:
    outcomes, _ = run(outcomes_of(talk, **limits))
    (outcome,) = outcomes
    return outcome


def filling(address: tuple[str, int]) -> socket.socket:
    """A connection that takes a place in the server's queue, or waits for one."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(address)
    return client


async def sent_to(access, *, adapter=None, write_by=None, **limits):
    async with Transport(**limits) as transport:
        results = await transport.send(adapter or Twilio(), [a_send()], access, write_by=write_by)
    return results["r1"]


async def sent_over_tls(talk: Talk, **limits: float) -> base.Outcome:
    async with Peer(talk).running() as peer:
        access = an_access(0, base_url=f"https://127.0.0.1:{peer.port}")
        return await sent_to(access, **limits)


async def sent_through(adapter: Any) -> dict[str, base.Outcome]:
    """The outcomes of a send through this adapter to a provider that takes it."""
    async with Peer(always(taken(a_send()))).running() as peer, Transport() as transport:
        return await transport.send(adapter, [a_send()], an_access(peer.port))
