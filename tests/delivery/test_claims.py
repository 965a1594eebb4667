from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from django.db import connection, transaction

from brands import clock
from delivery import claims
from delivery.claims import SHIFT_LOCK, ClockSkew, Grant, Shifting
from delivery.models import Due
from delivery.states import Reason
from tests.factories import NOON, fill_queue, make_due, make_lead, make_number, make_slot

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def claim(slot, lane, rows=500, now=NOON):
    return claims.claim([Grant(slot.campaign_id, lane.pk, rows)], now=now)


def ids(rows):
    return [row.message_id for row in rows]


class TestClaim:
    def test_takes_rows_out_of_the_queue(self, slot, lane):
        messages = fill_queue(slot, lane, 3, now=NOON)
        assert sorted(ids(claim(slot, lane))) == [message.pk for message in messages]
        assert not Due.objects.exists()

    def test_takes_no_more_than_was_granted(self, slot, lane):
        fill_queue(slot, lane, 5, now=NOON)
        assert len(claim(slot, lane, rows=2)) == 2
        assert Due.objects.count() == 3

    def test_takes_the_oldest_first(self, slot, lane):
        young = fill_queue(slot, lane, 1, now=NOON)
        (old,) = fill_queue(slot, lane, 1, now=NOON, not_before=NOON - HOUR)
        assert ids(claim(slot, lane, rows=1)) == [old.pk]
        assert ids(claim(slot, lane, rows=1)) == [young[0].pk]

    def test_takes_only_what_waits_in_that_queue_for_that_number(self, slot, lane):
        other_lane, other_slot = make_number(), make_slot(lane)
        fill_queue(slot, other_lane, 1, now=NOON)
        fill_queue(other_slot, lane, 1, now=NOON)
        assert claim(slot, lane) == []
        assert Due.objects.count() == 2

    def test_takes_from_many_lanes_at_once(self, slot, lane):
        lanes = [lane, make_number(), make_number()]
        for number in lanes:
            fill_queue(slot, number, 4, now=NOON)
        rows = claims.claim([Grant(slot.campaign_id, each.pk, 2) for each in lanes], now=NOON)
        assert sorted(row.lane_id for row in rows) == sorted(2 * [each.pk for each in lanes])

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"not_before": NOON + timedelta(microseconds=1)}, id="not-due-yet"),
            pytest.param({"expires_at": NOON, "not_before": NOON - HOUR}, id="expired"),
            pytest.param({"crashes": 1}, id="suspect"),
        ],
    )
    def test_leaves_alone(self, slot, lane, fields):
        make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON, **fields)
        assert claim(slot, lane) == []
        assert Due.objects.count() == 1

    def test_tells_all_that_stands_in_the_row(self, slot, lane):
        told = {"priority": 7, "segments": 3, "tries": 2, "strikes": 1, "reason": "throttled"}
        message = make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON, **told)
        (due,) = Due.objects.values()
        (row,) = claim(slot, lane)
        assert {name: getattr(row, name) for name in claims.COLUMNS} == due
        assert row.message_id == message.pk


class TestClaimAlone:
    def test_takes_a_suspect(self, slot, lane):
        message = make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON, crashes=1)
        assert ids(claims.claim_alone(message.pk, now=NOON)) == [message.pk]

    def test_leaves_what_is_no_suspect(self, slot, lane):
        message = make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON)
        assert claims.claim_alone(message.pk, now=NOON) == []

    def test_leaves_what_has_expired(self, slot, lane):
        message = make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON, crashes=1)
        assert claims.claim_alone(message.pk, now=NOON + 2 * HOUR) == []


class TestPutBack:
    def test_puts_a_row_back_as_it_was(self, slot, lane):
        fill_queue(slot, lane, 3, now=NOON)
        before = list(Due.objects.order_by("message_id").values())
        claims.put_back(claim(slot, lane))
        assert list(Due.objects.order_by("message_id").values()) == before

    def test_puts_a_held_row_back_with_its_time_and_reason(self, slot, lane):
        fill_queue(slot, lane, 1, now=NOON)
        (row,) = claim(slot, lane)
        row.hold(Reason.QUIET_HOURS, NOON + HOUR)
        claims.put_back([row])
        due = Due.objects.get()
        assert (due.reason, due.not_before) == ("quiet_hours", NOON + HOUR)

    def test_takes_one_statement(self, slot, lane, django_assert_num_queries):
        fill_queue(slot, lane, 50, now=NOON)
        rows = claim(slot, lane)
        with django_assert_num_queries(1):
            claims.put_back(rows)


class TestBegin:
    def test_says_the_sandboxs_time(self, sandbox):
        with transaction.atomic():
            now = claims.begin(time.time())
        assert NOON <= now <= clock.now()
        assert now > datetime.now(UTC) + 24 * HOUR

    # The database's clock is read after ours, on a crowded machine some seconds.
    @pytest.mark.parametrize("skew", [-31, 40])
    def test_refuses_a_clock_that_is_off(self, sandbox, skew):
        with pytest.raises(ClockSkew):
            claims.begin(time.time() + skew)

    @pytest.mark.parametrize("skew", [-20, 29])
    def test_allows_a_clock_that_is_nearly_right(self, sandbox, skew):
        assert claims.begin(time.time() + skew)

    def test_limits_how_long_it_waits(self, sandbox):
        names = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"]
        claims.begin(time.time())
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names])
            limits = dict(cursor.fetchall())
        assert [limits[name] for name in names] == ["2000", "5000", "5000"]

    @pytest.mark.django_db(transaction=True)
    def test_refuses_while_the_clock_is_moved(self, sandbox, at_once):
        meeting = threading.Barrier(2)

        def claim_while_another_shifts(number):
            with transaction.atomic(), connection.cursor() as cursor:
                if number == 0:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SHIFT_LOCK])
                    meeting.wait(10)
                    meeting.wait(10)
                    return
                meeting.wait(10)
                with pytest.raises(Shifting):
                    claims.begin(time.time())
                meeting.wait(10)

        at_once(claim_while_another_shifts)


@pytest.mark.django_db(transaction=True)
def test_eight_claimers_take_every_row_once(slot, lane, at_once):
    messages = fill_queue(slot, lane, 400, now=NOON)

    def work(_):
        mine = []
        while True:
            with transaction.atomic():
                rows = claim(slot, lane, rows=7)
            if not rows:
                return mine
            mine += ids(rows)

    taken = at_once(work, threads=8)
    assert sorted(chain.from_iterable(taken)) == [message.pk for message in messages]


@pytest.mark.django_db(transaction=True)
def test_a_claim_does_not_wait_for_another(slot, lane, at_once):
    fill_queue(slot, lane, 10, now=NOON)
    meeting = threading.Barrier(2)

    def work(_):
        with transaction.atomic():
            rows = ids(claim(slot, lane, rows=5))
            meeting.wait(30)  # both hold their rows
        return rows

    first, second = at_once(work)
    assert len(set(first) | set(second)) == 10
