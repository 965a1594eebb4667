from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from twilio.request_validator import RequestValidator

from providers.adapters.twilio import Twilio
from providers.base import (
    Accepted,
    Callback,
    DeliveryReport,
    ErrorClass,
    Fault,
    Found,
    HttpRequest,
    HttpResponse,
    InboundMessage,
    NoAnswer,
    NotListed,
    NotSent,
    Rejected,
    Several,
    Status,
    Unknown,
)
from tests.providers.peers import ACCOUNT, NOON, a_look_up, a_send, an_access

RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT
CONFIG = ErrorClass.PERMANENT_CONFIG
SID = "SM0123456789abcdef0123456789abcdef"
REAL = an_access(0, base_url="", simulated=False)
MESSAGES = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages"


def a_response(status, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={}, body=content)


def outcome(status, body):
    send = a_send()
    (result,) = Twilio().read_response([send], a_response(status, body)).values()
    return result


def refused(code, status=400):
    return outcome(status, {"code": code, "message": "…", "status": status})


class TestBuildRequest:
    def test_makes_one_form_post(self):
        send = a_send(decided_at=NOON, not_after=NOON + timedelta(minutes=10))
        assert Twilio().build_request([send], REAL) == HttpRequest(
            method="POST",
            url=f"{MESSAGES}.json",
            auth=(ACCOUNT, "token"),
            form={
                "To": "+12025550143",
                "From": "+15005550001",
                "Body": "hi & bye",
                "StatusCallback": "https://hooks.example.com/cb?ref=r1",
                "ValidityPeriod": "583",
            },
        )

    def test_names_a_messaging_service_instead_of_a_number(self):
        send = a_send(from_value="MG1", from_kind="service")
        form = Twilio().build_request([send], REAL).form
        assert (form["MessagingServiceSid"], "From" in form) == ("MG1", False)

    def test_asks_for_no_longer_validity_than_there_is(self):
        send = a_send(decided_at=NOON, not_after=NOON + timedelta(days=3))
        assert Twilio().build_request([send], REAL).form["ValidityPeriod"] == "36000"

    def test_signs_in_with_an_api_key_where_there_is_one(self):
        secrets = {**REAL.secrets, "api_key_sid": "SK1", "api_key_secret": "key"}
        access = an_access(0, secrets=secrets)
        assert Twilio().build_request([a_send()], access).auth == ("SK1", "key")

    def test_goes_to_the_accounts_own_address(self):
        access = an_access(0, base_url="http://127.0.0.1:8200/")
        url = Twilio().build_request([a_send()], access).url
        assert url == f"http://127.0.0.1:8200/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


class TestReadResponse:
    @pytest.mark.parametrize("status", [200, 201])
    def test_an_id_is_accepted(self, status):
        body = {"sid": SID, "to": "+12025550143", "status": "queued", "num_segments": "2"}
        assert outcome(status, body) == Accepted(SID, segments=2)

    def test_a_service_that_has_not_counted_yet_gives_no_segments(self):
        assert outcome(201, {"sid": SID, "num_segments": "0"}) == Accepted(SID)

    @pytest.mark.parametrize(
        "body",
        [{"sid": ""}, {"sid": 7}, {"sid": SID, "to": "+12025550199"}],
        ids=["empty id", "no text", "another recipient"],
    )
    def test_an_answer_that_is_not_about_this_message_is_unknown(self, body):
        assert isinstance(outcome(201, body), Unknown)

    @pytest.mark.parametrize(
        ("code", "error_class"),
        [
            *((code, RECIPIENT) for code in (21211, 21217, 21401, 21421, 21604, 21608)),
            *((code, RECIPIENT) for code in (21612, 21614)),
            *((code, CONTENT) for code in (21602, 21605, 21617, 21618, 21620, 21623, 21652)),
            *((code, CONTENT) for code in (21654, 21655, 21656)),
            (21408, CONFIG),
            (29999, ErrorClass.UNKNOWN),
        ],
    )
    def test_a_refusal_of_recipient_or_content_is_final(self, code, error_class):
        assert refused(code) == Rejected(error_class, str(code))

    def test_an_unsubscribed_recipient_is_rejected_and_opted_out(self):
        assert refused(21610) == Rejected(RECIPIENT, "21610", opted_out=True)

    @pytest.mark.parametrize("code", [20003, 20005, 20404, 21609, 21624, 30002])
    def test_a_fault_of_the_account_is_not_sent(self, code):
        assert refused(code) == NotSent(str(code), fault=Fault.ACCOUNT)

    @pytest.mark.parametrize(
        "code",
        [
            *(21212, 21407, 21601, 21603, 21606, 21621, 21622, 21709, 21712, 21717, 30032, 30034),
            *(21701, 21702, 21703, 21704, 21705),
        ],
    )
    def test_a_fault_of_the_sender_is_not_sent(self, code):
        assert refused(code) == NotSent(str(code), fault=Fault.SENDER)

    @pytest.mark.parametrize("code", [20429, 14107, 21611])
    def test_a_throttle_is_not_sent(self, code):
        assert refused(code) == NotSent(str(code), throttled=True)

    @pytest.mark.parametrize("code", [20500, 20503])
    def test_their_own_trouble_is_unknown_whatever_the_status(self, code):
        assert refused(code) == Unknown(str(code))

    @pytest.mark.parametrize("body", [{"code": 20003}, {}, b"<html>", b""])
    def test_401_is_the_accounts_fault_whatever_stands_in_it(self, body):
        result = outcome(401, body)
        assert isinstance(result, NotSent)
        assert result.fault is Fault.ACCOUNT

    @pytest.mark.parametrize("status", [402, 403])
    def test_a_payment_or_permission_refusal_with_an_unknown_code_is_the_accounts(self, status):
        assert refused(29999, status) == NotSent("29999", fault=Fault.ACCOUNT)

    def test_a_known_code_counts_more_than_403(self):
        assert refused(21610, 403) == Rejected(RECIPIENT, "21610", opted_out=True)

    @pytest.mark.parametrize("status", [200, 201, 400, 403, 404])
    @pytest.mark.parametrize(
        "body",
        [b"", b"<html>", b"null", b"[]", b"{}", b'{"sid": ', b'{"code": "?"}', b"\xff\xfe"],
        ids=["empty", "html", "null", "list", "object", "cut off", "no number", "no text"],
    )
    def test_an_answer_we_cannot_trust_chokes_the_adapter(self, status, body):
        """The transport makes Unknown of that."""
        with pytest.raises((ValueError, TypeError, LookupError)):
            outcome(status, body)


def a_callback(form, query=None, method="POST", **headers):
    return Callback(
        method=method,
        url="https://hooks.example.com/cb?ref=r1",
        headers=headers,
        query=query or {},
        form=form,
        body=b"",
    )


def a_report(word, code="", **changes):
    form = {"MessageSid": SID, "MessageStatus": word, "To": "+12025550143", "From": "+1500"}
    if code:
        form["ErrorCode"] = code
    return Twilio().read_callback(a_callback(form, {"ref": "r1"}, **changes))


class TestReadCallback:
    def test_a_report_names_the_attempt_and_the_message(self):
        assert a_report("delivered") == DeliveryReport(
            ref="r1",
            provider_ref=SID,
            status=Status.DELIVERED,
            provider_status="delivered",
            recipient_e164="+12025550143",
            dedupe_key=f"{SID}:delivered:",
        )

    @pytest.mark.parametrize(
        ("word", "code", "status", "error_class"),
        [
            ("accepted", "", Status.ACCEPTED, None),
            ("scheduled", "", Status.ACCEPTED, None),
            ("queued", "", Status.ACCEPTED, None),
            ("sending", "", Status.ACCEPTED, None),
            ("sent", "", Status.SENT, None),
            ("delivered", "", Status.DELIVERED, None),
            ("read", "", Status.DELIVERED, None),
            ("partially_delivered", "", Status.DELIVERED, None),
            ("undelivered", "", Status.UNDELIVERED, None),
            ("undelivered", "30003", Status.UNDELIVERED, ErrorClass.TRANSIENT),
            ("undelivered", "30004", Status.REJECTED, RECIPIENT),
            ("undelivered", "30005", Status.UNDELIVERED, RECIPIENT),
            ("undelivered", "30006", Status.UNDELIVERED, RECIPIENT),
            ("undelivered", "30007", Status.REJECTED, CONTENT),
            ("undelivered", "30008", Status.UNDELIVERED, ErrorClass.UNKNOWN),
            ("undelivered", "30017", Status.UNDELIVERED, ErrorClass.TRANSIENT),
            ("undelivered", "30023", Status.UNDELIVERED, ErrorClass.THROTTLED),
            ("undelivered", "21610", Status.REJECTED, RECIPIENT),
            ("failed", "", Status.FAILED, None),
            ("failed", "30001", Status.FAILED, ErrorClass.THROTTLED),
            ("failed", "30002", Status.FAILED, CONFIG),
            ("failed", "30034", Status.FAILED, CONFIG),
            ("failed", "30036", Status.EXPIRED, ErrorClass.TRANSIENT),
            ("failed", "strange", Status.FAILED, None),
            ("canceled", "", Status.FAILED, None),
        ],
    )
    def test_their_word_and_code_become_ours(self, word, code, status, error_class):
        report = a_report(word, code)
        assert (report.status, report.error_class, report.code) == (status, error_class, code)

    @pytest.mark.parametrize(
        ("code", "blocked", "opted_out"),
        [("30004", True, False), ("30007", True, False), ("21610", False, True)],
    )
    def test_a_block_and_an_opt_out_are_flagged(self, code, blocked, opted_out):
        report = a_report("undelivered", code)
        assert (report.carrier_blocked, report.opted_out) == (blocked, opted_out)

    def test_a_report_by_get_is_read_from_its_query(self):
        query = {"MessageSid": SID, "MessageStatus": "sent", "ref": "r1"}
        report = Twilio().read_callback(a_callback({}, query, method="GET"))
        assert (report.ref, report.provider_ref, report.status) == ("r1", SID, Status.SENT)

    def test_an_inbound_message_is_read(self):
        form = {"MessageSid": SID, "From": "+12025550143", "To": "+15005550001", "Body": "Stop it"}
        assert Twilio().read_callback(a_callback(form)) == InboundMessage(
            provider_ref=SID,
            from_e164="+12025550143",
            to_value="+15005550001",
            text="Stop it",
            dedupe_key=SID,
        )

    def test_their_own_keyword_handling_is_kept(self):
        form = {"MessageSid": SID, "From": "+1", "To": "+2", "Body": "", "OptOutType": "STOP"}
        inbound = Twilio().read_callback(a_callback(form))
        assert (inbound.keyword, inbound.is_provider_optout) == ("STOP", True)

    def test_pictures_of_an_inbound_message_are_listed(self):
        form = {"MessageSid": SID, "From": "+1", "To": "+2", "Body": "", "NumMedia": "2"}
        form |= {"MediaUrl0": "https://a.example/0", "MediaUrl1": "https://a.example/1"}
        inbound = Twilio().read_callback(a_callback(form))
        assert inbound.media_urls == ("https://a.example/0", "https://a.example/1")

    @pytest.mark.parametrize(
        "form",
        [
            {},
            {"MessageSid": SID},
            {"MessageStatus": "sent"},
            {"MessageSid": SID, "Body": "hello"},
        ],
        ids=["empty", "only an id", "no id", "no sender"],
    )
    def test_what_we_do_not_use_or_cannot_read_is_nothing(self, form):
        assert Twilio().read_callback(a_callback(form)) is None


class TestIsGenuine:
    def test_a_callback_signed_with_the_accounts_token_is_genuine(self):
        callback = a_callback({})
        signature = RequestValidator("token").compute_signature(callback.url, {})
        assert Twilio().is_genuine(a_callback({}, **{"X-Twilio-Signature": signature}), REAL)

    def test_a_callback_signed_with_the_shared_key_is_genuine(self):
        access = an_access(0, secrets={**REAL.secrets, "webhook_shared_key": "shared"})
        validator = RequestValidator("shared")
        headers = {
            "X-Twilio-Webhooks-Signature-Settings": "algorithm=HMAC_SHA256",
            "X-Twilio-Signature": validator.compute_signature(
                a_callback({}).url, {}, "HMAC_SHA256"
            ),
        }
        assert Twilio().is_genuine(a_callback({}, **headers), access)

    def test_an_unsigned_callback_is_not(self):
        assert not Twilio().is_genuine(a_callback({}), REAL)


def listed(sid=SID, **changes):
    values = {
        "sid": sid,
        "to": "+12025550143",
        "from": "+15005550001",
        "body": "hi & bye",
        "status": "sent",
        "error_code": None,
        "date_created": "Sat, 21 Nov 2026 12:00:02 +0000",
    }
    return {**values, **changes}


def looked_up(*messages, **changes):
    response = a_response(200, {"messages": list(messages)})
    return Twilio().read_look_up(a_look_up(**changes), response)


class TestLookUp:
    def test_asks_for_what_went_to_the_recipient_from_the_number(self):
        request = Twilio().build_look_up(a_look_up(), REAL)
        url = urlsplit(request.url)
        assert (request.method, url.path) == ("GET", urlsplit(f"{MESSAGES}.json").path)
        assert dict(parse_qsl(url.query)) == {
            "To": "+12025550143",
            "From": "+15005550001",
            "PageSize": "100",
        }

    def test_asks_by_recipient_only_where_a_service_chose_the_number(self):
        request = Twilio().build_look_up(a_look_up(from_kind="service", from_value="MG1"), REAL)
        assert "From" not in dict(parse_qsl(urlsplit(request.url).query))

    def test_asks_by_id_where_we_have_one(self):
        request = Twilio().build_look_up(a_look_up(provider_ref=SID), REAL)
        assert request.url == f"{MESSAGES}/{SID}.json"

    def test_the_same_text_at_the_same_time_is_ours(self):
        assert looked_up(listed()) == Found(
            DeliveryReport(
                ref="r1",
                provider_ref=SID,
                status=Status.SENT,
                provider_status="sent",
                recipient_e164="+12025550143",
                dedupe_key=f"{SID}:sent:",
            )
        )

    @pytest.mark.parametrize(
        "message",
        [
            listed(body="something else"),
            listed(to="+12025550199"),
            listed(date_created="Sat, 21 Nov 2026 11:50:00 +0000"),
            listed(date_created="Sat, 21 Nov 2026 12:10:00 +0000"),
        ],
        ids=["another text", "another recipient", "too early", "too late"],
    )
    def test_another_message_is_not_ours(self, message):
        assert looked_up(message) == NotListed()

    def test_a_message_that_belongs_to_another_attempt_is_not_ours(self):
        assert looked_up(listed(), other_refs=frozenset({SID})) == NotListed()

    def test_two_that_fit_are_left_to_the_reports(self):
        assert looked_up(listed("SM1"), listed("SM2")) == Several(2)

    def test_a_failed_message_comes_back_with_its_code(self):
        found = looked_up(listed(status="undelivered", error_code=30007))
        assert (found.report.status, found.report.code) == (Status.REJECTED, "30007")

    def test_a_word_new_to_us_is_at_least_accepted(self):
        assert looked_up(listed(status="levitating")).report.status is Status.ACCEPTED

    def test_an_id_they_do_not_know_is_not_listed(self):
        look_up = a_look_up(provider_ref=SID)
        assert Twilio().read_look_up(look_up, a_response(404, {"code": 20404})) == NotListed()

    @pytest.mark.parametrize("status", [401, 404, 429, 500])
    def test_a_refused_look_up_is_no_answer(self, status):
        assert Twilio().read_look_up(a_look_up(), a_response(status, {})) == NoAnswer(str(status))
