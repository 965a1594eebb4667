from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from brands.models import Brand, Installation
from campaigns.models import Campaign
from delivery import picking, pipeline
from delivery.claims import REPLIES
from delivery.models import CapCounter, Due
from providers import rates
from providers.models import ProviderAccount, SenderNumber
from tests.delivery import granting
from tests.delivery.granting import HOUR, granted, rows_granted, spend_all, versions, wait_in_queue
from tests.factories import NOON, make_brand, make_campaign, make_list, make_number

pytestmark = pytest.mark.django_db

bench, lane = granting.bench, granting.lane  # fixtures


class TestWhatIsPicked:
    def test_what_is_due(self, bench, lane):
        wait_in_queue(lane, 3)
        assert granted(bench.full()) == {(7, lane.pk): 3}

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"not_before": NOON + HOUR, "expires_at": NOON + 2 * HOUR}, id="not-due"),
            pytest.param({"expires_at": NOON}, id="expired"),
            pytest.param({"crashes": 1}, id="suspect"),
        ],
    )
    def test_nothing_else(self, bench, lane, fields):
        wait_in_queue(lane, 1)
        picker = bench.full()
        Due.objects.all().delete()
        wait_in_queue(lane, 3, **fields)
        bench.wait(1)
        assert granted(picker) == {}

    def test_no_suspect_beside_what_is_due(self, bench, lane):
        wait_in_queue(lane, 1)
        wait_in_queue(lane, 3, crashes=1)
        assert granted(bench.full()) == {(7, lane.pk): 1}

    def test_no_more_than_there_is_room_for(self, bench, lane):
        wait_in_queue(lane, 50, queue=7)
        wait_in_queue(lane, 50, queue=8)
        assert rows_granted(bench.full(), room=60) == 60

    def test_a_pair_of_queue_and_number_at_a_time(self, bench, lane):
        other = make_number()
        for queue, number in ((7, lane), (7, other), (8, other)):
            wait_in_queue(number, 2, queue=queue)
        pairs = {(7, lane.pk): 2, (7, other.pk): 2, (8, other.pk): 2}
        assert granted(bench.full()) == pairs

    def test_what_was_picked_is_not_picked_again_before_the_queue_is_read(self, bench, lane):
        wait_in_queue(lane, 60)
        picker = bench.full()
        assert [rows_granted(picker, room=50), rows_granted(picker, room=50)] == [50, 10]

    def test_what_came_since_is_seen_within_a_moment(self, bench, lane):
        wait_in_queue(lane, 1)
        picker = bench.full()
        bench.wait(1)
        wait_in_queue(lane, 2)
        assert rows_granted(picker) == 3


def stop_all():
    Installation.objects.update(stopped_at=NOON)


def full_brand():
    brand = Brand.objects.get()
    Brand.objects.update(daily_cap=5)
    CapCounter.objects.create(key=f"brand:{brand.pk}:2035-03-07", used=5)


def full_campaign():
    campaign = Campaign.objects.get()
    Campaign.objects.update(daily_cap=5)
    CapCounter.objects.create(key=f"campaign:{campaign.pk}:2035-03-07", used=5)


BRAKES = {
    "stop-all": stop_all,
    "brand-paused": lambda: Brand.objects.update(paused_at=NOON),
    "campaign-paused": lambda: Campaign.objects.update(paused_at=NOON),
    "number-paused": lambda: SenderNumber.objects.update(paused_at=NOON),
    "number-resting": lambda: SenderNumber.objects.update(rests_until=NOON + HOUR),
    "number-retired": lambda: SenderNumber.objects.update(retired_at=NOON),
    "account-paused": lambda: ProviderAccount.objects.update(paused_at=NOON),
    "account-retired": lambda: ProviderAccount.objects.update(retired_at=NOON),
    "brand-capped": full_brand,
    "campaign-capped": full_campaign,
}
LEFT_TO_THE_STEPS = {"brand-capped", "campaign-capped"}  # for a suspect


class TestBrakes:
    @pytest.fixture
    def campaign(self, lane):
        brand = make_brand()
        campaign = make_campaign(brand, make_list(brand))
        wait_in_queue(lane, 3, queue=campaign.pk, campaign=campaign)
        return campaign

    @pytest.fixture
    def send(self, bench, journal):
        picker, outbox = bench.full(), SimpleNamespace(submit=None)
        bench.wait(1)
        return lambda: pipeline.send_batch(500, picker=picker, sender=outbox, journal=journal)

    @pytest.mark.parametrize("brake", BRAKES.values(), ids=BRAKES.keys())
    def test_leave_the_rows_where_they_are(self, campaign, send, brake):
        before = versions()
        brake()
        assert send() == 0
        assert versions() == before

    def test_are_what_holds_them(self, campaign, send):
        assert send() == 3

    @pytest.mark.parametrize("name", sorted(set(BRAKES) - LEFT_TO_THE_STEPS))
    def test_hold_a_suspect_too(self, bench, campaign, name):
        picker = bench.full()
        Due.objects.update(crashes=1)
        assert picker.grant_alone()
        picker.spent([])
        BRAKES[name]()
        assert picker.grant_alone() is None

    def test_a_number_that_has_rested_is_picked_again(self, bench, campaign):
        picker = bench.full()
        SenderNumber.objects.update(rests_until=NOON)
        assert rows_granted(picker) == 3


class TestCaps:
    def test_bound_what_is_picked_over_all_numbers(self, bench, sandbox):
        brand = make_brand(daily_cap=10)
        for _ in range(5):
            wait_in_queue(make_number(), 20, brand=brand)
        assert rows_granted(bench.full()) == 10

    def test_count_what_was_picked_before_the_queue_is_read_again(self, bench, lane):
        wait_in_queue(lane, 50, brand=make_brand(daily_cap=10))
        picker = bench.full()
        assert [rows_granted(picker, 6), rows_granted(picker, 6)] == [6, 4]

    def test_leave_other_brands_theirs(self, bench, lane):
        full = make_brand(daily_cap=0)
        wait_in_queue(lane, 5, queue=7, brand=full)
        wait_in_queue(lane, 5, queue=8, brand=make_brand())
        assert granted(bench.full()) == {(8, lane.pk): 5}

    def test_are_the_brands_own_days(self, bench, lane):
        brand = make_brand(daily_cap=10, zone="Asia/Tokyo")
        CapCounter.objects.create(key=f"brand:{brand.pk}:2035-03-07", used=10)
        CapCounter.objects.create(key=f"brand:{brand.pk}:2035-03-08", used=7)
        wait_in_queue(lane, 50, brand=brand)
        assert rows_granted(bench.full()) == 3

    def test_hold_no_reply(self, bench, lane):
        wait_in_queue(lane, 2, queue=REPLIES, brand=make_brand(daily_cap=0))
        assert granted(bench.full()) == {(REPLIES, lane.pk): 2}


class TestReplies:
    def test_go_first(self, bench, lane):
        for queue in range(1, 30):
            wait_in_queue(lane, 5, queue=queue)
        wait_in_queue(make_number(), 2, queue=REPLIES)
        bench.full()
        pickers = [bench.picker() for _ in range(5)]
        assert {picker.grants(3)[0].queue for picker in pickers} == {REPLIES}

    def test_do_not_wait_for_the_tokens_a_campaign_waits_for(self, bench, sandbox):
        slow = make_number(segments_per_second=0.1)
        wait_in_queue(slow, 500)
        picker = bench.full()
        spend_all(picker, slow)
        wait_in_queue(slow, 1, queue=REPLIES)
        bench.seconds += 0.3  # the queue is read again; no token has come
        assert granted(picker) == {(REPLIES, slow.pk): 1}


class TestFairness:
    def test_brands_are_drawn_by_their_weight(self, bench, lane):
        heavy, light = make_brand(fairness_weight=3), make_brand()
        wait_in_queue(lane, 500, queue=1, brand=heavy)
        wait_in_queue(lane, 500, queue=2, brand=light)
        SenderNumber.objects.update(segments_per_second=1e6)
        picker = bench.full()
        drawn = Counter(picker.grants(1)[0].queue for _ in range(400))
        assert 250 < drawn[1] < 350

    def test_a_brand_of_a_thousand_small_campaigns_and_a_large_one_both_go_on(self, bench, lane):
        many, one = make_brand(), make_brand()
        for queue in range(1, 1001):
            wait_in_queue(lane, 1, queue=queue, brand=many)
        wait_in_queue(lane, 1000, queue=5000, brand=one)
        SenderNumber.objects.update(segments_per_second=1e6)
        picker, drawn = bench.full(), Counter()
        for _ in range(40):
            drawn["large" if (5000, lane.pk) in granted(picker, room=20) else "small"] += 1
        assert drawn["large"] > 4
        assert drawn["small"] > 4

    def test_a_large_campaign_goes_on_beside_many_small_ones_of_its_brand(self, bench, lane):
        brand = make_brand()
        for queue in range(1, 251):
            wait_in_queue(lane, 1, queue=queue, brand=brand)
        wait_in_queue(lane, 1000, queue=5000, brand=brand)
        SenderNumber.objects.update(segments_per_second=1e6)
        picker, queues = bench.full(), Counter()
        for _ in range(60):  # each of the small ones has one chance in three of a round
            queues.update(queue for queue, _ in granted(picker, room=125))
            bench.seconds += 100  # nothing was claimed: it is read again
        assert queues[5000] > 0
        assert len(queues) == 251

    def test_a_slow_number_takes_no_room_from_a_quick_one(self, bench, lane):
        slow = make_number(segments_per_second=1.0)
        wait_in_queue(slow, 500, queue=1, brand=make_brand(fairness_weight=100))
        wait_in_queue(lane, 100, queue=2, brand=make_brand())
        pairs = granted(bench.full())
        assert pairs == {(1, slow.pk): 1, (2, lane.pk): 100}

    def test_a_brand_without_tokens_holds_nobody_else_on_its_number(self, bench, lane):
        slow, quick = make_brand(segments_per_second=0.1), make_brand()
        wait_in_queue(lane, 50, queue=1, brand=slow)
        wait_in_queue(lane, 500, queue=2, brand=quick)
        picker = bench.full()
        for _ in range(30):
            pairs = granted(picker, room=5)
            picker.spent([(*pair, 1) for pair, rows in pairs.items() for _ in range(rows)])
            bench.seconds += 0.3
        assert [rows_granted(picker, room=5) for _ in range(10)] == [5] * 10


class TestSuspects:
    def test_are_taken_one_by_one_the_oldest_first(self, bench, lane):
        wait_in_queue(lane, 1)
        picker = bench.full()
        wait_in_queue(lane, 1, crashes=1)
        (old,) = wait_in_queue(lane, 1, crashes=1, not_before=NOON - 2 * HOUR)
        assert picker.grant_alone() == old.message_id

    def test_need_tokens(self, bench, lane):
        wait_in_queue(lane, 1, crashes=1)
        assert bench.picker().grant_alone() is None

    @pytest.mark.parametrize(
        "fields",
        [{"not_before": NOON + HOUR, "expires_at": NOON + 2 * HOUR}, {"expires_at": NOON}],
        ids=["not-due", "expired"],
    )
    def test_are_taken_in_their_time_only(self, bench, lane, fields):
        wait_in_queue(lane, 1)
        picker = bench.full()
        wait_in_queue(lane, 1, crashes=1, **fields)
        assert picker.grant_alone() is None

    def test_of_a_number_without_tokens_keep_no_other_waiting(self, bench, lane):
        slow = make_number(segments_per_second=0.01)
        wait_in_queue(lane, 1)
        picker = bench.full()
        wait_in_queue(slow, 5, crashes=1, not_before=NOON - 2 * HOUR)
        wait_in_queue(lane, 5, crashes=1)
        granted = {picker.grant_alone() for _ in range(20)}
        fast = set(Due.objects.filter(lane=lane, crashes=1).values_list("message_id", flat=True))
        assert granted & fast

    def test_wait_while_their_account_rests(self, bench, lane):
        wait_in_queue(lane, 1)
        picker = bench.full()
        wait_in_queue(lane, 1, crashes=1)
        for _ in range(rates.Breaker.STRIKES):
            picker._breaker.refused(lane.account_id, now=picking.time.monotonic(), retry_after=60)
        assert picker.grant_alone() is None


class TestAPickerOfReplies:
    def test_grants_replies_and_nothing_else(self, bench, lane):
        wait_in_queue(lane, 3, queue=REPLIES)
        wait_in_queue(lane, 3, queue=7)
        assert granted(bench.full(replies_only=True)) == {(REPLIES, lane.pk): 3}

    def test_grants_them_on_every_number(self, bench, lane):
        other = make_number(segments_per_second=100.0)
        for number in (lane, other):
            wait_in_queue(number, queue=REPLIES)
            wait_in_queue(number, queue=7)
        picker = bench.full(replies_only=True)
        assert granted(picker) == {(REPLIES, lane.pk): 1, (REPLIES, other.pk): 1}

    @pytest.mark.parametrize("queue", [REPLIES, 7], ids=["reply", "campaign"])
    def test_takes_no_suspect(self, bench, lane, queue):
        """Its row may kill this worker too, and there is only one that does nothing but answer."""
        wait_in_queue(lane, queue=queue, crashes=1)
        picker = bench.full(replies_only=True)
        assert picker.grant_alone() is None
        assert granted(picker) == {}
        assert bench.full().grant_alone() is not None
