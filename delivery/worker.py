"""A worker's job: a slice of time in which it sends, and drains before it returns.

The RQ worker around it only learns to tell a running slice that it should end.
"""

from __future__ import annotations

import atexit
import gc
import logging
import time
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    close_old_connections,
    connection,
)
from rq import Queue
from rq.job import Job
from rq.worker import SimpleWorker

from brands.models import Installation
from delivery import claims, intents, pipeline, settling, sql
from delivery.journal import CannotWrite, Journal, read
from delivery.picking import Picker
from delivery.sender import LONGEST_PACE, NOT_JOURNALED, Answered, Sender
from providers import rates
from providers.base import REQUEST_SECONDS

logger = logging.getLogger(__name__)

IDLE_PAUSE = 0.1  # seconds
GIVE_UP_IDLE = 2.0
TROUBLE_PAUSE = 0.5
COLLECT_EVERY = 0.02
HANGS = LONGEST_PACE + 0.5  # seconds without a new batch; what is on the wire longer hangs
OVERTIMES = 3  # of a slice, each as long as a request may take
LOST_AFTER = REQUEST_SECONDS + pipeline.WRITE_WITHIN + 5.0
COLLECT_AFTER = 20_000  # new objects
DECIDE_WITHIN = 0.5  # seconds for a batch; after a slower one the next is smaller
SMALLEST_BATCH = 10
STORE_AT = 250  # outcomes that are stored together while more are coming
STORE_WITHIN = 0.2  # seconds

RESTS = (
    DatabaseError,
    InterfaceError,
    intents.Inconsistent,
    claims.ClockSkew,
    pipeline.NotWitnessed,
    CannotWrite,
)


class Stopping:
    """Whether this process was asked to end.

    A plain flag: an Event waits for itself for ever when a second signal comes within its `set`.
    """

    is_asked = False


stopping = Stopping()


class Worker(SimpleWorker):
    """RQ's worker without a fork; a warm shutdown also ends the slice in hand.

    Before each job it looks whether the database still answers: a server that was restarted, or
    that ended our connection, must not leave a process behind that fails for ever.
    """

    def work(self, *arguments: Any, **options: Any) -> bool:
        spare_the_collector()
        return bool(super().work(*arguments, **options))

    def perform_job(self, job: Job, queue: Queue) -> bool:
        close_old_connections()
        return bool(super().perform_job(job, queue))

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        stopping.is_asked = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def spare_the_collector() -> None:
    """Keep Python's collector of cycles off what lives as long as the process.

    A batch makes tens of thousands of objects and no cycles; each few of them it went through all
    of Django, a quarter of the time in which messages are decided.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 50, 50)


@cache
def breaker() -> rates.Breaker:
    return rates.Breaker()


@cache
def sender() -> Sender:
    """The one sending thread of this process, with its open connections.

    It ends before the interpreter does, which otherwise takes the ground from under its event loop:
    seen as a segmentation fault of 3 workers of 61 that were asked to end on a busy machine.
    """
    started = Sender(breaker())
    atexit.register(started.stop)
    return started


def send_for(seconds: float, *, replies_only: bool = False) -> int:
    """Send for a slice of time; returns how many messages were claimed in it."""
    settle_neighbours()
    installation = Installation.objects.first()
    if installation is None or not knows_database(installation):
        logger.error("nothing is sent: this database was not confirmed by a person")
        return 0
    with Journal.open(Path(settings.JOURNAL_DIR), str(installation.identity)) as journal:
        slice_ = Slice(installation, journal, replies_only=replies_only)
        return slice_.run(time.monotonic() + seconds)


def settle_neighbours() -> int:
    """Settle the journals of this host's dead workers: no other host can read them."""
    installation = Installation.objects.first()
    if installation is None:
        return 0
    return settling.settle_dead(Path(settings.JOURNAL_DIR), str(installation.identity))


def knows_database(installation: Installation) -> bool:
    """False when a person has to confirm first that this Postgres cluster is the right one."""
    return installation.system_identifier in ("", system_identifier())


def system_identifier() -> str:
    """The cluster's own number; empty where we may not read it."""
    if not sql.one("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")[0]:
        return ""
    return str(sql.one("SELECT system_identifier::text FROM pg_control_system()")[0])


class Slice:
    """One job: its picker, its journal, and the outcomes it has not stored yet."""

    def __init__(
        self, installation: Installation, journal: Journal, *, replies_only: bool = False
    ) -> None:
        self.journal = journal
        self.sender = sender()
        self.picker = Picker(
            redis=rates.connect(settings.REDIS_URL),
            installation=str(installation.identity),
            breaker=breaker(),
            places=self.sender.room,
            replies_only=replies_only,
        )
        self.room = settings.SEND_BATCH
        self.unstored: list[Answered] = []
        self.waiting_since = 0.0
        self.is_troubled = False

    def run(self, until: float) -> int:
        """Send until this monotonic second, and on beside a request that hangs then."""
        claimed = 0
        try:
            claimed = self.work(until)
            for _ in range(OVERTIMES):
                if stopping.is_asked or self.clears(within=HANGS):
                    break
                claimed += self.work(time.monotonic() + REQUEST_SECONDS)
        except BaseException:
            self.is_troubled = True  # intents may be committed that the sender never got
            raise
        finally:
            self.drain()
        return claimed

    def work(self, until: float) -> int:
        claimed, last_work = 0, time.monotonic()
        while time.monotonic() < until and not stopping.is_asked:
            rows = self.turn()
            claimed += rows
            if rows or self.sender.under_way:
                last_work = time.monotonic()
            elif time.monotonic() - last_work > GIVE_UP_IDLE:
                break
        return claimed

    def clears(self, *, within: float) -> bool:
        """Whether all that is on the wire comes back so soon."""
        until = time.monotonic() + within
        while self.sender.under_way and time.monotonic() < until:
            self.store(wait=COLLECT_EVERY)
        return not self.sender.under_way

    def turn(self) -> int:
        """Claim a batch if there is room for it, then store what came back."""
        rows = 0
        if self.sender.under_way - self.sender.hung < settings.SEND_BATCH:
            began = time.monotonic()
            try:
                rows = pipeline.send_batch(
                    min(self.room, settings.SEND_BATCH),
                    picker=self.picker,
                    sender=self.sender,
                    journal=self.journal,
                )
            except claims.Shifting:
                pass  # nothing was taken; the shift waits until what is in flight is stored
            except RESTS as error:
                self._rest_after(error)
            finally:
                self._suit_room(time.monotonic() - began)
        if not rows and self.sender.under_way:
            time.sleep(COLLECT_EVERY)  # waking for each answer costs more than the answer
        self.store(wait=0.0 if rows or self.sender.under_way else IDLE_PAUSE)
        return rows

    def _suit_room(self, took: float) -> None:
        """Tokens are good for two seconds: what is decided too slowly would never leave."""
        if took > DECIDE_WITHIN:
            self.room = max(self.room // 2, min(SMALLEST_BATCH, settings.SEND_BATCH))
        else:
            self.room = min(self.room * 2, settings.SEND_BATCH)

    def store(self, *, wait: float) -> None:
        self._collect(wait)
        if not self.unstored or self._may_wait():
            return
        try:
            pipeline.record_answers(self.unstored)
        except (DataError, IntegrityError):
            logger.exception("outcomes refused: they are settled from the journal, one by one")
            self.is_troubled = True
        except (DatabaseError, InterfaceError) as error:
            self._rest_after(error)
            return
        self.unstored.clear()

    def _collect(self, wait: float) -> None:
        answers = self.sender.collect(wait=wait)
        if answers and not self.unstored:
            self.waiting_since = time.monotonic()
        self.unstored += answers
        for answer in answers:
            if (
                answer.outcome == NOT_JOURNALED
            ):  # unlike one that was too late, its tokens are fresh
                self.picker.give_back(answer.intent)

    def _may_wait(self) -> bool:
        """Few, and just arrived, while more are on the wire: those are stored with these."""
        is_young = time.monotonic() - self.waiting_since < STORE_WITHIN
        return is_young and len(self.unstored) < STORE_AT < self.sender.under_way

    def _rest_after(self, error: Exception) -> None:
        self.is_troubled = True
        logger.warning("the slice rests", extra={"error": type(error).__name__})
        time.sleep(TROUBLE_PAUSE)
        connection.close_if_unusable_or_obsolete()

    def drain(self) -> None:
        """Store what is on the wire as it comes; a journal in doubt stays for the reaper."""
        until = time.monotonic() + LOST_AFTER
        while self.sender.under_way and time.monotonic() < until:
            self.store(wait=0.5)
        if self.sender.under_way:
            logger.error("answers are missing", extra={"many": self.sender.under_way})
            self.is_troubled = True
        for _ in range(20):
            if not self.unstored:
                break
            self.store(wait=0.0)
        self.picker.hand_in()
        if not self.unstored and not self.is_troubled:
            self.journal.close(settled=True)
        elif not self.unstored:
            settling.settle(read(self.journal.path))
