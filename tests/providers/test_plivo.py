from __future__ import annotations

import json
from datetime import timedelta

import pytest

from providers.adapters.plivo import Plivo
from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    HttpRequest,
    NotSent,
    Rejected,
    Unknown,
)
from tests.providers.peers import NOON, Peer, a_send, always, an_access, answer, run, sent_to
from tests.providers.plivo import (
    ACCOUNT,
    CONFIG,
    CONTENT,
    MESSAGES,
    REAL,
    RECIPIENT,
    SECRETS,
    UUID,
    a_response,
)

TAKEN = {"api_id": "1", "message": "message(s) queued", "message_uuid": [UUID]}


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
