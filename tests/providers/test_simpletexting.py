"""The answer by 401 and the shape of their gateway's by 400 were seen in two probes of their
service. Other refusals are assumed: codes and sentences are invented, in the shape of the first.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from providers.base import (
    Accepted,
    Access,
    ErrorClass,
    Fault,
    HttpResponse,
    NotSent,
    Rejected,
    SendRequest,
    Unknown,
)
from tests.providers.simpletexting import ACCESS, FROM, ID, MESSAGES, NOON, ST, TO, a_refusal


def a_send(**changes):
    values = {
        "ref": "r1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi & bye",
        "segments": 1,
        "status_callback_url": "https://hooks.example.com/webhooks/simpletexting/1/k/status?ref=r1",
    }
    return SendRequest(**{**values, **changes})


def body_of(**changes):
    return ST.build_request([a_send(**changes)], ACCESS).json


class TestARequest:
    def test_is_whole(self):
        request = ST.build_request([a_send()], ACCESS)
        assert (request.method, request.url) == ("POST", MESSAGES)
        assert request.headers == {"Authorization": "Bearer st-1"}
        assert request.json == {
            "contactPhone": "5005550006",
            "accountPhone": "5005550001",
            "mode": "SINGLE_SMS_STRICTLY",
            "text": "hi & bye",
        }
        assert (request.auth, request.form, request.body) == (None, None, None)

    def test_goes_to_the_address_of_the_account(self):
        access = Access(
            kind="simpletexting", base_url="https://st.example.com/", secrets=ACCESS.secrets
        )
        url = ST.build_request([a_send()], access).url
        assert url == "https://st.example.com/v2/api/messages"

    @pytest.mark.parametrize("segments", [2, 3])
    def test_of_a_long_text_leaves_the_mode_to_them(self, segments):
        assert body_of(segments=segments)["mode"] == "AUTO"

    def test_from_a_short_code_keeps_it(self):
        assert body_of(from_value="55512")["accountPhone"] == "55512"

    @pytest.mark.parametrize("to", ["+4722334455", "+447700900123", "+150055500061"])
    def test_to_another_country_can_never_be_read_as_an_american_number(self, to):
        assert body_of(to_e164=to)["contactPhone"] == to

    def test_asks_for_no_validity_for_they_have_none(self):
        ends = {"not_after": NOON + timedelta(hours=1), "decided_at": NOON}
        assert body_of(**ends) == body_of()


def outcome_of(status, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status=status, headers={}, body=content)
    return ST.read_response([a_send()], response)["r1"]


SENDER = Fault.SENDER
RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT
NO_SUCH_TOKEN = a_refusal("Auth token is missing", "ERR_AUTH_TOKEN_MISSING")
GATEWAY = {"errorCode": "BAD_ROUTE", "timestamp": "2026-08-13T10:00:00Z", "message": "Illegal"}
NOT_THE_SENDERS = a_refusal("no", details=[{"field": "contactPhone", "message": "wrong"}])
THE_SENDERS = a_refusal("no", details=[{"field": "accountPhone", "message": "wrong"}])


class TestAnAnswer:
    def test_with_their_id_is_accepted(self):
        assert outcome_of(201, {"id": ID, "credits": 8499}) == Accepted(ID)

    @pytest.mark.parametrize("ref", ["", None, 7, ["x"]])
    def test_without_a_sound_id_is_unknown(self, ref):
        assert isinstance(outcome_of(201, {"id": ref}), Unknown)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (201, b""),
            (201, b"<html>"),
            (201, b"[]"),
            (201, {"credits": 1}),
            (400, b"<html>"),
            (400, b"[]"),
            (400, {"message": "Invalid phone number"}),
            (400, {"errorCode": 7, "message": "Invalid phone number"}),
            (403, b"<html>blocked by the firewall"),
            (404, {}),
        ],
    )
    def test_that_cannot_be_read_raises_which_is_unknown(self, status, body):
        with pytest.raises((ValueError, LookupError, TypeError)):
            outcome_of(status, body)

    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (401, NO_SUCH_TOKEN, NotSent("ERR_AUTH_TOKEN_MISSING", fault=Fault.ACCOUNT)),
            (401, b"", NotSent("401", fault=Fault.ACCOUNT)),
            (402, a_refusal("Payment required"), NotSent("ERR_X", fault=Fault.ACCOUNT)),
            (403, a_refusal("Phone is forbidden"), NotSent("ERR_X", fault=Fault.ACCOUNT)),
            (404, a_refusal("Not found"), NotSent("ERR_X", fault=Fault.ACCOUNT)),
            (404, a_refusal("", "NO_ACCOUNT_PHONE"), NotSent("NO_ACCOUNT_PHONE", fault=SENDER)),
            (400, THE_SENDERS, NotSent("ERR_X", fault=SENDER)),
            (400, NOT_THE_SENDERS, Rejected(RECIPIENT, "ERR_X")),
            (400, a_refusal("Not enough credits"), NotSent("ERR_X", fault=Fault.ACCOUNT)),
            (400, a_refusal("Account is blocked"), NotSent("ERR_X", fault=Fault.ACCOUNT)),
            (400, a_refusal("Text is blank"), Rejected(CONTENT, "ERR_X")),
            (400, a_refusal("Something is wrong"), Rejected(CONTENT, "ERR_X")),
            (400, GATEWAY, Rejected(CONTENT, "BAD_ROUTE")),
            (409, a_refusal("Contact is blocked"), Rejected(RECIPIENT, "ERR_X")),
            (422, a_refusal("Invalid phone number"), Rejected(RECIPIENT, "ERR_X")),
            (422, a_refusal("The text is too long"), Rejected(CONTENT, "ERR_X")),
        ],
    )
    def test_that_refuses_tells_whose_fault_it_was(self, status, body, outcome):
        assert outcome_of(status, body) == outcome

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("Contact is unsubscribed", "ERR_X"),
            ("", "ERR_CONTACT_UNSUBSCRIBED"),
            ("Contact 5005550006 opted out", "ERR_X"),
            ("The phone is opted-out", "ERR_X"),
        ],
    )
    def test_that_says_who_has_opted_out_opts_them_out_here(self, status, message, code):
        outcome = Rejected(RECIPIENT, code, opted_out=True)
        assert outcome_of(status, a_refusal(message, code)) == outcome

    def test_about_missing_instructions_opts_nobody_out(self):
        outcome = outcome_of(400, a_refusal("Text needs instructions how to unsubscribe"))
        assert outcome == Rejected(CONTENT, "ERR_X")

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (409, a_refusal("Conflict")),
            (422, a_refusal("Unprocessable")),
            (405, a_refusal("Method not allowed")),
            (410, a_refusal("Invalid phone number")),
            (400, a_refusal("Illegal phone", "UNKNOWN_ERR")),
            (400, a_refusal("Illegal phone", "INTERNAL_ERROR")),
        ],
    )
    def test_that_does_not_say_why_is_unknown(self, status, body):
        assert isinstance(outcome_of(status, body), Unknown)
