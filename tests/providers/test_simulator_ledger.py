from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.simulator_ledger import Ledger, LedgerBroken, Submission, read_ledger


def a_submission(to="+12025550143", text="hi", request_ref=""):
    return Submission("twilio", "AC1", "+15005550001", to, text, "r1", request_ref)


def noted(path, *submissions, took=True):
    ledger = Ledger(path)
    for sent in submissions:
        ref = f"SM{ledger.next_seq}"
        ledger.note(sent, verdict="accepted", took=took, provider_ref=ref)
    ledger.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "ledger.jsonl"


class TestTheFile:
    def test_has_a_line_for_the_request_and_one_for_the_verdict(self, path):
        before = time.time()
        noted(path, a_submission())
        request, verdict = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert before - 1 < request.pop("received_at") < time.time() + 1
        assert request == {
            "seq": 1,
            "provider": "twilio",
            "account": "AC1",
            "from": "+15005550001",
            "to": "+12025550143",
            "text": "hi",
            "ref": "r1",
        }
        assert verdict == {"seq": 1, "verdict": "accepted", "took": True, "provider_ref": "SM1"}

    def test_goes_on_where_it_stopped(self, path):
        noted(path, a_submission("+1"), a_submission("+2"))
        noted(path, a_submission("+3"))
        assert [(entry.seq, entry.submission.to) for entry in read_ledger(path)] == [
            (1, "+1"),
            (2, "+2"),
            (3, "+3"),
        ]

    @pytest.mark.parametrize("cut", [1, 20, 75, 100, 200])
    def test_goes_on_after_an_end_that_was_cut_off(self, path, cut):
        noted(path, a_submission("+1"), a_submission("+2"))
        whole = path.read_bytes()
        path.write_bytes(whole[:-cut])
        noted(path, a_submission("+3"))
        assert path.read_bytes().startswith(whole[:-cut])
        entries = list(read_ledger(path))
        assert entries[0].submission.to == "+1"
        assert entries[-1].submission.to == "+3"
        assert len({entry.seq for entry in entries}) == len(entries)

    def test_an_entry_without_a_verdict_is_read_as_such(self, path):
        noted(path, a_submission("+1"))
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        (entry,) = read_ledger(path)
        assert (entry.verdict, entry.took, entry.submission.to) == ("", False, "+1")

    @given(st.text())
    def test_any_text_comes_back(self, tmp_path_factory, text):
        path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
        noted(path, a_submission(text=text))
        (entry,) = read_ledger(path)
        assert entry.submission.text == text

    def test_a_disk_that_is_full_breaks_it(self, path):
        ledger = Ledger(path)
        with open("/dev/full", "wb") as full:
            os.dup2(full.fileno(), ledger._file)
        ledger.note(a_submission(), verdict="accepted", took=True, provider_ref="SM1")
        with pytest.raises(LedgerBroken, match="No space left"):
            ledger.flush()
        ledger.close()


class TestLookingBack:
    def test_what_was_taken_for_a_recipient_is_found(self, path):
        noted(path, a_submission("+1"), a_submission("+2"), a_submission("+1", "again"))
        ledger = Ledger(path)
        assert [entry.submission.text for entry in ledger.taken_for("+1")] == ["hi", "again"]

    def test_what_was_not_taken_is_not(self, path):
        noted(path, a_submission(), took=False)
        assert Ledger(path).taken_for("+12025550143") == []

    def test_a_request_with_many_is_read_once_and_no_further_than_it_goes(self, path, monkeypatch):
        """Who asks for one of a batch asks for each of them, and a megabyte each time is slow."""
        batch = [a_submission(f"+1202555{n:04d}", request_ref="q1") for n in range(300)]
        noted(path, *batch, a_submission("+1"))
        ledger, read, real = Ledger(path), [], os.pread
        monkeypatch.setattr(os, "pread", lambda *of: read.append(of[1]) or real(*of))
        for _ in range(3):
            found = ledger.taken_with("q1")
            assert [entry.submission for entry in found] == batch
        assert sum(read) < 2 * path.stat().st_size

    def test_another_request_is_not_taken_for_the_last_one(self, path):
        noted(path, a_submission("+1", request_ref="q1"), a_submission("+2", request_ref="q2"))
        ledger = Ledger(path)
        asked = ["q1", "q2", "q1", "q3"]
        found = [[entry.submission.to for entry in ledger.taken_with(ref)] for ref in asked]
        assert found == [["+1"], ["+2"], ["+1"], []]

    def test_what_is_not_written_yet_is_found_too(self, path):
        ledger = Ledger(path)
        ledger.note(a_submission(), verdict="accepted", took=True, provider_ref="SM1")
        assert ledger.entry(1).provider_ref == "SM1"

    @pytest.mark.parametrize("seq", [-1, 0, 2])
    def test_a_number_that_was_not_given_is_nothing(self, path, seq):
        noted(path, a_submission())
        assert Ledger(path).entry(seq) is None


class TestCallbacks:
    REPORT = ('"genuine":true', '"word":"delivered"')

    def posted(self, path, *, between=None):
        ledger = Ledger(path)
        number = ledger.next_callback()
        ledger.note_posted(number, "report", copy=2, what=self.REPORT)
        if between:
            ledger.note(between, verdict="accepted", took=True, provider_ref="SM1")
        ledger.note_answered(number, 200)
        ledger.close()
        return number

    def test_have_a_line_as_they_leave_and_one_for_the_answer(self, path):
        self.posted(path)
        posted, answered = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert posted.pop("posted_at") <= answered.pop("answered_at")
        assert posted == {
            "callback": 1,
            "kind": "report",
            "genuine": True,
            "copy": 2,
            "word": "delivered",
        }
        assert answered == {"callback": 1, "answer": 200}

    def test_are_skipped_by_who_reads_requests(self, path):
        self.posted(path, between=a_submission("+1"))
        assert [(entry.seq, entry.submission.to) for entry in read_ledger(path)] == [(1, "+1")]

    def test_go_on_counting_where_the_file_stopped(self, path):
        assert [self.posted(path), self.posted(path)] == [1, 2]

    def test_leave_the_requests_where_they_can_be_found(self, path):
        self.posted(path, between=a_submission("+1"))
        ledger = Ledger(path)
        ledger.note_answered(9, 0)
        ledger.note(a_submission("+2"), verdict="accepted", took=True, provider_ref="SM2")
        assert [ledger.entry(seq).submission.to for seq in (1, 2)] == ["+1", "+2"]
        ledger.close()
        again = Ledger(path)
        assert [again.entry(seq).provider_ref for seq in (1, 2)] == ["SM1", "SM2"]


class TestRecentRecipients:
    def test_the_newest_comes_first_and_each_once(self, path):
        noted(path, *map(a_submission, ("+1", "+2", "+3", "+1")))
        assert Ledger(path).recent_recipients(2) == ["+1", "+3"]

    def test_who_got_nothing_is_not_among_them(self, path):
        noted(path, a_submission("+1"), took=False)
        assert Ledger(path).recent_recipients(9) == []

    def test_memory_is_bounded(self, path):
        noted(path, *(a_submission(f"+{n}") for n in range(1_500)))
        found = Ledger(path).recent_recipients(9_999)
        assert (len(found), found[0], found[-1]) == (1_000, "+1499", "+500")


class TestSenders:
    def test_the_account_that_a_number_last_sent_from_is_known_after_a_restart(self, path):
        noted(path, a_submission())
        assert Ledger(path).account_of("+15005550001") == ("twilio", "AC1")
        assert Ledger(path).account_of("+1") is None
