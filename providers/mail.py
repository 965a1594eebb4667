"""The e-mail half of the only socket: one message a transaction, no second try of any kind.

Up to the reply to DATA nothing of a message has left, so all that goes wrong is NotSent or a
refusal. From its first byte on only a final reply says what became of it (RFC 1047 tells of the
duplicates that any other belief makes): none, or one that anybody may say at any time, is Unknown.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence

from providers.addresses import allowed_for_mail, port_of
from providers.base import (
    Accepted,
    Access,
    Adapter,
    Envelope,
    Fault,
    HttpResponse,
    NotSent,
    Outcome,
    SendRequest,
    Unknown,
)
from providers.leaving import (
    TOO_LATE,
    Announce,
    Closed,
    Target,
    alike,
    is_late,
    name_of,
    not_connected,
)
from providers.mail_line import HELLO_SECONDS, TAKEN, Line, Refused, Relay, Unfit, greeted

KEEP_SECONDS = 4.0  # idle; as over HTTP
LEAVING = 421  # whatever was asked: they shut down

Outcomes = dict[str, Outcome]
Reach = Callable[[Target], Awaitable[socket.socket]]


class Post:
    """Made by the transport: `reach` is its way to a guarded address, `tls` its certificates."""

    def __init__(
        self, reach: Reach, tls: Callable[[], ssl.SSLContext], *, request_seconds: float
    ) -> None:
        self._reach = reach
        self._tls = tls
        self._request_seconds = request_seconds
        self._idle: defaultdict[Relay, deque[Line]] = defaultdict(deque)
        self._is_closed = False

    def close(self) -> None:
        self._is_closed = True
        for kept in self._idle.values():
            for line in kept:
                line.end()
        self._idle.clear()

    async def send(
        self,
        adapter: Adapter,
        sends: Sequence[SendRequest],
        envelope: Envelope,
        access: Access,
        *,
        write_by: float | None,
        announce: Announce,
    ) -> Outcomes:
        """As `Transport.send`. What is announced is the DATA command.

        A connection that is there too late for this message is kept for the next: to greet, agree
        on TLS and log in may take longer than any message waits.
        """
        began = time.monotonic()
        try:
            relay = _relay(envelope, access)
            line = await self._kept(relay) or await self._open(relay)
        except Exception as error:  # noqa: BLE001
            return _not_carried(adapter, sends, error, began)
        try:
            outcomes = await self._carry(line, adapter, sends, envelope, write_by, announce)
        except BaseException:
            line.close()
            raise
        self._keep(relay, line)
        return outcomes

    async def _carry(
        self,
        line: Line,
        adapter: Adapter,
        sends: Sequence[SendRequest],
        envelope: Envelope,
        write_by: float | None,
        announce: Announce,
    ) -> Outcomes:
        began = time.monotonic()
        if is_late(write_by):
            return alike(sends, TOO_LATE)
        try:
            await line.address(envelope)
        except Exception as error:  # noqa: BLE001
            return _not_carried(adapter, sends, error, began)
        refusal = announce() or (TOO_LATE if is_late(write_by) else None)
        if refusal is not None:
            return alike(sends, refusal)
        try:
            await line.ask_to_write()
        except Exception as error:  # noqa: BLE001
            return _not_carried(adapter, sends, error, began)
        if is_late(write_by):
            line.close()  # without the end of the message there is none (RFC 5321, 4.1.1.4)
            return alike(sends, TOO_LATE)
        try:
            reply = await line.write(envelope.message, seconds=self._request_seconds)
        except Exception as error:  # noqa: BLE001
            line.close()
            return alike(sends, Unknown(name_of(error)))
        if not _is_final(reply):
            line.close()
            return alike(sends, Unknown(str(reply.status)))
        return _ended(adapter, sends, reply)

    # --- connections ------------------------------------------------------------------------

    async def _kept(self, relay: Relay) -> Line | None:
        kept, oldest = self._idle[relay], time.monotonic() - KEEP_SECONDS
        while kept and kept[0].idle_since < oldest:
            kept.popleft().end()
        while kept:
            line = kept.pop()
            if line.is_usable and await _is_clean(line):
                return line
            line.close()
        return None

    def _keep(self, relay: Relay, line: Line) -> None:
        if not line.is_usable or self._is_closed:
            line.close() if line.is_dirty else line.end()
            return
        line.idle_since = time.monotonic()
        self._idle[relay].append(line)

    async def _open(self, relay: Relay) -> Line:
        """A connection over which one may write. Raises Closed, Refused, Unfit or OSError."""
        if self._is_closed:
            raise Closed
        async with asyncio.timeout(HELLO_SECONDS):
            found = await self._reach(relay.target)
            return await greeted(relay, found, self._tls)


def _relay(envelope: Envelope, access: Access) -> Relay:
    """Raises AddressRefused."""
    parsed = allowed_for_mail(envelope.url, simulated=access.simulated)
    return Relay(
        Target(parsed.host or "", port_of(parsed), parsed.scheme == "smtps"),
        needs_tls=not access.simulated,
        username=envelope.username,
        password=envelope.password,
    )


async def _is_clean(line: Line) -> bool:
    if line.is_dirty:
        try:
            await line.reset()
        except (Refused, OSError):
            return False
    return True


# --- outcomes -------------------------------------------------------------------------------------


def _is_refusal(reply: HttpResponse) -> bool:
    return 400 <= reply.status < 600


def _not_carried(
    adapter: Adapter, sends: Sequence[SendRequest], error: Exception, began: float
) -> Outcomes:
    """What is to be said when nothing of the message has left."""
    if isinstance(error, Unfit):
        return alike(sends, NotSent(str(error), fault=Fault.ACCOUNT))
    if not isinstance(error, Refused):
        return alike(sends, not_connected(error, began, None))
    reply = error.reply
    if not _is_refusal(reply):
        return alike(sends, NotSent(f"{reply.command} {reply.status}", unreachable=True))
    otherwise = NotSent(str(reply.status))
    try:
        said = adapter.read_response(sends, reply)
    except Exception:  # noqa: BLE001
        return alike(sends, otherwise)
    return {send.ref: _denial(said.get(send.ref), otherwise) for send in sends}


def _denial(outcome: Outcome | None, otherwise: NotSent) -> Outcome:
    return otherwise if outcome is None or isinstance(outcome, Accepted | Unknown) else outcome


def _is_final(reply: HttpResponse) -> bool:
    """Who shuts down says 421 to whatever came (RFC 5321, 3.8); else 250, 4xx and 5xx are clear."""
    return reply.status == TAKEN or (_is_refusal(reply) and reply.status != LEAVING)


def _ended(adapter: Adapter, sends: Sequence[SendRequest], reply: HttpResponse) -> Outcomes:
    """What the final reply to the end of a message says."""
    try:
        said = adapter.read_response(sends, reply)
    except Exception as error:  # noqa: BLE001
        return alike(sends, Unknown(f"{reply.status} {name_of(error)}"))
    nothing = Unknown(f"{reply.status} without an outcome")
    return {send.ref: said.get(send.ref, nothing) for send in sends}
