"""Plivo's wire, asked by our adapter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from providers.adapters.plivo import Plivo
from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    Found,
    LookUp,
    NotListed,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from providers.simulator import HOST
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.hooks import MA, plivo_access
from tests.providers.peers import a_send, an_access

TO, FROM = "+12025550143", "+15005550001"
RECIPIENT = Rejected(ErrorClass.PERMANENT_RECIPIENT, "400")
AUTH = {"Authorization": aiohttp.encode_basic_auth(MA, "token")}


async def sent(on, ref="r1", access=None, **changes):
    send = a_send(ref, **changes)
    return (await on.transport.send(Plivo(), [send], access or plivo_access(on.port)))[ref]


async def looked_up(on, access=None, **changes):
    values = {
        "ref": "r1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi & bye",
        "intended_at": datetime.now(UTC),
    }
    look_up = LookUp(**{**values, **changes})
    return await on.transport.look_up(Plivo(), look_up, access or plivo_access(on.port))


async def got(on, path, *, method="GET", body=b""):
    url = f"http://{HOST}:{on.port}/v1/Account/{path}"
    async with (
        aiohttp.ClientSession(headers=AUTH) as session,
        session.request(method, url, data=body or None) as response,
    ):
        return response.status, await response.json()


def answer_to(tmp_path, path, **options):
    return in_bench(tmp_path, lambda on: got(on, path, **options))


def posted(tmp_path, body, path=f"{MA}/Message/"):
    return answer_to(tmp_path, path, method="POST", body=body)


class TestSending:
    def test_a_message_is_accepted_with_the_id_that_the_ledger_has(self, tmp_path):
        outcome = in_bench(tmp_path, sent)
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert outcome == Accepted(entry.provider_ref)
        assert len(entry.provider_ref) == 36

    def test_the_ledger_has_what_was_sent_with_numbers_in_full(self, tmp_path):
        in_bench(tmp_path, lambda on: sent(on, "r7", text='é "quoted"\n& more'))
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        message = entry.submission
        assert (message.provider, message.account, message.from_value) == ("plivo", MA, FROM)
        assert (message.to, message.text, message.ref) == (TO, 'é "quoted"\n& more', "r7")

    def test_a_short_code_stays_as_it_is(self, tmp_path):
        in_bench(tmp_path, lambda on: sent(on, from_value="12345"))
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert entry.submission.from_value == "12345"

    def test_a_success_reads_as_plivos(self, tmp_path):
        body = json.dumps({"src": "15005550001", "dst": "12025550143", "text": "hi"}).encode()
        status, answer = posted(tmp_path, body)
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert status == 202
        assert answer.pop("api_id")
        assert answer == {
            "message": "message(s) queued",
            "message_uuid": [entry.provider_ref],
        }

    @pytest.mark.parametrize(
        ("changes", "outcome"),
        [
            ({"text": ""}, Rejected(ErrorClass.PERMANENT_CONTENT, "400")),
            ({"text": "a" * 1601}, Rejected(ErrorClass.PERMANENT_CONTENT, "400")),
            ({"to_e164": ""}, RECIPIENT),
            ({"to_e164": "+12025550143<12025550144"}, RECIPIENT),
            ({"from_value": ""}, NotSent("400", fault=Fault.SENDER)),
        ],
        ids=["no text", "too long", "no recipient", "two recipients", "no sender"],
    )
    def test_a_request_with_a_mistake_is_refused_and_in_the_ledger(
        self, tmp_path, changes, outcome
    ):
        async def scenario(on):
            return await sent(on, **changes), on.verdicts()

        assert in_bench(tmp_path, scenario) == (outcome, [("refused_request", False)])

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 60_000, b'{"dst": 7}'])
    def test_a_body_that_is_no_message_is_refused(self, tmp_path, body):
        status, answer = posted(tmp_path, body)
        assert (status, set(answer)) == (400, {"api_id", "error"})

    def test_half_a_character_is_taken_as_a_question_mark(self, tmp_path):
        body = b'{"src": "15005550001", "dst": "12025550143", "text": "a\\ud800"}'
        assert posted(tmp_path, body)[0] == 202
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert entry.submission.text == "a?"

    def test_another_accounts_password_is_refused(self, tmp_path):
        async def scenario(on):
            async with aiohttp.ClientSession(headers=AUTH) as session:
                url = f"http://{HOST}:{on.port}/v1/Account/MA9/Message/"
                async with session.post(url, json={"src": "1", "dst": "2"}) as response:
                    return response.status

        assert in_bench(tmp_path, scenario) == 401


class TestMagicNumbers:
    @pytest.mark.parametrize(
        ("digits", "outcome", "verdict"),
        [
            (
                "0001",
                Rejected(ErrorClass.PERMANENT_RECIPIENT, "invalid_number"),
                ("refused_invalid", False),
            ),
            ("0002", RECIPIENT, ("refused_landline", False)),
            ("0003", RECIPIENT, ("refused_opted_out", False)),
            ("0005", NotSent("429", throttled=True), ("throttled", False)),
            ("0006", Unknown("500"), ("accepted_500", True)),
            ("0007", Unknown("Disconnected"), ("accepted_closed", True)),
            ("0009", Unknown("200 JSONDecodeError"), ("accepted_garbage", True)),
            ("0013", NotSent("401", fault=Fault.ACCOUNT), ("refused_401", False)),
        ],
    )
    def test_the_last_four_digits_decide(self, tmp_path, digits, outcome, verdict):
        async def scenario(on):
            return await sent(on, to_e164=f"+1202555{digits}"), on.verdicts()

        assert in_bench(tmp_path, scenario) == (outcome, [verdict])


class TestLookUps:
    def test_a_message_is_found_by_its_id(self, tmp_path):
        async def scenario(on):
            accepted = await sent(on)
            found = await looked_up(on, provider_ref=accepted.provider_ref)
            return found.report.provider_ref == accepted.provider_ref, found.report.status

        assert in_bench(tmp_path, scenario) == (True, Status.SENT)

    @pytest.mark.parametrize("digits", ["0006", "0007", "0009", "0143"])
    def test_what_was_taken_is_found_in_the_list_whatever_was_answered(self, tmp_path, digits):
        async def scenario(on):
            to = f"+1202555{digits}"
            await sent(on, to_e164=to)
            return type(await looked_up(on, to_e164=to))

        assert in_bench(tmp_path, scenario) is Found

    def test_what_was_not_taken_is_not_listed(self, tmp_path):
        async def scenario(on):
            await on.control({"mode": "503"})
            await sent(on)
            return await looked_up(on)

        assert in_bench(tmp_path, scenario) == NotListed()

    @pytest.mark.parametrize("ref", ["x", "1" * 40, "00000000-0000-0000-0000-000000000001"])
    def test_an_id_that_was_never_given_is_not_listed(self, tmp_path, ref):
        async def scenario(on):
            await sent(on)
            return await looked_up(on, provider_ref=ref)

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_another_accounts_messages_are_not_shown(self, tmp_path):
        async def scenario(on):
            await sent(on)
            access = an_access(on.port, kind="plivo", secrets={"auth_id": "MA9", "auth_token": "x"})
            return await looked_up(on, access)

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_the_list_comes_in_pages(self, tmp_path):
        async def scenario(on):
            for n in range(3):
                await sent(on, f"r{n}", text=f"{n}")
            first = await got(on, f"{MA}/Message/?to_number=12025550143&limit=2")
            second = await got(on, f"{MA}/Message/?to_number=12025550143&limit=2&offset=2")
            return [
                (status, len(page["objects"]), page["meta"]["total_count"], page["meta"]["next"])
                for status, page in (first, second)
            ]

        more = f"/v1/Account/{MA}/Message/?limit=2&offset=2"
        assert in_bench(tmp_path, scenario) == [(200, 2, 3, more), (200, 1, 3, None)]

    @pytest.mark.parametrize("shift", [-60, 60], ids=["before", "after"])
    def test_times_leave_out_what_came(self, tmp_path, shift):
        async def scenario(on):
            await sent(on)
            at = datetime.now(UTC) + timedelta(seconds=shift)
            name = "message_time__gte" if shift > 0 else "message_time__lte"
            query = f"to_number=12025550143&{name}={at:%Y-%m-%d+%H:%M:%S}"
            _, page = await got(on, f"{MA}/Message/?{query}")
            return page["objects"]

        assert in_bench(tmp_path, scenario) == []

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "to_number=1&colour=red",
            "to_number=1&limit=x",
            "to_number=1&limit=%C2%B2",
            "to_number=1&message_time__gte=noon",
        ],
    )
    def test_a_filter_with_a_mistake_is_refused(self, tmp_path, query):
        status, _ = answer_to(tmp_path, f"{MA}/Message/?{query}")
        assert status == 400

    def test_a_path_that_is_nothing_is_not_found(self, tmp_path):
        assert posted(tmp_path, b"{}", f"{MA}/Call/")[0] == 404
