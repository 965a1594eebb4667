"""PineApple's wire, asked by our adapter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    Found,
    NoAnswer,
    NotListed,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.conversing import Line, asked
from tests.providers.hooks import FROM, in_scene

SECRETS = {"api_key": "pa-1", "webhook_secret": "w0"}
PINEAPPLE = Line("pineapple", SECRETS, "/pineapple")
STRANGER = Line("pineapple", {**SECRETS, "api_key": "pa-2"}, "/pineapple")
TO = "+12025550143"
RECIPIENT = ErrorClass.PERMANENT_RECIPIENT
PATH, HEADERS = "/pineapple/v1/messages", {"Authorization": "Bearer pa-1"}
NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)


def outcome(tmp_path, **changes):
    return in_bench(tmp_path, lambda on: PINEAPPLE.sent(on, **changes))


def entry_of(tmp_path):
    (entry,) = read_ledger(tmp_path / "ledger.jsonl")
    return entry


class TestSending:
    def test_a_message_is_accepted_with_the_id_that_the_ledger_has(self, tmp_path):
        assert outcome(tmp_path) == Accepted(entry_of(tmp_path).provider_ref)

    def test_the_ledger_has_what_was_sent(self, tmp_path):
        outcome(tmp_path, ref="r7", text='é "quoted"\n& more')
        sent = entry_of(tmp_path).submission
        assert (sent.provider, sent.account) == ("pineapple", "pa-1")
        assert (sent.from_value, sent.to, sent.ref) == ("+15005550001", TO, "r7")
        assert sent.text == 'é "quoted"\n& more'

    def test_a_message_may_have_an_end(self, tmp_path):
        ends = NOON + timedelta(minutes=10)
        assert isinstance(outcome(tmp_path, not_after=ends, decided_at=NOON), Accepted)

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [
            ({"to_e164": "12"}, Rejected(RECIPIENT, "invalid_recipient")),
            ({"from_value": ""}, NotSent("invalid_sender", fault=Fault.SENDER)),
            ({"text": ""}, Unknown("bad_request")),
            ({"text": "a" * 1_601}, Unknown("bad_request")),
        ],
    )
    def test_a_request_with_a_mistake_is_refused(self, tmp_path, changes, refused):
        assert outcome(tmp_path, **changes) == refused
        assert entry_of(tmp_path).verdict == "refused_request"

    @pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"[" * 60_000])
    def test_a_body_that_is_no_message_is_refused(self, tmp_path, body):
        status, answer = in_bench(
            tmp_path, lambda on: asked(on, "POST", PATH, body=body, headers=HEADERS)
        )
        assert (status, json.loads(answer)["error"]["code"]) == (400, "bad_request")

    @pytest.mark.parametrize("life", [0, -1, 259_201, "soon"])
    def test_a_life_that_is_none_is_refused(self, tmp_path, life):
        body = json.dumps({"from": FROM, "to": TO, "body": "hi", "valid_for_seconds": life})
        status, _ = in_bench(
            tmp_path, lambda on: asked(on, "POST", PATH, body=body.encode(), headers=HEADERS)
        )
        assert status == 400

    def test_a_request_without_a_key_is_refused(self, tmp_path):
        status, _ = in_bench(tmp_path, lambda on: asked(on, "POST", PATH, body=b"{}"))
        assert status == 401


@pytest.mark.parametrize(
    ("digits", "refused"),
    [
        ("0001", Rejected(RECIPIENT, "invalid_recipient")),
        ("0002", Rejected(RECIPIENT, "landline")),
        ("0003", Rejected(RECIPIENT, "opted_out", opted_out=True)),
        ("0005", NotSent("429", throttled=True)),
        ("0006", Unknown("500")),
        ("0009", Unknown("200")),
        ("0013", NotSent("unauthorized", fault=Fault.ACCOUNT)),
    ],
)
def test_a_magic_number_is_refused_in_their_words(tmp_path, digits, refused):
    assert outcome(tmp_path, to_e164=f"+1202555{digits}") == refused


def test_an_account_that_is_throttled_is_told_how_long(tmp_path):
    async def scenario(on):
        await on.control({"mode": "429_retry_after"})
        return await PINEAPPLE.sent(on)

    assert in_bench(tmp_path, scenario) == NotSent("429", throttled=True, retry_after=2.0)


class TestALookUp:
    def test_finds_a_message_by_our_reference(self, tmp_path):
        async def scenario(on):
            taken = await PINEAPPLE.sent(on)
            return taken.provider_ref, await PINEAPPLE.looked_up(on)

        provider_ref, found = in_bench(tmp_path, scenario)
        assert isinstance(found, Found)
        assert (found.report.ref, found.report.provider_ref) == ("r1", provider_ref)
        assert found.report.status == Status.SENT

    def test_finds_a_message_by_its_id(self, tmp_path):
        async def scenario(on):
            taken = await PINEAPPLE.sent(on)
            return await PINEAPPLE.looked_up(on, provider_ref=taken.provider_ref)

        assert isinstance(in_bench(tmp_path, scenario), Found)

    def test_finds_one_whose_answer_was_lost(self, tmp_path):
        async def scenario(on):
            lost = await PINEAPPLE.sent(on, to_e164="+12025550007")
            return lost, await PINEAPPLE.looked_up(on, to_e164="+12025550007")

        lost, found = in_bench(tmp_path, scenario)
        assert (type(lost), type(found)) == (Unknown, Found)

    @pytest.mark.parametrize("changes", [{"ref": "r2"}, {"provider_ref": "pa_0"}])
    def test_finds_no_other(self, tmp_path, changes):
        async def scenario(on):
            await PINEAPPLE.sent(on)
            return await PINEAPPLE.looked_up(on, **changes)

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_finds_none_of_another_account(self, tmp_path):
        async def scenario(on):
            taken = await PINEAPPLE.sent(on)
            by_id = await STRANGER.looked_up(on, provider_ref=taken.provider_ref)
            return by_id, await STRANGER.looked_up(on)

        assert in_bench(tmp_path, scenario) == (NotListed(), NotListed())

    def test_without_a_key_is_no_answer(self, tmp_path):
        nobody = Line("pineapple", {**SECRETS, "api_key": ""}, "/pineapple")
        assert isinstance(in_bench(tmp_path, nobody.looked_up), NoAnswer)


async def reported(scene, to=TO, **told):
    await scene.told(account={"name": "pa-1", "token": "w0"})
    await scene.told(reports={"intermediate": False, **told})
    await PINEAPPLE.sent(scene.on, to_e164=to, status_callback_url=scene.hooks.url(ref="r1"))
    (call,) = await scene.hooks.wait_for(1)
    return call


class TestWhatComesBack:
    @pytest.mark.parametrize(
        ("to", "status", "code", "is_blocked"),
        [
            (TO, Status.DELIVERED, "", False),
            ("+12025550004", Status.REJECTED, "blocked", True),
            ("+12025550012", Status.EXPIRED, "expired", False),
        ],
    )
    def test_a_report_is_read(self, tmp_path, to, status, code, is_blocked):
        call = in_scene(tmp_path, lambda scene: reported(scene, to))
        is_genuine, report = PINEAPPLE.heard(call)
        assert is_genuine
        assert (report.ref, report.recipient_e164) == ("r1", to)
        assert (report.status, report.code, report.carrier_blocked) == (status, code, is_blocked)

    def test_a_report_is_not_believed_with_another_secret(self, tmp_path):
        call = in_scene(tmp_path, reported)
        assert not PINEAPPLE.heard(call, webhook_secret="w1")[0]

    def test_nothing_is_posted_without_the_accounts_secret(self, tmp_path):
        async def act(scene):
            await scene.told(reports={"intermediate": False})
            await PINEAPPLE.sent(scene.on, status_callback_url=scene.hooks.url(ref="r1"))
            return await scene.quiet()

        assert in_scene(tmp_path, act)["left_out"] == {"no token known": 1}

    def test_a_text_is_read(self, tmp_path):
        async def act(scene):
            url = scene.hooks.url("/inbound")
            await scene.told(account={"name": "pa-1", "inbound_url": url, "token": "w0"})
            words = {"from": TO, "to": FROM, "text": "Stop \u2026 é", "account": "pa-1"}
            told = await scene.told(inbound=words)
            (call,) = await scene.hooks.wait_for(1)
            return told["provider_ref"], call

        provider_ref, call = in_scene(tmp_path, act)
        is_genuine, found = PINEAPPLE.heard(call)
        assert is_genuine
        assert (found.from_e164, found.to_value, found.text) == (TO, FROM, "Stop \u2026 é")
        assert found.provider_ref == provider_ref

    @pytest.mark.parametrize("how", ["wrong", "none", "changed"])
    def test_a_forged_text_is_not_believed(self, tmp_path, how):
        async def act(scene):
            url = scene.hooks.url("/inbound")
            await scene.told(account={"name": "pa-1", "inbound_url": url, "token": "w0"})
            words = {"from": TO, "to": FROM, "text": "hi", "account": "pa-1", "forged": how}
            await scene.told(inbound=words)
            (call,) = await scene.hooks.wait_for(1)
            return call

        assert not PINEAPPLE.heard(in_scene(tmp_path, act))[0]
