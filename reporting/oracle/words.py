"""What providers' words for an end mean for a message, where their reports say them, and what a
reply asks: the oracle's own lists, from the providers' pages and the carriers' rules.

A report that a message was rejected is a failure, one that its time ran out leaves it undelivered.
What is not public of a provider is as its definition assumes it. A provider without a line ends
nothing: who reports nothing has none.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "sinch": {
        "delivered": DELIVERED,
        "failed": UNDELIVERED,
        "expired": UNDELIVERED,
        "rejected": FAILED,
        "deleted": FAILED,
        "aborted": FAILED,
        "cancelled": FAILED,
    },
    # They have one word for all that did not arrive.
    "simpletexting": {"delivery_report": DELIVERED, "non_delivered_report": UNDELIVERED},
    "vonage_sms": {
        "delivered": DELIVERED,
        "failed": UNDELIVERED,
        "expired": UNDELIVERED,
        "rejected": FAILED,
    },
    "vonage": {
        "delivered": DELIVERED,
        "read": DELIVERED,
        "undeliverable": FAILED,
        "rejected": FAILED,
    },
    "textback": {
        "delivered": DELIVERED,
        "undelivered": UNDELIVERED,
        "expired": UNDELIVERED,
        "failed": FAILED,
        "rejected": FAILED,
    },
    "pineapple": {
        "delivered": DELIVERED,
        "undelivered": UNDELIVERED,
        "expired": UNDELIVERED,
        "failed": FAILED,
        "rejected": FAILED,
    },
    "generic": {"delivered": DELIVERED, "failed": FAILED},  # the example's words
    # A relay's notices; whoever complains about an e-mail or unsubscribes from it has it.
    "smtp": {
        "delivered": DELIVERED,
        "failed": UNDELIVERED,
        "complaint": DELIVERED,
        "unsubscribed": DELIVERED,
    },
}
# Codes that say more than the word for a failure.
BY_CODE: Mapping[str, Mapping[str, str]] = {
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
    "sinch": {
        **dict.fromkeys(("9", "13", "15", "60", "62", "300"), FAILED),  # blocked on the way
        "402": FAILED,  # not possible
        "406": UNDELIVERED,  # its time ran out
        "408": FAILED,  # nobody there, or one who stopped
    },
    "vonage_sms": dict.fromkeys(("4", "6", "14", "50", "51", "52", "53", "54"), FAILED),  # blocked
    "vonage": {"1360": UNDELIVERED},  # its time ran out
}

# Where a report in our inbox has the provider's id, its word and, where the id is that of a whole
# request, the recipient; for the others the entry's key begins with id and word.
REPORT_FIELDS: Mapping[str, tuple[str, str, str]] = {
    "sinch": ("batch_id", "status", "recipient"),
    "simpletexting": ("messageId", "type", ""),
    "vonage_sms": ("messageId", "status", ""),
    "vonage": ("message_uuid", "status", ""),
    "textback": ("messageId", "status", ""),
    "pineapple": ("id", "status", ""),
    "generic": ("id", "status", ""),
}
OF_PARTS = ("vonage_sms",)  # each part of a text is reported; all of them must have arrived
WITHOUT_REF = ("simpletexting", "textback_query")  # nothing of ours travels with a message
OUR_REF_IS_THE_ID = ("slooce", "textback_query", "smtp")  # they tell none of their own
BY_OUR_REF = ("smtp",)  # whose reports in our inbox bear our reference, and not their id
# What people do to get out of e-mail: two come as reports, which are applied in their turn; the
# click is answered when it is done.
DEEDS = ("complaint", "unsubscribed", "one-click")

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
    return BY_CODE.get(provider, {}).get(code, end)


def asked_by(text: str) -> str:
    """stop, join or help when the text is such a word and nothing else; or else other."""
    return REPLIES.get(text.strip().upper(), "other")
