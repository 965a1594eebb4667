"""How numbers fare: what is counted by the hour, when it is counted again, and what it comes to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError

from compliance import consent
from compliance.models import OptOutEvent
from delivery import health, outcomes
from delivery.models import Attempt, AttemptHour, HealthMark, Message, NumberHour
from providers.base import Accepted, ErrorClass, NotSent, Rejected
from providers.base import Status as Word
from providers.models import SenderNumber
from tests.delivery import walking
from tests.factories import (
    NOON,
    fill_queue,
    make_lead,
    make_number,
    set_clock,
)

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BLOCKED = Rejected(ErrorClass.PERMANENT_RECIPIENT, "7", carrier_blocked=True)


@pytest.fixture
def send(slot, lane, journal):
    """Hand over so many; what was planned is due at once."""

    def send(many=1):
        fill_queue(slot, lane, many, now=NOON)
        return walking.hand_over(journal)

    return send


def report(intents, word, **fields):
    outcomes.apply_reports([walking.reported(one, word, **fields) for one in intents])


def take(intents):
    for one in intents:
        walking.come_back([one], Accepted(f"SM{one.send.ref}"))


def count(after=2 * MINUTE):
    """A round, so long after noon."""
    set_clock(NOON + after)
    return health.count(seconds=10.0)


def fresh(number):
    number.refresh_from_db()
    return number.health


def figures(**changes):
    return {"sent": 0, "ended": 0, "delivered": 0, "blocked": 0, "opted_out": 0, **changes}


class TestCounted:
    def test_are_messages_by_what_became_of_them(self, send, lane):
        intents = send(8)
        take(intents[:6])
        report(intents[:3], Word.DELIVERED)
        report(intents[3:4], Word.REJECTED, carrier_blocked=True, code="30007")
        report(intents[4:5], Word.UNDELIVERED)
        report(intents[5:6], Word.SENT)
        walking.come_back(intents[6:7], BLOCKED)
        count()
        assert fresh(lane) == figures(sent=8, ended=6, delivered=3, blocked=2)

    def test_is_nothing_that_did_not_leave(self, send, lane):
        intents = send(2)
        walking.come_back(intents[:1], NotSent("429", throttled=True))
        count()
        assert fresh(lane) == figures(sent=1)

    def test_is_each_number_by_itself(self, send, lane):
        idle = make_number()
        send(2)
        count()
        assert (fresh(lane)["sent"], fresh(idle)) == (2, {})

    def test_is_a_failure_reported_as_blocked_and_one_that_was_not(self, send):
        blocked, plain = send(2)
        report([blocked], Word.UNDELIVERED, carrier_blocked=True)
        report([plain], Word.UNDELIVERED)
        times = dict(Attempt.objects.values_list("pk", "blocked_at"))
        assert times[blocked.attempt_id] is not None
        assert times[plain.attempt_id] is None

    def test_is_the_first_end_that_was_reported(self, send, lane):
        intents = send(1)
        report(intents, Word.DELIVERED)
        report(intents, Word.REJECTED, carrier_blocked=True)
        count()
        assert fresh(lane) == figures(sent=1, ended=1, delivered=1)

    def test_is_what_was_said_when_it_was_blocked_and_not_the_repetition(self, send):
        intents = send(1)
        report(intents, Word.REJECTED, carrier_blocked=True)
        first = Attempt.objects.get().blocked_at
        set_clock(NOON + HOUR)
        report(intents, Word.REJECTED, carrier_blocked=True)
        assert Attempt.objects.get().blocked_at == first


class TestARound:
    def test_leaves_what_is_younger_than_a_minute_to_the_next(self, send, lane):
        send(1)
        set_clock(NOON + 50 * SECOND)
        send(1)
        count(90 * SECOND)
        assert fresh(lane)["sent"] == 1
        count(3 * MINUTE)
        assert fresh(lane)["sent"] == 2

    def test_finds_what_was_reported_late(self, send, lane):
        intents = send(1)
        count()
        set_clock(NOON + 5 * HOUR)
        report(intents, Word.DELIVERED)
        count(6 * HOUR)
        assert fresh(lane) == figures(sent=1, ended=1, delivered=1)

    def test_counts_each_hour_apart(self, send, lane):
        send(2)
        set_clock(NOON + HOUR)
        send(1)
        count(HOUR + 2 * MINUTE)
        hours = NumberHour.objects.order_by("hour").values_list("hour", "sent")
        assert list(hours) == [(NOON, 2), (NOON + HOUR, 1)]

    def test_done_twice_is_done_once(self, send, lane):
        send(3)
        count()
        health.count(seconds=10.0)
        assert fresh(lane)["sent"] == 3

    def test_of_nothing_sums_up_nothing(self, lane):
        assert count() == 0
        assert fresh(lane) == {}

    def test_takes_as_many_statements_for_many_as_for_one(self, send, statements):
        send(1)
        count()
        send(1)
        set_clock(NOON + 10 * MINUTE)
        of_one = statements(lambda: health.count(seconds=10.0))
        send(60)
        set_clock(NOON + 20 * MINUTE)
        assert statements(lambda: health.count(seconds=10.0)) == of_one

    def test_at_the_same_time_as_another_counts_no_opt_out_twice(self, send, lane):
        (intent,) = send(1)
        set_clock(NOON + HOUR)
        opt_out(intent)
        set_clock(NOON + 2 * HOUR)
        health.count_opt_outs()
        health.count_opt_outs()
        assert NumberHour.objects.get().opted_out == 1

    def test_writes_no_row_of_a_number_that_fares_as_before(self, send, lane):
        send(1)
        count()
        before = row_version(lane)
        health.sum_up()
        assert row_version(lane) == before


class TestAnHour:
    """When it is counted again: its end is at one o'clock."""

    def hours(self, moment):
        set_clock(moment)
        return health.due()

    @pytest.fixture
    def counted(self, send):
        """Tell when the hour was counted last."""
        send(1)
        count()

        def counted(at):
            AttemptHour.objects.update(counted_at=at)

        return counted

    over = NOON + HOUR

    @pytest.mark.parametrize(
        ("counted_at", "now", "due"),
        [
            pytest.param(MINUTE - HOUR, 2 * MINUTE - HOUR, True, id="under-way"),
            pytest.param(-MINUTE, 2 * MINUTE, True, id="not-since-it-was-over"),
            pytest.param(MINUTE, 59 * MINUTE, False, id="just-after-it"),
            pytest.param(MINUTE, HOUR, True, id="an-hour-after-it"),
            pytest.param(3 * HOUR, 6 * HOUR - MINUTE, False, id="not-twice-as-old"),
            pytest.param(3 * HOUR, 6 * HOUR, True, id="twice-as-old"),
            pytest.param(72 * HOUR, 150 * HOUR, False, id="when-no-report-is-waited-for"),
        ],
    )
    def test_is_due_when_its_age_has_doubled(self, counted, counted_at, now, due):
        counted(self.over + counted_at)
        assert (self.hours(self.over + now) == [NOON]) is due

    def test_of_which_more_attempts_turn_up_is_due(self, counted, send):
        counted(self.over + 71 * HOUR)
        set_clock(self.over + 71 * HOUR)
        assert self.hours(self.over + 72 * HOUR) == []
        AttemptHour.objects.update(counted_at=None)
        assert self.hours(self.over + 72 * HOUR) == [NOON]

    def test_that_cannot_be_counted_leaves_the_others_theirs(self, send, lane, monkeypatch):
        send(1)
        set_clock(NOON + HOUR)
        send(1)
        of_course = health.count_hour

        def count_hour(hour):
            if hour == NOON:
                raise DatabaseError("too slow")
            of_course(hour)

        monkeypatch.setattr(health, "count_hour", count_hour)
        assert count(HOUR + 2 * MINUTE) == 1

    def test_is_forgotten_after_seven_days(self, send, lane):
        send(1)
        count()
        count(7 * DAY + 2 * HOUR)
        assert fresh(lane) == {}
        assert not NumberHour.objects.exists()
        assert not AttemptHour.objects.exists()

    def test_of_long_ago_is_never_noted(self, send):
        send(1)
        set_clock(NOON + 8 * DAY)
        health.walk()
        assert not AttemptHour.objects.exists()
        assert HealthMark.objects.get().attempt_id == Attempt.objects.get().pk


class TestTheWalk:
    def test_goes_on_over_many_steps(self, send, lane, monkeypatch):
        monkeypatch.setattr(health, "WALKED_AT_ONCE", 2)
        send(5)
        count()
        assert fresh(lane)["sent"] == 5

    def test_ends_when_its_time_is_up_and_goes_on_next_time(self, send, monkeypatch):
        monkeypatch.setattr(health, "WALKED_AT_ONCE", 2)
        send(5)
        set_clock(NOON + 2 * MINUTE)
        ids = sorted(Attempt.objects.values_list("pk", flat=True))
        health.walk(seconds=0)
        assert HealthMark.objects.get().attempt_id == ids[1]
        health.walk(seconds=0)
        assert HealthMark.objects.get().attempt_id == ids[3]


def row_version(number):
    return SenderNumber.objects.raw(
        "SELECT id, xmin::text AS version, ctid::text AS place FROM providers_sendernumber"
        " WHERE id = %s",
        [number.pk],
    )[0].place


def opt_out(intent, source=OptOutEvent.Source.INBOUND):
    person = Message.objects.get(pk=intent.message_id).person_id
    consent.opt_out([person], source=source)


class TestAnOptOut:
    def opted_out(self, after=2 * MINUTE):
        set_clock(NOON + after)
        health.count(seconds=10.0)
        return sum(NumberHour.objects.values_list("opted_out", flat=True))

    @pytest.mark.parametrize("source", ["inbound", "provider"])
    def test_is_laid_to_the_number_the_person_heard_from(self, send, lane, source):
        (intent,) = send(1)
        opt_out(intent, source)
        count()
        assert fresh(lane) == figures(sent=1, opted_out=1)

    @pytest.mark.parametrize("source", ["staff", "import"])
    def test_that_others_put_in_is_laid_to_none(self, send, source):
        (intent,) = send(1)
        opt_out(intent, source)
        assert self.opted_out() == 0

    @pytest.mark.parametrize(
        ("after", "counts"), [(24 * HOUR - MINUTE, 1), (24 * HOUR + MINUTE, 0)]
    )
    def test_counts_within_a_day_of_the_message(self, send, after, counts):
        (intent,) = send(1)
        set_clock(NOON + after)
        opt_out(intent)
        assert self.opted_out(after + 2 * MINUTE) == counts

    def test_counts_in_the_hour_of_the_message(self, send):
        (intent,) = send(1)
        set_clock(NOON + 5 * HOUR)
        opt_out(intent)
        self.opted_out(6 * HOUR)
        assert NumberHour.objects.get(opted_out=1).hour == NOON

    def test_said_again_is_said_once(self, send):
        (intent,) = send(1)
        opt_out(intent)
        opt_out(intent)
        assert self.opted_out() == 1
        set_clock(NOON + 10 * MINUTE)
        opt_out(intent)
        assert self.opted_out(HOUR) == 1

    def test_of_somebody_who_heard_nothing_is_laid_to_none(self, slot):
        lead = make_lead(slot.campaign.brand)
        consent.opt_out([lead.person_id], source="inbound")
        assert self.opted_out() == 0

    def test_waits_until_all_of_its_minute_is_there(self, send):
        (intent,) = send(1)
        opt_out(intent)
        assert self.opted_out(30 * SECOND) == 0
        assert self.opted_out(2 * MINUTE) == 1

    def test_stays_when_its_hour_is_counted_again(self, send, lane):
        (intent,) = send(1)
        opt_out(intent)
        count()
        count(3 * HOUR)
        assert fresh(lane) == figures(sent=1, opted_out=1)
