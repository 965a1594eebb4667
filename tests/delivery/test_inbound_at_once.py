"""Texts that come in at once, and beside a decision."""

from __future__ import annotations

import random
import threading
import time

import pytest
from django.db import connection

from compliance import consent
from compliance.models import ConsentEvent, OptOutEvent
from delivery import claims, inbound, pipeline
from delivery.claims import Grant
from delivery.journal import Journal
from delivery.models import Attempt, Due, Inbound
from tests.delivery import texting, walking
from tests.delivery.texting import (
    MINUTE,
    answers,
    for_real,
    is_out,
    say,
    store,
)
from tests.factories import (
    NOON,
    make_due,
    make_lead,
    make_person,
    make_slot,
)

pytestmark = pytest.mark.django_db

lane = texting.lane
person = texting.person

ROUNDS = 30


@for_real
class TestAtOnce:
    def test_the_same_stop_is_one_event_and_one_answer(self, lane, person, at_once):
        stop = store(lane, person, "STOP")
        assert sorted(at_once(lambda _: inbound.apply(stop), threads=4)) == [False] * 3 + [True]
        assert (OptOutEvent.objects.count(), answers()) == (1, ["stop"])

    def test_two_stops_of_a_person_have_one_answer(self, lane, person, at_once):
        stops = [store(lane, person, "STOP") for _ in range(2)]
        assert sorted(at_once(lambda number: inbound.apply(stops[number]))) == [False, True]
        assert (OptOutEvent.objects.count(), answers()) == (2, ["stop"])

    def test_the_same_join_is_one_consent_and_one_answer(self, lane, person, at_once):
        join = store(lane, person, "START")
        assert sorted(at_once(lambda _: inbound.apply(join))) == [False, True]
        assert (ConsentEvent.objects.count(), answers()) == (1, ["join"])

    def test_stops_of_two_linked_persons_never_wait_for_each_other_in_vain(self, lane, at_once):
        """Each takes both locks; in another order than by their ids they would block."""
        for _ in range(10):
            pair = [make_person(), make_person()]
            make_lead(lane.brand, pair[0], email_person=pair[1])
            stops = [store(lane, one, "STOP") for one in pair]
            at_once(lambda number, stops=stops: inbound.apply(stops[number]))
            assert all(is_out(one, lane.brand) for one in pair)

    def test_no_intent_is_committed_once_a_stop_has_the_persons_lock(
        self, lane, at_once, tmp_path, monkeypatch
    ):
        """A STOP before the decision, one after it, and many that race it at random offsets.

        What is there when the STOP holds the lock, with all its statements done, is all there ever
        is: an intent that came later would have been committed after it.
        """
        slot = make_slot(lane, brand=lane.brand)
        race = Race(lane, slot, tmp_path)
        monkeypatch.setattr(consent, "heard_from", race.look)
        dice = random.Random(11)
        for in_turn in ([0, 1], [1, 0]):
            race.run(lambda work, in_turn=in_turn: [work(number) for number in in_turn], 0)
        for _ in range(ROUNDS - 2):
            race.run(at_once, dice.uniform(-0.02, 0.02))
        assert {0, 1} == {seen for seen, _ in race.results}
        assert [pair for pair in race.results if pair[0] != pair[1]] == []


class Race:
    """A STOP against a worker that takes a message to the same person, round by round.

    `results` has the person's attempts when the STOP was about to commit, and at the end.
    """

    def __init__(self, lane, slot, folder):
        self.lane, self.slot, self.folder = lane, slot, folder
        self.results = []
        self._heard_from = consent.heard_from

    def run(self, at_once, offset):
        person = make_person()
        make_due(self.slot, make_lead(self.lane.brand, person), self.lane, now=NOON)
        with Journal.open(self.folder, "x") as journal:
            at_once(lambda number: [self._stop, self._take][number](offset, person, journal))
        self.results.append((self.seen, Attempt.objects.filter(message__person=person).count()))

    def _stop(self, offset, person, journal):
        time.sleep(max(offset, 0))
        say(self.lane, person, "STOP")

    def _take(self, offset, person, journal):
        time.sleep(max(-offset, 0))
        grants = [Grant(self.slot.campaign_id, self.lane.pk, 10)]
        pipeline.take(lambda now: claims.claim(grants, now=now), journal)

    def look(self, person_id):
        self._heard_from(person_id)
        elsewhere = threading.Thread(target=self._count, args=[person_id])
        elsewhere.start()
        elsewhere.join(5)

    def _count(self, person_id):
        self.seen = Attempt.objects.filter(message__person_id=person_id).count()
        connection.close()


class TestWhoIsLinked:
    """A text that is stored and not applied holds whom a lead names beside its sender, too."""

    @pytest.fixture
    def lead(self, lane):
        return make_lead(lane.brand, email_person=make_person())

    @pytest.mark.parametrize("writes", ["person_id", "email_person_id"])
    def test_waits_for_what_the_other_wrote(self, lane, lead, journal, writes):
        slot = make_slot(lane, brand=lane.brand)
        make_due(slot, lead, lane, now=NOON)
        texts = Inbound.objects.create(
            account=lane.account, number=lane, person_id=getattr(lead, writes), provider_ref="SM-1"
        )
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == "inbound_waiting"
        Inbound.objects.filter(pk=texts.pk).update(applied_at=NOON)
        Due.objects.update(not_before=NOON - 60 * MINUTE)
        assert len(walking.hand_over(journal)) == 1

    def test_waits_in_the_messages_of_another_lead(self, lane, lead, journal):
        own = make_lead(lane.brand, lead.email_person)
        make_due(make_slot(lane, brand=lane.brand), own, lane, now=NOON)
        Inbound.objects.create(
            account=lane.account, number=lane, person=lead.person, provider_ref="SM-1"
        )
        assert walking.hand_over(journal) == []
