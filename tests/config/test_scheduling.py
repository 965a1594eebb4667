from __future__ import annotations

import signal
import time

import django_rq
import pytest
from rq.job import Job

from config import scheduling
from config.scheduling import make_scheduler, recurring
from delivery import tasks
from delivery.models import Due
from tests.factories import NOON, fill_queue, make_number, make_slot

QUEUES = ("send", "replies", "plan", "upkeep", "chores")


@pytest.fixture
def scheduler():
    made = make_scheduler(1)
    forget_all(made.connection)
    yield made
    forget_all(made.connection)


def forget_all(redis):
    """A flush, as far as queues and scheduler see it; other tests use the same server."""
    for key in redis.scan_iter("rq:*"):
        redis.delete(key)


def registered(scheduler):
    return sorted(job.id for job in scheduler.get_jobs())


def queued(name):
    return django_rq.get_queue(name).job_ids


@pytest.fixture
def own_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_asked_to_end_it_says_nothing_to_redis_before_it_has_heard_redis_out(
    scheduler, monkeypatch
):
    said = []

    def be_asked_to_end():
        monkeypatch.setattr(scheduler.connection, "execute_command", lambda *w, **_: said.append(w))
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            said.append("heard out")
            monkeypatch.undo()

    monkeypatch.setattr(scheduler, "enqueue_jobs", be_asked_to_end)
    with pytest.raises(SystemExit):
        scheduler.run()
    assert said == ["heard out"]
    assert not scheduler.connection.exists(scheduler.scheduler_lock_key)


class TestRecurringJobs:
    def test_are_registered_at_the_first_look(self, scheduler):
        scheduler.enqueue_jobs()
        expected = [
            *("dispatch", "fail_over", "figures", "health", "look_up", "plan", "sweep_inbound"),
            *("tidy", "uploads", "watch_numbers", "weigh"),
        ]
        assert registered(scheduler) == sorted(recurring()) == expected

    def test_are_queued_at_once_each_where_it_belongs(self, scheduler):
        scheduler.enqueue_jobs()
        assert queued("plan") == ["plan"]
        assert sorted(queued("upkeep")) == ["dispatch", "fail_over", "tidy", "weigh"]
        chores = ["figures", "health", "look_up", "sweep_inbound", "uploads", "watch_numbers"]
        assert sorted(queued("chores")) == chores

    def test_call_our_tasks(self, scheduler):
        scheduler.enqueue_jobs()
        functions = {job.id: job.func for job in scheduler.get_jobs()}
        expected = {job_id: function for job_id, (function, *_) in recurring().items()}
        assert functions == expected

    def test_wait_for_their_interval(self, scheduler, settings):
        settings.PLAN_EVERY_SECONDS = 60
        before = time.time()
        scheduler.enqueue_jobs()
        scheduler.enqueue_jobs()
        assert queued("plan") == ["plan"]
        score = scheduler.connection.zscore(scheduler.scheduled_jobs_key, "plan")
        assert 58 <= score - before <= 70

    def test_come_back_after_a_flush(self, scheduler):
        scheduler.enqueue_jobs()
        forget_all(scheduler.connection)
        scheduler.enqueue_jobs()
        assert registered(scheduler) == sorted(recurring())
        assert queued("plan") == ["plan"]

    @pytest.mark.parametrize("gone", ["plan", "dispatch", "fail_over", "tidy", "weigh"])
    def test_come_back_when_one_is_gone(self, scheduler, gone):
        scheduler.enqueue_jobs()
        scheduler.cancel(gone)
        assert gone not in registered(scheduler)
        scheduler.enqueue_jobs()
        assert registered(scheduler) == sorted(recurring())

    def test_come_back_when_only_the_job_itself_is_gone(self, scheduler):
        scheduler.enqueue_jobs()
        Job.fetch("plan", connection=scheduler.connection).delete()
        scheduler.renewed_at = float("-inf")  # a minute later
        scheduler.enqueue_jobs()
        assert registered(scheduler) == sorted(recurring())

    def test_come_back_within_a_minute_where_others_hide_that_one_is_gone(self, scheduler):
        scheduler.enqueue_jobs()
        scheduler.cancel("plan")
        scheduler.schedule(NEVER, tasks.plan, id="somebody-elses")
        scheduler.renewed_at -= scheduling.RENEW_SECONDS + 1
        scheduler.enqueue_jobs()
        assert "plan" in registered(scheduler)

    def test_are_never_registered_twice(self, scheduler):
        for _ in range(3):
            scheduler.renew()
            make_scheduler(1).renew()
        assert registered(scheduler) == sorted(recurring())

    def test_are_left_as_they_are_by_a_second_scheduler(self, scheduler):
        scheduler.enqueue_jobs()
        key = scheduler.scheduled_jobs_key
        before = scheduler.connection.zrange(key, 0, -1, withscores=True)
        make_scheduler(1).renew()
        assert scheduler.connection.zrange(key, 0, -1, withscores=True) == before


NEVER = NOON.replace(tzinfo=None)


@pytest.mark.django_db
class TestDispatch:
    @pytest.fixture
    def due(self, sandbox, scheduler, settings):
        settings.SEND_JOBS_QUEUED = 3
        lane = make_number()
        return fill_queue(make_slot(lane), lane, 1, now=NOON)

    @pytest.fixture
    def dispatch(self, django_capture_on_commit_callbacks):
        """Jobs are queued when the transaction commits."""

        def dispatch():
            with django_capture_on_commit_callbacks(execute=True):
                return tasks.dispatch()

        return dispatch

    def test_keeps_a_number_of_slices_queued(self, due, dispatch):
        assert [dispatch(), dispatch()] == [3, 0]
        assert len(queued("send")) == 3

    def test_fills_up_what_was_taken(self, due, dispatch):
        dispatch()
        django_rq.get_queue("send").pop_job_id()
        assert dispatch() == 1

    def test_queues_nothing_while_nothing_is_due(self, due, dispatch):
        Due.objects.all().delete()
        assert dispatch() == 0
        assert queued("send") == []

    def test_queues_again_after_a_flush(self, due, dispatch, scheduler):
        dispatch()
        forget_all(scheduler.connection)
        assert dispatch() == 3

    def test_queues_what_sends_for_a_slice(self, due, dispatch):
        dispatch()
        assert django_rq.get_queue("send").jobs[0].func == tasks.send_slice
