"""The words staff read about messages: what a state means, what to do about a reason, the steps.

Tables only. Which of them fit a message is said by `explain.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from delivery.states import Kind, Reason, ReplyKind, Status
from delivery.steps import (
    EMAIL_CAMPAIGN_SENDING,
    EMAIL_TEST_SENDING,
    EMAIL_TEST_TO_A_LEAD,
    TEST_SENDING,
    TEST_TO_A_LEAD,
)

TONES: Mapping[Status, str] = {
    Status.PLANNED: "",
    Status.SENDING: "info",
    Status.ACCEPTED: "info",
    Status.SENT: "info",
    Status.DELIVERED: "good",
    Status.UNDELIVERED: "bad",
    Status.FAILED: "bad",
    Status.NO_REPORT: "warn",
    Status.UNKNOWN: "warn",
    Status.NOT_FOUND: "warn",
    Status.REJECTED: "bad",
    Status.REFUSED: "bad",
    Status.EXPIRED: "bad",
    Status.CANCELLED: "",
    Status.DEAD: "bad",
}
"""The colour of a state's pill: `good`, `info`, `warn`, `bad`, or none."""

NEVER_AGAIN = "A report or a look-up will settle it; it is never sent again by itself."

MEANS: Mapping[Status, str] = {
    Status.PLANNED: "It waits for its turn.",
    Status.SENDING: "A provider has been asked to send it; the answer is on its way.",
    Status.ACCEPTED: "The provider has taken it. A report on its arrival should follow.",
    Status.SENT: "The carrier has it. A report on its arrival should follow.",
    Status.DELIVERED: "It reached the phone.",
    Status.UNDELIVERED: "It left, and did not reach the phone.",
    Status.FAILED: "The provider took it, and could not deliver it.",
    Status.NO_REPORT: "The provider took it, and never said whether it arrived.",
    Status.UNKNOWN: f"Nobody knows whether the provider took it. {NEVER_AGAIN}",
    Status.NOT_FOUND: "The provider was asked to the end and knows nothing of it. The person may"
    " have got it all the same, so it is not sent again.",
    Status.REJECTED: "The provider refused it, so the person did not get it.",
    Status.REFUSED: "It was not sent: a rule of ours spoke against it.",
    Status.EXPIRED: "It was not sent: its time ran out first.",
    Status.CANCELLED: "It was not sent: somebody cancelled it.",
    Status.DEAD: "It was not sent: it was given up.",
}

MAIL_MEANS: Mapping[Status, str] = {
    **MEANS,
    Status.SENT: "The mail server of the person has it. A report may still follow.",
    Status.DELIVERED: "It reached the mailbox.",
    Status.UNDELIVERED: "It left, and did not reach the mailbox.",
}
"""The same of an e-mail."""

BOUNCES = "Ask the person for another address. Texts are not concerned."

DO: Mapping[Reason, str] = {
    Reason.NONE: "There is nothing to do.",
    Reason.STOP_ALL: "It goes on when somebody ends the stop, at the head of every page.",
    Reason.BRAND_PAUSED: "Resume sending on the page of the brand.",
    Reason.CAMPAIGN_PAUSED: "Resume sending on the page of the campaign.",
    Reason.LANE_PAUSED: "Resume the number, or its account, on its page, or add a number to the"
    " route.",
    Reason.OPTED_OUT: "Only the person can change that, by texting START or JOIN.",
    Reason.PERSON_HELD: "Judge what the person wrote, among the replies to judge.",
    Reason.INBOUND_WAITING: "It is read within seconds; if not, tell whoever runs Sendonce.",
    Reason.UNDELIVERABLE: "Ask the person for another number; a text from this one clears it.",
    Reason.SUNSET: "A text from the person, such as JOIN, brings them back.",
    Reason.LEAD_INACTIVE: "Switch the lead on again, if the person still wants to hear from you.",
    Reason.NO_CONSENT: "Take the lead in again with its consent: when, how and where they agreed.",
    Reason.NO_ADDRESS: "Take the lead in again with a phone number, or an e-mail address for"
    " e-mail.",
    Reason.NO_PLACE: "Give the lead a state or a ZIP code, so that its local time is known.",
    Reason.NO_COMMON_WINDOW: "Give the lead a state or a ZIP code, so that fewer places are left.",
    Reason.QUIET_HOURS: "It leaves by itself in the brand's next sending hours, if its slot still"
    " runs then.",
    Reason.NO_RULES: "Tell whoever runs Sendonce: it waits until the rules can be read again.",
    Reason.PERSON_LIMIT: "It leaves by itself when the person may get one more, if its slot still"
    " runs then.",
    Reason.SAME_WORDS: "Say something else, or allow the campaign to repeat its words.",
    Reason.CANNOT_RENDER: "Give each {name} in the text a fall-back, as in {first_name|there}, and"
    " the campaign a destination if its text has a {link}.",
    Reason.TOO_LONG: "Shorten the text of the template.",
    Reason.UNSAYABLE: "Use plain letters in the text, or another number on the route.",
    Reason.NO_ROUTE: "Add a number in use to the route of the list, the campaign or the brand.",
    Reason.BRAND_CAP: "It goes on tomorrow if its slot still runs; raise the brand's daily cap for"
    " more.",
    Reason.CAMPAIGN_CAP: "It goes on tomorrow if its slot still runs; raise the campaign's daily"
    " cap for more.",
    Reason.NUMBER_CAP: "Another number of the route takes it over, if there is one; else it goes on"
    " tomorrow, if its slot still runs. The limit stands on the number's page.",
    Reason.ACCOUNT_CAP: "A number of another account takes it over, if the route has one; else it"
    " goes on tomorrow, if its slot still runs. The limit stands on the account's page.",
    Reason.CARRIER_CAP: "It goes on tomorrow, in the limit's zone, if its slot still runs. The"
    " limit stands on the brand's page; only the carrier can raise what it allows.",
    Reason.WARM_UP: "It leaves by another number of the route, if it has one; else when the number"
    " may send more, if its slot still runs then. The number's page says when, and ends a warm-up.",
    Reason.NO_CAPACITY: "Give the slot more time or the route more numbers.",
    Reason.THROTTLED: "It goes round again by itself; more numbers on the route make it faster.",
    Reason.NOT_CONNECTED: "It goes round again by itself; look at the provider's status page if it"
    " lasts.",
    Reason.ACCOUNT_FAULT: "Put the account or the number right with the provider, then resume it"
    " here.",
    Reason.NOT_SENT: "It goes round again by itself.",
    Reason.STEP_FAILED: "Tell whoever runs Sendonce: the error stands in the logs.",
    Reason.WORKER_KILLED: "Tell whoever runs Sendonce: it ended the program that was to send it.",
    Reason.REJECTED: "The code below says what the provider did not like; this message is over.",
    Reason.OUT_OF_TRIES: "See below why each try failed; this message is over.",
}
"""What staff can do about a reason, or wait for."""


class StepWords(NamedTuple):
    """What a step makes sure of, and the reasons it can stop a message with."""

    asks: str
    gives: frozenset[Reason]


def _step(asks: str, *gives: Reason) -> StepWords:
    return StepWords(asks, frozenset(gives))


R = Reason
STEPS: Mapping[str, StepWords] = {
    "hold_while_stopped": _step(
        "Neither everything nor the brand nor the campaign is stopped",
        *(R.STOP_ALL, R.BRAND_PAUSED, R.CAMPAIGN_PAUSED),
    ),
    "hold_while_all_is_stopped": _step("Not everything is stopped", R.STOP_ALL),
    "refuse_expired": _step("Its time has not run out", R.NO_CAPACITY),
    "refuse_out_of_tries": _step("It was not tried too often", R.OUT_OF_TRIES),
    "refuse_opted_out": _step("The person has not opted out", R.OPTED_OUT),
    "hold_for_the_person": _step(
        "No reply of the person waits to be read or judged", R.INBOUND_WAITING, R.PERSON_HELD
    ),
    "refuse_without_consent": _step("The person's consent is on record", R.NO_CONSENT),
    "refuse_bad_address": _step(
        "There is a number that works, and the lead is switched on",
        *(R.NO_ADDRESS, R.UNDELIVERABLE, R.LEAD_INACTIVE),
    ),
    "refuse_bad_mailbox": _step(
        "There is a mailbox that works, and the lead is switched on",
        *(R.NO_ADDRESS, R.UNDELIVERABLE, R.LEAD_INACTIVE),
    ),
    "hold_in_quiet_hours": _step(
        "It is a sending hour wherever the person may be",
        *(R.NO_PLACE, R.NO_COMMON_WINDOW, R.QUIET_HOURS),
    ),
    "hold_for_person_limit": _step("The person has not had enough messages lately", R.PERSON_LIMIT),
    "fill_in_text": _step("Every {name} in the text can be filled in", R.CANNOT_RENDER),
    "fill_in_mail_of_slot": _step(
        "Every {name} in subject, text and HTML can be filled in", R.CANNOT_RENDER
    ),
    "fill_in_mail_of_single": _step(
        "Every {name} in its own subject, text and HTML can be filled in", R.CANNOT_RENDER
    ),
    "fill_in_single": _step("Every {name} in its own text can be filled in", R.CANNOT_RENDER),
    "fill_in_reply": _step("The answer's text can be filled in", R.CANNOT_RENDER),
    "refuse_same_words": _step("The person has not had these words that day", R.SAME_WORDS),
    "add_link": _step("It gets its personal link"),
    "add_opt_out_line": _step("It says how to opt out"),
    "add_link_to_mail": _step("Text and HTML get their personal link"),
    "add_unsubscribe_link": _step("It has a link to unsubscribe"),
    "refuse_unfit_mail": _step("Its account can carry its length", R.TOO_LONG),
    "refuse_unfit": _step("Its number can carry the text", R.UNSAYABLE, R.TOO_LONG),
    "hold_without_a_number": _step("Its number and account are in use", R.LANE_PAUSED),
    "hold_without_a_number_that_answers": _step(
        "Its number and account are in use, or rest from campaigns only", R.LANE_PAUSED
    ),
    "reserve": _step(
        "The person's limits and the daily caps have room for it",
        *(R.PERSON_LIMIT, R.BRAND_CAP, R.CAMPAIGN_CAP),
        *(R.NUMBER_CAP, R.ACCOUNT_CAP, R.CARRIER_CAP, R.WARM_UP),
    ),
    "reserve_beside_the_limit": _step(
        "The daily caps have room for it",
        *(R.BRAND_CAP, R.CAMPAIGN_CAP, R.NUMBER_CAP, R.ACCOUNT_CAP, R.CARRIER_CAP, R.WARM_UP),
    ),
}
"""By the name of the step."""

CODES: Mapping[str, str] = {
    "too_late": "it was too late to leave in time",
    "journal_not_written": "our own record of it could not be written",
    "error_before_sending": "an error of ours, before it left",
    "error_while_sending": "an error of ours, while it left",
    "worker_died_before_sending": "the program that sends was ended before it left",
    "worker_died_while_sending": "the program that sends was ended while it left",
    "journal_line_unreadable": "our own record of it cannot be read",
    "no_answer_recorded": "no answer was ever recorded",
    "outcome_not_storable": "the answer could not be stored",
    "provider_ref_unreadable": "the answer could not be read",
    "ends_too_soon": "the provider could have sent it on after its time",
    "transport_closed": "our connection was being closed",
    "address_refused": "the provider's address may not be used",
    "request_not_built": "the request could not be made",
    "could_not_connect": "the provider could not be reached",
    "429": "the provider asked us to slow down",
}
"""Our own codes, and what means the same with every provider."""

FAULTS: Mapping[str, str] = {
    "account": "the provider did not accept the account",
    "sender": "the provider did not accept the number",
}
CLASSES: Mapping[str, str] = {
    "permanent_recipient": "this address takes no messages from us",
    "permanent_content": "it did not like what the message says",
    "permanent_config": "something is set up wrong with the provider",
    "throttled": "the provider asked us to slow down",
    "transient": "a passing fault",
}
REPORTS: Mapping[str, str] = {
    "accepted": "taken",
    "sent": "handed to the carrier",
    "delivered": "delivered",
    "undelivered": "not delivered",
    "failed": "failed",
    "rejected": "rejected",
    "expired": "not delivered in time",
    "unknown": "nothing known",
}
"""The words of a report, by how they are stored."""

LABELS: Mapping[str, str] = {
    "": "Not read yet",
    "stop": "Read as STOP: they are opted out",
    "review-stop": "Perhaps a STOP: held for somebody to judge",
    "help": "Read as a call for help",
    "join": "Read as JOIN: they want to hear from the brand",
    "more-jobs": "Read as a wish for more jobs",
    "part": "A piece of a longer text, which was read as one",
    "none": "Read as nothing that we act on",
}
"""How a text of a person was read."""

SENDINGS: Mapping[str, str] = {
    Kind.CAMPAIGN: "A message of a campaign",
    Kind.SINGLE: "A single message",
    TEST_SENDING: "A test that a member of staff sent to their own phone",
    TEST_TO_A_LEAD: "A test that a member of staff sent to a phone on a list",
    EMAIL_CAMPAIGN_SENDING: "An e-mail of a campaign",
    EMAIL_TEST_SENDING: "A test that a member of staff sent to their own mailbox",
    EMAIL_TEST_TO_A_LEAD: "A test that a member of staff sent to a mailbox on a list",
    ReplyKind.STOP: "Our answer to a STOP",
    ReplyKind.HELP: "Our answer to HELP",
    ReplyKind.JOIN: "Our welcome to who joined",
}
