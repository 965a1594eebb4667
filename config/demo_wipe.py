"""Whose data a demo may wipe, and how: its own sandbox, as a whole, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import django_rq
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from rq.job import Job

from brands import clock
from brands.models import Brand, Installation
from campaigns.models import Campaign
from config.demo_stage import BRANDS, CannotStage, Folder
from config.scheduling import make_scheduler
from delivery import sql
from providers import rates

ONE_DEMO = 0x44454D4F  # the advisory lock of whoever runs the demo on a database
LOCK_IS_HELD = """
SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND classid = 0 AND objid = %s AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
OUR_JOBS = ("delivery.tasks.", "leads.tasks.", "reporting.tasks.")
FRONTIER = "INSERT INTO delivery_frontier (id, attempt_id) VALUES (1, 0)"


def refuse_real() -> None:
    """Raises CannotStage on an installation that sends to real people."""
    installation = Installation.objects.first()
    if installation is not None and not installation.is_sandbox:
        raise CannotStage(
            "This database is a real installation: the demo runs in a sandbox only, and it wipes"
            " nothing else. Use another database (DATABASE_URL)."
        )


def is_standing(folder: Folder) -> bool:
    """Whether a demo was made here as a whole, and its ledger is still there.

    Raises CannotStage where a sandbox holds what is not the demo's.
    """
    slugs = {plan.slug for plan in BRANDS}
    if others := set(Brand.objects.values_list("slug", flat=True)) - slugs:
        raise CannotStage(
            f"This sandbox holds other brands ({', '.join(sorted(others)[:3])}): use another"
            " database, or wipe it by demo --check."
        )
    started = Campaign.objects.filter(started_at__isnull=False).values_list("brand__slug")
    return folder.ledger.exists() and {slug for (slug,) in started} == slugs


def ask() -> bool:
    """Ask whoever runs the demo to wipe it and begin anew; False where nobody runs one.

    Raises CannotStage on an installation that sends to real people.
    """
    refuse_real()
    if not is_run():
        return False
    Installation.objects.update(wipe_asked_at=clock.now())
    return True


def is_asked() -> bool:
    return Installation.objects.filter(wipe_asked_at__isnull=False).exists()


def is_run() -> bool:
    """Whether a demo runs on this database: it holds a lock of its own for as long as it lives."""
    is_held: bool = sql.one(LOCK_IS_HELD, ONE_DEMO)[0]
    return is_held


def wipe(folder: Folder) -> None:
    """Empty all our tables, queues and files of a sandbox. Ids go on, so no old id comes back."""
    refuse_real()
    installation = Installation.objects.first()
    if installation is not None:
        forget_in_redis(str(installation.identity))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(our_tables())}")
        cursor.execute(FRONTIER)
    for path in (folder.journal, folder.leads):
        rmtree(path, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.ledger.unlink()


def our_tables() -> list[str]:
    quote = connection.ops.quote_name
    return sorted(
        quote(model._meta.db_table)
        for app in apps.get_app_configs()
        if Path(app.path).resolve().parent == settings.BASE_DIR
        for model in app.get_models(include_auto_created=True)
        if model._meta.managed
    )


def forget_in_redis(identity: str) -> None:
    """Our queues, recurring jobs and buckets, and no key of anybody else."""
    for name in settings.RQ_QUEUES:
        queue = django_rq.get_queue(name)
        queue.delete(delete_jobs=True)
        for registry in (queue.started_job_registry, queue.failed_job_registry):
            jobs = [Job.key_for(job_id) for job_id in registry.get_job_ids(cleanup=False)]
            queue.connection.delete(registry.key, *jobs)  # of workers that were killed
    scheduler = make_scheduler(1)
    for job in list(scheduler.get_jobs()):
        if job.func_name.startswith(OUR_JOBS):
            scheduler.cancel(job)
    redis = rates.connect(settings.REDIS_URL)
    redis.delete(scheduler.scheduler_lock_key)
    for key in redis.scan_iter(match=f"sendonce:{{{identity}}}:*", count=1000):
        redis.delete(key)
