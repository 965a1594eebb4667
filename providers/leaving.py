"""What both halves of the transport say of a send that never left, in the same words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from providers import addresses
from providers.base import EndsTooSoon, NotSent, Outcome, SendRequest

logger = logging.getLogger(__name__)

FAIR_CONNECT = 0.5  # seconds; who could not be reached in less was not given the time

TOO_LATE = NotSent("too_late")
UNREACHABLE = NotSent("could_not_connect", unreachable=True)

Announce = Callable[[], NotSent | None]


class NotBuilt(Exception):
    """No request could be made of it, so nothing left."""


class Closed(Exception):
    """The transport was closed before there was a connection."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection leads."""

    host: str
    port: int
    is_tls: bool


def go_ahead() -> None:
    """The announcement of a request that nobody needs to hear of."""


def is_late(write_by: float | None) -> bool:
    """Whether this monotonic second has passed."""
    return write_by is not None and time.monotonic() > write_by


def not_built(error: Exception) -> NotSent:
    if isinstance(error, EndsTooSoon):
        return NotSent("ends_too_soon")
    if isinstance(error, addresses.AddressRefused):
        logger.warning("address refused", extra={"why": str(error)})
        return NotSent("address_refused")
    logger.error("request could not be built", exc_info=error)
    return NotSent("request_not_built")


def not_connected(error: Exception, began: float, write_by: float | None) -> NotSent:
    if isinstance(error, addresses.AddressRefused):
        logger.warning("address refused", extra={"why": str(error)})
        return NotSent("address_refused")
    if isinstance(error, Closed):
        return NotSent("transport_closed")
    if isinstance(error, TimeoutError) and write_by is not None and write_by < began + FAIR_CONNECT:
        return TOO_LATE
    if isinstance(error, OSError):
        return UNREACHABLE
    logger.error("connecting failed", exc_info=error)
    return NotSent("error_before_sending")


def alike(sends: Sequence[SendRequest], outcome: Outcome) -> dict[str, Outcome]:
    return dict.fromkeys([send.ref for send in sends], outcome)


def name_of(error: Exception) -> str:
    """The kind of error only: its text may hold a number or an address."""
    return type(error).__name__
