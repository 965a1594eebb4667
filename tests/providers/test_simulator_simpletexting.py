"""SimpleTexting's wire, asked by our adapter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    Found,
    HttpResponse,
    LookUp,
    NotListed,
    NotSent,
    Rejected,
    Several,
    Status,
    Unknown,
)
from providers.simulator import HOST
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.peers import a_send
from tests.providers.simpletexting import FROM, ST, TOKEN, simulated

TO = "+12025550143"
RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT
A_MESSAGE = {
    "contactPhone": "2025550143",
    "accountPhone": "5005550001",
    "mode": "AUTO",
    "text": "hi",
}


async def sent(on, ref="r1", token=TOKEN, **changes):
    send = a_send(ref, **changes)
    return (await on.transport.send(ST, [send], simulated(on.port, token)))[ref]


async def looked_up(on, token=TOKEN, **changes):
    values = {
        "ref": "r1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi & bye",
        "intended_at": datetime.now(UTC),
    }
    look_up = LookUp(**{**values, **changes})
    return await on.transport.look_up(ST, look_up, simulated(on.port, token))


async def got(on, path, *, method="GET", body=b"", token=TOKEN):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(
            method, f"http://{HOST}:{on.port}/v2/api/{path}", data=body or None
        ) as response,
    ):
        return response.status, response.content_type, await response.json(content_type=None)


def answer_to(tmp_path, path, **options):
    return in_bench(tmp_path, lambda on: got(on, path, **options))


def posted(tmp_path, message, path="messages", **options):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return answer_to(tmp_path, path, method="POST", body=body, **options)


class TestSending:
    def test_a_message_is_accepted_with_the_id_that_the_ledger_has(self, tmp_path):
        outcome = in_bench(tmp_path, sent)
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert outcome == Accepted(entry.provider_ref)
        assert len(entry.provider_ref) == 24

    def test_the_ledger_has_what_was_sent_with_numbers_in_full_and_nothing_of_ours(self, tmp_path):
        in_bench(tmp_path, lambda on: sent(on, "r7", text='é "quoted"\n& more'))
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        message = entry.submission
        assert (message.provider, message.account) == ("simpletexting", TOKEN)
        assert (message.from_value, message.to) == (FROM, TO)
        assert (message.text, message.ref) == ('é "quoted"\n& more', "")

    def test_a_short_code_stays_as_it_is(self, tmp_path):
        in_bench(tmp_path, lambda on: sent(on, from_value="12345"))
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert entry.submission.from_value == "12345"

    @pytest.mark.parametrize(("chars", "credits_"), [(160, 1), (161, 2), (306, 2), (307, 3)])
    def test_a_success_reads_as_theirs(self, tmp_path, chars, credits_):
        status, _, answer = posted(tmp_path, {**A_MESSAGE, "text": "a" * chars})
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert (status, answer) == (201, {"id": entry.provider_ref, "credits": credits_})

    @pytest.mark.parametrize(
        ("changes", "outcome"),
        [
            ({"text": " "}, Rejected(CONTENT, "ERR_VALIDATION")),
            ({"text": "a" * 161}, Rejected(CONTENT, "ERR_VALIDATION")),
            ({"to_e164": "+4722334455"}, Rejected(RECIPIENT, "ERR_PHONE_INVALID")),
            ({"to_e164": ""}, Rejected(RECIPIENT, "ERR_PHONE_INVALID")),
            ({"from_value": "Acme"}, NotSent("ERR_ACCOUNT_PHONE_NOT_FOUND", fault=Fault.SENDER)),
        ],
        ids=["no text", "not one SMS", "another country", "no recipient", "no number"],
    )
    def test_a_request_with_a_mistake_is_refused_and_in_the_ledger(
        self, tmp_path, changes, outcome
    ):
        async def scenario(on):
            return await sent(on, **changes), on.verdicts()

        assert in_bench(tmp_path, scenario) == (outcome, [("refused_request", False)])

    @pytest.mark.parametrize("mode", ["SINGLE", None, 7])
    def test_a_mode_that_is_none_is_refused(self, tmp_path, mode):
        assert posted(tmp_path, {**A_MESSAGE, "mode": mode})[0] == 400

    @pytest.mark.parametrize("phone", ["+12025550143", "12025550143", "", None, 2025550143])
    def test_a_recipient_must_have_ten_digits(self, tmp_path, phone):
        assert posted(tmp_path, {**A_MESSAGE, "contactPhone": phone})[0] == 422

    def test_without_a_token_it_is_refused_as_theirs_does(self, tmp_path):
        status, content_type, answer = posted(tmp_path, A_MESSAGE, token="")
        assert (status, content_type) == (401, "application/problem+json")
        assert answer.pop("timestamp") > 0
        assert answer == {
            "status": "UNAUTHORIZED",
            "errorCode": "ERR_AUTH_TOKEN_MISSING",
            "code": "ERR_AUTH_TOKEN_MISSING",
            "message": "Auth token is missing",
            "errorDetails": [],
            "path": "/v2/api/messages",
        }

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 60_000])
    def test_a_body_that_is_no_message_gets_the_gateways_answer_which_proves_nothing(
        self, tmp_path, body
    ):
        status, _, answer = posted(tmp_path, body)
        response = HttpResponse(status=status, headers={}, body=json.dumps(answer).encode())
        assert ST.read_response([a_send()], response) == {"r1": Unknown("400 UNKNOWN_ERR")}

    def test_half_a_character_is_taken_as_a_question_mark(self, tmp_path):
        body = json.dumps(A_MESSAGE).replace('"hi"', r'"a\ud800"').encode()
        assert posted(tmp_path, body)[0] == 201
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert entry.submission.text == "a?"

    def test_a_path_that_is_nothing_is_not_found(self, tmp_path):
        assert posted(tmp_path, A_MESSAGE, "campaigns")[0] == 404


class TestMagicNumbers:
    @pytest.mark.parametrize(
        ("digits", "outcome", "verdict"),
        [
            ("0001", Rejected(RECIPIENT, "ERR_PHONE_INVALID"), ("refused_invalid", False)),
            (
                "0003",
                Rejected(RECIPIENT, "ERR_CONTACT_UNSUBSCRIBED", opted_out=True),
                ("refused_opted_out", False),
            ),
            ("0005", NotSent("429", throttled=True), ("throttled", False)),
            ("0006", Unknown("500"), ("accepted_500", True)),
            ("0007", Unknown("Disconnected"), ("accepted_closed", True)),
            ("0009", Unknown("200 JSONDecodeError"), ("accepted_garbage", True)),
            (
                "0013",
                NotSent("ERR_AUTH_TOKEN_MISSING", fault=Fault.ACCOUNT),
                ("refused_401", False),
            ),
        ],
    )
    def test_the_last_four_digits_decide(self, tmp_path, digits, outcome, verdict):
        async def scenario(on):
            return await sent(on, to_e164=f"+1202555{digits}"), on.verdicts()

        assert in_bench(tmp_path, scenario) == (outcome, [verdict])

    def test_a_landline_is_taken(self, tmp_path):
        outcome = in_bench(tmp_path, lambda on: sent(on, to_e164="+12025550002"))
        assert isinstance(outcome, Accepted)

    def test_a_subsystem_that_is_down_leaves_it_unknown(self, tmp_path):
        async def scenario(on):
            await on.control({"mode": "503"})
            return await sent(on)

        assert in_bench(tmp_path, scenario) == Unknown("503")


class TestLookUps:
    def test_a_message_is_found_by_its_id(self, tmp_path):
        async def scenario(on):
            accepted = await sent(on)
            found = await looked_up(on, provider_ref=accepted.provider_ref)
            return found.report.provider_ref == accepted.provider_ref, found.report.status

        assert in_bench(tmp_path, scenario) == (True, Status.ACCEPTED)

    @pytest.mark.parametrize("digits", ["0006", "0007", "0009", "0143"])
    def test_what_was_taken_is_found_in_the_list_whatever_was_answered(self, tmp_path, digits):
        async def scenario(on):
            to = f"+1202555{digits}"
            await sent(on, to_e164=to)
            return type(await looked_up(on, to_e164=to))

        assert in_bench(tmp_path, scenario) is Found

    def test_beside_a_message_of_another_attempt_the_lost_one_is_found(self, tmp_path):
        async def scenario(on):
            accepted = await sent(on)
            await on.control({"mode": "close_after_read"})
            await sent(on, "r2")
            found = await looked_up(on, other_refs=frozenset({accepted.provider_ref}))
            return found.report.provider_ref == on.ledger()[-1].provider_ref

        assert in_bench(tmp_path, scenario)

    def test_two_of_the_same_text_are_left_open(self, tmp_path):
        async def scenario(on):
            await sent(on)
            await sent(on, "r2")
            return await looked_up(on)

        assert in_bench(tmp_path, scenario) == Several(2)

    def test_what_was_not_taken_is_not_listed(self, tmp_path):
        async def scenario(on):
            await on.control({"mode": "503"})
            await sent(on)
            return await looked_up(on)

        assert in_bench(tmp_path, scenario) == NotListed()

    @pytest.mark.parametrize("ref", ["x", "f" * 24, "0" * 23 + "1", "0" * 24])
    def test_an_id_that_was_never_given_is_not_listed(self, tmp_path, ref):
        async def scenario(on):
            await sent(on)
            return await looked_up(on, provider_ref=ref)

        assert in_bench(tmp_path, scenario) == NotListed()

    @pytest.mark.parametrize("by_id", [True, False])
    def test_another_accounts_messages_are_not_shown(self, tmp_path, by_id):
        async def scenario(on):
            accepted = await sent(on)
            ref = accepted.provider_ref if by_id else ""
            return await looked_up(on, "st-another", provider_ref=ref)

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_another_numbers_messages_are_not_shown(self, tmp_path):
        async def scenario(on):
            await sent(on)
            return await looked_up(on, from_value="+15005550002")

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_the_list_comes_in_pages_newest_first(self, tmp_path):
        async def scenario(on):
            for n in range(3):
                await sent(on, f"r{n}", text=f"{n}")
            query = "messages?contactPhone=2025550143&accountPhone=5005550001&size=2"
            pages = [await got(on, f"{query}&page={page}") for page in range(2)]
            return [
                ([one["text"] for one in page["content"]], page["totalPages"])
                for _, _, page in pages
            ]

        assert in_bench(tmp_path, scenario) == [(["2", "1"], 2), (["0"], 2)]

    def test_a_time_leaves_out_what_came_before_it(self, tmp_path):
        async def scenario(on):
            await sent(on)
            return await looked_up(on, intended_at=datetime.now(UTC) + timedelta(minutes=1))

        assert in_bench(tmp_path, scenario) == NotListed()

    @pytest.mark.parametrize(
        "query",
        [
            "contactPhone=2025550143",
            "contactPhone=2025550143&accountPhone=5005550001&colour=red",
            "contactPhone=2025550143&accountPhone=5005550001&size=501",
            "contactPhone=2025550143&accountPhone=5005550001&size=0",
            "contactPhone=2025550143&accountPhone=5005550001&page=x",
            "contactPhone=2025550143&accountPhone=5005550001&since=noon",
            "contactPhone=2025550143&accountPhone=5005550001&since=2026-01-01",
        ],
    )
    def test_a_filter_with_a_mistake_is_refused(self, tmp_path, query):
        assert answer_to(tmp_path, f"messages?{query}")[0] == 400

    def test_without_a_token_nothing_is_shown(self, tmp_path):
        assert answer_to(tmp_path, "messages", token="")[0] == 401
