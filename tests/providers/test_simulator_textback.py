"""TextBack's wire, asked by our adapter."""

from __future__ import annotations

import json

import pytest

from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    NoAnswer,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.conversing import Line, asked
from tests.providers.hooks import FROM, in_scene

TEXTBACK = Line("textback", {"token": "tb-1", "secret": "s0"})
TO = "+12025550143"
RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT
PATH, HEADERS = "/api/v2/message/send", {"token": "tb-1", "secret": "s0"}


def outcome(tmp_path, **changes):
    return in_bench(tmp_path, lambda on: TEXTBACK.sent(on, **changes))


def entry_of(tmp_path):
    (entry,) = read_ledger(tmp_path / "ledger.jsonl")
    return entry


class TestSending:
    def test_a_message_is_accepted_with_the_id_that_the_ledger_has(self, tmp_path):
        assert outcome(tmp_path) == Accepted(entry_of(tmp_path).provider_ref)

    def test_the_ledger_has_what_was_sent(self, tmp_path):
        outcome(tmp_path, ref="r7", text='é "quoted"\n& more {ref}')
        sent = entry_of(tmp_path).submission
        assert (sent.provider, sent.account) == ("textback", "tb-1")
        assert (sent.from_value, sent.to, sent.ref) == ("+15005550001", TO, "r7")
        assert sent.text == 'é "quoted"\n& more {ref}'

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [
            ({"to_e164": "12"}, Rejected(RECIPIENT, "INVALID_RECIPIENT")),
            ({"from_value": ""}, NotSent("INVALID_SENDER", fault=Fault.SENDER)),
            ({"text": ""}, Rejected(CONTENT, "EMPTY_TEXT")),
            ({"text": "a" * 1_601}, Rejected(CONTENT, "TEXT_TOO_LONG")),
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
        assert (status, json.loads(answer)["code"]) == (400, "BAD_REQUEST")

    @pytest.mark.parametrize("missing", ["token", "secret"])
    def test_a_request_without_a_header_is_refused(self, tmp_path, missing):
        headers = {name: value for name, value in HEADERS.items() if name != missing}
        status, _ = in_bench(
            tmp_path, lambda on: asked(on, "POST", PATH, body=b"{}", headers=headers)
        )
        assert status == 401


@pytest.mark.parametrize(
    ("digits", "refused"),
    [
        ("0001", Rejected(RECIPIENT, "INVALID_RECIPIENT")),
        ("0002", Rejected(RECIPIENT, "LANDLINE")),
        ("0003", Rejected(RECIPIENT, "OPTED_OUT", only_here=True)),
        ("0005", NotSent("429", throttled=True)),
        ("0006", Unknown("500")),
        ("0009", Unknown("200")),
        ("0013", NotSent("UNAUTHORIZED", fault=Fault.ACCOUNT)),
    ],
)
def test_a_magic_number_is_refused_in_their_words(tmp_path, digits, refused):
    assert outcome(tmp_path, to_e164=f"+1202555{digits}") == refused


async def reported(scene, to=TO, **told):
    await scene.told(reports={"intermediate": False, **told})
    await TEXTBACK.sent(scene.on, to_e164=to, status_callback_url=scene.hooks.url(ref="r1"))
    (call,) = await scene.hooks.wait_for(1)
    return call


class TestWhatComesBack:
    @pytest.mark.parametrize(
        ("to", "status", "code"),
        [
            (TO, Status.DELIVERED, ""),
            ("+12025550004", Status.REJECTED, "CARRIER_BLOCKED"),
            ("+12025550012", Status.EXPIRED, "EXPIRED"),
        ],
    )
    def test_a_report_is_read(self, tmp_path, to, status, code):
        call = in_scene(tmp_path, lambda scene: reported(scene, to))
        is_genuine, report = TEXTBACK.heard(call)
        assert is_genuine
        assert (report.ref, report.status, report.code) == ("r1", status, code)
        assert report.provider_ref == entry_of_lines(tmp_path)

    def test_a_report_shows_the_token_of_an_account_that_has_one(self, tmp_path):
        async def act(scene):
            await scene.told(account={"name": "tb-1", "token": "w0"})
            return await reported(scene)

        call = in_scene(tmp_path, act)
        assert TEXTBACK.heard(call, webhook_token="w0")[0]
        assert not TEXTBACK.heard(call, webhook_token="w1")[0]

    def test_a_text_is_read(self, tmp_path):
        async def act(scene):
            await scene.told(account={"name": "tb-1", "inbound_url": scene.hooks.url("/inbound")})
            words = {"from": TO, "to": FROM, "text": "Stop \u2026 é", "account": "tb-1"}
            told = await scene.told(inbound=words)
            (call,) = await scene.hooks.wait_for(1)
            return told["provider_ref"], call

        provider_ref, call = in_scene(tmp_path, act)
        is_genuine, found = TEXTBACK.heard(call)
        assert is_genuine
        assert (found.from_e164, found.to_value, found.text) == (TO, FROM, "Stop \u2026 é")
        assert found.provider_ref == provider_ref


def entry_of_lines(tmp_path):
    entries = [entry for entry in read_ledger(tmp_path / "ledger.jsonl") if entry.took]
    return entries[0].provider_ref


def test_nobody_can_be_asked(tmp_path):
    found = in_bench(tmp_path, TEXTBACK.looked_up)
    assert found == NoAnswer("look_up_not_offered")
