"""How far a test has come, in sentences for the person who waits for it with the phone in hand.

What a state means is said in the words of `wording.py`; here stands what only a tester can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from delivery.explain import STOPPED, means
from delivery.models import Attempt, Due, Message
from delivery.states import Reason, Status
from delivery.wording import DO, TONES

DID, WAITS, NOT = "did", "waits", "not"
GOING = frozenset({Status.PLANNED, Status.SENDING, Status.ACCEPTED, Status.SENT, Status.UNKNOWN})
TONE_OF: Mapping[str, str] = {"good": DID, "bad": NOT, "info": WAITS, "warn": WAITS}
"""The tone of a line by that of the state it tells."""

LOOK: Mapping[Status, str] = {
    Status.NO_REPORT: "Look at the phone, or the mailbox: most of these did arrive.",
    Status.NOT_FOUND: "Look at the phone, or the mailbox, or test again.",
}
ADVICE: Mapping[Reason, str] = {
    Reason.OPTED_OUT: "Text START from that phone to the brand's number, then send a new test.",
    Reason.UNDELIVERABLE: "A text from that phone to the brand's number shows that it works.",
    Reason.NO_CONSENT: "Ask for a new test: each notes a consent of its own.",
    Reason.QUIET_HOURS: "It is on a list: test again in sending hours, or with another phone.",
    Reason.PERSON_LIMIT: "It is on a list: test again when it may get one more, or with another"
    " phone.",
    Reason.BRAND_CAP: "Raise the brand's daily cap, or try again tomorrow.",
    Reason.CAMPAIGN_CAP: "Raise the campaign's daily cap, or try again tomorrow.",
    Reason.NUMBER_CAP: "Choose another number, or try again tomorrow.",
    Reason.ACCOUNT_CAP: "Choose a number of another account, or try again tomorrow.",
    Reason.CARRIER_CAP: "Try again tomorrow: the carrier takes no more of the brand today.",
    Reason.WARM_UP: "Test again when the number may send more; its page says when.",
    Reason.CANNOT_RENDER: "Give every {name} of the text a value, and a {link} its destination.",
    Reason.NO_CAPACITY: "The numbers were busy: test again.",
}
"""What is to be done about a test, where it is not what is to be done about any message."""


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
    status = Status(message.status)
    words = means(message) if status in STOPPED else "It left the queue; look again in a moment."
    return [*lines, Line(NOT, words, None, _because(message.reason))]


def _waiting(due: Due) -> Line:
    until = f"If nothing changes, it ends at {due.expires_at:%H:%M} UTC."
    if not due.reason:
        return Line(WAITS, "Waits for its turn, a second or two.", None, until)
    return Line(WAITS, "Held for now.", None, f"{_because(due.reason)} {until}")


def _because(reason: str) -> str:
    if not reason:
        return ""
    why = Reason(reason)
    return f"{why.label}. {ADVICE.get(why) or DO[why]}"


def _handed_over(message: Message, attempt: Attempt) -> list[Line]:
    whom = f"Handed to {attempt.account}, from {attempt.number}."
    status = Status(message.status)
    if status == Status.SENDING:
        return [Line(WAITS, whom, attempt.intent_at, "Its answer is awaited.")]
    lines = [Line(DID, whom, attempt.intent_at)]
    if attempt.outcome == "accepted" and status != Status.REJECTED:
        lines.append(Line(DID, f"{attempt.account} accepted it.", attempt.answered_at))
    tone = TONE_OF.get(TONES[status], NOT)
    code = attempt.report_code or attempt.code
    codes = f"Their code: {code}" if code and tone == NOT else ""
    detail = " ".join(one for one in (LOOK.get(status, ""), codes) if one)
    lines.append(Line(tone, means(message), attempt.reported_at, detail))
    return lines
