"""A world for each test, and one simulator for all: its ledger tells the worlds apart by account."""

from __future__ import annotations

import pytest

from tests.faults.world import World, running_simulator


@pytest.fixture(scope="session")
def simulated_providers(tmp_path_factory):
    with running_simulator(tmp_path_factory.mktemp("simulator")) as simulator:
        yield simulator


@pytest.fixture
def world(transactional_db, sandbox, simulated_providers, tmp_path):
    simulated_providers.reset()
    world = World(sandbox, simulated_providers, tmp_path)
    yield world
    world.clean_up()
