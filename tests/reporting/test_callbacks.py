"""Reading the ledger's lines of callbacks: both halves, whatever stands between them."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from django.db import connection

from providers.simulator_ledger import Ledger
from reporting.oracle.callbacks import Callback, read
from reporting.oracle.ledger import laid_open
from reporting.oracle.lines import BadLedger, Tally
from tests.reporting.world import NOON, World

REPORT = {
    "callback": 17,
    "posted_at": 1.5,
    "kind": "report",
    "provider": "twilio",
    "account": "AC1",
    "genuine": True,
    "copy": 1,
    "ref": "r1",
    "provider_ref": "SM1",
    "word": "delivered",
    "code": "",
    "to": "+12125550100",
}
INBOUND = {
    "callback": 18,
    "posted_at": 2.5,
    "kind": "inbound",
    "provider": "plivo",
    "account": "MA1",
    "genuine": False,
    "copy": 2,
    "provider_ref": "u-1",
    "from": "+12125550100",
    "to": "+12025550100",
    "text": "stop",
}
ANSWERED = {"callback": 17, "answered_at": 1.6, "answer": 200}
REQUEST = {"seq": 1, "received_at": 1.5, "to": "+12125550100", "text": "Hi", "ref": "r1"}
REQUEST |= {"provider": "twilio", "from": "+12025550100"}
WAITING = Callback(
    callback=17,
    posted_at=1.5,
    kind="report",
    provider="twilio",
    account="AC1",
    genuine=True,
    copy=1,
    provider_ref="SM1",
    to="+12125550100",
    ref="r1",
    word="delivered",
)
ANSWERED_REPORT = replace(WAITING, answered_at=1.6, answer=200)


def line(plain: dict[str, object], **changes: object) -> str:
    return json.dumps({**plain, **changes}) + "\n"


def read_text(folder, text: str) -> tuple[list[Callback], Tally]:
    path, tally = folder / "ledger.jsonl", Tally()
    path.write_text(text)
    return list(read(path, tally)), tally


def test_a_post_and_its_answer_are_one(tmp_path):
    read_back = read_text(tmp_path, line(REPORT) + line(ANSWERED))
    assert read_back == ([ANSWERED_REPORT], Tally(callbacks=1))


def test_what_the_simulator_writes_is_read(tmp_path):
    path = tmp_path / "ledger.jsonl"
    names = ("provider", "account", "genuine"), ("ref", "provider_ref", "word", "code", "to")
    what = tuple(json.dumps({name: REPORT[name] for name in half})[1:-1] for half in names)
    written = Ledger(path)
    written.note_posted(17, "report", copy=1, what=what)
    written.note_answered(17, 200)
    written.close()
    (post,) = read(path, Tally())
    assert replace(post, posted_at=1.5, answered_at=1.6) == ANSWERED_REPORT


def test_others_may_stand_between_them(tmp_path):
    text = line(REPORT) + line(REQUEST) + line(INBOUND) + line(ANSWERED)
    first, second = read_text(tmp_path, text)[0]
    assert first == ANSWERED_REPORT
    assert (second.callback, second.answer, second.answered_at) == (18, None, None)


def test_the_answer_may_be_missing(tmp_path):
    assert read_text(tmp_path, line(REPORT)) == ([WAITING], Tally(callbacks=1))


def test_of_a_text_only_what_it_asks_is_kept(tmp_path):
    ((post,), _) = read_text(tmp_path, line(INBOUND))
    assert (post.sender, post.asks, post.genuine, post.copy) == ("+12125550100", "stop", False, 2)
    assert "text" not in {field.name for field in fields(post)}


@pytest.mark.parametrize("cut", [11, 30, 150])
def test_a_torn_post_is_counted(tmp_path, cut):
    read_back = read_text(tmp_path, line(REPORT) + line(REPORT, callback=18)[:cut])
    assert read_back == ([WAITING], Tally(callbacks=1, torn=1))


def test_a_torn_answer_is_none(tmp_path):
    read_back = read_text(tmp_path, line(REPORT) + line(ANSWERED)[:20])
    assert read_back == ([WAITING], Tally(callbacks=1, torn=1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param('{"callback": 1}}\n', "line 1 is not JSON", id="not JSON"),
        pytest.param(line(ANSWERED), "line 1 answers a callback", id="an answer alone"),
        pytest.param(line(REPORT) + 2 * line(ANSWERED), "line 3 answers", id="answered twice"),
        pytest.param(2 * line(REPORT), "line 2 posts", id="posted twice"),
        pytest.param(line(REPORT, kind="call"), "line 1: kind is", id="another kind"),
        pytest.param(line(REPORT, genuine=1), "line 1: genuine is", id="1 for yes"),
        pytest.param(line(REPORT, word=None), "line 1: word is missing", id="no word"),
        pytest.param(line(REPORT, ref=7), "line 1: ref is missing", id="a number as ref"),
        pytest.param(line(INBOUND, text=None), "line 1: text is missing", id="no text"),
        pytest.param(line(REPORT, posted_at=1e15), "line 1: posted_at is out", id="no time"),
        pytest.param(
            line(REPORT) + line(ANSWERED, answer="200"), "line 2: answer is", id="200 as text"
        ),
        pytest.param(
            line(REPORT) + line(ANSWERED, answer=-1), "line 2: answer is out", id="no status"
        ),
    ],
)
def test_what_cannot_be_read_is_told_by_its_line(tmp_path, text, says):
    with pytest.raises(BadLedger, match=says) as told:
        read_text(tmp_path, text)
    assert "+1212" not in str(told.value)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.django_db
class TestLaidOpen:
    COLUMNS = """
        SELECT kind, genuine, word, ends, sender, asks, posted_at, real_posted_at < posted_at,
               answered_at > posted_at, answer
        FROM oracle_callback ORDER BY callback
    """

    def rows(self, world: World, folder, query: str) -> list[tuple[object, ...]]:
        with laid_open(world.write(folder)), connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def test_a_post_has_the_times_of_both_clocks_and_what_it_means(self, world, tmp_path):
        at = {"at": NOON, "posted_at": world.real(NOON).timestamp()}
        world.post(**{**REPORT, **at, "word": "Failed", "code": "30036"})
        world.post(**{**INBOUND, **at, "from": "12125550100"}, answer=None)
        first, second = self.rows(world, tmp_path, self.COLUMNS)
        assert first[:6] == ("report", True, "failed", "undelivered", "", "")
        assert second[:6] == ("inbound", False, "", "", "+12125550100", "stop")
        assert first[6] == second[6] == NOON
        assert (first[7:], second[7:]) == ((True, True, 200), (True, None, None))

    def test_a_report_belongs_to_the_attempt_of_its_ref_or_else_of_its_id(self, world, tmp_path):
        first, second, third = world.messages
        world.report(first, provider_ref="SMnobody's")
        world.report(second, ref="nobody's")
        world.report(third, ref="", provider_ref="")
        found = self.rows(world, tmp_path, "SELECT message_id FROM oracle_report ORDER BY callback")
        assert found == [(first.pk,), (second.pk,)]

    def test_where_ref_and_id_disagree_the_ref_counts(self, world, tmp_path):
        first, second, _ = world.messages
        world.report(first, provider_ref=f"SM{second.attempts.get().ref}")
        found = self.rows(world, tmp_path, "SELECT message_id FROM oracle_report")
        assert found == [(first.pk,)]

    def test_texts_that_no_table_can_hold_are_read(self, world, tmp_path):
        odd = {"provider_ref": "\0\ud800", "from": "\0", "text": "\udfff", "account": "\0"}
        world.post(**{**INBOUND, **odd, "at": NOON})
        assert len(self.rows(world, tmp_path, self.COLUMNS)) == 1
