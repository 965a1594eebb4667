"""The recurring jobs, and a scheduler that puts them back when Redis forgot them."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

import django_rq
from django.conf import settings
from rq_scheduler import Scheduler

from delivery import tasks
from leads import tasks as uploads
from reporting import tasks as reports

RENEW_SECONDS = 60.0


def recurring() -> dict[str, tuple[object, int, str]]:
    """Each recurring job by its id: the function, every how many seconds, and its queue."""
    return {
        "plan": (tasks.plan, settings.PLAN_EVERY_SECONDS, "plan"),
        "dispatch": (tasks.dispatch, 1, "upkeep"),
        "fail_over": (tasks.fail_over, 1, "upkeep"),
        "weigh": (tasks.weigh, 5, "upkeep"),
        "tidy": (tasks.tidy, settings.TIDY_EVERY_SECONDS, "upkeep"),
        "watch_numbers": (tasks.watch_numbers, settings.WATCH_EVERY_SECONDS, "chores"),
        "health": (tasks.count_health, settings.HEALTH_EVERY_SECONDS, "chores"),
        "look_up": (tasks.look_up, settings.LOOK_UP_EVERY_SECONDS, "chores"),
        "sweep_inbound": (tasks.sweep_inbound, sweep_seconds(), "chores"),
        "uploads": (uploads.take_in_uploads, settings.IMPORT_EVERY_SECONDS, uploads.QUEUE),
        "figures": (reports.count_figures, settings.FIGURES_EVERY_SECONDS, "chores"),
    }


def sweep_seconds() -> int:
    """Each listing keeps its own time; whether one is due is seen ten times as often."""
    return max(1, settings.SWEEP_EVERY_SECONDS // 10)


class RenewingScheduler(Scheduler):  # type: ignore[misc]
    """Registers every recurring job at start, each minute, and as soon as one is missing.

    A kill at the wrong moment, or a flush, would else remove one for good.
    """

    renewed_at = float("-inf")

    def _install_signal_handlers(self) -> None:
        """Only end the loop; its own `finally` says farewell to Redis.

        The library's handler does so at once, and when it breaks into what was being said to Redis
        it is given the answer to that, and fails.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end_loop)

    def enqueue_jobs(self) -> list[object]:
        jobs = self.connection.zcard(self.scheduled_jobs_key)
        if jobs < len(recurring()) or time.monotonic() - self.renewed_at > RENEW_SECONDS:
            self.renew()
        return list(super().enqueue_jobs())

    def renew(self) -> None:
        known = {job.id for job in self.get_jobs()}
        for job_id, (function, seconds, queue) in recurring().items():
            if job_id not in known:
                self.schedule(
                    scheduled_time=datetime.now(UTC),
                    func=function,
                    interval=seconds,
                    result_ttl=0,
                    timeout=-1,
                    id=job_id,
                    queue_name=queue,
                )
        self.renewed_at = time.monotonic()


def end_loop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit


def make_scheduler(interval: float) -> RenewingScheduler:
    """A scheduler that looks every `interval` seconds."""
    connection = django_rq.get_connection("upkeep")
    return RenewingScheduler(queue_name="upkeep", connection=connection, interval=interval)
