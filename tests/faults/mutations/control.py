"""Runs the tests on a copy of the tree with one mutation in it, and says whether they noticed.

The copies use the servers of DATABASE_URL and REDIS_URL, each a database of its own. First the copy
as it stands must pass all that is asked of the others; the tables made for it serve them, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.faults.mutations.table import MUTATIONS, Change, Mutation

ROOT = Path(__file__).parents[3]
PATIENCE = 1200.0  # seconds; each takes ten, on a machine that does nothing else
AT_ONCE = 2
FIRST_REDIS = 14  # of 64 databases; the lower ones are of the tests that run now
NO_MUTATION = "none: all of these tests"
MADE_FOR_ALL = "mutation_none"
OURS = ("PYTEST_", "DJANGO_", "JOURNAL_DIR", "PUBLIC_BASE_URL")


class DoesNotFit(Exception):
    """An anchor is not there, or not once; the message says which."""


@dataclass(frozen=True)
class Report:
    """What a run of the tests came to: the words of each failure, and of what broke around them."""

    passed: int
    failures: Sequence[str]
    errors: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    name: str
    caught_by: str
    seconds: float
    trouble: str  # empty: it was caught, or the copy as it stands passed

    @property
    def is_as_it_should_be(self) -> bool:
        return not self.trouble


def judged(folder: Path, mutations: Sequence[Mutation] = MUTATIONS) -> Iterator[Verdict]:
    """The verdict on the copy as it stands, then on each mutation, as they come."""
    yield on_none(folder, mutations)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(lambda one: on_one(folder, *one), enumerate(mutations))
    finally:
        drop(f"test_{MADE_FOR_ALL}")


def on_none(folder: Path, mutations: Sequence[Mutation]) -> Verdict:
    began = time.monotonic()
    wanted = sorted({mutation.caught_by for mutation in mutations})
    copy = copy_of_the_tree(folder / MADE_FOR_ALL)
    report = run(copy, wanted, database=MADE_FOR_ALL, redis=FIRST_REDIS, more=["--reuse-db"])
    words = [*report.failures, *report.errors]
    trouble = "\n".join(words) if words else "" if report.passed else "nothing was tested"
    return Verdict(
        name=NO_MUTATION,
        caught_by=f"{report.passed} tests",
        seconds=time.monotonic() - began,
        trouble=trouble,
    )


def on_one(folder: Path, number: int, mutation: Mutation) -> Verdict:
    began, database = time.monotonic(), f"mutation_{number}"
    copy = copy_of_the_tree(folder / database)
    more = ["--create-db"]
    for change in mutation.changes:
        apply(change, copy)
    if not mutation.migrates:
        make_database(f"test_{database}", like=f"test_{MADE_FOR_ALL}")
        more = ["--reuse-db", "--nomigrations"]
    redis = FIRST_REDIS + number
    report = run(copy, [mutation.caught_by], database=database, redis=redis, more=["-x", *more])
    drop(f"test_{database}")
    shutil.rmtree(copy)
    return Verdict(
        name=mutation.name,
        caught_by=mutation.caught_by.rpartition("::")[2],
        seconds=time.monotonic() - began,
        trouble=why_not_caught(mutation, report),
    )


def why_not_caught(mutation: Mutation, report: Report) -> str:
    """Empty if the tests failed, and by saying what they should."""
    if report.errors:
        return "something else broke: " + "\n".join(report.errors)
    if not report.failures:
        return f"nobody noticed: {report.passed} tests passed"
    if not any(re.search(mutation.says, said(words)) for words in report.failures):
        return f"no failure says {mutation.says!r}: " + "\n".join(report.failures)
    return ""


def said(words: str) -> str:
    """The line that failed and what was wrong with it, without the source around it."""
    return "\n".join(line for line in words.splitlines() if not line.startswith("    "))


# --- a copy -------------------------------------------------------------------------------------


def copy_of_the_tree(to: Path) -> Path:
    """All that git knows or would take in, as it is now."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def apply(change: Change, copy: Path) -> None:
    path = copy / change.file
    text = path.read_text() if path.exists() else ""
    if text.count(change.old) != 1:
        times = text.count(change.old)
        raise DoesNotFit(f"{change.file} has {times} times, not once: {change.old!r}")
    path.write_text(text.replace(change.old, change.new))


# --- a run --------------------------------------------------------------------------------------


def run(
    copy: Path, tests: Sequence[str], *, database: str, redis: int, more: Sequence[str]
) -> Report:
    """Run these tests of a copy, in a process of its own, on a database of its own."""
    found = copy / "found.xml"
    command = [sys.executable, "-m", "pytest", *tests, *more]
    command += ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--junit-xml={found}"]
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment(database, redis),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Report(0, [], [f"not over within {PATIENCE:.0f} s"])
    if not found.exists():
        return Report(0, [], [done.stdout[-2000:] + done.stderr[-2000:]])
    return read(found.read_text())


def environment(database: str, redis: int) -> dict[str, str]:
    """Ours, but for what it says of our own run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {
        "DATABASE_URL": with_path(os.environ["DATABASE_URL"], database),
        "REDIS_URL": with_path(os.environ["REDIS_URL"], str(redis)),
        "SENDONCE_TEST_ON_GIVEN_SERVERS": "1",
    }


def with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def read(xml: str) -> Report:
    """Pytest's own report. A failure is a test's; an error is of what was made for it."""
    cases = list(ElementTree.fromstring(xml).iter("testcase"))
    failures = [words(part) for case in cases for part in case.iter("failure")]
    errors = [words(part) for case in cases for part in case.iter("error")]
    return Report(len(cases) - len(failures) - len(errors), failures, errors)


def words(part: ElementTree.Element) -> str:
    return f"{part.get('message')}\n{part.text}"


# --- databases ----------------------------------------------------------------------------------


def make_database(name: str, *, like: str) -> None:
    drop(name)
    command(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')


def drop(name: str) -> None:
    command(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def command(statement: str) -> None:
    url = with_path(os.environ["DATABASE_URL"], "postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
