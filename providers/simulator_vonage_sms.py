"""Vonage's SMS API as the simulator speaks it: form-encoded requests, 200 also for a refusal, and a
receipt for each part of a long text.

It signs by HMAC-SHA256; until an account is told its signature secret, its API secret stands for
it. Assumed: how long it waits for an answer, and every minute until it posts again.
"""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from providers import segments, simulator_signing, simulator_vonage
from providers.base import Part
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_twilio import read_form
from providers.simulator_wire import Fate, Inbound, Report, Taken, UsualWire, form_body

PATH = "/sms/json"
METHOD = "sha256"
MAX_CHARS = 3_200
MAX_REF, MAX_CALLBACK = 40, 100
PRICE, NETWORK = "0.00700000", "310410"
RETRY_SECONDS, RETRIES = 60.0, 24 * 60

REFUSALS = {
    Refusal.INVALID_RECIPIENT: ("6", "Unroutable message - rejected"),
    Refusal.THROTTLED: ("1", "Throughput Rate Exceeded - please wait [ 1000 ] and retry"),
    Refusal.UNAUTHORISED: ("4", "Bad Credentials"),
    Refusal.SERVER_ERROR: ("5", "Internal Error"),
}
TEXT_TOO_LONG = ("12", "The message is too long")
BAD_CALLBACK = ("23", "Invalid callback param")


class VonageSmsWire(UsualWire):
    name = "vonage_sms"
    prefix = (PATH, simulator_vonage.RECORDS)
    account_prefixes: tuple[str, ...] = ()
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("buffered", "0"),
        Fate.DELIVERED: Report("delivered", "0"),
        Fate.UNDELIVERED: Report("failed", "2"),
        Fate.FAILED: Report("failed", "99"),
        Fate.BLOCKED: Report("rejected", "14"),
        Fate.EXPIRED: Report("expired", "1"),
        Fate.LANDLINE: Report("failed", "12"),
        Fate.OPTED_OUT: Report("rejected", "9"),
    }
    known_words = frozenset(
        {"accepted", "buffered", "delivered", "failed", "expired", "rejected", "unknown"}
    )
    learns_later: Mapping[Refusal, Fate] = {
        Refusal.LANDLINE: Fate.LANDLINE,
        Refusal.OPTED_OUT: Fate.OPTED_OUT,
    }
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        if request.path != PATH:
            return None
        form = read_form(request.body)
        text = form.get("text", "")
        submission = Submission(
            self.name,
            simulator_vonage.account_of(request),
            simulator_vonage.e164(form.get("from", "")),
            simulator_vonage.e164(form.get("to", "")),
            text if form.get("type") == "unicode" else _in_gsm(text),
            form.get("client-ref", ""),
            callback_url=form.get("callback", ""),
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        form = read_form(request.body)
        if not one.account:
            return self.refused(Refusal.UNAUTHORISED)
        missing = next((name for name in ("from", "to", "text") if not form.get(name)), "")
        if missing:
            return _refusal("2", f"Missing {missing} param")
        if not simulator_vonage.NUMBER.fullmatch(simulator_vonage.digits(one.to)):
            return _refusal("3", "Invalid to param")
        if len(one.text) > MAX_CHARS:
            return _refusal(*TEXT_TOO_LONG)
        if len(one.callback_url) > MAX_CALLBACK:
            return _refusal(*BAD_CALLBACK)
        if len(one.ref) > MAX_REF or not _is_life(form.get("ttl")):
            return _refusal("3", "Invalid client-ref or ttl")
        return None

    def provider_ref(self, salt: int, seq: int) -> str:
        return simulator_vonage.message_id(salt, seq)

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        sent = entry.submission
        ids = simulator_vonage.ids_of(entry.provider_ref, segments.count(sent.text).parts)
        parts = [
            {
                "to": simulator_vonage.digits(sent.to),
                "message-id": one,
                "status": "0",
                "remaining-balance": "100.00000000",
                "message-price": PRICE,
                "network": NETWORK,
                **({"client-ref": sent.ref} if sent.ref else {}),
            }
            for one in ids
        ]
        return json_response(200, {"message-count": str(len(parts)), "messages": parts})

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        if refusal is Refusal.UNAVAILABLE:
            return json_response(503, {"error": "unavailable"})
        return _refusal(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return json_response(404, {"error": "not found"})

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        """Of both of Vonage's APIs."""
        if request.path != simulator_vonage.RECORDS:
            return self.not_found()
        return simulator_vonage.records(request, ledger)

    # --- what it posts to us ----------------------------------------------------------------

    def parts(self, message: Taken) -> Sequence[Taken]:
        ids = simulator_vonage.ids_of(message.provider_ref, message.segments)
        return [replace(message, provider_ref=one) for one in ids]

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "msisdn": simulator_vonage.digits(message.to),
            "to": simulator_vonage.digits(message.sender),
            "network-code": NETWORK,
            "messageId": message.provider_ref,
            "price": PRICE,
            "status": report.word,
            "scts": f"{now:%y%m%d%H%M}",
            "err-code": report.code or "0",
            "api-key": message.account,
            "client-ref": message.ref,
            "message-timestamp": f"{now:%Y-%m-%d %H:%M:%S}",
        }

    def pieces(self, inbound: Inbound) -> Sequence[Inbound]:
        """Each has an id of its own; the number they share is small, and comes round again."""
        texts = segments.cut(inbound.text)
        shared = str(zlib.crc32(inbound.provider_ref.encode()) % 256)
        return [
            replace(
                inbound,
                text=text,
                provider_ref=f"{inbound.provider_ref}-{n}" if n > 1 else inbound.provider_ref,
                part=Part(text_ref=shared, number=n, of=len(texts)) if len(texts) > 1 else None,
            )
            for n, text in enumerate(texts, start=1)
        ]

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        words, part = inbound.text.split(), inbound.part
        form = {
            "msisdn": simulator_vonage.digits(inbound.sender),
            "to": simulator_vonage.digits(inbound.to),
            "messageId": inbound.provider_ref,
            "text": inbound.text,
            "type": "text" if segments.is_gsm(inbound.text) else "unicode",
            "keyword": words[0].upper() if words else "",
            "api-key": inbound.account,
            "message-timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        }
        if part is not None:
            form |= {
                "concat": "true",
                "concat-ref": part.text_ref,
                "concat-total": str(part.of),
                "concat-part": str(part.number),
            }
        return form

    def body(self, form: Mapping[str, str]) -> bytes:
        return form_body(form)

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, simulator_vonage.INBOUND | callback)

    def get_ready(self) -> None:
        simulator_signing.vonage_sms("secret", {}, method=METHOD)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        """Its signature is one of the fields."""
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Nexmo/MessagingHUB/v1.0",
        }

    def signed_fields(self, token: str, form: Mapping[str, str]) -> dict[str, str]:
        stamp = {"timestamp": str(int(time.time())), "nonce": secrets.token_hex(16)}
        signature = simulator_signing.vonage_sms(token, {**form, **stamp}, method=METHOD)
        return {**stamp, "sig": signature}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """For 24 hours, where the answer was not 200 or 204."""
        return None if answer in (200, 204) or tries >= RETRIES else RETRY_SECONDS


def _in_gsm(text: str) -> str:
    """What does not fit the small alphabet is lost where the type does not say so."""
    return (
        text if segments.is_gsm(text) else "".join(c if segments.is_gsm(c) else "?" for c in text)
    )


def _is_life(ttl: str | None) -> bool:
    shortest, longest = simulator_vonage.SHORTEST_LIFE, simulator_vonage.LONGEST_LIFE
    return ttl is None or (ttl.isdecimal() and shortest <= int(ttl) / 1_000 <= longest)


def _refusal(status: str, text: str) -> bytes:
    part = {"status": status, "error-text": text}
    return json_response(200, {"message-count": "1", "messages": [part]})
