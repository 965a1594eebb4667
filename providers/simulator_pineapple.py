"""PineApple as the simulator speaks it; nothing of it is public, all is assumed (reference,
section 10).

Its paths stand under one of their own, for another provider has the same: the address of a
simulated account ends in /pineapple.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs

from providers import simulator_signing
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response
from providers.simulator_json import fields_of
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_wire import NUMBER, Fate, Inbound, Report, Taken, UsualWire

PATH = "/pineapple/v1/messages"
MAX_CHARS = 1_600
LONGEST_LIFE = 259_200  # seconds
INBOUND = 1 << 63  # in the ids of texts that come in, so that no message of ours has them
RETRY_AFTER = (10.0, 60.0, 600.0)  # seconds

REFUSALS = {
    Refusal.INVALID_RECIPIENT: (400, "invalid_recipient", "to is not a number"),
    Refusal.LANDLINE: (400, "landline", "to is a landline"),
    Refusal.OPTED_OUT: (403, "opted_out", "the recipient has opted out"),
    Refusal.THROTTLED: (429, "rate_limited", "too many requests"),
    Refusal.UNAUTHORISED: (401, "unauthorized", "the key is not known"),
    Refusal.SERVER_ERROR: (500, "internal", "something went wrong"),
    Refusal.UNAVAILABLE: (503, "unavailable", "try again later"),
}
NOT_JSON = (400, "bad_request", "the body is not JSON")
NO_SENDER = (400, "invalid_sender", "from is missing")
NO_TEXT = (400, "bad_request", "body is missing")
TOO_LONG = (400, "bad_request", "body is longer than 1600 characters")
TOO_LATE = (400, "bad_request", "valid_for_seconds must be 1 to 259200")
NOT_FOUND = (404, "not_found", "there is no such message")


class PineAppleWire(UsualWire):
    name = "pineapple"
    prefix = PATH
    account_prefixes: tuple[str, ...] = ("pa-",)
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("sent"),
        Fate.DELIVERED: Report("delivered"),
        Fate.UNDELIVERED: Report("undelivered", "unreachable"),
        Fate.FAILED: Report("failed", "internal"),
        Fate.BLOCKED: Report("rejected", "blocked"),
        Fate.EXPIRED: Report("expired", "expired"),
    }
    known_words = frozenset(
        {"queued", "accepted", "sent", "delivered", "undelivered", "failed", "rejected", "expired"}
    )
    learns_later: Mapping[Refusal, Fate] = {}
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        if request.path != PATH:
            return None
        fields = fields_of(request.body)
        ref = fields.get("reference", "")
        submission = Submission(
            self.name,
            _account(request),
            fields.get("from", ""),
            fields.get("to", ""),
            fields.get("body", ""),
            ref,
            ref,  # by which it can be asked for
            callback_url=fields.get("status_url", ""),
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        fields = fields_of(request.body)
        if not one.account:
            return self.refused(Refusal.UNAUTHORISED)
        if not fields:
            return _error(*NOT_JSON)
        if not NUMBER.fullmatch(one.to):
            return self.refused(Refusal.INVALID_RECIPIENT)
        if not one.from_value:
            return _error(*NO_SENDER)
        if not one.text:
            return _error(*NO_TEXT)
        if len(one.text) > MAX_CHARS:
            return _error(*TOO_LONG)
        return None if _is_life(fields.get("valid_for_seconds", "1")) else _error(*TOO_LATE)

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"pa_{salt:016x}{seq:016x}"

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        return json_response(202, {"id": entry.provider_ref, "status": "queued"})

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return _error(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return _error(*NOT_FOUND)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        account = _account(request)
        if not account:
            return self.refused(Refusal.UNAUTHORISED)
        if request.path == PATH:
            reference = parse_qs(request.query).get("reference", [""])[0]
            found = ledger.taken_with(reference) if reference else []
            mine = [entry for entry in found if _is_of(entry, account)]
            return json_response(200, {"messages": [_message(entry) for entry in mine]})
        provider_ref = request.path.removeprefix(f"{PATH}/")
        entry = ledger.entry(_seq_in(provider_ref))
        if entry is None or entry.provider_ref != provider_ref or not _is_of(entry, account):
            return self.not_found()
        return json_response(200, _message(entry))

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        form = {
            "event": "message.status",
            "id": message.provider_ref,
            "reference": message.ref,
            "to": message.to,
            "status": report.word,
            "at": _time(time.time()),
        }
        return {**form, "error_code": report.code} if report.code else form

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        return {
            "event": "message.inbound",
            "id": inbound.provider_ref,
            "from": inbound.sender,
            "to": inbound.to,
            "body": inbound.text,
            "at": _time(time.time()),
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        media: dict[str, object] = {"media": []} if form.get("event") == "message.inbound" else {}
        return json.dumps({**form, **media}).encode()

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, INBOUND | callback)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        at = str(int(time.time()))
        signature = simulator_signing.pineapple(token, self.body(form), at)
        return {"X-Signature": f"t={at},v1={signature}", "Content-Type": "application/json"}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        is_due = not 200 <= answer < 300 and tries <= len(RETRY_AFTER)
        return RETRY_AFTER[tries - 1] if is_due else None


def _account(request: Request) -> str:
    """An account goes by its key; any is good."""
    scheme, _, key = request.header(b"authorization").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _is_life(seconds: str) -> bool:
    return seconds.isdecimal() and 1 <= int(seconds) <= LONGEST_LIFE


def _is_of(entry: LedgerEntry, account: str) -> bool:
    return (entry.submission.provider, entry.submission.account) == (PineAppleWire.name, account)


def _message(entry: LedgerEntry) -> dict[str, object]:
    return {
        "id": entry.provider_ref,
        "reference": entry.submission.ref,
        "to": entry.submission.to,
        "status": "sent",
        "error_code": None,
        "at": _time(entry.received_at),
    }


def _seq_in(provider_ref: str) -> int:
    try:
        return int(provider_ref[-16:], 16)
    except ValueError:
        return 0


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _error(status: int, code: str, message: str) -> bytes:
    return json_response(status, {"error": {"code": code, "message": message}})
