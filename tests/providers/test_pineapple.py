"""The preset "pineapple". Nothing of it is public; bodies are in the shapes that the reference
assumes (section 10).
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from providers import simulator_signing
from providers.base import (
    Accepted,
    DeliveryReport,
    ErrorClass,
    Fault,
    Found,
    InboundMessage,
    NoAnswer,
    NotListed,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from tests.providers.declaring import (
    a_callback,
    a_look_up,
    an_access,
    looked_up,
    outcome_of,
    preset,
    request_of,
)

PINEAPPLE = preset("pineapple")
ACCESS = an_access("pineapple", api_key="k0", webhook_secret="w0")
RECIPIENT = ErrorClass.PERMANENT_RECIPIENT
NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)


class TestARequest:
    def test_is_whole(self):
        ends = NOON + timedelta(minutes=10)
        request = request_of(PINEAPPLE, ACCESS, not_after=ends, decided_at=NOON)
        assert request.method == "POST"
        assert request.url == "https://api.example.com/v1/messages"
        assert request.headers == {"Authorization": "Bearer k0"}
        assert request.json == {
            "from": "+15005550001",
            "to": "+12025550143",
            "body": "hi & bye",
            "reference": "r1",
            "status_url": "https://hooks.example.com/cb?ref=r1",
            "valid_for_seconds": 583,
        }

    def test_names_no_end_where_there_is_none(self):
        assert "valid_for_seconds" not in request_of(PINEAPPLE, ACCESS).json

    def test_goes_below_a_path_of_the_accounts_address(self):
        access = an_access("pineapple", "https://api.example.com/us/", **ACCESS.secrets)
        assert request_of(PINEAPPLE, access).url == "https://api.example.com/us/v1/messages"


def error(code):
    return {"error": {"code": code, "message": "no"}}


class TestAnAnswer:
    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (202, {"id": "p1", "status": "queued"}, Accepted("p1")),
            (400, error("invalid_recipient"), Rejected(RECIPIENT, "invalid_recipient")),
            (400, error("landline"), Rejected(RECIPIENT, "landline")),
            (403, error("opted_out"), Rejected(RECIPIENT, "opted_out", opted_out=True)),
            (403, error("blocked"), Rejected(RECIPIENT, "blocked")),
            (400, error("invalid_sender"), NotSent("invalid_sender", fault=Fault.SENDER)),
            (401, error("unauthorized"), NotSent("unauthorized", fault=Fault.ACCOUNT)),
            (402, error("insufficient_funds"), NotSent("insufficient_funds", fault=Fault.ACCOUNT)),
            (400, error("rate_limited"), NotSent("rate_limited", throttled=True)),
        ],
    )
    def test_that_is_clear_decides(self, status, body, outcome):
        assert outcome_of(PINEAPPLE, status, body) == outcome

    def test_that_throttles_says_how_long(self):
        outcome = outcome_of(PINEAPPLE, 400, error("rate_limited"), {"retry-after": "7"})
        assert outcome == NotSent("rate_limited", throttled=True, retry_after=7.0)

    @pytest.mark.parametrize("wait", ["soon", "-1", "inf", "nan", ""])
    def test_that_throttles_without_a_sound_time_says_none(self, wait):
        outcome = outcome_of(PINEAPPLE, 400, error("rate_limited"), {"Retry-After": wait})
        assert outcome.retry_after is None

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (202, ""),
            (202, {"status": "queued"}),
            (202, "null"),
            (400, error("something_new")),
            (401, "<html>"),
            (400, {"error": "invalid_recipient"}),
            (500, error("invalid_recipient")),
            (502, {"id": "p1"}),
        ],
    )
    def test_that_cannot_be_trusted_is_unknown(self, status, body):
        assert isinstance(outcome_of(PINEAPPLE, status, body), Unknown)


REPORT = {
    "event": "message.status",
    "id": "p1",
    "reference": "r1",
    "to": "+12025550143",
    "status": "rejected",
    "error_code": "blocked",
    "at": 1_796_032_800,
}


def report_of(**changes):
    return PINEAPPLE.read_callback(a_callback({**REPORT, **changes}))


class TestAReport:
    def test_is_read(self):
        assert report_of() == DeliveryReport(
            ref="r1",
            provider_ref="p1",
            status=Status.REJECTED,
            provider_status="rejected",
            recipient_e164="+12025550143",
            code="blocked",
            error_class=ErrorClass.PERMANENT_CONTENT,
            carrier_blocked=True,
            occurred_at=datetime(2026, 11, 30, 10, tzinfo=UTC),
            dedupe_key="p1:r1:rejected:blocked",
        )

    @pytest.mark.parametrize(
        ("code", "error_class", "opted_out"),
        [
            ("opted_out", RECIPIENT, True),
            ("landline", RECIPIENT, False),
            ("something", None, False),
        ],
    )
    def test_tells_why_it_failed(self, code, error_class, opted_out):
        found = report_of(error_code=code)
        assert (found.error_class, found.opted_out) == (error_class, opted_out)

    def test_opts_nobody_out_while_all_is_well(self):
        assert not report_of(status="delivered", error_code="opted_out").opted_out


def test_a_text_is_read():
    fields = {
        "event": "message.inbound",
        "id": "p9",
        "from": "+12025550143",
        "to": "+15005550001",
        "body": "Hello",
        "media": [{"url": "https://media.example.com/1.jpg"}],
        "at": "2026-11-30T10:00:00Z",
    }
    assert PINEAPPLE.read_callback(a_callback(fields)) == InboundMessage(
        provider_ref="p9",
        from_e164="+12025550143",
        to_value="+15005550001",
        text="Hello",
        media_urls=("https://media.example.com/1.jpg",),
        dedupe_key="p9",
    )


class TestWhoCalls:
    BODY = json.dumps(REPORT).encode()

    def is_genuine(self, header, body=BODY, access=ACCESS):
        return PINEAPPLE.is_genuine(a_callback(body, headers={"X-Signature": header}), access)

    def signed(self, body=BODY, secret="w0", off=0):
        at = str(int(time.time()) + off)
        return f"t={at},v1={simulator_signing.pineapple(secret, body, at)}"

    def test_is_known_by_the_signature(self):
        assert self.is_genuine(self.signed())

    def test_is_known_by_this_one(self, monkeypatch):
        """Made with `openssl dgst -sha256 -hmac w0` of `1700000000.{"a":1}`."""
        monkeypatch.setattr(time, "time", lambda: 1_700_000_100.0)
        signature = "62c9a8e4415a75d32b085f9dd50c969a081027d9045c9ab1b12ee6ba34760002"
        assert self.is_genuine(f"t=1700000000,v1={signature}", body=b'{"a":1}')

    @pytest.mark.parametrize("off", [-301, 301])
    def test_is_not_known_by_an_old_one(self, off):
        assert not self.is_genuine(self.signed(off=off))

    def test_is_known_within_five_minutes(self):
        assert self.is_genuine(self.signed(off=-290))

    def test_is_not_known_by_that_of_another_body(self):
        assert not self.is_genuine(self.signed(), body=b"{}")

    def test_is_not_known_by_another_secret(self):
        assert not self.is_genuine(self.signed(secret="w1"))

    def test_is_not_known_by_another_time(self):
        at, signature = self.signed().split(",")
        assert not self.is_genuine(f"{at}1,{signature}"[:13] + f",{signature}")

    @pytest.mark.parametrize("header", ["", "t=1", "v1=", "t=,v1=", "v1=0", "t=x,v1=y", "\xff"])
    def test_is_not_known_by_half_of_one(self, header):
        assert not self.is_genuine(header)

    def test_is_not_known_by_one_with_two_signatures(self):
        assert not self.is_genuine(f"v1=0,{self.signed()}")

    def test_needs_no_key_in_its_path(self):
        assert not PINEAPPLE.needs_key(ACCESS)

    def test_is_looked_for_by_the_reference_in_the_signed_body_only(self):
        """The address is not signed: a reference in it could be anybody's."""
        fields = {name: value for name, value in REPORT.items() if name != "reference"}
        found = PINEAPPLE.read_callback(a_callback(fields, query={"ref": "r2"}))
        assert found.ref == ""


class TestALookUp:
    LISTED = {"id": "p1", "reference": "r1", "to": "+12025550143", "status": "delivered"}

    def test_asks_by_our_reference(self):
        request = PINEAPPLE.build_look_up(a_look_up(), ACCESS)
        assert request.method == "GET"
        assert request.url == "https://api.example.com/v1/messages?reference=r1"
        assert request.headers == {"Authorization": "Bearer k0"}

    def test_asks_by_their_id(self):
        request = PINEAPPLE.build_look_up(a_look_up(provider_ref="p/1"), ACCESS)
        assert request.url == "https://api.example.com/v1/messages/p%2F1"

    @pytest.mark.parametrize(
        ("body", "changes"),
        [({"messages": [LISTED]}, {}), (LISTED, {"provider_ref": "p1"})],
        ids=["by reference", "by id"],
    )
    def test_finds_it(self, body, changes):
        found = looked_up(PINEAPPLE, 200, body, **changes)
        assert isinstance(found, Found)
        report = found.report
        assert (report.ref, report.provider_ref, report.status) == ("r1", "p1", Status.DELIVERED)

    @pytest.mark.parametrize(
        ("body", "changes"),
        [
            ({"messages": []}, {}),
            ({"messages": [{**LISTED, "reference": "r2"}]}, {}),
            ({"messages": [LISTED, LISTED]}, {}),
            ({}, {}),
            ({**LISTED, "id": "p2"}, {"provider_ref": "p1"}),
        ],
        ids=["none", "another's", "two", "no list", "another id"],
    )
    def test_does_not_take_another_for_it(self, body, changes):
        assert looked_up(PINEAPPLE, 200, body, **changes) == NotListed()

    def test_of_one_that_they_do_not_have_finds_nothing(self):
        assert looked_up(PINEAPPLE, 404, {}, provider_ref="p1") == NotListed()

    @pytest.mark.parametrize("status", [401, 429, 500])
    def test_that_was_refused_is_no_answer(self, status):
        assert isinstance(looked_up(PINEAPPLE, status, {}), NoAnswer)
