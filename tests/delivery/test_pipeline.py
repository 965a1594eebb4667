from __future__ import annotations

import datetime as dt
import re
import threading
import time
from collections import Counter
from datetime import date, timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns.models import Campaign
from compliance import consent
from compliance.models import Person
from delivery import claims, intents, picking, pipeline, sql, steps, strikes, upkeep
from delivery.claims import Grant
from delivery.journal import Journal
from delivery.models import Attempt, CapCounter, Due, Inbound, Message, Sticky, Strike
from delivery.outcomes import Settled, record
from delivery.pipeline import Batch
from delivery.states import Kind
from delivery.steps import Draft
from leads.models import Lead
from links.models import ShortLink
from providers.base import NotSent
from providers.models import ProviderAccount, SenderNumber
from tests.delivery.texting import say, store
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_places,
    make_slot,
    set_clock,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SOON = timedelta(seconds=30)  # tests are quicker than that
TODAY = date(2035, 3, 7)


@pytest.fixture
def lane(sandbox):
    return make_number()


@pytest.fixture
def slot(lane):
    return make_slot(lane)


@pytest.fixture
def take(journal):
    """Take what waits in the queues of these slots, as a worker does."""

    def take(*slots, rows=500, into=journal):
        grants = [
            Grant(slot.campaign_id, number.pk, rows)
            for slot in slots
            for number in SenderNumber.objects.all()
        ]
        return pipeline.take(lambda now: claims.claim(grants, now=now), into)

    return take


def a_message(slot, **lead):
    to = make_lead(slot.campaign.brand, **lead)
    return make_due(slot, to, SenderNumber.objects.first(), now=NOON)


def state(message):
    message.refresh_from_db()
    return message.status, message.reason


def states():
    return Counter(Message.objects.values_list("status", flat=True))


def make_due_again():
    Due.objects.update(not_before=NOON - HOUR)


def sent_to(batch):
    return {intent.message_id for intent, _ in batch.intents}


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
        ((_, write_by),) = take(slot).intents
        assert 0 < write_by - time.monotonic() <= 2

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


class TestABatch:
    def test_without_rows_is_empty(self, slot, take):
        assert take(slot) == Batch()

    def test_counts_what_it_claimed(self, slot, lane, take):
        fill_queue(slot, lane, 3, now=NOON)
        Person.objects.filter(pk=Person.objects.first().pk).update(held_at=NOON)
        batch = take(slot)
        assert (batch.claimed, len(batch.intents)) == (3, 2)

    def test_takes_as_many_statements_for_ten_rows_as_for_400(self, slot, lane, take, statements):
        def some_of_each(many):
            messages = fill_queue(slot, lane, many, now=NOON)
            a_tenth = many // 10
            people = [message.person_id for message in messages]
            consent.opt_out(people[:a_tenth], source="staff")
            Person.objects.filter(pk__in=people[a_tenth : 2 * a_tenth]).update(held_at=NOON)

        fill_queue(slot, lane, 1, now=NOON)
        take(slot)  # reads the zones of the places, once in a process's life
        some_of_each(10)
        of_ten = statements(lambda: take(slot))
        assert states() == {"sending": 9, "refused": 1, "planned": 1}
        some_of_each(400)
        assert statements(lambda: take(slot)) == of_ten
        assert states() == {"sending": 329, "refused": 41, "planned": 41}

    def test_leaves_out_what_is_not_planned_any_more(self, slot, take):
        gone, stays = a_message(slot), a_message(slot)
        Message.objects.filter(pk=gone.pk).update(status="cancelled")
        batch = take(slot)
        assert sent_to(batch) == {stays.pk}
        assert state(gone) == ("cancelled", "")
        assert not Due.objects.exists()

    def test_of_a_database_that_breaks_off_changes_nothing(self, slot, take, monkeypatch):
        message = a_message(slot)
        before = list(Due.objects.values())

        def break_off(*_, **__):
            raise OperationalError("gone")

        monkeypatch.setattr(intents, "write", break_off)
        with pytest.raises(OperationalError):
            take(slot)
        assert list(Due.objects.values()) == before
        assert state(message) == ("planned", "")

    def test_that_finds_a_message_somebody_else_wrote_changes_nothing(
        self, slot, take, monkeypatch
    ):
        a_message(slot)
        write = intents._write_messages

        def too_late(*arguments):
            Message.objects.update(status="cancelled")
            write(*arguments)

        monkeypatch.setattr(intents, "_write_messages", too_late)
        with pytest.raises(intents.Inconsistent):
            take(slot)
        assert not Attempt.objects.exists()
        assert Due.objects.count() == 1


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
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute(blocked)
            if cursor.fetchone():
                return
            time.sleep(0.001)
    raise AssertionError("nobody waits")


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


class TestAnAnswer:
    """To a text, through claim, decision and commit."""

    @pytest.fixture
    def lane(self, sandbox):
        return make_number(brand=make_brand(name="Acme", daily_cap=0))

    @pytest.fixture
    def person(self, lane):
        return make_person()

    @pytest.fixture
    def answer(self, journal):
        """Take what waits in the queue of replies."""

        def answer():
            grants = [Grant(claims.REPLIES, one.pk, 10) for one in SenderNumber.objects.all()]
            batch = pipeline.take(lambda now: claims.claim(grants, now=now), journal)
            return [intent for intent, _ in batch.intents]

        return answer

    @pytest.mark.parametrize(("text", "words"), [("STOP", "opted out"), ("HELP", "rates"),
                                                 ("START", "welcome")])  # fmt: skip
    def test_goes_to_the_person_by_the_number_that_was_texted(
        self, lane, person, answer, text, words
    ):
        say(lane, person, text)
        (intent,) = answer()
        assert (intent.send.to_e164, intent.send.from_value) == (person.phone, lane.value)
        assert intent.send.text.startswith("Acme: ")
        assert words in intent.send.text
        assert states() == {"sending": 1}
        assert not Due.objects.exists()

    def test_has_its_attempt_like_any_other(self, lane, person, answer):
        say(lane, person, "STOP")
        (intent,) = answer()
        attempt = Attempt.objects.get()
        assert (attempt.pk, attempt.ref) == (intent.attempt_id, intent.send.ref)
        assert (attempt.number, attempt.text) == (lane, intent.send.text)

    def test_says_what_the_brand_wrote(self, lane, person, answer):
        type(lane.brand).objects.update(stop_reply="{brand} says bye")
        say(lane, person, "STOP")
        (intent,) = answer()
        assert intent.send.text == "Acme says bye"

    def test_counts_on_no_cap_and_passes_a_full_one(self, lane, person, answer):
        say(lane, person, "HELP")
        assert len(answer()) == 1
        assert not CapCounter.objects.exists()

    def test_moves_nobody_to_its_number(self, lane, person, answer):
        own = Sticky.objects.create(person=person, brand=lane.brand, number=make_number())
        before = own.number
        for text in ("STOP", "HELP"):
            say(lane, person, text)
        assert len(answer()) == 2
        own.refresh_from_db()
        assert (own.number, Sticky.objects.count()) == (before, 1)

    def test_makes_no_number_the_persons_own(self, lane, person, answer):
        say(lane, person, "HELP")
        answer()
        assert not Sticky.objects.exists()

    def test_is_none_of_the_persons_recent_sends(self, lane, person, answer):
        say(lane, person, "HELP")
        answer()
        person.refresh_from_db()
        assert (person.recent, person.last_message_at) == ([], None)

    def test_passes_the_persons_limit(self, lane, person, answer):
        sends = [[(NOON - n * HOUR).timestamp(), n, "aa", ""] for n in range(1, 7)]
        Person.objects.update(recent=sends)
        say(lane, person, "HELP")
        assert len(answer()) == 1
        assert Person.objects.get().recent == sends

    def test_has_no_link(self, lane, person, answer):
        say(lane, person, "HELP")
        answer()
        assert not ShortLink.objects.exists()

    @pytest.mark.parametrize("text", ["STOP", "HELP"])
    def test_passes_an_opt_out(self, lane, person, answer, text):
        consent.opt_out([person.pk], source="staff")
        assert say(lane, person, text)
        assert len(answer()) == 1

    def test_passes_the_opt_out_it_confirms(self, lane, person, answer):
        say(lane, person, "STOP")
        assert Person.objects.get().opted_out_at is not None
        assert len(answer()) == 1

    def test_passes_a_hold(self, lane, person, answer):
        consent.hold([person.pk], reason="x")
        say(lane, person, "HELP")
        assert len(answer()) == 1

    def test_passes_a_text_that_is_not_read_yet(self, lane, person, answer):
        say(lane, person, "STOP")
        store(lane, person, "HELP")
        assert len(answer()) == 1

    def test_passes_quiet_hours(self, lane, person, answer):
        set_clock(NOON + 12 * HOUR)
        say(lane, person, "STOP")
        assert len(answer()) == 1

    def test_comes_from_a_paused_brand_too(self, lane, person, answer):
        type(lane.brand).objects.update(paused_at=NOON)
        say(lane, person, "STOP")
        assert len(answer()) == 1

    @pytest.mark.parametrize("outline", [picking.WHOLE_OUTLINE, picking.REPLIES_OUTLINE],
                             ids=["by-all", "by-the-worker-of-replies"])  # fmt: skip
    def test_is_picked_from_a_paused_brand_and_not_while_all_is_stopped(
        self, lane, person, sandbox, outline
    ):
        say(lane, person, "STOP")
        type(lane.brand).objects.update(paused_at=NOON)
        ((queue, lane_id, due, *_),) = sql.rows(outline, 500)
        assert (queue, lane_id, due) == (claims.REPLIES, lane.pk, 1)
        type(sandbox).objects.update(stopped_at=NOON)
        assert sql.rows(outline, 500) == []

    def test_waits_while_all_is_stopped_and_the_opt_out_stands(self, lane, person, answer, sandbox):
        type(sandbox).objects.update(stopped_at=NOON)
        say(lane, person, "STOP")
        assert answer() == []
        due = Due.objects.get()
        assert due.reason == "stop_all"
        assert NOON + MINUTE <= due.not_before < NOON + MINUTE + SOON
        assert Person.objects.get().opted_out_at is not None

    def test_welcomes_nobody_who_wrote_stop_since(self, lane, person, answer):
        say(lane, person, "START")
        say(lane, person, "STOP")
        (intent,) = answer()
        assert "opted out" in intent.send.text
        welcome = Message.objects.get(reply_kind="join")
        assert state(welcome) == ("refused", "opted_out")

    @pytest.mark.parametrize(("text", "minutes"), [("STOP", 5), ("HELP", 5), ("START", 15)])
    def test_must_be_written_some_minutes_after_the_text(self, lane, person, answer, text, minutes):
        say(lane, person, text)
        (intent,) = answer()
        ends = Inbound.objects.get().received_at + minutes * MINUTE
        assert intent.window_closes_at == intent.send.not_after == ends

    def test_is_not_sent_any_later(self, lane, person, answer):
        """What does not hold it back, a full cap and a paused brand, is not said to have."""
        type(lane.brand).objects.update(paused_at=NOON)
        say(lane, person, "STOP")
        set_clock(NOON + 5 * MINUTE + SOON)
        assert answer() == []
        upkeep.sweep_expired()
        assert state(Message.objects.get()) == ("expired", "no_capacity")
        assert not Due.objects.exists()

    def test_that_did_not_leave_goes_round_again_and_gives_nothing_back(self, lane, person, answer):
        say(lane, person, "STOP")
        (intent,) = answer()
        record([Settled(intent.attempt_id, intent.message_id, NotSent("refused"))])
        assert state(Message.objects.get()) == ("planned", "")
        assert not CapCounter.objects.exists()
        Due.objects.update(not_before=NOON)
        assert len(answer()) == 1

    def test_takes_as_many_statements_for_many_as_for_two(self, lane, answer, statements):
        def some(many):
            for _ in range(many):
                say(lane, make_person(), "STOP")

        some(1)
        answer()
        some(2)
        of_two = statements(answer)
        some(10)
        assert statements(answer) == of_two


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


class TestCaps:
    def capped(self, lane, **caps):
        brand = make_brand(daily_cap=caps.get("brand"))
        return make_slot(lane, brand=brand, daily_cap=caps.get("campaign"))

    @pytest.mark.parametrize("of", ["brand", "campaign"])
    def test_hold_what_is_too_many_until_the_brands_next_day(self, lane, take, of):
        slot = self.capped(lane, **{of: 2})
        fill_queue(slot, lane, 5, now=NOON)
        assert len(take(slot).intents) == 2
        held = Due.objects.values_list("reason", "not_before").distinct()
        midnight = NOON.replace(day=8, hour=5)  # in New York
        assert list(held) == [(f"{of}_cap", midnight)]

    @pytest.mark.django_db(transaction=True)
    def test_eight_workers_never_send_more(self, lane, take, at_once, tmp_path):
        slot = self.capped(lane, brand=100)
        fill_queue(slot, lane, 1000, now=NOON)

        def work(_):
            with Journal.open(tmp_path, "x") as journal:
                for _ in range(300):
                    take(slot, rows=17, into=journal)
                    if not Due.objects.filter(reason="").exists():
                        break

        at_once(work, threads=8)
        assert states() == {"sending": 100, "planned": 900}
        assert Attempt.objects.count() == 100
        assert CapCounter.objects.get(key__startswith="brand:").used == 100

    def contended(self, slot, monkeypatch, times):
        """Another worker takes the rest of the cap between gathering and writing."""
        count, left = intents._count, [times]

        def too_late(*arguments):
            if left[0]:
                left[0] -= 1
                raise intents.CapFull("brand")
            count(*arguments)

        monkeypatch.setattr(intents, "_count", too_late)

    def test_taken_by_another_batch_are_read_again(self, slot, take, monkeypatch):
        message = a_message(slot)
        self.contended(slot, monkeypatch, times=1)
        assert sent_to(take(slot)) == {message.pk}

    def test_taken_again_and_again_let_the_batch_wait(self, slot, take, monkeypatch):
        message = a_message(slot)
        self.contended(slot, monkeypatch, times=99)
        assert take(slot) == Batch()
        assert state(message) == ("planned", "")
        assert Due.objects.count() == 1

    def test_taken_meanwhile_from_a_batch_with_a_poisoned_row_let_it_wait(
        self, slot, take, monkeypatch
    ):
        message = a_message(slot)

        def write(*_, **__):
            monkeypatch.setattr(intents, "write", of_course)
            raise ValueError("poison")

        of_course = intents.write
        monkeypatch.setattr(intents, "write", write)
        self.contended(slot, monkeypatch, times=99)
        assert take(slot) == Batch()
        assert state(message) == ("planned", "")

    def test_come_back_with_the_batch_that_rolled_back(self, slot, lane, take, monkeypatch):
        fill_queue(slot, lane, 2, now=NOON)
        self.contended(slot, monkeypatch, times=99)
        take(slot)
        assert not CapCounter.objects.exists()


def poison(monkeypatch, spoil):
    """The first step spoils the message of whoever is called Poison."""

    def spoil_poison(draft, facts):
        return spoil(draft) if draft.values["first_name"] == "Poison" else draft

    def spoil_late(draft, facts):
        result = steps.reserve(draft, facts)
        return spoil_poison(result, facts) if isinstance(result, Draft) else result

    monkeypatch.setitem(steps.STEPS, Kind.CAMPAIGN, (*steps.CAMPAIGN[:-1], spoil_late))


def raise_an_error(draft):
    raise RuntimeError("a bug")


SPOILS = {
    "a-step-that-raises": raise_an_error,
    "nul": lambda draft: draft._replace(text="a\0b"),
    "lone-surrogate": lambda draft: draft._replace(text="a\ud800b"),
    "too-many-segments": lambda draft: draft._replace(segments=10**6),
    "lane-that-does-not-exist": lambda draft: draft._replace(lane_id=0),
}


class TestAPoisonedRow:
    def poisoned(self, slot, lane):
        neighbours = fill_queue(slot, lane, 3, now=NOON)
        return a_message(slot, first_name="Poison"), {message.pk for message in neighbours}

    @pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
    def test_waits_alone_and_its_neighbours_are_sent(self, slot, lane, take, monkeypatch, spoil):
        poison(monkeypatch, spoil)
        message, neighbours = self.poisoned(slot, lane)
        assert sent_to(take(slot)) == neighbours
        due = Due.objects.get()
        assert (due.message, due.reason, due.strikes) == (message, "step_failed", 1)
        assert NOON + MINUTE <= due.not_before < NOON + MINUTE + SOON
        assert state(message) == ("planned", "")
        assert Attempt.objects.count() == len(neighbours)

    def test_is_found_among_many_however_many_there_are(self, slot, lane, take, monkeypatch):
        poison(monkeypatch, SPOILS["nul"])
        neighbours = {message.pk for message in fill_queue(slot, lane, 37, now=NOON)}
        spoiled = {a_message(slot, first_name="Poison").pk for _ in range(5)}
        assert sent_to(take(slot)) == neighbours
        assert set(Due.objects.values_list("message_id", "strikes")) == {(i, 1) for i in spoiled}
        assert CapCounter.objects.get(key=f"decided:{slot.campaign_id}").used == 42

    def test_is_looked_for_without_a_lock_on_what_other_batches_need(
        self, slot, lane, take, monkeypatch
    ):
        """Counters of caps that are written while looking are rolled back and let go at once."""
        poison(monkeypatch, SPOILS["nul"])
        self.poisoned(slot, lane)
        with CaptureQueriesContext(connection) as captured:
            take(slot)
        ran = [query["sql"] or "" for query in captured]
        last_tried = max(i for i, said in enumerate(ran) if said.startswith("ROLLBACK TO"))
        attempts, counters = (
            [i > last_tried for i, said in enumerate(ran) if f"INSERT INTO {table} " in said]
            for table in ("delivery_attempt", "delivery_capcounter AS c")
        )
        assert (attempts.count(True), attempts.count(False) > 1) == (1, True)
        assert counters.count(True) == 2  # of all together, and of the one that was struck

    @pytest.mark.django_db(transaction=True)
    def test_is_found_even_where_only_the_commit_objects(self, slot, lane, take, monkeypatch):
        """A foreign key is checked by the COMMIT, past every statement of the batch."""
        poison(monkeypatch, lambda draft: draft._replace(person_id=0))
        _, neighbours = self.poisoned(slot, lane)
        assert sent_to(take(slot)) == neighbours
        assert Due.objects.get().reason == "step_failed"
        assert states() == {"sending": 3, "planned": 1}

    def test_takes_nothing_from_the_caps_or_its_person(self, slot, take, monkeypatch):
        poison(monkeypatch, SPOILS["nul"])
        a_message(slot, first_name="Poison")
        take(slot)
        assert Person.objects.get().recent == []
        assert list(CapCounter.objects.values_list("key")) == [(f"decided:{slot.campaign_id}",)]

    def test_is_tried_again_later_and_later_and_ends_as_dead(self, slot, take, monkeypatch):
        poison(monkeypatch, raise_an_error)
        message = a_message(slot, first_name="Poison")
        waits = []
        for _ in range(4):
            take(slot)
            waits.append(round((Due.objects.get().not_before - NOON) / MINUTE))
            make_due_again()
        assert waits == [1, 2, 4, 8]
        take(slot)
        assert state(message) == ("dead", "step_failed")
        assert not Due.objects.exists()

    def test_recovers_when_the_bug_is_gone(self, slot, take, monkeypatch):
        with monkeypatch.context() as patched:
            poison(patched, raise_an_error)
            message = a_message(slot, first_name="Poison")
            take(slot)
        make_due_again()
        assert sent_to(take(slot)) == {message.pk}

    def test_is_remembered_with_the_step_that_failed(self, slot, take, monkeypatch):
        poison(monkeypatch, raise_an_error)
        message = a_message(slot, first_name="Poison")
        take(slot)
        strike = Strike.objects.get()
        assert (strike.message, strike.campaign) == (message, slot.campaign)
        assert strike.step == "spoil_late"

    def test_of_a_kind_without_steps_is_never_sent(self, slot, lane, take):
        neighbour = a_message(slot)
        lead = make_lead(slot.campaign.brand)
        single = Message.objects.create(
            brand=slot.campaign.brand,
            lead=lead,
            person=lead.person,
            kind="single",
            idempotency_key="k1",
            expires_at=NOON + HOUR,
        )
        Due.objects.create(
            message=single,
            brand=single.brand,
            lane=lane,
            queue=slot.campaign_id,
            not_before=NOON - HOUR,
            expires_at=NOON + HOUR,
        )
        assert sent_to(take(slot)) == {neighbour.pk}
        assert Due.objects.get().reason == "step_failed"


class TestStrikes:
    @pytest.fixture
    def strike(self, slot, lane, take, monkeypatch):
        """So many messages that fail among so many that do not."""
        poison(monkeypatch, raise_an_error)

        def strike(failing, whole=0):
            fill_queue(slot, lane, whole, now=NOON)
            leads = Lead.objects.filter(pk__in=[
                message.lead_id for message in fill_queue(slot, lane, failing, now=NOON)
            ])  # fmt: skip
            leads.update(first_name="Poison")
            take(slot, rows=2000)
            slot.campaign.refresh_from_db()
            return slot.campaign

        return strike

    def test_twenty_pause_the_campaign(self, strike):
        campaign = strike(20)
        assert NOON <= campaign.paused_at < NOON + MINUTE
        assert campaign.pause_reason == "20 of the last 1000 messages failed by an error of ours"

    def test_nineteen_do_not(self, strike):
        assert strike(19).paused_at is None

    def test_count_over_the_batches(self, strike):
        assert strike(10).paused_at is None
        assert strike(10).paused_at is not None

    def test_count_within_the_last_thousand_decisions_only(self, slot, strike):
        strike(19)
        CapCounter.objects.filter(key=f"decided:{slot.campaign_id}").update(used=1500)
        assert strike(1).paused_at is None

    def test_never_move_an_earlier_pause(self, slot, strike):
        Campaign.objects.update(paused_at=NOON - HOUR, pause_reason="by hand")
        row = claims.Claimed(**dict.fromkeys(claims.COLUMNS, 0) | {"campaign_id": slot.campaign_id})
        strikes.apply([(row, "a_step")] * 20, NOON)
        strikes.pause_failing([row], {strikes.decided_key(slot.campaign_id): 20}, NOON)
        assert Campaign.objects.get().pause_reason == "by hand"


class TestAMessageThatCannotBe:
    @pytest.mark.parametrize(
        ("text", "lead", "reason"),
        [
            pytest.param("Hi {last_name}", {}, "cannot_render", id="rendered"),
            pytest.param("x" * 1601, {}, "too_long", id="so-long"),
            pytest.param("Hi", {"consent": None}, "no_consent", id="agreed-to"),
            pytest.param("Hi", {"places": None}, "no_place", id="placed"),
        ],
    )
    def test_ends_alone_with_its_reason(self, lane, take, text, lead, reason):
        broken, whole = make_slot(lane, text=text), make_slot(lane)
        message, neighbour = a_message(broken, **lead), a_message(whole)
        assert sent_to(take(broken, whole)) == {neighbour.pk}
        assert state(message) == ("refused", reason)
        assert not Due.objects.exists()

    def test_delivered_by_any_open_number_waits(self, slot, lane, take):
        message = a_message(slot)
        SenderNumber.objects.update(paused_at=NOON)
        assert take(slot).intents == []
        assert Due.objects.get().reason == "lane_paused"
        assert state(message) == ("planned", "")

    def test_signed_for_an_account_waits(self, slot, lane, take):
        message, good = a_message(slot), make_number(make_account())
        ProviderAccount.objects.filter(pk=lane.account_id).update(sealed_credentials=b"damaged")
        neighbour = make_due(slot, make_lead(slot.campaign.brand), good, now=NOON)
        assert sent_to(take(slot)) == {neighbour.pk}
        due = Due.objects.get()
        assert (due.message, due.reason) == (message, "lane_paused")

    def test_sent_in_quiet_hours_waits_for_the_morning(self, slot, lane, take):
        lead = make_lead(slot.campaign.brand, places=make_places("Pacific/Honolulu"))
        make_due(slot, lead, lane, now=NOON, expires_at=NOON + 9 * HOUR)
        assert take(slot).intents == []
        due = Due.objects.get()
        assert (due.reason, due.not_before) == ("quiet_hours", NOON + HOUR)  # 8:00 in Honolulu


class Outbox:
    """In the place of a sender: keeps what was handed over."""

    def __init__(self):
        self.parcels = []

    def submit(self, parcel):
        self.parcels.append(parcel)


class StubPicker:
    """Grants what it was told to, and is the witness of intents unless it is told not to."""

    def __init__(self, *grants, alone=(), sees=True):
        self.alone, self._grants, self.used = list(alone), list(grants), None
        self.seen, self._sees = [], sees
        self.granted_at = time.monotonic()

    def grant_alone(self):
        return self.alone.pop(0) if self.alone else None

    def grants(self, room):
        return self._grants

    def spent(self, used):
        self.used = list(used)

    def witness(self, attempt_ids):
        self.seen += attempt_ids
        return self._sees


class TestSendBatch:
    def send(self, picker, journal):
        outbox = Outbox()
        rows = pipeline.send_batch(500, picker=picker, sender=outbox, journal=journal)
        return rows, outbox

    def test_hands_the_intents_to_the_sender(self, slot, lane, journal):
        message = a_message(slot)
        picker = StubPicker(Grant(slot.campaign_id, lane.pk, 10))
        rows, outbox = self.send(picker, journal)
        ((intent, _),) = outbox.parcels[0].intents
        assert (rows, intent.message_id) == (1, message.pk)
        assert picker.used == [(slot.campaign_id, lane.pk, 1)]
        assert picker.seen == [intent.attempt_id]

    @pytest.mark.parametrize(("since", "left"), [(0.0, 2.0), (1.5, 0.5), (9.0, -7.0)])
    def test_lets_nothing_leave_two_seconds_after_its_tokens(
        self, slot, lane, journal, since, left
    ):
        a_message(slot)
        picker = StubPicker(Grant(slot.campaign_id, lane.pk, 10))
        picker.granted_at -= since
        _, outbox = self.send(picker, journal)
        ((_, write_by),) = outbox.parcels[0].intents
        assert write_by == pytest.approx(picker.granted_at + 2.0)
        assert write_by - since <= time.monotonic() + left

    def test_hands_over_nothing_that_had_no_witness(self, slot, lane, journal):
        """A database that is restored later would not know of it, and nobody else either."""
        a_message(slot)
        outbox = Outbox()
        picker = StubPicker(Grant(slot.campaign_id, lane.pk, 10), sees=False)
        with pytest.raises(pipeline.NotWitnessed):
            pipeline.send_batch(500, picker=picker, sender=outbox, journal=journal)
        assert outbox.parcels == []
        assert Attempt.objects.get().outcome == ""

    def test_hands_over_nothing_where_nothing_was_granted(self, slot, journal):
        a_message(slot)
        rows, outbox = self.send(StubPicker(), journal)
        assert (rows, outbox.parcels) == (0, [])

    def test_settles_the_tokens_of_what_was_not_sent(self, slot, lane, journal):
        message = a_message(slot)
        consent.opt_out([message.person_id], source="staff")
        picker = StubPicker(Grant(slot.campaign_id, lane.pk, 10))
        rows, outbox = self.send(picker, journal)
        assert (rows, outbox.parcels, picker.used) == (1, [], [])

    def test_takes_each_suspect_by_itself_and_then_a_batch(self, slot, lane, journal):
        brand = slot.campaign.brand
        others = [make_due(slot, make_lead(brand), lane, now=NOON).pk for _ in range(2)]
        suspects = [
            make_due(slot, make_lead(brand), lane, now=NOON, crashes=1).pk for _ in range(2)
        ]
        picker = StubPicker(Grant(slot.campaign_id, lane.pk, 10), alone=suspects)
        rows, outbox = self.send(picker, journal)
        parcels = [[one.message_id for one, _ in parcel.intents] for parcel in outbox.parcels]
        assert parcels == [[suspects[0]], [suspects[1]], others]
        assert rows == 4

    def test_does_not_make_the_others_wait_for_many_suspects(self, slot, lane, journal):
        brand = slot.campaign.brand
        suspects = [make_due(slot, make_lead(brand), lane, now=NOON, crashes=1) for _ in range(15)]
        make_due(slot, make_lead(brand), lane, now=NOON)
        picker = StubPicker(
            Grant(slot.campaign_id, lane.pk, 10), alone=[suspect.pk for suspect in suspects]
        )
        rows, _ = self.send(picker, journal)
        assert rows == pipeline.ALONE_A_TURN + 1
