from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count

import pytest

from brands import clock
from compliance import consent
from compliance.models import Person
from config import demo_verdicts
from config.demo_summary import Column
from config.demo_verdicts import Verdict
from delivery.models import Attempt, Inbound, Message
from tests.factories import (
    DAY,
    NOON,
    TWELVE,
    fill_queue,
    make_account,
    make_brand,
    make_lead,
    make_number,
    make_person,
    make_slot,
    open_slot,
)

pytestmark = pytest.mark.django_db

refs = count(1)


@pytest.fixture(autouse=True)
def noon(sandbox):
    """They look at the database."""


def judged(*, clean: bool = True, most_unknown: int = 0, **ends: int) -> list[bool]:
    every = Column(ends=Counter({(status, ""): count for status, count in ends.items()}))
    found = demo_verdicts.verdicts(every, most_unknown=most_unknown, ledger_is_clean=clean)
    return [verdict.holds for verdict in found]


def make_messages(many: int, *, status: str = "", ending: str = "") -> list[Message]:
    """Planned messages, or moved on to this status, to numbers with this ending."""
    lane = make_number()
    messages = fill_queue(make_slot(lane), lane, many, now=NOON)
    if ending:
        Person.objects.filter(pk=messages[0].person_id).update(phone=f"+1212555{ending}")
    moved = Message.objects.filter(pk__in=[message.pk for message in messages])
    if status:
        moved.update(status="sending")
        moved.update(status=status)
    return messages


WELL = {"delivered": 150}


class TestTheEnd:
    def test_all_is_well_when_everybody_was_sent_to_and_reported_on(self):
        assert judged(delivered=90, undelivered=6, failed=3, refused=5) == [True] * 6

    @pytest.mark.parametrize(
        ("changes", "failing"),
        [
            pytest.param({"clean": False}, 0, id="the ledger disagrees"),
            pytest.param({"planned": 1}, 1, id="one still waits"),
            pytest.param({"sending": 1}, 1, id="one is in flight"),
            pytest.param({"expired": 2}, 2, id="too few were accepted"),
            pytest.param({"accepted": 2}, 4, id="too few were reported on"),
            pytest.param({"no_report": 2}, 4, id="some reports never came"),
        ],
    )
    def test_each_trouble_is_seen_and_nothing_else_blamed(
        self, changes: dict[str, int], failing: int
    ):
        assert judged(**{**WELL, **changes}) == [number != failing for number in range(6)]

    def test_more_unknown_than_kills_explain_is_trouble(self):
        make_messages(2, status="unknown")
        assert judged(**WELL, most_unknown=1)[3] is False
        assert judged(**WELL, most_unknown=2)[3] is True

    def test_what_was_in_flight_at_a_kill_need_not_be_accepted(self):
        make_messages(3, status="unknown")
        assert judged(delivered=97, unknown=3, most_unknown=3)[2] is True
        assert judged(delivered=97, unknown=3, most_unknown=1)[2] is False  # 97 of 99

    def test_unknown_that_a_magic_number_asks_for_is_trouble_too_for_its_report_comes(self):
        make_messages(1, status="unknown", ending="0007")
        assert judged(**WELL)[3] is False

    def test_who_is_never_accepted_is_not_missed(self):
        make_messages(1, status="rejected", ending="0001")
        assert judged(delivered=99, rejected=1)[2] is True
        assert judged(delivered=98, rejected=2)[2] is False  # 98 of 99

    def test_who_is_never_reported_on_is_not_missed(self):
        make_messages(1, status="accepted", ending="0010")
        assert judged(delivered=1, accepted=1)[4] is True
        assert judged(delivered=1, accepted=2)[4] is False

    def test_a_verdict_says_at_a_glance_whether_it_holds(self):
        assert Verdict("all is well", holds=True).words() == "ok     all is well"
        assert Verdict("all is well", holds=False).words() == "NOT OK all is well"


def write_stop(person: Person | None = None, account: object = None) -> Inbound:
    """A STOP that was applied, and not answered."""
    person = person or make_person()
    text = Inbound.objects.create(
        account=account or make_account(),
        person=person,
        provider_ref=f"SM{next(refs)}",
        label="stop",
        applied_at=clock.now(),
    )
    consent.opt_out([person.pk], source="inbound")
    return text


def confirm(text: Inbound, status: str = "delivered", kind: str = "stop") -> None:
    Message.objects.create(
        brand=make_brand(),
        person=text.person,
        inbound=text,
        kind="reply",
        reply_kind=kind,
        status=status,
        expires_at=NOON,
    )


class TestConfirmations:
    def holds(self) -> bool:
        return demo_verdicts.on_confirmations().holds

    def test_each_stop_was_confirmed(self):
        for status in ("accepted", "delivered"):
            confirm(write_stop(), status)
        assert self.holds()

    def test_nobody_need_have_written(self):
        assert self.holds()

    def test_a_stop_without_any_answer_is_missed(self):
        write_stop()
        assert not self.holds()

    @pytest.mark.parametrize("status", ["planned", "expired", "refused", "unknown"])
    def test_an_answer_that_no_provider_took_is_none(self, status: str):
        confirm(write_stop(), status)
        assert not self.holds()

    def test_another_answer_confirms_nothing(self):
        confirm(write_stop(), kind="help")
        assert not self.holds()

    def test_who_writes_it_twice_is_answered_once(self):
        text = write_stop()
        confirm(text)
        write_stop(text.person)
        assert demo_verdicts.on_confirmations() == Verdict(
            "1 of 1 people who wrote STOP were told within five minutes that they are out",
            holds=True,
        )

    def test_a_stop_of_no_person_of_ours_awaits_none(self):
        Inbound.objects.filter(pk=write_stop().pk).update(person=None)
        assert self.holds()

    def test_few_may_be_missed(self):
        account = make_account()
        for _ in range(19):
            confirm(write_stop(account=account))
        write_stop(account=account)
        assert self.holds()
        write_stop(account=account)
        assert not self.holds()


def make_attempt(message: Message, lane, *, fault: str = "", **fields: object) -> None:
    usual = {"outcome": "not_sent" if fault else "accepted", "is_not_sent": bool(fault)}
    Attempt.objects.create(
        message=message,
        account_id=lane.account_id,
        number=lane,
        sender="00000000-0000-0000-0000-000000000001",
        ref=f"{next(refs):022d}",
        text="Hi",
        segments=1,
        brand_day=DAY,
        fault=fault,
        intent_at=NOON,
        **{**usual, **fields},
    )


class TestTheSecondSlot:
    @pytest.fixture
    def lane(self):
        return make_number()

    @pytest.fixture
    def first(self, lane):
        """A closed slot."""
        slot = make_slot(lane)
        type(slot).objects.filter(pk=slot.pk).update(
            state="closed", closed_at=NOON + timedelta(hours=1)
        )
        return slot

    def listed(self, slot) -> Person:
        lead = make_lead(slot.campaign.brand)
        slot.campaign.lead_list.listentry_set.create(lead=lead, places=lead.places)
        return lead.person

    def second(self, first):
        return open_slot(first.campaign, on=DAY + timedelta(days=1), at=TWELVE)

    def texted(self, slot, person, lane, **fields: object) -> None:
        lead = slot.campaign.lead_list.listentry_set.get(lead__person=person).lead
        message = Message.objects.create(
            brand_id=lead.brand_id,
            campaign_id=slot.campaign_id,
            slot=slot,
            lead=lead,
            person=person,
            kind="campaign",
            expires_at=NOON + timedelta(days=2),
        )
        make_attempt(message, lane, **fields)

    def verdict(self) -> Verdict:
        return demo_verdicts.on_the_second_slot()

    def test_who_wrote_stop_got_nothing_and_others_did(self, first, lane):
        stopped, other = self.listed(first), self.listed(first)
        write_stop(stopped)
        self.texted(self.second(first), other, lane)
        assert self.verdict() == Verdict(
            "1 on the second slots' lists had written STOP or unsubscribed; it reached 0 of them",
            holds=True,
        )

    @pytest.mark.parametrize("fault", ["", "account"])
    def test_one_who_was_texted_or_tried_all_the_same_is_trouble(self, first, lane, fault):
        stopped = self.listed(first)
        write_stop(stopped)
        self.texted(self.second(first), stopped, lane, fault=fault)
        assert self.verdict() == Verdict(
            "1 on the second slots' lists had written STOP or unsubscribed; it reached 1 of them",
            holds=False,
        )

    def test_a_message_of_the_first_slot_before_the_stop_is_none_of_it(self, first, lane):
        stopped = self.listed(first)
        self.texted(first, stopped, lane)
        write_stop(stopped)
        self.second(first)
        assert self.verdict().holds

    def test_who_joined_again_may_be_texted(self, first, lane):
        person = self.listed(first)
        write_stop(person)
        consent.rejoin(person.pk, brand_id=first.campaign.brand_id, wording="START")
        self.texted(self.second(first), person, lane)
        assert self.verdict().holds

    def test_who_wrote_stop_when_the_second_slot_was_planned_is_not_judged(self, first, lane):
        person = self.listed(first)
        type(first).objects.filter(pk=first.pk).update(closed_at=NOON - timedelta(hours=1))
        self.texted(self.second(first), person, lane)
        write_stop(person)
        assert self.verdict().holds

    def test_who_wrote_it_after_the_first_slot_and_before_is_judged(self, first, lane):
        person = self.listed(first)
        type(first).objects.filter(pk=first.pk).update(closed_at=NOON - timedelta(hours=1))
        write_stop(person)
        self.texted(self.second(first), person, lane)
        assert not self.verdict().holds

    def test_on_a_long_list_somebody_must_have_written(self, first, monkeypatch):
        self.listed(first)
        self.second(first)
        assert self.verdict().holds
        monkeypatch.setattr(demo_verdicts, "SURE_FROM", demo_verdicts.STOPS / 2)  # long from now on
        assert not self.verdict().holds


class TestTheFailingProvider:
    @pytest.fixture
    def one(self):
        return make_number()

    @pytest.fixture
    def two(self):
        return make_number()

    def verdict(self) -> Verdict:
        return demo_verdicts.on_the_failing_provider()

    def test_what_it_refused_left_by_the_other(self, one, two):
        for message in make_messages(2):
            make_attempt(message, two, fault="account")
            make_attempt(message, one)
        assert self.verdict() == Verdict(
            "2 of 2 messages that one provider refused left by others", holds=True
        )

    def test_what_the_other_sent_anyway_proves_nothing(self, one):
        for message in make_messages(2):
            make_attempt(message, one)
        assert not self.verdict().holds

    def test_what_left_by_nobody_or_by_the_same_is_trouble(self, one, two):
        over, back, nowhere = make_messages(3)
        for message in (over, back, nowhere):
            make_attempt(message, two, fault="account")
        make_attempt(over, one)
        make_attempt(back, two)
        assert self.verdict() == Verdict(
            "1 of 3 messages that one provider refused left by others", holds=False
        )

    def test_a_numbers_fault_is_not_its_providers(self, one, two):
        (message,) = make_messages(1)
        make_attempt(message, two, fault="sender")
        make_attempt(message, one)
        assert not self.verdict().holds
