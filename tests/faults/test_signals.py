"""Workers that are asked to end, or stand still and go on: what is late is not sent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import django_rq
import pytest

from delivery import sql, tasks
from delivery.models import Attempt, Due
from delivery.pipeline import WRITE_WITHIN
from delivery.states import Status
from tests.faults.child import Struck
from tests.faults.world import PATIENCE, ROOT, address_of_database, eventually

RQ_WORKER = ["manage.py", "rqworker", "send", "--worker-class", "delivery.worker.Worker"]
COMMIT = "django.db.backends.base.base:BaseDatabaseWrapper.commit"
COMMITTED = Struck(
    target=COMMIT, at="after", armed_by="delivery.intents:write", signal=signal.SIGSTOP
)
CLAIMED = Struck(target="delivery.claims:claim", at="after", signal=signal.SIGSTOP)
ANNOUNCED = Struck(
    target="delivery.journal:Journal.leaving", at="after", nth=3, signal=signal.SIGSTOP
)
IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle in transaction'
"""


@pytest.fixture
def rq_worker(world, redis):
    environment = {"DATABASE_URL": address_of_database(), "JOURNAL_DIR": str(world.journals)}
    with (world.folder / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, *RQ_WORKER],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
    yield worker
    worker.kill()
    worker.wait()
    redis.flushdb()


def refs(rows):
    return {getattr(row, "submission", row).ref for row in rows}


def stand_still_too_long(worker):
    eventually(lambda: worker.is_stopped)
    since = time.monotonic()
    eventually(lambda: time.monotonic() - since > WRITE_WITHIN)


def go_on_and_end(worker):
    """SIGTERM waits until it goes on, so that it claims nothing more."""
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGCONT)
    worker.end()


def test_a_worker_that_is_asked_to_end_leaves_nothing_in_doubt(world, rq_worker):
    world.simulator.obey(latency_ms=100)
    world.fill(200, rate=10)
    django_rq.get_queue("send").enqueue(tasks.send_slice, result_ttl=0, job_timeout=-1)
    eventually(lambda: world.received() > 20)
    rq_worker.terminate()
    assert rq_worker.wait(PATIENCE) == 0
    assert set(world.outcomes()) == {"accepted"}
    assert world.journal_files() == []
    assert world.count(Status.PLANNED) > 100
    world.assert_consistent()


def test_what_a_worker_could_not_write_in_time_is_sent_by_somebody_else(world):
    world.fill(20)
    worker = world.start(COMMITTED)
    stand_still_too_long(worker)
    late = world.outcomes()[""]
    assert world.settle() == 0  # its journal is its own while it lives
    go_on_and_end(worker)
    assert world.received() == 0
    assert Attempt.objects.filter(outcome="not_sent", code="too_late").count() == late
    assert set(Due.objects.values_list("tries", flat=True)) == {0}
    world.send_the_rest()
    world.assert_sent_once()


def test_a_request_that_was_announced_and_came_too_late_is_not_made(world):
    world.fill(20, in_flight=4)
    worker = world.start(ANNOUNCED)
    stand_still_too_long(worker)
    received = refs(world.ledger())  # the stop may come a request later than it was asked for
    late = refs(Attempt.objects.all()) - received
    assert late
    go_on_and_end(worker)
    assert refs(world.ledger()).isdisjoint(late)
    assert world.count(Status.UNKNOWN) == 0
    world.send_the_rest()
    world.assert_sent_once()


def test_rows_claimed_by_a_worker_that_stands_still_go_to_another_one(world):
    world.fill(20)
    worker = world.start(CLAIMED)
    eventually(lambda: worker.is_stopped)
    eventually(lambda: sql.one(IN_TRANSACTION) == (0,))  # the server ends it after five seconds
    world.send_all(world.start())
    world.assert_sent_once()
    go_on_and_end(worker)
    world.assert_sent_once()
    assert world.received() == 20
