from __future__ import annotations

import pytest
from django.core.management import call_command

from brands import clock
from brands.models import Installation
from delivery import picking, pipeline, worker
from delivery.models import Due
from providers import rates
from tests.delivery import granting
from tests.delivery.granting import granted, rows_granted, versions, wait_in_queue
from tests.factories import NOON, make_number

pytestmark = pytest.mark.django_db

NOWHERE = "redis://127.0.0.1:1/0"

bench, lane = granting.bench, granting.lane  # fixtures


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
