"""What RQ runs. Each is safe to run twice, late, or at the same time elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import django_rq
from django.conf import settings
from redis.exceptions import RedisError
from rq import Queue

from delivery import (
    freeing,
    health,
    inbound,
    inbox,
    planning,
    probing,
    reconciling,
    recounting,
    resting,
    routing,
    settling,
    sweeping,
    upkeep,
    weighing,
    worker,
)
from delivery.worker import stopping
from providers import rates

logger = logging.getLogger(__name__)


class TidyFailed(Exception):
    """Names the parts that did not get through; the log says why."""


def send_slice() -> int:
    return worker.send_for(settings.SEND_SLICE_SECONDS)


def reply_slice() -> int:
    """Send answers alone, so that nothing else that waits keeps a confirmation."""
    return worker.send_for(settings.SEND_SLICE_SECONDS, replies_only=True)


def apply_reports() -> int:
    """Apply what came in, texts that had to wait first, for a slice of time at most."""
    until = time.monotonic() + settings.SEND_SLICE_SECONDS

    def goes_on() -> bool:
        return time.monotonic() < until and not stopping.is_asked

    inbound.apply_waiting(goes_on)
    applied = 0
    while goes_on() and (found := inbox.apply_waiting(goes_on)):
        applied += found
    return applied


def dispatch() -> int:
    """Keep a number of slices queued while anything is due; a job carries no ids."""
    asked = _keep_queued("send", send_slice, settings.SEND_JOBS_QUEUED, upkeep.anything_due())
    asked += _keep_queued("replies", reply_slice, 1, upkeep.is_reply_due())
    return asked + _keep_queued(
        "reports", apply_reports, 1, inbox.is_waiting() or inbound.is_waiting()
    )


def _keep_queued(name: str, job: Callable[[], int], many: int, is_wanted: bool) -> int:
    queue = django_rq.get_queue(name)
    missing = many - queue.count if is_wanted else 0
    for _ in range(missing):
        queue.enqueue(job, result_ttl=0, job_timeout=-1)
    return max(missing, 0)


def call_replies() -> None:
    """Wake the worker of replies; when Redis does not answer, the dispatcher's next round does."""
    try:
        queue = Queue("replies", connection=rates.connect(settings.REDIS_URL))
        if queue.count == 0:
            queue.enqueue(reply_slice, result_ttl=0, job_timeout=-1)
    except RedisError:
        logger.warning("the worker of replies was not called")


def plan() -> int:
    return planning.plan_open_slots()


def fail_over() -> None:
    """Give what waits for a number that rests or is paused to the others, each second.

    And one message to each account that is out, as its trial. New limits are counted here too, for
    until then they let nothing pass. As with `tidy`, no part keeps the others.
    """
    _go_through(FAILING_OVER)


def weigh() -> int:
    """Move the weights of accounts by what became of their requests."""
    return weighing.weigh()


def watch_numbers() -> int:
    """Let numbers rest that carriers block."""
    health.walk()
    return resting.rest_blocked()


def count_health() -> int:
    """How numbers fare, for a sixtieth of the time between two rounds: look-ups wait behind it."""
    return health.count(seconds=settings.HEALTH_EVERY_SECONDS / 60)


def look_up() -> int:
    """Ask providers about what may have been taken, for a slice of time at most."""
    until = time.monotonic() + settings.SEND_SLICE_SECONDS
    return reconciling.look_up(lambda: time.monotonic() < until and not stopping.is_asked)


def sweep_inbound() -> int:
    """Ask providers for texts that no webhook brought, for a slice of time at most."""
    until = time.monotonic() + settings.SEND_SLICE_SECONDS
    swept = sweeping.sweep(lambda: time.monotonic() < until and not stopping.is_asked)
    if swept.has_answers:
        call_replies()
    return swept.found


def tidy() -> None:
    """Expired rows, dead workers' journals, lost intents.

    Each part runs whatever became of the others; raises TidyFailed when one did not get through.
    """
    _go_through(TIDYING)


def _go_through(parts: Sequence[Callable[[], object]]) -> None:
    failed = [part.__name__ for part in parts if not _got_through(part)]
    if failed:
        raise TidyFailed(", ".join(failed))


def _got_through(part: Callable[[], object]) -> bool:
    try:
        part()
    except Exception:
        logger.exception("tidying failed", extra={"part": part.__name__})
        return False
    return True


FAILING_OVER: tuple[Callable[[], object], ...] = (
    resting.rest_warming,
    routing.move_resting,
    probing.seed,
    recounting.count_new,
)
TIDYING: tuple[Callable[[], object], ...] = (
    upkeep.sweep_expired,
    freeing.free_held,
    settling.park_killers,
    worker.settle_neighbours,
    settling.reconcile,
    settling.end_unreported,
    weighing.forget_old,
)
