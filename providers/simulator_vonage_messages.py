"""Vonage's Messages API as the simulator speaks it: JSON both ways, and a token with each callback.

It knows accounts by name and password, no applications. Until an account is told its signature
secret, its API secret stands for it. Its records are served with those of the SMS API. Assumed:
how long it waits for an answer, that it posts again every minute, and the code for a time that ran
out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from providers import segments, simulator_signing, simulator_vonage
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_vonage import problem
from providers.simulator_wire import Fate, Inbound, Report, Taken, UsualWire

PATH = "/v1/messages"
MAX_CHARS, MAX_REF = 3_200, 100
UNPOSTED = "account"  # a field for the token alone
RETRY_SECONDS, RETRIES = 60.0, 24 * 60

REFUSALS = {
    Refusal.INVALID_RECIPIENT: (422, "1170", "Invalid recipient", "The `to` number is invalid."),
    Refusal.THROTTLED: (429, "1000", "Throttled", "You have exceeded the submission capacity."),
    Refusal.UNAUTHORISED: (401, "unauthorized", "Unauthorized", "Your credentials are wrong."),
    Refusal.SERVER_ERROR: (500, "1030", "Internal error", "There was an error of ours."),
    Refusal.UNAVAILABLE: (503, "1030", "Internal error", "The platform is not available."),
}
NOT_JSON = (422, "1020", "Invalid params", "The body is not a message of text by SMS.")
NO_TEXT = (422, "1010", "Missing params", "The `text` parameter is missing.")
NO_SENDER = (422, "1120", "Invalid sender", "The `from` parameter is invalid.")
TEXT_TOO_LONG = (422, "1090", "Message too long", "The text is longer than 3200 characters.")
BAD_LIFE = (422, "1130", "Invalid TTL", "The `ttl` is not from 20 to 604800.")
BAD_REF = (422, "1020", "Invalid params", "The `client_ref` is longer than 100 characters.")
NOT_FOUND = (404, "not-found", "Not found", "There is no such thing.")
DETAILS = {
    "1180": "Absent subscriber - temporary",
    "1230": "Network error",
    "1240": "Illegal number - the recipient has sent STOP",
    "1250": "Unroutable",
    "1280": "Number blocked by carrier",
    "1360": "TTL was reached",
}


class VonageMessagesWire(UsualWire):
    name = "vonage"
    prefix = PATH
    account_prefixes: tuple[str, ...] = ()
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("submitted"),
        Fate.DELIVERED: Report("delivered"),
        Fate.UNDELIVERED: Report("undeliverable", "1180"),
        Fate.FAILED: Report("undeliverable", "1230"),
        Fate.BLOCKED: Report("rejected", "1280"),
        Fate.EXPIRED: Report("rejected", "1360"),
        Fate.LANDLINE: Report("undeliverable", "1250"),
        Fate.OPTED_OUT: Report("rejected", "1240"),
    }
    known_words = frozenset({"submitted", "delivered", "read", "rejected", "undeliverable"})
    learns_later: Mapping[Refusal, Fate] = {
        Refusal.LANDLINE: Fate.LANDLINE,
        Refusal.OPTED_OUT: Fate.OPTED_OUT,
    }
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        if request.path != PATH:
            return None
        message = _read_json(request.body)
        submission = Submission(
            self.name,
            simulator_vonage.account_of(request),
            simulator_vonage.e164(_text(message, "from")),
            simulator_vonage.e164(_text(message, "to")),
            _text(message, "text"),
            _text(message, "client_ref"),
            callback_url=_text(message, "webhook_url"),
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,), message = sent, _read_json(request.body)
        if not one.account:
            return self.refused(Refusal.UNAUTHORISED)
        if (message.get("channel"), message.get("message_type")) != ("sms", "text"):
            return problem(*NOT_JSON)
        if not simulator_vonage.NUMBER.fullmatch(simulator_vonage.digits(one.to)):
            return self.refused(Refusal.INVALID_RECIPIENT)
        if not one.from_value:
            return problem(*NO_SENDER)
        if not one.text:
            return problem(*NO_TEXT)
        if len(one.text) > MAX_CHARS:
            return problem(*TEXT_TOO_LONG)
        if len(one.ref) > MAX_REF:
            return problem(*BAD_REF)
        return None if _is_life(message.get("ttl")) else problem(*BAD_LIFE)

    def provider_ref(self, salt: int, seq: int) -> str:
        return simulator_vonage.message_id(salt, seq)

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        return json_response(202, {"message_uuid": entry.provider_ref})

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return problem(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return problem(*NOT_FOUND)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        return self.not_found()

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        form = {
            UNPOSTED: message.account,
            "message_uuid": message.provider_ref,
            "to": simulator_vonage.digits(message.to),
            "from": simulator_vonage.digits(message.sender),
            "timestamp": _now(),
            "status": report.word,
            "client_ref": message.ref,
            "channel": "sms",
            "usage.currency": "USD",
            "usage.price": "0.0070",
            "destination.network_code": "310410",
            "sms.count_total": str(message.segments),
        }
        if report.code:
            form |= {
                "error.type": f"https://developer.vonage.com/api-errors/messages#{report.code}",
                "error.title": report.code,
                "error.detail": DETAILS.get(report.code, ""),
                "error.instance": message.provider_ref,
            }
        return form

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        words = inbound.text.split()
        return {
            UNPOSTED: inbound.account,
            "message_uuid": inbound.provider_ref,
            "to": simulator_vonage.digits(inbound.to),
            "from": simulator_vonage.digits(inbound.sender),
            "timestamp": _now(),
            "channel": "sms",
            "message_type": "text",
            "text": inbound.text,
            "sms.num_messages": str(segments.count(inbound.text).parts),
            "sms.keyword": words[0].upper() if words else "",
            "usage.currency": "USD",
            "usage.price": "0.0070",
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        """A name with a dot is one inside another."""
        plain: dict[str, Any] = {}
        for name, value in form.items():
            outer, _, inner = name.partition(".")
            if inner:
                plain.setdefault(outer, {})[inner] = value
            elif name != UNPOSTED:
                plain[name] = value
        return json.dumps(plain).encode()

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, simulator_vonage.INBOUND | callback)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        signed = simulator_signing.vonage_jwt(token, form[UNPOSTED], self.body(form))
        return {"Authorization": f"Bearer {signed}", "Content-Type": "application/json"}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """For 24 hours, where the answer was not 2xx."""
        return None if 200 <= answer < 300 or tries >= RETRIES else RETRY_SECONDS


def _now() -> str:
    return f"{datetime.fromtimestamp(time.time(), UTC):%Y-%m-%dT%H:%M:%S}.000Z"


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


def _is_life(ttl: object) -> bool:
    shortest, longest = simulator_vonage.SHORTEST_LIFE, simulator_vonage.LONGEST_LIFE
    return ttl is None or (isinstance(ttl, int) and shortest <= ttl <= longest)
