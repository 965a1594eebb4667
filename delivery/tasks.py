"""What RQ runs. Each is safe to run twice, late, or at the same time elsewhere."""

from __future__ import annotations

from pathlib import Path

import django_rq
from django.conf import settings

from brands.models import Installation
from delivery import planning, routing, settling, upkeep, worker


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
    """Expired rows, dead workers' journals, lost intents, rows of resting lanes."""
    upkeep.sweep_expired()
    settling.park_killers()
    if installation := Installation.objects.first():
        settling.settle_dead(Path(settings.JOURNAL_DIR), str(installation.identity))
    settling.reconcile()
    routing.move_resting()
