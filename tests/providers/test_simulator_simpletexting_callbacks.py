"""What SimpleTexting's wire posts, read by our adapter."""

from __future__ import annotations

import json

import pytest

from providers.base import Callback, DeliveryReport, InboundMessage, Status
from tests.providers.hooks import SETTLED, in_scene
from tests.providers.peers import a_send
from tests.providers.simpletexting import ACCESS, FROM, ST, TOKEN, simulated

PERSON = "+12025550143"
INBOUND = {"from": PERSON, "to": FROM, "text": "Hello?"}


async def ready(scene, **reports):
    """The account's one address is told, and what is reported."""
    url = scene.hooks.url("/in")
    await scene.told(account={"name": TOKEN, "provider": "simpletexting", "inbound_url": url})
    await scene.told(reports=reports)


async def sent(scene, ref="r1", **changes):
    on, send = scene.on, a_send(ref, status_callback_url="", **changes)
    return (await on.transport.send(ST, [send], simulated(on.port)))[ref]


def read(call):
    """What our adapter makes of it, when it takes it for genuine."""
    callback = Callback(
        method="POST", url=call.url, headers=call.headers, query={}, form={}, body=call.body
    )
    return ST.read_callback(callback) if ST.is_genuine(callback, ACCESS) else None


class TestReports:
    def test_lead_to_the_message_by_its_id(self, tmp_path):
        async def act(scene):
            await ready(scene)
            outcome = await sent(scene)
            return outcome.provider_ref, [read(call) for call in await scene.hooks.wait_for(2)]

        ref, reports = in_scene(tmp_path, act)
        assert {(report.provider_ref, report.ref) for report in reports} == {(ref, "")}
        assert [report.status for report in reports] == [Status.SENT, Status.DELIVERED]
        assert {report.recipient_e164 for report in reports} == {PERSON}

    def test_have_what_they_send_and_no_signature(self, tmp_path):
        async def act(scene):
            await ready(scene, **SETTLED)
            outcome = await sent(scene, text="a" * 200, segments=2)
            (call,) = await scene.hooks.wait_for(1)
            return outcome.provider_ref, call

        ref, call = in_scene(tmp_path, act)
        body = json.loads(call.body)
        assert len(body.pop("reportId")) == len(body.pop("webhookId")) == 24
        assert body == {
            "type": "DELIVERY_REPORT",
            "values": {
                "messageId": ref,
                "category": "EXTENDED_SMS",
                "referenceType": "API",
                "accountPhone": "5005550001",
                "contactPhone": "2025550143",
                "carrier": "Verizon",
            },
        }
        assert call.url.endswith("/in")
        assert call.headers["content-type"] == "application/json"
        assert not [name for name in call.headers if "signature" in name]

    @pytest.mark.parametrize("digits", ["0002", "0004", "0012"])
    def test_never_say_why_it_was_not_delivered(self, tmp_path, digits):
        async def act(scene):
            await ready(scene, **SETTLED)
            await sent(scene, to_e164=f"+1202555{digits}")
            (call,) = await scene.hooks.wait_for(1)
            return read(call)

        report = in_scene(tmp_path, act)
        assert (report.status, report.code) == (Status.UNDELIVERED, "")

    def test_that_come_twice_have_one_key_and_others_have_others(self, tmp_path):
        async def act(scene):
            await ready(scene)
            await sent(scene, to_e164="+12025550011")
            return [read(call).dedupe_key for call in await scene.hooks.wait_for(4)]

        first, again, other, other_again = in_scene(tmp_path, act)
        assert (first, other) == (again, other_again)
        assert first != other

    def test_of_what_was_taken_come_whatever_was_answered(self, tmp_path):
        async def act(scene):
            await ready(scene, **SETTLED)
            await sent(scene, to_e164="+12025550007")
            (call,) = await scene.hooks.wait_for(1)
            return type(read(call))

        assert in_scene(tmp_path, act) is DeliveryReport

    def test_come_to_no_address_where_the_account_has_none(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await sent(scene)
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no callback URL": 1}

    def test_of_another_provider_do_not_go_to_that_address(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            name = scene.on.access.secrets["account_sid"]
            await scene.told(account={"name": name, "inbound_url": scene.hooks.url("/in")})
            await scene.send(status_callback_url="")
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no callback URL": 1}

    def test_are_not_posted_again(self, tmp_path):
        async def act(scene):
            await ready(scene, **SETTLED)
            await sent(scene)
            state = await scene.quiet()
            return state["answers"], state["retrying"]

        assert in_scene(tmp_path, act, status=lambda n: 503) == ({"503": 1}, 0)

    def test_are_not_forged_for_there_is_nothing_to_forge(self, tmp_path):
        async def act(scene):
            await ready(scene, **SETTLED, forged=1)
            await sent(scene)
            await scene.quiet()
            return [line["genuine"] for line in scene.lines()]

        assert in_scene(tmp_path, act) == [True]

    def test_of_which_half_came_are_not_taken(self, tmp_path):
        async def act(scene):
            await ready(scene, **SETTLED, truncated=1)
            await sent(scene)
            return [read(call) is None for call in await scene.hooks.wait_for(2)]

        assert in_scene(tmp_path, act) == [True, False]

    def test_of_a_burst_need_no_token(self, tmp_path):
        (tmp_path / "refs.csv").write_text(f"r1,{'ab' * 12},{PERSON}")
        told = {"provider": "simpletexting", "account": TOKEN, "word": "DELIVERY_REPORT"}

        async def act(scene):
            url, file = scene.hooks.url("/burst"), str(tmp_path / "refs.csv")
            await scene.told(burst={**told, "url": url, "file": file})
            (call,) = await scene.hooks.wait_for(1)
            return read(call).provider_ref

        assert in_scene(tmp_path, act) == "ab" * 12


class TestTexts:
    async def come_in(self, scene, **changes):
        await ready(scene)
        told = {**INBOUND, "account": TOKEN, "provider": "simpletexting", **changes}
        answer = await scene.told(inbound=told)
        (call,) = await scene.hooks.wait_for(1)
        return answer["provider_ref"], read(call)

    def test_come_in(self, tmp_path):
        ref, text = in_scene(tmp_path, lambda scene: self.come_in(scene, text="é 😀"))
        assert (text.provider_ref, text.text) == (ref, "é 😀")
        assert (text.from_e164, text.to_value) == (PERSON, FROM)
        assert not text.is_provider_optout

    @pytest.mark.parametrize("word", ["STOP", "stop ", "Unsubscribe"])
    def test_that_say_stop_come_as_an_opt_out_to_no_number(self, tmp_path, word):
        ref, text = in_scene(tmp_path, lambda scene: self.come_in(scene, text=word))
        assert (text.provider_ref, text.is_provider_optout) == (ref, True)
        assert (text.from_e164, text.to_value, text.text) == (PERSON, "", "")

    def test_of_a_person_who_answers_come_in(self, tmp_path):
        async def act(scene):
            await ready(scene, **SETTLED)
            await scene.told(replies={"HELP": 1, "delay_ms": 0})
            await sent(scene)
            _, call = await scene.hooks.wait_for(2)
            return read(call)

        text = in_scene(tmp_path, act)
        assert isinstance(text, InboundMessage)
        assert (text.from_e164, text.text) == (PERSON, "HELP")

    def test_cannot_be_forged(self, tmp_path):
        async def act(scene):
            await ready(scene)
            return await scene.refused(
                inbound={
                    **INBOUND,
                    "account": TOKEN,
                    "provider": "simpletexting",
                    "forged": True,
                }
            )

        assert "no signature to forge" in in_scene(tmp_path, act)

    def test_of_a_forger_among_the_people_are_left_out(self, tmp_path):
        async def act(scene):
            await ready(scene, **SETTLED)
            await scene.told(replies={"forged": 1, "delay_ms": 0})
            await sent(scene)
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no signature to forge": 1}
