"""The simulated providers: one process that takes messages as they would, and keeps its own ledger.

It knows nothing of our tables; what it received stands in its ledger file, which is written before
it answers. A further provider is a class like TwilioWire and a line in WIRES. Reports of messages
and texts that come in are posted by `simulator_callbacks.py`, when it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from providers.simulator_behaviour import Behaviour, Ending, Verdict
from providers.simulator_callbacks import Callbacks
from providers.simulator_control import BadControl, obey
from providers.simulator_endings import finish, finish_all
from providers.simulator_generic import GenericWire
from providers.simulator_http import Connection, Request, json_response, moved, with_header
from providers.simulator_ledger import Ledger, LedgerBroken, LedgerEntry, Submission
from providers.simulator_mail import Desk
from providers.simulator_mail_faults import Faults
from providers.simulator_mailbox import Mailboxes
from providers.simulator_phone import Phones
from providers.simulator_pineapple import PineAppleWire
from providers.simulator_plivo import PlivoWire
from providers.simulator_simpletexting import SimpleTextingWire
from providers.simulator_sinch import SinchWire
from providers.simulator_slooce import SlooceWire
from providers.simulator_smtp import SMTP_WIRE
from providers.simulator_textback import TextBackWire
from providers.simulator_textback_query import TextBackQueryWire
from providers.simulator_twilio import TwilioWire
from providers.simulator_vonage_messages import VonageMessagesWire
from providers.simulator_vonage_sms import VonageSmsWire
from providers.simulator_wire import Wire

HOST = "127.0.0.1"
PARENT_CHECK_SECONDS = 0.5

WIRES: tuple[Wire, ...] = (
    TwilioWire(),
    PlivoWire(),
    SinchWire(),
    SimpleTextingWire(),
    SlooceWire(),
    TextBackWire(),
    TextBackQueryWire(),
    GenericWire(),
    PineAppleWire(),
    VonageSmsWire(),
    VonageMessagesWire(),
    SMTP_WIRE,
)


class Simulator:
    """Made inside the running loop. Answers leave after their ledger lines are written."""

    def __init__(self, ledger_path: Path, *, latency: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._latency_at_start = latency
        self._ledger = Ledger(ledger_path)
        self._salt = secrets.randbits(64)
        self._last_taken: dict[str, Sequence[LedgerEntry]] = {}  # by the provider's name
        self._connections = 0
        self._open_ones: set[Connection] = set()
        self._outbox: list[tuple[float, Connection, bytes, Ending]] = []
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._behaviour = Behaviour(self._loop.time, latency=latency)
        self._callbacks = Callbacks(self._ledger, WIRES, broken=self._break)
        self.mail = Desk(
            self._ledger,
            self._callbacks,
            lambda: self._behaviour,
            salt=self._salt,
            broken=self._break,
        )
        self._mailboxes = Mailboxes(
            ledger=self._ledger, say=self._callbacks.say, follow=self._callbacks.follow
        )
        self._phones = Phones(
            ledger=self._ledger, answer=self._callbacks.answer, heard=self._callbacks.heard
        )

    def reset(self) -> None:
        """Behave as at the start; the ledger stays."""
        self._behaviour = Behaviour(self._loop.time, latency=self._latency_at_start)
        self._callbacks.reset()
        self.mail.faults = Faults()

    def connection(self) -> Connection:
        self._connections += 1
        return Connection(self._handle, self._open_ones)

    def end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _break(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    async def close(self) -> None:
        """Drop every connection, answered or not; uvloop cannot end with one open."""
        await self._callbacks.close()
        await self.mail.close()
        for connection in list(self._open_ones):
            connection.abort()
        while self._open_ones:
            await asyncio.sleep(0)
        self._ledger.close()

    def _handle(self, request: Request, connection: Connection) -> None:
        if request.path.startswith("/control"):
            self._later(0.0, connection, self._control(request), Ending.ANSWER)
            return
        if request.path.startswith("/phone"):
            self._later(0.0, connection, self._phones.handle(request), Ending.ANSWER)
            return
        if request.path.startswith("/mail"):
            self._later(0.0, connection, self._mailboxes.handle(request), Ending.ANSWER)
            return
        for wire in WIRES:
            if request.path.startswith(wire.prefix):
                self._serve(wire, request, connection)
                return
        nothing = json_response(404, {"error": "no provider has this path"})
        self._later(0.0, connection, nothing, Ending.ANSWER)

    def _serve(self, wire: Wire, request: Request, connection: Connection) -> None:
        latency = self._behaviour.latency
        if request.method == "GET" and not wire.sends_by_get:
            self._later(latency, connection, self._asked(wire, request), Ending.ANSWER)
            return
        sent = wire.read(request)
        if sent is None:
            self._later(latency, connection, wire.not_found(), Ending.ANSWER)
            return
        objection = wire.objection(request, sent)
        if objection is not None:
            self._note(wire, sent, Verdict("refused_request", took=False))
            self._later(latency, connection, objection, Ending.ANSWER)
            return
        verdict = self._behaviour.judge(sent, learns_later=wire.learns_later)
        entries = self._note(wire, sent, verdict)
        answer = self._answer(wire, request, entries, verdict)
        go = partial(self._later, latency + verdict.delay, connection, answer, verdict.ending)
        taken = entries if verdict.took else ()
        held = [self._callbacks.taken(wire, entry, request) for entry in taken]
        waits = [one for one in held if one is not None]
        if waits:
            asyncio.gather(*waits).add_done_callback(lambda _: go())
        else:
            go()

    def _asked(self, wire: Wire, request: Request) -> bytes:
        listed = wire.list_inbound(request, self._callbacks.mailbox, self._ledger)
        return wire.look_up(request, self._ledger) if listed is None else listed

    def _answer(
        self, wire: Wire, request: Request, entries: Sequence[LedgerEntry], verdict: Verdict
    ) -> bytes:
        if verdict.refusal is not None:
            refused = wire.refused(verdict.refusal, [entry.submission for entry in entries])
            wait = verdict.retry_after
            return refused if wait is None else with_header(refused, "Retry-After", str(wait))
        if verdict.ending is Ending.MOVED:
            return moved(request.path)
        if verdict.ending is Ending.ANOTHERS:
            return wire.accepted(self._last_taken.get(wire.name, entries))
        self._last_taken[wire.name] = entries
        return wire.accepted(entries)

    def _note(
        self, wire: Wire, sent: Sequence[Submission], verdict: Verdict
    ) -> Sequence[LedgerEntry]:
        ref = wire.provider_ref(self._salt, self._ledger.next_seq) if verdict.took else ""
        name, took = verdict.name, verdict.took
        return [self._ledger.note(one, verdict=name, took=took, provider_ref=ref) for one in sent]

    def _later(self, delay: float, connection: Connection, answer: bytes, ending: Ending) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append((delay, connection, answer, ending))

    def _flush(self) -> None:
        """Write the ledger lines of this turn of the loop, then let the answers go."""
        outbox, self._outbox = self._outbox, []
        try:
            self._ledger.flush()
        except LedgerBroken as error:
            self._break(error)
            return
        delayed: dict[float, list[tuple[Connection, bytes, Ending]]] = {}
        for delay, connection, answer, ending in outbox:
            if delay:
                delayed.setdefault(delay, []).append((connection, answer, ending))
            else:
                finish(connection, answer, ending)
        for delay, answers in delayed.items():
            self._loop.call_later(delay, finish_all, answers)

    def _control(self, request: Request) -> bytes:
        if request.path == "/control/reset" and request.method == "POST":
            self.reset()
        elif request.path != "/control":
            return json_response(404, {"error": "POST /control, POST /control/reset, GET /control"})
        elif request.method == "POST":
            try:
                orders = {
                    **self._behaviour.orders(),
                    **self._callbacks.orders(),
                    "mail": self.mail.faults.order,
                }
                answer = obey(json.loads(request.body), orders)
                if answer is not None:
                    return json_response(200, answer)
            except BadControl as error:
                return json_response(400, {"error": str(error)})
            except (ValueError, RecursionError):
                return json_response(400, {"error": "the command is not JSON"})
        return json_response(200, self._state())

    def _state(self) -> dict[str, object]:
        behaviour = self._behaviour
        return {
            "latency_ms": behaviour.latency * 1000,
            "rules": [asdict(rule) for rule in behaviour.rules],
            "throttles": [
                {"of": scope, "name": name, "per_second": limit.per_second, "burst": limit.burst}
                for (scope, name), limit in behaviour.limits.items()
            ],
            "verdicts": dict(behaviour.counters),
            "requests_in_ledger": self._ledger.next_seq - 1,
            "connections": self._connections,
            "callbacks": self._callbacks.state(),
            "mail": self.mail.state(),
        }


async def serve(
    *,
    port: int,
    ledger_path: Path,
    mail_port: int | None = None,
    latency: float = 0.0,
    ends_with_parent: bool = False,
    ready: Callable[[int, int | None], None],
) -> None:
    """Serve until SIGTERM or SIGINT, or the parent's end; mail only where it has a port.

    Raises OSError when a port cannot be had, LedgerBroken when the ledger cannot be written.
    """
    loop = asyncio.get_running_loop()
    simulator = Simulator(ledger_path, latency=latency)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, simulator.end)
    if ends_with_parent:
        _end_without(os.getppid(), simulator)
    try:
        server = await loop.create_server(simulator.connection, HOST, port, backlog=1024)
        with contextlib.closing(server):
            async with _mail_server(simulator, mail_port) as mail_port:
                ready(server.sockets[0].getsockname()[1], mail_port)
                await simulator.ended
    finally:
        await simulator.close()


@contextlib.asynccontextmanager
async def _mail_server(simulator: Simulator, port: int | None) -> AsyncIterator[int | None]:
    """Its port, None where there is to be none."""
    if port is None:
        yield None
        return
    loop = asyncio.get_running_loop()
    server = await loop.create_server(simulator.mail.connection, HOST, port, backlog=1024)
    with contextlib.closing(server):
        yield server.sockets[0].getsockname()[1]


def _end_without(parent: int, simulator: Simulator) -> None:
    """Look every half second whether the parent process is still there."""
    if os.getppid() != parent:
        simulator.end()
    else:
        loop = asyncio.get_running_loop()
        loop.call_later(PARENT_CHECK_SECONDS, _end_without, parent, simulator)
