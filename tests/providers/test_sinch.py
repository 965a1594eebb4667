"""Bodies are from Sinch's developer pages ("Delivery reports", "Webhooks", "Batches") and from the
wire of its own package (sinch 2.3.0); the numbers in them are invented.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from providers.adapters.sinch import PARAMETER_CHARS, Sinch
from providers.base import (
    Accepted,
    Access,
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
    ref_in_batch,
)

NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)
TO, OTHER = "+15005550006", "+15005550007"
ACCESS = Access(kind="sinch", secrets={"service_plan_id": "plan-1", "api_token": "t0"})
SINCH = Sinch()
BATCH = "01FC66621XXXXX119Z8PMV1QPQ"


def a_send(to=TO, text="hi", **changes):
    values = {
        "ref": ref_in_batch("req1", to),
        "request_ref": "req1",
        "to_e164": to,
        "from_value": "+15005550001",
        "text": text,
        "segments": 1,
        "status_callback_url": "https://hooks.example.com/webhooks/sinch/1/status?ref=req1",
    }
    return SendRequest(**{**values, **changes})


def batch_of(*sends):
    return SINCH.build_request(sends, ACCESS).json


def texts_of(batch):
    """Each recipient's text as Sinch puts it together (its page "Parameterization")."""
    texts = {}
    for to in batch["to"]:
        text = batch["body"]
        for name, values in batch.get("parameters", {}).items():
            text = text.replace(f"${{{name}}}", values.get(to, values["default"]))
        texts[to] = text
    return texts


class TestARequest:
    def test_is_whole(self):
        request = SINCH.build_request([a_send()], ACCESS)
        assert request.method == "POST"
        assert request.url == "https://us.sms.api.sinch.com/xms/v1/plan-1/batches"
        assert request.headers == {"Authorization": "Bearer t0"}
        assert request.json == {
            "from": "15005550001",
            "to": ["15005550006"],
            "type": "mt_text",
            "body": "hi",
            "delivery_report": "per_recipient_final",
            "client_reference": "req1",
            "callback_url": "https://hooks.example.com/webhooks/sinch/1/status?ref=req1",
        }

    def test_goes_to_the_address_of_the_account(self):
        access = Access(
            kind="sinch", base_url="https://eu.sms.api.sinch.com/", secrets=ACCESS.secrets
        )
        url = SINCH.build_request([a_send()], access).url
        assert url == "https://eu.sms.api.sinch.com/xms/v1/plan-1/batches"

    def test_keeps_a_name_as_its_sender(self):
        assert batch_of(a_send(from_value="Acme"))["from"] == "Acme"

    def test_names_all_recipients(self):
        assert batch_of(a_send(), a_send(OTHER))["to"] == ["15005550006", "15005550007"]

    def test_has_one_text_where_all_have_the_same(self):
        batch = batch_of(a_send(), a_send(OTHER))
        assert batch["body"] == "hi"
        assert "parameters" not in batch

    @pytest.mark.parametrize(
        "text",
        [
            "Hi Ann",
            "a" * 160,
            "a" * 161,
            "word " * 300,
            " " * 400,
            "Pay ${a} now",
            "\N{GRINNING FACE}" * 100,
            "x" * 1_600,
            ("aa" + " a" * 19 + " ") * 38 + "\N{GRINNING FACE} Reply STOP to end",
        ],
        ids=[
            "short",
            "one piece",
            "two",
            "words",
            "spaces",
            "a mark of theirs",
            "faces",
            "longest",
            "many cuts",
        ],
    )
    def test_gives_each_its_own_text(self, text):
        batch = batch_of(a_send(text=text), a_send(OTHER, text="something else"))
        assert texts_of(batch) == {"15005550006": text, "15005550007": "something else"}

    @pytest.mark.parametrize("text", ["x" * 1_600, "\N{GRINNING FACE}" * 500])
    def test_has_no_parameter_longer_than_they_take(self, text):
        batch = batch_of(a_send(text=text), a_send(OTHER))
        values = [value for values in batch["parameters"].values() for value in values.values()]
        longest = max(len(value.encode("utf-16-le")) // 2 for value in values)
        assert longest == PARAMETER_CHARS

    def test_cuts_no_text_at_a_space(self):
        text = "a" * 159 + " " + "b" * 100
        batch = batch_of(a_send(text=text), a_send(OTHER))
        pieces = [values["15005550006"] for values in batch["parameters"].values()]
        assert pieces == ["a" * 158, "a " + "b" * 100]

    def test_does_not_take_a_mark_in_a_single_text_for_a_parameter(self):
        batch = batch_of(a_send(text="Pay ${a} now"))
        assert "Pay" not in batch["body"]

    def test_says_until_when_it_may_be_sent_on(self):
        ends = NOON + timedelta(hours=1)
        batch = batch_of(a_send(not_after=ends, decided_at=NOON))
        left = datetime.fromisoformat(batch["expire_at"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left < timedelta(minutes=60)

    def test_asks_for_three_days_at_most(self):
        batch = batch_of(a_send(not_after=NOON + timedelta(days=9), decided_at=NOON))
        left = datetime.fromisoformat(batch["expire_at"]) - datetime.now(UTC)
        assert left <= timedelta(days=3)


def outcomes_of(status, body, *sends):
    sends = sends or (a_send(),)
    response = HttpResponse(status=status, headers={}, body=json.dumps(body).encode())
    return [SINCH.read_response(sends, response)[send.ref] for send in sends]


def a_refusal(code, text):
    return {"code": code, "text": text}


class TestAnAnswer:
    TAKEN = {"id": BATCH, "to": ["15005550006", "15005550007"], "canceled": False}

    def test_of_a_batch_that_was_taken_is_accepted_for_each(self):
        assert outcomes_of(201, self.TAKEN, a_send(), a_send(OTHER)) == [Accepted(BATCH)] * 2

    def test_that_does_not_name_a_recipient_leaves_its_message_unknown(self):
        answer = {**self.TAKEN, "to": ["15005550006"]}
        taken, other = outcomes_of(201, answer, a_send(), a_send(OTHER))
        assert (taken, type(other)) == (Accepted(BATCH), Unknown)

    @pytest.mark.parametrize("changes", [{"id": ""}, {"id": None}, {"id": 7}, {"canceled": True}])
    def test_without_a_sound_id_is_unknown(self, changes):
        (outcome,) = outcomes_of(201, {**self.TAKEN, **changes})
        assert isinstance(outcome, Unknown)

    @pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 415])
    def test_that_refuses_the_account_sends_nothing(self, status):
        answer = a_refusal("unauthorized", "no")
        assert outcomes_of(status, answer) == [
            NotSent(f"{status} unauthorized", fault=Fault.ACCOUNT)
        ]

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"code": 7, "error": null}'])
    def test_that_knows_no_token_needs_no_body(self, body):
        response = HttpResponse(status=401, headers={}, body=body)
        send = a_send()
        outcome = SINCH.read_response([send], response)[send.ref]
        assert outcome == NotSent("401", fault=Fault.ACCOUNT)

    def test_that_refuses_the_sender_sends_nothing(self):
        answer = a_refusal("syntax_invalid_parameter_format", "Invalid 'from' address")
        outcome = NotSent("syntax_invalid_parameter_format", fault=Fault.SENDER)
        assert outcomes_of(400, answer, a_send(), a_send(OTHER)) == [outcome] * 2

    def test_that_refuses_several_sends_each_alone(self):
        answer = a_refusal("syntax_invalid_parameter_format", "Invalid 'to' address")
        outcome = NotSent("syntax_invalid_parameter_format", goes_alone=True)
        assert outcomes_of(400, answer, a_send(), a_send(OTHER)) == [outcome] * 2

    @pytest.mark.parametrize(
        ("sentence", "error_class"),
        [
            ("Invalid 'to' address", ErrorClass.PERMANENT_RECIPIENT),
            ("The msisdn is malformed", ErrorClass.PERMANENT_RECIPIENT),
            ("Body too long", ErrorClass.PERMANENT_CONTENT),
            ("'callback_url' needs to be an address", ErrorClass.PERMANENT_CONTENT),
        ],
    )
    def test_that_refuses_one_rejects_it(self, sentence, error_class):
        answer = a_refusal("syntax_constraint_violation", sentence)
        assert outcomes_of(400, answer) == [Rejected(error_class, "syntax_constraint_violation")]

    def test_in_their_other_shape_is_read_too(self):
        answer = {"error": {"code": 400, "message": "bad body", "status": "INVALID_ARGUMENT"}}
        assert outcomes_of(400, answer) == [
            Rejected(ErrorClass.PERMANENT_CONTENT, "INVALID_ARGUMENT")
        ]

    @pytest.mark.parametrize("status", [409, 410, 422])
    def test_that_is_in_no_table_is_unknown(self, status):
        (outcome,) = outcomes_of(status, a_refusal("odd", "odd"))
        assert isinstance(outcome, Unknown)


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


def a_look_up(**changes):
    values = {
        "ref": ref_in_batch("req1", TO),
        "request_ref": "req1",
        "to_e164": TO,
        "from_value": "+15005550001",
        "text": "hi",
        "intended_at": datetime(2026, 11, 30, 10, tzinfo=UTC),
    }
    return LookUp(**{**values, **changes})


def looked_up(body, status=200, **changes):
    response = HttpResponse(status=status, headers={}, body=json.dumps(body).encode())
    return SINCH.read_look_up(a_look_up(**changes), response)


class TestALookUp:
    LISTED = {"id": BATCH, "to": ["15005550006", "15005550007"], "client_reference": "req1"}

    def listing(self, *batches):
        return {"count": len(batches), "page": 0, "page_size": 30, "batches": list(batches)}

    def test_asks_for_the_batch_by_our_reference(self):
        request = SINCH.build_look_up(a_look_up(), ACCESS)
        assert request.method == "GET"
        assert request.headers == {"Authorization": "Bearer t0"}
        assert request.url == (
            "https://us.sms.api.sinch.com/xms/v1/plan-1/batches?client_reference=req1"
            "&start_date=2026-11-30T09%3A59%3A00.000Z"
        )

    def test_asks_for_the_recipient_where_the_batch_is_known(self):
        request = SINCH.build_look_up(a_look_up(provider_ref=BATCH), ACCESS)
        assert request.url == (
            f"https://us.sms.api.sinch.com/xms/v1/plan-1/batches/{BATCH}/delivery_report/15005550006"
        )

    def test_finds_the_batch_with_its_recipient(self):
        found = looked_up(self.listing(self.LISTED))
        assert isinstance(found, Found)
        assert (found.report.provider_ref, found.report.status) == (BATCH, Status.ACCEPTED)
        assert found.report.ref == a_look_up().ref

    @pytest.mark.parametrize(
        "changes",
        [{"to": ["15005550007"]}, {"client_reference": "req2"}, {"client_reference": None}],
    )
    def test_does_not_take_another_batch_for_it(self, changes):
        assert looked_up(self.listing({**self.LISTED, **changes})) == NotListed()

    def test_finds_nothing_where_there_is_nothing(self):
        assert looked_up(self.listing()) == NotListed()

    def test_reads_how_far_it_came(self):
        found = looked_up(REPORT, provider_ref=BATCH)
        assert found.report.status == Status.DELIVERED

    def test_of_a_batch_they_do_not_have_finds_nothing(self):
        answer = a_refusal("not_found", "there is no such batch")
        assert looked_up(answer, status=404, provider_ref=BATCH) == NotListed()

    @pytest.mark.parametrize("status", [401, 429, 500])
    def test_that_was_refused_is_no_answer(self, status):
        assert isinstance(looked_up({}, status=status), NoAnswer)
