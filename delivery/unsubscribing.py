"""Getting out of e-mail by its link: a page that changes nothing, and one click that opts out.

The ref of the attempt is the key: random, and told to nobody but its recipient. Whoever fetches the
page opts nobody out, be it a scanner of links; a POST does, be it of the page or of the recipient's
mail program (RFC 8058), which has no cookie and no token of ours.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from brands import access
from compliance import consent
from delivery import blockers, inbound, people, sql

logger = logging.getLogger(__name__)

REF = re.compile(r"[A-Za-z0-9_-]{22}")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"

# Only of an e-mail: the refs of texts are known to providers.
RECIPIENT = """
SELECT ARRAY[m.person_id, coalesce(c.owner_id, m.person_id)], m.brand_id, b.name,
       coalesce(o.email, p.email, '')
FROM delivery_attempt a
JOIN delivery_mailcontent c ON c.attempt_id = a.id
JOIN delivery_message m ON m.id = a.message_id
JOIN brands_brand b ON b.id = m.brand_id
JOIN compliance_person p ON p.id = m.person_id
LEFT JOIN compliance_person o ON o.id = c.owner_id
WHERE a.ref = %s
"""


class Recipient(NamedTuple):
    """Whom an e-mail was for and whose mailbox it went to, mostly one person; and whose it was."""

    person_ids: Sequence[int]
    brand_id: int
    brand: str
    email: str


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe_page(request: HttpRequest, ref: str) -> HttpResponse:
    """Asks, or has done it. The same 404 for all that is no ref of an e-mail of ours."""
    recipient: Recipient | None = None
    try:
        recipient = find(ref)
        if recipient is None:
            return _page("not_found", 404)
        if request.method != "POST":
            return _page("ask", recipient=recipient)
        opt_out(recipient)
    except OperationalError:
        logger.exception("unsubscribing must be asked for again")
        return _page("busy", 503, recipient)
    return _page("done", recipient=recipient)


def find(ref: str) -> Recipient | None:
    """By one look-up in an index."""
    found = sql.rows(RECIPIENT, ref) if REF.fullmatch(ref) else []
    return Recipient(*found[0]) if found else None


def opt_out(recipient: Recipient, *, source: str = "unsubscribe") -> None:
    """As a STOP does: of all brands and channels, these and whom a lead names beside them.

    Once, until they join again. Raises OperationalError when the person's lock cannot be had.
    """
    with transaction.atomic():
        sql.rows(inbound.TIMEOUTS, blockers.APPLICATION)
        with blockers.freed():
            people.lock([], and_linked_of=recipient.person_ids)
        everyone = sorted(people.with_linked(recipient.person_ids))
        if any(lifted for (lifted,) in sql.rows(inbound.LIFTED, everyone)):
            consent.opt_out(everyone, source=source, brand_id=recipient.brand_id)


def _page(name: str, status: int = 200, recipient: Recipient | None = None) -> HttpResponse:
    shown = {"brand": recipient.brand, "to": access.masked(recipient.email)} if recipient else {}
    return HttpResponse(
        render_to_string(f"delivery/unsubscribe_{name}.html", shown),
        status=status,
        headers={
            "Content-Security-Policy": POLICY,
            "X-Robots-Tag": "noindex",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )
