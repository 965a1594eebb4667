from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from leads import imports
from leads.csvfile import BadFile, Rows
from leads.imports import Stopped, ahead, import_file
from leads.models import Import, ImportError, Lead, LeadList, ListEntry
from leads.rows import LeadRow
from tests.factories import make_brand, make_list

HEADER = "phone,email,first_name,consent_at\n"
GOOD = "212-555-0101,,Ada,2026-03-01\n310-555-0102,,Eva,2026-03-01\n"


@pytest.fixture
def brand(sandbox):
    return make_brand(slug="jobs")


def run(brand, text, **options):
    rows = Rows(io.BytesIO(text if isinstance(text, bytes) else (HEADER + text).encode()))
    return import_file(rows, make_list(brand), **options)


def errors():
    return list(ImportError.objects.order_by("line").values_list("line", "code", "field"))


def counts(taken_in):
    taken_in = Import.objects.get(pk=taken_in.pk)
    return (
        taken_in.rows_read,
        taken_in.leads_created,
        taken_in.leads_updated,
        taken_in.rows_refused,
    )


@pytest.mark.django_db
class TestImportFile:
    def test_takes_in_the_rows_and_counts_them(self, brand):
        summary = run(brand, GOOD, file_name="june.csv")
        taken_in = Import.objects.get()
        assert counts(taken_in) == (2, 2, 0, 0)
        assert (taken_in.state, taken_in.file_name, taken_in.problem) == ("done", "june.csv", "")
        assert taken_in.started_at <= taken_in.finished_at
        assert summary.taken_in == taken_in
        assert ListEntry.objects.filter(lead_list=taken_in.lead_list).count() == 2

    def test_keeps_each_row_it_cannot_take_with_its_line_and_reason(self, brand):
        text = (
            "800-555-0101,,Ada,2026-03-01\n"
            "212-555-0101,,Ada,2026-03-01\n"
            '212-555-0102,,"A\nB",2026-03-01,\n'
            ",,Ada,2026-03-01\n"
            "(212) 555-0101,,Eva,2026-03-01\n"
            "212-555-0103,,Ada,2999-01-01\n"
        )
        summary = run(brand, text)
        assert errors() == [
            (2, "phone_toll_free", "phone"),
            (4, "bad_quotes", ""),
            (5, "too_few_columns", ""),
            (6, "no_address", ""),
            (7, "duplicate_in_file", ""),
            (8, "consent_in_future", "consent_at"),
        ]
        assert counts(summary.taken_in) == (7, 1, 0, 6)
        assert sum(summary.refused.values()) == 6

    def test_keeps_what_stood_in_a_refused_row(self, brand):
        run(brand, "800-555-0101,,Ada,2026-03-01\n1,2\n")
        rows = ImportError.objects.order_by("line").values_list("row", flat=True)
        assert list(rows) == [
            {"phone": "800-555-0101", "first_name": "Ada", "consent_at": "2026-03-01"},
            {"row": "1,2\n"},
        ]

    def test_keeps_what_can_be_stored_of_a_row_with_nul_and_in_short(self, brand):
        run(brand, f"212-555-0101,,A\x00da{'x' * 600},2026-03-01\n")
        (kept,) = ImportError.objects.values_list("row", flat=True)
        assert kept["first_name"] == "A\ufffdda" + "x" * 496

    def test_counts_a_row_that_changes_nothing_as_updated(self, brand):
        first = run(brand, GOOD)
        again = run(brand, GOOD)
        assert counts(first.taken_in) == (2, 2, 0, 0)
        assert counts(again.taken_in) == (2, 0, 2, 0)
        assert Lead.objects.count() == 2

    def test_counts_notices_apart_from_what_was_refused(self, brand):
        text = "212-555-0101,e@example.com,A,2026-03-01\n310-555-0102,e@example.com,B,2026-03-01\n"
        summary = run(brand, text)
        assert counts(summary.taken_in) == (2, 2, 0, 0)
        assert (dict(summary.notices), dict(summary.refused)) == ({"email_in_use": 1}, {})

    def test_puts_columns_it_does_not_know_into_the_fields(self, brand):
        run(brand, b"phone;Trade;Shift;consent_at\n212-555-0101;nurse;;2026-03-01\n")
        assert Lead.objects.get().fields == {"trade": "nurse"}

    def test_uses_the_given_source_where_a_row_has_none(self, brand):
        text = b"phone,source,consent_at\n2125550101,,2026-03-01\n2125550102,fair,2026-03-01\n"
        run(brand, text, source="partner")
        assert set(Lead.objects.values_list("source", flat=True)) == {"partner", "fair"}

    def test_takes_no_rows_from_a_file_with_only_a_header(self, brand):
        assert counts(run(brand, "").taken_in) == (0, 0, 0, 0)
        assert Import.objects.get().state == "done"

    @pytest.mark.parametrize("chunk", [1, 2, 3])
    def test_counts_alike_in_chunks_of_any_size(self, brand, chunk):
        text = GOOD + "800-555-0101,,Ada,2026-03-01\n" + GOOD
        assert counts(run(brand, text, chunk=chunk).taken_in) == (5, 2, 0, 3)
        assert [line for line, _, _ in errors()] == [4, 5, 6]

    def test_a_stream_that_turns_out_not_to_be_utf8_keeps_its_committed_chunks(self, brand):
        text = (HEADER + GOOD).encode() + b"212-555-0103,,Jos\xe9,2026-03-01\n"
        with pytest.raises(BadFile, match="Line 4 is not UTF-8"):
            run(brand, text, chunk=2)
        taken_in = Import.objects.get()
        assert (taken_in.state, taken_in.rows_read) == ("failed", 2)
        assert "Line 4" in taken_in.problem

    def test_a_crash_leaves_whole_chunks_and_the_file_can_be_imported_again(
        self, brand, monkeypatch
    ):
        store_errors, calls = imports._store_errors, []

        def crash(*args):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt  # as near to a kill as a test can come
            store_errors(*args)

        monkeypatch.setattr("leads.imports._store_errors", crash)
        with pytest.raises(KeyboardInterrupt):
            run(brand, GOOD, chunk=1)
        assert counts(taken_in := Import.objects.get()) == (1, 1, 0, 0)
        assert (taken_in.state, Lead.objects.count()) == ("running", 1)
        monkeypatch.undo()
        assert counts(run(brand, GOOD, chunk=1).taken_in) == (2, 1, 1, 0)

    def test_a_fault_of_the_database_ends_the_import_with_a_word(self, brand, monkeypatch):
        monkeypatch.setattr("leads.storing.ADD_LEADS", "SELECT 1 / (%s - %s)")
        with pytest.raises(DatabaseError):
            run(brand, GOOD)
        assert Import.objects.get().state == "failed"
        assert not Lead.objects.exists()

    def test_stops_after_the_chunk_in_hand_when_asked(self, brand):
        reports = []
        with pytest.raises(Stopped):
            run(brand, GOOD, chunk=1, report=reports.append, is_stopped=lambda: bool(reports))
        assert counts(Import.objects.get()) == (1, 1, 0, 0)
        assert Import.objects.get().state == "failed"

    @pytest.mark.parametrize(("limit", "times"), [(2, 1), (3, 0)])
    def test_tells_the_planner_of_a_big_one(self, brand, monkeypatch, limit, times):
        monkeypatch.setattr(imports, "ANALYZED_FROM", limit)
        with CaptureQueriesContext(connection) as captured:
            run(brand, GOOD)
        told = [query["sql"] for query in captured if "ANALYZE" in query["sql"]]
        assert len(told) == times

    def test_says_how_many_bytes_it_has_read(self, brand):
        run(brand, GOOD, bytes_total=len(HEADER + GOOD))
        taken_in = Import.objects.get()
        assert taken_in.bytes_read == taken_in.bytes_total == len(HEADER + GOOD)

    def test_takes_the_same_statements_for_a_chunk_of_any_size(self, brand, statements):
        few = "".join(f"212-555-{n:04d},,Ada,2026-03-01\n" for n in range(3)) + "x,,,\n"
        many = "".join(f"212-555-{n:04d},,Ada,2026-03-01\n" for n in range(100, 300)) + "x,,,\n" * 9
        assert statements(lambda: run(brand, few)) == statements(lambda: run(brand, many))


class TestAhead:
    def test_gives_the_same_items_in_order(self):
        assert list(ahead(iter(range(50)), lambda: False)) == list(range(50))

    def test_makes_them_in_another_thread(self):
        threads = list(ahead((threading.current_thread() for _ in "ab"), lambda: False))
        assert threading.current_thread() not in threads

    def test_raises_here_what_was_raised_there(self):
        def items():
            yield 1
            raise BadFile("Line 9")

        seen = []
        with pytest.raises(BadFile, match="Line 9"):
            seen.extend(ahead(items(), lambda: False))

    def test_is_never_more_than_two_ahead(self):
        made, left = [], threading.Event()

        def items():
            for n in range(10):
                made.append(n)
                yield n
            left.set()

        each = ahead(items(), lambda: False)
        next(each)
        assert not left.wait(0.3)
        assert len(made) <= 3
        each.close()

    def test_stops_while_it_waits(self):
        blocked = threading.Event()

        def items():
            blocked.wait(10)
            yield 1

        assert list(ahead(items(), lambda: True)) == []
        blocked.set()


@pytest.fixture
def a_file(tmp_path):
    def write(content):
        path = tmp_path / "june.csv"
        path.write_bytes(content if isinstance(content, bytes) else (HEADER + content).encode())
        return str(path)

    return write


@pytest.mark.django_db
class TestTheCommand:
    def run(self, file, brand="jobs", name="June", **options):
        call_command("import_leads", file, brand=brand, list=name, **options)

    def test_takes_in_a_file_and_sums_up(self, brand, a_file, capsys):
        self.run(a_file(GOOD + "800-555-0101,,Ada,2026-03-01\n"))
        words = " ".join(capsys.readouterr().out.split())
        assert "june.csv, list June" in words
        for part in ("read 3", "created 2", "updated 0", "refused 1", "phone_toll_free 1"):
            assert part in words
        assert LeadList.objects.get().brand == brand

    def test_reads_standard_input(self, brand, a_file, monkeypatch):
        with Path(a_file(GOOD)).open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            self.run("-")
        assert Import.objects.get().file_name == "standard input"
        assert Lead.objects.count() == 2

    def test_uses_the_list_of_that_name_whatever_its_case(self, brand, a_file):
        june = make_list(brand, name="JUNE")
        self.run(a_file(GOOD), name=" June ")
        assert ListEntry.objects.filter(lead_list=june).count() == 2

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            pytest.param({"brand": "nobody"}, "no brand nobody.*jobs", id="no such brand"),
            pytest.param({"name": "  "}, "--list", id="a list without a name"),
            pytest.param({"name": "x" * 121}, "--list", id="a long name"),
            pytest.param({"name": "Old"}, "Old is retired", id="a retired list"),
            pytest.param({"file": "/nowhere/june.csv"}, "cannot be read: No such", id="no file"),
            pytest.param({"file": "/"}, "cannot be read: Is a dir", id="a directory"),
            pytest.param({"content": b""}, "is empty", id="an empty file"),
            pytest.param({"content": b"name\nAda\n"}, "no column phone or email", id="no phone"),
            pytest.param(
                {"content": HEADER.encode() + GOOD.encode() + b"1,,\xe9,2026-03-01\n"},
                "Line 4 is not UTF-8",
                id="cp1252",
            ),
        ],
    )
    def test_refuses_with_one_sentence_and_changes_nothing(self, brand, a_file, options, words):
        make_list(brand, name="Old", retired_at="2026-01-01T00:00Z")
        file = options.pop("file", None) or a_file(options.pop("content", GOOD))
        with pytest.raises(CommandError, match=words) as raised:
            self.run(file, **options)
        assert "\n" not in str(raised.value)
        assert not Lead.objects.exists()
        assert not Import.objects.exists()
        assert LeadList.objects.count() == 1

    @pytest.mark.parametrize("size", ["0", "-1", "many", "20001"])
    def test_refuses_a_batch_of_no_use(self, brand, a_file, size):
        with pytest.raises(CommandError, match="a batch has 1 to 20,000 rows"):
            call_command(
                "import_leads", a_file(GOOD), "--brand=jobs", "--list=June", f"--batch={size}"
            )

    def test_says_in_one_line_that_the_database_failed(self, brand, a_file, monkeypatch):
        monkeypatch.setattr("leads.storing.ADD_LEADS", "SELECT 1 / (%s - %s)")
        with pytest.raises(CommandError, match="database") as raised:
            self.run(a_file(GOOD))
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ends_after_the_chunk_in_hand_on_a_signal(self, brand, a_file, monkeypatch, number):
        report = "leads.management.commands.import_leads.words"
        monkeypatch.setattr("leads.management.commands.import_leads.EVERY", 0)
        monkeypatch.setattr(report, lambda summary: os.kill(os.getpid(), number) or "")
        before = signal.getsignal(number)
        with pytest.raises(CommandError, match="Stopped as asked"):
            self.run(a_file(GOOD), batch=1)
        assert counts(Import.objects.get()) == (1, 1, 0, 0)
        assert signal.getsignal(number) == before

    def test_all_rows_refused_is_no_failure(self, brand, a_file, capsys):
        self.run(a_file("800-555-0101,,Ada,2026-03-01\n"))
        assert "refused" in capsys.readouterr().out

    def test_says_how_far_it_is_every_few_seconds(self, brand, a_file, monkeypatch, capsys):
        monkeypatch.setattr("leads.management.commands.import_leads.EVERY", 0)
        self.run(a_file(GOOD), batch=1)
        assert capsys.readouterr().err.splitlines() == [
            "1 rows read, 0 refused (68 %)",
            "2 rows read, 0 refused (100 %)",
        ]


@pytest.mark.django_db
class TestGoOn:
    def test_passes_over_the_rows_that_are_in(self, brand):
        taken_in = Import.objects.create(brand=brand, lead_list=make_list(brand), rows_read=1)
        imports.go_on(taken_in, Rows(io.BytesIO((HEADER + GOOD).encode())))
        assert counts(taken_in) == (2, 1, 0, 0)
        assert Lead.objects.get().first_name == "Eva"

    @pytest.mark.parametrize("elsewhere", [{"rows_read": 1}, {"state": "failed"}])
    def test_undoes_the_chunk_where_the_import_is_not_as_it_left_it(self, brand, elsewhere):
        taken_in = Import.objects.create(brand=brand, lead_list=make_list(brand))
        Import.objects.update(**elsewhere)
        with pytest.raises(Stopped):
            imports.go_on(taken_in, Rows(io.BytesIO((HEADER + GOOD).encode())))
        assert not Lead.objects.exists()

    def test_does_not_call_done_what_was_stopped_after_its_last_row(self, brand):
        taken_in = Import.objects.create(brand=brand, lead_list=make_list(brand), rows_read=2)
        Import.objects.update(state="failed")
        with pytest.raises(Stopped):
            imports.go_on(taken_in, Rows(io.BytesIO((HEADER + GOOD).encode())))
        taken_in.refresh_from_db()
        assert taken_in.state == "failed"


def test_a_chunk_holds_checked_rows_and_problems_with_their_lines():
    text = (HEADER + "\n" + GOOD + "1,2\n").encode()
    (part,) = imports.chunks(Rows(io.BytesIO(text)), "", 10)
    assert [row.line for row in part.rows] == [3, 4, 5]
    assert [isinstance(row.checked, LeadRow) for row in part.rows] == [True, True, False]
    assert part.bytes_read == len(text)
