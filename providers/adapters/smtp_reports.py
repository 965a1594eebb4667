"""What comes back as mail: bounces (RFC 3464), complaints (RFC 5965), unsubscribes (RFC 2369).

Anything else, an answer out of the office above all, is none of these. The reference is that of the
returned original where there is one, else that of the address the mail went to: letters of an
address change their case on the way more often than those of a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import cast

from providers.adapters.smtp_message import BOUNCES, REF_HEADER, UNSUBSCRIBES
from providers.adapters.smtp_replies import class_of, is_blocked
from providers.base import DeliveryReport, Status

ACTIONS = {
    "failed": Status.UNDELIVERED,
    "delayed": Status.ACCEPTED,
    "delivered": Status.DELIVERED,
    "relayed": Status.SENT,
    "expanded": Status.SENT,  # to a list, of which nobody reports
}
COMPLAINTS = {"abuse", "fraud", "opt-out"}  # others report a virus, a test, or that it was no spam
RAN_OUT = "4.7"  # of time
TO_WHOM = ("Delivered-To", "X-Original-To", "To")
RETURNED = ("message/rfc822", "message/rfc822-headers", "text/rfc822-headers")

REF = r"([A-Za-z0-9_-]{1,32})"
_whole_ref = re.compile(REF).fullmatch
_in_message_id = re.compile(rf"\s*<{REF}@[^<>@\s]+>\s*").fullmatch
_in_address = re.compile(rf"\b({BOUNCES}|{UNSUBSCRIBES})\+{REF}@").findall
_in_subject = re.compile(rf"\b{UNSUBSCRIBES} {REF}\Z").search
_status = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b").search


def read(mail: bytes) -> DeliveryReport | None:
    """What a mail says of a message of ours; None where it says nothing, or of none of ours."""
    try:
        return _read(message_from_bytes(mail))
    except RecursionError:  # parts within parts within parts: nobody's bounce
        return None


def _read(message: Message) -> DeliveryReport | None:
    if message.get_content_type() != "multipart/report":
        return _unsubscribe(message)
    readers = {"delivery-status": _bounce, "feedback-report": _complaint}
    reader = readers.get(str(message.get_param("report-type", "")).lower())
    return reader(message) if reader else None


def _bounce(message: Message) -> DeliveryReport | None:
    """Of its recipients the first one: each message of ours has one."""
    fields = next((one for one in _fields(message, "delivery-status") if one["Action"]), None)
    ref = _ref_of_original(message) or _addressed(message, BOUNCES)
    action = _value(fields, "Action").lower()
    if not ref or action not in ACTIONS:
        return None
    status, code = ACTIONS[action], _code(fields)
    has_failed = status is Status.UNDELIVERED
    detail = code.partition(".")[2]
    if has_failed and detail == RAN_OUT:
        status = Status.EXPIRED
    return DeliveryReport(
        ref=ref,
        provider_ref=ref,
        status=status,
        provider_status=action,
        code=code if has_failed else "",
        error_class=class_of(detail) if has_failed else None,
        carrier_blocked=has_failed and is_blocked(detail),
        dedupe_key=f"{ref}:{action}:{code}",
    )


def _complaint(message: Message) -> DeliveryReport | None:
    fields = next(_fields(message, "feedback-report"), None)
    ref = _ref_of_original(message) or _in(_value(fields, "Original-Mail-From"), BOUNCES)
    if not ref or _value(fields, "Feedback-Type").lower() not in COMPLAINTS:
        return None
    return _opt_out(ref, "complaint")


def _unsubscribe(message: Message) -> DeliveryReport | None:
    ref = _addressed(message, UNSUBSCRIBES)
    said = _in_subject(_value(message, "Subject"))
    if said and said[1].lower() == ref.lower():
        ref = said[1]
    return _opt_out(ref, "unsubscribed") if ref else None


def _opt_out(ref: str, code: str) -> DeliveryReport:
    """Who answers a message has it."""
    return DeliveryReport(
        ref=ref,
        provider_ref=ref,
        status=Status.DELIVERED,
        provider_status=code,
        code=code,
        opted_out=True,
        dedupe_key=f"{ref}:{code}",
    )


# --- parts ----------------------------------------------------------------------------------------


def _fields(message: Message, subtype: str) -> Iterator[Message]:
    """The groups of fields in the part of this type; in a delivery-status the first is of none."""
    for part in message.walk():
        if part.get_content_type() == f"message/{subtype}" and part.is_multipart():
            yield from cast("list[Message]", part.get_payload())
            return


def _value(fields: Message | None, name: str) -> str:
    return str(fields[name] or "").strip() if fields is not None else ""


def _code(fields: Message | None) -> str:
    """Their status, or the one in what they were told, where theirs says no more than yes or no."""
    found = _code_in(_value(fields, "Status"))
    if found.endswith(".0.0"):
        return _code_in(_value(fields, "Diagnostic-Code")) or found
    return found


def _code_in(text: str) -> str:
    found = _status(text)
    return found[0] if found else ""


def _ref_of_original(message: Message) -> str:
    for part in message.walk():
        if part.get_content_type() in RETURNED:
            return _ref_of(_headers(part))
    return ""


def _headers(part: Message) -> Message:
    if part.is_multipart():  # a message in the message
        return cast("list[Message]", part.get_payload())[0]
    return message_from_bytes(cast("bytes", part.get_payload(decode=True) or b""))


def _ref_of(headers: Message) -> str:
    if found := _whole_ref(_value(headers, REF_HEADER)):
        return found[0]
    found = _in_message_id(_value(headers, "Message-ID"))
    return found[1] if found else ""


def _addressed(message: Message, kind: str) -> str:
    """The reference in the address of this kind that the mail went to."""
    values = [str(value) for name in TO_WHOM for value in message.get_all(name, ())]
    return next((ref for value in values if (ref := _in(value, kind))), "")


def _in(value: str, kind: str) -> str:
    return next((ref for found, ref in _in_address(value) if found == kind), "")
