"""Vonage's two wires, asked by our adapters, and what they post read by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from providers.adapters.vonage_sms import VonageSms
from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    Found,
    LookUp,
    NoAnswer,
    NotListed,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from providers.simulator import HOST
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.vonage_bench import BOTH, FROM, LONG, MESSAGES, SMS, TO, access_of, sent


async def looked_up(on, adapter, access=None, **changes):
    values = {
        "ref": "r1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi & bye",
        "intended_at": datetime.now(UTC),
    }
    access = access or access_of(adapter, on.port)
    return await on.transport.look_up(adapter, LookUp(**{**values, **changes}), access)


def outcome_of(tmp_path, adapter, **changes):
    return in_bench(tmp_path, lambda on: sent(on, adapter, **changes))


async def got(on, path, **query):
    url = f"http://{HOST}:{on.port}{path}"
    headers = {"Authorization": aiohttp.encode_basic_auth("key1", "secret1")}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url, params=query) as response,
    ):
        return response.status, await response.json()


class TestSending:
    @BOTH
    def test_a_message_is_accepted_with_the_id_that_the_ledger_has(self, tmp_path, adapter):
        outcome = outcome_of(tmp_path, adapter)
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert isinstance(outcome, Accepted)
        assert (outcome.provider_ref, outcome.part_refs) == (entry.provider_ref, ())

    def test_a_long_one_has_an_id_for_each_part(self, tmp_path):
        outcome = outcome_of(tmp_path, SMS, text="a" * 307)
        assert outcome.segments == 3
        assert len({outcome.provider_ref, *outcome.part_refs}) == 3

    @BOTH
    def test_the_ledger_has_what_was_sent_with_numbers_in_full(self, tmp_path, adapter):
        outcome_of(tmp_path, adapter, ref="r7", text='ё "quoted"\n& more')
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        message = entry.submission
        assert (message.provider, message.account) == (adapter.kind, "key1")
        assert (message.from_value, message.to, message.ref) == (FROM, TO, "r7")
        assert message.text == 'ё "quoted"\n& more'

    def test_a_text_that_does_not_say_its_alphabet_loses_letters(self, tmp_path):
        class Silent(VonageSms):
            def build_request(self, sends, access):
                request = super().build_request(sends, access)
                request.form.pop("type")
                return request

        outcome_of(tmp_path, Silent(), text="ё!")
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert entry.submission.text == "?!"

    @pytest.mark.parametrize(
        ("adapter", "changes", "outcome"),
        [
            (SMS, {"text": ""}, Rejected(ErrorClass.PERMANENT_CONTENT, "status 2")),
            (SMS, {"to_e164": ""}, Rejected(ErrorClass.PERMANENT_RECIPIENT, "status 2")),
            (SMS, {"to_e164": "12"}, Rejected(ErrorClass.PERMANENT_RECIPIENT, "status 3")),
            (SMS, {"from_value": ""}, NotSent("status 2", fault=Fault.SENDER)),
            (SMS, {"text": "a" * 3_201}, Rejected(ErrorClass.PERMANENT_CONTENT, "status 12")),
            (SMS, {"ref": "r" * 41}, Rejected(ErrorClass.PERMANENT_CONTENT, "status 3")),
            (MESSAGES, {"text": ""}, Rejected(ErrorClass.PERMANENT_CONTENT, "1010")),
            (MESSAGES, {"to_e164": ""}, Rejected(ErrorClass.PERMANENT_RECIPIENT, "1170")),
            (MESSAGES, {"from_value": ""}, NotSent("1120", fault=Fault.SENDER)),
            (MESSAGES, {"text": "a" * 3_201}, Rejected(ErrorClass.PERMANENT_CONTENT, "1090")),
            (MESSAGES, {"ref": "r" * 101}, Rejected(ErrorClass.PERMANENT_CONTENT, "1020")),
        ],
    )
    def test_a_request_with_a_mistake_is_refused_and_in_the_ledger(
        self, tmp_path, adapter, changes, outcome
    ):
        async def scenario(on):
            return await sent(on, adapter, **changes), on.verdicts()

        assert in_bench(tmp_path, scenario) == (outcome, [("refused_request", False)])

    @pytest.mark.parametrize(
        ("adapter", "outcome"),
        [
            (SMS, NotSent("status 4", fault=Fault.ACCOUNT)),
            (MESSAGES, NotSent("401", fault=Fault.ACCOUNT)),
        ],
    )
    def test_an_account_without_a_secret_is_refused(self, tmp_path, adapter, outcome):
        async def scenario(on):
            return await sent(on, adapter, access=access_of(adapter, on.port, api_secret=""))

        assert in_bench(tmp_path, scenario) == outcome

    @BOTH
    def test_a_life_within_their_bounds_is_taken(self, tmp_path, adapter):
        now = datetime.now(UTC)
        ends = {"decided_at": now, "not_after": now + timedelta(seconds=37)}
        assert isinstance(outcome_of(tmp_path, adapter, **ends), Accepted)

    @BOTH
    def test_one_that_would_be_kept_past_its_time_never_reaches_them(self, tmp_path, adapter):
        now = datetime.now(UTC)
        ends = {"decided_at": now, "not_after": now + timedelta(seconds=36)}
        assert outcome_of(tmp_path, adapter, **ends) == NotSent("ends_too_soon")
        assert not list(read_ledger(tmp_path / "ledger.jsonl"))


class TestMagicNumbers:
    @pytest.mark.parametrize(
        ("digits", "sms", "messages", "verdict"),
        [
            (
                "0001",
                Rejected(ErrorClass.PERMANENT_RECIPIENT, "status 6"),
                Rejected(ErrorClass.PERMANENT_RECIPIENT, "1170"),
                ("refused_invalid", False),
            ),
            (
                "0005",
                NotSent("status 1", throttled=True, retry_after=1.0),
                NotSent("429", throttled=True),
                ("throttled", False),
            ),
            ("0006", Unknown("status 5"), Unknown("500"), ("accepted_500", True)),
            ("0007", Unknown("Disconnected"), Unknown("Disconnected"), ("accepted_closed", True)),
            (
                "0009",
                Unknown("200 JSONDecodeError"),
                Unknown("200 JSONDecodeError"),
                ("accepted_garbage", True),
            ),
            (
                "0013",
                NotSent("status 4", fault=Fault.ACCOUNT),
                NotSent("401", fault=Fault.ACCOUNT),
                ("refused_401", False),
            ),
        ],
    )
    @BOTH
    def test_the_last_four_digits_decide(self, tmp_path, adapter, digits, sms, messages, verdict):
        async def scenario(on):
            return await sent(on, adapter, to_e164=f"+1202555{digits}"), on.verdicts()

        outcome = sms if adapter is SMS else messages
        assert in_bench(tmp_path, scenario) == (outcome, [verdict])

    @BOTH
    def test_503_is_unknown(self, tmp_path, adapter):
        async def scenario(on):
            await on.control({"mode": "503"})
            return await sent(on, adapter)

        assert in_bench(tmp_path, scenario) == Unknown("503")

    def test_the_answer_to_another_message_is_not_taken_for_ours(self, tmp_path):
        async def scenario(on):
            await sent(on, SMS, "r0")
            await on.control({"mode": "another_id"})
            return await sent(on, SMS, "r1")

        assert in_bench(tmp_path, scenario) == Unknown("the answer names another message")


class TestLookUps:
    @BOTH
    def test_a_message_is_found_by_its_id(self, tmp_path, adapter):
        async def scenario(on):
            accepted = await sent(on, adapter)
            found = await looked_up(on, adapter, provider_ref=accepted.provider_ref)
            return found.report.provider_ref == accepted.provider_ref, found.report.status

        status = Status.ACCEPTED if adapter is SMS else Status.SENT
        assert in_bench(tmp_path, scenario) == (True, status)

    def test_so_is_any_part_of_a_long_one(self, tmp_path):
        async def scenario(on):
            accepted = await sent(on, SMS, text=LONG)
            (second,) = accepted.part_refs
            found = await looked_up(on, SMS, provider_ref=second)
            return found.report.provider_ref == second

        assert in_bench(tmp_path, scenario)

    @BOTH
    @pytest.mark.parametrize("digits", ["0006", "0007", "0009", "0143"])
    def test_what_was_taken_is_found_in_the_list_whatever_was_answered(
        self, tmp_path, adapter, digits
    ):
        async def scenario(on):
            to = f"+1202555{digits}"
            await sent(on, adapter, to_e164=to, text=LONG)
            return type(await looked_up(on, adapter, to_e164=to))

        assert in_bench(tmp_path, scenario) is Found

    @BOTH
    @pytest.mark.parametrize(
        "changes",
        [{"ref": "r2"}, {"to_e164": "+12025550144"}, {"provider_ref": "x"}],
        ids=["another message", "another number", "an id that was never given"],
    )
    def test_another_is_not_listed(self, tmp_path, adapter, changes):
        async def scenario(on):
            await sent(on, adapter)
            return await looked_up(on, adapter, **changes)

        assert in_bench(tmp_path, scenario) == NotListed()

    @BOTH
    @pytest.mark.parametrize("hours", [-1, 1])
    def test_another_time_is_not_listed(self, tmp_path, adapter, hours):
        async def scenario(on):
            await sent(on, adapter)
            at = datetime.now(UTC) + timedelta(hours=hours)
            return await looked_up(on, adapter, intended_at=at)

        assert in_bench(tmp_path, scenario) == NotListed()

    @BOTH
    def test_another_accounts_and_the_other_apis_messages_are_not_shown(self, tmp_path, adapter):
        other = MESSAGES if adapter is SMS else SMS

        async def scenario(on):
            await sent(on, adapter)
            access = access_of(adapter, on.port, api_key="key2")
            return await looked_up(on, adapter, access), await looked_up(on, other)

        assert in_bench(tmp_path, scenario) == (NotListed(), NotListed())

    @BOTH
    def test_an_account_without_a_secret_is_told_nothing(self, tmp_path, adapter):
        async def scenario(on):
            return await looked_up(on, adapter, access_of(adapter, on.port, api_secret=""))

        assert in_bench(tmp_path, scenario) == NoAnswer("401")

    WHOLE = {
        "account_id": "key1",
        "product": "SMS",
        "direction": "outbound",
        "date_start": "2026-11-30T10:00:00Z",
        "date_end": "2026-11-30T11:00:00Z",
        "to": "12025550143",
    }

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({}, 200),
            ({"product": "VOICE-CALL"}, 422),
            ({"direction": "inbound"}, 422),
            ({"colour": "red"}, 422),
            ({"to": None}, 422),
            ({"date_start": "noon"}, 422),
            ({"date_start": "2026-11-30T10:00:00"}, 422),
            ({"date_end": "2026-12-01T10:00:01Z"}, 422),
            ({"account_id": "key2"}, 401),
        ],
    )
    def test_a_filter_with_a_mistake_is_refused(self, tmp_path, changes, status):
        query = {name: value for name, value in {**self.WHOLE, **changes}.items() if value}

        async def scenario(on):
            return (await got(on, "/v2/reports/records", **query))[0]

        assert in_bench(tmp_path, scenario) == status

    @pytest.mark.parametrize("path", ["/sms/json", "/v1/messages", "/v1/messages/x"])
    def test_a_path_that_is_nothing_is_not_found(self, tmp_path, path):
        async def scenario(on):
            return (await got(on, path))[0]

        assert in_bench(tmp_path, scenario) == 404
