"""Postgres and Redis that crash, forget, refuse or hang while workers send."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random

from django.db import connection
from redis import Redis

from config.processes import is_over, waited
from config.servers import DATABASE, Server
from delivery import intents, outcomes, sql
from delivery.models import Attempt
from tests.faults.harness import hands
from tests.faults.harness.arena import Arena, NotSo
from tests.faults.harness.load import Load
from tests.faults.harness.trials import Row, Trial
from tests.faults.proxy import Fuse, Proxy

WORKERS = 4
GONE_WITHIN = 10.0  # seconds
CUT_WITHIN = 20.0
MARGIN = timedelta(seconds=0.5)  # from a grant to the beginning of its batch
RESTS = "the slice rests"  # what a worker logs when the database refuses
TINY = 64  # megabytes of the disk that runs full

TERMINATE = """
SELECT count(*) FILTER (WHERE state <> 'idle'), count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
AND backend_type = 'client backend'
"""

Fault = Callable[[Arena, Random], Trial]
numbers = count(1)


def under_load(faults: tuple[Fault, ...]) -> Callable[[Arena, int, Random], list[Trial]]:
    """The faults in turn, each while messages are on the wire and others wait."""

    def run(arena: Arena, trials: int, chance: Random) -> list[Trial]:
        arena.load(Load(people=400, rate=100, latency_ms=150))
        arena.crew.start_workers(WORKERS)
        found = []
        for number in range(trials):
            arena.until_busy()
            found.append(faults[number % len(faults)](arena, chance))
        return found

    return run


# --- Postgres -----------------------------------------------------------------------------------


def crash(arena: Arena, chance: Random) -> Trial:
    """As `pg_ctl -m immediate` does: nothing is written any more, recovery is from the log."""
    pending = arena.pending()
    stop_at_once(arena.ground.postgres)
    time.sleep(chance.uniform(0.1, 1.5))
    arena.ground.start_again(arena.ground.postgres)
    connection.close()
    what = "Postgres crashed"
    return Trial(hit=pending > 0, what=what, kind=what, ended_at=arena.now())


def stop_at_once(server: Server) -> None:
    process = server.process()
    if process is None:
        raise NotSo(f"{server.name} is up")
    process.send_signal(signal.SIGQUIT)
    if not waited(lambda: is_over(process), GONE_WITHIN):
        raise NotSo(f"{server.name} crashes: not within {GONE_WITHIN:.0f} s")
    if server.child:
        server.child.wait()
        server.child = None


def backends_terminated(arena: Arena, chance: Random) -> Trial:
    pending = arena.pending()
    busy, ended = sql.one(TERMINATE)
    what = f"{ended} backends terminated, {busy} of them busy"
    hit = pending > 0 and ended >= WORKERS
    return Trial(hit=hit, what=what, kind="backends terminated", ended_at=arena.now())


def commit_cut(of: str, statement: str, *, delivered: bool) -> Fault:
    """One worker's wire to the database is cut at its COMMIT, which is carried out or not.

    It is the first COMMIT after the first line of this statement.
    """

    def cut(arena: Arena, chance: Random) -> Trial:
        name = f"cut-{next(numbers)}"
        with Proxy("127.0.0.1", arena.ground.postgres_port) as wire:
            first_line = statement.strip().splitlines()[0]
            wire.fuse = fuse = Fuse(first_line, delivered=delivered)
            database = {"PORT": wire.port}
            arena.crew.start(name, hands.work, "send", database=database, kept=False)
            arena.ask_for_slice()
            hit = waited(lambda: arena.keep_busy() or fuse.has_blown, CUT_WITHIN)
            ended_at = arena.now()
            arena.until_sending()
            if any(arena.crew.end(name)):
                arena.problems.append(f"{name} did not end well")
        what = f"COMMIT of {of}: {'its answer cut' if delivered else 'cut'}"
        return Trial(hit=hit, what=what, kind=what, ended_at=ended_at)

    return cut


POSTGRES = (
    crash,
    commit_cut("intents", intents.ATTEMPTS, delivered=True),
    backends_terminated,
    commit_cut("intents", intents.ATTEMPTS, delivered=False),
    commit_cut("outcomes", outcomes.ATTEMPTS, delivered=True),
    commit_cut("outcomes", outcomes.ATTEMPTS, delivered=False),
)

# --- Redis --------------------------------------------------------------------------------------


def outage(what: str, begin: Callable[[Arena], None], end: Callable[[Arena], None]) -> Fault:
    """A while without Redis, in which no batch begins but with the tokens it had before.

    It hit if messages were on the wire and others waited.
    """

    def fault(arena: Arena, chance: Random) -> Trial:
        pending = arena.pending()
        begin(arena)
        since = arena.now() + MARGIN
        time.sleep(chance.uniform(1.0, 3.0))
        made = Attempt.objects.filter(intent_at__gt=since).count()
        end(arena)
        if made:
            arena.problems.append(f"{what}: {made} intents without tokens")
        hit = pending > 0 and arena.left() > 0
        return Trial(hit=hit, what=what, kind=what, ended_at=arena.now())

    return fault


def forget_all(arena: Arena, chance: Random) -> Trial:
    pending = arena.pending()
    tell("FLUSHALL")(arena)
    hit, ended_at = pending > 0 and arena.left() > 0, arena.now()
    arena.until_sending()
    return Trial(hit=hit, what="FLUSHALL", kind="FLUSHALL", ended_at=ended_at)


def tell(*words: str) -> Callable[[Arena], None]:
    """A command to the Redis of the arena."""

    def say(arena: Arena) -> None:
        redis: Redis = arena.ground.redis()
        redis.execute_command(*words)
        redis.close()

    return say


def stop_redis(arena: Arena) -> None:
    arena.ground.valkey.stop()


def start_redis_empty(arena: Arena) -> None:
    server = arena.ground.valkey
    for path in server.data.iterdir():
        if path.is_dir():  # what it would remember; its password stays
            shutil.rmtree(path)
    arena.ground.start_again(server)


def signal_redis(number: int) -> Callable[[Arena], None]:
    def send(arena: Arena) -> None:
        process = arena.ground.valkey.process()
        if process is not None:
            os.kill(process.pid, number)

    return send


REDIS = (
    outage("Redis gone, back empty", stop_redis, start_redis_empty),
    forget_all,
    outage("Redis read-only", tell("REPLICAOF", "127.0.0.1", "1"), tell("REPLICAOF", "NO", "ONE")),
    outage(
        "Redis out of memory",
        tell("CONFIG", "SET", "maxmemory", "1"),
        tell("CONFIG", "SET", "maxmemory", "0"),
    ),
    outage("Redis hangs", signal_redis(signal.SIGSTOP), signal_redis(signal.SIGCONT)),
)

# --- the disk -----------------------------------------------------------------------------------


def disk_full(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """The database lies on a small disk that runs full under it."""
    disk = small_disk(arena)
    arena.load(Load(people=400, rate=100, latency_ms=150))
    arena.crew.start_workers(WORKERS)
    found = []
    for _ in range(trials):
        arena.until_busy()
        found.append(fill(arena, disk))
    return found


def small_disk(arena: Arena) -> Path:
    """A file system of its own, with the database moved there; both go when the arena does."""
    place, account = arena.folder / "disk", arena.ground.postgres.account
    place.mkdir()
    owner = f",uid={account.uid},gid={account.gid}" if account else ""
    mount("-t", "tmpfs", "-o", f"size={TINY}m,mode=0700{owner}", "none", str(place))
    data = place / "data"
    data.mkdir(mode=0o700)
    if account:
        os.chown(data, account.uid, account.gid)
    connection.close()
    with arena.ground.maintenance() as database:
        database.execute(f"CREATE TABLESPACE small LOCATION '{data}'")
        database.execute(f"ALTER DATABASE {DATABASE} SET TABLESPACE small")
    arena.stack.callback(put_away, arena, place)
    return place


def put_away(arena: Arena, place: Path) -> None:
    connection.close()
    with arena.ground.maintenance() as database:
        database.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        database.execute("DROP TABLESPACE small")
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(arena: Arena, disk: Path) -> Trial:
    rested = arena.crew.log_lines(RESTS)
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65_536)
    except OSError:
        time.sleep(3.0)
    filler.unlink()
    hits = arena.crew.log_lines(RESTS) - rested
    return Trial(hit=hits > 0, what=f"disk full, {hits} batches refused", ended_at=arena.now())


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotSo(f"a small disk is mounted: {done.stderr.strip()}")


def no_mounts() -> str:
    """Why no disk can be mounted here."""
    if os.geteuid():
        return "only root may mount a small disk"
    probe = Path("/proc/self/status").read_text()
    capable = int(next(x for x in probe.splitlines() if x.startswith("CapEff")).split()[1], 16)
    return "" if capable >> 21 & 1 else "this machine lets nobody mount a small disk"


ROWS = (
    Row(
        name="postgres",
        says="Postgres crash; backend terminated; COMMIT answer cut",
        short=len(POSTGRES),
        release=300,
        run=under_load(POSTGRES),
    ),
    Row(
        name="redis",
        says="Redis gone; FLUSHALL; read-only; out of memory; hanging",
        short=len(REDIS),
        release=100,
        run=under_load(REDIS),
    ),
    Row(
        name="disk-full",
        says="disk full for Postgres",
        short=1,
        release=20,
        run=disk_full,
        why_not=no_mounts,
    ),
)
