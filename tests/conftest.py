"""Fixtures many tests share: a sandbox at noon, a number and a slot, Redis, a journal, threads."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from delivery.journal import Journal
from delivery.models import Frontier
from providers import rates
from tests.factories import NOON, make_installation, make_number, make_slot, set_clock

# On a crowded machine it says of quick examples that they are slow.
hypothesis_settings.register_profile(
    "crowded", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("crowded")
rates.TIMEOUT = 10.0  # on a crowded machine Redis may stand still for longer than a second


@pytest.fixture(scope="session", autouse=True)
def addresses():
    """All pages are imported before a test begins: on a crowded machine that takes seconds, and
    the transaction of the first test that opens one would run into its time-out meanwhile.
    """
    return get_resolver().url_patterns


def make_sandbox():
    """A sandbox in which it is noon in New York."""
    Frontier.objects.get_or_create(id=1)  # a test with real commits truncates it
    installation = make_installation()
    set_clock(NOON)
    return installation


@pytest.fixture
def sandbox():
    """Needs the django_db mark."""
    return make_sandbox()


@pytest.fixture(scope="class")
def shared_sandbox(django_db_setup, django_db_blocker):
    """A sandbox for all tests of a class: whatever else is made for the class stays until its end,
    and what a test of it writes goes with that test. None of them may commit for real.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_sandbox()
        transaction.set_rollback(True)


@pytest.fixture
def lane(sandbox):
    """A sender number; a file that needs another kind has its own."""
    return make_number()


@pytest.fixture
def slot(lane):
    """A slot of a campaign that may send from `lane`."""
    return make_slot(lane)


@pytest.fixture
def redis():
    with contextlib.closing(rates.connect(settings.REDIS_URL)) as client:
        yield client


@pytest.fixture
def journal(tmp_path, sandbox):
    with Journal.open(tmp_path / "journal", str(sandbox.identity)) as opened:
        yield opened


@pytest.fixture
def at_once():
    """Run something in several threads that start together, each with its own connection."""

    def run(work, threads=2):
        start = threading.Barrier(threads)

        def alone(number):
            try:
                connection.ensure_connection()
                start.wait(30)
                return work(number)
            finally:
                connection.close()

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(alone, range(threads)))

    return run


@pytest.fixture
def statements():
    """How many statements something takes."""

    def count(work):
        with CaptureQueriesContext(connection) as captured:
            work()
        return len(captured)

    return count
