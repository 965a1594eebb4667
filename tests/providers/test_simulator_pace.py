from __future__ import annotations

import pytest

from providers.simulator_control import BadControl
from providers.simulator_pace import Paces
from providers.simulator_simpletexting import SimpleTextingWire
from providers.simulator_twilio import TwilioWire
from tests.providers.hooks import in_scene
from tests.providers.test_simulator_simpletexting_callbacks import ready, sent

ST, TWILIO = SimpleTextingWire(), TwilioWire()
HERE, THERE = "http://127.0.0.1/a", "http://127.0.0.1/b"


@pytest.fixture
def now():
    """The clock of the paces; a list of one moment."""
    return [100.0]


@pytest.fixture
def paces(now):
    return Paces(lambda: now[0])


def order(paces: Paces, **told: object) -> None:
    paces.order({"pace": told}, (ST, TWILIO))


class TestTurns:
    def test_simpletexting_posts_25_a_second_to_one_address(self, paces):
        waits = [paces.turn(ST, HERE) for _ in range(26)]
        assert waits[0] == 0.0
        assert waits[-1] == pytest.approx(1.0)

    def test_another_address_has_a_pace_of_its_own(self, paces):
        assert [paces.turn(ST, url) for url in (HERE, THERE)] == [0.0, 0.0]

    def test_who_did_not_post_for_a_while_saves_nothing_up(self, paces, now):
        paces.turn(ST, HERE)
        now[0] += 60
        assert [paces.turn(ST, HERE) for _ in range(2)] == [0.0, pytest.approx(0.04)]

    def test_others_post_as_fast_as_they_are_answered(self, paces):
        assert {paces.turn(TWILIO, HERE) for _ in range(100)} == {0.0}


class TestOrders:
    def test_another_pace_may_be_told_and_taken_back(self, paces):
        order(paces, provider="simpletexting", per_second=1000)
        assert [paces.turn(ST, HERE) for _ in range(2)] == [0.0, pytest.approx(0.001)]
        order(paces, provider="simpletexting", per_second=None)
        assert [paces.turn(ST, HERE) for _ in range(2)] == [0.0, pytest.approx(0.04)]

    @pytest.mark.parametrize(
        "told",
        [{}, {"provider": "pigeon"}, {"provider": "twilio", "per_second": 0}, {"per_second": 3}],
    )
    def test_what_cannot_be_is_refused(self, paces, told):
        with pytest.raises(BadControl):
            order(paces, **told)


def test_what_waits_for_its_turn_is_counted_as_waiting_and_comes(tmp_path):
    async def act(scene):
        await ready(scene, intermediate=False)
        for n in range(5):
            await sent(scene, f"r{n}", to_e164=f"+1202555{n + 100:04d}")
        waiting = (await scene.callbacks())["waiting"]
        await scene.hooks.wait_for(5)
        return waiting, await scene.quiet()

    waiting, state = in_scene(tmp_path, act)
    assert waiting > 0
    assert (state["posted"], state["waiting"]) == (5, 0)


def test_an_answer_that_its_report_must_precede_does_not_wait_for_a_turn(tmp_path):
    async def act(scene):
        await ready(scene, intermediate=False, before_answer=1)
        await scene.told(pace={"provider": "simpletexting", "per_second": 0.1})
        for n in range(2):
            await sent(scene, f"r{n}", to_e164=f"+1202555{n + 100:04d}")
        return len(scene.hooks.calls)

    assert in_scene(tmp_path, act) == 2


def test_a_reset_forgets_what_was_told_and_what_waits(tmp_path):
    async def act(scene):
        await ready(scene, intermediate=False)
        await scene.told(pace={"provider": "simpletexting", "per_second": 0.1})
        for n in range(3):
            await sent(scene, f"r{n}", to_e164=f"+1202555{n + 100:04d}")
        await scene.on.control({}, "/control/reset")
        state = await scene.callbacks()
        return state["waiting"], state["paces"]

    assert in_scene(tmp_path, act) == (0, {})
