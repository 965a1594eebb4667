"""Redis that forgets everything: it is a doorbell, so the campaign only becomes slower."""

from __future__ import annotations

import pytest

from config.demo_processes import Children, start_workers
from config.services import Services
from providers import rates
from tests.faults.world import address_of_database, eventually


@pytest.fixture
def own_valkey(tmp_path):
    """FLUSHALL would empty the databases of other tests as well."""
    folder = tmp_path / "valkey"
    services = Services(folder, postgres_port=0, valkey_port=0, durable=False, say=lambda _: None)
    yield services.enter(["REDIS_URL"])["REDIS_URL"]
    services.leave()


@pytest.fixture
def processes(world, own_valkey, tmp_path):
    environment = {
        "DATABASE_URL": address_of_database(),
        "REDIS_URL": own_valkey,
        "JOURNAL_DIR": str(world.journals),
    }
    with Children(environment=environment, logs=tmp_path / "logs", run=tmp_path / "run") as all_:
        yield all_


def test_a_running_campaign_survives_a_flush(world, own_valkey, processes):
    world.fill(90, rate=12)
    start_workers(processes, 2)
    eventually(lambda: world.received() > 20)
    with rates.connect(own_valkey) as redis:
        redis.flushall()
    before = world.received()
    eventually(world.is_quiet)
    processes.end()
    assert before < world.received() == 90
    world.assert_sent_once()
