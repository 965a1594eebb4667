"""The simulated mail server: a relay's SMTP in the simulator's process, on a port of its own.

The dialogue is aiosmtpd's. A message is in the ledger when its last line has come and before any
answer leaves, once, whatever that answer is. Who is known by a user name and password has them
checked where the account's were told; who logs in not at all is known by the domain it bounces to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from email.utils import parseaddr
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from providers.simulator_behaviour import Behaviour, Ending, Refusal, Verdict
from providers.simulator_callbacks import Callbacks
from providers.simulator_ledger import RETURN_PATH, Ledger, LedgerBroken, LedgerEntry, Submission
from providers.simulator_mail_faults import Faults
from providers.simulator_smtp import SMTP_WIRE

NAME = "relay.example.com"
LARGEST = 128 * 1024  # bytes of a message
DRIP_SECONDS = 0.05
PADDING = b" " * 1_000_000

REFUSALS = {
    Refusal.INVALID_RECIPIENT: "550 5.1.1 Recipient address rejected: User unknown",
    Refusal.LANDLINE: "552 5.2.2 Mailbox full",
    Refusal.OPTED_OUT: "550 5.7.1 Recipient refuses mail of this kind",
    Refusal.THROTTLED: "450 4.7.1 Too many messages, slow down",
    Refusal.UNAUTHORISED: "530 5.7.0 Authentication required",
    Refusal.UNAVAILABLE: "421 4.3.2 Service shutting down",
}
# Who refuses by its last word has not taken it; an HTTP provider with a 500 may have.
REFUSED_AT_THE_END = Verdict("refused_451", took=False, refusal=Refusal.SERVER_ERROR)
QUEUE_IS_BROKEN = "451 4.3.0 Error: queue file write error"

logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it names every address


class Talk(SMTP):
    """One client; the simulator counts it as long as it is connected."""

    def __init__(self, desk: Desk, **options: Any) -> None:
        super().__init__(desk, **options)
        self.desk = desk
        self.account = ""
        self.verdict = Verdict("", took=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.desk.come(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.desk.go(self)

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._handler_coroutine

    async def push(self, status: Any) -> None:
        await super().push(status)
        if status[:3] in ("421", b"421"):
            self.hang_up()

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def drop(self) -> None:
        """Now, whatever is still to be written."""
        if self.transport is not None:
            cast("asyncio.WriteTransport", self.transport).abort()

    async def _handle_client(self) -> None:
        if reply := await self.desk.fault_at("connect", self):
            await self.push(reply)
            self.hang_up()
            return
        await super()._handle_client()

    async def smtp_AUTH(self, arg: str) -> None:
        if reply := await self.desk.fault_at("auth", self):
            await self.push(reply)
        else:
            await super().smtp_AUTH(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if reply := await self.desk.fault_at("data", self):
            await self.push(reply)
        elif self.desk.breaks_in_message(self):
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readline()
            await self.desk.fault_at("message", self)
        else:
            await super().smtp_DATA(arg)

    async def write_and_hang_up(self, data: bytes) -> None:
        self._writer.write(data)
        self.hang_up()
        await gone()


class Desk:
    """What is said to the clients; aiosmtpd calls what begins with `handle_`."""

    def __init__(
        self,
        ledger: Ledger,
        callbacks: Callbacks,
        behaviour: Callable[[], Behaviour],
        *,
        salt: int,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._ledger = ledger
        self._callbacks = callbacks
        self._behaviour = behaviour
        self._salt = salt
        self._broken = broken
        self._last: LedgerEntry | None = None
        self._open_ones: set[Talk] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self.faults = Faults()

    def connection(self) -> Talk:
        return Talk(
            self,
            hostname=NAME,
            ident="Simulator",
            data_size_limit=LARGEST,
            auth_require_tls=False,
            authenticator=self._log_in,
            loop=asyncio.get_running_loop(),
        )

    def come(self, talk: Talk) -> None:
        self._connections += 1
        self._open_ones.add(talk)
        if talk.task is not None:
            self._tasks.add(talk.task)
            talk.task.add_done_callback(self._tasks.discard)

    def go(self, talk: Talk) -> None:
        self._open_ones.discard(talk)

    async def close(self) -> None:
        for talk in list(self._open_ones):
            talk.drop()
        while self._open_ones:
            await asyncio.sleep(0)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def state(self) -> dict[str, object]:
        return {"connections": self._connections, "faults": self.faults.state()}

    async def fault_at(self, stage: str, talk: Talk) -> str:
        """What it is told to say here; or it does not come back, for the client is to go."""
        told = self.faults.take(stage, talk.account)
        if told == "close":
            talk.hang_up()
        if told in {"close", "hang"}:
            await gone()
        return told

    def breaks_in_message(self, talk: Talk) -> bool:
        has_recipient = talk.envelope is not None and bool(talk.envelope.rcpt_tos)
        return has_recipient and self.faults.breaks("message", talk.account)

    def _log_in(
        self, talk: SMTP, session: Session, envelope: Envelope, way: str, told: LoginPassword
    ) -> AuthResult:
        name, password = told.login.decode(errors="replace"), told.password.decode(errors="replace")
        wanted = self._callbacks.password_of(SMTP_WIRE.name, name)
        is_good = bool(name and password) and wanted in {"", password}
        if is_good and isinstance(talk, Talk):
            talk.account = name
        return AuthResult(success=is_good, handled=False, auth_data=told)

    # --- the commands -----------------------------------------------------------------------

    async def handle_EHLO(
        self, talk: Talk, session: Session, envelope: Envelope, name: str, lines: list[str]
    ) -> list[str]:
        if reply := await self.fault_at("ehlo", talk):
            return [reply]
        session.host_name = name
        return lines

    async def handle_MAIL(
        self, talk: Talk, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        talk.account = talk.account or address.rpartition("@")[2]
        if reply := await self.fault_at("mail", talk):
            return reply
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, talk: Talk, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := await self.fault_at("rcpt", talk):
            return reply
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient a message, please"
        sent = _submission(talk, envelope, address)
        talk.verdict = self._judge(sent)
        if talk.verdict.refusal in REFUSALS:
            self._note(sent, talk.verdict)
            return REFUSALS[talk.verdict.refusal]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, talk: Talk, session: Session, envelope: Envelope) -> str:
        if reply := await self.fault_at("message", talk):
            return reply
        verdict, content = talk.verdict, envelope.original_content or b""
        sent = _submission(talk, envelope, envelope.rcpt_tos[0], content)
        entry = self._note(sent, verdict)
        if entry is None:
            return QUEUE_IS_BROKEN
        waits = self._callbacks.taken(SMTP_WIRE, entry) if verdict.took else None
        if waits is not None:
            await waits
        if delay := self._behaviour().latency + verdict.delay:
            await asyncio.sleep(delay)
        return await self._end(talk, entry, verdict)

    async def _end(self, talk: Talk, entry: LedgerEntry, verdict: Verdict) -> str:
        if verdict.refusal is not None:
            return QUEUE_IS_BROKEN
        answer = f"250 2.0.0 Ok: queued as {entry.provider_ref}"
        last, self._last = self._last, entry
        match verdict.ending:
            case Ending.CLOSE | Ending.HALF | Ending.HUGE:
                await talk.write_and_hang_up(_cut(answer, verdict.ending))
            case Ending.GARBAGE:
                return "<html>upstream said: \x00"
            case Ending.MOVED:
                return "251 2.1.5 User not local, will forward"
            case Ending.ANOTHERS if last is not None:
                return f"250 2.0.0 Ok: queued as {last.provider_ref}"
            case Ending.DRIP:
                await _drip(talk, answer)
        return answer

    def _judge(self, sent: Submission) -> Verdict:
        verdict = self._behaviour().judge([sent])
        return REFUSED_AT_THE_END if verdict.refusal is Refusal.SERVER_ERROR else verdict

    def _note(self, sent: Submission, verdict: Verdict) -> LedgerEntry | None:
        """In the file, or None where that is impossible, which ends the simulator."""
        wire = SMTP_WIRE
        ref = wire.provider_ref(self._salt, self._ledger.next_seq) if verdict.took else ""
        try:
            entry = self._ledger.note(
                sent, verdict=verdict.name, took=verdict.took, provider_ref=ref
            )
            self._ledger.flush()
        except LedgerBroken as error:
            self._broken(error)
            return None
        return entry


async def gone() -> None:
    """Until the connection is lost, which cancels who waits here."""
    await asyncio.Event().wait()


def _cut(answer: str, ending: Ending) -> bytes:
    """What of the answer goes out before the end of the connection."""
    if ending is Ending.HUGE:
        return answer.encode() + PADDING + b"\r\n"
    return answer[:7].encode() if ending is Ending.HALF else b""


async def _drip(talk: Talk, answer: str) -> None:
    """All but the last letters, a letter at a time; a client gives up before, or reads it whole."""
    for letter in answer:
        talk._writer.write(letter.encode())
        await asyncio.sleep(DRIP_SECONDS)
    talk._writer.write(b"\r\n")
    await gone()


def _submission(talk: Talk, envelope: Envelope, to: str, content: bytes = b"") -> Submission:
    """Before its words have come, who it is from is known by the domain that it bounces to."""
    bounces_to = envelope.mail_from or ""
    local, _, domain = bounces_to.rpartition("@")
    sent = Submission(
        SMTP_WIRE.name,
        talk.account,
        domain,
        to,
        "",
        ref=local.partition("+")[2],
    )
    if not content:
        return sent
    message = message_from_bytes(content)  # the newer policy takes five times as long to read it
    return replace(
        sent,
        from_value=parseaddr(str(message["From"] or ""))[1] or domain,
        text=plain_text(message),
        mail=f"{RETURN_PATH}<{bounces_to}>\r\n{content.decode(errors='surrogateescape')}",
    )


def plain_text(message: Message) -> str:
    """The first part that is plain text; empty where there is none."""
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            content = cast("bytes", part.get_payload(decode=True))
            text = content.decode(part.get_content_charset("us-ascii"), errors="replace")
            return text.replace("\r\n", "\n").removesuffix("\n")
    return ""
