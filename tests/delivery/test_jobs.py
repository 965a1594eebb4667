"""What becomes of a worker's jobs when the database goes away between them."""

from __future__ import annotations

import contextlib

import django_rq
import pytest
from django.db import connection

from delivery import tasks, worker


@pytest.mark.django_db(transaction=True)
def test_a_job_after_the_database_ended_our_connection_does_its_work():
    """A restart of the server between two jobs must not leave a process that always fails."""
    queue = django_rq.get_queue("upkeep")
    queue.empty()
    jobs = []

    def end_backend():
        pid = connection.connection.info.backend_pid
        with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])

    for _ in range(2):
        connection.ensure_connection()
        end_backend()
        jobs.append(queue.enqueue(tasks.dispatch, job_timeout=-1))
        worker.Worker([queue], connection=queue.connection).work(burst=True)
    assert [job.get_status(refresh=True) for job in jobs] == ["finished", "finished"]
