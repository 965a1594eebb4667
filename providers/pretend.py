"""Where a sandbox's pretend phone and pretend mailbox are: with the simulator, which speaks HTTP.

Only accounts know its address. An account of e-mail knows its mail server alone; then another
account on the same machine tells.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from django.db.models import QuerySet

from providers.base import Channel
from providers.models import ProviderAccount
from providers.registry import ADAPTERS

WEB = ("http", "https")


def phone_page(base_url: str = "", phone: str = "") -> str:
    """Of the simulator that serves this address, else of the first one; empty where none is known.

    `phone` opens one at once.
    """
    return _page("phone", base_url, phone)


def mailbox_page(base_url: str = "", email: str = "") -> str:
    """As `phone_page`, for an e-mail address."""
    return _page("mail", base_url, quote(email, safe="@"))


def has_mail() -> bool:
    """Whether a simulated account in use carries e-mail."""
    kinds = [kind for kind, one in ADAPTERS.items() if one.channel == Channel.EMAIL]
    return _simulated().filter(kind__in=kinds).exists()


def _page(name: str, base_url: str, opened: str) -> str:
    found = _simulator(base_url)
    return f"{found}/{name}{f'#{opened}' if opened else ''}" if found else ""


def _simulator(base_url: str) -> str:
    wanted = urlsplit(base_url)
    if wanted.scheme in WEB:
        return f"{wanted.scheme}://{wanted.netloc}"
    known = map(urlsplit, _simulated().order_by("id").values_list("base_url", flat=True))
    for one in known:
        if one.scheme in WEB and wanted.hostname in (None, one.hostname):
            return f"{one.scheme}://{one.netloc}"
    return ""


def _simulated() -> QuerySet[ProviderAccount]:
    return ProviderAccount.objects.filter(is_simulated=True, retired_at=None)
