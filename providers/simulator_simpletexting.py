"""SimpleTexting as the simulator speaks it: messages, their errors and listing, unsigned webhooks.

An account is known by its token, which is its name here, and has one address for all that is posted
to it. The shapes are of their OpenAPI description; errors but the one by 401 are made up in its
shape. That a landline is reported and not refused is assumed, and that nothing is posted again. A
STOP comes as a report of it and not as a text, which tells us least. The report that a message went
out leaves out its text.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from providers import segments
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response, response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_texts import Kept, Mailbox
from providers.simulator_wire import Fate, Inbound, Report, Taken, UsualWire

MESSAGES = "messages"
MODES = {"AUTO", "SINGLE_SMS_STRICTLY", "MMS_PREFERRED"}
ONE_SMS, EXTENDED_SMS = 1, 2  # parts; what is longer becomes an MMS
CREDITS_OF_MMS = 3
MAX_PAGE = 500
INBOUND = 1 << 63  # in the ids of texts that come in, so that no message of ours has them
STOP_WORDS = {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"}

TEN_DIGITS = re.compile("[0-9]{10}")
SENDER = re.compile("[0-9]{10}|[0-9]{5,6}")
MESSAGE_ID = re.compile("[0-9a-f]{24}")
COUNT = re.compile("[0-9]{1,6}")
FILTERS = {"contactPhone", "accountPhone", "since", "page", "size"}

REFUSALS = {
    Refusal.INVALID_RECIPIENT: (422, "ERR_PHONE_INVALID", "Invalid phone number"),
    Refusal.OPTED_OUT: (409, "ERR_CONTACT_UNSUBSCRIBED", "Contact is unsubscribed"),
    Refusal.THROTTLED: (429, "ERR_TOO_MANY_REQUESTS", "Too many requests"),
    Refusal.UNAUTHORISED: (401, "ERR_AUTH_TOKEN_MISSING", "Auth token is missing"),
    Refusal.SERVER_ERROR: (500, "ERR_INTERNAL", "Internal error"),
    Refusal.UNAVAILABLE: (503, "ERR_UNAVAILABLE", "Service is unavailable"),
}
NO_SENDER = (404, "ERR_ACCOUNT_PHONE_NOT_FOUND", "Account phone is not found")
NO_MODE = (400, "ERR_VALIDATION", "Mode is unknown")
NO_TEXT = (400, "ERR_VALIDATION", "Text is blank")
NO_SINGLE_SMS = (400, "ERR_VALIDATION", "The text does not fit a single SMS")
NOT_FOUND = (404, "ERR_NOT_FOUND", "There is no such thing")
FILTER_NOT_SPOKEN = (400, "ERR_VALIDATION", "A filter is wrong, or not spoken here")


class SimpleTextingWire(UsualWire):
    name = "simpletexting"
    prefix = "/v2/api/"
    account_prefixes: tuple[str, ...] = ("st-",)
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("OUTGOING_MESSAGE"),
        Fate.DELIVERED: Report("DELIVERY_REPORT"),
        **dict.fromkeys(
            (Fate.UNDELIVERED, Fate.FAILED, Fate.BLOCKED, Fate.EXPIRED, Fate.LANDLINE),
            Report("NON_DELIVERED_REPORT"),
        ),
    }
    known_words = frozenset({"OUTGOING_MESSAGE", "DELIVERY_REPORT", "NON_DELIVERED_REPORT"})
    learns_later: Mapping[Refusal, Fate] = {Refusal.LANDLINE: Fate.LANDLINE}
    signs_callbacks = False
    names_callback_url = False
    posts_a_second: float | None = 25.0  # to one webhook, at most (reference, section 5.3)
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        if _rest(request) != MESSAGES:
            return None
        fields = _read_json(request.body) or {}
        submission = Submission(
            self.name,
            _token(request),
            _e164(_text(fields, "accountPhone")),
            _e164(_text(fields, "contactPhone")),
            _text(fields, "text"),
            ref="",  # they have no place for ours
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        if not _token(request):
            return self.refused(Refusal.UNAUTHORISED)
        fields = _read_json(request.body)
        if fields is None:
            return _gateway_error("Illegal argument: the body is not JSON")
        if not TEN_DIGITS.fullmatch(_text(fields, "contactPhone")):
            return self.refused(Refusal.INVALID_RECIPIENT)
        if not SENDER.fullmatch(_text(fields, "accountPhone")):
            return _error(*NO_SENDER)
        if fields.get("mode") not in MODES:
            return _error(*NO_MODE)
        (one,) = sent
        if not one.text.strip():
            return _error(*NO_TEXT)
        is_strict = fields["mode"] == "SINGLE_SMS_STRICTLY"
        return _error(*NO_SINGLE_SMS) if is_strict and _parts(one.text) > ONE_SMS else None

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"{salt & 0xFFFF_FFFF:08x}{seq:016x}"

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        credits_ = min(_parts(entry.submission.text), CREDITS_OF_MMS)
        return json_response(201, {"id": entry.provider_ref, "credits": credits_})

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return _error(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return _error(*NOT_FOUND)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        account, rest = _token(request), _rest(request)
        if not account:
            return self.refused(Refusal.UNAUTHORISED)
        if rest == MESSAGES:
            return _listing(account, request, ledger)
        ref = rest.removeprefix(f"{MESSAGES}/")
        entry = ledger.entry(int(ref[-16:], 16)) if MESSAGE_ID.fullmatch(ref) else None
        if entry is None or entry.provider_ref != ref or entry.submission.account != account:
            return self.not_found()
        return json_response(200, _message(entry))

    def list_inbound(self, request: Request, mailbox: Mailbox, ledger: Ledger) -> bytes | None:
        """What went between one number and those who wrote to it, both ways."""
        account = _token(request)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        if not account or _rest(request) != MESSAGES or "contactPhone" in query:
            return None
        page, size = query.get("page", "0"), query.get("size", "50")
        since = _moment(query.get("since", "1970-01-01T00:00:00Z"))
        has_counts = COUNT.fullmatch(page) and COUNT.fullmatch(size) and 1 <= int(size) <= MAX_PAGE
        if not set(query) <= FILTERS or not has_counts or since is None:
            return _error(*FILTER_NOT_SPOKEN)
        own = _e164(query.get("accountPhone", ""))
        came_in = mailbox.listed(self.name, account, to=own, since=since)
        went_out = [
            _message(entry)
            for person in dict.fromkeys(one.text.sender for one in came_in)
            for entry in ledger.taken_for(person)
            if entry.submission.account == account and entry.received_at >= since
        ]
        both = sorted([*map(_inbound_message, came_in), *went_out], key=_at, reverse=True)
        return _page(both, number=int(page), size=int(size))

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        form = {
            **_head(message.account, report.word),
            "messageId": message.provider_ref,
            "category": _category(message.segments),
            "referenceType": "API",
            "accountPhone": _national(message.sender),
            "contactPhone": _national(message.to),
        }
        if report.word == "OUTGOING_MESSAGE":
            return {**form, "timestamp": _time(time.time())}
        return {**form, "carrier": "Verizon"}

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        sender = _national(inbound.sender)
        if inbound.text.strip().upper() in STOP_WORDS:
            contact = hashlib.sha256(sender.encode()).hexdigest()[:24]
            head = _head(inbound.account, "UNSUBSCRIBE_REPORT")
            ref = inbound.provider_ref
            return {**head, "reportId": ref, "contactId": contact, "phone": sender}
        return {
            **_head(inbound.account, "INCOMING_MESSAGE"),
            "messageId": inbound.provider_ref,
            "subject": "",
            "text": inbound.text,
            "accountPhone": _national(inbound.to),
            "contactPhone": sender,
            "timestamp": _time(time.time()),
            "category": _category(_parts(inbound.text)),
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        head = {name: form[name] for name in ("reportId", "webhookId", "type")}
        values: dict[str, object] = {
            name: value for name, value in form.items() if name not in head
        }
        if "text" in values:
            values["mediaItems"] = []
        return json.dumps({**head, "values": values}).encode()

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, INBOUND | callback)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        """They sign nothing."""
        return {"Content-Type": "application/json"}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """That they do is written nowhere."""
        return None


def _rest(request: Request) -> str:
    return request.path.removeprefix(SimpleTextingWire.prefix)


def _token(request: Request) -> str:
    """Any token is good, but there must be one."""
    scheme, _, token = request.header(b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _read_json(body: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _parts(text: str) -> int:
    return segments.count(text).parts


def _category(parts: int) -> str:
    if parts <= ONE_SMS:
        return "SMS"
    return "EXTENDED_SMS" if parts <= EXTENDED_SMS else "MMS"


def _national(number: str) -> str:
    return number.removeprefix("+1")


def _e164(number: str) -> str:
    """Ten digits are a number; short codes, and what is none, stay as they are."""
    return f"+1{number}" if TEN_DIGITS.fullmatch(number) else number


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _head(account: str, word: str) -> dict[str, str]:
    return {"reportId": secrets.token_hex(12), "webhookId": _webhook(account), "type": word}


@lru_cache(maxsize=256)
def _webhook(account: str) -> str:
    return hashlib.sha256(f"webhook of {account}".encode()).hexdigest()[:24]


def _message(entry: LedgerEntry) -> dict[str, object]:
    sent = entry.submission
    return {
        "id": entry.provider_ref,
        "subject": "",
        "text": sent.text,
        "contactPhone": _national(sent.to),
        "accountPhone": _national(sent.from_value),
        "directionType": "MT",
        "timestamp": _time(entry.received_at),
        "referenceType": "API_SEND",
        "category": _category(_parts(sent.text)),
        "mediaItems": [],
    }


def _inbound_message(kept: Kept) -> dict[str, object]:
    text = kept.text
    return {
        "id": text.provider_ref,
        "subject": "",
        "text": text.text,
        "contactPhone": _national(text.sender),
        "accountPhone": _national(text.to),
        "directionType": "MO",
        "timestamp": _time(kept.at),
        "referenceType": "INCOMING",
        "category": _category(_parts(text.text)),
        "mediaItems": [],
    }


def _at(message: Mapping[str, object]) -> str:
    return str(message["timestamp"])


def _listing(account: str, request: Request, ledger: Ledger) -> bytes:
    """The messages to one person from one number, newest first, a page of them."""
    query = {name: values[0] for name, values in parse_qs(request.query).items()}
    page, size = query.get("page", "0"), query.get("size", "50")
    since = _moment(query.get("since", "1970-01-01T00:00:00Z"))
    is_spoken = set(query) <= FILTERS and {"contactPhone", "accountPhone"} <= set(query)
    has_counts = COUNT.fullmatch(page) and COUNT.fullmatch(size) and 1 <= int(size) <= MAX_PAGE
    if not is_spoken or not has_counts or since is None:
        return _error(*FILTER_NOT_SPOKEN)
    found = [
        _message(entry)
        for entry in reversed(ledger.taken_for(_e164(query["contactPhone"])))
        if entry.submission.account == account
        and entry.submission.from_value == _e164(query["accountPhone"])
        and entry.received_at >= since
    ]
    return _page(found, number=int(page), size=int(size))


def _page(found: Sequence[dict[str, object]], *, number: int, size: int) -> bytes:
    content = found[number * size : (number + 1) * size]
    pages = -(-len(found) // size)
    plain = {"content": content, "totalPages": pages, "totalElements": len(found)}
    return json_response(200, plain)


def _moment(text: str) -> float | None:
    """Seconds of the Unix clock, None for what is no time with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def _error(status: int, code: str, message: str) -> bytes:
    plain = {
        "status": HTTPStatus(status).name,
        "errorCode": code,
        "code": code,
        "message": message,
        "errorDetails": [],
        "path": f"{SimpleTextingWire.prefix}{MESSAGES}",
        "timestamp": time.time(),
    }
    problem = "application/problem+json;charset=utf-8"
    return response(status, json.dumps(plain), content_type=problem)


def _gateway_error(message: str) -> bytes:
    """The second shape that they have, of a request that did not get as far as the first."""
    plain = {
        "code": "INTERNAL_ERROR",
        "errorCode": "UNKNOWN_ERR",
        "timestamp": _time(time.time()),
        "message": message,
    }
    return json_response(400, plain)
