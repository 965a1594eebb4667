"""An e-mail's way from its slot to the request, and back."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from brands.models import Brand
from compliance import consent
from compliance.models import Person
from delivery import forecast, people, routing
from delivery.models import Attempt, Due, MailContent, Message, Sticky
from delivery.outcomes import Settled, apply_reports, record
from delivery.planning import plan_open_slots
from delivery.revival import revive
from links.models import ShortLink
from providers.base import Accepted, ErrorClass, NotSent, Rejected, SendRequest
from providers.base import Status as Word
from providers.models import SenderNumber
from tests.delivery import mailing, taking
from tests.delivery.mailing import (
    mailbox,
    make_mail_slot,
    make_reader,
    make_sender,
)
from tests.delivery.taking import make_due_again, state, states
from tests.delivery.walking import assert_all_adds_up, hand_over, reported
from tests.factories import (
    NOON,
    fill_queue,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_route,
    make_slot,
)

pytestmark = pytest.mark.django_db

# Fixtures.
brand = mailing.brand
sender = mailing.sender
take = taking.take


def due_mail(slot, lead):
    return make_due(slot, lead, SenderNumber.objects.get(kind="email"), now=NOON)


@pytest.fixture
def slot(brand, sender):
    return make_mail_slot(brand)


class TestARequest:
    def test_says_all_that_an_email_needs_and_nothing_of_a_phone(self, slot, brand, sender, take):
        lead = make_reader(brand, first_name="Ada & Co", city="Troy")
        due_mail(slot, lead)
        ((intent, _),) = take(slot).intents
        send = intent.send
        link = f"https://{brand.short_domain}/{ShortLink.objects.get().code}"
        out = send.unsubscribe_url
        assert out.endswith(f"/u/{send.ref}")
        assert send == SendRequest(
            ref=send.ref,
            to_email=lead.person.email,
            from_value=sender.value,
            from_kind="email",
            from_name="Acme Jobs",
            subject="New jobs in Troy, Ada & Co",
            text=f"Hi Ada & Co, see {link}\n\nUnsubscribe: {out}",
            html=f'<html><body><p>Hi Ada &amp; Co, <a href="{link}">see</a></p>'
            f'<p><a href="{out}">Unsubscribe</a></p>\n</body></html>',
            unsubscribe_url=out,
            segments=1,
            status_callback_url=send.status_callback_url,
            not_after=send.not_after,
            decided_at=send.decided_at,
        )
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", send.ref)

    def test_is_kept_as_it_left(self, slot, brand, take):
        due_mail(slot, make_reader(brand))
        ((intent, _),) = take(slot).intents
        attempt = Attempt.objects.get()
        kept = (attempt.text, attempt.segments, attempt.mail.subject, attempt.mail.html)
        send = intent.send
        assert kept == (send.text, 1, send.subject, send.html)

    def test_goes_to_the_mailbox_that_the_lead_names_beside(self, slot, brand, take):
        owner = make_person(phone=None, email=mailbox())
        due_mail(slot, make_lead(brand, email_person=owner))
        ((intent, _),) = take(slot).intents
        assert intent.send.to_email == owner.email

    def test_is_refused_where_the_mailboxs_owner_is_out_and_another_joined(self, slot, brand, take):
        owner = make_person(phone=None, email=mailbox())
        lead = make_lead(brand, email_person=owner)
        message = due_mail(slot, lead)
        consent.opt_out([lead.person_id, owner.pk], source="unsubscribe")
        consent.rejoin(lead.person_id, brand_id=brand.pk, wording="START", linked=[owner.pk])
        assert take(slot).intents == []
        assert state(message) == ("refused", "opted_out")

    def test_goes_once_to_a_mailbox_that_two_leads_of_the_slot_name(self, slot, brand, take):
        owner = make_reader(brand)
        first = due_mail(slot, owner)
        second = due_mail(slot, make_lead(brand, email_person=owner.person))
        ((intent, _),) = take(slot).intents
        assert (intent.message_id, state(second)) == (first.pk, ("refused", "same_words"))

    def test_goes_to_a_shared_mailbox_where_the_other_one_was_refused(self, slot, brand, take):
        owner = make_reader(brand)
        first = due_mail(slot, owner)
        Message.objects.filter(pk=first.pk).update(status="refused", reason="no_consent")
        Due.objects.filter(message=first).delete()
        second = due_mail(slot, make_lead(brand, email_person=owner.person))
        ((intent, _),) = take(slot).intents
        assert intent.message_id == second.pk

    def test_is_refused_where_the_mailbox_had_it_by_a_later_one(self, slot, brand, take):
        owner = make_reader(brand)
        first = due_mail(slot, owner)
        Due.objects.filter(message=first).update(not_before=NOON + timedelta(minutes=5))
        second = due_mail(slot, make_lead(brand, email_person=owner.person))
        Message.objects.filter(pk=second.pk).update(status="delivered")
        Due.objects.filter(message=second).delete()
        make_due_again()
        assert take(slot).intents == []
        assert state(first) == ("refused", "same_words")

    def test_is_refused_where_there_is_no_mailbox(self, slot, brand, take):
        message = due_mail(slot, make_lead(brand))
        assert take(slot).intents == []
        assert state(message) == ("refused", "no_address")

    def test_has_no_break_of_a_line_in_the_senders_name(self, slot, brand, take):
        Brand.objects.update(name="Acme\r\nBcc: all@example.com")
        due_mail(slot, make_reader(brand))
        ((intent, _),) = take(slot).intents
        assert intent.send.from_name == "Acme Bcc: all@example.com"

    def test_has_a_way_out_of_its_own_with_each_try(self, slot, brand, take):
        due_mail(slot, make_reader(brand))
        ((first, _),) = take(slot).intents
        record([Settled(first.attempt_id, first.message_id, NotSent("refused"))])
        make_due_again()
        ((second, _),) = take(slot).intents
        assert second.send.unsubscribe_url != first.send.unsubscribe_url
        assert second.send.unsubscribe_url in second.send.text
        assert MailContent.objects.count() == 2

    def test_leaves_the_persons_number_alone(self, slot, brand, take):
        lead, number = make_reader(brand), make_number()
        Sticky.objects.create(person=lead.person, brand=brand, number=number)
        due_mail(slot, lead)
        due_mail(slot, make_reader(brand))
        assert len(take(slot).intents) == 2
        assert Sticky.objects.get().number == number

    def test_counts_for_the_person_as_a_text_does(self, slot, brand, take):
        lead = make_reader(brand)
        first = due_mail(slot, lead)
        take(slot)
        assert [entry[1] for entry in Person.objects.get(pk=lead.person_id).recent] == [first.pk]
        again = due_mail(make_mail_slot(brand), lead)
        take(again.slot)
        assert Due.objects.get(message=again).reason == "person_limit"

    def test_of_the_same_words_is_refused_on_one_day(self, slot, brand, take):
        lead = make_reader(brand)
        due_mail(slot, lead)
        take(slot)
        recent = Person.objects.get(pk=lead.person_id).recent
        long_ago = (NOON - timedelta(days=7, hours=1)).timestamp()
        Person.objects.filter(pk=lead.person_id).update(recent=[[long_ago, *recent[0][1:]]])
        again = due_mail(make_mail_slot(brand), lead)
        take(again.slot)
        assert state(again) == ("refused", "same_words")


class TestABatch:
    def test_takes_as_many_statements_for_ten_emails_as_for_200(
        self, slot, brand, take, statements
    ):
        def some(many):
            for _ in range(many):
                due_mail(slot, make_reader(brand))

        some(1)
        take(slot)
        some(10)
        of_ten = statements(lambda: take(slot))
        some(200)
        assert statements(lambda: take(slot)) == of_ten
        assert states() == {"sending": 211}

    def test_of_emails_takes_two_statements_more_than_one_of_texts_and_no_sticky_number(
        self, slot, brand, take, statements
    ):
        number = make_number()
        make_route(brand, number)
        texts = make_slot(number, brand=brand)
        fill_queue(texts, number, 1, now=NOON)
        take(texts)  # reads the zones of the places, once in a process's life
        fill_queue(texts, number, 5, now=NOON)
        for _ in range(5):
            due_mail(slot, make_reader(brand))
        of_texts = statements(lambda: take(texts))
        # the mailboxes and what the e-mails say, for the numbers that people hear the brand from
        assert statements(lambda: take(slot)) == of_texts + 2 - 1

    def test_of_both_sends_each_by_its_own(self, slot, brand, take):
        number = make_number()
        make_route(brand, number)
        texts = make_slot(number, brand=brand)
        mail, text = (
            due_mail(slot, make_reader(brand)),
            make_due(texts, make_reader(brand), number, now=NOON),
        )
        sends = {one.message_id: one.send for one, _ in take(slot, texts).intents}
        assert (sends[mail.pk].to_e164, sends[text.pk].to_email) == ("", "")
        assert (sends[mail.pk].from_kind, sends[text.pk].from_kind) == ("email", "long_code")
        assert MailContent.objects.count() == 1


class TestPlanning:
    def planned(self):
        plan_open_slots()
        return set(Message.objects.values_list("lead", flat=True))

    def test_goes_by_the_sender_whatever_number_the_person_has(self, brand, sender):
        lead = make_reader(brand)
        Sticky.objects.create(person=lead.person, brand=brand, number=make_number())
        make_mail_slot(brand, lead)
        plan_open_slots()
        assert Due.objects.get().lane == sender

    def test_leaves_out_who_has_a_dead_mailbox(self, brand, sender):
        dead = make_reader(brand, person={"email_undeliverable_at": NOON})
        owner = make_person(phone=None, email=mailbox(), email_undeliverable_at=NOON)
        beside, well = make_lead(brand, email_person=owner), make_reader(brand)
        slot = make_mail_slot(brand, dead, beside, well)
        assert self.planned() == {well.pk}
        slot.refresh_from_db()
        assert slot.suppressed == {"undeliverable": 2}

    def test_does_not_mind_a_dead_phone(self, brand, sender):
        lead = make_reader(brand, person={"undeliverable_at": NOON})
        make_mail_slot(brand, lead)
        assert self.planned() == {lead.pk}

    def test_a_dead_mailbox_silences_no_phone(self, brand):
        lead = make_reader(brand, person={"email_undeliverable_at": NOON})
        make_slot(make_number(), lead, brand=brand)
        assert self.planned() == {lead.pk}

    def test_counts_a_message_as_one_segment(self, brand, sender):
        make_mail_slot(brand, make_reader(brand), words={"text": "x" * 5000})
        plan_open_slots()
        assert Due.objects.get().segments == 1


GONE = Rejected(ErrorClass.PERMANENT_RECIPIENT, "5.1.1")


class TestABounce:
    @pytest.fixture
    def owner(self):
        return make_person(phone=None, email=mailbox())

    def marks(self, person):
        person.refresh_from_db()
        return person.undeliverable_at is not None, person.email_undeliverable_at is not None

    def settle(self, batch, outcome):
        record([Settled(one.attempt_id, one.message_id, outcome) for one, _ in batch.intents])

    def test_marks_the_mailbox_and_not_the_phone(self, slot, brand, take):
        lead = make_reader(brand)
        due_mail(slot, lead)
        self.settle(take(slot), GONE)
        assert self.marks(lead.person) == (False, True)

    def test_marks_who_has_the_mailbox(self, slot, brand, take, owner):
        lead = make_lead(brand, email_person=owner)
        due_mail(slot, lead)
        self.settle(take(slot), GONE)
        assert self.marks(lead.person) == (False, False)
        assert self.marks(owner) == (False, True)

    def test_that_is_reported_later_marks_it_too(self, slot, brand, journal, owner):
        lead = make_lead(brand, email_person=owner)
        due_mail(slot, lead)
        (intent,) = hand_over(journal)
        record([Settled(intent.attempt_id, intent.message_id, Accepted("Q1"))])
        fields = {"error_class": ErrorClass.PERMANENT_RECIPIENT, "code": "5.1.1"}
        apply_reports([reported(intent, Word.UNDELIVERED, provider_ref="Q1", **fields)])
        assert self.marks(owner) == (False, True)

    def test_of_a_text_marks_the_phone_and_not_the_mailbox(self, brand, take):
        number = make_number()
        texts = make_slot(number, brand=brand)
        lead = make_reader(brand)
        make_due(texts, lead, number, now=NOON)
        self.settle(take(texts), GONE)
        assert self.marks(lead.person) == (True, False)

    def test_locks_the_owner_with_the_person(self, slot, brand, owner):
        lead = make_lead(brand, email_person=owner)
        message = due_mail(slot, lead)
        assert people.of_messages([message.pk]) == {lead.person_id, owner.pk}


def test_a_complaint_opts_the_person_out_of_everything(slot, brand, journal):
    owner = make_person(phone=None, email=mailbox())
    lead = make_lead(brand, email_person=owner)
    due_mail(slot, lead)
    (intent,) = hand_over(journal)
    apply_reports([reported(intent, Word.DELIVERED, opted_out=True, code="complaint")])
    out = Person.objects.filter(opted_out_at__isnull=False).values_list("pk", flat=True)
    assert set(out) == {lead.person_id, owner.pk}


def test_a_revived_email_counts_as_it_was_decided(slot, brand, journal):
    lead = make_reader(brand)
    due_mail(slot, lead)
    (intent,) = hand_over(journal)
    before = Person.objects.get(pk=lead.person_id).recent
    record([Settled(intent.attempt_id, intent.message_id, NotSent("refused"))])
    assert Person.objects.get(pk=lead.person_id).recent == []
    assert revive(intent.attempt_id)
    ((_, *then),), ((_, *now),) = before, Person.objects.get(pk=lead.person_id).recent
    assert now == then
    assert_all_adds_up()


class TestTheForecast:
    def test_tells_what_the_walk_then_does(self, brand, sender):
        dead = make_reader(brand, person={"email_undeliverable_at": NOON})
        silent = make_reader(brand, person={"undeliverable_at": NOON})
        nowhere, nameless = make_lead(brand), make_reader(brand, first_name="")
        owner = make_person(phone=None, email=mailbox())
        beside = make_lead(brand, email_person=owner)
        out = make_reader(brand)
        consent.opt_out([out.person_id], source="staff")
        campaign = mailing.make_mail_campaign(
            brand,
            *(dead, silent, nowhere, nameless, beside, out),
            words={"html": "<p>{first_name}</p>"},
        )
        campaign.slots.create(local_date=NOON.date(), local_time="13:00", length_minutes=240)
        (told,) = forecast.forecast(campaign).slots
        assert dict(told.suppressed) == {"undeliverable": 1, "opted_out": 1}
        assert dict(told.refused) == {"no_address": 1, "cannot_render": 1}
        assert told.leaving == 2

    def test_knows_the_words_that_somebody_heard_today(self, brand, sender, slot, take):
        lead = make_reader(brand)
        due_mail(slot, lead)
        take(slot)
        recent = Person.objects.get(pk=lead.person_id).recent
        long_ago = (NOON - timedelta(days=1, hours=20)).timestamp()
        Person.objects.filter(pk=lead.person_id).update(recent=[[long_ago, *recent[0][1:]]])
        same = mailing.make_mail_campaign(brand, lead)
        other = mailing.make_mail_campaign(brand, lead, words={"subject": "Another subject"})
        for campaign in (same, other):
            campaign.slots.create(local_date=NOON.date(), local_time="13:00", length_minutes=240)
        (of_same,) = forecast.forecast(same).slots
        (of_other,) = forecast.forecast(other).slots
        assert dict(of_same.refused) == {"same_words": 1}
        assert of_other.leaving == 1


def test_a_row_of_email_moves_to_a_sender_of_its_route(brand, sender, slot):
    other = make_sender(account=sender.account)
    make_route(brand, make_number())
    slot.route.numbers.create(number=other)
    make_due(slot, make_reader(brand), sender, now=NOON)
    SenderNumber.objects.filter(pk=sender.pk).update(paused_at=NOON)
    assert routing.move_resting() == 1
    assert Due.objects.get().lane == other
