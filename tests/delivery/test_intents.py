from __future__ import annotations

import datetime as dt
import re
import time
from datetime import date, timedelta

import pytest

from compliance.models import Person
from delivery.models import Attempt, CapCounter, Due, Sticky
from delivery.outcomes import Settled, record
from links.models import ShortLink
from providers.base import NotSent
from tests.delivery import taking
from tests.delivery.taking import MINUTE, SOON, a_message, make_due_again, state
from tests.factories import (
    NOON,
    fill_queue,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_slot,
)

pytestmark = pytest.mark.django_db

TODAY = date(2035, 3, 7)

take = taking.take  # a fixture


class TestAnIntent:
    def test_is_stored_before_anything_leaves(self, slot, take):
        message = a_message(slot)
        ((intent, _),) = take(slot).intents
        attempt = Attempt.objects.get()
        assert (attempt.pk, attempt.message_id) == (intent.attempt_id, message.pk)
        assert (attempt.ref, attempt.text) == (intent.send.ref, intent.send.text)
        assert (attempt.outcome, attempt.is_not_sent) == ("", False)
        assert state(message) == ("sending", "")
        assert not Due.objects.exists()

    def test_says_who_sends_it_and_when(self, slot, lane, take, journal):
        a_message(slot)
        take(slot)
        attempt = Attempt.objects.get()
        assert (attempt.account, attempt.number) == (lane.account, lane)
        assert (attempt.sender, attempt.brand_day) == (journal.sender, TODAY)
        assert NOON <= attempt.intent_at < NOON + MINUTE

    def test_asks_the_provider_for_the_whole_text(self, slot, lane, take):
        message = a_message(slot, first_name="Grace")
        ((intent, _),) = take(slot).intents
        link = f"https://{slot.campaign.brand.short_domain}/{ShortLink.objects.get().code}"
        assert intent.send.text == f"Hi Grace, see {link} Reply STOP to opt out"
        assert (intent.send.to_e164, intent.send.from_value) == (message.person.phone, lane.value)
        assert intent.send.segments == 1

    def test_has_a_random_ref_of_its_own(self, slot, lane, take):
        fill_queue(slot, lane, 5, now=NOON)
        refs = {intent.send.ref for intent, _ in take(slot).intents}
        assert len(refs) == 5
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", ref) for ref in refs)

    def test_carries_its_ref_in_the_report_address(self, slot, lane, take):
        a_message(slot)
        ((intent, _),) = take(slot).intents
        address = f"/webhooks/twilio/{lane.account_id}/status?ref={intent.send.ref}"
        assert intent.send.status_callback_url.endswith(address)

    def test_must_be_written_within_two_seconds(self, slot, take):
        a_message(slot)
        before = time.monotonic()
        ((_, write_by),) = take(slot).intents
        assert before + 2 <= write_by <= time.monotonic() + 2

    def test_must_be_written_before_the_message_expires(self, slot, lane, take):
        make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON, expires_at=NOON + SOON)
        ((intent, _),) = take(slot).intents
        assert intent.window_closes_at == intent.send.not_after == NOON + SOON

    def test_must_be_written_before_the_sending_hours_end(self, lane, take):
        brand = make_brand(closes=dt.time(12, 1))
        slot = make_slot(lane, brand=brand)
        a_message(slot)
        ((intent, write_by),) = take(slot).intents
        assert intent.window_closes_at == NOON + MINUTE
        assert write_by - time.monotonic() < 60

    def test_takes_the_nearer_end(self, lane, take):
        slot = make_slot(lane, brand=make_brand(closes=dt.time(12, 0, 2)))
        a_message(slot)
        batch = take(slot)
        assert all(write_by - time.monotonic() < 1.99 for _, write_by in batch.intents)

    def test_makes_the_number_the_persons_own(self, slot, lane, take):
        message = a_message(slot)
        take(slot)
        sticky = Sticky.objects.get()
        assert (sticky.person_id, sticky.brand_id) == (message.person_id, message.brand_id)
        assert sticky.number == lane

    def test_makes_a_new_number_the_persons_own(self, slot, lane, take):
        message = a_message(slot)
        former = make_number()
        Sticky.objects.create(person=message.person, brand=message.brand, number=former)
        take(slot)
        assert Sticky.objects.get().number == lane

    def test_enters_the_persons_recent_sends(self, slot, take):
        message = a_message(slot)
        take(slot)
        person = Person.objects.get()
        ((at, message_id, words, on),) = person.recent
        assert (message_id, on) == (message.pk, "2035-03-07")
        assert abs(at - NOON.timestamp()) < 60
        assert len(words) == 16
        assert person.last_message_at.timestamp() == at

    def test_forgets_sends_of_more_than_eight_days_ago(self, slot, take):
        message = a_message(slot)
        old = [(NOON - timedelta(days=9)).timestamp(), 1, "aa", "2035-02-26"]
        Person.objects.update(recent=[old])
        take(slot)
        assert [entry[1] for entry in Person.objects.get().recent] == [message.pk]

    def test_counts_for_the_caps_of_its_brand_and_campaign(self, slot, lane, take):
        fill_queue(slot, lane, 3, now=NOON)
        take(slot)
        counters = dict(CapCounter.objects.values_list("key", "used"))
        assert counters == {
            f"brand:{slot.campaign.brand_id}:2035-03-07": 3,
            f"campaign:{slot.campaign_id}:2035-03-07": 3,
            f"decided:{slot.campaign_id}": 3,
        }

    def test_keeps_the_link_of_an_earlier_attempt(self, slot, take):
        a_message(slot)
        ((first, _),) = take(slot).intents
        record([Settled(first.attempt_id, first.message_id, NotSent("refused"))])
        make_due_again()
        ((second, _),) = take(slot).intents
        assert second.send.text == first.send.text
        assert ShortLink.objects.count() == 1
        assert second.send.ref != first.send.ref

    def test_has_no_link_where_the_text_has_none(self, lane, take):
        slot = make_slot(lane, text="Come today")
        message = a_message(slot)
        take(slot)
        message.refresh_from_db()
        assert message.link_id is None
        assert not ShortLink.objects.exists()
