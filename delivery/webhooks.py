"""What providers post to us: genuine, readable, stored; then 200. Our own trouble is 503.

An inbound text is applied before its answer, a report later; but who complains of an e-mail or
unsubscribes by mail is out before, too, each time. It knows no table of persons or messages, and a
callback that is not genuine gets no further than this module.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, DataError, InterfaceError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from delivery import inbound, inbox, sql, tallies, tasks, unsubscribing
from delivery.tallies import What
from providers.base import Access, Adapter, Callback, DeliveryReport, InboundMessage
from providers.models import ProviderAccount
from providers.registry import ADAPTERS, adapter

logger = logging.getLogger(__name__)

KEEP_ACCOUNT = 10.0  # seconds
LONGEST_LENGTH = 12  # digits
MOST_KEPT = 1024
RETRY_AFTER = 30  # seconds
FORM = "application/x-www-form-urlencoded"

NONCE = """
WITH new AS (
    INSERT INTO delivery_webhooknonce (account_id, nonce, body_hash) VALUES (%s, %s, %s)
    ON CONFLICT (account_id, nonce) DO NOTHING RETURNING body_hash
)
SELECT body_hash FROM new
UNION ALL SELECT body_hash FROM delivery_webhooknonce WHERE account_id = %s AND nonce = %s LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Line:
    """An account as a webhook needs it."""

    account_id: int
    adapter: Adapter
    access: Access


class Unreadable(Exception):
    """The body is not what any provider would send."""


_lines: dict[tuple[str, int], tuple[float, Line | None]] = {}


@csrf_exempt
@require_http_methods(["GET", "POST"])
def receive(request: HttpRequest, kind: str, account_id: int, key: str = "") -> HttpResponse:
    """One callback: 404 for no account of ours, 413 too large, 403 forged, 400 unreadable."""
    try:
        return _receive(request, kind, account_id, key)
    except (DatabaseError, InterfaceError, ImproperlyConfigured) as error:
        logger.warning("a callback was not taken in", extra={"error": type(error).__name__})
        return _again_later(_busy_status(kind, account_id))


def _busy_status(kind: str, account_id: int) -> int:
    """The account's own where it is known already; nothing can be read now."""
    _, line = _lines.get((kind, account_id), (0.0, None))
    if line is not None:
        return line.adapter.busy_status
    return ADAPTERS[kind].busy_status if kind in ADAPTERS else 503


def _again_later(status: int) -> HttpResponse:
    return HttpResponse(status=status, headers={"Retry-After": str(RETRY_AFTER)})


def _receive(request: HttpRequest, kind: str, account_id: int, key: str) -> HttpResponse:
    line = _line(kind, account_id)
    if line is None:
        return _turned_away(What.NO_ACCOUNT, None, 404)
    try:
        body = _body(request, line.adapter.largest_callback)
        if body is None:
            return _turned_away(What.TOO_LARGE, account_id, 413)
        callback = _callback(request, body)
        is_genuine = _has_key(line, key) and line.adapter.is_genuine(callback, line.access)
    except Unreadable:
        return _turned_away(What.UNREADABLE, account_id, 400)
    if not is_genuine:
        return _turned_away(What.FORGED, account_id, line.adapter.forged_status(callback))
    if _is_replayed(line, callback):
        return _turned_away(What.REPLAYED, account_id, 403)
    return _take_in(line, callback)


def _take_in(line: Line, callback: Callback) -> HttpResponse:
    try:
        parts = line.adapter.split(callback)
        events = [(line.adapter.read_callback(part), part) for part in parts]
        reports = [(event, part) for event, part in events if isinstance(event, DeliveryReport)]
        if reports:
            inbox.append(line.account_id, reports)
        texts = [
            inbound.store(line.account_id, event, inbox.to_raw(part))
            for event, part in events
            if isinstance(event, InboundMessage)
        ]
    except (DataError, ValueError, LookupError, TypeError):
        logger.exception("a genuine callback cannot be read")
        return _turned_away(What.UNREADABLE, line.account_id, 400)
    if not reports and not texts:
        tallies.count(What.UNUSED, line.account_id)
    were_applied = [_apply(inbound_id) for inbound_id in texts]
    were_applied += [_let_out(report.ref) for report, _ in reports if report.opted_out]
    if not all(were_applied):
        return _again_later(line.adapter.busy_status)
    thanks = line.adapter.thanks
    return HttpResponse(thanks.body, content_type=thanks.content_type, status=thanks.status)


def _apply(inbound_id: int) -> bool:
    """Once a text is stored, whatever goes wrong is ours: its provider is to post it again."""
    try:
        has_answer = inbound.apply(inbound_id)
    except Exception:
        logger.exception("a text was stored and not applied", extra={"inbound_id": inbound_id})
        return False
    if has_answer:
        tasks.call_replies()
    return True


def _let_out(ref: str) -> bool:
    """Who complains of an e-mail or unsubscribes by one; nothing where it is of no e-mail."""
    try:
        recipient = unsubscribing.find(ref)
        if recipient is not None:
            unsubscribing.opt_out(recipient, source="provider")
    except Exception:
        logger.exception("an opt-out by mail was stored and not applied")
        return False
    return True


def _line(kind: str, account_id: int) -> Line | None:
    """The account, kept for some seconds; None for one that is not there or of another kind."""
    now = time.monotonic()
    until, line = _lines.get((kind, account_id), (0.0, None))
    if until > now:
        return line
    if len(_lines) >= MOST_KEPT:
        _lines.clear()
    line = _read_line(kind, account_id)
    _lines[kind, account_id] = (now + KEEP_ACCOUNT, line)
    return line


def _read_line(kind: str, account_id: int) -> Line | None:
    if kind not in ADAPTERS:
        return None
    account = ProviderAccount.objects.filter(pk=account_id, kind=kind).first()
    if account is None:
        return None
    return Line(account.pk, adapter(kind, account.definition), account.access())


def _body(request: HttpRequest, largest: int) -> bytes | None:
    """The body; None for one that is too large, which is not read to its end. Raises Unreadable."""
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and (len(length) > LONGEST_LENGTH or int(length) > largest):
        return None
    try:
        body = request.read(largest + 1)
    except UnreadablePostError as error:
        raise Unreadable from error  # they went in the middle of it
    return None if len(body) > largest else body


def _callback(request: HttpRequest, body: bytes) -> Callback:
    """The request in common form, under the address that providers know. Raises Unreadable.

    What is not UTF-8 is replaced: a STOP beside a broken letter is a STOP.
    """
    query = request.META.get("QUERY_STRING", "")
    url = f"{settings.PUBLIC_BASE_URL}{request.path}"
    try:
        return Callback(
            method=str(request.method),
            url=f"{url}?{query}" if query else url,
            headers=dict(request.headers),
            query=_pairs(query),
            form=_pairs(body.decode(errors="replace")) if request.content_type == FORM else {},
            body=body,
        )
    except ValueError as error:
        raise Unreadable from error


def _pairs(text: str) -> Mapping[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=500))


def _has_key(line: Line, key: str) -> bool:
    """A key may be there for any provider; for one whose callbacks prove nothing it must be."""
    wanted = line.access.webhook_key
    if key or line.adapter.needs_key(line.access):
        return bool(wanted) and hmac.compare_digest(wanted.encode(), key.encode())
    return True


def _is_replayed(line: Line, callback: Callback) -> bool:
    """Whether a nonce comes again with another body, where the signature leaves the body out."""
    nonce = line.adapter.replay_key(callback)
    if not nonce:
        return False
    digest = hashlib.sha256(_content(callback)).hexdigest()
    wanted = (line.account_id, nonce[:100])
    found = sql.rows(NONCE, *wanted, digest, *wanted)
    found = found or sql.rows(NONCE, *wanted, digest, *wanted)  # it came at the same moment
    return bool(found[0][0] != digest)


def _content(callback: Callback) -> bytes:
    """What a callback says, in whatever order its fields came."""
    fields = [sorted(callback.query.items()), sorted(callback.form.items())]
    return repr(fields).encode() + (b"" if callback.form else callback.body)


def _turned_away(what: What, account_id: int | None, status: int) -> HttpResponse:
    tallies.count(what, account_id)
    return HttpResponse(status=status)
