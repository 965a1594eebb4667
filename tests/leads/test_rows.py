from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leads.rows import LeadRow, Problem, check_row

GOOD = {"phone": "(212) 555-0123", "consent_at": "2026-03-01T09:30:00Z"}


def checked(fields=(), **cells):
    return check_row({**GOOD, **cells}, dict(fields))


def test_a_row_is_read_and_cleaned():
    cells = {
        "phone": " (212) 555-0123 ",
        "email": " Ada@Example.COM ",
        "first_name": "  Ada  Maria\t",
        "last_name": "Bell",
        "city": "New\u00a0York",
        "state": "new york",
        "zip": "10001-1234",
        "consent_at": "2026-03-01T09:30:00-05:00",
        "consent_wording": " I agree.\nYes. ",
        "consent_url": "https://jobs.example.com/join",
        "external_ref": " L-1 ",
        "source": "web form",
    }
    assert check_row(cells, {"trade": "nurse"}) == LeadRow(
        phone="+12125550123",
        email="ada@example.com",
        first_name="Ada Maria",
        last_name="Bell",
        city="New York",
        state="NY",
        zip_code="10001",
        consent_at=datetime(2026, 3, 1, 14, 30, tzinfo=UTC),
        consent_wording="I agree.\nYes.",
        consent_url="https://jobs.example.com/join",
        external_ref="L-1",
        source="web form",
        fields={"trade": "nurse"},
    )


@pytest.mark.parametrize(
    ("cells", "code", "field"),
    [
        pytest.param({"phone": "212-555-012"}, "phone_impossible", "phone", id="too short"),
        pytest.param({"phone": "call me"}, "phone_unreadable", "phone", id="letters"),
        pytest.param({"phone": "800-555-0123"}, "phone_toll_free", "phone", id="toll-free"),
        pytest.param({"phone": "900-555-0123"}, "phone_premium", "phone", id="premium"),
        pytest.param({"phone": "111-555-0123"}, "phone_invalid", "phone", id="no such area code"),
        pytest.param({"phone": " "}, "no_address", "", id="neither phone nor e-mail"),
        pytest.param({"email": "ada@@example.com"}, "email_invalid", "email", id="two at signs"),
        pytest.param({"email": "ada@example"}, "email_invalid", "email", id="no dot in the domain"),
        pytest.param({"email": ".ada@example.com"}, "email_invalid", "email", id="leading dot"),
        pytest.param({"email": "ada\\@example.com"}, "email_invalid", "email", id="backslash"),
        pytest.param({"email": '"a"@example.com'}, "email_invalid", "email", id="quotes"),
        pytest.param({"email": f"{'a' * 65}@example.com"}, "email_invalid", "email", id="mailbox"),
        pytest.param({"consent_at": ""}, "consent_missing", "consent_at", id="no consent"),
        pytest.param({"consent_at": "yes"}, "consent_invalid", "consent_at", id="not a time"),
        pytest.param({"consent_at": "03/01/2026"}, "consent_invalid", "consent_at", id="not ISO"),
        pytest.param({"consent_at": "1026-03-01"}, "consent_invalid", "consent_at", id="long ago"),
        pytest.param(
            {"consent_at": "0001-01-01T00:00+09:00"}, "consent_invalid", "consent_at", id="no year"
        ),
        pytest.param(
            {"consent_url": "javascript:x"}, "consent_url_invalid", "consent_url", id="no web page"
        ),
        pytest.param({"first_name": "a" * 81}, "too_long", "first_name", id="long name"),
        pytest.param({"consent_wording": "a" * 5001}, "too_long", "consent_wording", id="wording"),
        pytest.param({"city": "a\x00b"}, "bad_characters", "city", id="NUL"),
        pytest.param({"city": "a\ud800b"}, "bad_characters", "city", id="lone surrogate"),
        pytest.param({"city": "a\x1bb"}, "bad_characters", "city", id="escape"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(cells, code, field):
    problem = checked(**cells)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.field) == (code, field)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"trade": "a" * 1001}, "too_long", id="too long"),
        pytest.param({"trade": "\x00"}, "bad_characters", id="NUL"),
    ],
)
def test_a_field_of_the_brands_own_is_checked_too(fields, code):
    assert checked(fields).code == code


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("José", id="accent"),
        pytest.param("李娜", id="Chinese"),
        pytest.param("Ada 👩🏽‍🔧", id="joined emoji"),
        pytest.param("O'Neil \\ Sons", id="quote and backslash"),
    ],
)
def test_names_in_any_script_are_taken(text):
    assert checked(first_name=text).first_name == text


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        pytest.param("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC), id="a date is its beginning"),
        pytest.param("2026-03-01 09:30", datetime(2026, 3, 1, 9, 30, tzinfo=UTC), id="naive"),
        pytest.param("20260301T0930Z", datetime(2026, 3, 1, 9, 30, tzinfo=UTC), id="basic form"),
        pytest.param(
            "2026-03-01T09:30+02:00", datetime(2026, 3, 1, 7, 30, tzinfo=UTC), id="with an offset"
        ),
    ],
)
def test_a_consent_is_an_iso_date_or_time(raw, moment):
    assert checked(consent_at=raw).consent_at == moment


def test_an_email_alone_is_an_address():
    row = checked(phone="", email="ada@example.com")
    assert (row.phone, row.email) == (None, "ada@example.com")


def test_a_state_or_zip_from_abroad_is_kept_as_a_field():
    row = checked(state="Ontario", zip="M5V 2T6")
    assert (row.state, row.zip_code) == ("", "")
    assert row.fields == {"state": "Ontario", "zip": "M5V 2T6"}
