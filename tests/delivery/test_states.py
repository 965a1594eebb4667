from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from brands.models import Brand, ClockShift, Installation
from campaigns.models import Campaign, Slot, TemplateVersion
from compliance.models import ConsentEvent, OptOutEvent, Person
from delivery.models import Attempt, Due, Inbound, Message
from delivery.states import MOVES, Kind, Status
from leads.models import Lead, LeadList, ListEntry
from providers.models import ProviderAccount, Route, SenderNumber
from tests.factories import (
    NOON,
    make_account,
    make_brand,
    make_due,
    make_installation,
    make_lead,
    make_number,
    make_person,
    make_route,
    make_slot,
)

pytestmark = pytest.mark.django_db

PAIRS = list(product(Status, Status))


def a_message(**fields):
    slot = make_slot(make_number())
    lead = make_lead(slot.campaign.brand)
    message = make_due(slot, lead, SenderNumber.objects.get(), now=NOON)
    Message.objects.filter(pk=message.pk).update(**fields)
    return message


def a_message_in(status):
    """Whatever the moves say: the row is made in that state."""
    slot = make_slot(make_number())
    lead = make_lead(slot.campaign.brand)
    return Message.objects.create(**columns(slot, lead), status=status)


def columns(slot, lead, /, **changes):
    return {
        "brand_id": lead.brand_id,
        "campaign_id": slot.campaign_id,
        "slot": slot,
        "lead": lead,
        "person_id": lead.person_id,
        "kind": Kind.CAMPAIGN,
        "expires_at": NOON + timedelta(hours=2),
        **changes,
    }


def an_attempt(message, **fields):
    lane = SenderNumber.objects.first()
    return Attempt.objects.create(
        **{
            "message": message,
            "account": lane.account,
            "number": lane,
            "sender": UUID(int=1),
            "ref": f"ref-{Attempt.objects.count()}",
            "text": "Hi",
            "segments": 1,
            "brand_day": NOON.date(),
            "intent_at": NOON,
            **fields,
        }
    )


def is_refused(constraint):
    """The statement inside breaks this constraint, or the trigger that says so."""
    return pytest.raises(IntegrityError, match=constraint)


def run_sql(statement, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)


class TestMoves:
    def test_has_a_line_for_every_state(self):
        assert set(MOVES) == set(Status)

    def test_are_the_same_in_the_database(self, sandbox):
        """Every pair is tried by raw SQL."""
        allowed = set()
        messages = {status: a_message_in(status).pk for status in Status}
        for before, after in PAIRS:
            try:
                with transaction.atomic():
                    move = "UPDATE delivery_message SET status = %s WHERE id = %s"
                    run_sql(move, after, messages[before])
                    transaction.set_rollback(True)
                allowed.add((before, after))
            except IntegrityError:
                pass
        same = {(status, status) for status in Status}
        assert allowed - same == {(a, b) for a, targets in MOVES.items() for b in targets}

    @pytest.mark.parametrize("start", [Status.ACCEPTED, Status.UNKNOWN])
    def test_never_lead_back_to_sending_from_what_a_provider_may_have(self, start):
        reached, left = set(), [start]
        while left:
            targets = MOVES[left.pop()] - reached
            reached |= targets
            left += targets
        assert not reached & {Status.PLANNED, Status.SENDING}

    @pytest.mark.parametrize(
        ("to", "source"),
        [
            pytest.param(Status.SENDING, Status.PLANNED, id="only-from-the-queue-to-the-wire"),
            pytest.param(Status.PLANNED, Status.SENDING, id="only-an-intent-goes-round-again"),
        ],
    )
    def test_lead_there_from_one_state_only(self, to, source):
        assert [before for before, targets in MOVES.items() if to in targets] == [source]

    def test_a_move_that_is_not_one_is_an_error(self):
        with pytest.raises(ValueError, match="accepted -> planned is not a move"):
            Message.objects.all().move(Status.PLANNED, from_=Status.ACCEPTED)

    def test_a_move_counts_only_rows_that_are_still_there(self, sandbox):
        message = a_message()
        rows = Message.objects.filter(pk=message.pk)
        assert rows.move(Status.CANCELLED, from_=Status.PLANNED) == 1
        assert rows.move(Status.CANCELLED, from_=Status.PLANNED) == 0


class TestOneMessage:
    @pytest.fixture
    def slot(self, sandbox):
        return make_slot(make_number())

    def test_per_lead_campaign_and_slot(self, slot):
        lead = make_lead(slot.campaign.brand)
        Message.objects.create(**columns(slot, lead))
        other = make_person().pk
        with is_refused("one_message_per_lead_campaign_slot"):
            Message.objects.create(**columns(slot, lead, person_id=other))

    def test_per_person_campaign_and_slot(self, slot):
        lead = make_lead(slot.campaign.brand)
        Message.objects.create(**columns(slot, lead))
        other = make_lead(make_brand(), lead.person)
        with is_refused("one_message_per_person_campaign_slot"):
            Message.objects.create(**columns(slot, other))

    def test_per_key_of_a_brands_single_messages(self, slot):
        lead = make_lead(slot.campaign.brand)
        single = columns(slot, lead, kind="single", slot=None, lead=None, idempotency_key="k1")
        Message.objects.create(**single)
        with is_refused("one_single_per_idempotency_key"):
            Message.objects.create(**single)

    def test_per_inbound_and_kind_of_reply(self, slot):
        lead = make_lead(slot.campaign.brand)
        inbound = Inbound.objects.create(account=make_account(), provider_ref="SM1")
        reply = columns(
            slot, lead, kind="reply", slot=None, lead=None, inbound=inbound, reply_kind="stop"
        )
        Message.objects.create(**reply)
        with is_refused("one_reply_per_inbound_and_kind"):
            Message.objects.create(**reply)


class TestAMessage:
    @pytest.mark.parametrize("missing", ["lead", "campaign_id", "slot"])
    def test_of_a_campaign_has_all_its_parts(self, sandbox, missing):
        slot = make_slot(make_number())
        lead = make_lead(slot.campaign.brand)
        with is_refused("campaign_message_is_complete"):
            Message.objects.create(**columns(slot, lead, **{missing: None}))

    def test_always_has_a_person(self, sandbox):
        slot = make_slot(make_number())
        with is_refused("person_id"):
            Message.objects.create(**columns(slot, make_lead(slot.campaign.brand), person_id=None))

    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            pytest.param({"kind": "single"}, "single_has_its_key", id="single-without-key"),
            pytest.param({"kind": "reply"}, "reply_has_its_inbound", id="reply-without-inbound"),
            pytest.param({"kind": "memo"}, "message_kind_is_known", id="unknown-kind"),
            pytest.param({"status": "lost"}, "message_status_is_known", id="unknown-status"),
        ],
    )
    def test_is_one_of_the_kinds_and_states_we_know(self, sandbox, changes, constraint):
        slot = make_slot(make_number())
        with is_refused(constraint):
            Message.objects.create(**columns(slot, make_lead(slot.campaign.brand), **changes))


class TestAnAttempt:
    def test_is_the_only_one_that_may_have_left(self, sandbox):
        message = a_message()
        an_attempt(message, outcome="not_sent", is_not_sent=True)
        an_attempt(message)
        with is_refused("one_live_attempt_per_message"):
            an_attempt(message)

    @pytest.mark.parametrize("outcome", ["", "accepted", "rejected", "unknown"])
    def test_keeps_others_out_whatever_its_outcome_but_not_sent(self, sandbox, outcome):
        message = a_message()
        an_attempt(message, outcome=outcome)
        with is_refused("one_live_attempt_per_message"):
            an_attempt(message)

    @pytest.mark.parametrize(
        "fields",
        [
            {"outcome": "not_sent", "is_not_sent": False},
            {"outcome": "accepted", "is_not_sent": True},
            {"outcome": "", "is_not_sent": True},
        ],
    )
    def test_is_not_sent_by_both_its_columns_or_by_none(self, sandbox, fields):
        with is_refused("not_sent_is_said_once"):
            an_attempt(a_message(), **fields)

    def test_has_an_outcome_we_know(self, sandbox):
        with is_refused("attempt_outcome_is_known"):
            an_attempt(a_message(), outcome="perhaps")


class TestASlot:
    @pytest.fixture
    def slot(self, sandbox):
        return make_slot(make_number())

    def test_is_unique_by_campaign_date_and_ordinal(self, slot):
        with is_refused("one_slot_per_campaign_date_and_ordinal"):
            Slot.objects.create(
                campaign=slot.campaign, local_date=slot.local_date, local_time=time(15)
            )

    def test_may_be_moved_while_nothing_of_it_was_handed_over(self, slot):
        make_due(slot, make_lead(slot.campaign.brand), SenderNumber.objects.get(), now=NOON)
        assert Slot.objects.filter(pk=slot.pk).update(local_time=time(15)) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"local_date": date(2035, 3, 8)},
            {"ordinal": 2},
            {"local_time": time(15)},
            {"length_minutes": 30},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_is_frozen_once_a_message_of_it_has_an_intent(self, slot, change):
        lane = SenderNumber.objects.get()
        an_attempt(make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON))
        with is_refused("its time is frozen"):
            Slot.objects.filter(pk=slot.pk).update(**change)

    def test_may_still_be_closed_then(self, slot):
        lane = SenderNumber.objects.get()
        an_attempt(make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON))
        assert Slot.objects.filter(pk=slot.pk).update(state="closed") == 1

    @pytest.mark.parametrize("missing", ["route", "template_version"])
    def test_is_pinned_while_it_is_open(self, slot, missing):
        with is_refused("an_open_slot_is_pinned"):
            Slot.objects.filter(pk=slot.pk).update(**{missing: None})


class TestNeverDeleted:
    @pytest.mark.parametrize(
        "model",
        [
            Brand,
            Installation,
            Person,
            Lead,
            LeadList,
            ProviderAccount,
            SenderNumber,
            Route,
            Campaign,
            Slot,
        ],
        ids=lambda model: model.__name__,
    )
    def test_what_others_point_at(self, sandbox, model):
        a_message()
        with is_refused("never deleted"):
            run_sql(f"DELETE FROM {model._meta.db_table}")


class TestAppendOnly:
    def rows(self):
        person, brand = make_person(), make_brand()
        OptOutEvent.objects.create(person=person, source="staff")
        ConsentEvent.objects.create(person=person, brand=brand, method="web", agreed_at=NOON)
        make_slot(make_number())

    @pytest.mark.parametrize(
        ("model", "column"),
        [
            (OptOutEvent, "note"),
            (ConsentEvent, "wording"),
            (TemplateVersion, "text"),
            (ClockShift, "is_sandbox"),
        ],
        ids=["opt-outs", "consent", "template-versions", "clock-shifts"],
    )
    def test_events_are_neither_changed_nor_deleted(self, sandbox, model, column):
        self.rows()
        table = model._meta.db_table
        with is_refused("only ever added"), transaction.atomic():
            run_sql(f"UPDATE {table} SET {column} = {column}")
        with is_refused("only ever added"), transaction.atomic():
            run_sql(f"DELETE FROM {table}")


class TestOneLead:
    def test_per_brand_and_person(self, sandbox):
        lead = make_lead(make_brand())
        with is_refused("one_lead_per_brand_and_person"):
            make_lead(lead.brand, lead.person)

    def test_stands_once_on_a_list(self, sandbox):
        brand = make_brand()
        lead = make_lead(brand)
        slot = make_slot(make_number(), lead, brand=brand)
        with is_refused("one_entry_per_list_and_lead"):
            ListEntry.objects.create(lead_list=slot.campaign.lead_list, lead=lead)


class TestAPerson:
    def test_has_an_address(self):
        with is_refused("person_has_an_address"):
            make_person(phone=None)

    def test_has_its_phone_alone(self):
        person = make_person()
        with is_refused("phone"):
            make_person(phone=person.phone)

    def test_who_opted_out_has_the_event(self):
        with is_refused("opt_out_has_its_event"):
            make_person(opted_out_at=NOON)


class TestTheSandbox:
    def test_is_the_only_one_that_shifts_its_clock(self):
        make_installation(is_sandbox=False)
        with is_refused("only a sandbox may shift"):
            ClockShift.objects.create(seconds=1, total_seconds=1, real_at=datetime.now(UTC))

    def test_needs_its_row_before_it_shifts(self):
        with is_refused("only a sandbox may shift"):
            ClockShift.objects.create(seconds=1, total_seconds=1, real_at=datetime.now(UTC))

    @pytest.mark.parametrize("is_sandbox", [True, False])
    def test_is_one_for_ever_or_never(self, is_sandbox):
        make_installation(is_sandbox=is_sandbox)
        with is_refused("a sandbox or not for ever"):
            Installation.objects.update(is_sandbox=not is_sandbox)

    def test_takes_no_real_account(self, sandbox):
        with is_refused("simulated accounts only"):
            make_account(is_simulated=False)

    def test_keeps_its_accounts_simulated(self, sandbox):
        make_account()
        with is_refused("simulated accounts only"):
            ProviderAccount.objects.update(is_simulated=False)

    def test_is_where_simulated_accounts_stay(self):
        make_installation(is_sandbox=False)
        with is_refused("simulated accounts only"):
            make_account(is_simulated=True)


def test_there_is_one_installation(sandbox):
    with is_refused("one_installation"):
        Installation.objects.create(id=2, is_sandbox=True)


def test_a_route_is_the_only_default_of_its_brand(sandbox):
    brand = make_brand()
    make_route(brand)
    with is_refused("one_default_route_per_brand_and_channel"):
        make_route(brand)


def test_a_due_row_is_the_only_one_of_its_message(sandbox):
    due = Due.objects.get(message=a_message())
    with is_refused("delivery_due_pkey"):
        Due.objects.bulk_create([due])
