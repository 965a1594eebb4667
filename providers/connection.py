"""One connection to a provider: HTTP/1.1, one request, one answer, nothing a second time.

It knows bytes, never what they mean. Written by hand over asyncio and llhttp's parser (httptools),
because a send needs three things no client library promises: that the whole request goes out in
the very call that asked for the time, that nothing is ever sent again, and a tenth of the cost:
aiohttp's own work was three quarters of a worker's processor time.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
from multidict import CIMultiDict

from providers.base import HttpResponse

MAX_ANSWER_BYTES = 64 * 1024
MAX_HEAD_BYTES = 64 * 1024
LENGTHLESS = {204, 304}


class Disconnected(Exception):
    """The other end closed before any of an answer had come."""


class BrokenOff(Exception):
    """The connection ended in the middle of the answer."""


class BadAnswer(Exception):
    """What came is not an answer in HTTP/1.1."""


class AnswerTooLarge(Exception):
    """The answer is longer than any we expect; the rest of it was not read."""


class Connection(asyncio.Protocol):
    """Made by the loop. It may be used again as long as `is_usable`; any surprise ends that."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[HttpResponse] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._received = 0
        self._body_bytes = 0
        self._most_bytes = MAX_ANSWER_BYTES
        self._has_head = False
        self._is_framed = False  # the answer says where it ends
        self._is_spent = False
        self.idle_since = 0.0  # monotonic seconds; for whoever keeps it

    @property
    def is_usable(self) -> bool:
        return not self._is_spent and self._waiting is None

    async def exchange(
        self, request: bytes, *, seconds: float, most_bytes: int = MAX_ANSWER_BYTES
    ) -> HttpResponse:
        """Write the request, now, and wait for its answer, whose body has at most so many bytes.

        Raises TimeoutError, Disconnected, BrokenOff, BadAnswer or AnswerTooLarge: the request may
        have been read then. The connection is closed in each of these cases.
        """
        assert self._transport is not None  # noqa: S101 - made by the loop
        self._forget()
        self._most_bytes = most_bytes
        waiting: asyncio.Future[HttpResponse] = self._loop.create_future()
        self._waiting = waiting
        self._transport.write(request)
        timer = self._loop.call_later(seconds, self._fail, TimeoutError())
        try:
            return await waiting
        finally:
            timer.cancel()
            if self._waiting is not None:  # we were cancelled
                self.close()

    def close(self) -> None:
        self._is_spent = True
        self._waiting = None
        if self._transport is not None:
            self._transport.abort()

    # --- the loop tells us ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            self.close()  # nobody asked for it; it would be taken for the next answer
            return
        self._received += len(data)
        if self._received > self._most_bytes + MAX_HEAD_BYTES:
            self._fail(AnswerTooLarge())
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(BadAnswer())

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and self._received:
            self._fail(BrokenOff())
        self._ended()
        self._transport = None

    # --- the parser tells us ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._waiting is None:
            self._is_spent = True  # a second answer behind the first

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._has_head = True
        self._status = self._parser.get_status_code()
        for name, value in self._headers:
            lower = name.lower()
            if lower == "content-length":
                self._is_framed = True
                if int(value) > self._most_bytes:
                    self._fail(AnswerTooLarge())
            elif lower == "transfer-encoding":
                self._is_framed = True

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._most_bytes:
            self._fail(AnswerTooLarge())
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._status < 200:  # "100 Continue" and its like: the answer is still to come
            self._forget()
            return
        if not self._parser.should_keep_alive():
            self._is_spent = True
        self._answer()

    # --- what becomes of it -----------------------------------------------------------------

    def _forget(self) -> None:
        self._headers, self._body = [], []
        self._received = self._body_bytes = self._status = 0
        self._has_head = self._is_framed = False

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(
                HttpResponse(
                    status=self._status,
                    headers=CIMultiDict(self._headers),
                    body=b"".join(self._body),
                )
            )

    def _fail(self, error: Exception) -> None:
        waiting = self._waiting
        self.close()
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _ended(self) -> None:
        """The other end sends no more. An answer that names no length ends here."""
        self._is_spent = True
        if self._waiting is None:
            self.close()
        elif self._has_head and not self._is_framed and self._status not in LENGTHLESS:
            self._answer()
        else:
            self._fail(BrokenOff() if self._received else Disconnected())
