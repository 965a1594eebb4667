"""Where providers reach us: the addresses that go into requests, and that people set with them."""

from __future__ import annotations

from django.conf import settings

from providers.base import REF_FIELD, Access
from providers.registry import adapter


def status_url(access: Access, account_id: int, ref: str) -> str:
    """Where a provider reports on one attempt, or request; its ref comes back in the query."""
    return f"{_root(access, account_id)}/status?{REF_FIELD}={ref}"


def inbound_url(access: Access, account_id: int) -> str:
    """Where the texts of people go that answer a number of the account."""
    return f"{_root(access, account_id)}/inbound"


def _root(access: Access, account_id: int) -> str:
    """With a key that only the provider knows, where nothing in its callbacks proves who it is."""
    needs_key = adapter(access.kind, access.definition).needs_key(access)
    key = f"/{access.webhook_key}" if needs_key else ""
    return f"{settings.PUBLIC_BASE_URL}/webhooks/{access.kind}/{account_id}{key}"
