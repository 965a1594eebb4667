"""Structured logs, one JSON object a line, with ids and never a person's data.

Callers pass ids only; the scrubbing here is the second line, for what a library might print.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

PHONE = re.compile(r"\+?\d[\d\s().-]{7,}\d")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
UNSAFE_KEYS = frozenset({"phone", "email", "to", "text", "body", "name", "password", "secret"})
SAFE_KEYS = frozenset({"timestamp", "level", "logger", "event"})


def scrub(text: str) -> str:
    """The text with everything that looks like a phone number or an e-mail address hidden."""
    return EMAIL.sub("[e-mail]", PHONE.sub("[number]", text))


def scrub_entry(
    logger: Any, method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: hides unsafe keys whole and scrubs every other string."""
    for key, value in entry.items():
        if key in UNSAFE_KEYS:
            entry[key] = "[hidden]"
        elif isinstance(value, str) and key not in SAFE_KEYS - {"event"}:
            entry[key] = scrub(value)
    return entry


def scrub_event(event: Any, hint: Mapping[str, Any]) -> Any:
    """Sentry's `before_send`: the same scrubbing over the messages of an event."""
    for entry in (event.get("exception") or {}).get("values") or []:
        if isinstance(entry.get("value"), str):
            entry["value"] = scrub(entry["value"])
    if isinstance((event.get("logentry") or {}).get("message"), str):
        event["logentry"]["message"] = scrub(event["logentry"]["message"])
    event.pop("request", None)
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
