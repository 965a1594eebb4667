from __future__ import annotations

import pytest

from tests.providers.hooks import FROM, MA, SETTLED, TO, in_scene
from tests.providers.peers import ACCOUNT


class TestInbound:
    INBOUND = {"from": FROM, "to": TO, "text": "STOP"}

    async def ready(self, scene, *, send="send"):
        await getattr(scene, send)("r0")
        name = ACCOUNT if send == "send" else MA
        await scene.told(account={"name": name, "inbound_url": scene.hooks.url("/in")})

    def test_a_text_comes_in_as_twilio_posts_it(self, tmp_path):
        async def act(scene):
            await self.ready(scene)
            told = await scene.told(inbound=self.INBOUND)
            (call,) = await scene.hooks.wait_for(1)
            return told["provider_ref"], call

        ref, call = in_scene(tmp_path, act)
        wanted = {"MessageSid": ref, "From": FROM, "To": TO, "Body": "STOP", "NumMedia": "0"}
        assert wanted.items() <= call.form.items()
        assert call.is_by_twilio()
        assert call.url.endswith("/in")

    def test_a_text_comes_in_as_plivo_posts_it(self, tmp_path):
        async def act(scene):
            await self.ready(scene, send="send_by_plivo")
            told = await scene.told(inbound={**self.INBOUND, "text": "é 😀"})
            (call,) = await scene.hooks.wait_for(1)
            return told["provider_ref"], call

        ref, call = in_scene(tmp_path, act)
        wanted = {"MessageUUID": ref, "From": "12025550143", "To": "15005550001", "Text": "é 😀"}
        assert wanted.items() <= call.form.items()
        assert call.is_by_plivo()

    def test_the_answer_names_its_numbers_in_the_ledger(self, tmp_path):
        async def act(scene):
            await self.ready(scene)
            told = await scene.told(inbound={**self.INBOUND, "times": 3})
            await scene.quiet()
            return told, scene.lines(kind="inbound"), scene.answers()

        told, lines, answers = in_scene(tmp_path, act)
        assert sorted((line["callback"], line["copy"]) for line in lines) == [
            (1, 1),
            (2, 2),
            (3, 3),
        ]
        assert told["callbacks"] == [1, 2, 3]
        assert {line["provider_ref"] for line in lines} == {told["provider_ref"]}
        assert answers == {1: 200, 2: 200, 3: 200}

    def test_its_ledger_lines_have_every_member(self, tmp_path):
        async def act(scene):
            await self.ready(scene, send="send_by_plivo")
            told = await scene.told(inbound=self.INBOUND)
            await scene.quiet()
            return told["provider_ref"], scene.lines()

        ref, (line,) = in_scene(tmp_path, act)
        assert line.pop("posted_at") > 1_700_000_000
        assert line == {
            "callback": 1,
            "kind": "inbound",
            "provider": "plivo",
            "account": MA,
            "genuine": True,
            "copy": 1,
            "provider_ref": ref,
            "from": FROM,
            "to": TO,
            "text": "STOP",
        }

    def test_an_earlier_one_can_be_repeated(self, tmp_path):
        async def act(scene):
            await self.ready(scene)
            first = await scene.told(inbound=self.INBOUND)
            ref = first["provider_ref"]
            await scene.hooks.wait_for(1)
            await scene.told(inbound={**self.INBOUND, "provider_ref": ref})
            await scene.quiet()
            refs = [call.form["MessageSid"] for call in scene.hooks.calls]
            return refs == [ref, ref], [line["copy"] for line in scene.lines()]

        assert in_scene(tmp_path, act) == (True, [1, 2])

    @pytest.mark.parametrize("how", [True, "wrong", "none", "changed"])
    @pytest.mark.parametrize("send", ["send", "send_by_plivo"])
    def test_a_forged_one_is_not_genuine_for_the_packages(self, tmp_path, send, how):
        async def act(scene):
            await self.ready(scene, send=send)
            await scene.told(inbound={**self.INBOUND, "forged": how})
            (call,) = await scene.hooks.wait_for(1)
            await scene.quiet()
            is_genuine = call.is_by_twilio if send == "send" else call.is_by_plivo
            return is_genuine(), [line["genuine"] for line in scene.lines()]

        assert in_scene(tmp_path, act) == (False, [False])

    def test_one_with_plivos_older_signature_is_genuine(self, tmp_path):
        async def act(scene):
            await self.ready(scene, send="send_by_plivo")
            await scene.told(inbound={**self.INBOUND, "v2": True})
            (call,) = await scene.hooks.wait_for(1)
            return call.is_by_plivo(), "x-plivo-signature-v2" in call.headers

        assert in_scene(tmp_path, act) == (True, True)

    def test_an_account_can_be_named_where_nothing_was_sent(self, tmp_path):
        async def act(scene):
            url = scene.hooks.url("/in")
            await scene.told(account={"name": MA, "token": "t", "inbound_url": url})
            await scene.told(inbound={**self.INBOUND, "account": MA})
            (call,) = await scene.hooks.wait_for(1)
            return call.is_by_plivo("t")

        assert in_scene(tmp_path, act)

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"from": "Ann"}, "from"),
            ({"to": None}, "to"),
            ({"text": None}, "text"),
            ({"text": 7}, "text"),
            ({"text": "\ud800"}, "half a character"),
            ({"text": "a" * 1601}, "1,600"),
            ({"times": 0}, "times"),
            ({"times": 1001}, "times"),
            ({"forged": "badly"}, "forged"),
            ({"forged": ["wrong"]}, "forged"),
            ({"v2": 1}, "v2"),
            ({"colour": "red"}, "colour"),
            ({"to": "+15005550009"}, "nothing was sent"),
            ({"account": "X1"}, "provider"),
            ({"account": "X1", "provider": "nobody"}, "provider"),
            ({"account": "AC9"}, "inbound_url"),
        ],
    )
    def test_a_mistake_is_told_and_posts_nothing(self, tmp_path, changes, word):
        async def act(scene):
            await self.ready(scene)
            error = await scene.refused(inbound={**self.INBOUND, **changes})
            return error, (await scene.quiet())["posted"]

        error, posted = in_scene(tmp_path, act)
        assert word in error
        assert posted == 0

    def test_an_account_without_a_token_cannot_be_written_to(self, tmp_path):
        async def act(scene):
            await scene.told(account={"name": MA, "inbound_url": scene.hooks.url("/in")})
            return await scene.refused(inbound={**self.INBOUND, "account": MA})

        assert "token" in in_scene(tmp_path, act)


class TestReplies:
    async def ready(self, scene, **orders):
        await scene.send("r0", to_e164="+12025550199")
        url = scene.hooks.url("/in")
        await scene.told(account={"name": ACCOUNT, "inbound_url": url})
        await scene.told(replies={"delay_ms": 0, **orders})

    def texts(self, scene):
        return [(line["from"], line["text"]) for line in scene.lines(kind="inbound")]

    def test_a_person_answers_a_text(self, tmp_path):
        async def act(scene):
            await self.ready(scene, **{"Stop pls": 1})
            await scene.send()
            (call,) = await scene.hooks.wait_for(1)
            return call.form["From"], call.form["To"], call.form["Body"], call.is_by_twilio()

        assert in_scene(tmp_path, act) == (FROM, TO, "Stop pls", True)

    def test_once_only_whatever_they_get(self, tmp_path):
        async def act(scene):
            await self.ready(scene, STOP=1)
            for n in range(3):
                await scene.send(f"r{n}")
            await scene.quiet()
            return self.texts(scene)

        assert in_scene(tmp_path, act) == [(FROM, "STOP")]

    def test_who_has_not_got_it_does_not_answer(self, tmp_path):
        async def act(scene):
            await self.ready(scene, STOP=1)
            await scene.told(reports={"undelivered": 1})
            await scene.send()
            return (await scene.quiet())["posted_by_kind"]

        assert in_scene(tmp_path, act) == {"report": 2}

    def test_the_answer_comes_after_the_last_report(self, tmp_path):
        async def act(scene):
            await self.ready(scene, STOP=1)
            await scene.told(reports={})
            await scene.send()
            await scene.quiet()
            return [line["kind"] for line in scene.lines()]

        assert in_scene(tmp_path, act) == ["report", "report", "inbound"]

    def test_0014_answers_stop_when_reports_are_on(self, tmp_path):
        async def act(scene):
            await self.ready(scene)
            await scene.told(reports=SETTLED)
            await scene.send(to_e164="+12025550014")
            await scene.quiet()
            return self.texts(scene)

        assert in_scene(tmp_path, act) == [("+12025550014", "STOP")]

    def test_a_forged_stop_comes_from_who_did_not_write(self, tmp_path):
        async def act(scene):
            await self.ready(scene, forged=1)
            await scene.send()
            (call,) = await scene.hooks.wait_for(1)
            await scene.quiet()
            return call.form["Body"], call.is_by_twilio(), scene.lines()[0]["genuine"]

        assert in_scene(tmp_path, act) == ("STOP", False, False)

    def test_without_an_inbound_url_it_is_counted(self, tmp_path):
        async def act(scene):
            await scene.told(replies={"STOP": 1, "delay_ms": 0})
            await scene.send()
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no inbound_url": 1}

    def test_what_a_phone_sent_is_remembered_with_its_answer(self, tmp_path):
        async def act(scene):
            await self.ready(scene, STOP=1)
            await scene.send()
            await scene.quiet()
            return scene.on.simulator._callbacks.heard(FROM)

        (heard,) = in_scene(tmp_path, act)
        assert (heard.to, heard.text, heard.answer) == (TO, "STOP", 200)


class TestALostWebhook:
    INBOUND = {"from": FROM, "to": TO, "text": "STOP"}

    def posted(self, tmp_path, account, **text):
        """How many callbacks left for a text, and why others did not."""

        async def act(scene):
            await scene.send("r0")
            url = scene.hooks.url("/in")
            await scene.told(account={"name": ACCOUNT, "inbound_url": url, **account})
            told = await scene.told(inbound={**self.INBOUND, **text})
            await scene.quiet()
            state = await scene.callbacks()
            return told["callbacks"], state["left_out"]

        return in_scene(tmp_path, act)

    def test_of_one_text_is_posted_to_nobody(self, tmp_path):
        callbacks, left_out = self.posted(tmp_path, {}, lost=True)
        assert (callbacks, left_out) == ([], {"its webhook was lost": 1})

    def test_is_every_one_of_an_account_that_loses_its_texts(self, tmp_path):
        callbacks, left_out = self.posted(tmp_path, {"loses_texts": True})
        assert (callbacks, left_out) == ([], {"its webhook was lost": 1})

    def test_is_none_when_it_loses_them_no_more(self, tmp_path):
        callbacks, left_out = self.posted(tmp_path, {"loses_texts": False})
        assert (callbacks, left_out) == ([1], {})
