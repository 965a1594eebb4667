"""Plivo as the simulator speaks it: Message/, its errors, its listing, its callbacks.

One report is posted for a whole message, also where it has several parts.
"""

from __future__ import annotations

import json
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from providers import segments, simulator_signing
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_texts import Kept, Mailbox
from providers.simulator_twilio import ref_in
from providers.simulator_wire import Fate, Inbound, Report, Taken, UsualWire, credentials, form_body

MAX_CHARS = 1_600
MAX_PAGE = 20
SHORT_CODE_DIGITS = 6
RATE = "0.00350"
INBOUND = 1 << 63  # in the ids of texts that come in, so that no message of ours has them
RETRY_AFTER = (60.0, 120.0, 240.0)

REFUSALS = {
    Refusal.LANDLINE: (400, "dst is a landline, which takes no messages"),
    Refusal.OPTED_OUT: (400, "dst has opted out of messages from src"),
    Refusal.THROTTLED: (429, "Too many requests"),
    Refusal.UNAUTHORISED: (401, "authentication failed: check the auth id and the auth token"),
    Refusal.SERVER_ERROR: (500, "Internal server error"),
    Refusal.UNAVAILABLE: (503, "Service unavailable"),
}
NOT_JSON = (400, "the request body is not JSON")
NO_SENDER = (400, "src or powerpack_uuid parameter is missing")
NO_RECIPIENT = (400, "dst parameter is missing")
MANY_RECIPIENTS = (400, "dst must be one number: several are not spoken here")
NO_TEXT = (400, "text parameter is missing")
TEXT_TOO_LONG = (400, "text is too long: 1600 characters at most")
NOT_FOUND = (404, "not found")
FILTER_NOT_SPOKEN = (400, "a filter of the list is wrong, or not spoken here")
COUNT = re.compile("[0-9]{1,9}")
FILTERS = {
    *("to_number", "from_number", "powerpack_id", "message_direction", "limit", "offset"),
    *("message_time__gte", "message_time__lte"),
}


class PlivoWire(UsualWire):
    name = "plivo"
    prefix = "/v1/Account/"
    account_prefixes: tuple[str, ...] = ("MA", "SA")
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("sent"),
        Fate.DELIVERED: Report("delivered"),
        Fate.UNDELIVERED: Report("undelivered", "80"),
        Fate.FAILED: Report("failed", "300"),
        Fate.BLOCKED: Report("undelivered", "30"),
        Fate.EXPIRED: Report("failed", "420"),
    }
    known_words = frozenset(
        {"queued", "sent", "delivered", "read", "undelivered", "failed", "rejected"}
    )
    learns_later: Mapping[Refusal, Fate] = {}
    has_old_signature = True
    answer_seconds = 8.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        account, rest = _account_and_rest(request.path)
        if rest != "Message/":
            return None
        fields = _read_json(request.body)
        url = _text(fields, "url")
        submission = Submission(
            self.name,
            account,
            _e164(_text(fields, "src") or _text(fields, "powerpack_uuid")),
            _e164(_text(fields, "dst")),
            _text(fields, "text"),
            ref_in(url),
            callback_url=url,
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        if not _may_use(request.header(b"authorization"), one.account):
            return self.refused(Refusal.UNAUTHORISED)
        if not one.to:
            return _error(*(NO_RECIPIENT if _read_json(request.body) else NOT_JSON))
        if not one.from_value:
            return _error(*NO_SENDER)
        if "<" in one.to:
            return _error(*MANY_RECIPIENTS)
        if not one.text:
            return _error(*NO_TEXT)
        return _error(*TEXT_TOO_LONG) if len(one.text) > MAX_CHARS else None

    def provider_ref(self, salt: int, seq: int) -> str:
        return str(uuid.UUID(int=salt << 64 | seq))

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        return _answer(202, message="message(s) queued", message_uuid=[entry.provider_ref])

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        """An invalid number is named in an answer that otherwise reads like a success."""
        if refusal is not Refusal.INVALID_RECIPIENT:
            return _error(*REFUSALS[refusal])
        invalid = [_digits(one.to) for one in sent]
        return _answer(202, message="message(s) queued", message_uuid=[], invalid_number=invalid)

    def not_found(self) -> bytes:
        return _error(*NOT_FOUND)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        account, rest = _account_and_rest(request.path)
        if not _may_use(request.header(b"authorization"), account):
            return self.refused(Refusal.UNAUTHORISED)
        if rest == "Message/":
            return _listing(account, request, ledger)
        ref = rest.removeprefix("Message/").removesuffix("/")
        entry = ledger.entry(_seq_in(ref))
        if entry is None or entry.provider_ref != ref or entry.submission.account != account:
            return self.not_found()
        return _answer(200, **_message(entry))

    def list_inbound(self, request: Request, mailbox: Mailbox, ledger: Ledger) -> bytes | None:
        """As their message detail records, which do not say what a text said."""
        account, rest = _account_and_rest(request.path)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        if rest != "Message/" or query.get("message_direction") != "inbound":
            return None
        if not _may_use(request.header(b"authorization"), account):
            return self.refused(Refusal.UNAUTHORISED)
        limit, offset = query.get("limit", str(MAX_PAGE)), query.get("offset", "0")
        since = _moment(query, "message_time__gte")
        is_spoken = set(query) <= FILTERS and COUNT.fullmatch(limit) and COUNT.fullmatch(offset)
        if since is None or not is_spoken:
            return _error(*FILTER_NOT_SPOKEN)
        to = _e164(query.get("to_number", ""))
        found = mailbox.listed(self.name, account, to=to, since=since)
        messages = [_inbound_message(one) for one in found]
        return _page(messages, request, limit=min(int(limit), MAX_PAGE), offset=int(offset))

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        now = _time(datetime.now(UTC).timestamp())
        taken, is_sent = _time(message.taken_at), report.word == "sent"
        is_delivered = report.word == "delivered"
        return {
            "MessageUUID": message.provider_ref,
            "To": _digits(message.to),
            "From": _digits(message.sender),
            "Type": "sms",
            "Status": report.word,
            "Units": str(message.segments),
            "TotalRate": RATE,
            "TotalAmount": f"{message.segments * float(RATE):.5f}",
            "MCC": "310",
            "MNC": "410",
            "ErrorCode": report.code or ("000" if is_delivered else ""),
            "ParentMessageUUID": message.provider_ref,
            "PartInfo": "1 of 1",
            "Sequence": "1" if is_sent else "2",
            "MessageTime": taken,
            "QueuedTime": taken,
            "SentTime": now,
            "DeliveryReportTime": "" if is_sent else now,
            "requester_ip": "127.0.0.1",
            "PowerpackUUID": "" if message.sender.lstrip("+").isdigit() else message.sender,
        }

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        units = segments.count(inbound.text).parts
        return {
            "MessageUUID": inbound.provider_ref,
            "From": _digits(inbound.sender),
            "To": _digits(inbound.to),
            "Text": inbound.text,
            "Type": "sms",
            "Units": str(units),
            "TotalRate": "0.00000",
            "TotalAmount": "0.00000",
            "MessageIntent": "",
            "PowerpackUUID": "",
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        return form_body(form)

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, INBOUND | callback)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        nonce = secrets.token_hex(10)
        common = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Plivo/1.0",
        }
        if old:
            signature, version = simulator_signing.plivo_v2(token, url, nonce), "V2"
        else:
            signature, version = simulator_signing.plivo_v3(token, url, form, nonce), "V3"
        return {
            f"X-Plivo-Signature-{version}": signature,
            f"X-Plivo-Signature-Ma-{version}": signature,
            f"X-Plivo-Signature-{version}-Nonce": nonce,
            **common,
        }

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """Three times, where the answer was not 2xx or did not come."""
        if 200 <= answer < 300 or tries > len(RETRY_AFTER):
            return None
        return RETRY_AFTER[tries - 1]


def _account_and_rest(path: str) -> tuple[str, str]:
    account, _, rest = path.removeprefix(PlivoWire.prefix).partition("/")
    return account, rest


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode(errors="replace").decode()


def _digits(number: str) -> str:
    return number.removeprefix("+")


def _e164(number: str) -> str:
    """Numbers come as digits; short codes and names stay as they are."""
    digits = _digits(number)
    is_number = digits.isascii() and digits.isdigit() and len(digits) > SHORT_CODE_DIGITS
    return f"+{digits}" if is_number else number


def _may_use(authorization: str, account: str) -> bool:
    """Any token is good, but it must be the account's own."""
    user, token = credentials(authorization)
    return bool(account and token) and user == account


def _seq_in(ref: str) -> int:
    try:
        return uuid.UUID(ref).int & (1 << 64) - 1
    except ValueError:
        return 0


def _listing(account: str, request: Request, ledger: Ledger) -> bytes:
    """Newest first, a page of it."""
    query = {name: values[0] for name, values in parse_qs(request.query).items()}
    limit, offset = query.get("limit", str(MAX_PAGE)), query.get("offset", "0")
    earliest, latest = _moment(query, "message_time__gte"), _moment(query, "message_time__lte")
    if (
        earliest is None
        or latest is None
        or not (COUNT.fullmatch(limit) and COUNT.fullmatch(offset))
    ):
        return _error(*FILTER_NOT_SPOKEN)
    if not set(query) <= FILTERS or "to_number" not in query:
        return _error(*FILTER_NOT_SPOKEN)
    sender = query.get("powerpack_id") or _e164(query.get("from_number", ""))
    found = [
        _message(entry)
        for entry in reversed(ledger.taken_for(_e164(query["to_number"])))
        if entry.submission.account == account
        and sender in {"", entry.submission.from_value}
        and earliest <= entry.received_at <= (latest or entry.received_at)
        and query.get("message_direction", "outbound") == "outbound"
    ]
    return _page(found, request, limit=min(int(limit), MAX_PAGE), offset=int(offset))


def _page(found: list[dict[str, object]], request: Request, *, limit: int, offset: int) -> bytes:
    path, end = request.path, offset + limit
    more = f"{path}?limit={limit}&offset={end}" if end < len(found) else None
    meta = {
        "limit": limit,
        "next": more,
        "offset": offset,
        "previous": None if offset == 0 else f"{path}?limit={limit}&offset=0",
        "total_count": len(found),
    }
    return _answer(200, meta=meta, objects=found[offset:end])


def _moment(query: Mapping[str, str], name: str) -> float | None:
    """Seconds of the Unix clock, 0 when it is not given, None when it cannot be read."""
    if name not in query:
        return 0.0
    try:
        return datetime.fromisoformat(query[name]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S.%f}"


def _message(entry: LedgerEntry) -> dict[str, object]:
    sent, units = entry.submission, segments.count(entry.submission.text).parts
    return {
        "error_code": None,
        "from_number": _digits(sent.from_value),
        "message_direction": "outbound",
        "message_state": "sent",
        "message_time": f"{_time(entry.received_at)}+00:00",
        "message_type": "sms",
        "message_uuid": entry.provider_ref,
        "powerpack_id": None if sent.from_value.lstrip("+").isdigit() else sent.from_value,
        "requester_ip": "127.0.0.1",
        "resource_uri": f"/v1/Account/{sent.account}/Message/{entry.provider_ref}/",
        "to_number": _digits(sent.to),
        "total_amount": f"{units * float(RATE):.5f}",
        "total_rate": RATE,
        "units": units,
    }


def _inbound_message(kept: Kept) -> dict[str, object]:
    text = kept.text
    return {
        "error_code": None,
        "from_number": _digits(text.sender),
        "message_direction": "inbound",
        "message_state": "received",
        "message_time": f"{_time(kept.at)}+00:00",
        "message_type": "sms",
        "message_uuid": text.provider_ref,
        "powerpack_id": None,
        "requester_ip": None,
        "resource_uri": f"/v1/Account/{text.account}/Message/{text.provider_ref}/",
        "to_number": _digits(text.to),
        "total_amount": "0.00000",
        "total_rate": "0.00000",
        "units": segments.count(text.text).parts,
    }


def _answer(status: int, **fields: object) -> bytes:
    return json_response(status, {"api_id": str(uuid.uuid4()), **fields})


def _error(status: int, sentence: str) -> bytes:
    return _answer(status, error=sentence)
