"""What the replies of a mail server mean: RFC 5321's codes, made exact by RFC 3463's.

Pure. Where a code alone does not say whose fault it is, a phrase of the commonest servers does; the
phrases are from their sources and manuals, and few: a wrong guess at the recipient would be final.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    HttpResponse,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
)

END = "."  # the reply to a message
OPENING = {"CONNECT", "EHLO", "STARTTLS"}
LEAVING = 421
LOG_IN_REFUSED = {530, 534, 535, 538}
# A command that they do not understand: our mistake or theirs, nothing of the message's.
MISUNDERSTOOD = {500, 501, 502, 503, 504, 555}
ONLY_THE_RECIPIENT = {550, 551, 553, 556}  # of a RCPT without a code that is more exact

ENHANCED = re.compile(r"[245]\.(\d{1,3}\.\d{1,3})\b")
TOO_FAST = re.compile(
    r"\brate\b|\btoo (many|fast)\b|\bthrottl|\bslow down\b"
    r"|\b(sending|message|connection|hourly|daily) (limit|quota)\b",
    re.I,
)
# Sendmail, Postfix, Exim and Exchange refuse late, as an answer to RCPT, what is not its fault.
SENDER_AT_FAULT = re.compile(
    r"sender (address|verify|domain)|not owned by|send as|sendas|address is not verified", re.I
)
ACCOUNT_AT_FAULT = re.compile(
    r"relay(ing)? (access )?(denied|not permitted)|unable to relay|client host|helo command"
    r"|authentication required|must authenticate",
    re.I,
)
QUEUE_ID = re.compile(r"(?:\bqueued as |\bid=|^(?:2\.\d\.\d )?Ok )<?([A-Za-z0-9._-]{4,64})\b", re.I)

BAD_RECIPIENT = frozenset({"2.1"})  # beside 1.x: the mailbox is closed
FULL = frozenset({"2.2", "2.4"})
BAD_CONTENT = frozenset({"2.3", "3.4"})  # too long
BAD_SENDER = frozenset({"1.7", "1.8"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it is judged; `detail` is its code's subject and detail, such as "1.1"."""

    command: str
    status: int
    text: str
    detail: str

    @property
    def code(self) -> str:
        """As staff see it: "5.1.1", or the plain code where there is no other."""
        return f"{self.status // 100}.{self.detail}" if self.detail else str(self.status)


def read(response: HttpResponse) -> Reply:
    found = ENHANCED.match(response.text.lstrip())
    detail = found[1] if found else ""
    return Reply(response.command, response.status, response.text, detail)


def outcome_of(reply: Reply, ref: str) -> Outcome:
    """What a final reply means for the message with this reference."""
    if reply.status == 250 and reply.command == END:
        return _taken(reply, ref)
    if reply.status >= 500:
        return _denied(reply)
    if reply.status >= 400:
        return _put_off(reply)
    return Unknown(str(reply.status))


def class_of(detail: str) -> ErrorClass:
    """Of a 5xx or of a report, by its code's subject and detail."""
    if detail in BAD_RECIPIENT or (detail.startswith("1.") and detail not in BAD_SENDER):
        return ErrorClass.PERMANENT_RECIPIENT
    if detail in FULL or detail.startswith("4."):  # a network or a queue, not a person
        return ErrorClass.TRANSIENT
    if detail in BAD_CONTENT or detail.startswith(("6.", "7.")):
        return ErrorClass.PERMANENT_CONTENT
    return ErrorClass.UNKNOWN


def is_blocked(detail: str) -> bool:
    """By their policy or a filter, for what it says or who sends it."""
    return detail.startswith("7.")


def _taken(reply: Reply, ref: str) -> Accepted:
    """Our reference is what all reports name; their queue id is for who reads their log."""
    found = QUEUE_ID.search(reply.text)
    return Accepted(ref, part_refs=(found[1],) if found else ())


def _put_off(reply: Reply) -> NotSent:
    is_throttle = is_blocked(reply.detail) or TOO_FAST.search(reply.text) is not None
    if is_throttle or reply.command == "AUTH":
        return NotSent(reply.code, throttled=True)
    is_unreachable = reply.status == LEAVING or reply.command in OPENING
    return NotSent(reply.code, unreachable=is_unreachable)


def _denied(reply: Reply) -> Outcome:
    if reply.status in LOG_IN_REFUSED or reply.command == "AUTH":
        return NotSent(reply.code, fault=Fault.ACCOUNT)
    if reply.command in OPENING:
        return NotSent(reply.code, unreachable=True)
    if fault := _fault(reply):
        return NotSent(reply.code, fault=fault)
    if _is_misunderstood(reply):
        return NotSent(reply.code)
    error_class = class_of(reply.detail) if reply.detail else _class_by_status(reply)
    return Rejected(error_class, reply.code, carrier_blocked=is_blocked(reply.detail))


def _fault(reply: Reply) -> Fault | None:
    if ACCOUNT_AT_FAULT.search(reply.text):
        return Fault.ACCOUNT
    is_senders = reply.detail in BAD_SENDER or SENDER_AT_FAULT.search(reply.text) is not None
    if reply.command == "MAIL":  # nothing but who it is from, or how long it is, was said yet
        is_senders = is_senders or not (_is_misunderstood(reply) or reply.status == 552)
    return Fault.SENDER if is_senders else None


def _is_misunderstood(reply: Reply) -> bool:
    return reply.detail.startswith("5.") or (not reply.detail and reply.status in MISUNDERSTOOD)


def _class_by_status(reply: Reply) -> ErrorClass:
    if reply.status == 552:
        return ErrorClass.PERMANENT_CONTENT if reply.command == "MAIL" else ErrorClass.TRANSIENT
    if reply.command == "RCPT" and reply.status in ONLY_THE_RECIPIENT:
        return ErrorClass.PERMANENT_RECIPIENT
    return ErrorClass.PERMANENT_CONTENT
