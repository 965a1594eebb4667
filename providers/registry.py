"""Every provider we can use. A new one is a file in adapters/ and a line here."""

from __future__ import annotations

from providers.adapters.plivo import Plivo
from providers.adapters.twilio import Twilio
from providers.base import Adapter

ADAPTERS: dict[str, Adapter] = {
    "twilio": Twilio(),
    "plivo": Plivo(),
}


def adapter_choices() -> list[tuple[str, str]]:
    return [(kind, adapter.label) for kind, adapter in ADAPTERS.items()]


def adapter(kind: str) -> Adapter:
    """Raises KeyError for a kind that is not in the table."""
    return ADAPTERS[kind]
