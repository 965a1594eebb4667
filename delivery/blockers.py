"""Freeing the way of a text that must be applied: a frozen worker may hold its person's lock.

The server's own time-outs end a worker that is frozen between two statements. One that is frozen
while it reads an answer escapes them, for the server waits for it to read on; it is terminated.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    connection,
    connections,
)

logger = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds that a lock is waited for before anybody is looked at
LOOK_EVERY = 0.5
APPLICATION = "sendonce inbound"  # its own kind never terminates each other

TERMINATE = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(b.pid))
FROM unnest(pg_blocking_pids(%s)) AS w (pid) JOIN pg_stat_activity b ON b.pid = w.pid
WHERE b.datname = current_database() AND b.application_name <> %s
  AND b.xact_start < clock_timestamp() - interval '5 seconds'
"""


@contextlib.contextmanager
def freed() -> Iterator[None]:
    """While this connection waits inside, end backends that block it and are 5 s old."""
    pid = connection.connection.info.backend_pid
    done = threading.Event()
    timer = threading.Timer(PATIENCE, _free, [pid, done])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        done.set()
        timer.cancel()


def _free(pid: int, done: threading.Event) -> None:
    own = connections.create_connection(DEFAULT_DB_ALIAS)  # a connection belongs to its thread
    try:
        while not done.is_set():
            with own.cursor() as cursor:
                cursor.execute(TERMINATE, [pid, APPLICATION])
                (terminated,) = cursor.fetchone()
            if terminated:
                logger.error("terminated what blocked an inbound", extra={"backends": terminated})
            done.wait(LOOK_EVERY)
    except (DatabaseError, InterfaceError):
        logger.warning("could not look at what blocks an inbound")
    finally:
        own.close()
