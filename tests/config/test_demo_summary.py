from __future__ import annotations

import io
from collections import Counter

import pytest
from rich.console import Console

from config import demo_summary
from config.demo_summary import Column, Phases, Progress, Told
from delivery.models import Inbound, Message
from delivery.states import Reason, Status
from tests.factories import NOON, fill_queue, make_account, make_number, make_person, make_slot


def fill(many: int = 1):
    """Planned messages of a brand of their own; returns the brand."""
    lane = make_number()
    slot = make_slot(lane)
    fill_queue(slot, lane, many, now=NOON)
    return slot.campaign.brand


def accept_all() -> None:
    Message.objects.update(status="sending")
    Message.objects.update(status="accepted")


def shown(found: dict[str, Column], *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(demo_summary.table(found))
    return console.file.getvalue()


def answer(brand, kind: str, status: str) -> None:
    """What we sent to somebody who wrote to us."""
    person = make_person()
    text = Inbound.objects.create(
        account=make_account(), person=person, provider_ref=f"SM{person.pk}"
    )
    Message.objects.create(
        brand=brand,
        person=person,
        inbound=text,
        kind="reply",
        reply_kind=kind,
        status=status,
        expires_at=NOON,
    )


@pytest.mark.django_db
class TestColumns:
    def test_tell_each_brands_ends_and_those_of_all(self, sandbox):
        for many in (1, 2):
            fill(many)
        found = demo_summary.columns()
        assert [column.audience for column in found.values()] == [1, 2, 3]
        assert found["All"].ends == {("planned", ""): 3}

    def test_tell_what_people_wrote(self, sandbox):
        brand, account = fill(), make_account()
        for number, label in enumerate(("stop", "stop", "help")):
            Inbound.objects.create(
                account=account, brand=brand, provider_ref=f"SM{number}", label=label
            )
        found = demo_summary.columns()
        assert found[brand.name].heard == found["All"].heard == {"stop": 2, "help": 1}

    def test_tell_what_they_were_answered_and_no_answer_is_audience(self, sandbox):
        brand = fill()
        for status in ("delivered", "accepted", "expired"):
            answer(brand, "stop", status)
        found = demo_summary.columns()
        assert found["All"].answers == {"stop": 3}
        assert found["All"].answered == {"stop": 2}
        assert found["All"].audience == 1


def every_row(count: int) -> Column:
    """Each end and each reason there is, with so many messages, rows and answers of each."""
    ends = [(status.value, "") for status in Status]
    ends += [("refused", reason.value) for reason in Reason if reason]
    return Column(
        rows=count,
        leads=count,
        suppressed=count,
        refused_rows=Counter({"phone_impossible": count}),
        ends=Counter(dict.fromkeys(ends, count)),
        heard=Counter({"review-stop": count}),
        answers=Counter({"stop": count}),
        answered=Counter({"stop": count}),
        attempts=count,
        seconds=1,
    )


def first_cells(table: str) -> str:
    """The labels, with what was wrapped put together again."""
    cells = (line.split("│")[1] for line in table.splitlines() if line.startswith("│"))
    return " ".join(" ".join(cells).split())


@pytest.mark.django_db
class TestTable:
    @pytest.fixture
    def found(self, sandbox):
        names = ("Harbor Jobs", "Prairie Careers", "Summit Staffing")
        return {**{name: every_row(1_111_111) for name in names}, "All": every_row(3_333_333)}

    @pytest.fixture
    def widest(self, found):
        return shown(found)

    def test_no_figure_is_cut_off_in_eighty_columns(self, found, widest):
        told = [figure for rows in demo_summary.parts(found["All"]) for _, figure in rows]
        figures = [figure(column) for column in found.values() for figure in told]
        assert {figure: widest.count(figure) for figure in figures} == Counter(figures)
        assert max(map(len, widest.splitlines())) <= 80

    def test_no_label_is_cut_off_in_eighty_columns(self, found, widest):
        labels = [label.strip() for rows in demo_summary.parts(found["All"]) for label, _ in rows]
        assert first_cells(widest) == " ".join(labels)

    def test_it_shows_what_people_wrote_and_were_answered(self, widest):
        assert "wrote: review-stop" in widest
        assert "answered: stop" in widest


@pytest.mark.django_db
class TestProgress:
    def test_counts_what_providers_took(self, sandbox):
        fill()
        accept_all()
        progress = Progress()
        progress.read()
        assert progress.words("noon").startswith("noon · planned 0 · sending 0 · accepted 1 ·")

    def test_the_rate_is_that_of_the_last_seconds(self, sandbox, monkeypatch):
        fill()
        progress, now = Progress(), 100.0
        monkeypatch.setattr(demo_summary.time, "monotonic", lambda: now)
        progress.read()
        accept_all()
        now = 102.0
        progress.read()
        assert progress.rate == 0.5


class TestTold:
    def told(self, *, terminal: bool) -> Told:
        return Told(Console(file=io.StringIO(), force_terminal=terminal, width=80))

    def test_without_a_terminal_each_word_is_a_line(self):
        told = self.told(terminal=False)
        with told.moving():
            told.show("one")
            told.show("two")
        assert told.console.file.getvalue() == "one\ntwo\n"

    def test_on_a_terminal_the_line_moves_and_is_gone_at_the_end(self):
        told = self.told(terminal=True)
        with told.moving():
            told.show("one")
        assert "\x1b[2K" in told.console.file.getvalue()

    def test_lines_come_every_few_seconds_only(self):
        told = self.told(terminal=False)
        assert [told.is_time(), told.is_time()] == [True, False]


def test_the_phases_are_told_in_order_with_their_sum(monkeypatch):
    phases, moments = Phases(), iter([0.0, 1.5, 2.0, 2.5])
    monkeypatch.setattr(demo_summary.time, "monotonic", lambda: next(moments))
    for name in ("importing", "sending"):
        with phases.timed(name):
            pass
    assert phases.words() == "importing 1.5 s, sending 0.5 s; together 2.0 s"
