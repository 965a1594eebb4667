from __future__ import annotations

import io
import signal
from itertools import chain, repeat

import pytest
from django.db import IntegrityError, OperationalError, connections

from leads import imports, uploads
from leads.csvfile import BadFile
from leads.models import Import, ImportError, ImportPart, Lead, LeadList, ListEntry
from leads.uploads import PART, PartStream
from tests.factories import make_brand, make_list
from tests.faults.child import Struck
from tests.faults.world import PATIENCE, eventually
from tests.leads import upload_child
from tests.staff import make_user

HEADER = b"phone,first_name,consent_at\n"
GOOD = b"212-555-0101,Ada,2026-03-01\n310-555-0102,Eva,2026-03-01\n"
BAD = b"800-555-0101,Ida,2026-03-01\n"


def people(count, first=0):
    numbers = range(first, first + count)
    return b"".join(b"212-555-%04d,Ada,2026-03-01\n" % number for number in numbers)


def checked(content):
    return uploads.check(io.BytesIO(content), len(content))


def receive(content=HEADER + GOOD, *, into=None, **options):
    into = into or make_list(make_brand())
    options = {"file_name": "june.csv", "source": "", "uploaded_by": make_user(), **options}
    return uploads.receive(io.BytesIO(content), lead_list=into, **options)


def counts(taken_in):
    taken_in.refresh_from_db()
    return (
        taken_in.rows_read,
        taken_in.leads_created,
        taken_in.leads_updated,
        taken_in.rows_refused,
    )


class TestCheck:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            pytest.param(b"", "The file is empty", id="empty"),
            pytest.param(b"\xef\xbb\xbf", "The file is empty", id="only a BOM"),
            pytest.param(b"\n\n", "The file is empty", id="only blank lines"),
            pytest.param(HEADER, "no row under line 1", id="only a header"),
            pytest.param(HEADER + b"\n,,\n", "no row under line 1", id="blank rows"),
            pytest.param(HEADER + b"1,Jos\xe9,\n", "Line 2 is not UTF-8", id="cp1252"),
            pytest.param("phone,é\n".encode("utf-16"), "Line 1 is not UTF-8", id="UTF-16"),
            pytest.param(b"PK\x03\x04rest", "Excel workbook.*Save as", id="xlsx"),
            pytest.param(
                b"phone,phone,consent_at\n1,2,3\n", "names the column phone twice", id="2"
            ),
            pytest.param(b"name\nAda\n", "no column phone or email.*it has name", id="no phone"),
            pytest.param(b"phone\n2125550101\n", "no column consent_at", id="no consent"),
        ],
    )
    def test_refuses_a_file_that_could_not_be_taken_in(self, content, words):
        with pytest.raises(BadFile, match=words):
            checked(content)

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(HEADER + GOOD, id="plain"),
            pytest.param(b"\xef\xbb\xbf" + HEADER + GOOD, id="BOM"),
            pytest.param((HEADER + GOOD).replace(b",", b";"), id="semicolons"),
            pytest.param((HEADER + GOOD).replace(b"\n", b"\r\n"), id="CRLF"),
            pytest.param(HEADER + HEADER, id="the header once more as a row"),
        ],
    )
    def test_lets_a_readable_file_pass_and_winds_it_back(self, content):
        file = io.BytesIO(content)
        uploads.check(file, len(content))
        assert file.tell() == 0

    def test_refuses_what_is_too_big_before_it_reads_it(self):
        with pytest.raises(BadFile, match=r"501 MB; 500 MB is the most\. Split it"):
            uploads.check(None, 501 * PART)


@pytest.mark.django_db
class TestReceive:
    def test_keeps_the_file_in_parts_until_a_worker_comes(self, sandbox):
        content = HEADER + people(60_000)
        taken_in = receive(content, source="fair")
        parts = taken_in.parts.order_by("ordinal").values_list("data", flat=True)
        assert [len(data) for data in parts] == [PART, len(content) - PART]
        assert b"".join(bytes(data) for data in parts) == content
        taken_in.refresh_from_db()
        assert (taken_in.state, taken_in.source) == ("waiting", "fair")
        assert taken_in.bytes_total == len(content)
        assert uploads.waiting() == [taken_in.pk]

    def test_makes_a_new_list_with_it_or_neither(self, sandbox):
        brand = make_brand()
        receive(into=LeadList(brand=brand, name="June"))
        with pytest.raises(IntegrityError):
            receive(into=LeadList(brand=brand, name="JUNE"))
        assert LeadList.objects.get().name == "June"


@pytest.mark.django_db(transaction=True)
class TestTakeIn:
    def test_takes_every_row_in_and_says_so(self, sandbox):
        taken_in = receive(HEADER + GOOD + BAD, source="fair")
        assert uploads.take_in(taken_in.pk)
        assert counts(taken_in) == (3, 2, 0, 1)
        assert (taken_in.state, taken_in.bytes_read) == ("done", taken_in.bytes_total)
        assert set(Lead.objects.values_list("source", flat=True)) == {"fair"}

    def test_goes_on_where_it_was_left_and_counts_as_if_it_never_stopped(
        self, sandbox, monkeypatch
    ):
        monkeypatch.setattr(imports.go_on, "__kwdefaults__", {**defaults(), "chunk": 4})
        taken_in = receive(HEADER + people(6) + BAD + people(6, first=100))
        asked = chain([False] * 3, repeat(True))
        uploads.take_in(taken_in.pk, lambda: next(asked))
        left = counts(taken_in)[0]
        assert taken_in.state == "running"
        assert 0 < left < 13
        assert uploads.waiting() == [taken_in.pk]
        uploads.take_in(taken_in.pk)
        assert counts(taken_in) == (13, 12, 0, 1)
        assert taken_in.state == "done"
        assert ListEntry.objects.filter(lead_list=taken_in.lead_list).count() == 12

    def test_a_person_again_after_the_seam_is_one_lead_brought_up_to_date(self, sandbox):
        taken_in = receive(HEADER + GOOD + GOOD)
        whole = Import.objects.filter(pk=taken_in.pk)
        uploads.take_in(taken_in.pk)
        assert counts(taken_in) == (4, 2, 0, 2)
        whole.update(state="running", rows_read=2, rows_refused=0)  # as a crash would leave it
        uploads.take_in(taken_in.pk)
        assert counts(taken_in) == (4, 2, 2, 0)
        assert Lead.objects.count() == 2

    def test_is_for_one_worker_at_a_time(self, sandbox, at_once):
        taken_in = receive(HEADER + people(500))
        assert sorted(at_once(lambda _: uploads.take_in(taken_in.pk))) == [False, True]
        assert counts(taken_in) == (500, 500, 0, 0)

    def test_nothing_is_stored_by_who_was_overtaken_in_spite_of_the_lock(self, sandbox):
        taken_in = receive()
        Import.objects.filter(pk=taken_in.pk).update(state="running")
        stale = Import.objects.get(pk=taken_in.pk)
        uploads.take_in(taken_in.pk)
        with pytest.raises(imports.Stopped):
            imports.go_on(stale, imports.Rows(io.BytesIO(HEADER + GOOD + people(1))))
        assert counts(taken_in) == (2, 2, 0, 0)
        assert Lead.objects.count() == 2

    def test_leaves_an_upload_that_has_ended_alone(self, sandbox):
        taken_in = receive()
        uploads.stop(taken_in, "Ada")
        assert not uploads.take_in(taken_in.pk)
        assert counts(taken_in) == (0, 0, 0, 0)

    def test_ends_with_a_word_when_our_own_code_fails(self, sandbox, monkeypatch):
        taken_in = receive()
        monkeypatch.setattr("leads.imports.check_row", lambda *_: 1 / 0)
        uploads.take_in(taken_in.pk)
        assert counts(taken_in)[0] == 0
        assert (taken_in.state, taken_in.problem) == ("failed", uploads.FAULT)

    def test_ends_with_a_word_when_the_database_would_refuse_it_again(self, sandbox, monkeypatch):
        taken_in = receive()
        monkeypatch.setattr("leads.storing.ADD_LEADS", "SELECT 1 / (%s - %s)")
        uploads.take_in(taken_in.pk)
        taken_in.refresh_from_db()
        assert (taken_in.state, taken_in.problem) == ("failed", uploads.FAULT)

    def test_is_gone_on_with_later_when_the_database_went_away(self, sandbox, monkeypatch):
        taken_in = receive()
        end_us = "SELECT pg_terminate_backend(pg_backend_pid()), %s, %s"
        with monkeypatch.context() as broken:
            broken.setattr("leads.storing.ADD_LEADS", end_us)
            with pytest.raises(OperationalError):
                uploads.take_in(taken_in.pk)
        connections.close_all()
        assert counts(taken_in)[0] == 0
        assert taken_in.state == "running"
        assert uploads.take_in(taken_in.pk)
        assert counts(taken_in) == (2, 2, 0, 0)

    def test_ends_with_a_word_when_its_file_is_gone(self, sandbox):
        taken_in = receive(HEADER + people(60_000))
        taken_in.parts.filter(ordinal=1).delete()
        uploads.take_in(taken_in.pk)
        taken_in.refresh_from_db()
        assert (taken_in.state, taken_in.problem) == ("failed", uploads.LOST)


def defaults():
    return imports.go_on.__kwdefaults__


@pytest.mark.django_db(transaction=True)
class TestStop:
    def test_ends_an_import_in_work_and_keeps_whole_chunks(self, sandbox, monkeypatch):
        monkeypatch.setattr(imports.go_on, "__kwdefaults__", {**defaults(), "chunk": 2})
        taken_in = receive(HEADER + people(10))
        store, calls = imports._take_in, []

        def stop_after_two(*arguments):
            store(*arguments)
            calls.append(1)
            if len(calls) == 2:
                assert uploads.stop(taken_in, "Ada")

        monkeypatch.setattr("leads.imports._take_in", stop_after_two)
        uploads.take_in(taken_in.pk)
        assert counts(taken_in) == (4, 4, 0, 0)
        assert (taken_in.state, taken_in.problem) == ("failed", "Stopped by Ada.")
        assert Lead.objects.count() == 4

    def test_says_when_it_came_too_late(self, sandbox):
        taken_in = receive()
        uploads.take_in(taken_in.pk)
        assert not uploads.stop(taken_in, "Ada")
        taken_in.refresh_from_db()
        assert taken_in.state == "done"


@pytest.mark.django_db
class TestDropParts:
    def test_lets_go_of_the_files_of_what_has_ended_and_of_no_other(self, sandbox):
        ended, open_one = receive(), receive()
        uploads.stop(ended, "Ada")
        uploads.drop_parts()
        kept = ImportPart.objects.values_list("taken_in_id", flat=True)
        assert list(kept) == [open_one.pk]


@pytest.mark.django_db(transaction=True)
class TestPartStream:
    def test_is_the_file_whatever_the_sizes_asked_for(self, sandbox):
        content = HEADER + people(80_000)
        taken_in = receive(content)
        with PartStream(taken_in) as parts:
            sizes = iter([1, 7, PART, 3, PART + 5, 100])
            pieces = [parts.read(next(sizes, 999_999)) for _ in range(12)]
        assert b"".join(pieces) == content
        assert pieces[-1] == b""


KILLED = {
    "before the first chunk": Struck(target="leads.imports:_take_in", at="before"),
    "in the middle of a chunk": Struck(target="leads.imports:_store_errors", at="after", nth=3),
    "between two chunks": Struck(target="leads.imports:_take_in", at="after", nth=2),
    "after the last chunk": Struck(target="leads.imports:end", at="before"),
    "when all is done": Struck(target="leads.uploads:take_in", at="after"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("trick", KILLED.values(), ids=KILLED)
def test_a_killed_worker_loses_no_row_and_doubles_none(sandbox, tmp_path, trick):
    taken_in = receive(HEADER + people(30) + BAD * 2 + people(30, first=100))
    child = upload_child.start(trick, chunk=8, log=tmp_path / "log")
    child.join(PATIENCE)
    assert child.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    eventually(lambda: uploads.take_in(taken_in.pk) or not uploads.waiting())
    assert counts(taken_in) == (62, 60, 0, 2)
    assert taken_in.state == "done"
    assert Lead.objects.count() == ListEntry.objects.count() == 60
    assert list(ImportError.objects.order_by("line").values_list("line", flat=True)) == [32, 33]
