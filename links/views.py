"""Following a short link: one look-up, one click row, one redirect.

The redirect never waits for the click: where the row cannot be stored within half a second, it is
logged and left out. Whether a person or a machine clicked is judged later, from what is stored.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from brands.clock import database_now
from links.models import ShortLink

logger = logging.getLogger(__name__)

WEB = ("http", "https")
LONGEST = 500  # characters kept of what a browser says about itself
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
HAS_EXPIRED = ExpressionWrapper(Q(expires_at__lte=database_now()), output_field=BooleanField())

# One round trip and one implicit transaction, so the limit ends with the INSERT.
RECORD_CLICK = """
    SET LOCAL statement_timeout = '500ms';
    INSERT INTO links_click (link_id, method, ip, agent, referer) VALUES (%s, %s, %s, %s, %s)
"""


class Found(NamedTuple):
    link_id: int
    destination: str
    domain: str
    has_expired: bool | None


@csrf_exempt
@require_safe
def follow(request: HttpRequest, code: str) -> HttpResponse:
    response = _answer(request, _look_up(code))
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _answer(request: HttpRequest, found: Found | None) -> HttpResponse:
    if found is None or not _is_at_home(request, found.domain):
        return _page("links/not_found.html", HTTPStatus.NOT_FOUND)
    if found.has_expired:
        return _page("links/gone.html", HTTPStatus.GONE)
    if not is_web_address(found.destination):
        logger.error("link leads nowhere on the web", extra={"link_id": found.link_id})
        return _page("links/not_found.html", HTTPStatus.NOT_FOUND)
    _record_click(request, found.link_id)
    return HttpResponseRedirect(found.destination)


def _look_up(code: str) -> Found | None:
    rows = ShortLink.objects.filter(code=code).values_list(
        "pk", "destination", "brand__short_domain", HAS_EXPIRED
    )
    return next((Found(*row) for row in rows), None)


def _is_at_home(request: HttpRequest, domain: str) -> bool:
    """Whether the link was asked for on its brand's domain, or on the address we all share."""
    host = request.get_host().lower()
    return host in (domain, urlsplit(settings.PUBLIC_BASE_URL).netloc.lower())


def is_web_address(destination: str) -> bool:
    try:
        parts = urlsplit(destination)
        return parts.scheme in WEB and bool(parts.hostname)
    except ValueError:
        return False


def _record_click(request: HttpRequest, link_id: int) -> None:
    seen = (_ip(request), _header(request, "User-Agent"), _header(request, "Referer"))
    try:
        with connection.cursor() as cursor:
            cursor.execute(RECORD_CLICK, (link_id, request.method, *seen))
    except DatabaseError as error:  # its text may hold the row, so only its class is told
        extra = {"link_id": link_id, "error": type(error).__name__}
        logger.error("click not recorded", extra=extra)


def _header(request: HttpRequest, name: str) -> str:
    return request.headers.get(name, "").replace("\0", "")[:LONGEST]


def _ip(request: HttpRequest) -> str | None:
    """The peer's address without a zone; None where the server gave none, as on a socket file."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _page(template: str, status: HTTPStatus) -> HttpResponse:
    return HttpResponse(
        render_to_string(template),
        status=status,
        headers={"Content-Security-Policy": PAGE_POLICY, "X-Robots-Tag": "noindex"},
    )
