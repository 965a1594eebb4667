from __future__ import annotations

import contextlib
import time

import pytest
from django.db import OperationalError

from compliance import consent
from compliance.models import Person
from delivery import intents, pipeline
from delivery.claims import Grant
from delivery.journal import Journal
from delivery.models import Attempt, CapCounter, Due, Message
from delivery.pipeline import Batch
from providers.models import ProviderAccount, SenderNumber
from tests.delivery import taking
from tests.delivery.taking import HOUR, a_message, sent_to, state, states
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_places,
    make_slot,
)

pytestmark = pytest.mark.django_db

take = taking.take  # a fixture


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
                    with contextlib.suppress(OperationalError):  # it waited too long for a lock
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
