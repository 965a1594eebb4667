"""Vonage's SMS API: one form-encoded POST a message, a receipt for each part of a long text.

Fields and the numbers of refusals are from Vonage's definition of the API and its own package; the
names of receipt codes are those that others quote from its receipt guide. Assumed: the sentence
that asks us to wait counts milliseconds, a refused parameter is named as in "Missing to param", and
an edge before the API may answer 401 to 404 by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from providers import base, segments, signatures
from providers.adapters import vonage
from providers.base import ErrorClass, Fault, Status

LONGEST_CALLBACK = 100  # characters of a receipt address
WAIT = re.compile(r"wait \[ *([0-9]{1,9}) *\]")  # milliseconds
SMALL = re.compile(r"[0-9]{1,3}")  # a text has 255 pieces at most
NAMES_A_NUMBER = re.compile(r"\b(from|to) param")

# The status of a part that was refused.
THROTTLED = {"1", "10"}
CONTENT = {"2", "3", "12"}
ACCOUNT = {"4", "8", "9", "11", "14", "22", "23", "29", "32"}
SENDER = {"15"}
RECIPIENT = {"6", "7", "33"}
BARRED = "7"

STATUSES = {
    "accepted": Status.ACCEPTED,
    "buffered": Status.SENT,
    "delivered": Status.DELIVERED,
    "failed": Status.UNDELIVERED,
    "expired": Status.EXPIRED,
    "rejected": Status.REJECTED,
    "unknown": Status.UNKNOWN,
}
FAILURES = {Status.UNDELIVERED, Status.REJECTED, Status.EXPIRED}
# Code 9 is said of an illegal number and of one that sent STOP: neither may be texted again.
STOPPED = "9"
CARRIER_BLOCKED = {"4", "6", "14", *map(str, range(50, 55))}
RECEIPT_CLASSES = {
    **dict.fromkeys(("3", "4", "9", "11", "12", "13"), ErrorClass.PERMANENT_RECIPIENT),
    **dict.fromkeys(("6", "10", "14", "50", "51", "52", "53", "54"), ErrorClass.PERMANENT_CONTENT),
    **dict.fromkeys(("2", "5", "7", "8", "15", "99"), ErrorClass.TRANSIENT),
    "16": ErrorClass.THROTTLED,
}


class VonageSms(base.OneByOne):
    kind = "vonage_sms"
    label = "Vonage SMS"
    base_url = "https://rest.nexmo.com"
    credentials = ("api_key", "api_secret")
    optional_credentials = ("signature_secret", "signature_method")
    max_chars = 1_600
    evidence = (
        "Not confirmed with Vonage: how it asks us to wait, and whether a receipt fetched by GET is"
        " signed with our own mark in the address. Set the address for texts as the account's"
        " address for receipts, too: it is used where a message's own would be too long."
    )

    def problems(self, access: base.Access) -> Mapping[str, str]:
        method = access.secrets.get("signature_method")
        if not method or method in signatures.VONAGE_METHODS:
            return {}
        return {"signature_method": f"One of {', '.join(signatures.VONAGE_METHODS)}, or nothing."}

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        (send,) = sends
        form = {
            "from": vonage.digits(send.from_value),
            "to": vonage.digits(send.to_e164),
            "text": send.text,
            "client-ref": send.ref,
        }
        if not segments.is_gsm(send.text):
            form["type"] = "unicode"
        if callback := _callback_address(send.status_callback_url):
            form["callback"] = callback
        seconds = vonage.life(send)
        if seconds is not None:
            form["ttl"] = str(seconds * 1_000)
        url = f"{(access.base_url or self.base_url).rstrip('/')}/sms/json"
        return base.HttpRequest(method="POST", url=url, auth=vonage.basic(access), form=form)

    def read_outcome(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        """They answer 200 to a refusal, too: the parts say what became of it."""
        if response.status in vonage.ACCOUNT_STATUSES:
            return base.NotSent(str(response.status), fault=Fault.ACCOUNT)
        if response.status >= 300:
            return base.Unknown(str(response.status))
        parts = response.json()["messages"]
        if any(part["status"] == "0" for part in parts):
            return _read_taken(send, parts)
        refusals = [
            _read_refusal(str(part["status"]), str(part.get("error-text") or "")) for part in parts
        ]
        return next((one for one in refusals if isinstance(one, base.Unknown)), refusals[0])

    def needs_key(self, access: base.Access) -> bool:
        return not access.secrets.get("signature_secret")

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        """By the signature where the account has one; else the key in the path must do.

        Of a receipt in a query it is not said whether our mark in the address is signed with it.
        """
        secret = access.secrets.get("signature_secret")
        if not secret:
            return True
        method = access.secrets.get("signature_method") or signatures.MD5_HASH
        fields = _readable(callback)
        theirs = {name: value for name, value in fields.items() if name != base.REF_FIELD}
        return any(
            signatures.vonage_sms(signed, secret=secret, method=method)
            for signed in (theirs, fields)
        )

    def replay_key(self, callback: base.Callback) -> str:
        return _readable(callback).get("nonce", "")

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        fields = _fields(callback)
        if not fields.get("messageId") or not fields.get("msisdn"):
            return None
        if "status" in fields:
            return _read_receipt(fields, callback.query.get(base.REF_FIELD, ""))
        return _read_inbound(fields) if "text" in fields else None

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest:
        return vonage.build_look_up(look_up, access, product="SMS")

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        return vonage.read_look_up(look_up, response, report_of=_report_of)


def _callback_address(url: str) -> str:
    """As much of it as they take: `client-ref` has our reference, so its query may be missing."""
    return next((one for one in (url, url.partition("?")[0]) if len(one) <= LONGEST_CALLBACK), "")


# --- the answer -----------------------------------------------------------------------------------


def _read_taken(send: base.SendRequest, parts: Sequence[Mapping[str, Any]]) -> base.Outcome:
    """Taken where any part was; each has an id of its own, and they echo whom it goes to."""
    taken = [part for part in parts if part["status"] == "0"]
    ids = [part.get("message-id") for part in taken]
    if not all(one and isinstance(one, str) for one in ids):
        return base.Unknown("no id in the answer")
    if any(part.get("client-ref", send.ref) != send.ref for part in taken):
        return base.Unknown("the answer names another message")
    to = vonage.digits(send.to_e164)
    if any(vonage.digits(str(part.get("to", to))) != to for part in taken):
        return base.Unknown("the answer names another recipient")
    first, *others = map(str, ids)
    return base.Accepted(first, segments=len(parts), part_refs=tuple(others))


def _read_refusal(status: str, sentence: str) -> base.Outcome:
    """The code says that it is one of a refusal: a receipt's have the same numbers."""
    code = f"status {status}"
    if status in THROTTLED:
        wait = WAIT.search(sentence)
        seconds = int(wait[1]) / 1_000 if wait else None
        return base.NotSent(code, throttled=True, retry_after=seconds)
    named = NAMES_A_NUMBER.search(sentence) if status in CONTENT else None
    if status in SENDER or (named and named[1] == "from"):
        return base.NotSent(code, fault=Fault.SENDER)
    if status in ACCOUNT:
        return base.NotSent(code, fault=Fault.ACCOUNT)
    if status in RECIPIENT or named:
        return base.Rejected(ErrorClass.PERMANENT_RECIPIENT, code, carrier_blocked=status == BARRED)
    if status in CONTENT:
        return base.Rejected(ErrorClass.PERMANENT_CONTENT, code)
    return base.Unknown(code)  # an error of theirs, or a number that is in no table


# --- what comes back ------------------------------------------------------------------------------


def _fields(callback: base.Callback) -> Mapping[str, str]:
    """Form, JSON or query, as the account is set. Raises ValueError, TypeError, RecursionError."""
    if callback.form or not callback.body:
        return callback.form or callback.query
    fields = json.loads(callback.body)
    if not isinstance(fields, dict):
        raise TypeError("a callback is a JSON object")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if value is not None
    }


def _readable(callback: base.Callback) -> Mapping[str, str]:
    """Of one that is not yet known to be theirs: nothing where it cannot be read."""
    try:
        return _fields(callback)
    except (ValueError, TypeError, RecursionError):
        return {}


def _read_receipt(fields: Mapping[str, str], asked_ref: str) -> base.DeliveryReport:
    """`msisdn` is the recipient, `to` our own number."""
    return _report(
        ref=fields.get("client-ref") or asked_ref,
        part=fields["messageId"],
        recipient=fields["msisdn"],
        word=fields["status"],
        code=fields.get("err-code", ""),
        at=vonage.moment(fields.get("message-timestamp", "")) or _minute(fields.get("scts", "")),
    )


def _report_of(record: Mapping[str, Any], ref: str) -> base.DeliveryReport:
    return _report(
        ref=ref,
        part=str(record["message_id"]),
        recipient=str(record.get("to") or ""),
        word=str(record["status"]),
        code=str(record.get("error_code") or ""),
        at=vonage.moment(str(record.get("date_finalized") or "")),
    )


def _report(
    *, ref: str, part: str, recipient: str, word: str, code: str, at: datetime | None
) -> base.DeliveryReport:
    status = STATUSES.get(word.lower(), Status.ACCEPTED)  # a word new to us: taken at least
    has_failed = status in FAILURES and code not in ("", "0")
    if has_failed and code in CARRIER_BLOCKED:
        status = Status.REJECTED
    return base.DeliveryReport(
        ref=ref,
        provider_ref=part,
        status=status,
        provider_status=word,
        is_new_word=word.lower() not in STATUSES,
        recipient_e164=vonage.e164(recipient),
        code=code if has_failed else "",
        error_class=RECEIPT_CLASSES.get(code, ErrorClass.UNKNOWN) if has_failed else None,
        carrier_blocked=has_failed and code in CARRIER_BLOCKED,
        opted_out=has_failed and code == STOPPED,
        is_of_a_part=True,
        occurred_at=at,
        dedupe_key=f"{part}:{word.lower()}:{code}",
    )


def _minute(scts: str) -> datetime | None:
    """YYMMDDHHMM, as the carriers write it."""
    try:
        return datetime.strptime(scts, "%y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def _read_inbound(fields: Mapping[str, str]) -> base.InboundMessage:
    sender = vonage.e164(fields["msisdn"])
    return base.InboundMessage(
        provider_ref=fields["messageId"],
        from_e164=sender,
        to_value=vonage.e164(fields.get("to", "")),
        text=fields["text"],
        keyword=fields.get("keyword", ""),
        part=_part(fields, sender),
        dedupe_key=fields["messageId"],
    )


def _part(fields: Mapping[str, str], sender: str) -> base.Part | None:
    """Their reference counts on for one phone and one number of ours, and comes round again.

    What does not say where it belongs is read as it is: it may be a STOP.
    """
    ref, at, total = (fields.get(f"concat-{name}", "") for name in ("ref", "part", "total"))
    is_sound = bool(ref) and SMALL.fullmatch(at) and SMALL.fullmatch(total)
    if fields.get("concat") != "true" or not is_sound or not 1 <= int(at) <= int(total):
        return None
    text_ref = f"{ref}:{sender}:{fields.get('to', '')}"
    return base.Part(text_ref=text_ref, number=int(at), of=int(total))
