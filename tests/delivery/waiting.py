"""Two transactions of which one has to wait for the other."""

from __future__ import annotations

import contextlib
import threading
import time

from django.db import connection, transaction

from delivery import sql


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
    thread.join(10)
    assert not thread.is_alive()


def is_waited_for():
    """Whether anybody waits for a lock."""
    return bool(sql.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))


def end_who_waits():
    """As at a fail-over: the server ends the connection."""
    sql.rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")


def wait_until(is_so):
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)
