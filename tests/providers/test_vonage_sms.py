"""Answers, receipts and texts are from Vonage's definition of the SMS API (`sms.yml`, 2021), the
records from that of the Reports API; the numbers in them are invented.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from providers.adapters.vonage_sms import VonageSms
from providers.base import (
    Accepted,
    Access,
    Callback,
    EndsTooSoon,
    ErrorClass,
    Fault,
    Found,
    HttpResponse,
    InboundMessage,
    LookUp,
    NoAnswer,
    NotListed,
    NotSent,
    Part,
    Rejected,
    SendRequest,
    Status,
    Unknown,
)
from tests.providers.vonage import SMS_SECRETS, signed_fields

NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)
TO, FROM = "+15005550006", "+15005550001"
ACCESS = Access(kind="vonage_sms", secrets=SMS_SECRETS)
VONAGE = VonageSms()
URL = "https://hooks.example.com/webhooks/vonage_sms/1/status"
LONG = f"https://{'h' * 42}.example.com/webhooks/vonage_sms/1"


def a_send(**changes):
    values = {
        "ref": "ref1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi",
        "segments": 1,
        "status_callback_url": f"{URL}?ref=ref1",
    }
    return SendRequest(**{**values, **changes})


def form_of(**changes):
    return VONAGE.build_request([a_send(**changes)], ACCESS).form


class TestARequest:
    def test_is_whole(self):
        request = VONAGE.build_request([a_send()], ACCESS)
        assert request.method == "POST"
        assert request.url == "https://rest.nexmo.com/sms/json"
        assert request.auth == ("key1", "secret1")
        assert request.headers == {}
        assert request.form == {
            "from": "15005550001",
            "to": "15005550006",
            "text": "hi",
            "client-ref": "ref1",
            "callback": f"{URL}?ref=ref1",
        }

    def test_goes_to_the_address_of_the_account(self):
        access = Access(kind="vonage_sms", base_url="http://127.0.0.1:1/", secrets=SMS_SECRETS)
        assert VONAGE.build_request([a_send()], access).url == "http://127.0.0.1:1/sms/json"

    def test_keeps_a_name_as_its_sender(self):
        assert form_of(from_value="Acme")["from"] == "Acme"

    @pytest.mark.parametrize(("text", "kind"), [("héé {€}", None), ("it\u2019s", "unicode")])
    def test_says_where_the_text_leaves_the_small_alphabet(self, text, kind):
        assert form_of(text=text).get("type") == kind

    @pytest.mark.parametrize(
        ("url", "callback"),
        [
            (f"{LONG}/status?ref=ref1", f"{LONG}/status?ref=ref1"),
            (f"{LONG}/status?ref=ref12", f"{LONG}/status"),
            (f"{LONG}/{'k' * 43}/status?ref=ref1", None),
            ("", None),
        ],
        ids=["fits", "fits without its query", "is too long", "is none"],
    )
    def test_names_as_much_of_the_receipt_address_as_they_take(self, url, callback):
        assert form_of(status_callback_url=url).get("callback") == callback

    def test_says_in_milliseconds_how_long_they_may_keep_it(self):
        ends = NOON + timedelta(hours=1)
        assert form_of(not_after=ends, decided_at=NOON)["ttl"] == str((3_600 - 17) * 1_000)

    def test_asks_for_seven_days_at_most(self):
        assert form_of(not_after=NOON + timedelta(days=9), decided_at=NOON)["ttl"] == "604800000"

    def test_is_none_where_they_would_keep_it_past_its_time(self):
        assert form_of(not_after=NOON + timedelta(seconds=37), decided_at=NOON)["ttl"] == "20000"
        with pytest.raises(EndsTooSoon):
            form_of(not_after=NOON + timedelta(seconds=36), decided_at=NOON)


def outcome_of(body, status=200, **changes):
    send = a_send(**changes)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers={}, body=content)
    return VONAGE.read_response([send], response)["ref1"]


def a_part(n=1, **changes):
    taken = {
        "to": "15005550006",
        "message-id": f"0A0{n}",
        "status": "0",
        "remaining-balance": "3.14",
        "message-price": "0.03",
        "network": "12345",
        "client-ref": "ref1",
    }
    return {**taken, **changes}


def parts(*found):
    return {"message-count": str(len(found)), "messages": list(found)}


def refused(status, text="no"):
    return parts({"status": status, "error-text": text})


class TestAnAnswer:
    def test_of_one_part_is_accepted(self):
        assert outcome_of(parts(a_part())) == Accepted("0A01", segments=1)

    def test_of_several_parts_has_all_their_ids(self):
        taken = Accepted("0A01", segments=3, part_refs=("0A02", "0A03"))
        assert outcome_of(parts(a_part(1), a_part(2), a_part(3))) == taken

    def test_of_which_any_part_was_taken_is_accepted(self):
        answer = parts({"status": "1", "error-text": "Throttled"}, a_part(2))
        assert outcome_of(answer) == Accepted("0A02", segments=2)

    @pytest.mark.parametrize(
        "changes",
        [
            {"message-id": ""},
            {"message-id": None},
            {"message-id": 7},
            {"to": "15005550007"},
            {"client-ref": "ref2"},
        ],
    )
    def test_that_cannot_be_trusted_is_unknown(self, changes):
        assert isinstance(outcome_of(parts(a_part(**changes))), Unknown)

    @pytest.mark.parametrize("other", ["5", "77", 0])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_of_which_any_part_may_have_been_taken_is_unknown(self, other, is_first):
        refused, doubted = {"status": "1", "error-text": "Throttled"}, {"status": other}
        answer = parts(doubted, refused) if is_first else parts(refused, doubted)
        assert outcome_of(answer) == Unknown(f"status {other}")

    @pytest.mark.parametrize("body", [parts(), {}, [], {"messages": [{}]}, b"<html>"])
    def test_that_cannot_be_read_is_no_outcome_here(self, body):
        """The transport makes Unknown of what an adapter chokes on."""
        with pytest.raises((LookupError, ValueError, TypeError)):
            outcome_of(body)

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            ("2", Rejected(ErrorClass.PERMANENT_CONTENT, "status 2")),
            ("3", Rejected(ErrorClass.PERMANENT_CONTENT, "status 3")),
            ("12", Rejected(ErrorClass.PERMANENT_CONTENT, "status 12")),
            ("6", Rejected(ErrorClass.PERMANENT_RECIPIENT, "status 6")),
            ("7", Rejected(ErrorClass.PERMANENT_RECIPIENT, "status 7", carrier_blocked=True)),
            ("33", Rejected(ErrorClass.PERMANENT_RECIPIENT, "status 33")),
            *(
                (status, NotSent(f"status {status}", fault=Fault.ACCOUNT))
                for status in ("4", "8", "9", "11", "14", "22", "23", "29", "32")
            ),
            ("15", NotSent("status 15", fault=Fault.SENDER)),
            ("1", NotSent("status 1", throttled=True)),
            ("10", NotSent("status 10", throttled=True)),
            ("5", Unknown("status 5")),
            ("77", Unknown("status 77")),
        ],
    )
    def test_that_refuses_is_read_by_its_number(self, status, outcome):
        assert outcome_of(refused(status)) == outcome

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("Throughput Rate Exceeded - please wait [ 250 ] and retry", 0.25),
            ("Throughput Rate Exceeded - please wait [3000] and retry", 3.0),
            ("Throughput Rate Exceeded", None),
        ],
    )
    def test_that_asks_to_wait_says_how_long(self, text, seconds):
        assert outcome_of(refused("1", text)).retry_after == seconds

    @pytest.mark.parametrize(
        ("text", "outcome"),
        [
            ("Missing to param", Rejected(ErrorClass.PERMANENT_RECIPIENT, "status 2")),
            ("Missing from param", NotSent("status 2", fault=Fault.SENDER)),
            ("Missing text param", Rejected(ErrorClass.PERMANENT_CONTENT, "status 2")),
        ],
    )
    def test_that_names_a_field_says_whose_fault_it_is(self, text, outcome):
        assert outcome_of(refused("2", text)) == outcome

    @pytest.mark.parametrize("status", [401, 402, 403, 404])
    def test_of_the_edge_that_refuses_the_account_sends_nothing(self, status):
        assert outcome_of(b"<html>", status) == NotSent(str(status), fault=Fault.ACCOUNT)

    @pytest.mark.parametrize("status", [400, 405, 409, 422])
    def test_of_the_edge_that_is_in_no_table_is_unknown(self, status):
        assert outcome_of(refused("2"), status) == Unknown(str(status))


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


class TestTheCredentials:
    @pytest.mark.parametrize("method", ["", "md5hash", "md5", "sha1", "sha256", "sha512"])
    def test_name_one_of_the_methods_or_none(self, method):
        assert VONAGE.problems(an_access(signature_method=method)) == {}

    @pytest.mark.parametrize("method", ["SHA256", "sha-256", "hmac", "sha3_256"])
    def test_name_no_other(self, method):
        found = VONAGE.problems(an_access(signature_method=method))
        assert found == {
            "signature_method": "One of md5hash, md5, sha1, sha256, sha512, or nothing."
        }


def a_look_up(**changes):
    values = {
        "ref": "ref1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi",
        "intended_at": datetime(2026, 11, 30, 10, tzinfo=UTC),
    }
    return LookUp(**{**values, **changes})


def a_record(n=1, **changes):
    record = {
        "account_id": "key1",
        "message_id": f"0A0{n}",
        "client_ref": "ref1",
        "direction": "outbound",
        "from": "15005550001",
        "to": "15005550006",
        "date_received": "2026-11-30T10:00:01+0000",
        "date_finalized": "2026-11-30T10:00:03+0000",
        "status": "delivered",
        "error_code": "0",
        "error_code_description": "Delivered",
    }
    return {**record, **changes}


def looked_up(*records, status=200, **changes):
    body = {"request_status": "SUCCESS", "items_count": len(records), "records": list(records)}
    response = HttpResponse(status=status, headers={}, body=json.dumps(body).encode())
    return VONAGE.read_look_up(a_look_up(**changes), response)


class TestALookUp:
    def test_asks_for_the_time_of_the_send_and_the_recipient(self):
        request = VONAGE.build_look_up(a_look_up(), ACCESS)
        assert (request.method, request.auth) == ("GET", ("key1", "secret1"))
        assert request.url == (
            "https://api.nexmo.com/v2/reports/records?account_id=key1&product=SMS"
            "&direction=outbound&date_start=2026-11-30T09%3A59%3A00Z"
            "&date_end=2026-11-30T10%3A01%3A17Z&to=15005550006"
        )

    def test_asks_for_the_id_where_it_is_known(self):
        request = VONAGE.build_look_up(a_look_up(provider_ref="0A01"), ACCESS)
        assert request.url == (
            "https://api.nexmo.com/v2/reports/records?account_id=key1&product=SMS"
            "&direction=outbound&id=0A01"
        )

    def test_goes_to_the_address_of_the_account(self):
        access = Access(kind="vonage_sms", base_url="http://127.0.0.1:1/", secrets=SMS_SECRETS)
        url = VONAGE.build_look_up(a_look_up(), access).url
        assert url.startswith("http://127.0.0.1:1/v2/reports/records?")

    def test_finds_the_message_with_our_reference(self):
        found = looked_up(a_record(2, client_ref="ref2"), a_record())
        assert isinstance(found, Found)
        report = found.report
        assert (report.ref, report.provider_ref, report.status) == (
            "ref1",
            "0A01",
            Status.DELIVERED,
        )
        assert report.is_of_a_part
        assert report.occurred_at == datetime(2026, 11, 30, 10, 0, 3, tzinfo=UTC)

    def test_finds_a_part_by_its_id(self):
        found = looked_up(a_record(client_ref=None), provider_ref="0A01")
        assert found.report.provider_ref == "0A01"

    @pytest.mark.parametrize(
        ("words", "part"),
        [
            (("delivered", "failed", "accepted"), "0A02"),
            (("delivered", "buffered", "delivered"), "0A02"),
            (("accepted", "expired", "delivered"), "0A02"),
        ],
    )
    def test_of_several_parts_tells_of_the_worst(self, words, part):
        records = [a_record(n, status=word) for n, word in enumerate(words, start=1)]
        assert looked_up(*records).report.provider_ref == part

    @pytest.mark.parametrize("changes", [{"client_ref": "ref2"}, {"client_ref": None}])
    def test_does_not_take_another_message_for_it(self, changes):
        assert looked_up(a_record(**changes)) == NotListed()

    def test_without_a_reference_takes_none_for_it(self):
        assert looked_up(a_record(client_ref=""), ref="") == NotListed()

    def test_finds_nothing_where_there_is_nothing(self):
        assert looked_up() == NotListed()
        assert looked_up(provider_ref="0A01") == NotListed()

    @pytest.mark.parametrize("status", [401, 403, 404, 422, 429, 500])
    def test_that_was_refused_is_no_answer(self, status):
        assert isinstance(looked_up(a_record(), status=status), NoAnswer)
