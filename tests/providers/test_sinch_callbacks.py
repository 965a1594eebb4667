"""Bodies are from Sinch's developer pages ("Delivery reports", "Webhooks", "Batches") and from the
wire of its own package (sinch 2.3.0); the numbers in them are invented.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from providers import simulator_signing
from providers.adapters.sinch import Sinch
from providers.base import (
    Access,
    Callback,
    ErrorClass,
    InboundMessage,
    Status,
    ref_in_batch,
)

TO, OTHER = "+15005550006", "+15005550007"
ACCESS = Access(kind="sinch", secrets={"service_plan_id": "plan-1", "api_token": "t0"})
SINCH = Sinch()
BATCH = "01FC66621XXXXX119Z8PMV1QPQ"


def a_callback(fields, query=None, headers=None):
    return Callback(
        method="POST",
        url="https://hooks.example.com/webhooks/sinch/1/status",
        headers=headers or {},
        query=query or {},
        form={},
        body=json.dumps(fields).encode() if isinstance(fields, dict) else fields,
    )


REPORT = {
    "type": "recipient_delivery_report_sms",
    "batch_id": BATCH,
    "recipient": "15005550006",
    "code": 0,
    "status": "Delivered",
    "at": "2026-11-30T10:00:00.000Z",
    "operator_status_at": "2026-11-30T09:59:58.000Z",
    "client_reference": "req1",
    "applied_originator": "15005550001",
    "number_of_message_parts": 1,
}


def report_of(**changes):
    return SINCH.read_callback(a_callback({**REPORT, **changes}))


class TestAReport:
    def test_leads_to_the_message_of_its_batch_and_recipient(self):
        report = report_of()
        assert report.ref == ref_in_batch("req1", TO)
        assert (report.provider_ref, report.recipient_e164) == (BATCH, TO)
        assert (report.status, report.provider_status) == (Status.DELIVERED, "Delivered")
        assert report.occurred_at == datetime(2026, 11, 30, 9, 59, 58, tzinfo=UTC)

    @pytest.mark.parametrize("at", ["soon", "", None, 7])
    def test_is_read_whatever_stands_for_its_time(self, at):
        report = report_of(at=at, operator_status_at=None)
        assert (report.status, report.occurred_at) == (Status.DELIVERED, None)

    def test_leads_to_it_by_the_address_it_came_to_as_well(self):
        fields = {key: value for key, value in REPORT.items() if key != "client_reference"}
        report = SINCH.read_callback(a_callback(fields, {"ref": "req1"}))
        assert report.ref == ref_in_batch("req1", TO)

    @pytest.mark.parametrize(
        ("word", "code", "status"),
        [
            ("Queued", 400, Status.ACCEPTED),
            ("Dispatched", 401, Status.SENT),
            ("DELIVERED", 0, Status.DELIVERED),
            ("Failed", 27, Status.UNDELIVERED),
            ("Failed", 300, Status.REJECTED),
            ("Rejected", 408, Status.REJECTED),
            ("Rejected", 402, Status.REJECTED),
            ("Deleted", 10, Status.REJECTED),
            ("Aborted", 403, Status.FAILED),
            ("Aborted", 406, Status.EXPIRED),
            ("Aborted", 407, Status.FAILED),
            ("Cancelled", 407, Status.FAILED),
            ("Expired", 406, Status.EXPIRED),
            ("Unknown", 3, Status.UNKNOWN),
            ("Something", 0, Status.ACCEPTED),
        ],
    )
    def test_says_it_in_our_words(self, word, code, status):
        assert report_of(status=word, code=code).status == status

    @pytest.mark.parametrize(
        ("code", "error_class", "is_blocked"),
        [
            (1, ErrorClass.PERMANENT_RECIPIENT, False),
            (10, ErrorClass.PERMANENT_RECIPIENT, False),
            (11, ErrorClass.PERMANENT_RECIPIENT, False),
            (9, ErrorClass.PERMANENT_CONTENT, True),
            (60, ErrorClass.PERMANENT_CONTENT, True),
            (300, ErrorClass.PERMANENT_CONTENT, True),
            (405, ErrorClass.PERMANENT_CONTENT, False),
            (412, ErrorClass.PERMANENT_CONFIG, False),
            (27, ErrorClass.TRANSIENT, False),
            (64, ErrorClass.TRANSIENT, False),
        ],
    )
    def test_tells_why_it_failed(self, code, error_class, is_blocked):
        report = report_of(status="Failed", code=code)
        assert (report.code, report.error_class) == (str(code), error_class)
        assert report.carrier_blocked == is_blocked

    def test_of_a_subscriber_that_was_deleted_opts_nobody_out(self):
        assert not report_of(status="Deleted", code=408).opted_out

    def test_that_comes_twice_has_one_key(self):
        assert report_of(at="2026-11-30T11:00:00Z").dedupe_key == report_of().dedupe_key

    @pytest.mark.parametrize(
        "changes",
        [{"recipient": "15005550007"}, {"status": "Failed"}, {"code": 1}, {"batch_id": "x"}],
    )
    def test_that_says_something_else_has_another_key(self, changes):
        assert report_of(**changes).dedupe_key != report_of().dedupe_key


class TestAReportOfAWholeBatch:
    FULL = {
        "type": "delivery_report_sms",
        "batch_id": BATCH,
        "client_reference": "req1",
        "total_message_count": 3,
        "statuses": [
            {
                "code": 0,
                "status": "Delivered",
                "count": 2,
                "recipients": ["15005550006", "15005550007"],
            },
            {"code": 1, "status": "Failed", "count": 1, "recipients": ["15005550008"]},
        ],
    }

    def reports(self, fields):
        return [SINCH.read_callback(part) for part in SINCH.split(a_callback(fields))]

    def test_is_one_of_each_recipient(self):
        found = {one.recipient_e164: (one.status, one.code) for one in self.reports(self.FULL)}
        assert found == {
            TO: (Status.DELIVERED, ""),
            OTHER: (Status.DELIVERED, ""),
            "+15005550008": (Status.UNDELIVERED, "1"),
        }

    def test_leads_to_their_messages(self):
        refs = {one.recipient_e164: one.ref for one in self.reports(self.FULL)}
        assert refs[OTHER] == ref_in_batch("req1", OTHER)

    def test_says_of_one_what_its_own_report_says(self):
        assert self.reports(self.FULL)[0].dedupe_key == report_of().dedupe_key

    def test_that_names_nobody_says_nothing(self):
        summary = {**self.FULL, "statuses": [{"code": 0, "status": "Delivered", "count": 3}]}
        assert self.reports(summary) == []

    def test_of_one_message_stays_as_it_is(self):
        callback = a_callback(REPORT)
        assert list(SINCH.split(callback)) == [callback]


class TestAText:
    MO = {
        "type": "mo_text",
        "id": "01FC66621XXXXX119Z8PMV1QPA",
        "from": "15005550006",
        "to": "15005550001",
        "body": "STOP",
        "received_at": "2026-11-30T10:00:00.000Z",
    }

    def read(self, **changes):
        return SINCH.read_callback(a_callback({**self.MO, **changes}))

    def test_is_read(self):
        assert self.read() == InboundMessage(
            provider_ref="01FC66621XXXXX119Z8PMV1QPA",
            from_e164=TO,
            to_value="+15005550001",
            text="STOP",
            dedupe_key="01FC66621XXXXX119Z8PMV1QPA",
        )

    def test_to_a_short_code_keeps_it(self):
        assert self.read(to="55512").to_value == "55512"

    def test_with_pictures_is_read(self):
        media = [{"url": "https://media.example.com/1.jpg", "content_type": "image/jpeg"}]
        found = self.read(type="mo_media", body={"message": "look", "media": media})
        assert (found.text, found.media_urls) == ("look", ("https://media.example.com/1.jpg",))

    @pytest.mark.parametrize("kind", ["mo_binary", "something", ""])
    def test_of_another_kind_is_passed_over(self, kind):
        assert self.read(type=kind) is None

    @pytest.mark.parametrize("body", [b"", b"[]", b"no json"])
    def test_that_is_no_object_cannot_be_read(self, body):
        if body == b"":
            assert SINCH.read_callback(a_callback(body)) is None
            return
        with pytest.raises((ValueError, TypeError)):
            SINCH.read_callback(a_callback(body))


def an_access(**secrets):
    return Access(kind="sinch", secrets={**ACCESS.secrets, **secrets})


def signed(body, *, secret="sinchsecret", at=None, nonce="nonce1"):
    at = at or str(int(time.time()))
    return {
        "X-Sinch-Webhook-Signature": simulator_signing.sinch(secret, body.decode(), nonce, at),
        "X-Sinch-Webhook-Signature-Nonce": nonce,
        "X-Sinch-Webhook-Signature-Timestamp": at,
    }


class TestWhoCalls:
    BODY = b'{"type":"recipient_delivery_report_sms","batch_id":"01B"}'
    SECRET = {"webhook_secret": "sinchsecret"}
    BASIC = {"webhook_user": "u", "webhook_password": "p"}

    def is_genuine(self, secrets, headers, body=BODY):
        return SINCH.is_genuine(a_callback(body, headers=headers), an_access(**secrets))

    def test_is_known_by_the_signature(self):
        assert self.is_genuine(self.SECRET, signed(self.BODY))

    def test_the_official_packages_vector(self, monkeypatch):
        """sinch 2.3.0 makes this of the secret, nonce, time and body (reference, 4.6)."""
        monkeypatch.setattr(time, "time", lambda: 1_700_000_100.0)
        headers = {
            "x-sinch-webhook-signature": "ueZ9wOK+A1Fq1e8s90C0eS7nYznuUHg29KPUJzbPnWE=",
            "x-sinch-webhook-signature-nonce": "nonce1",
            "x-sinch-webhook-signature-timestamp": "1700000000",
        }
        assert self.is_genuine(self.SECRET, headers)

    @pytest.mark.parametrize("name", ["", "-Nonce", "-Timestamp"])
    def test_is_not_known_without_a_part_of_it(self, name):
        headers = signed(self.BODY)
        del headers[f"X-Sinch-Webhook-Signature{name}"]
        assert not self.is_genuine(self.SECRET, headers)

    def test_is_not_known_by_another_secret(self):
        assert not self.is_genuine(self.SECRET, signed(self.BODY, secret="another"))

    def test_is_not_known_by_the_signature_of_another_body(self):
        assert not self.is_genuine(self.SECRET, signed(self.BODY), body=b"{}")

    @pytest.mark.parametrize("off", [-400, 400])
    def test_is_not_known_by_an_old_signature(self, off):
        headers = signed(self.BODY, at=str(int(time.time()) + off))
        assert not self.is_genuine(self.SECRET, headers)

    def test_is_known_by_name_and_password(self):
        assert self.is_genuine(self.BASIC, {"Authorization": "Basic dTpw"})

    @pytest.mark.parametrize("header", ["", "Basic dTpx", "Bearer dTpw", "Basic", "Basic \xff"])
    def test_is_not_known_by_a_wrong_password(self, header):
        assert not self.is_genuine(self.BASIC, {"Authorization": header})

    def test_must_have_both_where_the_account_has_both(self):
        both = {**self.SECRET, **self.BASIC}
        assert not self.is_genuine(both, signed(self.BODY))
        assert self.is_genuine(both, {**signed(self.BODY), "Authorization": "Basic dTpw"})

    @pytest.mark.parametrize(
        ("secrets", "needs"),
        [({}, True), (SECRET, False), (BASIC, False), ({**SECRET, **BASIC}, False)],
    )
    def test_needs_a_key_in_the_address_where_nothing_else_is_set(self, secrets, needs):
        assert SINCH.needs_key(an_access(**secrets)) is needs

    @pytest.mark.parametrize("half", ["webhook_user", "webhook_password"])
    def test_is_not_known_by_half_of_a_name_and_password(self, half):
        access = an_access(**{half: "u"})
        assert SINCH.needs_key(access)
        other = {"webhook_user": "webhook_password", "webhook_password": "webhook_user"}[half]
        assert list(SINCH.problems(access)) == [other]

    def test_has_no_problem_with_both_or_neither(self):
        assert SINCH.problems(an_access(**self.BASIC)) == SINCH.problems(an_access()) == {}

    def test_has_its_nonce_remembered(self):
        assert SINCH.replay_key(a_callback(self.BODY, headers=signed(self.BODY))) == "nonce1"
