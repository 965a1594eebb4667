"""What each provider must know to be simulated: how it is spoken to, and how it calls back."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus

from providers.base import Part
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request
from providers.simulator_ledger import Ledger, LedgerEntry, Submission

if TYPE_CHECKING:
    from providers.simulator_texts import Mailbox

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,6}")  # E.164, or a short code
KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9]{1,19}")  # of a number that several share


class Fate(Enum):
    """What can be reported of a message; each provider has its word and code for it."""

    SENT = auto()
    DELIVERED = auto()
    UNDELIVERED = auto()
    FAILED = auto()
    BLOCKED = auto()  # by the carrier
    EXPIRED = auto()
    LANDLINE = auto()  # where it is not refused at once
    OPTED_OUT = auto()  # as well
    DELAYED = auto()  # e-mail only: before it runs out of time


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
    request_ref: str
    taken_at: float  # seconds of the real Unix clock
    bounces_to: str = ""  # of an e-mail


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    account: str
    provider_ref: str
    sender: str
    to: str
    text: str
    part: Part | None = None  # of a long text, where it comes in parts


class Wire(Protocol):
    """How one provider speaks."""

    name: str
    account_prefixes: tuple[str, ...]  # of its accounts' names
    words: Mapping[Fate, Report]  # a fate without one is not reported
    learns_later: Mapping[Refusal, Fate]  # what it does not say at once, but reports
    known_words: frozenset[str]  # all that a report may say
    signs_callbacks: bool  # else an account needs no token, and nobody can forge a signature
    has_old_signature: bool
    reads_in_halves: bool  # half a report may say as much as a whole one
    sends_by_get: bool  # else what is asked by GET is a look-up
    names_callback_url: bool  # its messages say where they are reported; else the account's address
    writes_to: re.Pattern[str]  # what people can text to, of what messages are sent from
    posts_a_second: float | None  # callbacks to one address; None: as fast as they are answered
    answer_seconds: float  # how long it waits for our answer

    @property
    def prefix(self) -> str | tuple[str, ...]:
        """Of the paths that are its."""

    def read(self, request: Request) -> Sequence[Submission] | None:
        """The messages that were submitted, one at least; None when it is no submission at all."""

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        """What is wrong with the request itself, before anything is tried."""

    def provider_ref(self, salt: int, seq: int) -> str:
        """Of a message, or of all of a request, whose first one has this place in the ledger."""

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes: ...
    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes: ...
    def not_found(self) -> bytes: ...
    def look_up(self, request: Request, ledger: Ledger) -> bytes: ...
    def list_inbound(self, request: Request, mailbox: Mailbox, ledger: Ledger) -> bytes | None:
        """The page of what came in that is asked for; None where that is not the question."""

    def parts(self, message: Taken) -> Sequence[Taken]:
        """What of a message has a report of its own."""

    def report_form(self, message: Taken, report: Report) -> dict[str, str]: ...
    def pieces(self, inbound: Inbound) -> Sequence[Inbound]:
        """What of a text that comes in has a callback of its own."""

    def inbound_form(self, inbound: Inbound) -> dict[str, str]: ...
    def said_of(self, message: Taken, text: str) -> Report | None:
        """What a person's answer is where it comes as a report of the message; else a text."""

    def body(self, form: Mapping[str, str]) -> bytes:
        """The body of a callback with these fields."""

    def inbound_ref(self, salt: int, callback: int) -> str: ...
    def get_ready(self) -> None:
        """Load what it signs with, which may take seconds: not while messages come in."""

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        """The headers that its own package makes; `old`: by its older scheme, if it has one."""

    def signed_fields(self, token: str, form: Mapping[str, str]) -> dict[str, str]:
        """What its signature adds to the fields themselves."""

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """Seconds until it posts again after so many tries; None: it does not."""


class UsualWire:
    """What most providers have in common."""

    signs_callbacks = True
    names_callback_url = True
    has_old_signature = False
    reads_in_halves = False
    sends_by_get = False
    writes_to = NUMBER
    posts_a_second: float | None = None

    def parts(self, message: Taken) -> Sequence[Taken]:
        return (message,)

    def pieces(self, inbound: Inbound) -> Sequence[Inbound]:
        return (inbound,)

    def list_inbound(self, request: Request, mailbox: Mailbox, ledger: Ledger) -> bytes | None:
        return None

    def get_ready(self) -> None:
        """Most have it from the start."""

    def signed_fields(self, token: str, form: Mapping[str, str]) -> dict[str, str]:
        return {}

    def said_of(self, message: Taken, text: str) -> Report | None:
        return None


_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")


def form_body(form: Mapping[str, str]) -> bytes:
    """As urlencode does it, for a fifth of the time; the names are plain."""
    pairs = (
        f"{name}={value if _PLAIN.fullmatch(value) else quote_plus(value)}"
        for name, value in form.items()
    )
    return "&".join(pairs).encode("ascii")


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
