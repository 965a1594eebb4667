"""Requests are those of Vonage's own package (vonage-messages 1.8.1), errors and callbacks from its
pages "Messages API", v1 and v0.1, and "Signed webhooks"; the numbers in them are invented.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from providers.adapters.vonage_messages import VonageMessages
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
from tests.providers.vonage import JWT_SECRET, SMS_SECRETS

NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)
TO, FROM = "+15005550006", "+15005550001"
ACCESS = Access(kind="vonage", secrets=SMS_SECRETS)
VONAGE = VonageMessages()
URL = "https://hooks.example.com/webhooks/vonage/1/status"
UUID = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
TYPE = "https://developer.vonage.com/api-errors/messages"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


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


def message_of(**changes):
    return VONAGE.build_request([a_send(**changes)], ACCESS).json


def an_access(**secrets):
    return Access(kind="vonage", secrets={**SMS_SECRETS, **secrets})


class TestARequest:
    def test_is_whole(self):
        request = VONAGE.build_request([a_send()], ACCESS)
        assert request.method == "POST"
        assert request.url == "https://api.nexmo.com/v1/messages"
        assert request.auth == ("key1", "secret1")
        assert request.headers == {}
        assert request.json == {
            "message_type": "text",
            "channel": "sms",
            "from": "15005550001",
            "to": "15005550006",
            "text": "hi",
            "client_ref": "ref1",
            "webhook_url": f"{URL}?ref=ref1",
            "webhook_version": "v1",
        }

    def test_goes_to_the_address_of_the_account(self):
        access = Access(kind="vonage", base_url="https://api-us.nexmo.com/", secrets=SMS_SECRETS)
        url = VONAGE.build_request([a_send()], access).url
        assert url == "https://api-us.nexmo.com/v1/messages"

    def test_names_no_address_where_there_is_none(self):
        assert not {"webhook_url", "webhook_version"} & message_of(status_callback_url="").keys()

    def test_says_how_long_they_may_keep_it(self):
        assert message_of(not_after=NOON + timedelta(hours=1), decided_at=NOON)["ttl"] == 3_583

    def test_is_none_where_they_would_keep_it_past_its_time(self):
        with pytest.raises(EndsTooSoon):
            message_of(not_after=NOON + timedelta(seconds=36), decided_at=NOON)


class TestAnApplication:
    def token_of(self, pem, **secrets):
        access = an_access(application_id="app1", private_key=pem, **secrets)
        request = VONAGE.build_request([a_send()], access)
        assert request.auth is None
        return request.headers["Authorization"]

    def test_asks_by_a_token_that_its_key_signed(self, key, pem):
        scheme, _, token = self.token_of(pem).partition(" ")
        claims = jwt.decode(token, key.public_key(), algorithms=["RS256"])
        assert (scheme, claims["application_id"]) == ("Bearer", "app1")
        assert claims["jti"]
        assert -1 < time.time() - claims["iat"] < 601
        assert claims["exp"] - claims["iat"] == 900

    def test_asks_by_the_same_token_again(self, pem):
        assert self.token_of(pem) == self.token_of(pem)

    @pytest.mark.parametrize("mark", ["", " "], ids=["taken away", "made spaces"])
    def test_may_have_its_key_in_one_line(self, key, pem, mark):
        token = self.token_of(pem.replace("\n", mark)).removeprefix("Bearer ")
        assert jwt.decode(token, key.public_key(), algorithms=["RS256"])

    def test_with_a_key_that_is_none_sends_nothing(self):
        with pytest.raises(ValueError):
            self.token_of("no key")


class TestTheCredentials:
    def problems(self, **secrets):
        return set(VONAGE.problems(an_access(**secrets)))

    def test_are_good_without_an_application_and_a_secret(self):
        assert self.problems() == set()

    def test_are_good_with_both(self, pem):
        one_line = pem.replace("\n", "")
        secrets = {"application_id": "app1", "signature_secret": JWT_SECRET}
        assert self.problems(private_key=one_line, **secrets) == set()

    def test_have_a_secret_that_is_long_enough(self):
        assert self.problems(signature_secret="s" * 31) == {"signature_secret"}
        assert self.problems(signature_secret="s" * 32) == set()

    def test_have_the_key_and_the_application_together(self, pem):
        assert self.problems(private_key=pem) == {"application_id"}
        assert self.problems(application_id="app1") == {"private_key"}

    @pytest.mark.parametrize(
        "key",
        ["no key", "-----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----"],
        ids=["no PEM", "PEM of nothing"],
    )
    def test_have_a_key_that_can_be_read(self, key):
        assert self.problems(application_id="app1", private_key=key) == {"private_key"}


def outcome_of(status, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers={}, body=content)
    return VONAGE.read_response([a_send()], response)["ref1"]


def problem(code=None, detail="no", title="Refused"):
    kind = f"{TYPE}#{code}" if code else TYPE
    return {"type": kind, "title": title, "detail": detail, "instance": "bf0ca0bf"}


class TestAnAnswer:
    def test_of_a_message_that_was_taken_is_accepted(self):
        assert outcome_of(202, {"message_uuid": UUID, "workflow_id": "w"}) == Accepted(UUID)

    @pytest.mark.parametrize("ref", ["", None, 7])
    def test_without_a_sound_id_is_unknown(self, ref):
        assert isinstance(outcome_of(202, {"message_uuid": ref}), Unknown)

    @pytest.mark.parametrize("status", [202, 422])
    @pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
    def test_that_cannot_be_read_is_no_outcome_here(self, status, body):
        """The transport makes Unknown of what an adapter chokes on."""
        with pytest.raises((LookupError, ValueError, TypeError, AttributeError)):
            outcome_of(status, body)

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            (1000, NotSent("1000", throttled=True)),
            (1020, Rejected(ErrorClass.PERMANENT_CONTENT, "1020")),
            (1030, Unknown("1030")),
            (1040, Rejected(ErrorClass.PERMANENT_CONTENT, "1040")),
            (1050, Rejected(ErrorClass.PERMANENT_RECIPIENT, "1050")),
            (1060, NotSent("1060", fault=Fault.ACCOUNT)),
            (1070, NotSent("1070", fault=Fault.ACCOUNT)),
            (1090, Rejected(ErrorClass.PERMANENT_CONTENT, "1090")),
            (1120, NotSent("1120", fault=Fault.SENDER)),
            (1130, Rejected(ErrorClass.PERMANENT_CONTENT, "1130")),
            (1160, NotSent("1160", fault=Fault.ACCOUNT)),
            (1170, Rejected(ErrorClass.PERMANENT_RECIPIENT, "1170")),
            (1180, Unknown("1180")),
            (1190, Rejected(ErrorClass.PERMANENT_RECIPIENT, "1190")),
            (1210, Rejected(ErrorClass.PERMANENT_CONTENT, "1210", carrier_blocked=True)),
            (1240, Rejected(ErrorClass.PERMANENT_RECIPIENT, "1240", opted_out=True)),
            (1250, Rejected(ErrorClass.PERMANENT_RECIPIENT, "1250")),
            (1270, Rejected(ErrorClass.PERMANENT_RECIPIENT, "1270", carrier_blocked=True)),
            (1280, Rejected(ErrorClass.PERMANENT_CONTENT, "1280", carrier_blocked=True)),
            (9999, Rejected(ErrorClass.PERMANENT_CONTENT, "9999")),
        ],
    )
    @pytest.mark.parametrize("shape", ["type", "title", "v0.1"])
    def test_that_refuses_is_read_by_its_code(self, shape, code, outcome):
        body = {
            "type": problem(code),
            "title": {**problem(), "title": code},
            "v0.1": {"code": code, "reason": "no"},
        }
        assert outcome_of(422, body[shape]) == outcome

    @pytest.mark.parametrize(
        ("detail", "outcome"),
        [
            ("The `from` parameter is invalid.", NotSent("422", fault=Fault.SENDER)),
            ("The `to` parameter is invalid.", Rejected(ErrorClass.PERMANENT_RECIPIENT, "422")),
            ("We failed to read the text", Rejected(ErrorClass.PERMANENT_CONTENT, "422")),
        ],
    )
    def test_that_names_a_field_says_whose_fault_it_is(self, detail, outcome):
        assert outcome_of(422, problem(detail=detail)) == outcome

    @pytest.mark.parametrize("status", [402, 403, 404])
    def test_that_refuses_the_account_sends_nothing(self, status):
        assert outcome_of(status, problem()) == NotSent(str(status), fault=Fault.ACCOUNT)

    @pytest.mark.parametrize("body", [problem(), b"<html>"])
    def test_of_wrong_credentials_sends_nothing(self, body):
        assert outcome_of(401, body) == NotSent("401", fault=Fault.ACCOUNT)

    def test_that_forbids_one_content_leaves_the_account(self):
        rejected = Rejected(ErrorClass.PERMANENT_CONTENT, "1210", carrier_blocked=True)
        assert outcome_of(403, problem(1210)) == rejected

    @pytest.mark.parametrize(
        ("status", "body"), [(405, problem()), (409, problem()), (422, {}), (400, {"a": 1})]
    )
    def test_that_is_in_no_table_is_unknown(self, status, body):
        assert outcome_of(status, body) == Unknown(str(status))


def a_look_up(**changes):
    values = {
        "ref": "ref1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi",
        "intended_at": datetime(2026, 11, 30, 10, tzinfo=UTC),
    }
    return LookUp(**{**values, **changes})


RECORD = {
    "message_id": UUID,
    "client_ref": "ref1",
    "to": "15005550006",
    "status": "rejected",
    "error_code": "1240",
    "error_code_description": "Illegal number",
    "date_finalized": "2026-11-30T10:00:03+0000",
}


def looked_up(*records, status=200, **changes):
    body = json.dumps({"request_status": "SUCCESS", "records": list(records)}).encode()
    response = HttpResponse(status=status, headers={}, body=body)
    return VONAGE.read_look_up(a_look_up(**changes), response)


class TestALookUp:
    def test_asks_for_messages_with_name_and_password(self, pem):
        access = an_access(application_id="app1", private_key=pem)
        request = VONAGE.build_look_up(a_look_up(provider_ref=UUID), access)
        assert (request.auth, request.headers) == (("key1", "secret1"), {})
        assert request.url == (
            "https://api.nexmo.com/v2/reports/records?account_id=key1&product=MESSAGES"
            f"&direction=outbound&id={UUID}"
        )

    def test_finds_the_message_with_our_reference(self):
        found = looked_up({**RECORD, "client_ref": "ref2"}, RECORD)
        assert isinstance(found, Found)
        report = found.report
        assert (report.ref, report.provider_ref, report.status) == ("ref1", UUID, Status.REJECTED)
        assert (report.code, report.opted_out) == ("1240", True)

    def test_of_a_record_that_was_delivered_tells_no_code(self):
        record = {**RECORD, "status": "delivered", "error_code": "0"}
        assert (looked_up(record).report.status, looked_up(record).report.code) == (
            Status.DELIVERED,
            "",
        )

    def test_finds_nothing_where_there_is_nothing(self):
        assert looked_up() == NotListed()

    @pytest.mark.parametrize("status", [401, 422, 429, 500])
    def test_that_was_refused_is_no_answer(self, status):
        assert isinstance(looked_up(status=status), NoAnswer)
