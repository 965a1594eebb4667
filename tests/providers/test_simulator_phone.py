from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass

import pytest

from providers.simulator_behaviour import BadControl
from providers.simulator_http import Request
from providers.simulator_ledger import Ledger, Submission
from providers.simulator_phone import PHONES_SHOWN, TEXTS_SHOWN, Phones

ANNA, BEN = "+15550100123", "+15550100456"
SHOP, CLUB = "+15550199001", "+15550199002"


@dataclass(frozen=True)
class Said:
    at: float
    to: str
    text: str
    answer: int


class Desk:
    """Phones over a ledger, without a server."""

    def __init__(self, path):
        self.ledger = Ledger(path)
        self.answers = []
        self.said = {}
        self.objection = ""
        self.phones = Phones(
            ledger=self.ledger, answer=self._answer, heard=lambda phone: self.said.get(phone, [])
        )

    def _answer(self, phone, to, text):
        if self.objection:
            raise BadControl(self.objection)
        self.answers.append((phone, to, text))
        return "SM9"

    def text(self, text="hi", *, to=ANNA, by=SHOP, provider="twilio", took=True):
        sent = Submission(provider, "AC1", by, to, text, "r1")
        ref = "SM1" if took else ""
        entry = self.ledger.note(sent, verdict="accepted", took=took, provider_ref=ref)
        return round(entry.received_at, 6)  # as the file has it

    def ask(self, path, *, method="GET", query="", body=b"", head=b""):
        answer = self.phones.handle(Request(method, path, query, b"X\r\n" + head, body))
        top, _, content = answer.partition(b"\r\n\r\n")
        return int(top.split(b" ")[1]), top.decode(), content

    def data(self, number=""):
        query = f"number={number.replace('+', '%2B')}" if number else ""
        status, _, content = self.ask("/phone/data", query=query)
        assert status == 200
        return json.loads(content)

    def answer(self, told, **more):
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        status, _, content = self.ask("/phone/answer", method="POST", body=body, **more)
        return status, json.loads(content)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "ledger.jsonl")
    yield desk
    desk.ledger.close()


def told(**changes):
    return {"from": ANNA, "to": SHOP, "text": "STOP", **changes}


class TestPaths:
    @pytest.mark.parametrize("path", ["/phone/", "/phone/x", "/phonebook", "/phone/data/1"])
    def test_what_is_not_there_is_404(self, desk, path):
        assert desk.ask(path)[0] == 404

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("POST", "/phone", "GET"),
            ("POST", "/phone/data", "GET"),
            ("GET", "/phone/answer", "POST"),
        ],
        ids=["page", "data", "answer"],
    )
    def test_another_method_is_405_and_names_the_right_one(self, desk, method, path, allowed):
        status, top, _ = desk.ask(path, method=method)
        assert (status, f"\r\nAllow: {allowed}" in top) == (405, True)


class TestThePage:
    def test_it_says_that_nobody_is_texted(self, desk):
        status, top, page = desk.ask("/phone")
        assert (status, b"Nobody is texted" in page) == (200, True)
        assert "Content-Type: text/html; charset=utf-8" in top

    def test_its_length_is_that_of_its_bytes(self, desk):
        _, top, page = desk.ask("/phone")
        assert f"Content-Length: {len(page)}\r\n" in top

    def test_only_its_own_script_and_style_are_allowed(self, desk):
        _, top, page = desk.ask("/phone")
        (policy,) = re.findall(r"Content-Security-Policy: (.*)", top)
        for tag in ("script", "style"):
            (inline,) = re.findall(rb"<%b>(.*?)</%b>" % ((tag.encode(),) * 2), page, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inline).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}';" in policy
        assert policy.startswith("default-src 'none'; ")

    def test_it_names_no_other_host(self, desk):
        page = desk.ask("/phone")[2].decode().replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]", page) == []

    def test_it_never_reads_texts_as_markup(self, desk):
        page = desk.ask("/phone")[2].decode()
        assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page) == []


class TestTexts:
    def test_a_text_that_arrived_is_shown_with_its_sender(self, desk):
        at = desk.text("New jobs", provider="plivo")
        assert desk.data(ANNA)["texts"] == [
            {
                "at": at,
                "direction": "in",
                "other": SHOP,
                "provider": "plivo",
                "text": "New jobs",
                "status": "accepted",
            }
        ]

    def test_a_text_that_was_not_taken_never_arrived(self, desk):
        desk.text(took=False)
        assert desk.data(ANNA)["texts"] == []

    def test_the_texts_of_others_are_not_shown(self, desk):
        desk.text("for Ben", to=BEN)
        assert desk.data(ANNA)["texts"] == []

    def test_own_texts_stand_among_those_that_arrived_by_time(self, desk):
        at = desk.text("Reply STOP to end")
        desk.said[ANNA] = [Said(at + 1, SHOP, "STOP", 200), Said(at - 1, SHOP, "JOIN", 200)]
        texts = [text["text"] for text in desk.data(ANNA)["texts"]]
        assert texts == ["JOIN", "Reply STOP to end", "STOP"]

    def test_an_own_text_has_the_answer_and_the_provider_of_its_business(self, desk):
        at = desk.text(by=CLUB, provider="plivo")
        desk.said[ANNA] = [Said(at + 1, CLUB, "STOP", 503)]
        assert desk.data(ANNA)["texts"][-1] == {
            "at": at + 1,
            "direction": "out",
            "other": CLUB,
            "provider": "plivo",
            "text": "STOP",
            "status": "503",
        }

    def test_of_many_texts_the_newest_are_shown_and_the_older_counted(self, desk):
        for n in range(TEXTS_SHOWN + 3):
            desk.text(str(n))
        data = desk.data(ANNA)
        assert (data["texts"][0]["text"], len(data["texts"]), data["older"]) == (
            "3",
            TEXTS_SHOWN,
            3,
        )

    def test_half_a_character_in_a_text_does_not_break_the_answer(self, desk):
        desk.text("\ud83d")
        assert desk.data(ANNA)["texts"][0]["text"] == "\ud83d"

    @pytest.mark.parametrize(
        "query",
        [f"number={ANNA}", f"number=%2B{ANNA[1:]}", f"number={ANNA}&x=1"],
        ids=["plain plus", "escaped plus", "with more"],
    )
    def test_the_plus_may_be_escaped_or_not(self, desk, query):
        status, _, content = desk.ask("/phone/data", query=query)
        assert (status, json.loads(content)["number"]) == (200, ANNA)

    @pytest.mark.parametrize(
        "number",
        ["Anna", "+1", "+0123456789", "+1555x", "12", "1234567", "+1555010%0A0123", "٣٤٥٦"],
    )
    def test_what_is_no_number_is_400(self, desk, number):
        assert desk.ask("/phone/data", query=f"number={number}")[0] == 400


class TestNumbers:
    def test_before_the_first_text_there_are_none(self, desk):
        assert desk.data()["numbers"] == []

    def test_the_phone_that_got_a_text_last_comes_first(self, desk):
        desk.text("1", to=ANNA)
        desk.text("2", to=BEN)
        at = desk.text("3", to=ANNA)
        first, second = desk.data()["numbers"]
        assert first == {"number": ANNA, "at": at, "direction": "in", "text": "3"}
        assert second["number"] == BEN

    def test_the_last_text_may_be_an_own_one(self, desk):
        at = desk.text()
        desk.said[ANNA] = [Said(at + 1, SHOP, "STOP", 200)]
        assert desk.data()["numbers"] == [
            {"number": ANNA, "at": at + 1, "direction": "out", "text": "STOP"}
        ]

    def test_they_come_with_a_conversation_too(self, desk):
        desk.text(to=BEN)
        assert [phone["number"] for phone in desk.data(ANNA)["numbers"]] == [BEN]

    def test_there_are_at_most_fifty(self, desk):
        for n in range(PHONES_SHOWN + 5):
            desk.text(to=f"+1555010{n:04}")
        assert len(desk.data()["numbers"]) == PHONES_SHOWN == 50


class TestAnswering:
    def test_an_answer_is_passed_on_and_its_id_told(self, desk):
        assert desk.answer(told(text="STOP 👍")) == (200, {"provider_ref": "SM9"})
        assert desk.answers == [(ANNA, SHOP, "STOP 👍")]

    def test_a_short_code_can_be_answered(self, desk):
        assert desk.answer(told(to="55501"))[0] == 200

    def test_what_cannot_be_passed_on_is_told_in_words(self, desk):
        desk.objection = "no account sends from this number"
        assert desk.answer(told()) == (400, {"error": "no account sends from this number"})

    @pytest.mark.parametrize(
        ("sent", "word"),
        [
            (b"", "JSON"),
            (b"{", "JSON"),
            (b"\xff", "JSON"),
            (b"[" * 60_000, "JSON"),
            (b"null", "from, to and text"),
            (b"[1, 2, 3]", "from, to and text"),
            ({"from": ANNA, "to": SHOP}, "from, to and text"),
            (told(text=7), "from, to and text"),
            (told(to="MG-0123"), "phone numbers"),
            ({**told(), "from": "5550100123 "}, "phone numbers"),
            (told(text=""), "empty"),
            (told(text=" \n\t"), "empty"),
            (told(text="x" * 1601), "1,600"),
            (told(text="\ud83d"), "half a character"),
        ],
        ids=[
            "nothing",
            "cut off",
            "not UTF-8",
            "too deep",
            "null",
            "a list",
            "no text",
            "text is a number",
            "to no number",
            "from no number",
            "empty",
            "blank",
            "too long",
            "half a character",
        ],
    )
    def test_what_is_no_answer_is_400_and_goes_nowhere(self, desk, sent, word):
        status, content = desk.answer(sent)
        assert (status, word in content["error"], desk.answers) == (400, True, [])

    def test_the_longest_text_is_passed_on(self, desk):
        assert desk.answer(told(text="👍" * 1600))[0] == 200

    def test_another_site_may_not_answer_for_a_phone(self, desk):
        assert desk.answer(told(), head=b"Sec-Fetch-Site: cross-site")[0] == 403
        assert desk.answers == []
