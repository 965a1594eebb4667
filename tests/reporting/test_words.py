"""The oracle's own reading of providers' words and of people's."""

from __future__ import annotations

import pytest

from reporting.oracle.words import asked_by, end_of


@pytest.mark.parametrize(
    ("provider", "word", "code", "end"),
    [
        ("twilio", "queued", "", ""),
        ("twilio", "sent", "", ""),
        ("twilio", "delivered", "", "delivered"),
        ("twilio", "read", "", "delivered"),
        ("twilio", "partially_delivered", "", "delivered"),
        ("twilio", "undelivered", "30003", "undelivered"),
        ("twilio", "undelivered", "30004", "failed"),
        ("twilio", "undelivered", "30007", "failed"),
        ("twilio", "undelivered", "21610", "failed"),
        ("twilio", "failed", "30001", "failed"),
        ("twilio", "failed", "30036", "undelivered"),
        ("twilio", "canceled", "", "failed"),
        ("plivo", "queued", "000", ""),
        ("plivo", "sent", "000", ""),
        ("plivo", "delivered", "000", "delivered"),
        ("plivo", "read", "", "delivered"),
        ("plivo", "Delivered", "", "delivered"),
        ("plivo", "undelivered", "70", "undelivered"),
        ("plivo", "undelivered", "30", "failed"),
        ("plivo", "failed", "60", "failed"),
        ("plivo", "undelivered", "100", "failed"),
        ("plivo", "undelivered", "200", "failed"),
        ("plivo", "failed", "10", "failed"),
        ("plivo", "failed", "420", "undelivered"),
        ("plivo", "rejected", "", "failed"),
        ("nobody", "delivered", "", ""),
    ],
)
def test_what_a_report_means(provider, word, code, end):
    assert end_of(provider, word, code) == end


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        *((word, "stop") for word in ("STOP", "stopall", "Unsubscribe", " cancel ", "END")),
        *((word, "stop") for word in ("quit", "REVOKE", "OptOut", "STOP\n")),
        *((word, "join") for word in ("START", "join", "Unstop")),
        *((word, "help") for word in ("HELP", "info")),
        *((text, "other") for text in ("", "Stop it", "opt out", "YES", "\0\ud800")),
    ],
)
def test_what_a_text_asks(text, asks):
    assert asked_by(text) == asks
