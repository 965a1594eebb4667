from __future__ import annotations

import pytest

from tests.providers.hooks import CLOSES, SETTLED, Call, in_scene


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
