"""O8: limits hold in real time, whatever the sandbox's clock says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from brands.models import Brand
from delivery.models import Inbound
from providers.models import ProviderAccount, SenderNumber
from reporting.oracle.rates import most_within, overruns
from tests.reporting.world import NOON, World


@pytest.mark.parametrize(
    ("span", "most"),
    [
        pytest.param(1, 5, id="a stretch is open at its end"),
        pytest.param(1.01, 6, id="and holds both ends when it is longer"),
        pytest.param(100, 10, id="everything"),
    ],
)
def test_the_most_within_a_stretch(span, most):
    hits = [(0.0, 1, False), (0.5, 2, False), (1.0, 3, True), (9.0, 4, False)]
    assert most_within(span, hits) == most


def test_without_hits_nothing_is_too_fast():
    assert list(overruns(1.0, [])) == []


@pytest.fixture
def world(db) -> World:
    world = World()
    world.requests.clear()
    return world


def flood(world: World, count: int, *, each: float, text: str = "Hi") -> None:
    """So many requests, `each` so many seconds after the last. Their rows do not matter here."""
    for n in range(count):
        entry = world.request(world.messages[0], text=text)
        entry["received_at"] = world.real_now.timestamp() - 3600 + n * each


def too_fast(world: World, folder) -> list[str]:
    return world.problems(folder).get("O8", [])


def of(what: str) -> list[str]:
    return [f"more segments than the {what}'s limit lets through"]


@pytest.mark.parametrize(
    ("count", "each", "is_too_fast"),
    [
        pytest.param(50, 0.001, False, id="a burst and three seconds' worth at once"),
        pytest.param(51, 0.001, True, id="one more than that"),
        pytest.param(51, 0.04, False, id="the same spread out"),
        pytest.param(200, 0.1, False, id="the rate, for long"),
        pytest.param(200, 0.06, True, id="above the rate, for ten seconds"),
        pytest.param(800, 0.09, True, id="just above the rate, for a minute"),
    ],
)
def test_a_number_of_ten_segments_a_second(world, tmp_path, count, each, is_too_fast):
    SenderNumber.objects.update(segments_per_second=10)
    flood(world, count, each=each)
    assert too_fast(world, tmp_path) == (of("number") if is_too_fast else [])


@pytest.mark.parametrize(
    ("what", "table"),
    [("account", ProviderAccount), ("brand", Brand)],
    ids=["account", "brand"],
)
def test_accounts_and_brands_have_limits_too(world, tmp_path, what, table):
    table.objects.update(segments_per_second=10)
    flood(world, 51, each=0.001)
    assert too_fast(world, tmp_path) == of(what)


@pytest.mark.parametrize(("count", "says"), [(3, []), (4, of("number"))])
def test_a_slow_number_may_send_two_long_texts_at_once(world, tmp_path, count, says):
    SenderNumber.objects.update(segments_per_second=1)
    flood(world, count, each=0.1, text="x" * 459)  # three segments
    assert too_fast(world, tmp_path) == says


def test_a_reply_comes_on_top(world, tmp_path):
    SenderNumber.objects.update(segments_per_second=10)
    inbound = Inbound.objects.create(
        account=world.number.account, provider_ref="SM1", applied_at=NOON
    )
    reply = world.send(kind="reply", inbound=inbound, reply_kind="help")
    flood(world, 50, each=0.001)
    world.request(reply)["received_at"] = world.requests[-1]["received_at"]
    assert too_fast(world, tmp_path) == []


def test_refused_requests_count_too(world, tmp_path):
    SenderNumber.objects.update(segments_per_second=10)
    flood(world, 51, each=0.001)
    for entry in world.requests:
        entry["took"] = False
    assert too_fast(world, tmp_path) == of("number")


def test_two_numbers_do_not_share_a_limit(world, tmp_path):
    other = SenderNumber.objects.create(
        account=world.number.account, value="+12025550199", segments_per_second=10
    )
    SenderNumber.objects.update(segments_per_second=10)
    world.messages[1].attempts.update(number=other)
    flood(world, 30, each=0.001)
    for n in range(30):
        entry = world.request(world.messages[1])
        entry["received_at"] = world.real_now.timestamp() - 3600 + n * 0.001
    assert too_fast(world, tmp_path) == []


def test_a_jump_of_the_sandbox_clock_is_no_time_to_send(world, tmp_path):
    SenderNumber.objects.update(segments_per_second=10)
    flood(world, 51, each=0.001)
    world.shift_by(timedelta(days=4000), since=world.real_now - timedelta(seconds=3600 - 0.015))
    assert too_fast(world, tmp_path) == of("number")
