from __future__ import annotations

import io
import os
import signal

import django_rq
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.scheduling import recurring
from leads import imports, tasks, uploads
from leads.models import ImportPart, Lead
from tests.factories import make_brand, make_list

CONTENT = b"phone,consent_at\n212-555-0101,2026-03-01\n310-555-0102,2026-03-01\n"


def receive(user, content=CONTENT):
    return uploads.receive(
        io.BytesIO(content),
        file_name="june.csv",
        lead_list=make_list(make_brand()),
        source="",
        uploaded_by=user,
    )


@pytest.fixture
def user(django_user_model):
    return django_user_model.objects.create(username="ada")


@pytest.fixture
def queue():
    queue = django_rq.get_queue("chores")
    queue.empty()
    yield queue
    queue.empty()


@pytest.mark.django_db(transaction=True)
class TestTakeInUploads:
    def test_takes_in_one_after_the_other_and_lets_go_of_the_files(self, sandbox, user):
        first, second = receive(user), receive(user)
        assert tasks.take_in_uploads() == 2
        for one in (first, second):
            one.refresh_from_db()
        assert (first.leads_created, second.leads_created) == (2, 2)
        assert not ImportPart.objects.exists()
        assert tasks.take_in_uploads() == 0

    def test_goes_on_with_the_next_when_one_fails(self, sandbox, user):
        bad, good = receive(user, b"phone,consent_at\n\xff\n"), receive(user)
        tasks.take_in_uploads()
        for one in (bad, good):
            one.refresh_from_db()
        assert (bad.state, good.state) == ("failed", "done")

    def test_leaves_an_upload_to_be_gone_on_with_when_the_process_is_to_end(
        self, sandbox, user, monkeypatch
    ):
        taken_in = receive(user)
        one_a_chunk = {**imports.go_on.__kwdefaults__, "chunk": 1}
        monkeypatch.setattr(imports.go_on, "__kwdefaults__", one_a_chunk)
        original = imports._take_in

        def end_us(*arguments):
            original(*arguments)
            os.kill(os.getpid(), signal.SIGTERM)

        heard = []
        before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
        try:
            monkeypatch.setattr("leads.imports._take_in", end_us)
            tasks.take_in_uploads()
        finally:
            signal.signal(signal.SIGTERM, before)
        taken_in.refresh_from_db()
        assert heard == [1]
        assert (taken_in.state, taken_in.rows_read) == ("running", 1)
        assert uploads.waiting() == [taken_in.pk]
        monkeypatch.undo()
        tasks.take_in_uploads()
        taken_in.refresh_from_db()
        assert (taken_in.state, taken_in.rows_read, Lead.objects.count()) == ("done", 2, 2)

    def test_looks_with_a_few_statements_when_there_is_nothing(self, sandbox, user):
        with CaptureQueriesContext(connection) as captured:
            tasks.take_in_uploads()
        assert len(captured) <= 4


class TestAskedToEnd:
    def test_passes_the_signal_on_and_puts_the_listener_back(self):
        heard = []

        def listener(*_):
            heard.append(1)

        before = signal.signal(signal.SIGTERM, listener)
        try:
            with tasks.asked_to_end() as is_asked:
                assert not is_asked()
                os.kill(os.getpid(), signal.SIGTERM)
                assert is_asked()
            assert heard == [1]
            assert signal.getsignal(signal.SIGTERM) is listener
        finally:
            signal.signal(signal.SIGTERM, before)

    def test_keeps_the_listener_that_took_over_meanwhile(self):
        def force(*_):
            pass

        def ask(*_):
            signal.signal(signal.SIGTERM, force)

        before = signal.signal(signal.SIGTERM, ask)
        try:
            with tasks.asked_to_end():
                os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is force
        finally:
            signal.signal(signal.SIGTERM, before)

    def test_asks_nobody_outside_the_main_thread(self, at_once):
        def look(_):
            with tasks.asked_to_end() as is_asked:
                return is_asked()

        assert at_once(look) == [False, False]

    test_asks_nobody_outside_the_main_thread.pytestmark = [pytest.mark.django_db]


class TestCall:
    def test_wakes_the_worker(self, queue):
        tasks.call()
        (job,) = queue.jobs
        assert job.func is tasks.take_in_uploads

    def test_leaves_it_to_the_recurring_job_when_redis_is_away(self, settings, caplog):
        settings.REDIS_URL = "redis://127.0.0.1:9/0"
        tasks.call()
        assert "the worker of uploads was not called" in caplog.text


def test_a_recurring_job_finds_what_nobody_was_called_for(settings):
    settings.IMPORT_EVERY_SECONDS = 7
    assert recurring()["uploads"] == (tasks.take_in_uploads, 7, "chores")
    assert "chores" in settings.RQ_QUEUES
