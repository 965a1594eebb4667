"""Answers, receipts and texts are from Vonage's definition of the SMS API (`sms.yml`, 2021), the
records from that of the Reports API; the numbers in them are invented.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from providers.adapters.vonage_sms import VonageSms
from providers.base import (
    Access,
    Callback,
    ErrorClass,
    InboundMessage,
    Part,
    Status,
)
from tests.providers.vonage import SMS_SECRETS, signed_fields

TO, FROM = "+15005550006", "+15005550001"
ACCESS = Access(kind="vonage_sms", secrets=SMS_SECRETS)
VONAGE = VonageSms()
URL = "https://hooks.example.com/webhooks/vonage_sms/1/status"


RECEIPT = {
    "msisdn": "15005550006",
    "to": "15005550001",
    "network-code": "12345",
    "messageId": "0A01",
    "price": "0.03",
    "status": "delivered",
    "scts": "3503071710",
    "err-code": "0",
    "api-key": "key1",
    "client-ref": "ref1",
    "message-timestamp": "2035-03-07 17:10:09",
}


def by_form(fields, query=None):
    return Callback(
        method="POST",
        url=URL,
        headers={},
        query=query or {},
        form=fields,
        body=urlencode(fields).encode(),
    )


def by_query(fields, query=None):
    found = {**fields, **(query or {})}
    return Callback(method="GET", url=URL, headers={}, query=found, form={}, body=b"")


def by_json(fields, query=None):
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return Callback(method="POST", url=URL, headers={}, query=query or {}, form={}, body=body)


WAYS = pytest.mark.parametrize("way", [by_form, by_query, by_json])


def report_of(way=by_form, query=None, **changes):
    return VONAGE.read_callback(way({**RECEIPT, **changes}, query))


class TestAReceipt:
    @WAYS
    def test_leads_to_its_message_and_part(self, way):
        report = report_of(way)
        assert (report.ref, report.provider_ref, report.is_of_a_part) == ("ref1", "0A01", True)
        assert (report.status, report.provider_status) == (Status.DELIVERED, "delivered")
        assert (report.code, report.error_class) == ("", None)

    def test_names_the_recipient_as_msisdn_and_us_as_to(self):
        assert report_of().recipient_e164 == TO

    @pytest.mark.parametrize(
        ("changes", "ref"),
        [({}, "ref1"), ({"client-ref": ""}, "ref2")],
        ids=["by their own field first", "by the address it came to"],
    )
    def test_carries_our_reference(self, changes, ref):
        assert report_of(query={"ref": "ref2"}, **changes).ref == ref

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("accepted", Status.ACCEPTED),
            ("buffered", Status.SENT),
            ("delivered", Status.DELIVERED),
            ("failed", Status.UNDELIVERED),
            ("expired", Status.EXPIRED),
            ("rejected", Status.REJECTED),
            ("unknown", Status.UNKNOWN),
            ("Delivered", Status.DELIVERED),
            ("deferred", Status.ACCEPTED),
        ],
    )
    def test_says_it_in_our_words(self, word, status):
        report = report_of(status=word)
        assert (report.status, report.provider_status) == (status, word)

    @pytest.mark.parametrize(
        ("code", "error_class", "status"),
        [
            ("1", ErrorClass.UNKNOWN, Status.UNDELIVERED),
            ("2", ErrorClass.TRANSIENT, Status.UNDELIVERED),
            ("3", ErrorClass.PERMANENT_RECIPIENT, Status.UNDELIVERED),
            ("4", ErrorClass.PERMANENT_RECIPIENT, Status.REJECTED),
            ("5", ErrorClass.TRANSIENT, Status.UNDELIVERED),
            ("6", ErrorClass.PERMANENT_CONTENT, Status.REJECTED),
            ("7", ErrorClass.TRANSIENT, Status.UNDELIVERED),
            ("8", ErrorClass.TRANSIENT, Status.UNDELIVERED),
            ("9", ErrorClass.PERMANENT_RECIPIENT, Status.UNDELIVERED),
            ("10", ErrorClass.PERMANENT_CONTENT, Status.UNDELIVERED),
            ("11", ErrorClass.PERMANENT_RECIPIENT, Status.UNDELIVERED),
            ("12", ErrorClass.PERMANENT_RECIPIENT, Status.UNDELIVERED),
            ("13", ErrorClass.PERMANENT_RECIPIENT, Status.UNDELIVERED),
            ("14", ErrorClass.PERMANENT_CONTENT, Status.REJECTED),
            ("15", ErrorClass.TRANSIENT, Status.UNDELIVERED),
            ("16", ErrorClass.THROTTLED, Status.UNDELIVERED),
            ("50", ErrorClass.PERMANENT_CONTENT, Status.REJECTED),
            ("54", ErrorClass.PERMANENT_CONTENT, Status.REJECTED),
            ("99", ErrorClass.TRANSIENT, Status.UNDELIVERED),
            ("77", ErrorClass.UNKNOWN, Status.UNDELIVERED),
        ],
    )
    def test_tells_why_it_failed(self, code, error_class, status):
        report = report_of(status="failed", **{"err-code": code})
        assert (report.code, report.error_class, report.status) == (code, error_class, status)
        assert report.carrier_blocked == (status is Status.REJECTED)
        assert report.opted_out == (code == "9")

    @pytest.mark.parametrize(
        ("changes", "at"),
        [
            ({}, datetime(2035, 3, 7, 17, 10, 9, tzinfo=UTC)),
            ({"message-timestamp": ""}, datetime(2035, 3, 7, 17, 10, tzinfo=UTC)),
            ({"message-timestamp": "noon", "scts": "noon"}, None),
        ],
        ids=["to the second", "to the minute", "unreadable"],
    )
    def test_says_when(self, changes, at):
        assert report_of(**changes).occurred_at == at

    def test_that_comes_twice_has_one_key(self):
        assert report_of(scts="3503071711").dedupe_key == report_of().dedupe_key

    @pytest.mark.parametrize("changes", [{"messageId": "x"}, {"status": "f"}, {"err-code": "1"}])
    def test_that_says_something_else_has_another_key(self, changes):
        assert report_of(**changes).dedupe_key != report_of().dedupe_key

    @pytest.mark.parametrize("name", ["messageId", "msisdn"])
    def test_without_what_tells_whose_it_is_is_passed_over(self, name):
        assert report_of(**{name: ""}) is None


TEXT = {
    "msisdn": "15005550006",
    "to": "15005550001",
    "messageId": "0B01",
    "text": "STOP please",
    "type": "text",
    "keyword": "STOP",
    "api-key": "key1",
    "message-timestamp": "2035-03-07 17:10:09",
}
PIECE = {"concat": "true", "concat-ref": "7", "concat-total": "3", "concat-part": "2"}


class TestAText:
    @WAYS
    def test_is_read(self, way):
        assert VONAGE.read_callback(way(TEXT)) == InboundMessage(
            provider_ref="0B01",
            from_e164=TO,
            to_value=FROM,
            text="STOP please",
            keyword="STOP",
            dedupe_key="0B01",
        )

    def test_to_a_short_code_keeps_it(self):
        assert VONAGE.read_callback(by_form({**TEXT, "to": "55512"})).to_value == "55512"

    @WAYS
    def test_of_several_pieces_says_which_it_is(self, way):
        piece = VONAGE.read_callback(way({**TEXT, **PIECE})).part
        assert piece == Part(text_ref="7:+15005550006:15005550001", number=2, of=3)

    def test_in_json_may_have_numbers_for_them(self):
        piece = {"concat": True, "concat-ref": 7, "concat-total": 3, "concat-part": 2}
        assert VONAGE.read_callback(by_json({**TEXT, **piece})).part.of == 3

    @pytest.mark.parametrize(
        "changes",
        [
            {"concat-ref": ""},
            {"concat-part": "two"},
            {"concat-part": "0"},
            {"concat-part": "4"},
            {"concat-total": "4000000000"},
        ],
    )
    def test_whose_place_cannot_be_read_is_taken_as_it_is(self, changes):
        text = VONAGE.read_callback(by_form({**TEXT, **PIECE, **changes}))
        assert (text.text, text.part) == ("STOP please", None)

    def test_that_names_no_place_is_taken_as_it_is(self):
        text = VONAGE.read_callback(by_form({**TEXT, "concat": "true"}))
        assert (text.text, text.part) == ("STOP please", None)

    @pytest.mark.parametrize("changes", [{"concat": "false"}, {"concat": ""}, {}])
    def test_of_one_piece_is_none(self, changes):
        assert VONAGE.read_callback(by_form({**TEXT, **changes})).part is None

    def test_of_bytes_is_passed_over(self):
        fields = {name: value for name, value in TEXT.items() if name != "text"}
        assert VONAGE.read_callback(by_form({**fields, "type": "binary", "data": "00"})) is None

    @pytest.mark.parametrize("body", [b"[]", b"no json"])
    def test_that_is_no_object_cannot_be_read(self, body):
        with pytest.raises((ValueError, TypeError)):
            VONAGE.read_callback(by_json(body))


def an_access(**secrets):
    return Access(kind="vonage_sms", secrets={**SMS_SECRETS, **secrets})


SECRET = {"signature_secret": "vonagesecret", "signature_method": "sha256"}


class TestWhoCalls:
    @WAYS
    @pytest.mark.parametrize("method", ["md5", "sha1", "sha256", "sha512"])
    def test_is_known_by_the_signature_of_their_own_package(self, way, method):
        access = an_access(signature_secret="s", signature_method=method)
        assert VONAGE.is_genuine(way(signed_fields(RECEIPT, "s", method)), access)

    @WAYS
    def test_is_known_whatever_our_mark_in_the_address(self, way):
        callback = way(signed_fields(RECEIPT), {"ref": "ref1"})
        assert VONAGE.is_genuine(callback, an_access(**SECRET))

    def test_is_known_where_our_mark_was_signed_with_the_rest(self):
        callback = by_query(signed_fields({**RECEIPT, "ref": "ref1"}))
        assert VONAGE.is_genuine(callback, an_access(**SECRET))

    @WAYS
    def test_is_not_known_after_a_change(self, way):
        fields = {**signed_fields(RECEIPT), "status": "failed"}
        assert not VONAGE.is_genuine(way(fields), an_access(**SECRET))

    @WAYS
    def test_is_not_known_without_a_signature(self, way):
        assert not VONAGE.is_genuine(way(RECEIPT), an_access(**SECRET))

    @pytest.mark.parametrize(
        "secrets",
        [
            {**SECRET, "signature_secret": "another"},
            {**SECRET, "signature_method": "md5"},
            {**SECRET, "signature_method": "SHA-256"},
            {**SECRET, "signature_method": ""},
        ],
    )
    def test_is_not_known_by_an_account_of_another_secret_or_method(self, secrets):
        assert not VONAGE.is_genuine(by_form(signed_fields(RECEIPT)), an_access(**secrets))

    @pytest.mark.parametrize("off", [-400, 400])
    def test_is_not_known_by_an_old_signature(self, off):
        fields = signed_fields(RECEIPT, at=time.time() + off)
        assert not VONAGE.is_genuine(by_form(fields), an_access(**SECRET))

    @pytest.mark.parametrize("body", [b"[]", b"no json", b"[" * 60_000])
    def test_is_not_known_where_nothing_can_be_read(self, body):
        assert not VONAGE.is_genuine(by_json(body), an_access(**SECRET))
        assert VONAGE.replay_key(by_json(body)) == ""

    @pytest.mark.parametrize(("secrets", "needs"), [({}, True), (SECRET, False)])
    def test_needs_a_key_in_the_address_where_nothing_is_signed(self, secrets, needs):
        assert VONAGE.needs_key(an_access(**secrets)) is needs

    def test_needs_nothing_else_where_nothing_is_signed(self):
        assert VONAGE.is_genuine(by_form(RECEIPT), ACCESS)

    @WAYS
    def test_has_its_nonce_remembered(self, way):
        assert VONAGE.replay_key(way(signed_fields(RECEIPT, nonce="n-1"))) == "n-1"
        assert VONAGE.replay_key(way(RECEIPT)) == ""
