"""What an adapter is, and what goes between it and us: requests, outcomes, events, look-ups."""

from __future__ import annotations

from providers.base.adapter import Adapter, OneByOne, Thanks, Usual
from providers.base.events import Callback, DeliveryReport, Event, InboundMessage, Part
from providers.base.lookups import (
    Found,
    LookUp,
    LookUpAnswer,
    NoAnswer,
    NotListed,
    Several,
    looked_up,
)
from providers.base.outcomes import (
    Accepted,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
    outcome_from_json,
    outcome_to_json,
)
from providers.base.requests import (
    REF_FIELD,
    REQUEST_SECONDS,
    TAKEN_WITHIN_SECONDS,
    Access,
    EndsTooSoon,
    Envelope,
    HttpRequest,
    HttpResponse,
    Secrets,
    SendRequest,
    ref_in_batch,
)
from providers.base.words import Channel, ErrorClass, Fault, SenderKind, Status

__all__ = [
    "REF_FIELD",
    "REQUEST_SECONDS",
    "TAKEN_WITHIN_SECONDS",
    "Accepted",
    "Access",
    "Adapter",
    "Callback",
    "Channel",
    "DeliveryReport",
    "EndsTooSoon",
    "Envelope",
    "ErrorClass",
    "Event",
    "Fault",
    "Found",
    "HttpRequest",
    "HttpResponse",
    "InboundMessage",
    "LookUp",
    "LookUpAnswer",
    "NoAnswer",
    "NotListed",
    "NotSent",
    "OneByOne",
    "Outcome",
    "Part",
    "Rejected",
    "Secrets",
    "SendRequest",
    "SenderKind",
    "Several",
    "Status",
    "Thanks",
    "Unknown",
    "Usual",
    "looked_up",
    "outcome_from_json",
    "outcome_to_json",
    "ref_in_batch",
]
