"""Reading a ledger: what is torn is counted, what is wrong is told by its line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.db import connection

from providers.simulator_ledger import Ledger, Submission
from reporting.oracle.ledger import BadLedger, Request, Tally, laid_open, read
from tests.reporting.world import World

ASKED = {
    "seq": 1,
    "received_at": 1.5,
    "provider": "twilio",
    "account": "AC1",
    "from": "+12025550100",
    "to": "+12125550100",
    "text": "Hi {there}",
    "ref": "r1",
}
ANSWERED = {"seq": 1, "verdict": "accepted", "took": True, "provider_ref": "SM1"}
UNANSWERED = Request(
    1, 1.5, "+12125550100", "Hi {there}", "r1", provider="twilio", sender="+12025550100"
)
REQUEST = replace(UNANSWERED, took=True, provider_ref="SM1")


def line(fields: dict[str, object], **changes: object) -> str:
    return json.dumps({**fields, **changes}) + "\n"


def read_text(folder, text: str | bytes) -> tuple[list[Request], Tally]:
    path, tally = folder / "ledger.jsonl", Tally()
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read(path, tally)), tally


def test_a_request_and_its_answer_are_one(tmp_path):
    requests, tally = read_text(tmp_path, line(ASKED) + line(ANSWERED))
    assert (requests, tally) == ([REQUEST], Tally(requests=1, taken=1))


def test_what_the_simulator_writes_is_read(tmp_path):
    path = tmp_path / "ledger.jsonl"
    written = Ledger(path)
    sent = Submission("twilio", "AC1", "+12025550100", "+12125550100", "Grüße\n{", "r1")
    written.note(sent, verdict="accepted", took=True, provider_ref="SM1")
    written.close()
    (request,) = read(path, Tally())
    assert (request.seq, request.to, request.text) == (1, "+12125550100", "Grüße\n{")
    assert (request.ref, request.took, request.provider_ref) == ("r1", True, "SM1")


def test_an_empty_ledger_holds_nothing(tmp_path):
    assert read_text(tmp_path, "") == ([], Tally())


@pytest.mark.parametrize("cut", [1, 10, 60, 150])
def test_a_torn_last_line_is_counted(tmp_path, cut):
    whole = line(ASKED) + line(ANSWERED)
    requests, tally = read_text(tmp_path, whole + line(ASKED, seq=2)[:cut])
    assert (requests, tally) == ([REQUEST], Tally(requests=1, taken=1, torn=1))


def test_a_request_whose_answer_was_torn_was_not_answered(tmp_path):
    requests, tally = read_text(tmp_path, line(ASKED) + line(ANSWERED)[:20])
    assert (requests, tally) == ([UNANSWERED], Tally(requests=1, torn=1))


def test_a_torn_line_may_be_followed_by_what_came_after_a_restart(tmp_path):
    torn = line(ASKED)[:50] + "\n"
    requests, tally = read_text(tmp_path, torn + line(ASKED) + line(ANSWERED))
    assert (requests, tally) == ([REQUEST], Tally(requests=1, taken=1, torn=1))


def test_lines_of_callbacks_are_passed_over(tmp_path):
    post = line({"callback": 1, "posted_at": 1.5})
    requests, tally = read_text(tmp_path, post + line(ASKED) + post + line(ANSWERED) + post[:14])
    assert (requests, tally) == ([REQUEST], Tally(requests=1, taken=1))


def test_a_request_without_an_answer_is_kept(tmp_path):
    text = line(ASKED) + line(ASKED, seq=2) + line(ANSWERED, seq=2)
    requests, _ = read_text(tmp_path, text)
    assert [(request.seq, request.took) for request in requests] == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(line(ASKED) + "oops\n", "line 2 is not JSON", id="not JSON"),
        pytest.param(b"\xff\xfe\n", "line 1 is not JSON", id="not text"),
        pytest.param("[1]\n", "line 1 is not a JSON object", id="a list"),
        pytest.param('{"seq": 1}}\n', "line 1 is not JSON", id="too much"),
        pytest.param(line(ANSWERED), "line 1 answers a request", id="an answer alone"),
        pytest.param(line(ASKED) + line(ANSWERED, seq=2), "line 2 answers", id="another answer"),
        pytest.param(line(ASKED, to=None), "line 1: to is missing", id="no recipient"),
        pytest.param(line(ASKED, seq="1"), "line 1: seq is missing", id="a number as text"),
        pytest.param(line(ASKED, seq=True), "line 1: seq is missing", id="yes for a number"),
        pytest.param(line(ASKED) + line(ANSWERED, took=1), "line 2: took is", id="1 for yes"),
        pytest.param(line(ASKED, received_at=1e15), "line 1: received_at is out", id="no time"),
        pytest.param(line(ASKED, seq=10**30), "line 1: seq is out of all", id="no number"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_line(tmp_path, text, says):
    with pytest.raises(BadLedger, match=says) as told:
        read_text(tmp_path, text)
    assert "+1212" not in str(told.value)


def test_a_missing_file_is_told_by_its_name(tmp_path):
    with pytest.raises(BadLedger, match=r"nowhere\.jsonl: No such file"):
        list(read(tmp_path / "nowhere.jsonl", Tally()))


@pytest.mark.django_db
class TestLaidOpen:
    def test_nothing_is_left_in_the_session(self, tmp_path):
        with laid_open(World().write(tmp_path)):
            pass
        with connection.cursor() as cursor:
            cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'oracle%'")
            assert cursor.fetchall() == []

    def test_a_bad_ledger_leaves_the_session_usable(self, tmp_path):
        path = tmp_path / "ledger.jsonl"
        path.write_text(line(ASKED) + line(ANSWERED) + "oops\n")
        with pytest.raises(BadLedger), laid_open(path):
            pass
        with laid_open(World().write(tmp_path)) as tally:
            assert tally.requests == 3

    def test_texts_and_recipients_that_no_table_can_hold_are_read(self, tmp_path):
        world = World()
        world.request(world.messages[0], to="\x00+1\ud800", text="\x00\udfff", ref="\x00")
        with laid_open(world.write(tmp_path)) as tally:
            assert tally.requests == 4
