from __future__ import annotations

import contextlib
import math
import os
import threading
import time

import pytest

from providers import rates
from tests.providers.buckets import Bench, want


class TestANumber:
    def test_that_is_new_starts_empty_and_says_when_to_come_back(self, frozen):
        assert frozen.grant(want()) == rates.Granted(rows=(0,), waits=(0.2,))

    def test_fills_by_the_time_that_passed(self, frozen):
        frozen.grant(want())
        frozen.wait(0.5)
        assert frozen.rows(want()) == (4,)  # five, and the last is for replies

    def test_gives_a_message_after_exactly_the_wait_it_named(self, frozen):
        frozen.wait(frozen.grant(want()).waits[0])
        assert frozen.rows(want()) == (1,)

    def test_holds_two_seconds_worth_and_gives_one_second_at_a_time(self, frozen):
        frozen.fill()
        assert [frozen.rows(want()) for _ in range(3)] == [(10,), (9,), (0,)]

    def test_that_is_slow_holds_two_messages_and_the_one_for_replies(self, frozen):
        frozen.fill(lane=0.1)
        assert [frozen.rows(want(), lane=0.1) for _ in range(3)] == [(1,), (1,), (0,)]

    def test_gives_no_more_rows_than_wanted(self, frozen):
        frozen.fill()
        assert frozen.rows(want(rows=3)) == (3,)

    def test_is_shared_by_the_wants_of_a_call_in_their_order(self, frozen):
        frozen.fill()
        assert frozen.rows(want(rows=6), want(), want(lane=2)) == (6, 4, 10)

    def test_that_is_wanted_for_nothing_gives_nothing(self, frozen):
        frozen.fill()
        assert frozen.grant(want(rows=-1)) == rates.Granted(rows=(0,), waits=(0.0,))

    def test_holds_less_as_soon_as_its_limit_is_lowered(self, frozen):
        frozen.fill(lane=100.0)
        assert [frozen.rows(want(), lane=2.0) for _ in range(3)] == [(2,), (1,), (0,)]

    def test_gains_nothing_when_the_clock_is_set_back(self, frozen):
        frozen.fill()
        frozen.rows(want(), want(rows=9, lane=1))
        frozen.wait(-3600)
        frozen.rows(want(), want())
        assert frozen.rows(want()) == (0,)


class TestPrice:
    def test_is_counted_in_segments(self, frozen):
        frozen.fill()
        assert frozen.rows(want(segments=3)) == (3,)

    def test_of_a_message_above_the_burst_delays_the_next_one_but_does_not_stop_it(self, frozen):
        frozen.fill(lane=1.0)
        long = want(segments=12)
        assert frozen.grant(long, lane=1.0).rows == (1,)  # three tokens held: now nine in debt
        assert frozen.grant(long, lane=1.0).waits == (11.0,)
        frozen.wait(11)
        assert frozen.rows(long, lane=1.0) == (1,)

    def test_of_long_messages_does_not_starve_them_beside_short_ones(self, frozen):
        frozen.fill(account=1.0)
        got = {1: 0, 3: 0}
        for _ in range(30):
            for segments in (1, 3):
                frozen.wait(1)
                got[segments] += frozen.rows(want(segments=segments), account=1.0)[0]
        assert got[3] > 5

    @pytest.mark.parametrize("segments", [0, -4], ids=["nothing", "less than nothing"])
    def test_is_never_under_one_segment(self, frozen, segments):
        frozen.fill()
        assert frozen.rows(want(segments=segments)) == (10,)


class TestAccountsAndBrands:
    def test_an_account_binds_all_its_numbers_together(self, frozen):
        frozen.fill(account=4.0)
        assert frozen.rows(want(), want(lane=2), account=4.0) == (7, 0)

    def test_a_brand_binds_all_its_numbers_together(self, frozen):
        frozen.fill(brand=4.0)
        assert frozen.rows(want(), want(lane=2), brand=4.0) == (8, 0)

    def test_a_brand_does_not_bind_replies(self, frozen):
        frozen.fill(brand=1.0)
        assert frozen.rows(want(), want(reply=True, lane=2), brand=1.0) == (2, 10)

    def test_nothing_is_taken_from_a_number_whose_account_is_empty(self, frozen):
        frozen.fill()
        assert frozen.rows(want(), account=0.001) == (0,)
        assert frozen.rows(want()) == (10,)

    def test_the_wait_is_that_of_the_slowest(self, frozen):
        frozen.fill()
        assert frozen.grant(want(), account=0.1, brand=1.0).waits == (20.0,)


class TestLimitsThatCannotBeRead:
    @pytest.mark.parametrize(
        "limit", [0, -1.0, math.nan, math.inf, None, "10", True], ids=lambda limit: repr(limit)
    )
    def test_grant_a_number_nothing(self, frozen, limit):
        frozen.fill()
        assert frozen.grant(want(), lane=limit) == rates.Granted(rows=(0,), waits=(60.0,))

    @pytest.mark.parametrize("limit", [0, -1.0, math.nan, "10"], ids=lambda limit: repr(limit))
    @pytest.mark.parametrize("whose", ["account", "brand"])
    def test_grant_an_account_or_brand_nothing(self, frozen, limit, whose):
        frozen.fill(**{whose: 10.0})
        assert frozen.grant(want(), **{whose: limit}).waits == (60.0,)
        assert frozen.rows(want(), **{whose: limit}) == (0,)

    def test_a_number_without_one_is_granted_nothing(self, frozen):
        frozen.fill()
        assert frozen.rows(want(lane=3)) == (0,)

    def test_an_account_and_a_brand_without_one_are_not_bound(self, frozen):
        frozen.fill()
        assert frozen.rows(want(), account=None, brand=None) == (10,)


class TestReplies:
    def test_get_the_last_token_which_campaigns_leave(self, frozen):
        frozen.fill(lane=0.1)
        while frozen.rows(want(), lane=0.1) == (1,):
            pass
        reply = want(reply=True)
        assert [frozen.rows(reply, lane=0.1) for _ in range(2)] == [(1,), (0,)]

    @pytest.mark.parametrize("whose", ["lane", "account"])
    def test_go_at_once_and_once_after_a_long_message_took_the_last_token(self, frozen, whose):
        slow = {whose: 0.1}
        frozen.fill(**slow)
        assert frozen.rows(want(segments=6), **slow) == (1,)
        reply = want(reply=True)
        assert [frozen.rows(reply, **slow) for _ in range(2)] == [(1,), (0,)]

    def test_go_at_once_after_a_text_longer_than_its_price_took_the_last_token(self, frozen):
        frozen.fill(lane=0.1)
        frozen.grant(want(rows=0), lane=0.1, lanes={1: -30})
        assert frozen.rows(want(), want(reply=True), lane=0.1) == (0, 1)

    def test_have_their_token_again_once_the_debt_is_paid(self, frozen):
        frozen.fill(lane=1.0)
        frozen.rows(want(segments=6), want(reply=True), lane=1.0)  # three held: now four in debt
        frozen.wait(5)
        frozen.rows(want(segments=6), lane=1.0)  # one is not enough for a campaign
        assert frozen.rows(want(reply=True), lane=1.0) == (1,)

    def test_get_one_even_where_the_call_gave_its_second_to_campaigns(self, frozen):
        frozen.fill()
        assert frozen.rows(want(), want(reply=True)) == (10, 1)


class TestReturned:
    def test_unused_tokens_can_be_granted_again(self, frozen):
        frozen.fill(account=10.0, brand=10.0)
        all_of = {"account": 10.0, "brand": 10.0}
        while frozen.rows(want(), **all_of) != (0,):
            pass
        back = {"lanes": {1: 5}, "accounts": {1: 5}, "brands": {1: 5}}
        assert frozen.rows(want(), **all_of, **back) == (5,)

    def test_unused_tokens_never_fill_a_bucket_above_its_burst(self, frozen):
        frozen.fill()
        assert frozen.rows(want(), lanes={1: 1000}) == (10,)
        assert [frozen.rows(want()) for _ in range(2)] == [(9,), (0,)]

    def test_unused_tokens_of_a_forgotten_bucket_are_dropped(self, frozen):
        assert frozen.rows(want(), lanes={1: 5}) == (0,)

    @pytest.mark.parametrize("whose", ["lane", "account", "brand"])
    def test_a_debt_is_paid_by_waiting(self, frozen, whose):
        frozen.fill(**{whose: 10.0})
        debt = {f"{whose}s": {1: -50}}  # of the twenty held
        need = 1 if whose == "brand" else 2
        assert frozen.grant(want(), **{whose: 10.0}, **debt).waits == (3.0 + need / 10,)

    def test_a_debt_is_taken_from_a_full_bucket_however_long_it_was_idle(self, frozen):
        frozen.fill()
        assert frozen.rows(want(), lanes={1: -19}) == (0,)

    def test_a_debt_of_a_forgotten_bucket_counts(self, frozen):
        assert frozen.grant(want(), lanes={1: -10}).waits == (1.2,)

    def test_only_the_debts_are_handed_in_again_after_a_failed_call(self):
        returned = rates.Returned(lanes={1: 5, 2: -3}, accounts={1: -3}, brands={4: 1})
        assert returned.debts() == rates.Returned(lanes={2: -3}, accounts={1: -3})


class TestKeeping:
    def test_a_bucket_lives_for_an_idle_hour(self, frozen):
        frozen.grant(want())
        (key,) = frozen.bucket_keys()
        assert 3_590_000 < frozen.redis.pttl(key) <= 3_600_000

    def test_a_bucket_in_debt_lives_until_it_is_paid(self, frozen):
        frozen.grant(want(), lanes={1: -100_000})
        (key,) = frozen.bucket_keys()
        assert frozen.redis.pttl(key) > 9_990_000


def test_two_clients_at_once_get_no_more_than_the_limit_and_the_burst(bench):
    got, per_second, started = [], 200.0, time.monotonic()

    def hammer():
        with contextlib.closing(rates.connect(os.environ["REDIS_URL"])) as client:
            mine = Bench(client)
            mine.installation = bench.installation
            while time.monotonic() < started + 1 or not got:
                if rows := mine.rows(want(), lane=per_second)[0]:
                    got.append(rows)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    assert 0 < sum(got) <= per_second * seconds + 2 * per_second


class TestMark:
    def test_is_remembered_at_its_highest(self, bench):
        bench.grant(mark=rates.Mark(10, 20))
        bench.grant(mark=rates.Mark(11, 20))
        assert rates.stored_mark(bench.redis, bench.installation) == rates.Mark(11, 20)

    def test_is_unknown_before_the_first_call(self, bench):
        assert rates.stored_mark(bench.redis, bench.installation) is None

    @pytest.mark.parametrize(
        "behind", [rates.Mark(9, 20), rates.Mark(10, 19)], ids=["attempts", "opt-outs"]
    )
    def test_that_is_lower_than_before_grants_nothing(self, frozen, behind):
        frozen.fill(mark=rates.Mark(10, 20))
        granted = frozen.grant(want(), mark=behind)
        assert granted == rates.Granted(rows=(0,), waits=(60.0,), behind=True)

    def test_that_is_lower_in_one_and_higher_in_the_other_stays_as_stored(self, bench):
        bench.grant(mark=rates.Mark(10, 20))
        bench.grant(mark=rates.Mark(99, 19))
        assert rates.stored_mark(bench.redis, bench.installation) == rates.Mark(10, 20)

    def test_is_read_again_where_another_worker_committed_in_between(self, frozen):
        frozen.fill(mark=rates.Mark(10, 20))
        readings = iter([rates.Mark(9, 20), rates.Mark(10, 20)])
        granted = frozen.grant(want(), mark=lambda: next(readings))
        assert (granted.rows, granted.behind) == ((10,), False)

    def test_that_is_behind_leaves_what_was_returned_for_the_next_call(self, frozen):
        frozen.fill(mark=rates.Mark(10, 20))
        frozen.grant(want(), mark=rates.Mark(9, 20), lanes={1: -20})
        assert frozen.rows(want(), mark=rates.Mark(10, 20)) == (10,)

    def test_goes_on_from_the_database_that_a_person_confirmed(self, frozen):
        frozen.fill(mark=rates.Mark(10, 20))
        rates.confirm_database(frozen.redis, frozen.installation, rates.Mark(3, 4))
        assert frozen.rows(want(), mark=rates.Mark(3, 4)) == (10,)

    def test_ids_beyond_32_bits_are_told_apart(self, bench):
        high = 2**53 - 2
        bench.grant(mark=rates.Mark(high, high))
        assert bench.grant(mark=rates.Mark(high - 1, high)).behind
        assert rates.stored_mark(bench.redis, bench.installation) == rates.Mark(high, high)

    def test_that_cannot_be_read_stops_the_call(self, bench):
        def broken():
            raise LookupError("no database")

        with pytest.raises(LookupError):
            bench.grant(mark=broken)
