"""How a number fares, in words. It knows the stored figures and counts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEAST = 100  # ended messages; of fewer a share says more about chance than about the number
DAYS = 7


def in_words(health: Mapping[str, Any]) -> str:
    """The figures of the last seven days: `97.1 % delivered, 0.4 % blocked, …`.

    Shares are of the messages that ended, opt-outs of those that left. Keys that are missing are 0.
    """
    sent, ended = _of(health, "sent"), _of(health, "ended")
    if not sent:
        return f"Nothing sent in {DAYS} days"
    if ended < LEAST:
        return f"Too few to tell: {ended:,} of {sent:,} sent in {DAYS} days have an end so far"
    open_still = f" ({sent - ended:,} without an end yet)" if sent > ended else ""
    return f"{in_brief(health)} in {DAYS} days{open_still}"


def in_brief(health: Mapping[str, Any]) -> str:
    """The same, shorter: `97.1 % delivered, 0.4 % blocked, 1.2 % opted out of 12,340`."""
    sent, ended = _of(health, "sent"), _of(health, "ended")
    if not sent:
        return "Nothing sent"
    if ended < LEAST:
        return f"Too few to tell: {ended:,} of {sent:,} have an end"
    shares = (
        f"{100 * _of(health, 'delivered') / ended:.1f} % delivered",
        f"{100 * _of(health, 'blocked') / ended:.1f} % blocked",
        f"{100 * _of(health, 'opted_out') / sent:.1f} % opted out of {sent:,}",
    )
    return ", ".join(shares)


def _of(health: Mapping[str, Any], name: str) -> int:
    value = health.get(name, 0)
    return value if isinstance(value, int) else 0
