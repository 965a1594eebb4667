"""Phone numbers: what was typed becomes E.164, or a sentence saying why it cannot be texted.

The answers are those of `phonenumbers`. Only its verdict about plain North American numbers is
remembered, per area code and exchange, because its patterns look no further there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult


@dataclass(frozen=True, slots=True)
class Phone:
    """A number that may be texted; `region` is the country (ISO 3166), "001" for world-wide."""

    e164: str
    region: str


@dataclass(frozen=True, slots=True)
class BadPhone:
    code: str
    reason: str


MISSING = BadPhone("phone_missing", "There is no phone number.")
UNREADABLE = BadPhone("phone_unreadable", "This does not read as one phone number.")
EXTENSION = BadPhone("phone_extension", "A text cannot reach an extension.")
SHORT_CODE = BadPhone("phone_short_code", "This is a short code, not a person's number.")
IMPOSSIBLE = BadPhone("phone_impossible", "No phone number has this many digits.")
INVALID = BadPhone("phone_invalid", "This number is not in use in its country's plan.")
TOLL_FREE = BadPhone("phone_toll_free", "Toll-free numbers are not texted.")
PREMIUM = BadPhone("phone_premium", "Premium-rate numbers are not texted.")
SHARED_COST = BadPhone("phone_shared_cost", "Shared-cost numbers are not texted.")
PERSONAL = BadPhone("phone_personal", "Personal follow-me numbers are not texted.")
PAGER = BadPhone("phone_pager", "Pagers are not texted.")
COMPANY = BadPhone("phone_company", "Company-wide access numbers are not texted.")
VOICEMAIL = BadPhone("phone_voicemail", "Voicemail numbers are not texted.")

_REFUSED_KINDS: dict[int, BadPhone] = {
    PhoneNumberType.UNKNOWN: INVALID,
    PhoneNumberType.TOLL_FREE: TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: PREMIUM,
    PhoneNumberType.SHARED_COST: SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER: PERSONAL,
    PhoneNumberType.PAGER: PAGER,
    PhoneNumberType.UAN: COMPANY,
    PhoneNumberType.VOICEMAIL: VOICEMAIL,
}
_NANP = 1  # the country code that North America shares
_SHORT_CODE_DIGITS = 6

# Letters would be read as a keypad (CELL is 2355), so a number with a remark would become another.
_LETTERS = re.compile(r"[^\W\d_]")
_PLAIN_NANP = re.compile(r"(?:\+?1[-. ]?)?\(?([2-9][0-9]{2})\)?[-. ]?([0-9]{3})[-. ]?([0-9]{4})")
_PLAIN_REGIONS = frozenset({"US", "CA"})
# Barbados and Jamaica: the patterns look at the seventh digit too.
_READ_IN_FULL = frozenset({"246", "658", "876"})
_verdicts = bytearray(1_000_000)  # area code and exchange -> place in _known; 0 is "not asked yet"
_known: list[str | BadPhone] = [MISSING]


def parse(raw: str, region: str = "US") -> Phone | BadPhone:
    """Read one number; without a leading + it is taken as dialled in `region`."""
    text = raw.strip()
    plain = _PLAIN_NANP.fullmatch(text)
    if plain and (region in _PLAIN_REGIONS or text[0] == "+"):
        area, exchange, line = plain.groups()
        if area not in _READ_IN_FULL:
            return _plain(area + exchange, line)
    return _read(text, region)


def area_code(e164: str) -> str | None:
    """The three digits after +1, or None for a number outside the North American plan."""
    return e164[2:5] if len(e164) == 12 and e164.startswith("+1") else None


def _plain(prefix: str, line: str) -> Phone | BadPhone:
    at = int(prefix)
    verdict = _known[_verdicts[at] or _remember(at, line)]
    return Phone(f"+1{prefix}{line}", verdict) if isinstance(verdict, str) else verdict


def _remember(at: int, line: str) -> int:
    answer = _judge(PhoneNumber(country_code=_NANP, national_number=at * 10_000 + int(line)))
    verdict = answer.region if isinstance(answer, Phone) else answer
    if verdict not in _known:
        _known.append(verdict)
    _verdicts[at] = _known.index(verdict)
    return _verdicts[at]


def _read(text: str, region: str) -> Phone | BadPhone:
    if not text:
        return MISSING
    if _LETTERS.search(text):
        return UNREADABLE
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException as error:
        unreadable = error.error_type == NumberParseException.NOT_A_NUMBER
        return UNREADABLE if unreadable else IMPOSSIBLE
    return EXTENSION if number.extension else _judge(number)


def _judge(number: PhoneNumber) -> Phone | BadPhone:
    if number.country_code == _NANP and len(str(number.national_number)) <= _SHORT_CODE_DIGITS:
        return SHORT_CODE
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return IMPOSSIBLE
    if refused := _REFUSED_KINDS.get(phonenumbers.number_type(number)):
        return refused
    region = phonenumbers.region_code_for_number(number)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Phone(e164, region) if region else INVALID
