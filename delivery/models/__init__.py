"""The rows of a message's walk: message, queue, attempts, what came back, and the counters."""

from __future__ import annotations

from delivery.models.attempts import Attempt, Lookup, MailContent, Outcome, ProviderRef, WatchEnd
from delivery.models.counters import (
    AccountTally,
    AttemptHour,
    CapCounter,
    Frontier,
    HealthMark,
    NumberHour,
    Strike,
)
from delivery.models.incoming import (
    Inbound,
    InboundReview,
    InboundSweep,
    ReportWord,
    WebhookEvent,
    WebhookNonce,
    WebhookTally,
)
from delivery.models.messages import Due, Message, MessageQuerySet, Planned, SingleText, Sticky
from delivery.models.rows import parent

__all__ = [
    "AccountTally",
    "Attempt",
    "AttemptHour",
    "CapCounter",
    "Due",
    "Frontier",
    "HealthMark",
    "Inbound",
    "InboundReview",
    "InboundSweep",
    "Lookup",
    "MailContent",
    "Message",
    "MessageQuerySet",
    "NumberHour",
    "Outcome",
    "Planned",
    "ProviderRef",
    "ReportWord",
    "SingleText",
    "Sticky",
    "Strike",
    "WatchEnd",
    "WebhookEvent",
    "WebhookNonce",
    "WebhookTally",
    "parent",
]
