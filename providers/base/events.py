"""What comes back by a callback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from providers.base.words import ErrorClass, Status


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
    sent_at: datetime | None = None  # real; where it was listed, which may be long after
    has_words: bool = True  # else they list that there was a text, and not what it said


Event = DeliveryReport | InboundMessage
