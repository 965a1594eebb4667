"""Sinch as the simulator speaks it: batches, their errors and listing, reports of each recipient.

All messages of a batch share its id. What a recipient is, a landline for instance, is not said at
once but reported.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from providers import segments, simulator_signing
from providers.base import ref_in_batch
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_texts import Kept, Mailbox
from providers.simulator_wire import Fate, Inbound, Report, Taken, UsualWire

MAX_RECIPIENTS = 1_000
MAX_CHARS = 1_600
MAX_VALUE = 160  # characters of a parameter
MAX_PAGE = 100
SHORT_CODE_DIGITS = 6
INBOUND = 1 << 63  # in the ids of texts that come in, so that no message of ours has them
DAY = 86_400.0  # seconds
RETRY_FIRST, RETRY_LAST = 5.0, 81_920.0  # seconds

PARAMETER = re.compile(r"\$\{([A-Za-z0-9._-]{1,16})\}")
NUMBER = re.compile("[0-9]{7,15}")
BATCH_ID = re.compile("01[0-9A-F]{32}")
PAGE = re.compile("[0-9]{1,3}")
LISTED_BY = {"to", "start_date", "page", "page_size"}
FILTERS = {"client_reference", "from", "start_date", "end_date", "page", "page_size"}

SYNTAX = "syntax_invalid_parameter_format"
CONSTRAINT = "syntax_constraint_violation"
REFUSALS = {
    Refusal.INVALID_RECIPIENT: (400, SYNTAX, "invalid number in 'to'"),
    Refusal.THROTTLED: (429, "too_many_requests", "too many outstanding requests"),
    Refusal.UNAUTHORISED: (401, "unauthorized", "the token is not this plan's"),
    Refusal.SERVER_ERROR: (500, "internal_error", "unexpected internal error"),
    Refusal.UNAVAILABLE: (503, "unavailable", "a subsystem is down"),
}
NOT_JSON = (400, "syntax_invalid_json", "the body is not JSON")
NO_RECIPIENT = (400, CONSTRAINT, "'to' must name 1 to 1000 recipients, none twice")
NO_SENDER = (400, CONSTRAINT, "'from' is missing")
NO_TEXT = (400, CONSTRAINT, "'body' is missing")
TEXT_TOO_LONG = (400, CONSTRAINT, "'body' is longer than 1600 characters")
VALUE_TOO_LONG = (400, CONSTRAINT, "a parameter is longer than 160 characters")
NOT_FOUND = (404, "not_found", "there is no such thing")
FILTER_NOT_SPOKEN = (400, CONSTRAINT, "a filter of the list is wrong, or not spoken here")


class SinchWire(UsualWire):
    name = "sinch"
    prefix = "/xms/v1/"
    account_prefixes: tuple[str, ...] = ("plan-",)
    # Reports are asked for when they are final: that it was sent is none.
    words: Mapping[Fate, Report] = {
        Fate.DELIVERED: Report("Delivered", "0"),
        Fate.UNDELIVERED: Report("Failed", "27"),
        Fate.FAILED: Report("Aborted", "403"),
        Fate.BLOCKED: Report("Rejected", "300"),
        Fate.EXPIRED: Report("Expired", "406"),
        Fate.LANDLINE: Report("Failed", "11"),
        Fate.OPTED_OUT: Report("Deleted", "408"),
    }
    known_words = frozenset(
        {"Queued", "Dispatched", "Delivered", "Failed", "Rejected", "Deleted", "Aborted"}
        | {"Cancelled", "Expired", "Unknown"}
    )
    learns_later: Mapping[Refusal, Fate] = {
        Refusal.LANDLINE: Fate.LANDLINE,
        Refusal.OPTED_OUT: Fate.OPTED_OUT,
    }
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        account, rest = _plan_and_rest(request.path)
        if rest != "batches":
            return None
        batch = _read_json(request.body)
        to = batch.get("to")
        recipients = [str(number) for number in to] if isinstance(to, list) else []
        return [_submission(account, batch, number) for number in recipients or [""]]

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        batch = _read_json(request.body)
        recipients = {one.to for one in sent}
        if not _may_use(request, sent[0].account):
            return self.refused(Refusal.UNAUTHORISED)
        if not batch:
            return _error(*NOT_JSON)
        if recipients == {""} or len(sent) > MAX_RECIPIENTS or len(recipients) < len(sent):
            return _error(*NO_RECIPIENT)
        if not all(NUMBER.fullmatch(one.to.removeprefix("+")) for one in sent):
            return self.refused(Refusal.INVALID_RECIPIENT)
        if not sent[0].from_value:
            return _error(*NO_SENDER)
        if not all(one.text for one in sent):
            return _error(*NO_TEXT)
        if any(len(one.text) > MAX_CHARS for one in sent):
            return _error(*TEXT_TOO_LONG)
        return _error(*VALUE_TOO_LONG) if _longest_value(batch) > MAX_VALUE else None

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"01{salt:016X}{seq:016X}"

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        return _answer(201, _batch(entries))

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return _error(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return _error(*NOT_FOUND)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        account, rest = _plan_and_rest(request.path)
        if not _may_use(request, account):
            return self.refused(Refusal.UNAUTHORISED)
        if rest == "batches":
            return _listing(account, request, ledger)
        batch_id, _, recipient = rest.removeprefix("batches/").partition("/delivery_report/")
        entries = _entries_of(batch_id, account, ledger)
        wanted = [one for one in entries if _digits(one.submission.to) == recipient]
        if not entries or (recipient and not wanted):
            return self.not_found()
        return _answer(200, _report(wanted[0]) if recipient else _batch(entries))

    def list_inbound(self, request: Request, mailbox: Mailbox, ledger: Ledger) -> bytes | None:
        account, rest = _plan_and_rest(request.path)
        if rest != "inbounds":
            return None
        if not _may_use(request, account):
            return self.refused(Refusal.UNAUTHORISED)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        page, size = query.get("page", "0"), query.get("page_size", "30")
        since = _moment(query.get("start_date", ""))
        is_spoken = set(query) <= LISTED_BY and PAGE.fullmatch(page) and PAGE.fullmatch(size)
        if since is None or not is_spoken or not 1 <= int(size) <= MAX_PAGE:
            return _error(*FILTER_NOT_SPOKEN)
        found = mailbox.listed(self.name, account, to=_e164(query.get("to", "")), since=since)
        return _inbounds(found, page=int(page), size=int(size))

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        now = _time(time.time())
        return {
            "type": "recipient_delivery_report_sms",
            "batch_id": message.provider_ref,
            "client_reference": message.request_ref,
            "recipient": _digits(message.to),
            "status": report.word,
            "code": report.code,
            "at": now,
            "operator_status_at": now,
            "applied_originator": _digits(message.sender),
            "number_of_message_parts": str(message.segments),
        }

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        now = _time(time.time())
        return {
            "type": "mo_text",
            "id": inbound.provider_ref,
            "from": _digits(inbound.sender),
            "to": _digits(inbound.to),
            "body": inbound.text,
            "received_at": now,
            "sent_at": now,
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        numbers = ("code", "number_of_message_parts")
        fields = {name: int(form[name]) for name in numbers if form.get(name)}
        return json.dumps({**form, **fields}).encode()

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, INBOUND | callback)

    def get_ready(self) -> None:
        simulator_signing.sinch("", "", "", "")

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        nonce, at = secrets.token_hex(12), str(int(time.time()))
        signature = simulator_signing.sinch(token, self.body(form).decode(), nonce, at)
        return {
            "X-Sinch-Webhook-Signature": signature,
            "X-Sinch-Webhook-Signature-Nonce": nonce,
            "X-Sinch-Webhook-Signature-Timestamp": at,
            "X-Sinch-Webhook-Signature-Algorithm": "HmacSHA256",
            "Content-Type": "application/json",
        }

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """5xx, 429 and no answer at all, in doubling steps; other refusals are final."""
        wait = RETRY_FIRST * 2.0 ** (tries - 1)
        is_due = answer in (0, 429) or answer >= 500
        return wait if is_due and wait <= RETRY_LAST else None


def _plan_and_rest(path: str) -> tuple[str, str]:
    account, _, rest = path.removeprefix(SinchWire.prefix).partition("/")
    return account, rest


def _may_use(request: Request, account: str) -> bool:
    """Any token is good, but there must be one."""
    scheme, _, token = request.header(b"authorization").partition(" ")
    return bool(account and token) and scheme.lower() == "bearer"


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _submission(account: str, batch: Mapping[str, Any], to: str) -> Submission:
    request_ref = str(batch.get("client_reference") or "")
    return Submission(
        SinchWire.name,
        account,
        _e164(str(batch.get("from") or "")),
        _e164(to),
        _filled_in(batch, to),
        ref_in_batch(request_ref, to),
        request_ref,
        callback_url=str(batch.get("callback_url") or ""),
    )


def _filled_in(batch: Mapping[str, Any], to: str) -> str:
    """The text with its parameters; one without a value stays as it is."""
    parameters = batch.get("parameters") or {}

    def value(found: re.Match[str]) -> str:
        values = parameters.get(found[1], {})
        return str(values.get(to, values.get("default", found[0])))

    return PARAMETER.sub(value, str(batch.get("body") or ""))


def _longest_value(batch: Mapping[str, Any]) -> int:
    parameters = batch.get("parameters") or {}
    values = (value for by_recipient in parameters.values() for value in by_recipient.values())
    return max((len(str(value)) for value in values), default=0)


def _digits(number: str) -> str:
    return number.removeprefix("+")


def _e164(number: str) -> str:
    digits = number.strip().removeprefix("+")
    is_number = digits.isascii() and digits.isdigit() and len(digits) > SHORT_CODE_DIGITS
    return f"+{digits}" if is_number else digits


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _entries_of(batch_id: str, account: str, ledger: Ledger) -> Sequence[LedgerEntry]:
    first = ledger.entry(int(batch_id[-16:], 16)) if BATCH_ID.fullmatch(batch_id) else None
    if first is None or first.provider_ref != batch_id or first.submission.account != account:
        return []
    return ledger.taken_with(first.submission.request_ref) or [first]


def _batch(entries: Sequence[LedgerEntry]) -> dict[str, object]:
    first = entries[0]
    made = _time(first.received_at)
    return {
        "id": first.provider_ref,
        "to": [_digits(entry.submission.to) for entry in entries],
        "from": _digits(first.submission.from_value),
        "canceled": False,
        "type": "mt_text",
        "body": first.submission.text,
        "client_reference": first.submission.request_ref,
        "delivery_report": "per_recipient_final",
        "created_at": made,
        "modified_at": made,
    }


def _report(entry: LedgerEntry) -> dict[str, object]:
    return {
        "type": "recipient_delivery_report_sms",
        "batch_id": entry.provider_ref,
        "client_reference": entry.submission.request_ref,
        "recipient": _digits(entry.submission.to),
        "status": "Dispatched",
        "code": 401,
        "at": _time(entry.received_at),
        "number_of_message_parts": segments.count(entry.submission.text).parts,
    }


def _listing(account: str, request: Request, ledger: Ledger) -> bytes:
    query = parse_qs(request.query)
    page, size = query.get("page", ["0"])[0], query.get("page_size", ["30"])[0]
    is_spoken = set(query) <= FILTERS and "client_reference" in query
    if not is_spoken or not (PAGE.fullmatch(page) and PAGE.fullmatch(size)) or int(size) > MAX_PAGE:
        return _error(*FILTER_NOT_SPOKEN)
    found = ledger.taken_with(query["client_reference"][0])
    is_there = found and found[0].submission.account == account and page == "0"
    batches = [_batch(found)] if is_there else []
    plain = {"count": len(batches), "page": int(page), "page_size": int(size), "batches": batches}
    return _answer(200, plain)


def _moment(text: str) -> float | None:
    """Seconds of the Unix clock; a day ago where it is not given, None where it is no time."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else time.time() - DAY
    except ValueError:
        return None


def _inbounds(found: Sequence[Kept], *, page: int, size: int) -> bytes:
    shown = [_inbound(one) for one in found[page * size : (page + 1) * size]]
    plain = {"count": len(found), "page": page, "page_size": len(shown), "inbounds": shown}
    return _answer(200, plain)


def _inbound(kept: Kept) -> dict[str, object]:
    text, at = kept.text, _time(kept.at)
    return {
        "type": "mo_text",
        "id": text.provider_ref,
        "from": _digits(text.sender),
        "to": _digits(text.to),
        "body": text.text,
        "received_at": at,
        "sent_at": at,
    }


def _answer(status: int, plain: Mapping[str, object]) -> bytes:
    return json_response(status, dict(plain))


def _error(status: int, code: str, text: str) -> bytes:
    return json_response(status, {"code": code, "text": text})
