from __future__ import annotations

import asyncio

import pytest

from providers.base import Accepted
from tests.providers.hooks import HANGS, SETTLED, in_scene
from tests.providers.peers import ACCOUNT


def test_nothing_is_posted_until_told(tmp_path):
    async def act(scene):
        await scene.send()
        return (await scene.quiet())["posted"], scene.hooks.calls

    assert in_scene(tmp_path, act) == (0, [])


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
            ({"provider": "nobody"}, "provider"),
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
