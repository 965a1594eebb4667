"""What is on record: journals that are alive, lost or of another boot, and an older backup."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from uuid import UUID

from django.core.management import call_command
from django.db import connection

from config.servers import DATABASE
from delivery import journal, sql, worker
from delivery.models import Attempt
from delivery.states import Status
from providers.simulator_ledger import LedgerEntry
from tests.faults.harness.arena import Arena
from tests.faults.harness.crew import writer_of
from tests.faults.harness.load import Load
from tests.faults.harness.trials import Row, Trial

WORKERS = 4
OLDER = "sendonce_older"
LOOKED_AT = 2.5  # seconds; tidying comes by more than once
RATE = 100.0
SOME = 80  # messages before a backup, and again after it
BEHIND_FOR = 4.0  # seconds in which a database that forgot must claim nothing
ANOTHER_BOOT = "00000000-0000-4000-8000-000000000000"

CANCEL = """
WITH gone AS (
    DELETE FROM delivery_due d USING delivery_message m, compliance_person p,
           unnest(%s::text[], %s::bigint[]) AS taken (phone, brand_id)
    WHERE m.id = d.message_id AND p.id = m.person_id
      AND p.phone = taken.phone AND m.brand_id = taken.brand_id
    RETURNING d.message_id
)
UPDATE delivery_message SET status = 'cancelled' WHERE id IN (SELECT message_id FROM gone)
"""

Fault = Callable[[Arena, Random], Trial]
numbers = count(1)

# --- journals -------------------------------------------------------------------------------------


def journals(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    arena.load(Load(people=300, rate=60, latency_ms=400))
    arena.crew.start_workers(WORKERS)
    found = []
    for number in range(trials):
        arena.until_busy()
        found.append(JOURNALS[number % len(JOURNALS)](arena, chance))
    return found


def pending_of(senders: list[UUID]) -> int:
    return Attempt.objects.filter(sender__in=senders, outcome="").count()


def live_neighbour(arena: Arena, chance: Random) -> Trial:
    """A worker that stands still for a moment; whoever tidies up leaves its journal alone."""
    name = chance.choice(arena.busy_ones())
    arena.crew.pause(name)
    senders = arena.senders_of(name)
    before = pending_of(senders)
    worker.settle_neighbours()
    time.sleep(LOOKED_AT)
    if (after := pending_of(senders)) != before:
        arena.problems.append(f"{before - after} intents of a live neighbour were settled")
    arena.crew.go_on(name)
    return Trial(hit=before > 0, what=f"a live journal, {before} pending", ended_at=arena.now())


def lost_host(arena: Arena, chance: Random) -> Trial:
    """A worker dies with its journals; what it had in hand is unknown after ten minutes."""
    name = chance.choice(arena.busy_ones())
    arena.crew.pause(name)
    elsewhere = arena.folder / f"lost-{next(numbers)}"
    elsewhere.mkdir()
    senders = arena.senders_of(name)
    for path in journals_of(arena, name):
        path.rename(elsewhere / path.name)
    return die_in_doubt(arena, name, senders, "a missing journal")


def power_loss(arena: Arena, chance: Random) -> Trial:
    """A worker dies, and its journal is of another boot: a missing line proves nothing."""
    name = chance.choice(arena.busy_ones())
    arena.crew.pause(name)
    senders = arena.senders_of(name)
    for path in journals_of(arena, name):
        of_another_boot(path)
    return die_in_doubt(arena, name, senders, "a journal of another boot")


def die_in_doubt(arena: Arena, name: str, senders: list[UUID], what: str) -> Trial:
    """Only what its journals still announce may be settled before the ten minutes are over."""
    announced = {ref for path in journals_of(arena, name) for ref in journal.read(path).left}
    pending = set(Attempt.objects.filter(sender__in=senders, outcome="").values_list("ref"))
    death = arena.crew.kill(name)
    ended_at = arena.now()
    arena.doubt += len(pending) - death.in_flight
    arena.keep_busy(2 * LOOKED_AT)
    time.sleep(LOOKED_AT)
    kept = Attempt.objects.filter(sender__in=senders, outcome="").exclude(ref__in=announced)
    if gone := sum(ref not in announced for (ref,) in pending) - kept.count():
        arena.problems.append(f"{what}: {gone} of {len(pending)} intents settled too early")
    return Trial(hit=bool(pending), what=f"{what}, {len(pending)} pending", ended_at=ended_at)


def journals_of(arena: Arena, name: str) -> list[Path]:
    pid = arena.crew.pid(name)
    return [path for path in arena.crew.journals.glob("*.journal") if writer_of(path) == pid]


def of_another_boot(path: Path) -> None:
    """Change the first line in its place: the file stays the same, and locked."""
    with path.open("r+b") as file:
        line = file.readline()
        header = json.loads(line.partition(b" ")[2])
        body = json.dumps({**header, "boot": ANOTHER_BOOT}).encode()
        changed = b"%08x %s\n" % (zlib.crc32(body), body)
        if len(changed) != len(line):
            raise ValueError("the boot's name has another length than was expected")
        file.seek(0)
        file.write(changed)


JOURNALS: tuple[Fault, ...] = (live_neighbour, lost_host, power_loss)

# --- an older backup ------------------------------------------------------------------------------


def older_backup(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """A backup is put back while more was sent since. It claims nothing until a person says so.

    That person looks up at the provider what was sent since, and cancels it.
    """
    arena.load(Load(people=3 * SOME, rate=RATE, latency_ms=50, twice=0.05))
    arena.at_end.append(lambda: texted_twice(arena))
    return [restore(arena) for _ in range(trials)]


def restore(arena: Arena) -> Trial:
    arena.crew.end(*others(arena))  # of an earlier trial
    arena.keep_busy(3 * SOME / RATE)
    arena.crew.start_workers(WORKERS)
    arena.until_sending(many=SOME)
    arena.crew.end(*others(arena))
    copy_database(arena, DATABASE, OLDER)
    before = len(arena.requests())
    arena.crew.start_workers(WORKERS)
    arena.until_sending(many=SOME)
    arena.crew.end(*others(arena))
    put_back(arena)
    since = arena.requests()[before:]
    arena.crew.start_workers(WORKERS)
    hit = claims_nothing(arena) and bool(since)
    arena.spared |= {entry.seq for entry in since}
    cancel(arena, since)
    with Path(os.devnull).open("w") as nowhere:
        call_command("confirm_database", yes=True, stdout=nowhere)
    ended_at = arena.now()
    arena.until_sending()
    arena.may_end.add(Status.CANCELLED)
    return Trial(hit=hit, what=f"{len(since)} sent since the backup", ended_at=ended_at)


def others(arena: Arena) -> list[str]:
    """All but the simulator."""
    return [name for name in arena.crew.names() if name != "simulator"]


def copy_database(arena: Arena, name: str, copy: str) -> None:
    connection.close()
    with arena.ground.maintenance() as database:
        database.execute(f"DROP DATABASE IF EXISTS {copy}")
        database.execute(f"CREATE DATABASE {copy} TEMPLATE {name}")


def put_back(arena: Arena) -> None:
    connection.close()
    with arena.ground.maintenance() as database:
        database.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        database.execute(f"ALTER DATABASE {OLDER} RENAME TO {DATABASE}")


def claims_nothing(arena: Arena) -> bool:
    """Whether there was something to claim. That something was claimed is a problem."""
    attempts, received = Attempt.objects.count(), arena.received()
    time.sleep(BEHIND_FOR)
    if claimed := Attempt.objects.count() - attempts:
        arena.problems.append(f"an older backup claimed {claimed} messages")
    if sent := arena.received() - received:
        arena.problems.append(f"an older backup sent {sent} messages")
    return arena.left() > 0


def cancel(arena: Arena, since: list[LedgerEntry]) -> None:
    brands = {number.value: number.brand_id for number in arena.stage.numbers}
    taken = [entry.submission for entry in since if entry.took]
    phones = [sent.to for sent in taken]
    sql.rows(CANCEL, phones, [brands[sent.from_value] for sent in taken])


def texted_twice(arena: Arena) -> Iterator[str]:
    """By the whole ledger, and a brand's number: everybody is in one campaign of it."""
    brands = {number.value: number.brand_id for number in arena.stage.numbers}
    taken = [entry.submission for entry in arena.requests() if entry.took]
    times = Counter((sent.to, brands[sent.from_value]) for sent in taken)
    if twice := sum(many > 1 for many in times.values()):
        yield f"{twice} people were texted twice over a restore"


ROWS = (
    Row(
        name="journals",
        says="a neighbour's live journal, a lost host's missing one, power loss",
        short=3,
        release=50,
        run=journals,
    ),
    Row(
        name="older-backup",
        says="restore of an older backup claims nothing until a person confirms",
        short=1,
        release=10,
        run=older_backup,
    ),
)
