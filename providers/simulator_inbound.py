"""Texts that come in: what a phone sends to one of the numbers, posted as its provider does."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from providers.simulator_accounts import Account, Accounts
from providers.simulator_control import BadControl, flag, members, only, required, text, whole
from providers.simulator_ledger import Ledger
from providers.simulator_people import Heard, Memory, checked_text
from providers.simulator_poster import GENUINE, Callback, Post, Poster, Seal
from providers.simulator_texts import Mailbox
from providers.simulator_wire import KEYWORD, NUMBER, Inbound

MAX_TIMES = 1_000
REMEMBERED = 10_000  # texts whose repeats are counted
SIGNED_TEXT = "Thanks"  # what a forger had before it changed the text
FORGERIES = {"wrong": Seal.WRONG, "none": Seal.NONE, "changed": Seal.CHANGED}
MEMBERS = {
    *("from", "to", "text", "times", "forged", "v2", "provider_ref", "account", "provider"),
    "lost",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A text from a phone to a number of ours."""

    account: Account
    sender: str
    to: str
    text: str
    provider_ref: str = ""  # empty: a new one
    seal: Seal = Seal.GENUINE
    times: int = 1
    is_lost: bool = False  # the provider has it, and its webhook never gets here


class Inbox:
    """Posts texts that come in, and remembers what each phone sent."""

    def __init__(self, ledger: Ledger, poster: Poster, accounts: Accounts, *, salt: int) -> None:
        self._ledger = ledger
        self._poster = poster
        self._accounts = accounts
        self._salt = salt
        self._posted: OrderedDict[str, Callback] = OrderedDict()  # the last ones, by their id
        self.memory = Memory()
        self.mailbox = Mailbox()

    def order(self, command: dict[str, Any]) -> dict[str, object]:
        """{"inbound": {"from": …, "to": …, "text": …, …}}"""
        told = members(command, "inbound")
        only(told, MEMBERS)
        sender, to = _number(told, "from"), required(told, "to")
        if not KEYWORD.fullmatch(to):
            _number(told, "to")
        words = text(told, "text")
        if words is None:
            raise BadControl("text is missing")
        times = whole({"times": 1, **told}, "times", at_least=1)
        if times > MAX_TIMES:
            raise BadControl(f"times must be at most {MAX_TIMES:,}")
        account = self._account(told, to)
        if not account.wire.writes_to.fullmatch(to):
            raise BadControl(f"at {account.wire.name} nobody can write to {to}")
        incoming = Incoming(
            account=account,
            sender=sender,
            to=to,
            text=checked_text(words),
            provider_ref=checked_text(text(told, "provider_ref") or ""),
            seal=_seal(told),
            times=times,
            is_lost=flag(told, "lost", default=False),
        )
        provider_ref, callbacks = self.post(incoming)
        return {"provider_ref": provider_ref, "callbacks": callbacks}

    def answer(self, sender: str, to: str, words: str) -> str:
        """A person answers; its provider_ref. Raises BadControl when it can go nowhere."""
        command = {"inbound": {"from": sender, "to": to, "text": words}}
        return str(self.order(command)["provider_ref"])

    def post(self, incoming: Incoming, *, first: bool = True) -> tuple[str, list[int]]:
        """Post it, before all that waits or after; its provider_ref, its numbers in the ledger.

        Raises BadControl when it can go nowhere.
        """
        why_not = obstacle(incoming.account, incoming.seal)
        if why_not:
            raise BadControl(f"the account {incoming.account.name} has {why_not}")
        number, wire = self._ledger.next_callback(), incoming.account.wire
        ref = incoming.provider_ref or wire.inbound_ref(self._salt, number)
        if incoming.seal in GENUINE:
            self.mailbox.keep(wire.name, _inbound(incoming, ref))
        if incoming.is_lost or incoming.account.loses_texts:
            self.memory.add(incoming.sender, Heard(time.time(), incoming.to, incoming.text))
            self._poster.left_out["its webhook was lost"] += 1
            return ref, []
        callbacks = self._callbacks(incoming, ref) * incoming.times
        numbers = [number, *(self._ledger.next_callback() for _ in callbacks[1:])]
        heard = Heard(time.time(), incoming.to, incoming.text)
        if incoming.seal in GENUINE:
            self.memory.add(incoming.sender, heard)
        posts = [
            Post(callback, partial(_heard, heard), number=number, is_told_each=True)
            for callback, number in zip(callbacks, numbers, strict=True)
        ]
        for post in reversed(posts) if first else posts:
            self._poster.post(post, first=first)
        return ref, numbers

    def _callbacks(self, incoming: Incoming, ref: str) -> list[Callback]:
        pieces = incoming.account.wire.pieces(_inbound(incoming, ref))
        return [self._callback(incoming, piece) for piece in pieces]

    def _callback(self, incoming: Incoming, inbound: Inbound) -> Callback:
        account, wire, ref = incoming.account, incoming.account.wire, inbound.provider_ref
        form = wire.inbound_form(inbound)
        signed = wire.inbound_form(replace(inbound, text=SIGNED_TEXT))
        callback = Callback(
            wire=wire,
            account=account.name,
            kind="inbound",
            url=account.inbound_url,
            form=form,
            what=_what(incoming, inbound),
            seal=incoming.seal,
            signed_form=signed if incoming.seal is Seal.CHANGED else {},
        )
        earlier = self._posted.get(ref)
        if callback.seal in GENUINE:
            callback.copies = earlier.copies if earlier else 0
            self._remember(ref, callback)
        return callback

    def _remember(self, ref: str, callback: Callback) -> None:
        self._posted[ref] = callback
        self._posted.move_to_end(ref)
        if len(self._posted) > REMEMBERED:
            self._posted.popitem(last=False)

    def _account(self, told: dict[str, Any], to: str) -> Account:
        name, provider = text(told, "account"), text(told, "provider")
        if name:
            return self._accounts.named(name, provider=provider)
        found = self._ledger.account_of(to)
        if found is None:
            raise BadControl(f"nothing was sent from {to} yet: give the account")
        return self._accounts.find(self._accounts.wire_named(found[0]), found[1])


def obstacle(account: Account, seal: Seal = Seal.GENUINE) -> str:
    """What this account lacks for a text to come in; nothing when it can."""
    if not account.inbound_url:
        return "no inbound_url"
    if seal not in GENUINE and not account.wire.signs_callbacks:
        return "no signature to forge"
    return "" if account.can_sign else "no token known"


def _inbound(incoming: Incoming, ref: str) -> Inbound:
    return Inbound(
        account=incoming.account.name,
        provider_ref=ref,
        sender=incoming.sender,
        to=incoming.to,
        text=incoming.text,
    )


def _heard(heard: Heard, answer: int) -> None:
    heard.answer = answer


def _what(incoming: Incoming, inbound: Inbound) -> tuple[str, str]:
    account, is_genuine = incoming.account, incoming.seal in GENUINE
    return (
        f'"provider":{quoted(account.wire.name)},"account":{quoted(account.name)},'
        f'"genuine":{"true" if is_genuine else "false"}',
        f'"provider_ref":{quoted(inbound.provider_ref)},"from":{quoted(inbound.sender)},'
        f'"to":{quoted(inbound.to)},"text":{quoted(inbound.text)}',
    )


def _number(told: dict[str, Any], name: str) -> str:
    number = required(told, name)
    if not NUMBER.fullmatch(number):
        raise BadControl(f"{name} must be a number like +15550100123, or a short code")
    return number


def _seal(told: dict[str, Any]) -> Seal:
    """`forged` is true, false, or how: wrong, none or changed."""
    how = told.get("forged", False)
    if isinstance(how, bool):
        how = "wrong" if how else ""
    if how and (not isinstance(how, str) or how not in FORGERIES):
        raise BadControl(f"forged must be true, false or one of {', '.join(FORGERIES)}")
    is_old = flag(told, "v2", default=False)
    if how:
        return FORGERIES[how]
    return Seal.OLD if is_old else Seal.GENUINE
