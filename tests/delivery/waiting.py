"""Two transactions of which one has to wait for the other."""

from __future__ import annotations

import contextlib
import threading
import time

from django.db import connection, transaction

from delivery import sql

LONG = 30  # seconds; on a crowded machine what takes no time may take some

# Of this database alone: others are those of the tests that run beside.
WAITING = """
SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE NOT l.granted AND a.datname = current_database()
"""
HAS_TRANSACTION = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND xact_start IS NOT NULL"


@contextlib.contextmanager
def while_held(hold, work):
    """Inside, this thread's transaction is open and has done `hold`, for which `work` waits.

    Yields what came of the work, in a list: nothing while it waits. Needs real transactions.
    """
    results = []

    def alone():
        try:
            results.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=alone, daemon=True)
    with transaction.atomic():
        hold()
        thread.start()
        wait_until(is_waited_for)
        yield results
    thread.join(LONG)
    assert not thread.is_alive()


def is_waited_for():
    """Whether anybody waits for a lock."""
    return bool(sql.rows(WAITING))


def has_transaction(backend):
    """Whether the backend with this pid is there and in a transaction."""
    return bool(sql.rows(HAS_TRANSACTION, backend))


def end_who_waits():
    """As at a fail-over: the server ends the connection."""
    sql.rows(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) w")


def wait_until(is_so):
    until = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)
