"""What the simulator knows of the accounts: the secret to sign with, and where texts are posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from providers.simulator_control import BadControl, flag, members, only, required, text
from providers.simulator_poster import is_here
from providers.simulator_wire import Wire


@dataclass(slots=True)
class Account:
    wire: Wire
    name: str
    set_token: str = field(default="", repr=False)
    learnt_token: str = field(default="", repr=False)
    inbound_url: str = ""
    loses_texts: bool = False  # no webhook about a text that came in gets here

    @property
    def token(self) -> str:
        return self.set_token or self.learnt_token

    @property
    def can_sign(self) -> bool:
        """Also where nothing is signed."""
        return bool(self.token) or not self.wire.signs_callbacks


class Accounts:
    def __init__(self, wires: Sequence[Wire]) -> None:
        self._wires = wires
        self._known: dict[tuple[str, str], Account] = {}

    def find(self, wire: Wire, name: str) -> Account:
        """The account, known or new."""
        key = wire.name, name
        if key not in self._known:
            self._known[key] = Account(wire, name)
        return self._known[key]

    def token(self, wire: Wire, name: str) -> str:
        account = self._known.get((wire.name, name))
        return account.token if account else ""

    def address(self, wire: Wire, name: str) -> str:
        """Where all of its callbacks go that name no address; empty where none is known."""
        account = self._known.get((wire.name, name))
        return account.inbound_url if account else ""

    def wire_named(self, provider: str) -> Wire:
        for wire in self._wires:
            if wire.name == provider:
                return wire
        raise BadControl(f"provider must be one of {', '.join(wire.name for wire in self._wires)}")

    def named(self, name: str, *, provider: str | None = None) -> Account:
        """The account of this name. Raises BadControl when it is not clear whose it is."""
        if provider is not None:
            return self.find(self.wire_named(provider), name)
        known = [account for account in self._known.values() if account.name == name]
        if len(known) == 1:
            return known[0]
        for wire in self._wires:
            if name.startswith(wire.account_prefixes):
                return self.find(wire, name)
        raise BadControl(f"the provider of the account {name} is not known: give it, too")

    def order(self, command: dict[str, Any]) -> None:
        """{"account": {"name": …, "provider": …, "token": …, "inbound_url": …,
        "loses_texts": …}}
        """
        told = members(command, "account")
        only(told, {"name", "provider", "token", "inbound_url", "loses_texts"})
        name, provider = required(told, "name"), text(told, "provider")
        token, url = text(told, "token"), text(told, "inbound_url")
        if token is None and url is None and "loses_texts" not in told:
            raise BadControl("give a token, an inbound_url or loses_texts")
        if url:
            check_here(url, "inbound_url")
        loses_texts = flag(told, "loses_texts", default=False)
        account = self.named(name, provider=provider)
        if "loses_texts" in told:
            account.loses_texts = loses_texts
        account.set_token = account.set_token if token is None else token
        if token:
            account.wire.get_ready()
        account.inbound_url = account.inbound_url if url is None else url

    def state(self) -> list[dict[str, str]]:
        return [
            {
                "name": account.name,
                "provider": account.wire.name,
                "token": "set" if account.set_token else "learnt" if account.token else "none",
                "inbound_url": account.inbound_url,
            }
            for account in self._known.values()
        ]


def check_here(url: str, name: str) -> None:
    """Raises BadControl when a callback may not go there."""
    if not is_here(url):
        raise BadControl(f"{name} must be an http address of this machine")
