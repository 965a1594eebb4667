"""A world for each test. All share one simulator, whose ledger tells them apart by account."""

from __future__ import annotations

import pytest
from django.db import connection

from delivery import sql
from tests.faults.proxy import Proxy
from tests.faults.world import World, running_simulator

TABLES = """
SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'
AND tablename <> 'delivery_frontier'
"""


@pytest.fixture(scope="session")
def simulated_providers(tmp_path_factory):
    with running_simulator(tmp_path_factory.mktemp("simulator")) as simulator:
        yield simulator


@pytest.fixture
def transactional_db(django_db_setup, django_db_blocker):
    """The test database with real commits, emptied afterwards of what was empty before.

    It stands in for pytest-django's own fixture, which truncates every table: most of a second.
    """
    with django_db_blocker.unblock():
        tables = [table for (table,) in sql.rows(TABLES)]
        empty = [table for table in tables if not sql.rows(f"SELECT 1 FROM {table} LIMIT 1")]
        yield
        sql.rows("UPDATE delivery_frontier SET attempt_id = 0")
        sql.rows("SET session_replication_role = replica")  # no triggers: they forbid most of this
        for table in empty:
            sql.rows(f"DELETE FROM {table}")
        connection.close()


@pytest.fixture
def world(transactional_db, sandbox, simulated_providers, tmp_path):
    simulated_providers.reset()
    world = World(sandbox, simulated_providers, tmp_path)
    yield world
    world.clean_up()


@pytest.fixture
def wire():
    """A wire to the database that can be cut; give its port to a worker."""
    place = connection.settings_dict
    with Proxy(place["HOST"], int(place["PORT"])) as proxy:
        yield proxy
