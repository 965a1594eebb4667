"""How far a test has come, in sentences for the person who waits for it with the phone in hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from delivery.models import Attempt, Due, Message
from delivery.states import Reason, Status

DID, WAITS, NOT = "did", "waits", "not"
GOING = frozenset({Status.PLANNED, Status.SENDING, Status.ACCEPTED, Status.SENT, Status.UNKNOWN})

REPORTED: dict[str, tuple[str, str]] = {
    Status.ACCEPTED: (WAITS, "The carrier's report is awaited. The text may be there already."),
    Status.SENT: (WAITS, "The carrier has it; its report of the delivery is awaited."),
    Status.DELIVERED: (DID, "Delivered: it is on the phone."),
    Status.UNDELIVERED: (NOT, "Not delivered: the carrier could not reach this phone."),
    Status.FAILED: (NOT, "Not delivered: a carrier or the provider blocked it on the way."),
    Status.NO_REPORT: (DID, "No report came. Look at the phone: most of these did arrive."),
    Status.UNKNOWN: (
        WAITS,
        "Nobody knows yet whether the provider took it; it is being looked up, and not sent again.",
    ),
    Status.NOT_FOUND: (NOT, "The provider knows nothing of it. Look at the phone, or test again."),
    Status.REJECTED: (NOT, "The provider refused this number or this text."),
}
ENDED: dict[str, str] = {
    Status.REFUSED: "Not sent.",
    Status.EXPIRED: "Not sent: it waited for ten minutes, and then its time was up.",
    Status.CANCELLED: "Cancelled.",
    Status.DEAD: "Given up after several tries.",
}
ADVICE: dict[str, str] = {
    Reason.OPTED_OUT: "Text START from that phone to the brand's number, then send a new test.",
    Reason.PERSON_HELD: "Judge the reply first: it waits under Replies to judge.",
    Reason.UNDELIVERABLE: "A text from that phone to the brand's number shows that it works.",
    Reason.LEAD_INACTIVE: "Switch the lead with this number on again, under Leads.",
    Reason.STOP_ALL: "Nothing leaves until sending goes on.",
    Reason.BRAND_PAUSED: "Resume the brand first.",
    Reason.LANE_PAUSED: "Resume the number or its account.",
    Reason.BRAND_CAP: "Raise the brand's daily cap, or try again tomorrow.",
    Reason.CANNOT_RENDER: "Give every {name} of the text a value, and a {link} its destination.",
    Reason.TOO_LONG: "Shorten the text.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, or is awaited. `at` is UTC."""

    tone: str
    words: str
    at: datetime | None = None
    detail: str = ""


def is_final(message: Message) -> bool:
    return message.status not in GOING


def story(message: Message, due: Due | None, attempt: Attempt | None, tries: int) -> list[Line]:
    """What happened so far, in order. `tries` came to nothing; `attempt` is the one that stands."""
    lines = [Line(DID, "Planned.", message.created_at)]
    if tries:
        times = "Once" if tries == 1 else f"{tries} times"
        lines.append(Line(WAITS, f"{times} it certainly did not leave, and went round again."))
    if attempt is not None:
        return [*lines, *_handed_over(message, attempt)]
    if due is not None:
        return [*lines, _waiting(due)]
    words = ENDED.get(message.status, "It left the queue; look again in a moment.")
    return [*lines, Line(NOT, words, None, _because(message.reason))]


def _waiting(due: Due) -> Line:
    until = f"If nothing changes, it ends at {due.expires_at:%H:%M} UTC."
    if not due.reason:
        return Line(WAITS, "Waits for its turn, a second or two.", None, until)
    return Line(WAITS, "Held for now.", None, f"{_because(due.reason)} {until}")


def _because(reason: str) -> str:
    if not reason:
        return ""
    return f"{Reason(reason).label}. {ADVICE.get(reason, '')}".strip()


def _handed_over(message: Message, attempt: Attempt) -> list[Line]:
    whom = f"Handed to {attempt.account}, from {attempt.number}."
    if message.status == Status.SENDING:
        return [Line(WAITS, whom, attempt.intent_at, "Its answer is awaited.")]
    lines = [Line(DID, whom, attempt.intent_at)]
    if attempt.outcome == "accepted" and message.status != Status.REJECTED:
        lines.append(Line(DID, f"{attempt.account} accepted it.", attempt.answered_at))
    tone, words = REPORTED[message.status]
    code = attempt.report_code or attempt.code
    detail = f"Their code: {code}" if code and tone == NOT else ""
    lines.append(Line(tone, words, attempt.reported_at, detail))
    return lines
