"""What the simulated providers tell us unasked: reports of their messages, texts that come in.

It is off until told. What it posts stands in the ledger before it leaves.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from providers import segments
from providers.simulator_accounts import Accounts, check_here
from providers.simulator_behaviour import MAGIC, MODES
from providers.simulator_burst import Burst, read_burst
from providers.simulator_control import BadControl, Order, members, number, only
from providers.simulator_fates import (
    FORGERIES,
    Course,
    ReportOrders,
    Step,
    course_of,
    draws,
    read_report_orders,
)
from providers.simulator_http import Request
from providers.simulator_inbound import Inbox, Incoming, obstacle
from providers.simulator_journey import Journey, report_callback
from providers.simulator_ledger import Ledger, LedgerEntry
from providers.simulator_people import Heard as Heard
from providers.simulator_people import People, Reply, read_reply_orders
from providers.simulator_poster import Agenda, Callback, Post, Poster, Seal
from providers.simulator_smtp import ONE_CLICK
from providers.simulator_texts import Mailbox
from providers.simulator_wire import Fate, Report, Taken, Wire, credentials

MAX_RETRIES = 20
UNREPORTED = Course(steps=(), pause=0.0, is_before_answer=False, arrives=True)


class Callbacks:
    """`broken` is told what ends the simulator."""

    def __init__(
        self,
        ledger: Ledger,
        wires: Sequence[Wire],
        *,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._ledger = ledger
        self._wires = wires
        self._late_endings = {wire.name: _late_endings(wire) for wire in wires}
        self._salt = secrets.randbits(64)
        self._held: set[asyncio.Future[None]] = set()
        self._burst_task: asyncio.Task[None] | None = None
        self._poster = Poster(ledger, token_of=self._token, broken=broken)
        self._make()

    def _make(self) -> None:
        self._accounts = Accounts(self._wires)
        self._agenda = Agenda()
        self._inbox = Inbox(self._ledger, self._poster, self._accounts, salt=self._salt)
        self._reports: ReportOrders | None = None
        self._people = People()
        self._burst: Burst | None = None

    def reset(self) -> None:
        """As at the start: off, and nothing waits. What is being posted is posted to its end."""
        self._agenda.close()
        self._poster.reset()
        self._let_go()
        if self._burst_task is not None:
            self._burst_task.cancel()
        self._make()

    async def close(self) -> None:
        self._agenda.close()
        self._let_go()
        await self._poster.close()

    def _let_go(self) -> None:
        for held in self._held:
            if not held.done():
                held.set_result(None)
        self._held.clear()

    # --- what happens -----------------------------------------------------------------------

    def taken(
        self, wire: Wire, entry: LedgerEntry, request: Request | None = None
    ) -> asyncio.Future[None] | None:
        """A message is on its way. Its answer waits for the future, if there is one.

        The request may show a secret, where it came by one.
        """
        if request is not None:
            self._learn(wire, entry.submission.account, request)
        is_on = self._reports is not None or self._people.orders is not None
        if not is_on:
            return None
        url = self._address(wire, entry)
        message, course = _message_of(entry, url), self._course(wire, entry, url)
        held = None
        if course.is_before_answer and course.steps:
            held = asyncio.get_running_loop().create_future()
            self._held.add(held)
        journey = Journey(wire, message, course, self._agenda, self._poster, self._arrived, held)
        journey.go_on()
        return held

    def _learn(self, wire: Wire, name: str, request: Request) -> None:
        user, token = credentials(request.header(b"authorization"))
        if user == name:  # an API key's secret signs nothing
            self._accounts.find(wire, name).learnt_token = token

    def _address(self, wire: Wire, entry: LedgerEntry) -> str:
        if wire.names_callback_url:
            return entry.submission.callback_url
        return self._accounts.address(wire, entry.submission.account)

    def _course(self, wire: Wire, entry: LedgerEntry, url: str) -> Course:
        to, orders = entry.submission.to, self._reports
        if orders is None:
            return UNREPORTED
        nth = self._ledger.times_taken(to)
        has_old = wire.has_old_signature
        course = course_of(
            orders, to, nth=nth, has_old_signature=has_old, later=self._late_endings[wire.name]
        )
        steps = tuple(step for step in course.steps if _can_be_posted(step, wire))
        if Fate.DELAYED in wire.words and any(step.fate is Fate.EXPIRED for step in steps):
            steps = (Step(Fate.DELAYED), *steps)
        course = replace(course, steps=steps)
        if course.steps and not url:
            self._poster.left_out["no callback URL"] += 1
            return replace(course, steps=())
        return course

    def _arrived(self, journey: Journey) -> None:
        """The reports are through: let the answer go, and the person may write."""
        if journey.held is not None and not journey.held.done():
            journey.held.set_result(None)
            self._held.discard(journey.held)
        message = journey.message
        has_magic = self._reports is not None
        if not journey.course.arrives:
            return
        reply = self._people.reply_of(message.to, has_magic=has_magic)
        if reply is not None:
            write = partial(self._write, journey.wire, message, reply)
            self._agenda.add(self._people.delay, write)

    def _write(self, wire: Wire, message: Taken, reply: Reply) -> None:
        """A person answers the text."""
        said = wire.said_of(message, reply.text)
        if said is not None and not reply.is_forged:
            self._poster.post(Post(report_callback(wire, message, said)))
            return
        account = self._accounts.find(wire, message.account)
        seal = _reply_seal(wire, message, reply, self._reports)
        is_heard = wire.writes_to.fullmatch(message.sender)
        reason = obstacle(account, seal) if is_heard else "no number to write to"
        if reason:
            self._poster.left_out[reason] += 1
            return
        incoming = Incoming(
            account=account, sender=message.to, to=message.sender, text=reply.text, seal=seal
        )
        self._inbox.post(incoming, first=False)

    def _token(self, callback: Callback) -> str:
        return self._accounts.token(callback.wire, callback.account)

    def password_of(self, provider: str, account: str) -> str:
        """What was told as the account's secret, or nothing."""
        return self._accounts.token(self._accounts.wire_named(provider), account)

    @property
    def mailbox(self) -> Mailbox:
        return self._inbox.mailbox

    # --- the phones and mailboxes -----------------------------------------------------------

    def say(self, entry: LedgerEntry, report: Report, answered: Callable[[int], None]) -> None:
        """The owner of a mailbox does something about a message. Raises BadControl."""
        wire = self._accounts.wire_named(entry.submission.provider)
        message = _message_of(entry, self._address(wire, entry))
        if not message.url:
            raise BadControl(f"the account {message.account} has no inbound_url")
        self._poster.post(Post(report_callback(wire, message, report), answered), first=True)

    def follow(self, entry: LedgerEntry, url: str, answered: Callable[[int], None]) -> None:
        """Post the one click of a List-Unsubscribe header (RFC 8058). Raises BadControl."""
        check_here(url, "the address in List-Unsubscribe")
        wire = self._accounts.wire_named(entry.submission.provider)
        callback = report_callback(wire, _message_of(entry, url), ONE_CLICK)
        self._poster.post(Post(callback, answered), first=True)

    def answer(self, phone: str, to: str, text: str) -> str:
        """A person writes; the provider's id of it. Raises BadControl when it can go nowhere."""
        return self._inbox.answer(phone, to, text)

    def heard(self, phone: str) -> list[Heard]:
        return self._inbox.memory.of(phone)

    # --- what it is told --------------------------------------------------------------------

    def orders(self) -> dict[str, Order]:
        return {
            "account": self._accounts.order,
            "reports": self._order_reports,
            "replies": self._order_replies,
            "retries": self._order_retries,
            "pace": self._order_pace,
            "inbound": self._inbox.order,
            "burst": self._order_burst,
        }

    def _order_reports(self, command: dict[str, Any]) -> None:
        self._reports = read_report_orders(command)

    def _order_replies(self, command: dict[str, Any]) -> None:
        self._people = People(read_reply_orders(command))

    def _order_retries(self, command: dict[str, Any]) -> None:
        """{"retries": {"after_ms": [100, 200]}}: after each answer but 2xx; null: the providers'"""
        if command["retries"] is None:
            only(command, {"retries"})
            self._poster.retry_order = None
            return
        told = members(command, "retries")
        only(told, {"after_ms"})
        given = told.get("after_ms")
        if not isinstance(given, list) or len(given) > MAX_RETRIES:
            raise BadControl(f"after_ms must be a list of at most {MAX_RETRIES} numbers")
        waits = [number({"after_ms": wait}, "after_ms", at_least=0) / 1000 for wait in given]
        self._poster.retry_order = tuple(waits)

    def _order_pace(self, command: dict[str, Any]) -> None:
        self._poster.paces.order(command, self._wires)

    def _order_burst(self, command: dict[str, Any]) -> None:
        if self._burst is not None and self._burst.is_running:
            raise BadControl("a burst is running: wait for its end, or reset")
        burst = read_burst(command, self._accounts)
        self._burst = burst
        self._burst_task = self._poster.start(burst.run(self._poster))

    def state(self) -> dict[str, object]:
        poster, orders = self._poster, self._people.orders
        return {
            "accounts": self._accounts.state(),
            "reports": self._reports and asdict(self._reports),
            "replies": orders and asdict(orders),
            "retries": poster.retry_order and [wait * 1000 for wait in poster.retry_order],
            "paces": dict(poster.paces.orders),
            "posted": sum(poster.posted.values()),
            "posted_by_kind": dict(poster.posted),
            "answers": dict(poster.answers),
            "left_out": dict(poster.left_out),
            "waiting": len(self._agenda) + poster.waiting,
            "retrying": poster.retrying,
            "in_flight": poster.in_flight,
            "burst": self._burst and self._burst.state(),
        }


def _late_endings(wire: Wire) -> Mapping[str, Fate]:
    """By the recipient's last digits: what this provider only reports, where others say it."""
    endings = {}
    for digits, mode in MAGIC.items():
        refusal = MODES[mode].refusal
        if refusal is not None and refusal in wire.learns_later:
            endings[digits] = wire.learns_later[refusal]
    return endings


def _can_be_posted(step: Step, wire: Wire) -> bool:
    """A fate that the provider has no word for is not reported, and no seal forged that it lacks.

    Half a report is known for what it is without one, but for half a mail.
    """
    is_forgery = step.seal in FORGERIES and not wire.signs_callbacks
    is_read = step.seal is Seal.TRUNCATED and wire.reads_in_halves
    return step.fate in wire.words and not is_forgery and not is_read


def _message_of(entry: LedgerEntry, url: str) -> Taken:
    sent = entry.submission
    return Taken(
        account=sys.intern(sent.account),
        ref=sent.ref,
        provider_ref=entry.provider_ref,
        sender=sys.intern(sent.from_value),
        to=sent.to,
        url=url,
        segments=segments.count(sent.text).parts,
        request_ref=sent.request_ref,
        taken_at=entry.received_at,
        bounces_to=sent.bounces_to,
    )


def _reply_seal(wire: Wire, message: Taken, reply: Reply, orders: ReportOrders | None) -> Seal:
    """Who is drawn for the older signature has it; a forger has nothing that it could change."""
    *_, forgery, old = draws(f"seal {message.to}")
    if reply.is_forged:
        return Seal.WRONG if forgery < 0.5 else Seal.NONE
    is_old = orders is not None and wire.has_old_signature and old < orders.v2
    return Seal.OLD if is_old else Seal.GENUINE
