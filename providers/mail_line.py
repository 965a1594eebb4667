"""One connection to a mail server: the greeting, and one message after another.

The dialogue is aiosmtplib's; its `data`, which hides the line between what is proven and what is
not, and its `login`, which tries one way after another, are not used. It knows no outcome.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, field

import aiosmtplib

from providers.base import Envelope, HttpResponse
from providers.leaving import Target

HELLO_SECONDS = 10.0  # until one may write: relays look up who calls before they greet
REPLY_SECONDS = 5.0  # to one command
MOST_MESSAGES = 100  # on one connection; relays end those that carry more
READY, LOGGED_IN, TAKEN, START_INPUT = 220, 235, 250, 354
DONE = frozenset({TAKEN, 251})  # 251: the recipient is elsewhere, they pass it on
WAYS_TO_PROVE = ("plain", "login", "cram-md5")  # the first one that they speak, over TLS

_stuff_dots = re.compile(rb"(?m)^\.").sub


class Refused(Exception):
    """A reply that ends what was begun."""

    def __init__(self, reply: HttpResponse) -> None:
        super().__init__(f"{reply.command} {reply.status}")
        self.reply = reply


class Unfit(Exception):
    """They lack what the account needs, such as TLS; the text is the code of it."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A mail server, and who we are there."""

    target: Target
    needs_tls: bool
    username: str
    password: str = field(repr=False)


class Line:
    """One connection to a relay. `is_dirty`: a transaction was begun and not ended."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._carried = 0
        self.is_dirty = False
        self.idle_since = 0.0  # monotonic seconds; for whoever keeps it

    @property
    def is_usable(self) -> bool:
        """Nothing unasked for may wait there: it would be taken for the next reply."""
        protocol = self._client.protocol
        is_open = protocol is not None and protocol.is_connected and not protocol._buffer
        return is_open and self._carried < MOST_MESSAGES

    async def command(self, name: str, *words: str) -> None:
        """Raises Refused, or an OSError where there is no reply."""
        parts = [part.encode("ascii") for part in (name, *words)]
        await _replied(name, self._client.execute_command(*parts), good=DONE)

    async def address(self, envelope: Envelope) -> None:
        """Say who it is from and to. Raises Refused or OSError."""
        self.is_dirty = True
        await self.command("MAIL", f"FROM:<{envelope.sender}>")
        await self.command("RCPT", f"TO:<{envelope.recipient}>")

    async def ask_to_write(self) -> None:
        """Raises Refused or OSError; of the message nothing has left then."""
        await _replied("DATA", self._client.execute_command(b"DATA"), good={START_INPUT})
        if not self.is_usable:
            self.close()
            raise ConnectionResetError

    async def write(self, message: bytes, *, seconds: float) -> HttpResponse:
        """Write all of the message, now, and wait for the final reply. Raises where none came."""
        protocol = self._client.protocol
        assert protocol is not None  # noqa: S101 - it is usable
        protocol.write(_stuff_dots(b"..", message) + b".\r\n")
        reply = await protocol.read_response(timeout=seconds)
        self._carried += 1
        self.is_dirty = False
        return HttpResponse(status=reply.code, headers={}, body=_bytes(reply.message), command=".")

    async def reset(self) -> None:
        """Forget what was begun. Raises Refused or OSError."""
        await self.command("RSET")
        self.is_dirty = False

    def end(self) -> None:
        """Say goodbye and wait for nothing."""
        with contextlib.suppress(OSError):
            if self._client.protocol is not None:
                self._client.protocol.write(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        self._client.close()


# --- the greeting ---------------------------------------------------------------------------------


async def greeted(relay: Relay, found: socket.socket, tls: Callable[[], ssl.SSLContext]) -> Line:
    """The connection when one may write over it. Raises Refused, Unfit or OSError.

    The socket is its own from then on, and closed where it fails.
    """
    wants_tls = relay.target.is_tls or relay.needs_tls
    client = aiosmtplib.SMTP(
        hostname=relay.target.host,
        sock=found,
        local_hostname=_literal(found),
        timeout=REPLY_SECONDS,
        use_tls=relay.target.is_tls,
        start_tls=False,
        tls_context=tls() if wants_tls else None,
    )
    try:
        await _greet(client, relay)
    except BaseException:
        client.close()
        raise
    return Line(client)


def _literal(found: socket.socket) -> str:
    """Our own end as EHLO names it, where there may be no name (RFC 5321, 4.1.3)."""
    address = found.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _greet(client: aiosmtplib.SMTP, relay: Relay) -> None:
    await _replied("CONNECT", client.connect(timeout=HELLO_SECONDS), good={READY})
    await _replied("EHLO", client.ehlo(), good=DONE)
    if relay.needs_tls and not relay.target.is_tls:
        if not client.supports_extension("starttls"):
            raise Unfit("tls_not_offered")
        await _replied("STARTTLS", client.starttls(timeout=HELLO_SECONDS), good={READY})
        await _replied("EHLO", client.ehlo(), good=DONE)
    if relay.username:
        await _log_in(client, relay)


async def _log_in(client: aiosmtplib.SMTP, relay: Relay) -> None:
    """By one way only: who is refused must not knock again, or the account is locked."""
    ways = {
        "plain": client.auth_plain,
        "login": client.auth_login,
        "cram-md5": client.auth_crammd5,
    }
    spoken = next((way for way in WAYS_TO_PROVE if way in client.server_auth_methods), None)
    if spoken is None:
        raise Unfit("login_not_offered")
    await _replied("AUTH", ways[spoken](relay.username, relay.password), good={LOGGED_IN})


# --- replies --------------------------------------------------------------------------------------


async def _replied(
    command: str, reply: Awaitable[aiosmtplib.SMTPResponse], *, good: Set[int]
) -> None:
    """Wait for the reply to a command. Raises Refused for any but a good one, or OSError."""
    try:
        code, text = await reply
    except aiosmtplib.SMTPResponseException as error:
        code, text = error.code, error.message
    if code not in good:
        raise Refused(
            HttpResponse(status=code, headers={}, body=_bytes(text), command=command)
        ) from None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
