"""Why the API of leads refuses a request or a lead: every stable code, with its sentence.

The documentation is made from these tables. A code is for ever; its words may become better.
"""

from __future__ import annotations

from brands import api
from brands.api import Fault
from compliance import phones
from leads import intake, posted, rows
from leads.csvfile import LONGEST_NAME
from leads.rows import Problem

MOST = 1000  # leads of one request
LONGEST_KEY = 255
LEAD_REFUSED = 422

NOT_LEADS = Fault(422, "not_leads", f"The body is a lead, or a list of up to {MOST} leads.")
NO_LEADS = Fault(422, "no_leads", "The list is empty: there is nothing to do.")
TOO_MANY = Fault(422, "too_many_leads", f"A list has at most {MOST} leads; send several lists.")
NO_LIST = Fault(404, "list_not_found", "The brand has no list of this name in use.")
BAD_KEY = Fault(
    400,
    "idempotency_key_invalid",
    f"An Idempotency-Key has 1 to {LONGEST_KEY} characters, all of them printable ASCII.",
)
REUSED = Fault(
    422, "idempotency_key_reused", "This Idempotency-Key came with other leads or another list."
)
IN_PROGRESS = Fault(
    409, "request_in_progress", "The first request with this Idempotency-Key is still at work."
)
DUPLICATE = Problem(
    "duplicate_in_request", "", "An earlier lead of this request is the same person."
)

REQUEST_FAULTS = (*api.FAULTS, NOT_LEADS, NO_LEADS, TOO_MANY, NO_LIST, BAD_KEY, REUSED, IN_PROGRESS)
_BAD_PHONES = tuple(found for found in vars(phones).values() if isinstance(found, phones.BadPhone))
LEAD_CODES = {
    rows.NO_ADDRESS.code: rows.NO_ADDRESS.message,
    **{bad.code: bad.reason for bad in _BAD_PHONES if bad is not phones.MISSING},
    rows.BAD_EMAIL.code: rows.BAD_EMAIL.message,
    rows.NO_CONSENT.code: rows.NO_CONSENT.message,
    rows.BAD_CONSENT.code: f"{rows.BAD_CONSENT.message} Or it is before the year 2000.",
    intake.IN_FUTURE.code: f"consent_at: {intake.IN_FUTURE.message}",
    rows.BAD_CONSENT_URL.code: rows.BAD_CONSENT_URL.message,
    "too_long": "A value has more characters than fit; the message says how many do.",
    "bad_characters": "A value has a control character in it.",
    "unknown_field": "There is no such name; what else you know of a person goes into `fields`.",
    "not_text": "A value is no text: send it in quotes.",
    posted.NOT_A_LEAD.code: posted.NOT_A_LEAD.message,
    posted.BAD_FIELDS.code: posted.BAD_FIELDS.message,
    posted.TOO_MANY.code: posted.TOO_MANY.message,
    "field_name_invalid": f"A name in `fields` has 1 to {LONGEST_NAME} visible characters"
    " and is none of the names beside it.",
    "field_value_invalid": "A value in `fields` is a text, a number, true or false.",
    DUPLICATE.code: DUPLICATE.message,
    intake.ERASED.code: intake.ERASED.message,
}
NOTICE_CODES = {
    intake.EMAIL_IN_USE.code: f"{intake.EMAIL_IN_USE.message} The lead itself was taken."
}
