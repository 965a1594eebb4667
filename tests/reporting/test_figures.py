from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import OperationalError, connection

from brands import clock
from brands.models import Brand
from campaigns.models import Slot
from delivery import outcomes
from delivery.models import Attempt, Inbound, Message
from delivery.outcomes import Settled, record
from delivery.states import Status
from links.models import Click
from providers.base import Accepted, ErrorClass, NotSent, Rejected, Unknown
from providers.base import Status as Word
from reporting import figures, tasks
from reporting.figures import count_due, count_slot, count_stops, due
from reporting.models import SlotCount, SlotFigure, StopFigure
from tests.delivery.walking import hand_over, reported
from tests.factories import NOON, fill_queue, make_brand, make_number, make_slot, set_clock
from tests.reporting.outcomes import make_attempt, make_message, make_stop

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def walked(slot, lane, journal):
    """A slot in which every kind of outcome came about, by the walk itself."""
    fill_queue(slot, lane, 9, now=NOON)
    intents = hand_over(journal)
    answers = [
        *(Accepted(f"SM{one.send.ref}") for one in intents[:5]),
        Rejected(ErrorClass.PERMANENT_RECIPIENT, "21211"),
        Unknown("timeout"),
        NotSent("transport_closed"),
    ]  # and one is not answered
    record(
        [
            Settled(one.attempt_id, one.message_id, answer)
            for one, answer in zip(intents, answers, strict=False)
        ]
    )
    words = (Word.DELIVERED, Word.UNDELIVERED, Word.FAILED, Word.SENT)
    outcomes.apply_reports([reported(one, word) for one, word in zip(intents, words, strict=False)])
    for status, reason in (("refused", "opted_out"), ("expired", "no_capacity"), ("dead", "")):
        make_message(slot, lane, status, reason=reason)
    click_on(Message.objects.get(pk=intents[0].message_id))
    return slot


def click_on(message):
    Click.objects.create(link_id=message.link_id, method="GET")


def recount(slot):
    """The figures of a slot, counted message by message."""
    live = dict(Attempt.objects.filter(is_not_sent=False).values_list("message_id", "account_id"))
    clicked = set(Click.objects.values_list("link_id", flat=True))
    many, clicks = Counter(), Counter()
    for one in Message.objects.filter(slot=slot):
        key = (live.get(one.pk), one.status, one.reason)
        many[key] += 1
        clicks[key] += one.link_id in clicked
    return {key: (many[key], clicks[key]) for key in many}


def counted(slot):
    fields = ("account_id", "status", "reason", "messages", "clicked")
    found = SlotFigure.objects.filter(slot=slot).values_list(*fields)
    return {tuple(key): (messages, clicked) for *key, messages, clicked in found}


def close(slot, at):
    Slot.objects.filter(pk=slot.pk).update(state="closed", closed_at=at)


def counted_at(slot, moment, took_ms=0):
    values = {"counted_at": moment, "took_ms": took_ms}
    SlotCount.objects.update_or_create(slot=slot, defaults=values)


class TestCountSlot:
    def test_gives_what_a_recount_gives(self, walked):
        assert count_slot(walked.pk)
        assert counted(walked) == recount(walked)
        assert {status for _, status, _ in counted(walked)} == {
            *("delivered", "undelivered", "failed", "sent", "accepted", "rejected", "unknown"),
            *("planned", "sending", "refused", "expired", "dead"),
        }

    def test_adds_up_to_the_audience(self, walked):
        count_slot(walked.pk)
        figures = SlotFigure.objects.values_list("messages", flat=True)
        assert sum(figures) == Message.objects.filter(slot=walked).count() == 12

    def test_changes_nothing_the_second_time(self, walked):
        count_slot(walked.pk)
        before = counted(walked)
        count_slot(walked.pk)
        assert counted(walked) == before

    def test_knows_whose_day_it_is(self, walked):
        count_slot(walked.pk)
        found = SlotFigure.objects.values_list("brand_id", "campaign_id", "local_date").distinct()
        campaign = walked.campaign
        assert list(found) == [(campaign.brand_id, campaign.pk, walked.local_date)]

    def test_sees_a_late_report(self, walked):
        count_slot(walked.pk)
        Message.objects.filter(status=Status.ACCEPTED).update(status=Status.DELIVERED)
        count_slot(walked.pk)
        assert counted(walked) == recount(walked)

    def test_sees_a_late_click(self, walked):
        count_slot(walked.pk)
        click_on(Message.objects.get(slot=walked, status="undelivered"))
        count_slot(walked.pk)
        assert sum(clicked for _, clicked in counted(walked).values()) == 2

    def test_counts_a_message_clicked_twice_once(self, slot, lane):
        make_message(slot, lane, "delivered", clicks=2)
        count_slot(slot.pk)
        assert counted(slot) == {(lane.account_id, "delivered", ""): (1, 1)}

    def test_gives_the_message_to_the_account_that_has_it(self, slot, lane):
        message = make_message(slot, make_number(), "delivered")
        make_attempt(message, lane, outcome="not_sent", is_not_sent=True)
        count_slot(slot.pk)
        (key,) = counted(slot)
        assert key[0] == message.attempts.get(is_not_sent=False).account_id != lane.account_id

    def test_leaves_the_figures_of_other_slots(self, slot, lane):
        other = make_slot(lane)
        make_message(other, lane, "delivered")
        count_slot(other.pk)
        count_slot(slot.pk)
        assert counted(other) == recount(other)

    def test_notes_when_and_how_long(self, slot):
        count_slot(slot.pk)
        count = SlotCount.objects.get(slot=slot)
        assert abs(count.counted_at - clock.now()) < MINUTE
        assert 0 <= count.took_ms < 5000

    def test_takes_a_fixed_number_of_statements(self, walked, slot, statements):
        first = statements(lambda: count_slot(walked.pk))
        make_message(slot, make_number(), "delivered")
        assert statements(lambda: count_slot(walked.pk)) == first


class TestCountStops:
    @pytest.fixture
    def brand(self, sandbox):
        return make_brand()  # at home in New York

    def stops(self):
        found = StopFigure.objects.order_by("local_date", "account_id")
        return [(one.local_date, one.account_id, one.texts) for one in found]

    def test_counts_by_brand_account_and_the_brands_own_day(self, brand, lane):
        other = make_number()
        late = datetime(2035, 3, 8, 4, 59, tzinfo=UTC)  # 23:59 of the 7th
        for number, at in ((lane, NOON), (lane, late), (other, late), (lane, late + MINUTE)):
            make_stop(brand, number, at=at)
        make_stop(brand, lane, label="help")
        count_stops()
        today, tomorrow = NOON.date(), NOON.date() + DAY
        expected = [(today, lane.account_id, 2), (today, other.account_id, 1)]
        assert self.stops() == [*expected, (tomorrow, lane.account_id, 1)]

    def test_changes_nothing_the_second_time(self, brand, lane):
        make_stop(brand, lane)
        count_stops()
        before = self.stops()
        count_stops()
        assert self.stops() == before != []

    def test_sees_a_text_that_was_read_late(self, brand, lane):
        text = make_stop(brand, lane, at=NOON - DAY, label="")
        count_stops()
        Inbound.objects.filter(pk=text.pk).update(label="stop")
        count_stops()
        assert self.stops() == [(NOON.date() - DAY, lane.account_id, 1)]

    def test_sees_one_that_was_read_days_late_on_the_next_day(self, brand, lane):
        text = make_stop(brand, lane, at=NOON - 9 * DAY, label="")
        count_stops()
        Inbound.objects.filter(pk=text.pk).update(label="stop")
        count_stops()
        assert self.stops() == []
        set_clock(NOON + DAY)
        count_stops()
        assert self.stops() == [(NOON.date() - 9 * DAY, lane.account_id, 1)]

    def test_counts_all_again_when_the_brand_moves(self, brand, lane):
        make_stop(brand, lane, at=datetime(2035, 2, 1, 5, 30, tzinfo=UTC))
        count_stops()
        Brand.objects.update(zone="America/Los_Angeles")
        count_stops()
        assert self.stops() == [(date(2035, 1, 31), lane.account_id, 1)]

    def test_takes_as_many_statements_for_more_brands(self, brand, lane, statements):
        count_stops()
        before = statements(count_stops)
        make_stop(make_brand(), lane)
        assert statements(count_stops) == before

    def test_is_what_the_task_does_too(self, brand, lane):
        make_stop(brand, lane)
        tasks.count_figures()
        assert len(self.stops()) == 1


class TestDue:
    @pytest.mark.parametrize(
        ("last", "is_due"),
        [
            pytest.param(None, True, id="never counted"),
            pytest.param(timedelta(seconds=1), True, id="a moment ago"),
        ],
    )
    def test_an_open_slot_is_due_each_round(self, slot, last, is_due):
        if last is not None:
            counted_at(slot, clock.now() - last)
        assert due() == ([slot.pk] if is_due else [])

    @pytest.mark.parametrize(
        ("took_ms", "is_due"),
        [
            pytest.param(1_000, True, id="a sixtieth of the time"),
            pytest.param(1_400, False, id="more than a fiftieth"),
        ],
    )
    def test_no_slot_is_counted_for_more_than_a_fiftieth_of_the_time(self, slot, took_ms, is_due):
        counted_at(slot, clock.now() - MINUTE, took_ms=took_ms)
        assert due() == ([slot.pk] if is_due else [])

    @pytest.mark.parametrize(
        ("closed", "last", "is_due"),
        [
            pytest.param(HOUR, 2 * HOUR, True, id="counted before it closed"),
            pytest.param(HOUR, 3 * MINUTE, False, id="grown by a twentieth"),
            pytest.param(HOUR, 6 * MINUTE, True, id="grown by a ninth"),
            pytest.param(10 * DAY, DAY - HOUR, True, id="days later, a day since"),
            pytest.param(10 * DAY, 6 * HOUR, False, id="days later, hours since"),
            pytest.param(40 * DAY, 11 * DAY, True, id="for the last time"),
            pytest.param(400 * DAY, 369 * DAY, False, id="counted when it was 31 days old"),
        ],
    )
    def test_a_closed_slot_is_due_when_its_age_grew_by_a_tenth(self, slot, closed, last, is_due):
        now = clock.now()
        close(slot, now - closed)
        counted_at(slot, now - last)
        assert due() == ([slot.pk] if is_due else [])

    def test_a_draft_is_not(self, slot):
        Slot.objects.filter(pk=slot.pk).update(state="draft")
        assert due() == []

    def test_the_longest_uncounted_is_first(self, slot, lane):
        later, never = make_slot(lane), make_slot(lane)
        counted_at(slot, clock.now() - HOUR)
        counted_at(later, clock.now() - MINUTE)
        assert due() == [never.pk, slot.pk, later.pk]


class TestCountDue:
    def test_counts_all_that_is_due(self, slot, lane):
        make_message(slot, lane, "delivered")
        make_slot(lane)
        assert count_due(seconds=10) == 2
        assert counted(slot) == recount(slot)

    def test_stops_when_its_time_is_up_and_goes_on_next_time(self, slot, lane):
        make_slot(lane)
        assert [count_due(seconds=0), count_due(seconds=0)] == [1, 1]
        assert SlotCount.objects.count() == 2

    def test_goes_on_past_a_slot_that_cannot_be_counted(self, slot, lane, monkeypatch):
        other = make_slot(lane)
        real = figures.count_slot

        def break_off(slot_id):
            if slot_id == slot.pk:
                raise OperationalError("canceling statement due to statement timeout")
            return real(slot_id)

        monkeypatch.setattr(figures, "count_slot", break_off)
        assert count_due(seconds=10) == 1
        assert SlotCount.objects.get().slot_id == other.pk

    def test_is_what_the_task_does(self, slot, settings):
        settings.FIGURES_EVERY_SECONDS = 60
        assert tasks.count_figures() == 1

    def test_a_leap_of_the_clock_ends_the_counting_with_a_last_one(self, slot):
        close(slot, clock.now() - HOUR)
        count_due(seconds=10)
        set_clock(NOON + 60 * DAY)
        assert [count_due(seconds=10), count_due(seconds=10)] == [1, 0]


@pytest.mark.django_db(transaction=True)
def test_two_who_count_at_once_make_one_count(sandbox, at_once):
    lane = make_number()
    slot = make_slot(lane)
    for _ in range(3):
        make_message(slot, lane, "delivered")
    results = at_once(lambda n: [count_slot(slot.pk) for _ in range(5)], threads=3)
    assert any(any(result) for result in results)
    assert counted(slot) == recount(slot)


@pytest.mark.django_db(transaction=True)
def test_a_slot_that_is_being_counted_is_left_to_who_counts_it(sandbox, at_once):
    slot = make_slot(make_number())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [figures.SLOT_LOCKS, slot.pk])
        try:
            assert at_once(lambda n: count_slot(slot.pk), threads=1) == [False]
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [figures.SLOT_LOCKS, slot.pk])
    assert not SlotCount.objects.exists()
