"""What providers list of the texts that came in: the question, and a page of the answer.

A webhook brings a text at once; a listing is asked because webhooks get lost. All times are real,
never a sandbox's. It knows no provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from providers.base import InboundMessage


class ListedBy(StrEnum):
    """What one listing is of."""

    NUMBER = "number"
    ACCOUNT = "account"


@dataclass(frozen=True, kw_only=True, slots=True)
class InboundQuery:
    """What came in at `since` (UTC) or later."""

    since: datetime
    number: str = ""  # that it came to; empty where the listing is of a whole account
    page: str = ""  # as the answer before named it; empty: the first


@dataclass(frozen=True, slots=True)
class InboundPage:
    """`next_page` is empty on the last one; `unreadable` counts the entries that are left out."""

    messages: Sequence[InboundMessage]
    next_page: str = ""
    unreadable: int = 0


def page_of(
    entries: Iterable[Any], read: Callable[[Any], InboundMessage], *, next_page: str
) -> InboundPage:
    """The page made of these entries: one that cannot be read keeps back none of the others."""
    messages, unreadable = [], 0
    for entry in entries:
        try:
            messages.append(_whole(read(entry)))
        except (LookupError, TypeError, ValueError):
            unreadable += 1
    return InboundPage(messages, next_page, unreadable)


def _whole(message: InboundMessage) -> InboundMessage:
    """A time without a zone is UTC. Raises TypeError where a field is not what it should be."""
    fields = (message.provider_ref, message.from_e164, message.to_value, message.text)
    if not all(isinstance(field, str) for field in fields):
        raise TypeError("a field of a text is none")
    at = message.sent_at
    return message if at is None or at.tzinfo else replace(message, sent_at=at.replace(tzinfo=UTC))
