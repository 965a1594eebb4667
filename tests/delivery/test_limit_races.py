"""Workers that reach for the last of a day's limit at once, each with a connection of its own."""

from __future__ import annotations

import contextlib
import threading

import pytest
from django.db import OperationalError

from delivery import intents
from delivery.journal import Journal
from delivery.models import Attempt, CapCounter, Due
from tests.delivery import taking
from tests.delivery.taking import states
from tests.factories import NOON, fill_queue, make_limit, make_slot

pytestmark = pytest.mark.django_db(transaction=True)

take = taking.take  # a fixture


def used(limit, day="2035-03-07"):
    return CapCounter.objects.get(key=f"{limit.unit}:{limit.pk}:{day}").used


def test_two_batches_for_the_last_segment_send_one_message(
    slot, lane, take, at_once, tmp_path, monkeypatch
):
    limit = make_limit(1, number=lane, unit="segments")
    fill_queue(slot, lane, 2, now=NOON)
    both, write = threading.Barrier(2, timeout=20), intents.write
    first = threading.local()

    def write_when_both_have_decided(*arguments, **named):
        if not getattr(first, "done", False):
            first.done = True
            both.wait()
        return write(*arguments, **named)

    monkeypatch.setattr(intents, "write", write_when_both_have_decided)

    def work(_):
        with Journal.open(tmp_path, "x") as journal:
            return len(take(slot, rows=1, into=journal).intents)

    assert sorted(at_once(work)) == [0, 1]
    assert states() == {"sending": 1, "planned": 1}
    assert Due.objects.get().reason == "number_cap"
    assert used(limit) == 1


def test_eight_workers_never_send_more_segments(lane, take, at_once, tmp_path):
    slot = make_slot(lane, text="x" * 170)  # two segments
    limit = make_limit(101, brand=slot.campaign.brand, unit="segments")
    fill_queue(slot, lane, 300, now=NOON)

    def work(_):
        with Journal.open(tmp_path, "x") as journal:
            for _ in range(300):
                with contextlib.suppress(OperationalError):  # it waited too long for a lock
                    take(slot, rows=17, into=journal)
                if not Due.objects.filter(reason="").exists():
                    break

    at_once(work, threads=8)
    assert states() == {"sending": 50, "planned": 250}
    assert sum(Attempt.objects.values_list("segments", flat=True)) == used(limit) == 100
