"""Which numbers may be texted, and that the remembered verdicts are those of `phonenumbers`."""

from __future__ import annotations

import random
from re import _parser

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from compliance import phones
from compliance.phones import Phone, area_code, parse

KINDS_WE_TEXT = {
    phonenumbers.PhoneNumberType.FIXED_LINE,
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
    phonenumbers.PhoneNumberType.VOIP,
}
AS_TYPED = [
    "2025550123",
    "12025550123",
    "+12025550123",
    "(202) 555-0123",
    "(202)555-0123",
    "202-555-0123",
    "202.555.0123",
    "202 555 0123",
    "1 (202) 555-0123",
    "+1-202-555-0123",
    "1-202-555-0123",
    "  2025550123\t",
    "1 1 2025550123",
    "２０２５５５０１２３",  # noqa: RUF001 - full-width digits, as some phones type them
    "'2025550123",
]
REFUSED = [
    ("", phones.MISSING),
    ("   ", phones.MISSING),
    ("none", phones.UNREADABLE),
    ("-", phones.UNREADABLE),
    ("202-555-0123 (home)", phones.UNREADABLE),
    ("2.0255501E+09", phones.UNREADABLE),
    ("800-FLOWERS", phones.UNREADABLE),
    ("2025550123, 2025550124", phones.UNREADABLE),
    ("202\x005550123", phones.UNREADABLE),
    ("2025550123#5", phones.EXTENSION),
    ("2025550123;2025550124", phones.EXTENSION),
    ("2025550123/2025550124", phones.IMPOSSIBLE),
    ("2025550123.0", phones.IMPOSSIBLE),
    ("5550123", phones.IMPOSSIBLE),
    ("3105550", phones.IMPOSSIBLE),
    ("202555012", phones.IMPOSSIBLE),
    ("+999123456789", phones.IMPOSSIBLE),
    ("9" * 300, phones.IMPOSSIBLE),
    ("72345", phones.SHORT_CODE),
    ("911", phones.SHORT_CODE),
    ("+172345", phones.SHORT_CODE),
    ("2021550123", phones.INVALID),
    ("6215550123", phones.INVALID),
    ("4575550123", phones.INVALID),
    ("5555550123", phones.INVALID),
    ("1234567890", phones.INVALID),
    ("8005550123", phones.TOLL_FREE),
    ("+1 888 555 0123", phones.TOLL_FREE),
    ("+448081570000", phones.TOLL_FREE),
    ("9005550123", phones.PREMIUM),
    ("+448431570000", phones.PREMIUM),
    ("+449098790000", phones.PREMIUM),
    ("+33884012345", phones.SHARED_COST),
    ("5005550123", phones.PERSONAL),
    ("533-555-0123", phones.PERSONAL),
    ("+447012345678", phones.PERSONAL),
    ("+447640123456", phones.PAGER),
    ("+445600123456", Phone("+445600123456", "GB")),  # VoIP is a person's phone
    ("+12464301234", phones.COMPANY),
    ("8686195550", phones.VOICEMAIL),
]


@pytest.mark.parametrize("raw", AS_TYPED)
def test_reads_a_number_however_it_was_typed(raw):
    assert parse(raw) == Phone("+12025550123", "US")


@pytest.mark.parametrize(("raw", "answer"), REFUSED, ids=[repr(raw)[:30] for raw, _ in REFUSED])
def test_says_why_a_number_is_refused(raw, answer):
    assert parse(raw) == answer


@pytest.mark.parametrize(
    ("raw", "region", "phone"),
    [
        ("020 7946 0958", "GB", Phone("+442079460958", "GB")),
        ("07400 123456", "GB", Phone("+447400123456", "GB")),
        ("+44 7400 123456", "US", Phone("+447400123456", "GB")),
        ("+1 202 555 0123", "GB", Phone("+12025550123", "US")),
        ("604 555 0123", "US", Phone("+16045550123", "CA")),
        ("202 555 0123", "CA", Phone("+12025550123", "US")),
        ("671 555 0123", "US", Phone("+16715550123", "GU")),
    ],
)
def test_reads_a_number_as_dialled_in_a_country(raw, region, phone):
    assert parse(raw, region) == phone


def test_a_north_american_number_without_plus_is_not_one_when_dialled_elsewhere():
    assert parse("2025550123", "GB") != Phone("+12025550123", "US")


def test_refusals_have_their_own_code_and_a_sentence():
    refusals = [value for value in vars(phones).values() if isinstance(value, phones.BadPhone)]
    assert len({refusal.code for refusal in refusals}) == len(refusals) == 13
    assert all(refusal.code.startswith("phone_") for refusal in refusals)
    assert all(refusal.reason.endswith(".") for refusal in refusals)


@pytest.mark.parametrize(
    ("e164", "code"),
    [("+12025550123", "202"), ("+447400123456", None), ("+1202555012", None), ("", None)],
)
def test_area_code(e164, code):
    assert area_code(e164) == code


def answer_of_phonenumbers(raw, region):
    """The library's own answer, by its public functions only: E.164, or None when not for us."""
    number = phonenumbers.parse(raw, region)
    may_be_texted = (
        phonenumbers.is_valid_number(number)
        and not number.extension
        and phonenumbers.number_type(number) in KINDS_WE_TEXT
    )
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) if may_be_texted else None


def agrees(raw, region="US"):
    ours = parse(raw, region)
    return (ours.e164 if isinstance(ours, Phone) else None) == answer_of_phonenumbers(raw, region)


def test_plain_numbers_get_the_answer_of_phonenumbers():
    dice = random.Random(20261121)
    numbers = [str(dice.randrange(2_000_000_000, 10_000_000_000)) for _ in range(4_000)]
    assert [raw for raw in numbers if not agrees(raw)] == []


def test_a_remembered_exchange_answers_for_all_its_lines():
    """Each prefix is asked twice, so that the second answer comes from memory."""
    dice = random.Random(2)
    codes = ["202", "246", "268", "441", "500", "523", "524", "658", "721", "800", "868", "876"]
    prefixes = [f"{dice.choice(codes)}{dice.randrange(200, 1000)}" for _ in range(1_000)]
    numbers = [f"{prefix}{dice.randrange(10_000):04}" for prefix in prefixes for _ in range(2)]
    assert [raw for raw in numbers if not agrees(raw)] == []


@given(st.from_regex(phones._PLAIN_NANP, fullmatch=True), st.sampled_from(["US", "CA"]))
def test_punctuation_is_read_as_phonenumbers_reads_it(raw, region):
    assert agrees(raw, region)


@given(st.from_regex(r"\+1[-. ]?[2-9][0-9]{2}[-. ]?[0-9]{3}[0-9]{4}", fullmatch=True))
def test_a_plus_one_is_read_alike_from_any_country(raw):
    assert agrees(raw, "GB")


@pytest.mark.parametrize("prefix", ["246522", "876606"])
def test_an_exchange_with_two_answers_is_not_remembered(prefix):
    assert isinstance(parse(f"{prefix}0123"), Phone)
    assert parse(f"{prefix}2123") == phones.INVALID


def looks_at(pattern):
    """How many leading digits a pattern of the metadata can depend on, over all its branches."""
    return _walk(_parser.parse(pattern), {0})[1]


def _walk(parts, at):
    """Positions after `parts`, and the last position that is not "any digit"."""
    deepest = 0
    for part in parts:
        at, depth = _step(*part, at)
        deepest = max(deepest, depth)
    return at, deepest


def _step(kind, value, at):
    match str(kind):
        case "SUBPATTERN":
            return _walk(value[-1], at)
        case "BRANCH":
            ends, depths = zip(*(_walk(branch, at) for branch in value[1]), strict=True)
            return set().union(*ends), max(depths)
        case "MAX_REPEAT":
            return _repeat(*value, at)
        case "IN" if str(value[0][0]) == "CATEGORY":
            return {place + 1 for place in at}, 0
        case "IN" | "LITERAL":
            return {place + 1 for place in at}, max(at) + 1
    raise AssertionError(f"the metadata has a new kind of pattern: {kind}")


def _repeat(least, most, body, at):
    ends, depth = (set(at) if least == 0 else set()), 0
    for turn in range(1, most + 1):
        at, deeper = _walk(body, at)
        depth = max(depth, deeper)
        ends |= at if turn >= least else set()
    return ends, depth


def patterns_of(metadata):
    kinds = ["general_desc", "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"]
    kinds += ["personal_number", "voip", "pager", "uan", "voicemail"]
    descriptions = [getattr(metadata, kind) for kind in kinds]
    return [found.national_number_pattern for found in descriptions if found is not None]


def test_no_pattern_looks_past_the_exchange_except_those_we_read_in_full():
    """This is what makes one verdict per area code and exchange right."""
    deep = set()
    for region in phonenumbers.region_codes_for_country_code(1):
        metadata = PhoneMetadata.metadata_for_region(region)
        patterns = [pattern for pattern in patterns_of(metadata) if pattern]
        if max(map(looks_at, patterns)) > 6:
            deep.update(metadata.leading_digits.split("|"))
    assert deep == phones._READ_IN_FULL


@pytest.mark.parametrize(
    ("pattern", "digits"),
    [(r"\d{7}", 0), (r"20[2-9]\d{4}", 3), (r"2(?:3\d|\d[4-6])\d", 3), (r"(?:1[0-4]){2}\d", 4)],
)
def test_the_depth_of_a_pattern_is_its_last_digit_that_matters(pattern, digits):
    assert looks_at(pattern) == digits
