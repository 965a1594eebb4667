"""A wire between workers and a provider that spoils single exchanges, as it is told.

Each request is read whole before its fault is chosen, so that what befell whom is known by the
message's own reference. What no fault was told for passes untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from providers.base import TAKEN_WITHIN_SECONDS
from providers.simulator import WIRES
from providers.simulator_endings import DRIP_SECONDS
from providers.simulator_http import read_request
from providers.simulator_ledger import Submission

HOST = "127.0.0.1"
CLOSES = b"\r\nConnection: close\r\n"  # an answer that ends with its connection
MOST = 1 << 20  # bytes of a request or an answer
GIVE_UP = float(TAKEN_WITHIN_SECONDS)  # longer than a worker waits for an answer


class Kind(Enum):
    HANG = "never answers"  # the provider has the request
    HALF_OPEN = "stops reading"  # the provider has nothing, and nobody closes
    DRIP = "drips its answer"
    CUT_ANSWER = "closes within the answer"
    CUT_REQUEST = "closes before the request is whole"


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`: after so many bytes of what is cut. `rude`: by a reset, and not by an end."""

    kind: Kind
    at: int = 0
    rude: bool = False


@dataclass(slots=True)
class Strike:
    """A fault that befell a request with so many messages, none where it is no submission.

    `ref` is the first one's own, where its provider is told it. `at` and `ended_at` are monotonic
    seconds.
    """

    fault: Fault
    messages: int
    ref: str
    at: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0


class Wire:
    """Use it as a context. It listens on `port` and speaks to the provider on the port it is given.

    Told from any thread; the wire itself runs in one of its own.
    """

    def __init__(self, provider_port: int) -> None:
        self.port = 0
        self.strikes: list[Strike] = []
        self.carried = 0  # requests
        self._provider_port = provider_port
        self._plan: deque[Fault] = deque()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def spoil(self, faults: Iterable[Fault]) -> None:
        """One for each of the next requests."""
        self._plan.extend(faults)

    @property
    def left(self) -> int:
        """Faults that were told and have befallen nobody yet."""
        return len(self._plan)

    @property
    def open_ones(self) -> int:
        """Strikes that are not over."""
        return sum(not strike.ended_at for strike in self.strikes)

    def forget(self) -> None:
        """What befell nobody shall not befall anybody."""
        self._plan.clear()

    def open(self) -> None:
        """Listen, again on the same port if it was shut."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def shut(self) -> None:
        """Cut every connection and refuse new ones, as a provider that is down does."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(
            self._carry, HOST, self.port, limit=MOST, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = contextlib.ExitStack()
        ends.callback(self._tasks.discard, task)
        ends.callback(writer.transport.abort)
        with ends, contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            theirs, ours = await asyncio.open_connection(HOST, self._provider_port, limit=MOST)
            ends.callback(ours.transport.abort)
            while True:
                request = await _message(reader)
                self.carried += 1
                strike = self._strike(request)
                exchange = _Exchange(reader, writer, theirs, ours, request)
                if strike is not None:
                    await self._spoilt(exchange, strike)
                    return
                await exchange.whole()

    def _strike(self, request: bytes) -> Strike | None:
        """Only what sends a message is worth a fault; a look-up passes."""
        if not self._plan or not request.startswith(b"POST "):
            return None
        sent = _submissions(request)
        strike = Strike(self._plan.popleft(), len(sent), sent[0].ref if sent else "")
        self.strikes.append(strike)
        return strike

    async def _spoilt(self, exchange: _Exchange, strike: Strike) -> None:
        try:
            async with asyncio.timeout(GIVE_UP):
                await exchange.spoilt(strike.fault)
        except TimeoutError:
            pass
        finally:
            strike.ended_at = time.monotonic()


@dataclass(slots=True)
class _Exchange:
    """A request that was read, and the two connections it came by and goes on by."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    theirs: asyncio.StreamReader
    ours: asyncio.StreamWriter
    request: bytes

    async def whole(self) -> None:
        """Raises EOFError when the provider closes, after what it has said was passed on."""
        answer = await self._answer()
        self.writer.write(answer)
        if CLOSES in answer:
            self.writer.write(await self.theirs.read())
            await self._close(rude=False)
            raise EOFError
        await self.writer.drain()

    async def spoilt(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.HANG:
                await self._answer()
                await self.reader.read(1)  # it comes to its end when the client has enough
            case Kind.HALF_OPEN:
                self.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(GIVE_UP)
            case Kind.DRIP:
                await self._drip(await self._answer())
            case Kind.CUT_ANSWER:
                self.writer.write(_cut(await self._answer(), fault.at))
                await self._close(rude=fault.rude)
            case Kind.CUT_REQUEST:
                self.ours.write(_cut(self.request, fault.at))
                await self.ours.drain()
                await self._close(rude=fault.rude)

    async def _answer(self) -> bytes:
        self.ours.write(self.request)
        await self.ours.drain()
        return await _message(self.theirs)

    async def _drip(self, answer: bytes) -> None:
        for place in range(len(answer)):
            self.writer.write(answer[place : place + 1])
            await self.writer.drain()
            if self.reader.at_eof():
                return
            await asyncio.sleep(DRIP_SECONDS)

    async def _close(self, *, rude: bool) -> None:
        if rude:
            self.writer.transport.abort()
        else:
            await self.writer.drain()
            self.writer.close()
            await self.writer.wait_closed()


def _cut(data: bytes, at: int) -> bytes:
    """Never the whole of it."""
    return data[:at][: len(data) - 1]


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One whole request or answer. Raises EOFError when the other end has gone."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


def _submissions(data: bytes) -> Sequence[Submission]:
    """The messages of a request, as the provider reads them."""
    request, _ = read_request(data)
    assert request is not None
    for wire in WIRES:
        if request.path.startswith(wire.prefix):
            return wire.read(request) or ()
    return ()
