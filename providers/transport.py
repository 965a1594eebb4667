"""The only socket for sends: one request, one answer, no second try of any kind.

Where nothing can have left it is NotSent; of a whole answer the adapter makes the outcome;
everything else is Unknown. The line between the two is one place: the write of the request. What
is an e-mail goes out by `mail.py`, over connections to the same guarded addresses.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache, partial
from typing import Self
from urllib.parse import quote

import aiohappyeyeballs
from aiohttp.abc import ResolveResult

from providers import addresses
from providers.base import (
    REQUEST_SECONDS,
    Access,
    Adapter,
    Envelope,
    HttpRequest,
    HttpResponse,
    LookUp,
    LookUpAnswer,
    NoAnswer,
    NotSent,
    Outcome,
    SendRequest,
    Unknown,
)
from providers.connection import MAX_ANSWER_BYTES, Connection
from providers.leaving import (
    TOO_LATE,
    UNREACHABLE,
    Announce,
    Closed,
    NotBuilt,
    Target,
    alike,
    go_ahead,
    is_late,
    name_of,
    not_built,
    not_connected,
)
from providers.listing import InboundPage, InboundQuery
from providers.mail import Post

CONNECT_SECONDS = 5.0
SHORTEST_CONNECT = 0.01
KEEP_SECONDS = 4  # some servers close an idle connection after five
KEEP_ADDRESSES = 30.0  # seconds
NEXT_ADDRESS_AFTER = 0.25  # seconds; RFC 8305
USER_AGENT = "Sendonce/1"
FORM = "application/x-www-form-urlencoded"
MAX_LISTING_BYTES = 1024 * 1024  # a page of a hundred long texts


class Transport:
    """Made and closed inside a running loop. How many requests run at once is the caller's rule."""

    def __init__(
        self, *, request_seconds: float = REQUEST_SECONDS, connect_seconds: float = CONNECT_SECONDS
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolver = addresses.GuardedResolver()
        self._resolved: dict[Target, tuple[float, list[aiohappyeyeballs.AddrInfoType]]] = {}
        self._idle: defaultdict[Target, deque[Connection]] = defaultdict(deque)
        self._is_closed = False
        self._request_seconds = request_seconds
        self._connect_seconds = connect_seconds
        self._post = Post(self._reach, lambda: self._tls, request_seconds=request_seconds)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made when first needed: to read the certificates of all authorities takes a while."""
        return ssl.create_default_context()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._is_closed = True
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()
        self._post.close()
        await asyncio.sleep(0)  # uvloop closes them in the next turn

    async def send(
        self,
        adapter: Adapter,
        sends: Sequence[SendRequest],
        access: Access,
        *,
        write_by: float | None = None,
        announce: Announce = go_ahead,
    ) -> dict[str, Outcome]:
        """Send once; one outcome by ref for every send. Raises what `announce` raises, no more.

        `announce` is called when there is a connection, just before the request is written; what it
        returns is the outcome, and nothing is sent. `write_by` is the monotonic second after which
        nothing is written any more.
        """
        try:
            request = adapter.build_request(sends, access)
            wired = request if isinstance(request, Envelope) else _wire(request, access)
        except Exception as error:  # noqa: BLE001
            return alike(sends, not_built(error))
        if is_late(write_by):
            return alike(sends, TOO_LATE)
        if isinstance(wired, Envelope):
            return await self._post.send(
                adapter, sends, wired, access, write_by=write_by, announce=announce
            )
        response = await self._exchange(*wired, write_by=write_by, announce=announce)
        return (
            _judge(adapter, sends, response)
            if isinstance(response, HttpResponse)
            else alike(sends, response)
        )

    async def _exchange(
        self, target: Target, request: bytes, *, write_by: float | None, announce: Announce
    ) -> HttpResponse | NotSent | Unknown:
        began = time.monotonic()
        try:
            connection = self._kept(target) or await self._connect(target, write_by)
        except Exception as error:  # noqa: BLE001
            return not_connected(error, began, write_by)
        if not connection.is_usable:  # they closed it before it was written to
            return UNREACHABLE
        refusal = announce() or (TOO_LATE if is_late(write_by) else None)
        if refusal is not None:
            self._keep(target, connection)
            return refusal
        try:
            response = await connection.exchange(request, seconds=self._request_seconds)
        except Exception as error:  # noqa: BLE001
            return Unknown(name_of(error))
        self._keep(target, connection)
        return response

    async def look_up(self, adapter: Adapter, look_up: LookUp, access: Access) -> LookUpAnswer:
        """Ask whether a send was taken. Raises nothing but CancelledError."""
        try:
            request = adapter.build_look_up(look_up, access)
            if request is None:
                return NoAnswer("look_up_not_offered")
            return adapter.read_look_up(look_up, await self._ask(request, access))
        except Exception as error:  # noqa: BLE001
            return NoAnswer(name_of(error))

    async def list_inbound(
        self, adapter: Adapter, query: InboundQuery, access: Access
    ) -> InboundPage | NoAnswer:
        """Ask for a page of the texts that came in. Raises nothing but CancelledError."""
        try:
            request = adapter.build_inbound_listing(query, access)
            if request is None:
                return NoAnswer("listing_not_offered")
            response = await self._ask(request, access, most_bytes=MAX_LISTING_BYTES)
            return adapter.read_inbound_listing(query, response)
        except Exception as error:  # noqa: BLE001
            return NoAnswer(name_of(error))

    async def _ask(
        self, request: HttpRequest, access: Access, *, most_bytes: int = MAX_ANSWER_BYTES
    ) -> HttpResponse:
        """Once, a question that changes nothing there. Raises what stands in its way."""
        target, data = _wire(request, access)
        connection = self._kept(target) or await self._connect(target, None)
        seconds = self._request_seconds
        response = await connection.exchange(data, seconds=seconds, most_bytes=most_bytes)
        self._keep(target, connection)
        return response

    # --- connections ------------------------------------------------------------------------

    def _kept(self, target: Target) -> Connection | None:
        kept, oldest = self._idle[target], time.monotonic() - KEEP_SECONDS
        while kept and kept[0].idle_since < oldest:
            kept.popleft().close()
        while kept:
            connection = kept.pop()
            if connection.is_usable:
                return connection
        return None

    def _keep(self, target: Target, connection: Connection) -> None:
        if not connection.is_usable or self._is_closed:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle[target].append(connection)

    async def _connect(self, target: Target, write_by: float | None) -> Connection:
        """Raises Closed or an OSError, such as TimeoutError; no byte of a request has left."""
        if self._is_closed:
            raise Closed
        seconds = self._connect_seconds
        if write_by is not None:  # a connection that comes later is of no use
            seconds = max(SHORTEST_CONNECT, min(seconds, write_by - time.monotonic()))
        async with asyncio.timeout(seconds):
            return await self._greet(target, await self._reach(target))

    async def _reach(self, target: Target) -> socket.socket:
        return await aiohappyeyeballs.start_connection(
            await self._addresses(target),
            happy_eyeballs_delay=NEXT_ADDRESS_AFTER,
            loop=self._loop,
        )

    async def _greet(self, target: Target, found: socket.socket) -> Connection:
        make = partial(Connection, self._loop)
        try:
            tls, host = (self._tls, target.host) if target.is_tls else (None, None)
            _, connection = await self._loop.create_connection(
                make, sock=found, ssl=tls, server_hostname=host
            )
        except BaseException:
            found.close()
            raise
        return connection

    async def _addresses(self, target: Target) -> list[aiohappyeyeballs.AddrInfoType]:
        until, known = self._resolved.get(target, (0.0, []))
        if time.monotonic() < until:
            return known
        found: list[aiohappyeyeballs.AddrInfoType] = [
            (each["family"], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", _address(each))
            for each in await addresses.resolved(self._resolver, target.host, target.port)
        ]
        self._resolved[target] = (time.monotonic() + KEEP_ADDRESSES, found)
        return found


def _address(found: ResolveResult) -> tuple[str, int] | tuple[str, int, int, int]:
    if found["family"] == socket.AF_INET6:
        return found["host"], found["port"], 0, 0
    return found["host"], found["port"]


# --- the request ----------------------------------------------------------------------------------


def _wire(request: HttpRequest, access: Access) -> tuple[Target, bytes]:
    """Where it goes, and its bytes. Raises AddressRefused or NotBuilt."""
    body, content_type = _body(request)
    target, start = _start(
        request.method, request.url, request.auth, content_type, access.simulated
    )
    own = "".join(f"{name}: {_in_one_line(value)}\r\n" for name, value in request.headers.items())
    return target, b"%b%bContent-Length: %d\r\n\r\n%b" % (start, own.encode(), len(body), body)


def _body(request: HttpRequest) -> tuple[bytes, str]:
    if request.form is not None:
        return form_encoded(request.form), FORM
    if request.json is not None:
        return json.dumps(request.json).encode(), "application/json"
    return request.body or b"", ""


@lru_cache(maxsize=1024)
def _start(
    method: str, url: str, auth: tuple[str, str] | None, content_type: str, is_simulated: bool
) -> tuple[Target, bytes]:
    """What is the same for all requests of an account. Raises AddressRefused or NotBuilt."""
    parsed = addresses.allowed(url, simulated=is_simulated)
    port = parsed.port or 0
    lines = [
        f"{method} {parsed.raw_path_qs} HTTP/1.1",
        f"Host: {parsed.host_port_subcomponent}",
        f"User-Agent: {USER_AGENT}",
        "Accept: */*",
        "Accept-Encoding: identity",
    ]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    if auth is not None:
        lines.append(f"Authorization: {_basic(*auth)}")
    start = "".join(f"{_in_one_line(line)}\r\n" for line in lines)
    target = Target(parsed.host or "", port, parsed.scheme == "https")
    return target, start.encode("latin-1")


def _basic(name: str, password: str) -> str:
    """RFC 7617; a provider's ids and keys are ASCII."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode('latin-1')).decode()}"


def _in_one_line(value: str) -> str:
    if not {"\r", "\n", "\0"}.isdisjoint(value):
        raise NotBuilt("a header has a line break")
    return value


class _Escapes(dict[str, str]):
    def __missing__(self, character: str) -> str:
        self[character] = escaped = quote(character, safe="")
        return escaped


_ESCAPES = _Escapes()
_escape_unsafe = partial(re.compile(r"[^A-Za-z0-9_.~ -]").sub, lambda found: _ESCAPES[found[0]])


def form_encoded(form: Mapping[str, str]) -> bytes:
    """As urlencode, which was a sixth of the whole request, in a third of its time."""
    pairs = [f"{name}={_escape_unsafe(value).replace(' ', '+')}" for name, value in form.items()]
    return "&".join(pairs).encode()


# --- the answer -----------------------------------------------------------------------------------


def _judge(
    adapter: Adapter, sends: Sequence[SendRequest], response: HttpResponse
) -> dict[str, Outcome]:
    status = response.status
    if status == 429:
        return alike(sends, NotSent("429", throttled=True, retry_after=_retry_after(response)))
    if not (200 <= status < 300 or 400 <= status < 500) or status == 408:
        return alike(sends, Unknown(str(status)))
    try:
        outcomes = adapter.read_response(sends, response)
    except Exception as error:  # noqa: BLE001
        return alike(sends, Unknown(f"{status} {name_of(error)}"))
    return {send.ref: _completed(outcomes.get(send.ref), response) for send in sends}


def _completed(outcome: Outcome | None, response: HttpResponse) -> Outcome:
    if outcome is None:
        return Unknown(f"{response.status} without an outcome")
    if isinstance(outcome, NotSent) and outcome.throttled and outcome.retry_after is None:
        return replace(outcome, retry_after=_retry_after(response))
    return outcome


def _retry_after(response: HttpResponse) -> float | None:
    """Seconds to wait, from Retry-After as seconds or as a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else None
