"""How one provider is spoken to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from providers.base.events import Callback, Event
from providers.base.lookups import LookUp, LookUpAnswer, NoAnswer
from providers.base.outcomes import Outcome
from providers.base.requests import (
    Access,
    Envelope,
    HttpRequest,
    HttpResponse,
    SendRequest,
)
from providers.base.words import Channel
from providers.listing import InboundPage, InboundQuery, ListedBy
from providers.options import Option


@dataclass(frozen=True, kw_only=True, slots=True)
class Thanks:
    """What a provider wants to read when we have taken a callback."""

    status: int = 200
    content_type: str = "text/plain"
    body: str = ""


class Adapter(Protocol):
    """Our form to theirs and back. No I/O: it cannot retry, log, sleep or read the database."""

    kind: str
    label: str
    channel: Channel
    base_url: str
    max_batch: int  # how many sends one request may carry; each has another recipient
    max_chars: int
    options: Mapping[str, Option]  # what an account may choose, by its name
    evidence: str  # what of its wire nobody has confirmed, for who sets up an account
    names_our_ref: bool  # its reports carry our reference; else they are found by its own id
    asks_for_reports: bool  # by an address in each request; else the provider is told it once
    thanks: Thanks
    busy_status: int  # makes it post again later
    largest_callback: int  # bytes

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names that every account must fill in."""
        ...

    @property
    def optional_credentials(self) -> tuple[str, ...]: ...

    @property
    def lists_inbound(self) -> ListedBy | None:
        """What its listing of texts that came in is of; None: it has none."""
        ...

    def problems(self, access: Access) -> Mapping[str, str]:
        """By its name, what is wrong with the form of a credential: a sentence for who typed it."""
        ...

    def build_request(self, sends: Sequence[SendRequest], access: Access) -> HttpRequest | Envelope:
        """Raises EndsTooSoon."""
        ...

    def read_response(
        self, sends: Sequence[SendRequest], response: HttpResponse
    ) -> dict[str, Outcome]:
        """Judge a 2xx, or a 4xx but 408 and 429. Where it raises, every outcome is Unknown.

        Of a mail server: a refusal, or that it took the message.
        """
        ...

    def needs_key(self, access: Access) -> bool:
        """Whether nothing in its callbacks proves whose they are but a key in their path."""
        ...

    def is_genuine(self, callback: Callback, access: Access) -> bool: ...

    def forged_status(self, callback: Callback) -> int:
        """The answer to one that is not genuine."""
        ...

    def fit(self, text: str) -> str | None:
        """The text as it can be carried, letter for letter as we count it; None where it cannot."""
        ...

    def replay_key(self, callback: Callback) -> str:
        """What must not come twice with other fields, where the signature does not cover them.

        Empty where it does. It means something only for a genuine callback, within its account.
        """
        ...

    def split(self, callback: Callback) -> Sequence[Callback]:
        """A genuine callback about several messages as one about each; most are about one."""
        ...

    def read_callback(self, callback: Callback) -> Event | None:
        """Read a genuine callback; None when it is of a kind we do not use or cannot be read."""
        ...

    def build_look_up(self, look_up: LookUp, access: Access) -> HttpRequest | None:
        """The request that asks for it, or None where the provider cannot be asked."""
        ...

    def read_look_up(self, look_up: LookUp, response: HttpResponse) -> LookUpAnswer: ...

    def build_inbound_listing(self, query: InboundQuery, access: Access) -> HttpRequest | None:
        """The request for what came in, or None where the provider does not list it."""
        ...

    def read_inbound_listing(
        self, query: InboundQuery, response: HttpResponse
    ) -> InboundPage | NoAnswer: ...


class Usual:
    """What most adapters have in common."""

    kind: str
    label: str
    channel: Channel = Channel.SMS
    base_url: str
    credentials: tuple[str, ...]
    optional_credentials: tuple[str, ...] = ()
    max_batch: int = 1
    max_chars: int
    options: Mapping[str, Option] = MappingProxyType({})
    evidence: str = ""
    names_our_ref: bool = True
    asks_for_reports: bool = True
    lists_inbound: ListedBy | None = None
    thanks: Thanks = Thanks()
    busy_status: int = 503
    largest_callback: int = 64 * 1024  # a text of 1,600 characters with all its fields has a tenth

    def problems(self, access: Access) -> Mapping[str, str]:
        return {}

    def forged_status(self, callback: Callback) -> int:
        return 403

    def fit(self, text: str) -> str | None:
        return text

    def needs_key(self, access: Access) -> bool:
        return False

    def replay_key(self, callback: Callback) -> str:
        return ""

    def split(self, callback: Callback) -> Sequence[Callback]:
        return (callback,)

    def build_inbound_listing(self, query: InboundQuery, access: Access) -> HttpRequest | None:
        return None

    def read_inbound_listing(
        self, query: InboundQuery, response: HttpResponse
    ) -> InboundPage | NoAnswer:
        return NoAnswer("listing_not_offered")


class OneByOne(Usual, ABC):
    """The half of an adapter that is the same for all providers with one message a request."""

    def read_response(
        self, sends: Sequence[SendRequest], response: HttpResponse
    ) -> dict[str, Outcome]:
        (send,) = sends
        return {send.ref: self.read_outcome(send, response)}

    @abstractmethod
    def read_outcome(self, send: SendRequest, response: HttpResponse) -> Outcome:
        """Judge the answer to this one send, as `read_response` does."""
