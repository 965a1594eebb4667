"""Reading the environment for the settings: a malformed value is one line that names the variable.

A variable that is blank counts as not set. Values that may hold a secret are never repeated.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from sentry_sdk.utils import Dsn

# The demo's own keys, which everybody knows; config/checks.py keeps them on this machine.
DEMO_SIGNING_KEY = "only-for-the-demo-on-this-machine"
DEMO_SEALING_KEY = "c2VuZG9uY2UtZGVtby1rZXktbm90LWEtc2VjcmV0ISE="

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})
POSTGRES = frozenset({"postgresql", "postgres"})
REDIS = frozenset({"redis", "rediss", "unix"})


class Malformed(ImproperlyConfigured):
    """The sentence names the variable and what it should be."""


def text(name: str, default: str) -> str:
    return os.environ.get(name, "").strip() or default


def names(name: str, default: Sequence[str]) -> list[str]:
    """A list, separated by commas."""
    return [entry.strip() for entry in text(name, ",".join(default)).split(",") if entry.strip()]


def flag(name: str, default: bool) -> bool:
    value = text(name, str(default)).lower()
    if value not in YES | NO:
        raise Malformed(f"{name} must be true or false, not {value!r}.")
    return value in YES


def whole(name: str, default: int) -> int:
    value = text(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise Malformed(f"{name} must be a whole number, not {value!r}.") from None


def number(name: str, default: float) -> float:
    value = text(name, str(default))
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Malformed(f"{name} must be a number, not {value!r}.")
    return found


def choice(name: str, default: str, among: Collection[str]) -> str:
    value = text(name, default)
    if value not in among:
        raise Malformed(f"{name} must be one of {', '.join(among)}, not {value!r}.")
    return value


def folder(name: str, default: Path) -> Path:
    value = Path(text(name, str(default)))
    if not value.is_absolute():
        raise Malformed(f"{name} must be a whole path from /, not {str(value)!r}.")
    return value


def redis(name: str, default: str) -> str:
    value = text(name, default)
    try:
        parts = urlsplit(value)
        fits = parts.scheme in REDIS and parts.port != 0 and bool(parts.netloc or parts.path)
    except ValueError:
        fits = False
    if not fits:
        raise Malformed(f"{name} must be a URL like redis://127.0.0.1:6379/0.")
    return value


def sentry(name: str) -> str:
    """Where errors are reported to; empty for nowhere."""
    value = text(name, "")
    try:
        return value and str(Dsn(value))
    except ValueError:
        raise Malformed(f"{name} must be a URL like https://key@sentry.example.com/1.") from None


def database(name: str, default: str) -> dict[str, Any]:
    """Django's settings of a Postgres database; what stands in the URL's query is its OPTIONS."""
    value = text(name, default)
    try:
        found = environ.Env.db_url_config(value) if urlsplit(value).scheme in POSTGRES else {}
    except ValueError:
        found = {}
    if not found.get("NAME"):
        raise Malformed(f"{name} must be a URL like postgresql://user:password@host:5432/name.")
    return dict(found)
