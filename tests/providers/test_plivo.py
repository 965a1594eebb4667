from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pytest

from providers.adapters.plivo import Plivo
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
    LookUp,
    NoAnswer,
    NotListed,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from tests.providers.peers import Peer, a_send, always, an_access, answer, run, sent_to

RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT
CONFIG, TRANSIENT = ErrorClass.PERMANENT_CONFIG, ErrorClass.TRANSIENT
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACCOUNT = "MA000000000000000001"
SECRETS = {"auth_id": ACCOUNT, "auth_token": "plivotoken"}
UUID = "5b40a428-bfc7-4daf-9d06-726c558bf3b8"
REAL = an_access(0, kind="plivo", base_url="", secrets=SECRETS, simulated=False)
MESSAGES = f"https://api.plivo.com/v1/Account/{ACCOUNT}/Message/"
TAKEN = {"api_id": "1", "message": "message(s) queued", "message_uuid": [UUID]}


def a_response(status, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={}, body=content)


def outcome(status, body):
    (result,) = Plivo().read_response([a_send()], a_response(status, body)).values()
    return result


def refused(sentence, status=400, **more):
    return outcome(status, {"api_id": "1", "error": sentence, **more})


def sent(**changes):
    return Plivo().build_request([a_send(**changes)], REAL).json


class TestBuildRequest:
    def test_makes_one_json_post(self):
        send = a_send(decided_at=NOON, not_after=NOON + timedelta(minutes=10))
        assert Plivo().build_request([send], REAL) == HttpRequest(
            method="POST",
            url=MESSAGES,
            auth=(ACCOUNT, "plivotoken"),
            json={
                "src": "15005550001",
                "dst": "12025550143",
                "text": "hi & bye",
                "type": "sms",
                "url": "https://hooks.example.com/cb?ref=r1",
                "method": "POST",
                "message_expiry": 583,
            },
        )

    def test_names_a_powerpack_instead_of_a_number(self):
        message = sent(from_value="pp-1", from_kind="service")
        assert (message["powerpack_uuid"], "src" in message) == ("pp-1", False)

    @pytest.mark.parametrize("sender", ["12345", "EXAMPLE"], ids=["short code", "name"])
    def test_leaves_a_short_code_or_a_name_as_it_is(self, sender):
        assert sent(from_value=sender)["src"] == sender

    def test_asks_for_no_report_where_there_is_no_address_for_it(self):
        assert {"url", "method"}.isdisjoint(sent(status_callback_url=""))

    @pytest.mark.parametrize(
        ("left", "expiry"),
        [
            (timedelta(days=3), 10_799),
            (timedelta(seconds=10_817), 10_799),
            (timedelta(seconds=22), 5),
            (timedelta(seconds=3), 5),
        ],
        ids=["days", "one second too many", "the least they take", "less than that"],
    )
    def test_asks_for_a_validity_that_they_take(self, left, expiry):
        assert sent(decided_at=NOON, not_after=NOON + left)["message_expiry"] == expiry

    def test_asks_for_no_validity_when_nothing_ends_it(self):
        assert "message_expiry" not in sent(decided_at=NOON)

    def test_goes_to_the_accounts_own_address(self):
        access = an_access(0, base_url="http://127.0.0.1:8200/", secrets=SECRETS)
        url = Plivo().build_request([a_send()], access).url
        assert url == f"http://127.0.0.1:8200/v1/Account/{ACCOUNT}/Message/"

    def test_the_wire_carries_json_to_the_accounts_path(self):
        async def talk():
            peer = Peer(always(answer(202, json.dumps(TAKEN).encode())))
            async with peer.running():
                access = an_access(peer.port, kind="plivo", secrets=SECRETS)
                return await sent_to(access, adapter=Plivo()), peer.requests

        result, (request,) = run(talk())
        head, _, body = request.partition(b"\r\n\r\n")
        assert result == Accepted(UUID)
        assert head.startswith(f"POST /v1/Account/{ACCOUNT}/Message/ ".encode())
        assert b"Content-Type: application/json" in head
        assert json.loads(body)["dst"] == "12025550143"


class TestReadResponse:
    @pytest.mark.parametrize("status", [200, 202])
    def test_an_id_is_accepted(self, status):
        assert outcome(status, TAKEN) == Accepted(UUID)

    @pytest.mark.parametrize("invalid", [[], None], ids=["empty", "null"])
    def test_an_id_beside_no_invalid_number_is_accepted(self, invalid):
        assert outcome(202, {**TAKEN, "invalid_number": invalid}) == Accepted(UUID)

    def test_further_ids_are_those_of_the_parts(self):
        body = {"message_uuid": ["u-1", "u-2", "u-3"]}
        assert outcome(202, body) == Accepted("u-1", part_refs=("u-2", "u-3"))

    @pytest.mark.parametrize("number", ["12025550143", "+12025550143"])
    @pytest.mark.parametrize("rest", [{}, {"message_uuid": []}], ids=["no ids", "empty ids"])
    def test_a_number_they_call_invalid_is_rejected(self, number, rest):
        body = {"invalid_number": [number], **rest}
        assert outcome(202, body) == Rejected(RECIPIENT, "invalid_number")

    @pytest.mark.parametrize(
        "body",
        [
            {**TAKEN, "invalid_number": ["12025550143"]},
            {"invalid_number": ["12025550199"]},
            {"invalid_number": ["12025550143", "12025550199"]},
            {"message_uuid": []},
            {"message_uuid": None},
            {"api_id": "1", "message": "message(s) queued"},
        ],
        ids=["both", "another number", "two numbers", "no id", "null id", "nothing"],
    )
    def test_an_answer_that_is_not_about_this_message_alone_is_unknown(self, body):
        assert isinstance(outcome(202, body), Unknown)

    @pytest.mark.parametrize("body", [{"error": "no"}, {}, b"Could not verify", b""])
    def test_401_is_the_accounts_fault_whatever_stands_in_it(self, body):
        assert outcome(401, body) == NotSent("401", fault=Fault.ACCOUNT)

    @pytest.mark.parametrize("status", [402, 403, 404])
    def test_a_payment_permission_or_path_refusal_is_the_accounts_fault(self, status):
        assert refused("not allowed", status) == NotSent(str(status), fault=Fault.ACCOUNT)

    @pytest.mark.parametrize(
        "sentence", ["Geo permission denied", "the country is barred", "this region is disabled"]
    )
    def test_a_country_that_is_not_allowed_leaves_the_account_in_use(self, sentence):
        assert refused(sentence, 403) == Rejected(CONFIG, "403")

    @pytest.mark.parametrize(
        ("sentence", "result"),
        [
            ("dst is not a valid number", Rejected(RECIPIENT, "400")),
            ("Invalid Destination", Rejected(RECIPIENT, "400")),
            ("src and dst cannot be the same", Rejected(RECIPIENT, "400")),
            ("src is missing", NotSent("400", fault=Fault.SENDER)),
            ("powerpack_uuid not found", NotSent("400", fault=Fault.SENDER)),
            ("text is missing", Rejected(CONTENT, "400")),
            ("message too long", Rejected(CONTENT, "400")),
            ("insufficient credit", NotSent("400", fault=Fault.ACCOUNT)),
            ("this subaccount is disabled", NotSent("400", fault=Fault.ACCOUNT)),
            ("invalid json data sent in raw POST", Rejected(ErrorClass.UNKNOWN, "400")),
        ],
    )
    def test_a_refusal_is_read_by_what_its_sentence_names(self, sentence, result):
        assert refused(sentence) == result

    @pytest.mark.parametrize(
        ("code", "result"),
        [
            (10, Rejected(CONTENT, "10")),
            (30, Rejected(CONTENT, "30", carrier_blocked=True)),
            (40, NotSent("40", fault=Fault.SENDER)),
            (50, Rejected(RECIPIENT, "50")),
            (70, Rejected(RECIPIENT, "70")),
            (100, Rejected(CONTENT, "100", carrier_blocked=True)),
            (110, Rejected(CONTENT, "110")),
            (200, Rejected(RECIPIENT, "200", opted_out=True)),
            (201, Rejected(CONFIG, "201")),
            (450, Rejected(CONFIG, "450")),
            (900, NotSent("900", fault=Fault.ACCOUNT)),
            (910, NotSent("910", fault=Fault.ACCOUNT)),
            (20, Unknown("20")),
            (1000, Unknown("1000")),
            (9999, Unknown("9999")),
        ],
    )
    @pytest.mark.parametrize("form", [int, str])
    def test_a_code_counts_more_than_the_sentence_and_the_status(self, code, result, form):
        assert refused("text", 400, error_code=form(code)) == result
        assert refused("text", 403, error_code=form(code)) == result

    @pytest.mark.parametrize("status", [405, 409, 422])
    def test_a_status_we_have_no_meaning_for_is_unknown(self, status):
        assert refused("dst", status) == Unknown(str(status))

    @pytest.mark.parametrize("status", [200, 202, 400, 402, 403, 404, 422])
    @pytest.mark.parametrize(
        "body",
        [
            *(b"", b"<html>", b"null", b"[]", b'{"message_uuid": [', b"\xff\xfe"),
            *(b'{"message_uuid": "u-1"}', b'{"message_uuid": [""]}', b'{"message_uuid": [7]}'),
            *(b'{"message_uuid": {"0": "u"}}', b'{"message_uuid": ["u"], "invalid_number": "1"}'),
        ],
    )
    def test_an_answer_we_cannot_trust_chokes_the_adapter(self, status, body):
        """The transport makes Unknown of that."""
        with pytest.raises((ValueError, TypeError, LookupError)):
            outcome(status, body)

    @pytest.mark.parametrize("sentence", ["", None, 7, {"text": "no"}])
    def test_a_refusal_that_says_nothing_chokes_the_adapter(self, sentence):
        with pytest.raises(TypeError):
            refused(sentence)


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
            {"MessageUUID": UUID, "Status": "levitating", "From": "15005550001"},
            {"Status": "sent"},
            {"MessageUUID": UUID, "Text": "hello"},
        ],
        ids=["empty", "only an id", "a new word", "no id", "no sender"],
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


def a_look_up(**changes):
    values = {
        "ref": "r1",
        "to_e164": "+12025550143",
        "from_value": "+15005550001",
        "text": "hi & bye",
        "intended_at": NOON,
    }
    return LookUp(**{**values, **changes})


def listed(uuid=UUID, **changes):
    values = {
        "message_uuid": uuid,
        "message_direction": "outbound",
        "message_state": "sent",
        "message_time": "2026-11-21 17:30:02+05:30",
        "message_type": "sms",
        "from_number": "15005550001",
        "to_number": "12025550143",
        "units": 1,
        "error_code": None,
    }
    return {**values, **changes}


def looked_up(*messages, more=None, **changes):
    body = {"meta": {"limit": 20, "next": more}, "objects": list(messages)}
    return Plivo().read_look_up(a_look_up(**changes), a_response(200, body))


def asked(**changes):
    request = Plivo().build_look_up(a_look_up(**changes), REAL)
    return dict(parse_qsl(urlsplit(request.url).query))


class TestLookUp:
    def test_asks_for_what_went_to_the_recipient_from_the_number_at_the_time(self):
        request = Plivo().build_look_up(a_look_up(), REAL)
        assert (request.method, request.url.split("?")[0]) == ("GET", MESSAGES)
        assert request.auth == (ACCOUNT, "plivotoken")
        assert asked() == {
            "to_number": "+12025550143",
            "from_number": "+15005550001",
            "message_direction": "outbound",
            "message_time__gte": "2026-11-21 11:59:30",
            "message_time__lte": "2026-11-21 12:00:47",
            "limit": "20",
        }

    def test_asks_in_utc_whatever_the_zone_of_the_intent(self):
        local = NOON.astimezone(timezone(timedelta(hours=-5)))
        assert asked(intended_at=local) == asked()

    def test_asks_by_powerpack_where_that_chose_the_number(self):
        wanted = asked(from_kind="service", from_value="pp-1")
        assert (wanted["powerpack_id"], "from_number" in wanted) == ("pp-1", False)

    def test_asks_by_id_where_we_have_one(self):
        request = Plivo().build_look_up(a_look_up(provider_ref=UUID), REAL)
        assert request.url == f"{MESSAGES}{UUID}/"

    def test_the_one_message_of_that_moment_is_ours(self):
        assert looked_up(listed()) == Found(
            DeliveryReport(
                ref="r1",
                provider_ref=UUID,
                status=Status.SENT,
                provider_status="sent",
                recipient_e164="+12025550143",
                dedupe_key=f"{UUID}:sent:",
            )
        )

    def test_a_time_without_a_zone_is_utc(self):
        assert isinstance(looked_up(listed(message_time="2026-11-21 12:00:02.5")), Found)

    @pytest.mark.parametrize(
        "message",
        [
            listed(to_number="12025550199"),
            listed(from_number="15005550002"),
            listed(message_direction="inbound"),
            listed(units=2),
            listed(units=None),
            listed(message_time="2026-11-21 11:59:29+00:00"),
            listed(message_time="2026-11-21 12:00:48+00:00"),
            listed(message_time="2026-11-21 12:00:02+05:30"),
        ],
        ids=[
            *("another recipient", "another number", "inbound", "another length", "no length"),
            *("too early", "too late", "another zone"),
        ],
    )
    def test_another_message_is_not_ours(self, message):
        assert looked_up(message) == NotListed()

    def test_a_long_text_has_as_many_parts_as_we_count(self):
        assert isinstance(looked_up(listed(units=2), text="a" * 161), Found)

    def test_any_number_of_a_powerpack_may_have_sent_it(self):
        found = looked_up(listed(from_number="15005550002"), from_kind="service", from_value="pp-1")
        assert isinstance(found, Found)

    def test_a_message_that_belongs_to_another_attempt_is_not_ours(self):
        assert looked_up(listed(), other_refs=frozenset({UUID})) == NotListed()

    def test_beside_a_message_of_another_attempt_the_other_one_is_ours(self):
        found = looked_up(listed("u-1"), listed("u-2"), other_refs=frozenset({"u-1"}))
        assert found.report.provider_ref == "u-2"

    def test_two_that_fit_are_left_to_the_reports(self):
        assert looked_up(listed("u-1"), listed("u-2")) == NotListed()

    def test_nothing_listed_is_not_listed(self):
        assert looked_up() == NotListed()

    def test_one_that_fits_is_not_certain_while_there_are_further_pages(self):
        assert looked_up(listed(), more="/v1/Account/x/Message/?offset=20") == NotListed()

    def test_a_failed_message_comes_back_with_its_code(self):
        found = looked_up(listed(message_state="undelivered", error_code="30"))
        assert (found.report.status, found.report.code) == (Status.REJECTED, "30")

    def test_a_word_new_to_us_is_at_least_accepted(self):
        assert looked_up(listed(message_state="levitating")).report.status is Status.ACCEPTED

    def test_the_message_of_an_id_is_ours_whenever_it_was_made(self):
        response = a_response(200, listed(message_time="2026-01-01 00:00:00+00:00", units=9))
        found = Plivo().read_look_up(a_look_up(provider_ref=UUID), response)
        assert found.report.provider_ref == UUID

    def test_an_id_they_do_not_know_is_not_listed(self):
        look_up = a_look_up(provider_ref=UUID)
        assert Plivo().read_look_up(look_up, a_response(404, {"error": "x"})) == NotListed()

    @pytest.mark.parametrize("status", [401, 404, 429, 500])
    def test_a_refused_look_up_is_no_answer(self, status):
        assert Plivo().read_look_up(a_look_up(), a_response(status, {})) == NoAnswer(str(status))
