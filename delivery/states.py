"""The states of a message, the only moves between them, and the reasons people read.

It decides nothing; the database holds the same moves in a trigger, and a test compares the two.
"""

from __future__ import annotations

from django.db import models


class Kind(models.TextChoices):
    CAMPAIGN = "campaign", "Campaign"
    SINGLE = "single", "Single message"
    REPLY = "reply", "Reply"


class ReplyKind(models.TextChoices):
    """What a reply of ours answers; each is a kind of sending with its own steps."""

    STOP = "stop", "Confirms a STOP"
    HELP = "help", "Answers HELP"
    JOIN = "join", "Welcomes who joined"


class Status(models.TextChoices):
    PLANNED = "planned", "Planned"
    SENDING = "sending", "Handed to a provider, answer awaited"
    ACCEPTED = "accepted", "Accepted by the provider"
    SENT = "sent", "Handed to the carrier"
    DELIVERED = "delivered", "Delivered"
    UNDELIVERED = "undelivered", "Not delivered"
    FAILED = "failed", "Failed"
    NO_REPORT = "no_report", "Accepted, no report came"
    UNKNOWN = "unknown", "Perhaps taken, being looked up"
    NOT_FOUND = "not_found", "Looked up to the end, nothing known"
    REJECTED = "rejected", "Rejected by the provider"
    REFUSED = "refused", "Refused by our rules"
    EXPIRED = "expired", "Its time ran out"
    CANCELLED = "cancelled", "Cancelled by a person"
    DEAD = "dead", "Out of tries"


class Reason(models.TextChoices):
    NONE = "", "None"
    STOP_ALL = "stop_all", "All sending is stopped"
    BRAND_PAUSED = "brand_paused", "The brand is paused"
    CAMPAIGN_PAUSED = "campaign_paused", "The campaign is paused"
    LANE_PAUSED = "lane_paused", "The number or its account is paused"
    OPTED_OUT = "opted_out", "The person opted out"
    PERSON_HELD = "person_held", "The person is on hold until a reply is judged"
    INBOUND_WAITING = "inbound_waiting", "A reply of the person is being read"
    UNDELIVERABLE = "undeliverable", "The address does not work"
    SUNSET = "sunset", "No sign of life for long"
    LEAD_INACTIVE = "lead_inactive", "The lead is switched off"
    NO_CONSENT = "no_consent", "No consent on record for this brand"
    NO_ADDRESS = "no_address", "No address to send it to"
    NO_PLACE = "no_place", "Nothing tells where the person is"
    NO_COMMON_WINDOW = "no_common_window", "No hour suits every place the person may be in"
    QUIET_HOURS = "quiet_hours", "Outside the sending hours"
    NO_RULES = "no_rules", "The hours could not be read"
    PERSON_LIMIT = "person_limit", "The person had enough messages lately"
    SAME_WORDS = "same_words", "The person got the same words that day"
    CANNOT_RENDER = "cannot_render", "The text could not be filled in"
    TOO_LONG = "too_long", "The text is too long"
    UNSAYABLE = "unsayable", "The text has letters that its number cannot carry"
    NO_ROUTE = "no_route", "No number can send it"
    BRAND_CAP = "brand_cap", "The brand's daily cap is reached"
    CAMPAIGN_CAP = "campaign_cap", "The campaign's daily cap is reached"
    NUMBER_CAP = "number_cap", "The number's daily limit is reached"
    ACCOUNT_CAP = "account_cap", "The account's daily limit is reached"
    CARRIER_CAP = "carrier_cap", "The carrier's daily limit for the brand is reached"
    WARM_UP = "warm_up", "The number warms up and has sent what it may for now"
    NO_CAPACITY = "no_capacity", "The numbers were too slow for its slot"
    THROTTLED = "throttled", "The provider asked us to wait"
    NOT_CONNECTED = "not_connected", "The provider could not be reached"
    ACCOUNT_FAULT = "account_fault", "The provider refused the account or the number"
    NOT_SENT = "not_sent", "It certainly did not leave; it goes round again"
    STEP_FAILED = "step_failed", "An error of ours; it waits and is tried again"
    WORKER_KILLED = "worker_killed", "It ended its worker twice and was set aside"
    REJECTED = "rejected", "The provider refused this recipient or text"
    OUT_OF_TRIES = "out_of_tries", "Tried too often"


S = Status
_FINAL = frozenset({S.DELIVERED, S.UNDELIVERED, S.FAILED})
_REPORTED = _FINAL | {S.SENT}
_TAKEN = _REPORTED | {S.ACCEPTED}

MOVES: dict[Status, frozenset[Status]] = {
    S.PLANNED: frozenset({S.SENDING, S.REFUSED, S.EXPIRED, S.CANCELLED, S.DEAD}) | _TAKEN,
    S.SENDING: frozenset({S.PLANNED, S.REJECTED, S.UNKNOWN}) | _TAKEN,
    S.ACCEPTED: _REPORTED | {S.NO_REPORT},
    S.SENT: _FINAL | {S.NO_REPORT},
    S.DELIVERED: frozenset(),
    S.UNDELIVERED: frozenset(),
    S.FAILED: frozenset(),
    S.NO_REPORT: _FINAL,
    S.UNKNOWN: _TAKEN | {S.NO_REPORT, S.NOT_FOUND},
    S.NOT_FOUND: _TAKEN,
    S.REJECTED: frozenset(),
    S.REFUSED: _TAKEN,
    S.EXPIRED: _TAKEN,
    S.CANCELLED: _TAKEN,
    S.DEAD: _TAKEN,
}
"""From planned and our own final states a message moves on only by a report that an attempt
thought not sent was taken after all; from nowhere that a provider may have it does it go back."""
