"""Bodies are from SimpleTexting's own OpenAPI description ("Webhook Reports"), with our numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from providers.base import Callback, DeliveryReport, InboundMessage, Status
from tests.providers.simpletexting import ACCESS, FROM, ID, REPORT_ID, ST, TO


def a_callback(fields, *, method="POST"):
    return Callback(
        method=method,
        url="https://hooks.example.com/webhooks/simpletexting/1/k/inbound",
        headers={},
        query={},
        form={},
        body=fields if isinstance(fields, bytes) else json.dumps(fields).encode(),
    )


def read(kind, values, **changes):
    fields = {"reportId": REPORT_ID, "webhookId": "w1", "type": kind, "values": values, **changes}
    return ST.read_callback(a_callback(fields))


DELIVERED = {
    "messageId": ID,
    "category": "SMS",
    "referenceType": "API",
    "accountPhone": "5005550001",
    "contactPhone": "5005550006",
    "carrier": "Verizon",
}
MESSAGE = {
    "messageId": ID,
    "subject": "",
    "mediaItems": [],
    "text": "hi & bye",
    "accountPhone": "5005550001",
    "contactPhone": "5005550006",
    "timestamp": "2020-04-28T23:20:08.489Z",
    "category": "SMS",
    "referenceType": "API",
}


class TestAReport:
    def test_is_known_by_their_id_alone(self):
        assert read("DELIVERY_REPORT", DELIVERED) == DeliveryReport(
            ref="",
            provider_ref=ID,
            status=Status.DELIVERED,
            provider_status="DELIVERY_REPORT",
            recipient_e164=TO,
            dedupe_key=REPORT_ID,
        )

    def test_tells_beforehand_that_its_reports_carry_nothing_of_ours(self):
        assert ST.names_our_ref is False

    def test_that_it_was_not_delivered_has_no_reason(self):
        report = read("NON_DELIVERED_REPORT", DELIVERED)
        assert (report.status, report.code, report.error_class) == (Status.UNDELIVERED, "", None)

    def test_that_it_went_out_has_the_time(self):
        report = read("OUTGOING_MESSAGE", MESSAGE)
        at = datetime(2020, 4, 28, 23, 20, 8, 489_000, tzinfo=UTC)
        assert (report.status, report.provider_ref, report.occurred_at) == (Status.SENT, ID, at)

    @pytest.mark.parametrize("timestamp", [None, "", "noon", 7])
    def test_without_a_readable_time_is_read_all_the_same(self, timestamp):
        report = read("OUTGOING_MESSAGE", {**MESSAGE, "timestamp": timestamp})
        assert (report.status, report.occurred_at) == (Status.SENT, None)

    def test_has_a_time_in_utc_where_it_names_no_zone(self):
        report = read("OUTGOING_MESSAGE", {**MESSAGE, "timestamp": "2020-04-28T23:20:08"})
        assert report.occurred_at == datetime(2020, 4, 28, 23, 20, 8, tzinfo=UTC)

    def test_of_a_kind_new_to_us_says_that_it_was_taken(self):
        report = read("READ_REPORT", DELIVERED)
        assert (report.status, report.provider_status) == (Status.ACCEPTED, "READ_REPORT")

    @pytest.mark.parametrize("kind", ["DELIVERY_REPORT", "NON_DELIVERED_REPORT"])
    def test_without_an_id_of_its_own_has_a_key_all_the_same(self, kind):
        assert read(kind, DELIVERED, reportId=None).dedupe_key == f"{ID}:{kind}"

    @pytest.mark.parametrize("values", [{}, {"messageId": ""}, None, ["x"], "x"])
    def test_without_what_it_must_have_cannot_be_read(self, values):
        with pytest.raises((LookupError, TypeError)):
            read("DELIVERY_REPORT", values)

    @pytest.mark.parametrize("kind", ["OPENING_A_CONVERSATION", "LINK_REPORT", "", None])
    def test_of_a_kind_that_we_do_not_use_is_passed_over(self, kind):
        assert read(kind, {"contactPhone": "5005550006"}) is None


class TestAText:
    def test_is_read(self):
        assert read("INCOMING_MESSAGE", {**MESSAGE, "text": "STOP"}) == InboundMessage(
            provider_ref=ID,
            from_e164=TO,
            to_value=FROM,
            text="STOP",
            dedupe_key=REPORT_ID,
        )

    def test_that_comes_by_two_webhooks_is_one_text(self):
        twice = [read("INCOMING_MESSAGE", MESSAGE, reportId=report) for report in ("r1", "r2")]
        assert {text.provider_ref for text in twice} == {ID}

    @pytest.mark.parametrize(
        ("wire", "ours"),
        [
            ("5005550006", "+15005550006"),
            ("15005550006", "+15005550006"),
            ("+15005550006", "+15005550006"),
            ("(500) 555-0006", "+15005550006"),
            ("+44 7700 900123", "+447700900123"),
            (5005550006, "+15005550006"),
            ("55512", "55512"),
            ("Acme", "Acme"),
        ],
    )
    def test_has_its_numbers_in_full(self, wire, ours):
        text = read("INCOMING_MESSAGE", {**MESSAGE, "contactPhone": wire, "accountPhone": wire})
        assert (text.from_e164, text.to_value) == (ours, ours)

    def test_has_pictures(self):
        items = [REPORT_ID, "https://txt.so/img.jpg", None]
        text = read("INCOMING_MESSAGE", {**MESSAGE, "mediaItems": items})
        assert text.media_urls == (
            f"https://api-app2.simpletexting.com/v2/api/mediaitems/{REPORT_ID}",
            "https://txt.so/img.jpg",
        )

    @pytest.mark.parametrize("text", ["", None])
    def test_of_a_picture_message_may_stand_in_the_subject(self, text):
        values = {**MESSAGE, "text": text, "subject": "STOP", "mediaItems": None}
        assert read("INCOMING_MESSAGE", values).text == "STOP"

    def test_to_nobody_they_name_is_read(self):
        assert read("INCOMING_MESSAGE", {**MESSAGE, "accountPhone": None}).to_value == ""

    def test_without_a_sender_cannot_be_read(self):
        with pytest.raises(LookupError):
            read("INCOMING_MESSAGE", {**MESSAGE, "contactPhone": ""})


class TestAnOptOut:
    def test_is_one_to_no_number_of_ours(self):
        values = {"contactId": ID, "phone": "5005550006"}
        assert read("UNSUBSCRIBE_REPORT", values) == InboundMessage(
            provider_ref=REPORT_ID,
            from_e164=TO,
            to_value="",
            text="",
            keyword="UNSUBSCRIBE_REPORT",
            is_provider_optout=True,
            dedupe_key=REPORT_ID,
        )

    def test_that_names_the_person_as_other_kinds_do_is_one_too(self):
        assert read("UNSUBSCRIBE_REPORT", {"contactPhone": "5005550006"}).from_e164 == TO

    @pytest.mark.parametrize("values", [{}, {"contactId": ID}, {"phone": ""}, None])
    def test_of_nobody_is_no_silent_loss(self, values):
        with pytest.raises(LookupError):
            read("UNSUBSCRIBE_REPORT", values)

    def test_twice_is_two_events(self):
        refs = [
            read("UNSUBSCRIBE_REPORT", {"phone": "5005550006"}, reportId=report).provider_ref
            for report in ("r1", "r2")
        ]
        assert refs == ["r1", "r2"]


class TestWhoCalls:
    def test_must_have_the_key_of_the_account(self):
        assert ST.needs_key(ACCESS)

    def test_may_post_an_object(self):
        assert ST.is_genuine(a_callback({"type": "x"}), ACCESS)

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"no json", b"{", b"\xff", b'{"a":' + b"[" * 60_000]
    )
    def test_may_post_nothing_else(self, body):
        assert not ST.is_genuine(a_callback(body), ACCESS)

    def test_may_not_come_by_get(self):
        assert not ST.is_genuine(a_callback({"type": "x"}, method="GET"), ACCESS)
