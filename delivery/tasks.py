"""What RQ runs. Each is safe to run twice, late, or at the same time elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable

import django_rq
from django.conf import settings

from delivery import planning, routing, settling, upkeep, worker

logger = logging.getLogger(__name__)


class TidyFailed(Exception):
    """Names the parts that did not get through; the log says why."""


def send_slice() -> int:
    return worker.send_for(settings.SEND_SLICE_SECONDS)


def dispatch() -> int:
    """Keep a number of slices queued while anything is due; a job carries no ids."""
    queue = django_rq.get_queue("send")
    missing = settings.SEND_JOBS_QUEUED - queue.count if upkeep.anything_due() else 0
    for _ in range(missing):
        queue.enqueue(send_slice, result_ttl=0, job_timeout=-1)
    return max(missing, 0)


def plan() -> int:
    return planning.plan_open_slots()


def tidy() -> None:
    """Expired rows, dead workers' journals, lost intents, rows of resting lanes.

    Each part runs whatever became of the others; raises TidyFailed when one did not get through.
    """
    failed = [part.__name__ for part in TIDYING if not _got_through(part)]
    if failed:
        raise TidyFailed(", ".join(failed))


def _got_through(part: Callable[[], object]) -> bool:
    try:
        part()
    except Exception:
        logger.exception("tidying failed", extra={"part": part.__name__})
        return False
    return True


TIDYING: tuple[Callable[[], object], ...] = (
    upkeep.sweep_expired,
    settling.park_killers,
    worker.settle_neighbours,
    settling.reconcile,
    routing.move_resting,
)
