"""What one row says: texts in, a checked row or its problem out.

Pure: it asks neither the clock nor the database. What takes them (a consent in the future, whose
e-mail it is) is for `leads.intake`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from compliance import phones, places

COLUMNS = (
    "phone", "email", "first_name", "last_name", "city", "state", "zip", "consent_at",
    "consent_wording", "consent_url", "external_ref", "source",
)  # fmt: skip
LONGEST = {
    "phone": 80, "email": 254, "first_name": 80, "last_name": 80, "city": 80, "state": 80,
    "zip": 80, "consent_at": 80, "consent_wording": 5000, "consent_url": 2000,
    "external_ref": 100, "source": 80,
}  # fmt: skip
LONGEST_FIELD = 1000
_ANY_SHORT_ENOUGH = min(LONGEST.values())

# NUL and lone surrogates cannot be stored; the other control characters cannot be sent.
_BAD = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_LONGEST_MAILBOX = 64
_EARLIEST_CONSENT = datetime(2000, 1, 1, tzinfo=UTC)  # older is a slip of the pen


class Problem(NamedTuple):
    """Why a row was not taken: a stable code, the column at fault (or ""), and a sentence."""

    code: str
    field: str
    message: str


class LeadRow(NamedTuple):
    """A row that reads well. At least one of phone (E.164) and e-mail (lower case) is there."""

    phone: str | None
    email: str | None
    first_name: str
    last_name: str
    city: str
    state: str
    zip_code: str
    consent_at: datetime
    consent_wording: str
    consent_url: str
    external_ref: str
    source: str
    fields: Mapping[str, str]


NO_ADDRESS = Problem("no_address", "", "There is neither a phone number nor an e-mail address.")
BAD_EMAIL = Problem("email_invalid", "email", "This is not an e-mail address.")
NO_CONSENT = Problem(
    "consent_missing", "consent_at", "It is not said when this person agreed to be contacted."
)
BAD_CONSENT = Problem(
    "consent_invalid", "consent_at", "This is not a date or time such as 2026-03-01T14:05:00Z."
)
CONSENT_TOO_OLD = Problem("consent_invalid", "consent_at", "This is before the year 2000.")
BAD_CONSENT_URL = Problem(
    "consent_url_invalid", "consent_url", "An address begins with http:// or https://."
)

clean_zip = lru_cache(maxsize=65536)(places.clean_zip)
clean_state = lru_cache(maxsize=1024)(places.clean_state)


def check_row(cells: Mapping[str, str], fields: Mapping[str, str]) -> LeadRow | Problem:
    """Read the known columns in `cells` and a lead's other `fields`; the first problem counts."""
    if problem := _cannot_be_stored(cells) or _cannot_be_stored(fields):
        return problem
    phone = _read_phone(cells.get("phone", ""))
    if isinstance(phone, Problem):
        return phone
    email = read_email(cells.get("email", ""))
    if isinstance(email, Problem):
        return email
    if phone is None and email is None:
        return NO_ADDRESS
    consent_at = read_consent(cells.get("consent_at", ""))
    if isinstance(consent_at, Problem):
        return consent_at
    consent_url = cells.get("consent_url", "").strip()
    if consent_url and not consent_url.startswith(("https://", "http://")):
        return BAD_CONSENT_URL
    state, zip_code, kept = _read_place(cells, fields)
    return LeadRow(
        phone=phone,
        email=email,
        first_name=_one_line(cells.get("first_name", "")),
        last_name=_one_line(cells.get("last_name", "")),
        city=_one_line(cells.get("city", "")),
        state=state,
        zip_code=zip_code,
        consent_at=consent_at,
        consent_wording=cells.get("consent_wording", "").strip(),
        consent_url=consent_url,
        external_ref=cells.get("external_ref", "").strip(),
        source=_one_line(cells.get("source", "")),
        fields=kept,
    )


def read_consent(raw: str) -> datetime | Problem:
    """An ISO 8601 date or time; without an offset it is UTC."""
    text = raw.strip()
    if not text:
        return NO_CONSENT
    try:
        moment = datetime.fromisoformat(text)
        aware = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return BAD_CONSENT
    return aware if aware >= _EARLIEST_CONSENT else CONSENT_TOO_OLD


def _cannot_be_stored(cells: Mapping[str, str]) -> Problem | None:
    for name in [name for name, text in cells.items() if len(text) > _ANY_SHORT_ENOUGH]:
        limit = LONGEST.get(name, LONGEST_FIELD)
        if len(cells[name]) > limit:
            message = f"{name} has {len(cells[name])} characters; {limit} fit."
            return Problem("too_long", name, message)
    if "".join(cells.values()).isprintable():  # the quick answer for nearly every row
        return None
    for name, text in cells.items():
        if bad := _BAD.search(text):
            message = f"{name} has the character U+{ord(bad[0]):04X} in it."
            return Problem("bad_characters", name, message)
    return None


def _read_phone(raw: str) -> str | Problem | None:
    if not raw or raw.isspace():
        return None
    found = phones.parse(raw)
    if isinstance(found, phones.Phone):
        return found.e164
    return Problem(found.code, "phone", found.reason)


def read_email(raw: str) -> str | Problem | None:
    """In lower case; None for nothing."""
    text = raw.strip().lower()
    if not text:
        return None
    fits = _EMAIL.fullmatch(text) and text.index("@") <= _LONGEST_MAILBOX
    return text if fits else BAD_EMAIL


def _read_place(
    cells: Mapping[str, str], fields: Mapping[str, str]
) -> tuple[str, str, Mapping[str, str]]:
    """State and ZIP; one that is not American is kept among the fields, as it was written."""
    raw_state, raw_zip = cells.get("state", ""), cells.get("zip", "")
    state, zip_code = clean_state(raw_state), clean_zip(raw_zip)
    if state is None:
        fields = {**fields, "state": raw_state.strip()}
    if zip_code is None:
        fields = {**fields, "zip": raw_zip.strip()}
    return state or "", zip_code or "", fields


def _one_line(text: str) -> str:
    return " ".join(text.split())
