from __future__ import annotations

import pytest

from providers.adapters.plivo import Plivo
from providers.base import (
    Callback,
    DeliveryReport,
    ErrorClass,
    InboundMessage,
    Status,
)
from tests.providers.plivo import CONFIG, CONTENT, REAL, RECIPIENT, TRANSIENT, UUID


def a_callback(form, query=None, method="POST", **headers):
    return Callback(
        method=method,
        url="https://hooks.example.com/wh/plivo/status/?r=42",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        query=query or {},
        form=form,
        body=b"",
    )


def a_report(word, code="", **changes):
    form = {
        "MessageUUID": UUID,
        "Status": word,
        "To": "12025550143",
        "From": "15005550001",
        "Sequence": "2",
        "ErrorCode": code,
    }
    return Plivo().read_callback(a_callback({**form, **changes}, {"ref": "r1"}))


def an_inbound(**changes):
    form = {"MessageUUID": UUID, "From": "12025550143", "To": "15005550001", "Text": "Stop it"}
    return Plivo().read_callback(a_callback({**form, "MessageIntent": "", **changes}))


class TestReadReport:
    def test_a_report_names_the_attempt_and_the_message(self):
        assert a_report("delivered", "000") == DeliveryReport(
            ref="r1",
            provider_ref=UUID,
            status=Status.DELIVERED,
            provider_status="delivered",
            recipient_e164="+12025550143",
            dedupe_key=f"{UUID}:delivered:2",
        )

    @pytest.mark.parametrize(
        ("word", "code", "status", "error_class"),
        [
            ("queued", "", Status.ACCEPTED, None),
            ("sent", "", Status.SENT, None),
            ("delivered", "000", Status.DELIVERED, None),
            ("read", "", Status.DELIVERED, None),
            ("undelivered", "", Status.UNDELIVERED, None),
            ("undelivered", "10", Status.UNDELIVERED, CONTENT),
            ("undelivered", "20", Status.UNDELIVERED, TRANSIENT),
            ("undelivered", "30", Status.REJECTED, CONTENT),
            ("undelivered", "40", Status.UNDELIVERED, CONFIG),
            ("undelivered", "50", Status.UNDELIVERED, RECIPIENT),
            ("undelivered", "60", Status.REJECTED, TRANSIENT),
            ("undelivered", "70", Status.UNDELIVERED, RECIPIENT),
            ("failed", "80", Status.UNDELIVERED, TRANSIENT),
            ("undelivered", "90", Status.FAILED, TRANSIENT),
            ("undelivered", "100", Status.REJECTED, CONTENT),
            ("undelivered", "110", Status.UNDELIVERED, CONTENT),
            ("failed", "200", Status.REJECTED, RECIPIENT),
            ("failed", "201", Status.FAILED, CONFIG),
            ("undelivered", "300", Status.FAILED, TRANSIENT),
            ("failed", "420", Status.EXPIRED, TRANSIENT),
            ("failed", "450", Status.FAILED, CONFIG),
            ("failed", "900", Status.FAILED, CONFIG),
            ("failed", "910", Status.FAILED, CONFIG),
            ("failed", "1000", Status.FAILED, ErrorClass.UNKNOWN),
            ("failed", "4711", Status.FAILED, ErrorClass.UNKNOWN),
            ("rejected", "", Status.REJECTED, None),
            ("rejected", "420", Status.EXPIRED, TRANSIENT),
            ("sent", "30", Status.SENT, CONTENT),
        ],
    )
    def test_their_word_and_code_become_ours(self, word, code, status, error_class):
        report = a_report(word, code)
        assert (report.status, report.error_class) == (status, error_class)

    @pytest.mark.parametrize(
        ("given", "kept"), [("30", "30"), ("000", ""), ("", ""), ("strange", "")]
    )
    def test_only_the_code_of_an_error_is_kept(self, given, kept):
        assert a_report("failed", given).code == kept

    @pytest.mark.parametrize(
        ("code", "blocked", "opted_out"),
        [("30", True, False), ("100", True, False), ("200", False, True), ("50", False, False)],
    )
    def test_a_block_and_an_opt_out_are_flagged(self, code, blocked, opted_out):
        report = a_report("undelivered", code)
        assert (report.carrier_blocked, report.opted_out) == (blocked, opted_out)

    def test_a_part_counts_for_its_message_but_is_a_report_of_its_own(self):
        report = a_report("sent", ParentMessageUUID="parent", PartInfo="2 of 3")
        assert (report.provider_ref, report.dedupe_key) == ("parent", f"{UUID}:sent:2")

    def test_the_case_of_names_and_words_does_not_matter(self):
        form = {"messageuuid": UUID, "STATUS": "Delivered", "to": "+12025550143"}
        report = Plivo().read_callback(a_callback(form))
        assert (report.status, report.recipient_e164) == (Status.DELIVERED, "+12025550143")

    def test_a_report_by_get_is_read_from_its_query(self):
        query = {"MessageUUID": UUID, "Status": "sent", "ref": "r1"}
        report = Plivo().read_callback(a_callback({}, query, method="GET"))
        assert (report.ref, report.provider_ref, report.status) == ("r1", UUID, Status.SENT)


class TestReadInbound:
    def test_an_inbound_message_is_read(self):
        assert an_inbound() == InboundMessage(
            provider_ref=UUID,
            from_e164="+12025550143",
            to_value="+15005550001",
            text="Stop it",
            dedupe_key=UUID,
        )

    @pytest.mark.parametrize(
        ("wire", "ours"),
        [("123456", "123456"), ("12345", "12345"), ("1234567", "+1234567"), ("EXAMPLE", "EXAMPLE")],
    )
    def test_a_short_code_and_a_name_get_no_plus(self, wire, ours):
        assert an_inbound(To=wire).to_value == ours

    @pytest.mark.parametrize("wire", ["+12025550143", " 12025550143"], ids=["plus", "as a space"])
    def test_a_number_that_comes_with_its_plus_keeps_it(self, wire):
        assert an_inbound(From=wire).from_e164 == "+12025550143"

    @pytest.mark.parametrize(
        ("intent", "is_optout"), [("optout", True), ("OptOut", True), ("optin", False), ("", False)]
    )
    def test_their_own_keyword_handling_is_kept(self, intent, is_optout):
        inbound = an_inbound(MessageIntent=intent)
        assert (inbound.keyword, inbound.is_provider_optout) == (intent, is_optout)

    @pytest.mark.parametrize("first", [0, 1])
    def test_pictures_are_listed_in_their_order_with_the_text_beside_them(self, first):
        form = {"MessageUUID": UUID, "From": "12025550143", "To": "15005550001", "MediaCount": "2"}
        form |= {f"Media{first + n}": f"https://a.example/{n}" for n in range(2)}
        inbound = Plivo().read_callback(a_callback({**form, "Body": "look"}))
        assert inbound.text == "look"
        assert inbound.media_urls == ("https://a.example/0", "https://a.example/1")

    def test_a_picture_without_a_text_is_a_message(self):
        form = {
            "MessageUUID": UUID,
            "From": "12025550143",
            "MediaCount": "1",
            "Media0": "https://a",
        }
        assert Plivo().read_callback(a_callback(form)).media_urls == ("https://a",)

    def test_a_status_that_no_report_has_does_not_hide_a_message(self):
        assert an_inbound(Status="received").text == "Stop it"

    @pytest.mark.parametrize(
        "form",
        [
            {},
            {"MessageUUID": UUID},
            {"Status": "sent"},
            {"MessageUUID": UUID, "Text": "hello"},
        ],
        ids=["empty", "only an id", "no id", "no sender"],
    )
    def test_what_we_do_not_use_or_cannot_read_is_nothing(self, form):
        assert Plivo().read_callback(a_callback(form)) is None


V2 = {
    "X_Plivo_Signature_V2": "f7KwcmRCqaiySn+seNaXMmrmMzm6rOMc0YvNwWELwPc=",
    "X_Plivo_Signature_V2_Nonce": "12345",
}


class TestIsGenuine:
    def test_a_callback_signed_with_the_accounts_token_is_genuine(self):
        assert Plivo().is_genuine(a_callback({}, **V2), REAL)

    def test_an_unsigned_callback_is_not(self):
        assert not Plivo().is_genuine(a_callback({}), REAL)

    def test_the_nonce_must_not_come_twice_where_the_fields_are_not_signed(self):
        assert Plivo().replay_key(a_callback({}, **V2)) == "12345"

    def test_it_must_not_beside_the_newer_signature_either(self):
        """Who caught both could take the newer one off."""
        headers = {**V2, "X_Plivo_Signature_V3": "x"}
        assert Plivo().replay_key(a_callback({}, **headers)) == "12345"

    def test_signed_fields_alone_need_no_replay_key(self):
        assert Plivo().replay_key(a_callback({}, X_Plivo_Signature_V3="x")) == ""
