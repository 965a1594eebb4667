"""What holds up a text: its age here is made short. `tests/faults` waits for the real one."""

from __future__ import annotations

import contextlib
import logging
import threading

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction

from delivery import blockers, people, sql
from delivery.blockers import freed
from tests.delivery.waiting import wait_until
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

OLD = 0.4  # seconds
PATIENCE = 0.1
WHILE = 1.2  # longer than it takes to be found old and ended

LONG = 20.0  # seconds; nobody waits so long but for who is never ended
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(blockers, "PATIENCE", PATIENCE)
    monkeypatch.setattr(blockers, "LOOK_EVERY", 0.05)
    quick = blockers.TERMINATE.replace("interval '5 seconds'", f"interval '{OLD} seconds'")
    assert quick != blockers.TERMINATE
    monkeypatch.setattr(blockers, "TERMINATE", quick)


@pytest.fixture
def person(sandbox):
    return make_person()


@pytest.fixture
def other():
    """Cursors of other connections, each in a transaction, named as applications are."""
    with contextlib.ExitStack() as stack:

        def open_one(name=""):
            own = connection.get_new_connection(connection.get_connection_params())
            own.autocommit = True
            cursor = stack.enter_context(contextlib.closing(own)).cursor()
            cursor.execute("SELECT set_config('application_name', %s, false)", [name])
            cursor.execute("BEGIN")
            return cursor

        yield open_one


def lock(cursor, person):
    cursor.execute("SELECT 1 FROM compliance_person WHERE id = %s FOR NO KEY UPDATE", [person.pk])


def is_alive(cursor):
    try:
        cursor.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def wait_freed(person, *, at_most=LONG):
    """Take the person's lock as an inbound does."""
    with transaction.atomic():
        sql.rows("SELECT set_config('lock_timeout', %s, true)", f"{at_most:.1f}s")
        sql.rows("SELECT set_config('application_name', %s, true)", blockers.APPLICATION)
        with freed():
            people.lock([person.pk])


def threads():
    return set(threading.enumerate())


def backends():
    return set(sql.rows(BACKENDS))


class TestWhatHoldsUpAText:
    @pytest.mark.parametrize("name", ["", "sendonce worker", "psql"])
    def test_is_ended_when_it_is_old(self, person, other, name):
        holder = other(name)
        lock(holder, person)
        wait_freed(person)
        assert not is_alive(holder)

    def test_is_not_ended_while_it_is_young(self, person, other, monkeypatch):
        monkeypatch.setattr(
            blockers, "TERMINATE", blockers.TERMINATE.replace(f"{OLD} seconds", "1 hour")
        )
        holder = other()
        lock(holder, person)
        with pytest.raises(OperationalError, match="lock timeout"):
            wait_freed(person, at_most=WHILE)
        assert is_alive(holder)

    def test_is_as_old_as_its_transaction_and_not_as_its_lock(self, person, other, monkeypatch):
        holder = other()
        (since,) = sql.one("SELECT clock_timestamp()::text")
        old = f"clock_timestamp() - interval '{OLD} seconds'"
        assert old in blockers.TERMINATE
        monkeypatch.setattr(blockers, "TERMINATE", blockers.TERMINATE.replace(old, f"'{since}'"))
        lock(holder, person)
        wait_freed(person)
        assert not is_alive(holder)

    def test_is_never_another_text_that_is_applied(self, person, other):
        holder = other(blockers.APPLICATION)
        lock(holder, person)
        with pytest.raises(OperationalError, match="lock timeout"):
            wait_freed(person, at_most=WHILE)
        assert is_alive(holder)

    def test_leaves_those_alone_who_hold_up_nobody(self, person, other):
        holder, bystander = other(), other()
        lock(holder, person)
        lock(bystander, make_person())
        wait_freed(person)
        assert is_alive(bystander)

    def test_is_ended_for_all_who_wait_and_they_end_nobody_of_each_other(
        self, person, other, at_once
    ):
        holder = other()
        lock(holder, person)
        at_once(lambda _: wait_freed(person), threads=4)
        assert not is_alive(holder)

    def test_is_told_in_the_log_without_a_word_of_whom(self, person, other, caplog):
        lock(other(), person)
        with caplog.at_level(logging.ERROR):
            wait_freed(person)
            wait_until(lambda: any(one.name == "delivery.blockers" for one in caplog.records))
        records = [one for one in caplog.records if one.name == "delivery.blockers"]
        told = {(one.getMessage(), one.backends) for one in records}
        assert told == {("terminated what blocked an inbound", 1)}  # again, while it ends slowly


class TestLooking:
    def test_is_not_done_where_nobody_waits(self, person, monkeypatch):
        monkeypatch.setattr(blockers, "_free", lambda *_: pytest.fail("looked"))
        monkeypatch.setattr(blockers, "PATIENCE", 300.0)
        before = threads()
        wait_freed(person)
        wait_until(lambda: threads() <= before)

    def test_ends_with_the_waiting(self, person, other):
        before = backends(), threads()
        holder = other()
        lock(holder, person)
        wait_freed(person)
        wait_until(lambda: threads() <= before[1])
        wait_until(lambda: backends() <= before[0])

    def test_ends_when_the_wait_is_given_up(self, person, other):
        lock(other(blockers.APPLICATION), person)
        before = threads()
        with pytest.raises(OperationalError):
            wait_freed(person, at_most=0.3)
        wait_until(lambda: threads() <= before)

    @pytest.mark.parametrize("broken", ["statement", "connection"])
    def test_that_fails_is_logged_and_breaks_nothing(
        self, person, other, monkeypatch, caplog, broken
    ):
        holder = other()
        lock(holder, person)
        if broken == "statement":
            monkeypatch.setattr(blockers, "TERMINATE", "SELECT 1 / 0, %s, %s")
        else:
            monkeypatch.setitem(connections.settings["default"], "PORT", "1")

        def release():
            wait_until(lambda: "could not look at what blocks an inbound" in caplog.text)
            holder.execute("ROLLBACK")

        thread = threading.Thread(target=release)
        thread.start()
        wait_freed(person)
        thread.join()
