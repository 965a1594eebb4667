"""A database that forgot what it had committed: nothing is claimed until a person confirms it."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from delivery import sql
from delivery.models import Attempt
from tests.faults.child import Struck

TABLES = [
    "delivery_attempt",
    "delivery_message",
    "delivery_due",
    "delivery_capcounter",
    "delivery_sticky",
    "compliance_person",
    "links_shortlink",
]


@pytest.fixture
def backup(world):
    """A function that takes a backup, and returns one that restores it."""

    def take():
        for table in TABLES:
            sql.rows(f"CREATE TEMP TABLE backup_of_{table} AS TABLE {table}")
        return restore

    def restore():
        sql.rows("SET session_replication_role = replica")  # a restore heeds no trigger
        for table in TABLES:
            sql.rows(f"DELETE FROM {table}")
            sql.rows(f"INSERT INTO {table} TABLE backup_of_{table}")
        sql.rows("SET session_replication_role = origin")

    return take


def test_a_database_restored_from_a_backup_claims_nothing_until_a_person_confirms_it(world, backup):
    world.fill(20)
    restore = backup()
    world.send_all(world.start())
    assert world.received() == 20
    restore()
    world.start(seconds=1).over()
    assert (Attempt.objects.count(), world.received()) == (0, 20)
    call_command("confirm_database", "--yes", stdout=io.StringIO())
    world.send_all(world.start())  # as that person said
    assert world.received() == 40


def test_a_database_that_lost_no_more_than_the_last_batch_claims_nothing(world, backup):
    world.fill(20, rate=20)
    restore = backup()
    world.start(Struck(target="delivery.sender:Sender.submit", at="after")).died()
    restore()
    world.start(seconds=1).over()
    assert Attempt.objects.count() == 0
