"""TextBack as the simulator speaks it. Its address and two headers are known, the rest is assumed
(reference, section 9).

What it posts carries a token in a header where the account has one, and no signature ever.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response
from providers.simulator_json import fields_of
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_wire import NUMBER, Fate, Inbound, Report, Taken, UsualWire

PATH = "/api/v2/message/send"
MAX_CHARS = 1_600
INBOUND = 1 << 63  # in the ids of texts that come in, so that no message of ours has them
RETRY_AFTER = (30.0, 300.0)  # seconds

REFUSALS = {
    Refusal.INVALID_RECIPIENT: (400, "INVALID_RECIPIENT", "The number cannot be texted"),
    Refusal.LANDLINE: (400, "LANDLINE", "The number is a landline"),
    Refusal.OPTED_OUT: (400, "OPTED_OUT", "The recipient has opted out"),
    Refusal.THROTTLED: (429, "RATE_LIMITED", "Too many requests"),
    Refusal.UNAUTHORISED: (401, "UNAUTHORIZED", "Token or secret is wrong"),
    Refusal.SERVER_ERROR: (500, "INTERNAL_ERROR", "Something went wrong"),
    Refusal.UNAVAILABLE: (503, "UNAVAILABLE", "Try again later"),
}
NOT_JSON = (400, "BAD_REQUEST", "The body is not JSON")
NO_SENDER = (400, "INVALID_SENDER", "from is missing")
NO_TEXT = (400, "EMPTY_TEXT", "text is missing")
TOO_LONG = (400, "TEXT_TOO_LONG", "text is longer than 1600 characters")
NOT_FOUND = (404, "NOT_FOUND", "There is no such thing")


class TextBackWire(UsualWire):
    name = "textback"
    prefix = PATH
    account_prefixes: tuple[str, ...] = ("tb-",)
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("SENT"),
        Fate.DELIVERED: Report("DELIVERED"),
        Fate.UNDELIVERED: Report("UNDELIVERED", "UNREACHABLE"),
        Fate.FAILED: Report("FAILED", "INTERNAL"),
        Fate.BLOCKED: Report("REJECTED", "CARRIER_BLOCKED"),
        Fate.EXPIRED: Report("EXPIRED", "EXPIRED"),
    }
    known_words = frozenset(
        {"QUEUED", "SENT", "DELIVERED", "UNDELIVERED", "FAILED", "REJECTED", "EXPIRED"}
    )
    learns_later: Mapping[Refusal, Fate] = {}
    signs_callbacks = False
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        if request.path != PATH:
            return None
        fields = fields_of(request.body)
        submission = Submission(
            self.name,
            request.header(b"token"),
            fields.get("from", ""),
            fields.get("to", ""),
            fields.get("text", ""),
            fields.get("clientRef", ""),
            callback_url=fields.get("callbackUrl", ""),
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        if not (one.account and request.header(b"secret")):
            return self.refused(Refusal.UNAUTHORISED)
        if not fields_of(request.body):
            return _error(*NOT_JSON)
        if not NUMBER.fullmatch(one.to):
            return self.refused(Refusal.INVALID_RECIPIENT)
        if not one.from_value:
            return _error(*NO_SENDER)
        if not one.text:
            return _error(*NO_TEXT)
        return _error(*TOO_LONG) if len(one.text) > MAX_CHARS else None

    def provider_ref(self, salt: int, seq: int) -> str:
        return str(uuid.UUID(int=salt << 64 | seq))

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        return json_response(
            201, {"id": entry.provider_ref, "clientRef": entry.submission.ref, "status": "QUEUED"}
        )

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return _error(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return _error(*NOT_FOUND)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        return self.not_found()

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        form = {
            "type": "status",
            "messageId": message.provider_ref,
            "clientRef": message.ref,
            "status": report.word,
            "timestamp": _now(),
        }
        return {**form, "errorCode": report.code} if report.code else form

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        return {
            "type": "inbound",
            "messageId": inbound.provider_ref,
            "from": inbound.sender,
            "to": inbound.to,
            "text": inbound.text,
            "timestamp": _now(),
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        media: dict[str, object] = {"media": []} if form.get("type") == "inbound" else {}
        return json.dumps({**form, **media}).encode()

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, INBOUND | callback)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        shared = {"X-Webhook-Token": token} if token else {}
        return {"Content-Type": "application/json", **shared}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        is_due = not 200 <= answer < 300 and tries <= len(RETRY_AFTER)
        return RETRY_AFTER[tries - 1] if is_due else None


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


def _error(status: int, code: str, message: str) -> bytes:
    return json_response(status, {"code": code, "message": message})
