"""A benchmark's own ground: a database and a Redis database that nobody else uses, and an end.

The measuring itself runs in a process of its own, whose environment names them. Both are removed
when it has ended, however it ended; what a killed run left behind is removed by the next one, and
so are ledger and logs of one that went wrong.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
from django.conf import settings
from django.db import connection
from redis import Redis
from redis.exceptions import RedisError

from config.demo_processes import MANAGE
from config.processes import attend

OWNER = "sendonce-bench-owner"
NAME = re.compile(r"bench_(\d+)")
LEFT_OVER = """
SELECT datname FROM pg_database d WHERE datname ~ '^bench_[0-9]+$'
AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datname = d.datname)
"""


class NoGround(Exception):
    """Why there is no place to measure on; a sentence."""


def run_apart(arguments: Sequence[str]) -> int:
    """Run `manage.py bench … --inside` on its own ground; returns its exit code."""
    remove_left_over()
    folder = folders() / str(os.getpid())
    with own_database() as database_url, own_redis() as redis_url:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "JOURNAL_DIR": str(folder / "journal"),
        }
        command = [*MANAGE, "bench", *arguments, "--inside", str(folder)]
        code = attend(command, environment, keep_open=None, started=lambda _: None)
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        say(f"Its ledger and logs are kept until the next run: {folder}")
    return code


def folders() -> Path:
    """Where each run keeps its files, in a folder that is named after its process."""
    return Path(settings.VAR_DIR) / "bench"


@contextlib.contextmanager
def own_database() -> Iterator[str]:
    """A new, empty database beside the one of DATABASE_URL; its URL. Raises NoGround."""
    given = os.environ.get("DATABASE_URL", "")
    if not given:
        raise NoGround("DATABASE_URL is not set; ./dev bench sets it.")
    name = f"bench_{os.getpid()}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(given)._replace(path=f"/{name}"))
    finally:
        drop(name)


def drop(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def own_redis() -> Iterator[str]:
    """An empty database on the server of REDIS_URL; its URL. Raises NoGround."""
    given = os.environ.get("REDIS_URL", "")
    if not given:
        raise NoGround("REDIS_URL is not set; ./dev bench sets it.")
    url = urlsplit(given)
    taken = int(url.path.strip("/") or 0)
    for number in reversed(range(databases(given))):
        mine = urlunsplit(url._replace(path=f"/{number}"))
        redis = Redis.from_url(mine)
        if number != taken and is_free(redis) and redis.set(OWNER, os.getpid(), nx=True):
            break
    else:
        raise NoGround("The Redis server has no empty database left for a benchmark.")
    try:
        yield mine
    finally:
        with contextlib.suppress(RedisError):
            redis.flushdb()


def databases(url: str) -> int:
    try:
        found = Redis.from_url(url).config_get("databases")
        return int(found["databases"] or 0)
    except (RedisError, KeyError):
        return 16  # the server does not say


def is_free(redis: Redis) -> bool:
    """Whether a database is empty, or was left behind by a benchmark that is gone."""
    owner = redis.get(OWNER)
    if owner and not psutil.pid_exists(int(owner)):
        redis.flushdb()
    return redis.dbsize() == 0


def remove_left_over() -> None:
    for folder in folders().glob("[0-9]*"):
        if not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
    with connection.cursor() as cursor:
        cursor.execute(LEFT_OVER)
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        match = NAME.fullmatch(name)
        if match and not psutil.pid_exists(int(match[1])):
            drop(name)


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
