"""Slooce's wire, asked by our adapter."""

from __future__ import annotations

import pytest

from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected, Unknown
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.conversing import Line, asked
from tests.providers.hooks import in_scene

SLOOCE = Line("slooce", {"partner_id": "slooce-1", "partner_password": "p<w"})
KEYWORD, PERSON = "ACME", "+12025550143"
RECIPIENT = ErrorClass.PERMANENT_RECIPIENT


def outcome(tmp_path, **changes):
    return in_bench(tmp_path, lambda on: SLOOCE.sent(on, **{"from_value": KEYWORD, **changes}))


def entry_of(tmp_path):
    (entry,) = read_ledger(tmp_path / "ledger.jsonl")
    return entry


class TestSending:
    def test_a_message_is_accepted_under_our_own_id(self, tmp_path):
        assert outcome(tmp_path) == Accepted("r1")

    def test_the_ledger_has_what_was_sent(self, tmp_path):
        outcome(tmp_path, ref="r7", text='"It\'s" <5 & more\nbye')
        sent = entry_of(tmp_path).submission
        assert (sent.provider, sent.account, sent.from_value) == ("slooce", "slooce-1", KEYWORD)
        assert (sent.to, sent.text, sent.ref) == (PERSON, '"It\'s" <5 & more\nbye', "r7")

    @pytest.mark.parametrize(
        ("changes", "refused"),
        [
            ({"to_e164": "+12"}, Rejected(RECIPIENT, "invalid phonenumber")),
            ({"from_value": "12"}, NotSent("invalid keyword", fault=Fault.SENDER)),
            ({"text": ""}, Rejected(ErrorClass.PERMANENT_CONTENT, "empty mt request")),
            ({"text": "a" * 161}, Unknown("unknown error")),
            ({"text": "caf\u00e9"}, Unknown("unknown error")),
        ],
        ids=["no number", "no keyword", "no text", "too long", "a letter carriers reject"],
    )
    def test_a_request_with_a_mistake_is_refused(self, tmp_path, changes, refused):
        assert outcome(tmp_path, **changes) == refused
        assert entry_of(tmp_path).verdict == "refused_request"

    @pytest.mark.parametrize("body", [b"<", b"{}", b"<x/>", b"<message/>"])
    def test_a_body_without_a_password_is_refused(self, tmp_path, body):
        path = "/slooce_apps/spi/slooce-1/12025550143/ACME/messages/mt"
        status, answer = in_bench(tmp_path, lambda on: asked(on, "POST", path, body=body))
        assert (status, 'result="unknown error"' in answer) == (401, True)

    def test_another_command_is_not_spoken(self, tmp_path):
        path = "/slooce_apps/spi/slooce-1/12025550143/ACME/messages/start"
        status, _ = in_bench(tmp_path, lambda on: asked(on, "POST", path, body=b"<message/>"))
        assert status == 404


class TestMagicNumbers:
    @pytest.mark.parametrize(
        ("digits", "refused"),
        [
            ("0001", Rejected(RECIPIENT, "invalid phonenumber")),
            ("0002", Rejected(RECIPIENT, "unsupported operator")),
            ("0003", Rejected(RECIPIENT, "invalid mt request", only_here=True)),
            ("0005", NotSent("429", throttled=True)),
            ("0006", Unknown("500")),
            ("0009", Unknown("200")),
            ("0013", NotSent("unknown error", fault=Fault.ACCOUNT)),
        ],
    )
    def test_a_refusal_is_in_their_words(self, tmp_path, digits, refused):
        assert outcome(tmp_path, to_e164=f"+1202555{digits}") == refused


class TestWhatComesBack:
    async def written(self, scene, text, **told):
        url = scene.hooks.url("/inbound")
        await scene.told(account={"name": "slooce-1", "inbound_url": url})
        words = {"from": PERSON, "to": KEYWORD, "text": text, "account": "slooce-1"}
        await scene.told(inbound={**words, **told})
        (call,) = await scene.hooks.wait_for(1)
        return call

    @pytest.mark.parametrize(
        ("text", "said", "opts_out"),
        [
            ("Yes, caf\u00e9 & <b>", "Yes, caf\u00e9 & <b>", False),
            ("stop", "STOP", True),
            ("help", "HELP", False),
        ],
    )
    def test_a_text_is_read(self, tmp_path, text, said, opts_out):
        call = in_scene(tmp_path, lambda scene: self.written(scene, text))
        is_genuine, found = SLOOCE.heard(call)
        assert is_genuine
        assert (found.from_e164, found.to_value, found.text) == (PERSON, KEYWORD, said)
        assert found.is_provider_optout is opts_out

    def test_a_text_needs_no_secret_of_the_account(self, tmp_path):
        call = in_scene(tmp_path, lambda scene: self.written(scene, "hi"))
        assert call.headers["content-type"] == "application/xml"

    def test_nothing_is_reported(self, tmp_path):
        async def act(scene):
            await scene.told(reports={})
            await SLOOCE.sent(scene.on, from_value=KEYWORD)
            return await scene.quiet()

        state = in_scene(tmp_path, act)
        assert (state["posted"], state["left_out"]) == (0, {})

    @pytest.mark.parametrize("sender", [KEYWORD, "MG0123"])
    def test_nobody_can_write_to_a_name_of_another_provider(self, tmp_path, sender):
        async def act(scene):
            url = scene.hooks.url("/inbound")
            told = {"name": "AC1", "inbound_url": url, "token": "t"}
            await scene.told(account=told)
            words = {"from": PERSON, "to": sender, "text": "hi", "account": "AC1"}
            return await scene.refused(inbound=words)

        assert in_scene(tmp_path, act) == f"at twilio nobody can write to {sender}"


def test_a_person_can_answer_on_the_pretend_phone(tmp_path):
    async def act(scene):
        await scene.told(account={"name": "slooce-1", "inbound_url": scene.hooks.url("/inbound")})
        await SLOOCE.sent(scene.on, from_value=KEYWORD)
        command = {"from": PERSON, "to": KEYWORD, "text": "Hello"}
        status, _ = await scene.on.control(command, "/phone/answer")
        (call,) = await scene.hooks.wait_for(1)
        return status, SLOOCE.heard(call)[1].text

    assert in_scene(tmp_path, act) == (200, "Hello")
