"""Structured logs, one JSON object a line, with ids and never a person's data.

Callers pass ids only; the scrubbing here is the second line, for what a library might print.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Set
from datetime import date
from typing import Any
from uuid import UUID

import structlog

# What looks like a number and is none comes first, so that ids and times come out whole:
# a UUID, a provider's id of two letters and 32 hex digits, a date with or without its time.
KEPT = (
    r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b[A-Z]{2}[0-9a-f]{32}\b"
    r"|\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?\b"
)
PHONE = r"(?:\+|%2B)\d(?:[\s().-]{0,3}\d){6,}|\(?\d(?:[\s().-]{0,3}\d){9,}"
NUMBERS = re.compile(f"({KEPT})|{PHONE}", re.IGNORECASE)
EMAIL = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+\.[\w.]+", re.IGNORECASE)
WEBHOOK_KEY = re.compile(r"(/webhooks/[\w-]+/\d+/)[\w-]{20,}")  # in what Django says of a request
UNSAFE_KEYS = frozenset(
    {
        *("phone", "email", "to", "to_e164", "to_value", "from_e164", "from_value"),
        *("name", "first_name", "last_name", "fields"),
        *("text", "body", "raw", "words"),
        *("password", "secret", "secrets", "credentials", "token", "auth_token"),
    }
)
REPORTED = ("exception", "logentry", "message", "breadcrumbs", "extra", "threads", "tags")


def scrub(text: str) -> str:
    """The text with everything that looks like a phone number or an e-mail address hidden, and the
    keys of webhooks.
    """
    text = WEBHOOK_KEY.sub(r"\1[key]", text)
    return EMAIL.sub("[e-mail]", NUMBERS.sub(lambda found: found[1] or "[number]", text))


def scrub_value(value: Any, key: str = "") -> Any:
    """Hides unsafe keys whole and scrubs every other text, however deep; numbers are ids."""
    if key in UNSAFE_KEYS and value is not None:
        return "[hidden]"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {scrub(str(k)): scrub_value(inner, str(k)) for k, inner in value.items()}
    if isinstance(value, list | tuple | Set):
        return [scrub_value(inner) for inner in value]
    return str(value) if isinstance(value, UUID | date) else scrub(str(value))


def scrub_entry(
    logger: Any, method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: the same for every value of an entry."""
    for key, value in entry.items():
        if not key.startswith("_"):  # structlog's own
            entry[key] = scrub_value(value, key)
    return entry


def scrub_event(event: Any, hint: Mapping[str, Any]) -> Any:
    """Sentry's `before_send`: the same over all of an event that may quote what we handled."""
    for key in REPORTED:
        if key in event:
            event[key] = scrub_value(event[key])
    for key in ("request", "user"):
        event.pop(key, None)
    return event


def logging_configuration(level: str) -> dict[str, Any]:
    """The dictConfig of every process: standard library logging, rendered by structlog."""
    before: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        scrub_entry,
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": before,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "rq": {"level": "WARNING"},
            "django": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
        },
    }
