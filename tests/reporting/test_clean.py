"""A world in which everything is right is told to be right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery.models import Due, Inbound
from reporting.oracle import answers, checks
from tests.factories import make_lead
from tests.reporting.world import NOON, NOW, World, said

pytestmark = pytest.mark.django_db


def test_a_clean_world_has_no_problem(tmp_path):
    assert World().problems(tmp_path) == {}


def test_a_clean_world_has_no_problem_without_a_ledger_either():
    World()
    scope = checks.Scope(now=NOW, since=NOW - timedelta(days=2))
    assert said(checks.run(answers.WITHOUT_LEDGER, scope)) == {}


def test_an_empty_database_and_an_empty_ledger_agree(tmp_path):
    world = World.__new__(World)
    world.requests, world.callbacks = [], []
    assert world.problems(tmp_path) == {}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        pytest.param("delivered", "accepted", id="delivered"),
        pytest.param("undelivered", "accepted", id="not delivered"),
        pytest.param("failed", "accepted", id="failed"),
        pytest.param("unknown", "unknown", id="perhaps taken"),
        pytest.param("not_found", "unknown", id="looked up to the end"),
        pytest.param("delivered", "unknown", id="unknown, then reported"),
        pytest.param("rejected", "rejected", id="rejected by the provider"),
        pytest.param("dead", "not_sent", id="never left"),
    ],
)
def test_a_message_may_end_like_this(tmp_path, status, outcome):
    world = World()
    world.send(at=NOW - timedelta(seconds=5), status=status, outcome=outcome)
    assert world.problems(tmp_path) == {}


def test_a_message_may_be_on_its_way(tmp_path):
    world = World()
    at, slot = NOW - timedelta(seconds=5), world.another_slot()
    world.send(at=at, slot=slot, status="sending", outcome="")
    world.requests[-1]["took"] = True
    assert world.problems(tmp_path) == {}


def test_a_message_may_be_taken_on_its_second_try(tmp_path):
    world = World()
    message = world.send(status="accepted", outcome="not_sent")
    world.attempt(message, NOON + timedelta(minutes=1), outcome="accepted")
    world.request(message)
    assert world.problems(tmp_path) == {}


def test_a_message_may_wait_in_the_queue(tmp_path):
    world = World()
    message = world.send(slot=world.another_slot(), status="planned", outcome="not_sent")
    Due.objects.create(
        message=message,
        brand=world.brand,
        campaign=message.campaign,
        lane=world.number,
        queue=message.campaign_id,
        not_before=NOW,
        expires_at=message.expires_at,
    )
    assert world.problems(tmp_path) == {}


@pytest.mark.parametrize("kind", ["stop", "help", "join"])
def test_a_reply_may_follow_at_once_and_count_on_nothing(tmp_path, kind):
    world = World()
    lead = world.leads[0]
    post = world.text(lead.person.phone, "Who is this?")
    inbound = Inbound.objects.get(provider_ref=post["provider_ref"])
    world.send(lead, NOON + timedelta(minutes=1), kind="reply", inbound=inbound, reply_kind=kind)
    assert world.problems(tmp_path) == {}


def test_a_single_message_has_no_lead_and_counts_on_its_brand(tmp_path):
    world = World()
    world.send(make_lead(world.brand), kind="single", idempotency_key="k1")
    assert world.problems(tmp_path) == {}


NIGHT = NOW - timedelta(hours=10)  # 2:30 in New York


def test_a_test_may_come_at_night_as_often_as_it_is_asked_for_and_with_the_same_words(tmp_path):
    world = World()
    lead = make_lead(world.brand)
    for n in range(5):
        at = NIGHT + timedelta(seconds=20 * n)
        world.send(lead, at, kind="single", is_test=True, text="Hi", idempotency_key=f"k{n}")
    assert world.problems(tmp_path) == {}
