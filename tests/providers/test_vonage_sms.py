"""Answers, receipts and texts are from Vonage's definition of the SMS API (`sms.yml`, 2021), the
records from that of the Reports API; the numbers in them are invented.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from providers.adapters.vonage_sms import VonageSms
from providers.base import (
    Accepted,
    Access,
    EndsTooSoon,
    ErrorClass,
    Fault,
    Found,
    HttpResponse,
    LookUp,
    NoAnswer,
    NotListed,
    NotSent,
    Rejected,
    SendRequest,
    Status,
    Unknown,
)
from tests.providers.vonage import SMS_SECRETS

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


def an_access(**secrets):
    return Access(kind="vonage_sms", secrets={**SMS_SECRETS, **secrets})


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
