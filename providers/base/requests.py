"""What an adapter makes of a message, and what it is made from."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from providers.base.words import SenderKind

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What an adapter needs of an account. Simulated ones reach only this machine, others never."""

    kind: str
    base_url: str = ""  # empty: the provider's own
    secrets: Secrets = field(repr=False)
    simulated: bool = False
    definition: str = ""  # JSON that says how to speak, where it is the account's (declared.py)
    webhook_key: str = field(default="", repr=False)  # in the path, where nothing else proves who
    options: Mapping[str, str] = field(default_factory=dict)  # of Adapter.options; else the usual


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
class Envelope:
    """An e-mail for one recipient, as it is handed to a mail server."""

    url: str  # smtp://host:port, or smtps:// where TLS comes first
    username: str = ""
    password: str = field(default="", repr=False)
    sender: str  # where it bounces to
    recipient: str = field(repr=False)
    message: bytes = field(repr=False)  # RFC 5322, with CRLF


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """Of a mail server: the code and text of its reply, and what it is the reply to."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    command: str = ""  # of SMTP, in capitals; "." is the end of the message

    def json(self) -> Any:
        return json.loads(self.body.decode())

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")
