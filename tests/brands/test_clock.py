from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from brands import clock
from brands.models import Brand, ClockShift
from tests.factories import NOON, make_brand, make_installation

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def shift(seconds):
    last = ClockShift.objects.order_by("-id").first()
    total = seconds + (last.total_seconds if last else 0)
    ClockShift.objects.create(seconds=seconds, total_seconds=total, real_at=datetime.now(UTC))


def ahead():
    return (clock.now() - datetime.now(UTC)).total_seconds()


def test_without_a_shift_it_is_the_real_time():
    assert abs(ahead()) < 5


def test_it_knows_its_zone():
    assert clock.now().utcoffset() == timedelta()


def test_it_runs():
    assert clock.now() < clock.now()


def test_it_runs_within_a_transaction_too():
    """The start of the transaction is not good enough: a decision may come long after it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT transaction_timestamp(), sendonce_now()")
        started, first = cursor.fetchone()
        cursor.execute("SELECT sendonce_now()")
        assert started < first < cursor.fetchone()[0]


def test_a_sandbox_is_ahead_by_its_last_shift():
    make_installation()
    shift(3600)
    assert 3595 < ahead() < 3605
    shift(86_400)
    assert 89_995 < ahead() < 90_005


def test_it_takes_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        clock.now()


def test_stored_times_are_the_sandboxs_too(sandbox):
    brand = make_brand()
    brand = Brand.objects.get(pk=brand.pk)
    assert NOON <= brand.created_at <= clock.now()
