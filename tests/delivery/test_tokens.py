from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import connection

from delivery import pipeline
from delivery.models import Due
from delivery.picking import Picker
from providers import rates
from tests.delivery import granting
from tests.delivery.granting import granted, rows_granted, spend_all, wait_in_queue
from tests.factories import NOON, fill_queue, make_account, make_brand, make_number, make_slot

pytestmark = pytest.mark.django_db

bench, lane = granting.bench, granting.lane  # fixtures


class TestTokens:
    def test_are_needed_from_the_first_message_on(self, bench, lane):
        wait_in_queue(lane, 5)
        assert granted(bench.picker()) == {}

    def test_are_a_seconds_worth_a_call(self, bench, lane):
        wait_in_queue(lane, 500)
        assert rows_granted(bench.full()) == 100

    def test_are_shared_by_the_campaigns_of_a_number(self, bench, lane):
        for queue in range(1, 11):
            wait_in_queue(lane, 50, queue=queue)
        assert rows_granted(bench.full()) == 100

    @pytest.fixture
    def slow(self, sandbox):
        """So slow that no token comes while a test runs; two are there for campaigns."""
        return make_number(segments_per_second=0.1)

    def test_let_a_slow_number_send_long_texts_at_its_rate_in_segments(self, bench, slow):
        wait_in_queue(slow, 500, segments=3)
        picker, texts = bench.picker(), 0
        for _ in range(120):
            rows = rows_granted(picker)
            picker.spent([(7, slow.pk, 3)] * rows)
            texts += rows
            bench.wait(10)
        assert 114 <= 3 * texts <= 123

    def test_of_a_text_longer_than_priced_are_a_debt(self, bench, slow):
        wait_in_queue(slow, 500)
        picker = bench.full()
        assert rows_granted(picker) == 1
        picker.spent([(7, slow.pk, 10)])
        granted(picker)
        rows = []
        for _ in range(10):
            rows.append(rows_granted(picker))
            bench.wait(10)
        assert rows == [0] * 9 + [1]  # nine are owed, and one comes in ten seconds

    def test_that_were_not_used_come_back(self, bench, lane):
        wait_in_queue(lane, 500)
        picker = bench.full()
        for _ in range(10):  # ten seconds' worth, in no time
            assert rows_granted(picker, room=100) == 100
            picker.spent([])
            bench.seconds += 1

    def test_that_were_used_do_not(self, bench, slow):
        wait_in_queue(slow, 500)
        assert spend_all(bench.full(), slow) == 2

    def test_of_a_claim_that_failed_come_back(self, bench, lane):
        wait_in_queue(lane, 500)
        picker = bench.full()
        for _ in range(10):
            assert rows_granted(picker, room=100) == 100
            bench.seconds += 1  # nothing was spent: the claim broke off

    def test_left_at_the_end_of_a_slice_are_the_next_workers(self, bench, lane):
        wait_in_queue(lane, 500)
        picker = bench.full()
        for _ in range(2):
            granted(picker, room=100)
        picker.spent([])
        picker.hand_in()
        assert rows_granted(bench.picker(), room=100) == 100

    @pytest.mark.parametrize(("after", "comes_back"), [(1.9, 1), (2.1, 0)])
    def test_of_a_request_that_was_never_made_come_back_while_they_are_fresh(
        self, bench, slow, after, comes_back
    ):
        """What is given back later would come on top of what the burst holds by then."""
        (due, *_) = wait_in_queue(slow, 500)
        picker = bench.full()
        spend_all(picker, slow)
        intent = SimpleNamespace(
            queue=7,
            lane_id=slow.pk,
            account_id=slow.account_id,
            brand_id=due.brand_id,
            send=SimpleNamespace(segments=1, from_kind="long_code"),
        )
        picker.give_back(intent)
        bench.seconds += after
        picker.hand_in()
        bench.seconds += 61
        assert spend_all(picker, slow) == comes_back

    @pytest.mark.parametrize("limited", ["account", "brand"])
    def test_of_account_and_brand_count_too(self, bench, sandbox, limited):
        rate = {"segments_per_second": 10.0}
        number = make_number(make_account(**(rate if limited == "account" else {})))
        brand = make_brand(**(rate if limited == "brand" else {}))
        wait_in_queue(number, 500, brand=brand)
        assert rows_granted(bench.full()) in (19, 20)

    def test_of_an_account_that_rests_are_not_asked_for(self, bench, lane):
        wait_in_queue(lane, 50)
        picker = bench.full()
        for _ in range(3):
            bench.breaker.refused(lane.account_id, now=bench.seconds, retry_after=60)
        assert granted(picker) == {}
        bench.wait(70)
        assert rows_granted(picker) == 1  # a probe

    def test_of_a_probe_that_came_to_no_request_let_another_be_made(self, bench, lane):
        """Its message was held or refused here: the provider was not asked."""
        wait_in_queue(lane, 50)
        picker = bench.full()
        for _ in range(3):
            bench.breaker.refused(lane.account_id, now=bench.seconds)
        bench.wait(2)
        assert rows_granted(picker) == 1
        picker.spent([])
        bench.wait(2)
        assert rows_granted(picker) == 1

    def test_of_an_account_whose_places_are_taken_are_not_asked_for(self, bench, lane):
        wait_in_queue(lane, 50)
        places = {lane.account_id: 0}
        picker = bench.full(places=places.get)
        assert granted(picker) == {}
        places[lane.account_id] = 7
        assert rows_granted(picker) == 7


class TestASlowNumber:
    def test_with_20_000_rows_costs_others_no_moves(self, redis, sandbox, journal):
        slow, quick = make_number(segments_per_second=0.01), make_number(segments_per_second=1e6)
        slot = make_slot(quick)
        (waiting,) = wait_in_queue(slow, queue=slot.campaign_id, brand=slot.campaign.brand)
        multiply(waiting, 20_000)
        fill_queue(slot, quick, 300, now=NOON)
        outbox = SimpleNamespace(sent=0)
        outbox.submit = lambda parcel: setattr(outbox, "sent", outbox.sent + len(parcel.intents))
        picker = Picker(redis=redis, installation=str(sandbox.identity), breaker=rates.Breaker())
        before = moves()
        for _ in range(100):
            pipeline.send_batch(40, picker=picker, sender=outbox, journal=journal)
        assert outbox.sent == 300
        assert moves() - before < 2 * outbox.sent
        assert Due.objects.count() == 20_000


def multiply(due, times):
    """Make so many rows of one, with messages that are not there."""
    names = [field.column for field in Due._meta.concrete_fields if not field.primary_key]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO delivery_due (message_id, {', '.join(names)})"
            f" SELECT message_id + n, {', '.join(names)}"
            " FROM delivery_due, generate_series(2, %s) n WHERE message_id = %s",
            [times, due.message_id],
        )


def moves():
    """Rows put into the queue and taken out of it in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_ins + n_tup_del FROM pg_stat_xact_user_tables WHERE relname = %s",
            ["delivery_due"],
        )
        return cursor.fetchone()[0]
