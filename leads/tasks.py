"""What RQ runs of uploads. Safe to run twice, late, or at the same time elsewhere."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue

from leads import uploads

logger = logging.getLogger(__name__)

QUEUE = "chores"
TIMEOUT = 1.0  # seconds; a page waits for this call


def take_in_uploads() -> int:
    """Take in what waits or was left, one after the other; returns how many were in our hands."""
    taken = 0
    with asked_to_end() as is_asked:
        for import_id in uploads.waiting():
            if is_asked():
                break
            taken += uploads.take_in(import_id, is_asked)
    uploads.drop_parts()
    return taken


def call() -> None:
    """Wake the worker; when Redis does not answer, the recurring job finds the upload."""
    retry = Retry(NoBackoff(), 0)
    redis = Redis.from_url(
        settings.REDIS_URL, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=retry
    )
    try:
        Queue(QUEUE, connection=redis).enqueue(take_in_uploads, result_ttl=0, job_timeout=-1)
    except RedisError:
        logger.warning("the worker of uploads was not called")
    finally:
        redis.close()


@contextlib.contextmanager
def asked_to_end() -> Iterator[Callable[[], bool]]:
    """Whether this process was told to end. Who listened before, as RQ does, is told as well."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        if callable(listener := before[signal.Signals(number)]):
            listener(number, frame)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, listener in before.items():
            if signal.getsignal(number) is hear:  # RQ's listens otherwise after the first signal
                signal.signal(number, listener)
