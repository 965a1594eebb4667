from __future__ import annotations

import io
import json
import logging
import logging.config
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from config.logs import logging_configuration, scrub, scrub_event

PHONE = "+12125550100"
EMAIL = "ada.lovelace+jobs@mail.example.com"
SID = "SM12345678901234567890123456789012"
SENDER = UUID("12345678-1234-1234-1234-123456789012")


@pytest.fixture
def log():
    """A logger that writes as every process does; the second value reads the last line."""
    configuration = logging_configuration("INFO")
    handler = logging.StreamHandler(io.StringIO())
    configurator = logging.config.DictConfigurator(configuration)
    json_lines = configurator.configure_formatter(configuration["formatters"]["json"])
    handler.setFormatter(json_lines)
    logger = logging.Logger("delivery.pipeline")
    logger.addHandler(handler)
    return logger, lambda: json.loads(handler.stream.getvalue().splitlines()[-1])


class TestALine:
    def test_is_a_sentence_with_its_ids(self, log):
        logger, line = log
        extra = {"slot_id": 7, "message_id": 400_000_123_456, "sent": 200, "sender": SENDER}
        logger.info("batch sent", extra={**extra, "ref": "Zk3-x_9", "sid": SID, "share": 0.5})
        written = line()
        assert written.pop("timestamp")
        assert written == {
            "event": "batch sent",
            "level": "info",
            "logger": "delivery.pipeline",
            **extra,
            "sender": str(SENDER),
            "ref": "Zk3-x_9",
            "sid": SID,
            "share": 0.5,
        }

    def test_keeps_times(self, log):
        logger, line = log
        extra = {"at": datetime(2026, 11, 21, 5, tzinfo=UTC), "on": date(2026, 11, 21)}
        logger.info("slot closed at 2026-11-21 05:43:23.080811+00:00", extra=extra)
        assert line()["event"].endswith("2026-11-21 05:43:23.080811+00:00")
        assert (line()["at"], line()["on"]) == ("2026-11-21 05:00:00+00:00", "2026-11-21")

    @pytest.mark.parametrize("key", ["phone", "email", "to", "text", "body", "secret"])
    def test_hides_what_stands_under_an_unsafe_key(self, log, key):
        logger, line = log
        logger.handle(a_record(**{key: "Hi Ada"}))
        assert line()[key] == "[hidden]"
        assert "Ada" not in json.dumps(line())

    @pytest.mark.parametrize(
        "value",
        [
            f"to {PHONE} or {EMAIL}",
            [PHONE, EMAIL],
            (PHONE, EMAIL),
            {PHONE, EMAIL},
            {"at": {"inner": [PHONE], "other": EMAIL}},
            {PHONE: EMAIL},
            ValueError(f"{PHONE} {EMAIL}"),
            f"{PHONE} {EMAIL}".encode(),
        ],
        ids=["text", "list", "tuple", "set", "nested", "key", "exception", "bytes"],
    )
    def test_hides_numbers_and_addresses_wherever_they_stand(self, log, value):
        logger, line = log
        logger.info("tried", extra={"detail": value})
        assert_scrubbed(json.dumps(line()))

    def test_hides_an_unsafe_key_inside_another(self, log):
        logger, line = log
        logger.info("tried", extra={"detail": {"lead": {"text": "Hi Ada", "lead_id": 7}}})
        assert line()["detail"] == {"lead": {"text": "[hidden]", "lead_id": 7}}

    def test_hides_what_a_library_put_into_its_sentence(self, log):
        logger, line = log
        logger.warning("POST %s failed for %s", {"To": PHONE}, EMAIL)
        assert_scrubbed(json.dumps(line()))

    def test_hides_the_key_of_a_webhook(self, log):
        logger, line = log
        path = "/webhooks/simpletexting/7/Zk3-x_9Zk3-x_9Zk3-x_9Zk3-x_9Zk3-x_9Zk3-x_9a/inbound"
        logger.warning("%s: %s", "Service Unavailable", path, extra={"request": f"<POST {path}>"})
        assert line()["event"] == "Service Unavailable: /webhooks/simpletexting/7/[key]/inbound"
        assert line()["request"] == "<POST /webhooks/simpletexting/7/[key]/inbound>"

    def test_hides_it_in_exceptions_and_their_causes(self, log):
        logger, line = log
        try:
            try:
                raise KeyError(PHONE)
            except KeyError as error:
                raise ValueError(f"cannot send to {EMAIL}") from error
        except ValueError:
            logger.exception("step failed", extra={"message_id": 7})
        assert line()["message_id"] == 7
        assert "ValueError: cannot send to [e-mail]" in line()["exception"]
        assert_scrubbed(line()["exception"])

    def test_hides_it_in_a_stack(self, log):
        logger, line = log
        logger.handle(a_record(stack_info=f"Stack\n  send({PHONE!r}, {EMAIL!r})"))
        assert_scrubbed(json.dumps(line()))


@pytest.mark.parametrize(
    "written",
    [
        "+12125550100",
        "12125550100",
        "2125550100",
        "(212) 555-0100",
        "212-555-0100",
        "212.555.0100",
        "+1 (212) 555 - 0100",
        "+1 212 555 0100",
        "tel:+12125550100",
        "To=%2B12125550100&Body",
        "phone2125550100end",
        "+442079460123",
        "+4712345678",
    ],
)
def test_a_phone_number_is_known_however_it_is_written(written):
    assert "[number]" in scrub(written)
    assert not [
        digits for digits in ("5550100", "555-0100", "0123", "5678") if digits in scrub(written)
    ]


@pytest.mark.parametrize("written", [EMAIL, EMAIL.upper(), f"<{EMAIL}>", "ada%40example.com"])
def test_an_address_is_known_however_it_is_written(written):
    assert "[e-mail]" in scrub(written)
    assert "example" not in scrub(written).lower()


@pytest.mark.parametrize(
    "written",
    [
        "400,000 messages in 57.25 s, 905 bytes each",
        "message 123456789",
        str(SENDER),
        SID,
        "on 2026-11-21",
        "2026-11-21T05:43:23.080811Z",
        "127.0.0.1:54329",
        "error 30007 from 40004",
    ],
)
def test_what_is_no_number_of_a_person_stays(written):
    assert scrub(written) == written


def test_an_event_for_sentry_is_scrubbed_too():
    event = {
        "event_id": "1234567890abcdef1234567890abcdef",
        "exception": {"values": [{"type": "ValueError", "value": f"{PHONE} {EMAIL}"}]},
        "logentry": {"message": "to %s", "params": [PHONE], "formatted": f"to {PHONE}"},
        "breadcrumbs": {"values": [{"message": f"sent to {PHONE}", "data": {"text": "Hi Ada"}}]},
        "extra": {"detail": [EMAIL], "body": "Hi Ada", "message_id": 7},
        "request": {"data": {"text": "Hi Ada"}, "cookies": "session"},
        "user": {"email": EMAIL},
    }
    scrubbed = scrub_event(event, {})
    assert_scrubbed(json.dumps(scrubbed))
    assert "Ada" not in json.dumps(scrubbed)
    assert scrubbed["event_id"] == "1234567890abcdef1234567890abcdef"
    assert scrubbed["extra"]["message_id"] == 7
    assert "request" not in scrubbed


def a_record(**fields):
    """A record with fields that `extra` would refuse, since they are the record's own too."""
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "tried", (), None)
    vars(record).update(fields)
    return record


def assert_scrubbed(text):
    assert "5550100" not in text
    assert "example.com" not in text
