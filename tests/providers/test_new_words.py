"""Words of reports that no adapter knows: kept as they came, and taken for no delivery."""

from __future__ import annotations

import json

import pytest

from providers.base import Callback, DeliveryReport, Status
from providers.registry import ADAPTERS, adapter

# A report of each provider, and a word of it that is known.
REPORTS = {
    "twilio": ({"MessageSid": "SM1", "MessageStatus": "?", "To": "+15005550006"}, "delivered"),
    "plivo": ({"MessageUUID": "u1", "Status": "?", "To": "15005550006"}, "delivered"),
    "sinch": (
        {
            "type": "recipient_delivery_report_sms",
            "batch_id": "01B",
            "recipient": "15005550006",
            "status": "?",
            "code": 0,
        },
        "Delivered",
    ),
    "simpletexting": ({"reportId": "r1", "type": "?", "values": {"messageId": "m1"}}, ""),
    "vonage_sms": ({"messageId": "0A", "msisdn": "15005550006", "status": "?"}, "delivered"),
    "vonage": ({"message_uuid": "m1", "to": "15005550006", "status": "?"}, "delivered"),
    "textback": ({"type": "status", "messageId": "m1", "status": "?"}, "DELIVERED"),
    "pineapple": ({"event": "message.status", "id": "m1", "status": "?"}, "delivered"),
}
WITHOUT_REPORTS = {"slooce", "textback_query", "generic"}  # as they are set up at first
IN_MAIL = {"smtp"}  # whose reports are no words, but codes (RFC 3463)
IN_FORMS = {"twilio", "plivo", "vonage_sms"}


def read(kind, word):
    fields = {name: word if value == "?" else value for name, value in REPORTS[kind][0].items()}
    is_form = kind in IN_FORMS
    callback = Callback(
        method="POST",
        url="https://sendonce.example/webhooks",
        headers={},
        query={"ref": "r1"},
        form=fields if is_form else {},
        body=b"" if is_form else json.dumps(fields).encode(),
    )
    return adapter(kind).read_callback(callback)


def test_every_provider_that_reports_is_asked():
    assert set(REPORTS) | WITHOUT_REPORTS | IN_MAIL == set(ADAPTERS)


@pytest.mark.parametrize("kind", REPORTS)
def test_a_new_word_says_no_more_than_that_it_was_taken(kind):
    word = "LEVITATING_REPORT" if kind == "simpletexting" else "levitating"
    report = read(kind, word)
    assert isinstance(report, DeliveryReport)
    assert (report.status, report.is_new_word) == (Status.ACCEPTED, True)
    assert report.provider_status == word


@pytest.mark.parametrize("kind", REPORTS)
def test_a_word_that_is_known_is_none(kind):
    word = REPORTS[kind][1] or "DELIVERY_REPORT"
    report = read(kind, word)
    assert (report.status, report.is_new_word) == (Status.DELIVERED, False)
