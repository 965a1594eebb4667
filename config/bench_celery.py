"""The job of the usual way as a Celery task, for a worker of Celery: `-A config.bench_celery`.

Imported only where Celery is installed, which Sendonce neither needs nor asks for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

celery: Any = import_module("celery")
app = celery.Celery("bench", broker=settings.REDIS_URL)
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
app.conf.CELERY_DB_REUSE_MAX = 1_000_000  # else it connects to the database anew for each task


def job(message_id: int) -> None:
    """Imported when it is run: Celery sets Django up after it has read this module."""
    import_string("config.bench_usual.send_one")(message_id)


send_one: Any = app.task(job, name="send_one")
