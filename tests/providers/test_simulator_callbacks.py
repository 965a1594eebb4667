"""What the simulator posts to us, checked with the providers' own packages."""

from __future__ import annotations

import asyncio

import pytest

from providers.base import Accepted
from tests.providers.hooks import CLOSES, HANGS, MA, Call, in_scene
from tests.providers.peers import ACCOUNT, an_access

FROM, TO = "+12025550143", "+15005550001"
SETTLED = {"intermediate": False}


def test_nothing_is_posted_until_told(tmp_path):
    async def act(scene):
        await scene.send()
        return (await scene.quiet())["posted"], scene.hooks.calls

    assert in_scene(tmp_path, act) == (0, [])


class TestReports:
    def test_a_message_is_reported_sent_and_then_delivered(self, tmp_path):
        async def act(scene):
            await scene.told(reports={})
            outcome = await scene.send()
            calls = await scene.hooks.wait_for(2)
            return outcome.provider_ref, [(call.word, call.form["MessageSid"]) for call in calls]

        ref, words = in_scene(tmp_path, act)
        assert words == [("sent", ref), ("delivered", ref)]

    def test_a_report_has_what_twilio_sends(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            outcome = await scene.send()
            (call,) = await scene.hooks.wait_for(1)
            return outcome.provider_ref, call

        ref, call = in_scene(tmp_path, act)
        form = call.form
        assert form.pop("RawDlrDoneDate").isdigit()
        assert form == {
            "SmsSid": ref,
            "SmsStatus": "delivered",
            "MessageStatus": "delivered",
            "To": FROM,
            "MessageSid": ref,
            "AccountSid": ACCOUNT,
            "From": TO,
            "ApiVersion": "2010-04-01",
        }
        assert call.url.endswith("/status?ref=r1")
        assert call.headers["content-type"] == "application/x-www-form-urlencoded; charset=UTF-8"

    def test_a_report_has_what_plivo_sends(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            outcome = await scene.send_by_plivo(text="a" * 200)
            (call,) = await scene.hooks.wait_for(1)
            return outcome.provider_ref, call.form

        ref, form = in_scene(tmp_path, act)
        wanted = {
            "MessageUUID": ref,
            "ParentMessageUUID": ref,
            "To": "12025550143",
            "From": "15005550001",
            "Status": "delivered",
            "ErrorCode": "000",
            "Units": "2",
            "Sequence": "2",
        }
        assert wanted.items() <= form.items()

    @pytest.mark.parametrize("v2", [0, 1])
    def test_the_packages_of_the_providers_find_them_genuine(self, tmp_path, v2):
        async def act(scene):
            await scene.told(reports={**SETTLED, "v2": v2})
            await scene.send("r1")
            await scene.hooks.wait_for(1)
            await scene.send_by_plivo("r2")
            by_twilio, by_plivo = await scene.hooks.wait_for(2)
            is_old = "x-plivo-signature-v2" in by_plivo.headers
            return by_twilio.is_by_twilio(), by_plivo.is_by_plivo(), is_old

        assert in_scene(tmp_path, act) == (True, True, bool(v2))

    def test_a_token_that_was_given_signs_instead_of_the_one_learnt(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.told(account={"name": ACCOUNT, "token": "other"})
            await scene.send()
            (call,) = await scene.hooks.wait_for(1)
            return call.is_by_twilio("other"), call.is_by_twilio()

        assert in_scene(tmp_path, act) == (True, False)

    @pytest.mark.parametrize(
        ("digits", "twilio", "plivo"),
        [
            ("0004", [("undelivered", "30007")], [("undelivered", "30")]),
            ("0012", [("failed", "30036")], [("failed", "420")]),
            ("0010", [], []),
        ],
        ids=["blocked by the carrier", "expired", "never reported"],
    )
    def test_the_last_four_digits_decide_the_ending(self, tmp_path, digits, twilio, plivo):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send("r1", to_e164=f"+1202555{digits}")
            await scene.send_by_plivo("r2", to_e164=f"+1202555{digits}")
            await scene.quiet()
            return [
                [(line["word"], line["code"]) for line in scene.lines(provider=provider)]
                for provider in ("twilio", "plivo")
            ]

        assert in_scene(tmp_path, act) == [twilio, plivo]

    def test_0011_is_reported_out_of_order_and_twice(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send(to_e164="+12025550011")
            await scene.quiet()
            return [(line["word"], line["copy"]) for line in scene.lines()]

        found = in_scene(tmp_path, act)
        assert found == [("delivered", 1), ("delivered", 2), ("sent", 1), ("sent", 2)]

    @pytest.mark.parametrize(
        ("orders", "words"),
        [
            ({"undelivered": 1}, ["sent", "undelivered"]),
            ({"failed": 1}, ["sent", "failed"]),
            ({"reversed": 1}, ["delivered", "sent"]),
            ({"twice": 1, "intermediate": False}, ["delivered", "delivered"]),
        ],
        ids=["undelivered", "failed", "reversed", "twice"],
    )
    def test_orders_change_them(self, tmp_path, orders, words):
        async def act(scene):
            await scene.told(reports=orders)
            await scene.send()
            return [call.word for call in await scene.hooks.wait_for(2)]

        assert in_scene(tmp_path, act) == words

    def test_null_ends_them(self, tmp_path):
        async def act(scene):
            await scene.told(reports={})
            await scene.told(reports=None)
            await scene.send()
            return (await scene.quiet())["posted"]

        assert in_scene(tmp_path, act) == 0

    @pytest.mark.parametrize("digits", ["0001", "0003", "0013"])
    def test_what_was_not_taken_is_not_reported(self, tmp_path, digits):
        async def act(scene):
            await scene.told(reports={})
            await scene.send(to_e164=f"+1202555{digits}")
            return (await scene.quiet())["posted"]

        assert in_scene(tmp_path, act) == 0

    @pytest.mark.parametrize("digits", ["0006", "0007", "0009"])
    def test_what_was_taken_is_reported_whatever_was_answered(self, tmp_path, digits):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send(to_e164=f"+1202555{digits}")
            (call,) = await scene.hooks.wait_for(1)
            return call.word

        assert in_scene(tmp_path, act) == "delivered"

    def test_before_the_answer_means_that_it_waits_for_them(self, tmp_path):
        async def act(scene):
            await scene.told(reports={"before_answer": 1, "delay_ms": 60_000})
            outcome = await scene.send()
            return type(outcome), [call.word for call in scene.hooks.calls]

        assert in_scene(tmp_path, act) == (Accepted, ["sent", "delivered"])

    def test_a_delay_holds_them_back(self, tmp_path):
        async def act(scene):
            await scene.told(reports={"delay_ms": 60_000})
            await scene.send()
            return (await scene.callbacks())["waiting"], scene.hooks.calls

        assert in_scene(tmp_path, act) == (1, [])

    @pytest.mark.parametrize(
        "url",
        [
            "http://192.0.2.1/status",
            "https://hooks.example.com/cb?ref=r1",
            "http://127.0.0.1@hooks.example.com/",
            "http://user@127.0.0.1/",
            "file:///etc/passwd",
            "http://127.0.0.1/a b",
            "127.0.0.1",
        ],
    )
    def test_only_this_machine_is_posted_to(self, tmp_path, url):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send(status_callback_url=url)
            state = await scene.quiet()
            return state["posted"], state["left_out"], scene.lines()

        assert in_scene(tmp_path, act) == (0, {"not this machine": 1}, [])

    def test_a_redirect_is_not_followed(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send()
            return (await scene.quiet())["answers"]

        assert in_scene(tmp_path, act, status=lambda n: 307) == {"307": 1}

    def test_an_api_keys_secret_signs_nothing(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            key = {"api_key_sid": "SK1", "api_key_secret": "secret"}
            scene.on.access = an_access(scene.on.port, secrets={**scene.on.access.secrets, **key})
            await scene.send()
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no token known": 1}

    def test_a_message_without_a_callback_url_is_counted(self, tmp_path):
        async def act(scene):
            await scene.told(reports={})
            await scene.send(status_callback_url="")
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no callback URL": 1}

    def test_no_more_than_64_are_under_way_at_once(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            for n in range(70):
                await scene.send(f"r{n}")
            await scene.hooks.wait_for(64)
            state = await scene.callbacks()
            return state["in_flight"], state["waiting"]

        assert in_scene(tmp_path, act, status=lambda n: HANGS) == (64, 6)

    def test_connections_are_kept_and_not_many(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            for n in range(20):
                await scene.send(f"r{n}")
                await scene.hooks.wait_for(n + 1)
                await scene.quiet()
            return scene.hooks.peer.connections

        assert in_scene(tmp_path, act) == 1


class TestForgedReports:
    def forged(self, tmp_path, send, **orders):
        """What was posted for 30 messages, all with a forgery: (call, whether it is genuine)."""

        async def act(scene):
            await scene.told(reports={**SETTLED, "forged": 1, **orders})
            for n in range(30):
                await send(scene, f"r{n}")
            await scene.quiet()
            return sorted(scene.lines(), key=lambda line: line["callback"]), scene.hooks.calls

        return in_scene(tmp_path, act)

    def test_twilios_package_finds_none_of_them_genuine(self, tmp_path):
        lines, calls = self.forged(tmp_path, lambda scene, ref: scene.send(ref))
        genuine = {("delivered", True): 30, ("failed", False): 30}
        assert _count(calls, lambda call: (call.word, call.is_by_twilio())) == genuine
        assert _count(lines, lambda line: (line["word"], line["genuine"])) == genuine

    def test_plivos_package_finds_none_of_them_genuine(self, tmp_path):
        _, calls = self.forged(tmp_path, lambda scene, ref: scene.send_by_plivo(ref))
        wanted = {("delivered", True): 30, ("failed", False): 30}
        assert _count(calls, lambda call: (call.word, call.is_by_plivo())) == wanted

    def test_they_are_of_three_kinds(self, tmp_path):
        _, calls = self.forged(tmp_path, lambda scene, ref: scene.send(ref))
        genuine = {call.url: call.body for call in calls if call.word == "delivered"}
        kinds = {_kind(call, genuine[call.url]) for call in calls if call.word == "failed"}
        assert kinds == {"none", "wrong", "changed"}

    def test_the_older_signature_of_a_genuine_one_is_used_again_with_other_fields(self, tmp_path):
        _, calls = self.forged(tmp_path, lambda scene, ref: scene.send_by_plivo(ref), v2=1)
        nonces = {}
        for call in calls:
            nonce = call.headers.get("x-plivo-signature-v2-nonce")
            nonces.setdefault(nonce, []).append((call.word, call.is_by_plivo()))
        again = [words for words in nonces.values() if len(words) == 2]
        assert again
        assert all(words == [("delivered", True), ("failed", True)] for words in again)

    def test_a_genuine_one_that_was_not_taken_is_not_copied(self, tmp_path):
        async def act(scene):
            await scene.told(reports={**SETTLED, "forged": 1, "v2": 1})
            for n in range(30):
                await scene.send_by_plivo(f"r{n}")
            await scene.quiet()
            return [call.is_by_plivo() for call in scene.hooks.calls if call.word == "failed"]

        assert not any(in_scene(tmp_path, act, status=lambda n: 503))


class TestReportsThatComeAmiss:
    SENDS = [
        pytest.param(lambda scene: scene.send(), id="twilio"),
        pytest.param(lambda scene: scene.send_by_plivo(), id="plivo"),
    ]

    def amiss(self, tmp_path, send, **orders):
        async def act(scene):
            await scene.told(reports={**SETTLED, **orders})
            await send(scene)
            await scene.quiet()
            return sorted(scene.lines(), key=lambda line: line["callback"]), scene.hooks.calls

        return in_scene(tmp_path, act)

    @pytest.mark.parametrize("send", SENDS)
    def test_half_of_one_has_the_signature_of_the_whole(self, tmp_path, send):
        lines, (half, whole) = self.amiss(tmp_path, send, truncated=1)
        assert [line["genuine"] for line in lines] == [False, True]
        assert whole.body.startswith(half.body)
        assert len(half.body) == len(whole.body) // 2
        assert [call.is_by_twilio() or call.is_by_plivo() for call in (half, whole)] == [
            False,
            True,
        ]

    @pytest.mark.parametrize("send", SENDS)
    def test_one_is_repeated_letter_by_letter(self, tmp_path, send):
        lines, (first, again) = self.amiss(tmp_path, send, repeated=1)
        assert first == again
        assert [(line["genuine"], line["copy"]) for line in lines] == [(True, 1), (True, 2)]

    def test_one_that_was_not_taken_is_not_repeated(self, tmp_path):
        async def act(scene):
            await scene.told(reports={**SETTLED, "repeated": 1})
            await scene.told(retries={"after_ms": []})
            await scene.send()
            await scene.quiet()
            return len(scene.hooks.calls)

        assert in_scene(tmp_path, act, status=lambda n: 503) == 1


def _count(things, key):
    found = {}
    for thing in things:
        found[key(thing)] = found.get(key(thing), 0) + 1
    return found


def _kind(forgery, genuine_body):
    if "x-twilio-signature" not in forgery.headers:
        return "none"
    unchanged = Call(forgery.url, forgery.headers, genuine_body)
    return "changed" if unchanged.is_by_twilio() else "wrong"


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
            ({"account": "X1", "provider": "sinch"}, "provider"),
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


class TestRetries:
    async def word_of(self, scene, send):
        await scene.told(reports=SETTLED)
        await send("r1")
        return await scene.quiet()

    def test_plivo_tries_again_after_a_minute(self, tmp_path):
        async def act(scene):
            return await self.word_of(scene, scene.send_by_plivo)

        state = in_scene(tmp_path, act, status=lambda n: 503)
        assert (state["answers"], state["retrying"]) == ({"503": 1}, 1)

    def test_twilio_takes_an_error_for_an_answer(self, tmp_path):
        async def act(scene):
            return await self.word_of(scene, scene.send)

        state = in_scene(tmp_path, act, status=lambda n: 503)
        assert (state["answers"], state["retrying"]) == ({"503": 1}, 0)

    def test_twilio_tries_once_more_where_no_connection_was_made(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send(status_callback_url="http://127.0.0.1:9/status?ref=r1")
            state = await scene.quiet()
            return state["answers"], [line["copy"] for line in scene.lines()], scene.answers()

        assert in_scene(tmp_path, act) == ({"0": 2}, [1, 2], {1: 0, 2: 0})

    def test_an_answer_that_never_comes_is_0(self, tmp_path):
        async def act(scene):
            return await self.word_of(scene, scene.send)

        assert in_scene(tmp_path, act, status=lambda n: CLOSES)["answers"] == {"0": 1}

    def test_by_order_they_are_sooner_and_the_same_again(self, tmp_path):
        async def act(scene):
            await scene.told(retries={"after_ms": [1, 1]})
            await scene.told(reports=SETTLED)
            await scene.send()
            calls = await scene.hooks.wait_for(3)
            await scene.quiet()
            copies = [(line["copy"], line["provider_ref"]) for line in scene.lines()]
            return {call.body for call in calls}, copies, await scene.callbacks()

        bodies, copies, state = in_scene(tmp_path, act, status=lambda n: 500)
        assert len(bodies) == 1
        assert copies == [(n, copies[0][1]) for n in (1, 2, 3)]
        assert (state["answers"], state["retrying"]) == ({"500": 3}, 0)

    def test_a_forgery_is_posted_once_only(self, tmp_path):
        async def act(scene):
            await scene.told(retries={"after_ms": [0]})
            await scene.told(reports={**SETTLED, "forged": 1})
            await scene.send()
            await scene.hooks.wait_for(2)
            await scene.quiet()
            return [line["copy"] for line in scene.lines(genuine=False)]

        assert in_scene(tmp_path, act, status=lambda n: 403 if n == 0 else 200) == [1]

    def test_what_was_taken_is_not_posted_again(self, tmp_path):
        async def act(scene):
            await scene.told(retries={"after_ms": [1, 1]})
            await scene.told(reports=SETTLED)
            await scene.send()
            await scene.hooks.wait_for(2)
            return (await scene.quiet())["answers"]

        answers = in_scene(tmp_path, act, status=lambda n: 200 if n else 500)
        assert answers == {"500": 1, "200": 1}


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


class TestBurst:
    def told(self, scene, tmp_path, **changes):
        values = {
            "provider": "twilio",
            "account": ACCOUNT,
            "url": scene.hooks.url("/burst"),
            "file": str(tmp_path / "refs.csv"),
            "word": "delivered",
            "connections": 4,
        }
        return {**values, **changes}

    def test_posts_one_signed_report_for_each_line(self, tmp_path):
        lines = [f"r{n},SM{n},+1202555{n:04}" for n in range(50)]
        (tmp_path / "refs.csv").write_text("\n".join([*lines, "nonsense"]))

        async def act(scene):
            await scene.send()
            await scene.told(burst=self.told(scene, tmp_path))
            state = await scene.quiet()
            calls = scene.hooks.calls
            refs = {(call.url.rpartition("=")[2], call.form["MessageSid"]) for call in calls}
            return state["burst"], refs, all(call.is_by_twilio() for call in calls), scene.lines()

        burst, refs, are_genuine, posted = in_scene(tmp_path, act)
        assert (burst["answers"], burst["unreadable"], burst["running"]) == ({"200": 50}, 1, False)
        assert refs == {(f"r{n}", f"SM{n}") for n in range(50)}
        assert are_genuine
        assert {(line["ref"], line["word"]) for line in posted} == {
            (f"r{n}", "delivered") for n in range(50)
        }

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"provider": "sinch"}, "provider"),
            ({"account": "AC9"}, "token"),
            ({"url": "http://192.0.2.1/"}, "url"),
            ({"file": "/nowhere"}, "no file"),
            ({"word": "gone"}, "word"),
            ({"connections": 0}, "connections"),
            ({"connections": 1000}, "connections"),
            ({"colour": 1}, "colour"),
        ],
    )
    def test_a_mistake_is_told(self, tmp_path, changes, word):
        (tmp_path / "refs.csv").write_text("")

        async def act(scene):
            await scene.send()
            return await scene.refused(burst=self.told(scene, tmp_path, **changes))

        assert word in in_scene(tmp_path, act)


class TestControl:
    @pytest.mark.parametrize(
        ("command", "word"),
        [
            ({"reports": 7}, "reports"),
            ({"reports": {}, "colour": 1}, "colour"),
            ({"reports": {"colour": 1}}, "colour"),
            ({"reports": {"twice": 1.5}}, "twice"),
            ({"reports": {"twice": -1}}, "twice"),
            ({"reports": {"undelivered": 0.6, "failed": 0.6}}, "together"),
            ({"reports": {"delay_ms": "x"}}, "delay_ms"),
            ({"reports": {"seed": 1.5}}, "seed"),
            ({"reports": {"intermediate": 1}}, "intermediate"),
            ({"replies": []}, "replies"),
            ({"replies": {"STOP": 2}}, "STOP"),
            ({"replies": {"STOP": 0.6, "HELP": 0.6}}, "together"),
            ({"replies": {"\ud800": 0.6}}, "half a character"),
            ({"replies": {"forged": 2}}, "forged"),
            ({"retries": {}}, "after_ms"),
            ({"retries": {"after_ms": [-1]}}, "after_ms"),
            ({"account": 7}, "account"),
            ({"account": {}}, "name"),
            ({"account": {"name": "AC1"}}, "token"),
            ({"account": {"name": "AC1", "inbound_url": "http://192.0.2.1/"}}, "inbound_url"),
            ({"account": {"name": "AC1", "token": 7}}, "token"),
            ({"account": {"name": "X1", "token": "t"}}, "provider"),
            ({"reports": {}, "replies": {}}, "exactly one"),
        ],
    )
    def test_a_mistake_is_told_and_changes_nothing(self, tmp_path, command, word):
        async def act(scene):
            before = await scene.callbacks()
            error = await scene.refused(**command)
            return error, before == await scene.callbacks()

        error, is_unchanged = in_scene(tmp_path, act)
        assert word in error
        assert is_unchanged

    def test_a_token_is_never_shown(self, tmp_path):
        async def act(scene):
            await scene.told(account={"name": "AC1", "token": "hush-hush"})
            return str(await scene.on.state())

        shown = in_scene(tmp_path, act)
        assert "hush" not in shown
        assert "'token': 'set'" in shown

    def test_reset_ends_it_and_forgets_what_waits(self, tmp_path):
        async def act(scene):
            start = await scene.callbacks()
            await scene.told(reports={"delay_ms": 60_000})
            await scene.told(replies={"STOP": 1})
            await scene.told(retries={"after_ms": [1]})
            await scene.send()
            await scene.on.control({}, "/control/reset")
            return start, await scene.callbacks()

        start, end = in_scene(tmp_path, act)
        assert start == end

    def test_reset_lets_an_answer_go_that_waited_for_reports(self, tmp_path):
        async def act(scene):
            await scene.told(reports={"before_answer": 1})
            sending = asyncio.create_task(scene.send())
            await scene.hooks.wait_for(1)
            await scene.on.control({}, "/control/reset")
            return type(await sending)

        gate = {"status": lambda n: HANGS, "request_seconds": 5}
        assert in_scene(tmp_path, act, **gate) is Accepted


def test_callbacks_go_on_counting_after_a_restart(tmp_path):
    async def act(scene):
        await scene.told(reports=SETTLED)
        await scene.send()
        await scene.quiet()
        return [line["callback"] for line in scene.lines()]

    assert in_scene(tmp_path, act) == [1]
    assert in_scene(tmp_path, act) == [1, 2]


def test_a_posted_line_is_in_the_ledger_when_the_request_arrives(tmp_path):
    async def act(scene):
        await scene.told(reports={})
        counts = []
        scene.hooks.on_call = lambda: counts.append(len(scene.lines()) - len(scene.hooks.calls))
        for n in range(20):
            await scene.send(f"r{n}")
        await scene.hooks.wait_for(40)
        return counts

    counts = in_scene(tmp_path, act)
    assert len(counts) == 40
    assert min(counts) >= 1
