"""A provider that nobody has heard of, as the simulator speaks it: the example definition's way.

It is what an account of the kind "generic" talks to until somebody writes a definition of their
own. Its paths stand under one of their own: the address of such an account ends in /generic. It
signs nothing; who posts is known by the key in the path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response
from providers.simulator_json import fields_of
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_wire import NUMBER, Fate, Inbound, Report, Taken, UsualWire

PATH = "/generic/v1/messages"
MAX_CHARS = 1_600
INBOUND = 1 << 63  # in the ids of texts that come in, so that no message of ours has them
RETRY_AFTER = 60.0  # seconds, once

REFUSALS = {
    Refusal.INVALID_RECIPIENT: (400, "invalid_recipient"),
    Refusal.LANDLINE: (400, "invalid_recipient"),
    Refusal.OPTED_OUT: (400, "invalid_recipient"),
    Refusal.THROTTLED: (429, "rate_limited"),
    Refusal.UNAUTHORISED: (401, "unauthorized"),
    Refusal.SERVER_ERROR: (500, "internal"),
    Refusal.UNAVAILABLE: (503, "unavailable"),
}


class GenericWire(UsualWire):
    name = "generic"
    prefix = PATH
    account_prefixes: tuple[str, ...] = ("any-",)
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("sent"),
        Fate.DELIVERED: Report("delivered"),
        **dict.fromkeys(
            (Fate.UNDELIVERED, Fate.FAILED, Fate.BLOCKED, Fate.EXPIRED), Report("failed")
        ),
    }
    known_words = frozenset({"sent", "delivered", "failed"})
    learns_later: Mapping[Refusal, Fate] = {}
    signs_callbacks = False
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        if request.path != PATH:
            return None
        fields = fields_of(request.body)
        submission = Submission(
            self.name,
            _account(request),
            fields.get("from", ""),
            fields.get("to", ""),
            fields.get("text", ""),
            fields.get("reference", ""),
            callback_url=fields.get("status_url", ""),
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        if not one.account:
            return self.refused(Refusal.UNAUTHORISED)
        if not NUMBER.fullmatch(one.to):
            return self.refused(Refusal.INVALID_RECIPIENT)
        is_whole = bool(one.from_value and one.text) and len(one.text) <= MAX_CHARS
        return None if is_whole else _error(400, "bad_request")

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"g{salt:016x}{seq:016x}"

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        return json_response(201, {"id": entry.provider_ref})

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return _error(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return _error(404, "not_found")

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        return self.not_found()

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        return {
            "event": "status",
            "id": message.provider_ref,
            "reference": message.ref,
            "status": report.word,
        }

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        return {
            "event": "inbound",
            "id": inbound.provider_ref,
            "from": inbound.sender,
            "to": inbound.to,
            "text": inbound.text,
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        return json.dumps(dict(form)).encode()

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, INBOUND | callback)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        return {"Content-Type": "application/json"}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        return RETRY_AFTER if tries == 1 and not 200 <= answer < 300 else None


def _account(request: Request) -> str:
    """An account goes by its key; any is good."""
    scheme, _, key = request.header(b"authorization").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _error(status: int, code: str) -> bytes:
    return json_response(status, {"error": {"code": code}})
