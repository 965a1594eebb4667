from __future__ import annotations

import django_rq
import pytest
from redis import Redis

from delivery import freeing, inbound, inbox, tasks, upkeep, worker
from delivery.claims import REPLIES
from providers.base import Callback, DeliveryReport, Status
from tests.factories import NOON, fill_queue, make_account, make_number, make_slot

pytestmark = pytest.mark.django_db

QUEUES = ("send", "replies", "reports")


@pytest.fixture(autouse=True)
def queues():
    """Empty ones, that nobody works on."""

    def empty():
        for name in QUEUES:
            django_rq.get_queue(name).empty()

    empty()
    yield
    empty()
    worker.stopping.is_asked = False


@pytest.fixture
def slot(sandbox):
    return make_slot(make_number())


@pytest.fixture
def wait(slot):
    """Something waits in the queue of messages."""
    lane = slot.route.numbers.get().number
    return lambda **fields: fill_queue(slot, lane, 1, now=NOON, **fields)


def a_report_waits():
    callback = Callback(method="POST", url="", headers={}, query={}, form={"a": "b"}, body=b"")
    report = DeliveryReport(provider_ref="SM1", status=Status.SENT, dedupe_key="SM1:sent")
    inbox.append(make_account().pk, [(report, callback)])


def queued():
    """The jobs of each queue, by the name of their function."""
    return {name: [job.func_name for job in django_rq.get_queue(name).jobs] for name in QUEUES}


def asked(**jobs):
    return {name: [f"delivery.tasks.{job}" for job in jobs.get(name, [])] for name in QUEUES}


@pytest.fixture
def dispatch(django_capture_on_commit_callbacks):
    """Jobs are queued when the transaction commits."""

    def dispatch():
        with django_capture_on_commit_callbacks(execute=True):
            return tasks.dispatch()

    return dispatch


class TestDispatch:
    def test_asks_for_nothing_while_nothing_waits(self, dispatch, sandbox):
        assert dispatch() == 0
        assert queued() == asked()

    def test_keeps_a_number_of_slices_queued_while_messages_are_due(self, dispatch, wait, settings):
        settings.SEND_JOBS_QUEUED = 3
        wait()
        assert [dispatch(), dispatch()] == [3, 0]
        assert queued() == asked(send=["send_slice"] * 3)

    def test_replaces_those_that_were_taken(self, dispatch, wait, settings):
        settings.SEND_JOBS_QUEUED = 3
        wait()
        dispatch()
        queue = django_rq.get_queue("send")
        queue.remove(queue.job_ids[0])
        assert dispatch() == 1

    def test_takes_none_away_when_there_are_more(self, dispatch, wait, settings):
        wait()
        dispatch()
        settings.SEND_JOBS_QUEUED = 1
        assert dispatch() == 0
        assert len(queued()["send"]) > 1

    def test_calls_the_worker_of_replies_once_while_an_answer_is_due(
        self, dispatch, wait, settings
    ):
        settings.SEND_JOBS_QUEUED = 1
        wait(queue=REPLIES)
        assert [dispatch(), dispatch()] == [2, 0]
        assert queued() == asked(send=["send_slice"], replies=["reply_slice"])

    def test_has_reports_applied_while_some_wait(self, dispatch, sandbox):
        a_report_waits()
        assert [dispatch(), dispatch()] == [1, 0]
        assert queued() == asked(reports=["apply_reports"])

    def test_gives_jobs_no_ids(self, dispatch, wait):
        wait(queue=REPLIES)
        a_report_waits()
        dispatch()
        jobs = [job for name in QUEUES for job in django_rq.get_queue(name).jobs]
        assert {(job.args, tuple(job.kwargs), job.result_ttl, job.timeout) for job in jobs} == {
            ((), (), 0, -1)
        }


class TestReplySlice:
    def test_sends_answers_alone(self, monkeypatch, settings):
        settings.SEND_SLICE_SECONDS = 7
        calls = []
        monkeypatch.setattr(worker, "send_for", lambda *a, **named: calls.append((a, named)) or 5)
        assert [tasks.reply_slice(), tasks.send_slice()] == [5, 5]
        assert calls == [((7,), {"replies_only": True}), ((7,), {})]


class TestApplyReports:
    @pytest.fixture
    def found(self, monkeypatch):
        """How many reports each walk finds."""
        walks = []
        monkeypatch.setattr(inbox, "apply_waiting", lambda goes_on: walks.pop(0))
        monkeypatch.setattr(inbound, "apply_waiting", lambda goes_on: 0)
        return walks

    def test_goes_on_until_none_is_left(self, found):
        found += [2, 3, 0, 9]
        assert tasks.apply_reports() == 5
        assert found == [9]

    def test_applies_texts_that_had_to_wait_before_the_reports(self, found, monkeypatch):
        found += [0]
        order = []
        monkeypatch.setattr(inbound, "apply_waiting", lambda goes_on: order.append(len(found)))
        tasks.apply_reports()
        assert order == [1]

    def test_ends_when_its_slice_is_over(self, found, settings):
        settings.SEND_SLICE_SECONDS = 0
        assert tasks.apply_reports() == 0

    def test_ends_when_the_process_is_to_end(self, monkeypatch):
        def apply_and_be_stopped(goes_on):
            worker.stopping.is_asked = True
            return 3

        monkeypatch.setattr(inbox, "apply_waiting", apply_and_be_stopped)
        monkeypatch.setattr(inbound, "apply_waiting", lambda goes_on: 0)
        assert tasks.apply_reports() == 3


@pytest.mark.django_db(transaction=True)
class TestCallReplies:
    def test_queues_one_slice(self):
        tasks.call_replies()
        tasks.call_replies()
        assert queued() == asked(replies=["reply_slice"])

    def test_without_redis_is_no_error(self, monkeypatch):
        """The text it answers is applied, and its provider must not post it again."""
        with monkeypatch.context() as patched:
            patched.setattr(tasks.rates, "connect", lambda url: Redis(port=1))
            tasks.call_replies()
        assert queued() == asked()


class TestFailOver:
    def test_goes_on_after_a_part_that_failed(self, monkeypatch):
        """A limit that cannot be counted must not keep what waits for a number that is down."""

        def fails():
            raise RuntimeError

        done = []
        monkeypatch.setattr(tasks, "FAILING_OVER", (fails, lambda: done.append("moved")))
        with pytest.raises(tasks.TidyFailed, match="fails"):
            tasks.fail_over()
        assert done == ["moved"]


class TestTidy:
    def test_goes_through_every_part(self, monkeypatch):
        done = []
        parts = tuple(lambda name=name: done.append(name) for name in "abc")
        monkeypatch.setattr(tasks, "TIDYING", parts)
        tasks.tidy()
        assert done == ["a", "b", "c"]

    def test_goes_on_after_a_part_that_failed_and_names_it(self, monkeypatch):
        def fails():
            raise RuntimeError

        done = []
        monkeypatch.setattr(tasks, "TIDYING", (fails, lambda: done.append("other"), fails))
        with pytest.raises(tasks.TidyFailed, match="fails, fails"):
            tasks.tidy()
        assert done == ["other"]

    def test_includes_the_sweep(self):
        assert {upkeep.sweep_expired, freeing.free_held} <= set(tasks.TIDYING)

    def test_gets_through_on_an_empty_database(self, sandbox, settings, tmp_path):
        settings.JOURNAL_DIR = tmp_path
        tasks.tidy()
