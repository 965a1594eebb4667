"""Promises that the other tests here would not miss by name, and that a mutation must not break.

What a crash of Postgres loses is never seen by workers that die alone; what is claimed while Redis
is gone is not sent either, for nobody can bear witness to it.
"""

from __future__ import annotations

import pytest
from django.db import connection

from delivery import claims, pipeline, sql
from delivery.claims import Grant
from delivery.journal import Journal
from delivery.models import Attempt
from tests.factories import NOON, fill_queue, make_number, make_slot
from tests.faults.world import eventually

IN_FLIGHT = 8
BATCHES = 25  # one may be on the disk by chance, before it must be
NOWHERE = "redis://127.0.0.1:1/0"

WRITTEN = "SELECT pg_current_wal_insert_lsn()"
IS_ON_THE_DISK = "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn"


@pytest.fixture
def synchronous(transactional_db):
    """Commits are waited for, as in production; the tests' server is told not to."""
    sql.rows("SET synchronous_commit = on")
    yield
    sql.rows("RESET synchronous_commit")


def test_an_intent_is_on_the_disk_before_it_may_leave(synchronous, sandbox, tmp_path):
    lane = make_number()
    slot = make_slot(lane)
    fill_queue(slot, lane, BATCHES, now=NOON)
    grants = [Grant(slot.campaign_id, lane.pk, 1)]
    written = []

    def note(execute, *arguments):
        """Where the log stood after each statement. (By the driver: this is none of ours.)"""
        result = execute(*arguments)
        written.extend(connection.connection.execute(WRITTEN).fetchone())
        return result

    with Journal.open(tmp_path / "journal", str(sandbox.identity)) as journal:
        for _ in range(BATCHES):
            with connection.execute_wrapper(note):
                batch = pipeline.take(lambda now: claims.claim(grants, now=now), journal)
            assert len(batch.intents) == 1
            on_the_disk = sql.one(IS_ON_THE_DISK, written[-1]) == (True,)
            assert on_the_disk, "an intent may leave that a crash would lose"


def test_while_redis_is_gone_no_intent_is_made(world, settings):
    world.fill(20)
    settings.REDIS_URL = NOWHERE
    world.start(seconds=0.3).over()
    assert not Attempt.objects.exists(), "intents were made without tokens"
    assert world.received() == 0


def test_what_a_killed_worker_may_have_sent_is_never_sent_again(world):
    world.simulator.obey(latency_ms=10_000)  # no answer comes before the kill
    world.fill(2 * IN_FLIGHT, twice=0, in_flight=IN_FLIGHT)
    worker = world.start()
    eventually(lambda: world.received() == IN_FLIGHT)
    worker.kill()
    world.settle()
    world.simulator.reset()
    world.send_the_rest()
    world.assert_consistent()
    assert world.received() == 2 * IN_FLIGHT
