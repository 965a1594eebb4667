"""What each provider must know to be simulated: how it is spoken to, and how it calls back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Protocol

from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request
from providers.simulator_ledger import Ledger, LedgerEntry, Submission


class Fate(Enum):
    """What can be reported of a message; each provider has its word and code for it."""

    SENT = auto()
    DELIVERED = auto()
    UNDELIVERED = auto()
    FAILED = auto()
    BLOCKED = auto()  # by the carrier
    EXPIRED = auto()


@dataclass(frozen=True, slots=True)
class Report:
    word: str
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A message that is on its way. Phones are E.164, or short codes."""

    account: str
    ref: str
    provider_ref: str
    sender: str
    to: str
    url: str
    segments: int
    taken_at: float  # seconds of the real Unix clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    account: str
    provider_ref: str
    sender: str
    to: str
    text: str


class Wire(Protocol):
    """How one provider speaks."""

    name: str
    prefix: str  # of the paths that are its
    account_prefixes: tuple[str, ...]  # of its accounts' names
    words: Mapping[Fate, Report]
    known_words: frozenset[str]  # all that a report may say
    has_old_signature: bool
    answer_seconds: float  # how long it waits for our answer

    def read(self, request: Request) -> Submission | None: ...
    def objection(self, request: Request, sent: Submission) -> bytes | None: ...
    def provider_ref(self, salt: int, seq: int) -> str: ...
    def accepted(self, entry: LedgerEntry) -> bytes: ...
    def refused(self, refusal: Refusal, sent: Submission | None = None) -> bytes: ...
    def not_found(self) -> bytes: ...
    def look_up(self, request: Request, ledger: Ledger) -> bytes: ...

    def report_form(self, message: Taken, report: Report) -> dict[str, str]: ...
    def inbound_form(self, inbound: Inbound) -> dict[str, str]: ...
    def inbound_ref(self, salt: int, callback: int) -> str: ...
    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        """The headers that its own package makes; `old`: by its older scheme, if it has one."""

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """Seconds until it posts again after so many tries; None: it does not."""


@lru_cache(maxsize=1024)
def credentials(authorization: str) -> tuple[str, str]:
    """User and password of a Basic header; empty ones where they cannot be read."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
