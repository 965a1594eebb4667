"""The common form of a provider: what we ask, what may come back, what an adapter must do."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

Secrets = Mapping[str, str]

REF_FIELD = "ref"  # the name under which a status callback URL carries our reference
REQUEST_SECONDS = 15  # a request that has no answer by then is given up
TAKEN_WITHIN_SECONDS = (
    REQUEST_SECONDS + 2
)  # ... after the decision, which has 2 s to reach the wire


def ref_in_batch(request_ref: str, recipient: str) -> str:
    """Our reference of one message where the provider keeps only one for all of a request.

    Made of the request's, which is random, and the recipient's digits, so that a report that names
    both leads to the attempt as any other does. 22 characters of A-Z a-z 0-9 _ -.
    """
    digits = "".join(filter(str.isdigit, recipient))
    digest = hashlib.sha256(f"{request_ref} {digits}".encode()).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


class EndsTooSoon(Exception):
    """They would keep it longer than it may still be sent on, so it is not given to them."""


class ErrorClass(StrEnum):
    PERMANENT_RECIPIENT = "permanent_recipient"
    PERMANENT_CONTENT = "permanent_content"
    PERMANENT_CONFIG = "permanent_config"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


class Fault(StrEnum):
    """Whose fault a refusal is, when it is not the recipient's or the content's."""

    ACCOUNT = "account"
    SENDER = "sender"


class SenderKind(StrEnum):
    LONG_CODE = "long_code"
    TOLL_FREE = "toll_free"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    SERVICE = "service"
    EMAIL = "email"


class Channel(StrEnum):
    SMS = "sms"
    EMAIL = "email"


class Status(StrEnum):
    """The words of a delivery report, in our vocabulary."""

    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What an adapter needs of an account. Simulated ones reach only this machine, others never."""

    kind: str
    base_url: str = ""  # empty: the provider's own
    secrets: Secrets = field(repr=False)
    simulated: bool = False
    definition: str = ""  # JSON that says how to speak, where it is the account's (declared.py)
    webhook_key: str = field(default="", repr=False)  # in the path, where nothing else proves who


@dataclass(frozen=True, kw_only=True, slots=True)
class SendRequest:
    ref: str  # ours, new for each attempt, at most 32 of A-Z a-z 0-9 _ -
    request_ref: str = ""  # ours, of a request that may carry several; then ref is made of it
    to_e164: str = ""
    to_email: str = ""  # instead, where the channel is e-mail
    from_value: str
    from_kind: str = SenderKind.LONG_CODE
    from_name: str = ""  # who it is from in the words of an e-mail's From, mostly the brand
    subject: str = ""
    text: str
    html: str = ""
    unsubscribe_url: str = ""  # one click, RFC 8058; carries the ref
    segments: int
    status_callback_url: str = ""  # carries the ref in its query, or that of the request
    not_after: datetime | None = None  # the provider must not send it on after this
    decided_at: datetime | None = None  # now by the clock that not_after was made with

    def valid_seconds(self) -> int | None:
        """How long they may keep it: less what our request may be under way, at least 1."""
        if self.not_after is None or self.decided_at is None:
            return None
        left = (self.not_after - self.decided_at).total_seconds()
        return max(1, int(left) - TAKEN_WITHIN_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """One request; at most one of form, json and body is set."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = None
    json: object = None
    body: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body.decode())

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took it and gave an id: nothing sends it again, whatever fails later."""

    provider_ref: str
    _: KW_ONLY
    segments: int | None = None
    part_refs: tuple[str, ...] = ()  # the ids of further parts, where each part has its own


@dataclass(frozen=True, slots=True)
class Rejected:
    """They said no to this recipient or this content: final."""

    error_class: ErrorClass
    code: str
    _: KW_ONLY
    opted_out: bool = False
    carrier_blocked: bool = False
    only_here: bool = False  # it says nothing of the number: another sender may reach them


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certainly not taken: no connection, throttled, or the account or sender was at fault."""

    code: str
    _: KW_ONLY
    fault: Fault | None = None
    throttled: bool = False
    unreachable: bool = False  # no connection was made
    goes_alone: bool = False  # its request held others, one of which may be at fault
    retry_after: float | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Unknown:
    """Perhaps taken: a report or a look-up settles it, never another send."""

    detail: str


Outcome = Accepted | Rejected | NotSent | Unknown

_OUTCOMES: dict[str, type[Outcome]] = {
    "accepted": Accepted,
    "rejected": Rejected,
    "not_sent": NotSent,
    "unknown": Unknown,
}
_NAMES = {kind: name for name, kind in _OUTCOMES.items()}
_to_compact_json = json.JSONEncoder(separators=(",", ":")).encode


def outcome_to_json(outcome: Outcome) -> str:
    """One compact line of printable ASCII; what is at its default is left out."""
    plain: dict[str, object] = {"outcome": _NAMES[type(outcome)]}
    for name in outcome.__slots__:
        value = getattr(outcome, name)
        if value is not None and value is not False and value != ():
            plain[name] = value
    return _to_compact_json(plain)


def outcome_from_json(line: str | bytes) -> Outcome:
    """Read back what outcome_to_json wrote. A line that is torn or not ours is a ValueError."""
    plain = json.loads(line)
    if not isinstance(plain, dict) or plain.get("outcome") not in _OUTCOMES:
        raise ValueError("not the line of an outcome")
    kind = _OUTCOMES[plain.pop("outcome")]
    for name, restore in (("error_class", ErrorClass), ("fault", Fault), ("part_refs", tuple)):
        if name in plain:
            plain[name] = restore(plain[name])
    try:
        return kind(**plain)
    except TypeError as error:
        raise ValueError(f"not the fields of {kind.__name__}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """A request that a provider made to us. `url` is the public one, as the provider knows it."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """The header's value whatever the case of its name, or an empty string."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReport:
    ref: str = ""  # ours, when the report carries it
    provider_ref: str
    status: Status
    provider_status: str = ""  # their own word for it
    is_new_word: bool = False  # that we do not know; then only what is certain is the status
    recipient_e164: str = ""
    code: str = ""
    error_class: ErrorClass | None = None
    carrier_blocked: bool = False
    opted_out: bool = False
    is_of_a_part: bool = False  # one of several that a long text was cut into
    occurred_at: datetime | None = None
    dedupe_key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Which piece of a long text this is, where the provider leaves it to us to join them."""

    text_ref: str  # the same for all pieces
    number: int  # from 1
    of: int


@dataclass(frozen=True, kw_only=True, slots=True)
class InboundMessage:
    provider_ref: str
    from_e164: str
    to_value: str
    text: str
    media_urls: tuple[str, ...] = ()
    keyword: str = ""  # what the provider itself made of it
    is_provider_optout: bool = False
    part: Part | None = None
    dedupe_key: str = ""


Event = DeliveryReport | InboundMessage


@dataclass(frozen=True, kw_only=True, slots=True)
class LookUp:
    """The question whether a send of unknown outcome was taken. Times are real, never shifted."""

    ref: str
    request_ref: str = ""
    provider_ref: str = ""
    to_e164: str
    from_value: str
    from_kind: str = SenderKind.LONG_CODE
    text: str
    intended_at: datetime
    other_refs: frozenset[str] = frozenset()  # provider ids that belong to other attempts


@dataclass(frozen=True, slots=True)
class Found:
    """They have it; the report says how far it came."""

    report: DeliveryReport


@dataclass(frozen=True, slots=True)
class NotListed:
    """They answered and it was not there (yet): proves nothing, for listings lag."""


@dataclass(frozen=True, slots=True)
class Several:
    """They have so many that fit equally well: one of them may be one too many."""

    many: int


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The look-up itself failed: ask again later."""

    detail: str


LookUpAnswer = Found | NotListed | Several | NoAnswer


def looked_up(
    look_up: LookUp,
    response: HttpResponse,
    *,
    report_of: Callable[[Any, str], DeliveryReport],
    fitting: Callable[[Any], Sequence[Any]],
) -> LookUpAnswer:
    """Judge an answer about one message by its id, or a listing, of which exactly one may fit.

    Of two that fit equally well, reports must say which is ours.
    """
    if look_up.provider_ref and response.status == 404:
        return NotListed()
    if response.status != 200:
        return NoAnswer(str(response.status))
    answer = response.json()
    if look_up.provider_ref:
        return Found(report_of(answer, look_up.ref))
    found = fitting(answer)
    if len(found) > 1:
        return Several(len(found))
    return Found(report_of(found[0], look_up.ref)) if found else NotListed()


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
    evidence: str  # what of its wire nobody has confirmed, for who sets up an account
    names_our_ref: bool  # its reports carry our reference; else they are found by its own id
    asks_for_reports: bool  # by an address in each request; else the provider is told it once
    thanks: Thanks
    busy_status: int  # makes it post again later

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names that every account must fill in."""
        ...

    @property
    def optional_credentials(self) -> tuple[str, ...]: ...

    def problems(self, access: Access) -> Mapping[str, str]:
        """By its name, what is wrong with the form of a credential: a sentence for who typed it."""
        ...

    def build_request(self, sends: Sequence[SendRequest], access: Access) -> HttpRequest:
        """Raises EndsTooSoon."""
        ...

    def read_response(
        self, sends: Sequence[SendRequest], response: HttpResponse
    ) -> dict[str, Outcome]:
        """Judge a 2xx, or a 4xx but 408 and 429. Where it raises, every outcome is Unknown."""
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
    evidence: str = ""
    names_our_ref: bool = True
    asks_for_reports: bool = True
    thanks: Thanks = Thanks()
    busy_status: int = 503

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
