from __future__ import annotations

import pytest

from providers import rates


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

    def test_does_not_rest_for_what_ends_in_doubt_now_and_then(self, breaker):
        for _ in range(10):
            for _ in range(breaker.DOUBTS - 1):
                breaker.doubted(1, now=100.0)
            breaker.answered(1)
        assert breaker.room(1, 500, now=100.0) == 500

    def test_rests_an_account_that_loses_twenty_answers_in_a_row(self, breaker):
        for _ in range(20):
            breaker.doubted(1, now=100.0)
        assert breaker.room(1, 500, now=100.9) == 0
        assert [breaker.room(1, 500, now=101.0) for _ in range(2)] == [1, 0]

    def test_is_not_lengthened_by_what_ends_in_doubt_before_its_probe(self, breaker):
        self.rest(breaker)
        breaker.doubted(1, now=100.5)
        assert breaker.rest_left(1, now=100.5) == 0.5

    def test_gives_back_a_probe_that_was_not_made(self, breaker):
        self.rest(breaker)
        breaker.room(1, 1, now=101.0)
        breaker.unused(1)
        assert breaker.room(1, 1, now=101.0) == 1
