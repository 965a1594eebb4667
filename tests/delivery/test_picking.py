from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection

from brands import clock
from brands.models import Brand, Installation
from campaigns.models import Campaign
from delivery import picking, pipeline, worker
from delivery.claims import REPLIES
from delivery.models import CapCounter, Due
from delivery.picking import Picker
from providers import rates
from providers.models import ProviderAccount, SenderNumber
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_campaign,
    make_list,
    make_number,
    make_slot,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NOWHERE = "redis://127.0.0.1:1/0"
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
        for _ in range(25):
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
            send=SimpleNamespace(segments=1),
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


class TestADatabaseThatForgot:
    def forget(self, redis, installation):
        """Redis has seen an attempt that the database does not know."""
        mark = rates.Mark(attempt_id=10**9, opt_out_id=0)
        rates.confirm_database(redis, str(installation.identity), mark)

    def test_claims_nothing(self, bench, redis, sandbox, lane, journal):
        wait_in_queue(lane, 5)
        picker, before = bench.full(), versions()
        self.forget(redis, sandbox)
        assert pipeline.send_batch(500, picker=picker, sender=None, journal=journal) == 0
        assert picker.behind
        assert versions() == before

    def test_claims_nothing_either_when_it_forgot_an_opt_out(self, bench, redis, sandbox, lane):
        wait_in_queue(lane, 5)
        picker = bench.full()
        mark = rates.Mark(attempt_id=0, opt_out_id=10**9)
        rates.confirm_database(redis, str(sandbox.identity), mark)
        assert granted(picker) == {}

    def test_goes_on_when_a_person_has_confirmed_it(self, bench, redis, sandbox, lane, capsys):
        wait_in_queue(lane, 5)
        bench.full()
        self.forget(redis, sandbox)
        assert granted(bench.picker()) == {}
        call_command("confirm_database", "--yes")
        assert "Confirmed" in capsys.readouterr().out
        assert rows_granted(bench.picker()) == 5

    def test_is_not_confirmed_by_another_answer_than_yes(
        self, bench, redis, sandbox, lane, monkeypatch
    ):
        wait_in_queue(lane, 5)
        bench.full()
        self.forget(redis, sandbox)
        monkeypatch.setattr("builtins.input", lambda _: "y")
        with pytest.raises(Exception, match="Nothing was changed"):
            call_command("confirm_database")
        assert granted(bench.picker()) == {}


class TestAnotherCluster:
    def test_sends_nothing(self, sandbox, lane, settings, tmp_path):
        settings.JOURNAL_DIR = tmp_path / "journal"
        wait_in_queue(lane, 5)
        Installation.objects.update(system_identifier="another")
        assert worker.send_for(60.0) == 0
        assert not settings.JOURNAL_DIR.exists()
        assert Due.objects.count() == 5

    def test_is_known_again_when_a_person_has_confirmed_it(self, sandbox):
        Installation.objects.update(system_identifier="another")
        assert not worker.knows_database(Installation.objects.get())
        call_command("confirm_database", "--yes")
        assert worker.knows_database(Installation.objects.get())
        assert Installation.objects.get().system_identifier == worker.system_identifier()

    def test_is_not_asked_about_before_the_first_confirmation(self, sandbox):
        assert worker.knows_database(sandbox)


class TestWithoutRedis:
    def test_nothing_is_claimed_and_nothing_is_lost(self, bench, lane, journal):
        wait_in_queue(lane, 5)
        before, picker = versions(), bench.picker(rates.connect(NOWHERE))
        assert pipeline.send_batch(500, picker=picker, sender=None, journal=journal) == 0
        assert versions() == before

    def test_debts_are_kept_for_when_it_is_back(self, bench, sandbox):
        slow = make_number(segments_per_second=1.0)
        wait_in_queue(slow, 500)
        picker = bench.full()
        assert rows_granted(picker) == 1
        picker.spent([(7, slow.pk, 50)])
        redis, picker._redis = picker._redis, rates.connect(NOWHERE)
        assert granted(picker) == {}
        picker._redis = redis
        bench.wait(20)
        assert granted(picker) == {}

    def test_it_begins_slowly_after_a_flush(self, bench, redis, lane):
        wait_in_queue(lane, 500)
        bench.full()
        for key in redis.scan_iter(f"sendonce:{{{bench.identity}}}:*"):
            redis.delete(key)
        picker = bench.picker()
        assert granted(picker) == {}
        bench.wait(1)
        assert 90 <= rows_granted(picker) <= 100


class TestTheWitness:
    def test_is_told_of_the_highest_intent(self, bench, redis, sandbox):
        assert bench.full().witness([7, 9, 8])
        assert rates.stored_mark(redis, str(sandbox.identity)).attempt_id == 9

    def test_lets_nothing_leave_when_it_does_not_answer(self, bench):
        assert not bench.picker(rates.connect(NOWHERE)).witness([7])

    def test_keeps_a_database_out_that_forgot_what_it_saw(self, bench, lane):
        wait_in_queue(lane, 5)
        picker = bench.full()
        picker.witness([7])
        assert granted(picker) == {}
        assert picker.behind


def test_the_mark_is_the_highest_of_what_is_committed(sandbox):
    assert picking.read_mark() == rates.Mark(attempt_id=0, opt_out_id=0)
    assert clock.now() >= NOON


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
