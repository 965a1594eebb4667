"""What must hold before a process starts: no demo secrets in the open, keys, folders, numbers.

The defaults are for one machine: they pass while the database and PUBLIC_BASE_URL are both on this
one, or DEBUG is on. Everywhere else each of them is an error that names its variable.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, distribution
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.http.request import validate_host

from config.env import DEMO_SEALING_KEY, DEMO_SIGNING_KEY

Messages = Iterator[CheckMessage]

SHORTEST_SECRET = 32
RANGES: dict[str, tuple[float, float]] = {
    "SEND_BATCH": (1, 5_000),
    "SEND_JOBS_QUEUED": (1, 1_000),
    "SEND_SLICE_SECONDS": (0.1, 60),
    "PLAN_EVERY_SECONDS": (1, 600),
    "TIDY_EVERY_SECONDS": (1, 600),
    "SWEEP_EVERY_SECONDS": (1, 3_600),
    "WATCH_EVERY_SECONDS": (1, 600),
    "HEALTH_EVERY_SECONDS": (10, 86_400),
}
ZONES_ARE_OLD_AFTER = 120  # days; the zones of the world change several times a year
ZONES_ARE_TOO_OLD_AFTER = 400
HOW_TO_MAKE_A_KEY = (
    "A new key: python -c 'from cryptography.fernet import Fernet;"
    " print(Fernet.generate_key().decode())'"
)


def demo_is_enough() -> bool:
    return settings.DEBUG or is_on_this_machine()


def is_on_this_machine() -> bool:
    database = settings.DATABASES["default"]
    hosts = str(database.get("OPTIONS", {}).get("host") or database["HOST"]).split(",")
    public = urlsplit(settings.PUBLIC_BASE_URL).hostname or ""
    return all(is_loopback(host) for host in hosts) and is_loopback(public)


def is_loopback(host: str) -> bool:
    """Empty and a path are a socket file."""
    if host in ("", "localhost") or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_secrets(**kwargs: Any) -> Messages:
    if demo_is_enough():
        return
    if settings.SECRET_KEY == DEMO_SIGNING_KEY or len(settings.SECRET_KEY) < SHORTEST_SECRET:
        yield Error(
            "SECRET_KEY is the demo's, or shorter than 32 characters.",
            hint="Set SECRET_KEY to a long random text of your own.",
            id="sendonce.E001",
        )
    if DEMO_SEALING_KEY in settings.CREDENTIAL_KEYS:
        yield Error(
            "CREDENTIAL_KEYS holds the demo's key, which everybody knows.",
            hint=f"Set CREDENTIAL_KEYS to keys of your own. {HOW_TO_MAKE_A_KEY}",
            id="sendonce.E002",
        )


def check_credential_keys(**kwargs: Any) -> Messages:
    wrong = [str(at) for at, key in enumerate(settings.CREDENTIAL_KEYS, 1) if not is_key(key)]
    if wrong or not settings.CREDENTIAL_KEYS:
        which = f"Key {', '.join(wrong)} of CREDENTIAL_KEYS is" if wrong else "CREDENTIAL_KEYS is"
        yield Error(
            f"{which} {'not a Fernet key' if wrong else 'empty'}.",
            hint=HOW_TO_MAKE_A_KEY,
            id="sendonce.E005",
        )


def is_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


def check_addresses(**kwargs: Any) -> Messages:
    url = urlsplit(settings.PUBLIC_BASE_URL)
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        yield Error(
            "PUBLIC_BASE_URL is not an address such as https://sms.example.com.",
            id="sendonce.E003",
        )
    elif url.scheme != "https" and not demo_is_enough():
        yield Error(
            "PUBLIC_BASE_URL is not https: reports and replies would come in readable to others.",
            id="sendonce.E003",
        )
    elif not validate_host(url.hostname, settings.ALLOWED_HOSTS):
        yield Error(
            "ALLOWED_HOSTS leaves out the host of PUBLIC_BASE_URL: every webhook would be refused.",
            id="sendonce.E010",
        )


def check_link_scheme(**kwargs: Any) -> Messages:
    if settings.SHORT_LINK_SCHEME != "https" and not demo_is_enough():
        yield Error(
            "SHORT_LINK_SCHEME is not https: personal links would be readable to others.",
            hint="Leave it out of the environment; http is for a sandbox on one machine.",
            id="sendonce.E011",
        )


def check_hosts(**kwargs: Any) -> Messages:
    if "*" in settings.ALLOWED_HOSTS and not demo_is_enough():
        yield Error(
            "ALLOWED_HOSTS allows any host.",
            hint="Set ALLOWED_HOSTS to your own hosts and the brands' short domains.",
            id="sendonce.E004",
        )
    if settings.DEBUG and not is_on_this_machine():
        yield Warning(
            "DEBUG is on: errors show settings and rows to whoever causes them.",
            hint="Leave DEBUG out of the environment.",
            id="sendonce.W002",
        )


def check_journal_folder(**kwargs: Any) -> Messages:
    folder = Path(settings.JOURNAL_DIR)
    if not is_usable(folder):
        yield Error(
            f"JOURNAL_DIR: files cannot be made in {folder}.",
            hint="Nothing is sent without a journal. It must be a local folder we may write to.",
            id="sendonce.E006",
        )


def is_usable(folder: Path) -> bool:
    """Whether files can be made in it, or it can be made itself."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def check_time_zone(**kwargs: Any) -> Messages:
    if settings.TIME_ZONE != "UTC" or not settings.USE_TZ:
        yield Error(
            "TIME_ZONE must be UTC, with USE_TZ: schedules are read in the process's zone.",
            id="sendonce.E007",
        )


def check_numbers(**kwargs: Any) -> Messages:
    for name, (least, most) in RANGES.items():
        if not least <= (value := getattr(settings, name)) <= most:
            yield Error(
                f"{name} is {value:g}; it must lie between {least:g} and {most:g}.",
                id="sendonce.E008",
            )


def check_zone_data(**kwargs: Any) -> Messages:
    released = zones_released_by()
    if released is None:
        yield Error("The tzdata package is not installed.", id="sendonce.E009")
        return
    today = datetime.fromtimestamp(time.time(), tz=UTC).date()  # real time, never shifted
    age = (today - released).days
    words = f"The tzdata package is at least {age} days old; local times may be wrong."
    if age > ZONES_ARE_TOO_OLD_AFTER:
        yield Error(words, hint="Install the newest tzdata.", id="sendonce.E009")
    elif age > ZONES_ARE_OLD_AFTER:
        yield Warning(words, hint="Install the newest tzdata.", id="sendonce.W001")


def zones_released_by() -> date | None:
    """The latest day on which the installed zone data can have come out; None without any.

    The package says the year only ("2026.6"), so that is its last day, or that of its installation.
    """
    try:
        package = distribution("tzdata")
    except PackageNotFoundError:
        return None
    year = int(package.version.split(".")[0])
    stamp = Path(str(package.locate_file("tzdata/zones"))).stat().st_mtime
    installed = datetime.fromtimestamp(stamp, tz=UTC).date()
    known = [day for day in (installed, date(year, 12, 31)) if day.year >= year]
    return min(known)


ALL: tuple[Callable[..., Messages], ...] = (
    check_secrets,
    check_credential_keys,
    check_addresses,
    check_link_scheme,
    check_hosts,
    check_journal_folder,
    check_time_zone,
    check_numbers,
    check_zone_data,
)
