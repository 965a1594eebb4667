from __future__ import annotations

import threading

import pytest
from django.db import transaction

from compliance import consent
from compliance.models import Person
from delivery import sql
from delivery.journal import Journal
from delivery.models import Due, Inbound
from delivery.outcomes import Settled, record
from leads.models import Lead
from providers.base import NotSent
from tests.delivery import taking
from tests.delivery.taking import HOUR, SOON, a_message, make_due_again, sent_to, state, states
from tests.delivery.waiting import wait_until
from tests.factories import NOON, make_brand, make_due, make_lead, make_person, make_slot

pytestmark = pytest.mark.django_db

take = taking.take  # a fixture


class TestStop:
    def test_a_stop_before_the_intent_stops_it(self, slot, take):
        message = a_message(slot)
        consent.opt_out([message.person_id], source="inbound")
        assert take(slot).intents == []
        assert state(message) == ("refused", "opted_out")

    def test_a_person_whose_reply_is_not_read_waits(self, slot, lane, take):
        message = a_message(slot)
        Inbound.objects.create(account=lane.account, person=message.person, provider_ref="SM1")
        assert take(slot).intents == []
        assert Due.objects.get().reason == "inbound_waiting"

    def test_a_person_whose_reply_was_read_does_not(self, slot, lane, take):
        message = a_message(slot)
        Inbound.objects.create(
            account=lane.account, person=message.person, provider_ref="SM1", applied_at=NOON
        )
        assert sent_to(take(slot)) == {message.pk}

    @pytest.mark.django_db(transaction=True)
    def test_a_decision_waits_for_a_stop_in_the_making(self, slot, take, at_once):
        message = a_message(slot)
        stopped, asked = threading.Event(), threading.Event()

        def work(number):
            if number == 0:
                with transaction.atomic():
                    consent.opt_out([message.person_id], source="inbound")
                    stopped.set()
                    asked.wait(5)
                    wait_for_a_lock()
            else:
                stopped.wait(5)
                asked.set()
                return take(slot).intents

        assert at_once(work)[1] == []
        assert state(message) == ("refused", "opted_out")


def wait_for_a_lock():
    """Until another connection waits for one of ours."""
    blocked = "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    wait_until(lambda: sql.rows(blocked))


class TestTheBrandsOfAPerson:
    """A person may have joined one brand again; to all others the opt-out stands."""

    def messages(self, lane, person, *brands):
        slots = [make_slot(lane, brand=brand, text=f"Offer {brand.pk}") for brand in brands]
        made = [
            make_due(slot, make_lead(slot.campaign.brand, person), lane, now=NOON) for slot in slots
        ]
        return slots, made

    @pytest.mark.parametrize("linked", [0, 1])
    def test_all_wait_for_the_text_of_whom_a_lead_of_one_names_beside(self, lane, take, linked):
        """A STOP binds all brands, whichever of them knows that the two are one."""
        person, beside = make_person(), make_person()
        slots, made = self.messages(lane, person, make_brand(), make_brand())
        Lead.objects.filter(pk=made[linked].lead_id).update(email_person=beside)
        Inbound.objects.create(account=lane.account, person=beside, provider_ref="SM1")
        assert take(*slots).intents == []
        assert set(Due.objects.values_list("reason", flat=True)) == {"inbound_waiting"}

    @pytest.mark.parametrize("joined", ["first", "last"])
    def test_are_told_apart_in_one_claim(self, lane, take, joined):
        person, brands = make_person(), [make_brand(), make_brand()]
        consent.opt_out([person.pk], source="inbound")
        again = brands[0 if joined == "first" else 1]
        consent.rejoin(person.pk, brand_id=again.pk, wording="START")
        slots, made = self.messages(lane, person, *brands)
        sent = sent_to(take(*slots))
        assert {one.brand_id for one in made if one.pk in sent} == {again.pk}
        assert states() == {"sending": 1, "refused": 1}

    @pytest.mark.parametrize("what", ["held", "opted out"])
    @pytest.mark.parametrize("linked", ["first", "last"])
    def test_are_told_apart_where_one_of_them_names_another_person_too(
        self, lane, take, linked, what
    ):
        """What that other person said came before the lead that names both."""
        person, other, brands = make_person(), make_person(), [make_brand(), make_brand()]
        if what == "held":
            consent.hold([other.pk], reason="x")
        else:
            consent.opt_out([other.pk], source="inbound")
        slots, made = self.messages(lane, person, *brands)
        both = brands[0 if linked == "first" else 1]
        Lead.objects.filter(brand=both).update(email_person=other)
        sent = sent_to(take(*slots))
        assert {one.brand_id for one in made if one.pk in sent} == {
            brand.pk for brand in brands if brand != both
        }


class TestOnePerson:
    def two_messages(self, lane, **fields):
        person = make_person()
        slots = [make_slot(lane, text=f"Offer {n}", **fields) for n in range(2)]
        for slot in slots:
            make_due(slot, make_lead(slot.campaign.brand, person), lane, now=NOON)
        return slots

    def test_in_two_campaigns_of_one_claim_gets_one_message(self, lane, take):
        slots = self.two_messages(lane)
        assert len(take(*slots).intents) == 1
        due = Due.objects.get()
        assert due.reason == "person_limit"
        assert NOON + 2 * HOUR <= due.not_before < NOON + 2 * HOUR + SOON
        assert states() == {"sending": 1, "planned": 1}

    @pytest.mark.django_db(transaction=True)
    def test_in_two_claims_at_once_gets_one_message(self, lane, take, at_once, tmp_path):
        slots = self.two_messages(lane)

        def work(number):
            with Journal.open(tmp_path, "x") as journal:
                return take(slots[number], into=journal)

        at_once(work)
        assert states() == {"sending": 1, "planned": 1}
        assert Due.objects.get().reason == "person_limit"

    def same_words(self, lane, take, **fields):
        """The second message, hours after the first, with the same words on the same date."""
        person = make_person()
        brand = make_brand()
        lead = make_lead(brand, person)
        first = make_slot(lane, brand=brand, text="Come today {link}", **fields)
        second = make_slot(lane, brand=brand, text="Come today {link}", **fields)
        make_due(first, lead, lane, now=NOON)
        take(first)
        ((_, message_id, words, on),) = Person.objects.get().recent
        Person.objects.update(recent=[[(NOON - 5 * HOUR).timestamp(), message_id, words, on]])
        message = make_due(second, lead, lane, now=NOON)
        take(second)
        return message

    def test_never_gets_the_same_words_twice_on_one_slot_date(self, lane, take):
        assert state(self.same_words(lane, take)) == ("refused", "same_words")

    def test_gets_them_again_where_the_campaign_repeats(self, lane, take):
        assert state(self.same_words(lane, take, repeats_words=True)) == ("sending", "")

    def test_is_not_held_by_a_message_that_was_not_sent(self, slot, take):
        message = a_message(slot)
        ((intent, _),) = take(slot).intents
        own = Person.objects.get().recent
        record([Settled(intent.attempt_id, message.pk, NotSent("refused"))])
        Person.objects.update(recent=own)  # even where its entry had stayed
        make_due_again()
        assert sent_to(take(slot)) == {message.pk}
