"""The presets "textback" and "textback_query". All but the address and two headers is assumed
(reference, section 9); bodies are in the shapes that it writes down.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from providers.base import (
    Accepted,
    DeliveryReport,
    ErrorClass,
    Fault,
    InboundMessage,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from tests.providers.declaring import a_callback, an_access, outcome_of, preset, request_of

TEXTBACK, QUERY = preset("textback"), preset("textback_query")
ACCESS = an_access("textback", "", token="t0", secret="s0")
RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT


class TestARequest:
    def test_is_whole(self):
        request = request_of(TEXTBACK, ACCESS, text='{text} "hi"')
        assert request.method == "POST"
        assert request.url == "https://api.textback.ai/api/v2/message/send"
        assert request.headers == {"token": "t0", "secret": "s0"}
        assert request.json == {
            "from": "+15005550001",
            "to": "+12025550143",
            "text": '{text} "hi"',
            "clientRef": "r1",
            "callbackUrl": "https://hooks.example.com/cb?ref=r1",
        }

    def test_leaves_out_an_address_that_there_is_not(self):
        assert "callbackUrl" not in request_of(TEXTBACK, ACCESS, status_callback_url="").json

    def test_by_query_is_whole(self):
        request = request_of(QUERY, an_access("textback_query", "", api_key="k&0"), text="a&b {to}")
        assert request.method == "GET"
        assert request.url == (
            "https://api.textback.ai/send?action=sendText&from=%2B15005550001&to=%2B12025550143"
            "&text=a%26b%20%7Bto%7D&apiKey=k%260"
        )
        assert request.form is request.json is request.body is None


def said(code="", message=""):
    return {"code": code, "message": message}


class TestAnAnswer:
    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (201, {"id": "m1"}, Accepted("m1")),
            (200, {"messageId": 77}, Accepted("77")),
            (202, {"data": {"id": "m2"}}, Accepted("m2")),
            (400, said("INVALID_RECIPIENT"), Rejected(RECIPIENT, "INVALID_RECIPIENT")),
            (400, said("OPTED_OUT"), Rejected(RECIPIENT, "OPTED_OUT", only_here=True)),
            (400, said("E7", "The phone is a landline"), Rejected(RECIPIENT, "E7")),
            (400, said("E8", "callbackUrl has to be an address"), Rejected(CONTENT, "E8")),
            (400, said("E9", "'to' is missing"), Rejected(RECIPIENT, "E9")),
            (400, said("INVALID_SENDER"), NotSent("INVALID_SENDER", fault=Fault.SENDER)),
            (400, said("TEXT_TOO_LONG"), Rejected(CONTENT, "TEXT_TOO_LONG")),
            (400, said("", "text is empty"), Rejected(CONTENT, "400")),
            (401, said("UNAUTHORIZED"), NotSent("UNAUTHORIZED", fault=Fault.ACCOUNT)),
            (403, "", NotSent("403", fault=Fault.ACCOUNT)),
            (404, "<html>", NotSent("404", fault=Fault.ACCOUNT)),
            (400, said("RATE_LIMITED"), NotSent("RATE_LIMITED", throttled=True)),
        ],
    )
    def test_that_is_clear_decides(self, status, body, outcome):
        assert outcome_of(TEXTBACK, status, body) == outcome

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, ""),
            (200, "{"),
            (200, []),
            (200, {}),
            (201, {"id": ""}),
            (201, {"id": None}),
            (201, {"id": {"a": 1}}),
            (400, "<html>"),
            (400, {}),
            (409, said("ODD")),
            (500, {"id": "m1"}),
        ],
    )
    def test_that_cannot_be_trusted_is_unknown(self, status, body):
        assert isinstance(outcome_of(TEXTBACK, status, body), Unknown)

    def test_opts_nobody_out_by_words_that_are_assumed(self):
        assert not outcome_of(TEXTBACK, 400, said("OPTED_OUT")).opted_out

    @pytest.mark.parametrize("body", ["OK", "", "sent 12345"])
    def test_to_a_query_that_names_no_error_is_accepted(self, body):
        assert outcome_of(QUERY, 200, body) == Accepted("r1")

    @pytest.mark.parametrize("body", ["Error 5", "INVALID key", "<html>busy</html>", "failed"])
    def test_to_a_query_that_names_one_is_unknown(self, body):
        assert isinstance(outcome_of(QUERY, 200, body), Unknown)


REPORT = {
    "type": "status",
    "messageId": "m1",
    "clientRef": "r1",
    "status": "DELIVERED",
    "timestamp": "2026-11-30T10:00:00Z",
}


def report_of(**changes):
    return TEXTBACK.read_callback(a_callback({**REPORT, **changes}))


class TestAReport:
    def test_is_read(self):
        assert report_of() == DeliveryReport(
            ref="r1",
            provider_ref="m1",
            status=Status.DELIVERED,
            provider_status="DELIVERED",
            occurred_at=datetime(2026, 11, 30, 10, tzinfo=UTC),
            dedupe_key="m1:r1:DELIVERED:",
        )

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("QUEUED", Status.ACCEPTED),
            ("SENT", Status.SENT),
            ("delivered", Status.DELIVERED),
            ("UNDELIVERED", Status.UNDELIVERED),
            ("FAILED", Status.FAILED),
            ("REJECTED", Status.REJECTED),
            ("EXPIRED", Status.EXPIRED),
            ("SOMETHING", Status.ACCEPTED),
        ],
    )
    def test_says_it_in_our_words(self, word, status):
        found = report_of(status=word)
        assert (found.status, found.provider_status) == (status, word)

    def test_keeps_the_code_of_a_failure_only(self):
        assert report_of(status="FAILED", errorCode=30).code == "30"
        assert report_of(status="SENT", errorCode="0").code == ""

    @pytest.mark.parametrize(
        "changes", [{"status": None}, {"type": "other"}, {"messageId": None, "clientRef": ""}]
    )
    def test_that_says_nothing_of_a_message_is_not_used(self, changes):
        assert report_of(**changes) is None

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
    def test_that_is_no_json_cannot_be_read(self, body):
        with pytest.raises(ValueError):
            TEXTBACK.read_callback(a_callback(body))


@pytest.mark.parametrize("speaks", [TEXTBACK, QUERY], ids=["v2", "query"])
def test_a_text_is_read(speaks):
    fields = {
        "type": "inbound",
        "messageId": "m9",
        "from": "12025550143",
        "to": "+15005550001",
        "text": "STOP",
        "media": ["https://media.example.com/1.jpg"],
    }
    assert speaks.read_callback(a_callback(fields)) == InboundMessage(
        provider_ref="m9",
        from_e164="+12025550143",
        to_value="+15005550001",
        text="STOP",
        media_urls=("https://media.example.com/1.jpg",),
        dedupe_key="m9",
    )


class TestWhoCalls:
    def is_genuine(self, header=None, **secrets):
        headers = {} if header is None else {"X-Webhook-Token": header}
        access = an_access("textback", "", **secrets)
        return TEXTBACK.is_genuine(a_callback(REPORT, headers=headers), access)

    def test_has_a_key_in_its_path_always(self):
        assert TEXTBACK.needs_key(ACCESS)
        assert TEXTBACK.needs_key(an_access("textback", "", webhook_token="w"))

    def test_shows_the_token_where_the_account_has_one(self):
        assert self.is_genuine("w", webhook_token="w")

    @pytest.mark.parametrize("header", [None, "", "W", "w\xff"])
    def test_is_not_believed_with_another(self, header):
        assert not self.is_genuine(header, webhook_token="w")

    def test_needs_none_where_the_account_has_none(self):
        assert self.is_genuine()
