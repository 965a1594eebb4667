"""Rows that wait in the queue, pickers of one installation, and what is granted to them."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.db import connection

from brands.models import Brand
from delivery import picking
from delivery.models import Due
from delivery.picking import Picker
from providers import rates
from providers.models import SenderNumber
from tests.factories import NOON, make_brand, make_number

HOUR = timedelta(hours=1)
message_ids = count(10**9)  # of no message


class Bench:
    """The limiters of one installation. Time passes for them, and for pickers, only when told."""

    def __init__(self, redis, installation):
        self.redis, self.identity = redis, str(installation.identity)
        self.seconds, self.breaker = 1000.0, rates.Breaker()

    def monotonic(self):
        return self.seconds

    def picker(self, redis=None, **fields):
        redis = redis or self.redis
        return Picker(redis=redis, installation=self.identity, breaker=self.breaker, **fields)

    def wait(self, seconds):
        """The buckets were last looked at that much earlier."""
        self.seconds += seconds
        for key in self.redis.scan_iter(f"sendonce:{{{self.identity}}}:*:*:*"):
            tokens, at, owed = self.redis.get(key).decode().split()
            self.redis.set(key, f"{tokens} {float(at) - seconds:.6f} {owed}", keepttl=True)

    def full(self, **fields):
        """A picker for whom the buckets of every number, account and brand are full."""
        numbers, brands = SenderNumber.objects.select_related("account"), Brand.objects.all()
        wants = [
            rates.Want(
                queue=0,
                lane_id=number.pk,
                account_id=number.account_id,
                brand_id=brand.pk,
                rows=0,
                segments_each=1,
            )
            for number in numbers
            for brand in brands
        ]
        limits = rates.Limits(
            lanes={number.pk: number.segments_per_second for number in numbers},
            accounts={number.account_id: number.account.segments_per_second for number in numbers},
            brands={brand.pk: brand.segments_per_second for brand in brands},
        )
        rates.grant(
            self.redis,
            installation=self.identity,
            wants=wants,
            limits=limits,
            returned=rates.Returned(),
            read_mark=picking.read_mark,
        )
        self.wait(100_000)
        return self.picker(**fields)


@pytest.fixture
def bench(redis, sandbox, monkeypatch):
    made = Bench(redis, sandbox)
    monkeypatch.setattr(picking, "time", made)
    return made


@pytest.fixture
def lane(sandbox):
    return make_number(segments_per_second=100.0)


def wait_in_queue(lane, many=1, *, queue=7, brand=None, **fields):
    """Rows of the queue alone: picking never looks at their messages."""
    values = {"not_before": NOON - HOUR, "expires_at": NOON + HOUR, **fields}
    brand = brand or Brand.objects.first() or make_brand()
    return Due.objects.bulk_create(
        Due(message_id=next(message_ids), brand=brand, queue=queue, lane=lane, **values)
        for _ in range(many)
    )


def granted(picker, room=500):
    return {(one.queue, one.lane_id): one.rows for one in picker.grants(room)}


def rows_granted(picker, room=500):
    return sum(granted(picker, room).values())


def spend_all(picker, lane):
    """Use all tokens there are; how many rows that was."""
    spent = 0
    for _ in range(100):
        rows = rows_granted(picker)
        picker.spent([(7, lane.pk, 1)] * rows)
        spent += rows
    return spent


def versions():
    """Which version of each row of the queue is there: a row that moved has another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT message_id, ctid::text FROM delivery_due ORDER BY 1")
        return cursor.fetchall()
