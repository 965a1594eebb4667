"""Requests are those of Vonage's own package (vonage-messages 1.8.1), errors and callbacks from its
pages "Messages API", v1 and v0.1, and "Signed webhooks"; the numbers in them are invented.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from providers.adapters.vonage_messages import VonageMessages
from providers.base import (
    Access,
    Callback,
    ErrorClass,
    InboundMessage,
    Status,
)
from tests.providers.vonage import JWT_SECRET, SMS_SECRETS, a_token

TO, FROM = "+15005550006", "+15005550001"
ACCESS = Access(kind="vonage", secrets=SMS_SECRETS)
VONAGE = VonageMessages()
URL = "https://hooks.example.com/webhooks/vonage/1/status"
UUID = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
TYPE = "https://developer.vonage.com/api-errors/messages"


def an_access(**secrets):
    return Access(kind="vonage", secrets={**SMS_SECRETS, **secrets})


def problem(code=None, detail="no", title="Refused"):
    kind = f"{TYPE}#{code}" if code else TYPE
    return {"type": kind, "title": title, "detail": detail, "instance": "bf0ca0bf"}


def a_callback(fields, query=None, headers=None):
    return Callback(
        method="POST",
        url=URL,
        headers=headers or {},
        query=query or {},
        form={},
        body=json.dumps(fields).encode() if isinstance(fields, dict) else fields,
    )


V1 = {
    "message_uuid": UUID,
    "to": "15005550006",
    "from": "15005550001",
    "timestamp": "2035-03-07T17:10:09.000Z",
    "status": "delivered",
    "usage": {"currency": "USD", "price": "0.0333"},
    "client_ref": "ref1",
    "channel": "sms",
    "destination": {"network_code": "12345"},
    "sms": {"count_total": "2"},
}
V01 = {
    "message_uuid": UUID,
    "to": {"type": "sms", "number": "15005550006"},
    "from": {"type": "sms", "number": "15005550001"},
    "timestamp": "2035-03-07T17:10:09.000Z",
    "status": "delivered",
    "client_ref": "ref1",
}
SHAPES = pytest.mark.parametrize("shape", [V1, V01], ids=["v1", "v0.1"])


def report_of(shape=V1, query=None, **changes):
    return VONAGE.read_callback(a_callback({**shape, **changes}, query))


def failed(code, word="rejected", detail="no"):
    return report_of(status=word, error=problem(code, detail))


class TestAReport:
    @SHAPES
    def test_leads_to_its_message(self, shape):
        report = report_of(shape)
        assert (report.ref, report.provider_ref, report.recipient_e164) == ("ref1", UUID, TO)
        assert (report.status, report.provider_status) == (Status.DELIVERED, "delivered")
        assert report.occurred_at == datetime(2035, 3, 7, 17, 10, 9, tzinfo=UTC)
        assert not report.is_of_a_part

    @pytest.mark.parametrize(("ref", "found"), [("ref1", "ref1"), (None, "ref2")])
    def test_carries_our_reference(self, ref, found):
        assert report_of(query={"ref": "ref2"}, client_ref=ref).ref == found

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("submitted", Status.SENT),
            ("delivered", Status.DELIVERED),
            ("read", Status.DELIVERED),
            ("rejected", Status.REJECTED),
            ("undeliverable", Status.FAILED),
            ("seen", Status.ACCEPTED),
        ],
    )
    def test_says_it_in_our_words(self, word, status):
        assert report_of(status=word).status == status

    @pytest.mark.parametrize(
        ("code", "error_class", "status"),
        [
            (1000, ErrorClass.THROTTLED, Status.FAILED),
            (1030, ErrorClass.TRANSIENT, Status.FAILED),
            (1070, ErrorClass.PERMANENT_CONFIG, Status.FAILED),
            (1120, ErrorClass.PERMANENT_CONFIG, Status.FAILED),
            (1170, ErrorClass.PERMANENT_RECIPIENT, Status.FAILED),
            (1180, ErrorClass.TRANSIENT, Status.FAILED),
            (1210, ErrorClass.PERMANENT_CONTENT, Status.REJECTED),
            (1240, ErrorClass.PERMANENT_RECIPIENT, Status.REJECTED),
            (1270, ErrorClass.PERMANENT_RECIPIENT, Status.REJECTED),
            (1280, ErrorClass.PERMANENT_CONTENT, Status.REJECTED),
            (1330, ErrorClass.UNKNOWN, Status.FAILED),
        ],
    )
    def test_tells_why_it_failed(self, code, error_class, status):
        report = failed(code, "undeliverable")
        assert (report.code, report.error_class, report.status) == (str(code), error_class, status)
        assert report.carrier_blocked == (code in {1210, 1270, 1280})
        assert report.opted_out == (code == 1240)

    @pytest.mark.parametrize(
        "error",
        [
            {"type": f"{TYPE}#1240", "title": 1240, "detail": "Illegal number"},
            {"type": TYPE, "title": "1240", "detail": "Illegal number"},
            {"code": 1240, "reason": "Illegal number"},
        ],
        ids=["v1", "v1 with the code as a text", "v0.1"],
    )
    def test_reads_the_error_in_every_shape(self, error):
        report = report_of(status="rejected", error=error)
        assert (report.code, report.opted_out) == ("1240", True)

    @pytest.mark.parametrize(
        ("code", "detail", "status"),
        [
            (1360, "TTL was reached", Status.EXPIRED),
            (1130, "Invalid TTL", Status.REJECTED),
            (1300, "Not part of the provider network", Status.REJECTED),
        ],
    )
    def test_that_its_time_ran_out_is_read_from_the_sentence(self, code, detail, status):
        assert failed(code, detail=detail).status == status

    def test_that_comes_twice_has_one_key(self):
        assert report_of(timestamp="2035-03-07T17:11:00Z").dedupe_key == report_of().dedupe_key

    @pytest.mark.parametrize("changes", [{"message_uuid": "x"}, {"status": "read"}])
    def test_that_says_something_else_has_another_key(self, changes):
        assert report_of(**changes).dedupe_key != report_of().dedupe_key


TEXT_V1 = {
    "message_uuid": UUID,
    "to": "15005550001",
    "from": "15005550006",
    "timestamp": "2035-03-07T17:10:09.000Z",
    "channel": "sms",
    "message_type": "text",
    "text": "STOP please",
    "sms": {"num_messages": "1", "keyword": "STOP"},
    "usage": {"currency": "USD", "price": "0.0333"},
}
TEXT_V01 = {
    "message_uuid": UUID,
    "to": {"type": "sms", "number": "15005550001"},
    "from": {"type": "sms", "number": "15005550006"},
    "timestamp": "2035-03-07T17:10:09.000Z",
    "direction": "inbound",
    "message": {"content": {"type": "text", "text": "STOP please"}},
}


class TestAText:
    @pytest.mark.parametrize(
        ("fields", "keyword"), [(TEXT_V1, "STOP"), (TEXT_V01, "")], ids=["v1", "v0.1"]
    )
    def test_is_read(self, fields, keyword):
        assert VONAGE.read_callback(a_callback(fields)) == InboundMessage(
            provider_ref=UUID,
            from_e164=TO,
            to_value=FROM,
            text="STOP please",
            keyword=keyword,
            dedupe_key=UUID,
        )

    def test_with_a_picture_is_read(self):
        image = {"url": "https://media.example.com/1.jpg", "caption": "stop"}
        fields = {**TEXT_V1, "channel": "mms", "message_type": "image", "image": image}
        del fields["text"]
        found = VONAGE.read_callback(a_callback(fields))
        assert (found.text, found.media_urls) == ("stop", ("https://media.example.com/1.jpg",))

    @pytest.mark.parametrize("changes", [{"channel": "whatsapp"}, {"message_uuid": ""}])
    def test_of_another_kind_is_passed_over(self, changes):
        assert VONAGE.read_callback(a_callback({**TEXT_V1, **changes})) is None

    @pytest.mark.parametrize("body", [b"[]", b"no json", b'{"message_uuid":"x"}'])
    def test_that_is_none_cannot_be_read(self, body):
        with pytest.raises((ValueError, TypeError, LookupError)):
            VONAGE.read_callback(a_callback(body))


BODY = json.dumps(V1).encode()


def signed(body=BODY, scheme="Bearer", **changes):
    return a_callback(body, headers={"authorization": f"{scheme} {a_token(body, **changes)}"})


class TestWhoCalls:
    SECRET = {"signature_secret": JWT_SECRET}

    def test_is_known_by_the_token(self):
        assert VONAGE.is_genuine(signed(), an_access(**self.SECRET))

    def test_is_not_known_by_anothers(self):
        assert not VONAGE.is_genuine(signed(api_key="key2"), an_access(**self.SECRET))

    def test_is_not_known_without_one(self):
        assert not VONAGE.is_genuine(a_callback(BODY), an_access(**self.SECRET))

    @pytest.mark.parametrize(("secrets", "needs"), [({}, True), (SECRET, False)])
    def test_needs_a_key_in_the_address_where_nothing_is_signed(self, secrets, needs):
        assert VONAGE.needs_key(an_access(**secrets)) is needs

    def test_needs_nothing_else_where_nothing_is_signed(self):
        assert VONAGE.is_genuine(a_callback(BODY), ACCESS)

    def test_is_asked_to_come_again_where_it_was_not_signed(self):
        assert VONAGE.forged_status(a_callback(BODY)) == 503

    @pytest.mark.parametrize("token", ["x", "a.b.c", a_token(b"other")])
    def test_is_turned_away_where_it_was_signed_wrongly(self, token):
        callback = a_callback(BODY, headers={"Authorization": f"Bearer {token}"})
        assert not VONAGE.is_genuine(callback, an_access(**self.SECRET))
        assert VONAGE.forged_status(callback) == 403

    def test_has_the_id_of_its_token_remembered(self):
        assert VONAGE.replay_key(signed(jti="j-2")) == "j-2"

    @pytest.mark.parametrize("header", ["", "Bearer x", "Basic dTpw", "Bearer a.b.c"])
    def test_without_a_token_has_nothing_remembered(self, header):
        assert VONAGE.replay_key(a_callback(BODY, headers={"Authorization": header})) == ""
