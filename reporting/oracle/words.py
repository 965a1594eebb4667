"""What providers' words for an end mean for a message, and what a reply asks: the oracle's own
lists, from the providers' pages and the carriers' rules.

A report that a message was rejected is a failure, one that its time ran out leaves it undelivered.
"""

from __future__ import annotations

DELIVERED, UNDELIVERED, FAILED = "delivered", "undelivered", "failed"

ENDS = {
    "twilio": {
        "delivered": DELIVERED,
        "read": DELIVERED,
        "partially_delivered": DELIVERED,
        "undelivered": UNDELIVERED,
        "failed": FAILED,
        "canceled": FAILED,
    },
    "plivo": {
        "delivered": DELIVERED,
        "read": DELIVERED,
        "undelivered": UNDELIVERED,
        "failed": FAILED,
        "rejected": FAILED,
    },
}
# Codes that say more than the word for a failure.
BY_CODE = {
    "twilio": {
        "30004": FAILED,  # blocked
        "30007": FAILED,  # filtered by the carrier
        "21610": FAILED,  # the recipient stopped this number
        "30036": UNDELIVERED,  # its time ran out
    },
    "plivo": {
        "30": FAILED,  # spam
        "60": FAILED,  # loop
        "80": UNDELIVERED,  # unreachable for now
        "90": FAILED,  # no route
        "100": FAILED,  # prohibited by the carrier
        "200": FAILED,  # the recipient stopped this number
        "300": FAILED,  # not dispatched
        "420": UNDELIVERED,  # its time ran out
    },
}

REPLIES = {
    **dict.fromkeys(
        ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"), "stop"
    ),
    **dict.fromkeys(("START", "JOIN", "UNSTOP"), "join"),
    **dict.fromkeys(("HELP", "INFO"), "help"),
}


def end_of(provider: str, word: str, code: str) -> str:
    """The end that a report means for its message; empty when it is none."""
    end = ENDS.get(provider, {}).get(word.lower(), "")
    if end in ("", DELIVERED):
        return end
    return BY_CODE[provider].get(code, end)


def asked_by(text: str) -> str:
    """stop, join or help when the text is such a word and nothing else; or else other."""
    return REPLIES.get(text.strip().upper(), "other")
