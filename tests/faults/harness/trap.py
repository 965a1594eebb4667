"""A wire to the provider that strikes a worker at a byte: it knows what the worker cannot.

Everybody's requests go through it, one exchange after the other on each connection. A trap is set
for the next request of one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import threading
from pathlib import Path
from typing import Self

from config.demo_processes import HOST, free_port
from tests.faults.harness.crew import writer_of
from tests.faults.harness.points import Byte

REF = re.compile(rb"ref%3D([\w-]{22})")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
END = b"\r\n\r\n"
TURNS = 8


class Trap:
    """Use it as a context. `port` is where workers take it for the provider.

    Whose request it is stands in the journals: it is announced there before it leaves.
    """

    def __init__(self, provider_port: int, journals: Path) -> None:
        self._provider_port = provider_port
        self._journals = journals
        self._writers: dict[Path, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="trap", daemon=True)
        self._carriers: set[asyncio.Task[None]] = set()
        self._set: dict[int, tuple[Byte, int]] = {}  # by process: where, and which signal
        self.port = free_port()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, pid: int, byte: Byte, number: int) -> None:
        self._set[pid] = (byte, number)

    def has_sprung(self, pid: int) -> bool:
        return pid not in self._set

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._begin, HOST, self.port, backlog=1024)

    async def _close(self) -> None:
        """For some turns of the loop: who was just accepted has a task only then."""
        self._server.close()
        for _ in range(TURNS):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The task is kept here: the loop forgets one that only a lost connection refers to."""
        task = self._loop.create_task(self._carry(reader, writer))
        self._carriers.add(task)
        task.add_done_callback(self._carriers.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError), contextlib.closing(writer):
            answers, provider = await asyncio.open_connection(HOST, self._provider_port)
            with contextlib.closing(provider):
                while True:
                    request = await whole(reader)
                    pid = self._owner(request)
                    if pid is None:
                        provider.write(request)
                        writer.write(await whole(answers))
                    elif not await self._spring(pid, request, provider, answers, writer):
                        return

    def _owner(self, request: bytes) -> int | None:
        """The process with a trap set that makes this request."""
        ref = REF.search(request) if self._set else None
        if ref is None:
            return None
        for path in self._journals.glob("*.journal"):
            with contextlib.suppress(OSError):
                if path not in self._writers:
                    self._writers[path] = writer_of(path)
                if self._writers[path] in self._set and ref[1] in path.read_bytes():
                    return self._writers[path]
        return None

    async def _spring(
        self,
        pid: int,
        request: bytes,
        provider: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Carry one exchange, and strike within it; False when there is nothing more to carry."""
        byte, number = self._set.pop(pid)
        cut = {Byte.FIRST_OF_REQUEST: 1, Byte.LAST_OF_REQUEST: len(request) - 1}.get(byte)
        if cut is not None:
            provider.write(request[:cut])
            await provider.drain()
            os.kill(pid, number)
            if number == signal.SIGKILL and byte is Byte.FIRST_OF_REQUEST:
                return False  # the rest of it never left
            provider.write(request[cut:])
            writer.write(await whole(answers))
            return True
        provider.write(request)
        answer = await whole(answers)
        cut = 1 if byte is Byte.FIRST_OF_ANSWER else len(answer)
        writer.write(answer[:cut])
        await writer.drain()
        os.kill(pid, number)
        writer.write(answer[cut:])
        return True


async def whole(reader: asyncio.StreamReader) -> bytes:
    """The next request or answer, head and body. Raises EOFError at the end."""
    head = await reader.readuntil(END)
    found = LENGTH.search(head)
    return head + (await reader.readexactly(int(found[1])) if found else b"")
