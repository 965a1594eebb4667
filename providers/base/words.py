"""The words that all providers' own are put into."""

from __future__ import annotations

from enum import StrEnum


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
