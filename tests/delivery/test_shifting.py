from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction

from brands import clock
from brands.models import ClockShift, Installation
from delivery import claims, shifting
from delivery.models import Attempt, Due, Frontier, Inbound
from delivery.shifting import CannotShift, shift_to
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_installation,
    make_number,
    make_slot,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MINUTES = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


def in_flight(outcome=""):
    lane = make_number()
    (message,) = fill_queue(make_slot(lane), lane, 1, now=NOON)
    return Attempt.objects.create(
        message=message,
        account=lane.account,
        number=lane,
        sender=UUID(int=1),
        ref=f"r{message.pk}",
        text="Hi",
        segments=1,
        brand_day=NOON.date(),
        intent_at=NOON,
        outcome=outcome,
    )


def a_text():
    """Received, and not read yet."""
    return Inbound.objects.create(account=make_account(), provider_ref="SM1", text="STOP")


class TestShiftTo:
    def test_moves_the_clock_to_that_moment(self, sandbox):
        assert HOUR - MINUTE < shift_to(NOON + HOUR) <= HOUR
        assert NOON + HOUR <= clock.now() < NOON + HOUR + MINUTE

    def test_adds_up(self, sandbox):
        before = ClockShift.objects.latest("id").total_seconds
        shift_to(NOON + HOUR)
        shift_to(NOON + 2 * HOUR)
        steps = ClockShift.objects.order_by("-id")[:2]
        assert steps[0].total_seconds == before + steps[1].seconds + steps[0].seconds
        assert abs((datetime.now(UTC) - steps[0].real_at).total_seconds()) < 60

    @pytest.mark.parametrize("back", [timedelta(), HOUR], ids=["now", "back"])
    def test_moves_forward_only(self, sandbox, back):
        with pytest.raises(CannotShift, match="only moves forward"):
            shift_to(NOON - back)
        assert ClockShift.objects.count() == 1

    def test_is_for_sandboxes(self):
        make_installation(is_sandbox=False)
        with pytest.raises(CannotShift, match="Only a sandbox"):
            shift_to(NOON)

    def test_needs_an_installation(self):
        with pytest.raises(CannotShift, match="Only a sandbox"):
            shift_to(NOON)

    def test_does_not_move_while_messages_are_in_flight(self, sandbox):
        in_flight()
        with pytest.raises(CannotShift, match="still in flight"):
            shift_to(NOON + HOUR, patience=0.1)
        assert ClockShift.objects.count() == 1

    @pytest.mark.parametrize("outcome", ["accepted", "unknown", "rejected"])
    def test_does_not_wait_for_what_was_answered(self, sandbox, outcome):
        in_flight(outcome)
        assert shift_to(NOON + HOUR, patience=0.0)

    def test_does_not_wait_for_what_the_reconciler_has_settled(self, sandbox):
        Frontier.objects.update(attempt_id=in_flight().pk)
        assert shift_to(NOON + HOUR, patience=0.0)

    def test_does_not_move_while_a_text_is_not_read(self, sandbox):
        text = a_text()
        with pytest.raises(CannotShift, match="texts not read yet"):
            shift_to(NOON + HOUR, patience=0.1)
        Inbound.objects.filter(pk=text.pk).update(applied_at=NOON)
        assert shift_to(NOON + HOUR, patience=0.0)

    @pytest.mark.django_db(transaction=True)
    def test_waits_for_a_text_that_is_being_stored(self, sandbox, at_once):
        stored = threading.Event()

        def work(number):
            if number == 0:
                stored.wait(10)
                with pytest.raises(CannotShift):
                    shift_to(NOON + HOUR, patience=0.5)
                return
            with transaction.atomic():
                a_text()
                stored.set()
                time.sleep(0.3)

        at_once(work)
        assert ClockShift.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_waits_until_it_is_answered(self, sandbox, at_once):
        attempt = in_flight()

        def work(number):
            if number == 0:
                return shift_to(NOON + HOUR, patience=20)
            time.sleep(0.2)
            assert ClockShift.objects.count() == 1
            Attempt.objects.filter(pk=attempt.pk).update(outcome="accepted")

        at_once(work)
        assert ClockShift.objects.count() == 2

    @pytest.mark.django_db(transaction=True)
    def test_waits_for_an_open_claim(self, sandbox, at_once):
        claimed = threading.Event()

        def work(number):
            if number == 0:
                claimed.wait(10)
                shift_to(NOON + HOUR)
                return
            with transaction.atomic():
                claims.begin(time.time())
                claimed.set()
                time.sleep(0.2)
                assert ClockShift.objects.count() == 1

        at_once(work)
        assert clock.now() >= NOON + HOUR

    @pytest.mark.django_db(transaction=True)
    def test_that_gave_up_leaves_no_lock_behind(self, sandbox, at_once):
        in_flight()
        with pytest.raises(CannotShift):
            shift_to(NOON + HOUR, patience=0.0)

        def work(_):
            with transaction.atomic():
                return claims.begin(time.time())

        assert len(at_once(work)) == 2


def an_answer(**due):
    """It waits to leave."""
    lane = make_number()
    (message,) = fill_queue(make_slot(lane), lane, 1, now=NOON)
    waiting = Due.objects.filter(message=message)
    waiting.update(queue=claims.REPLIES, **{"expires_at": NOON + MINUTES, **due})
    return waiting


def let_out(waiting):
    """As a worker does: False while the lock that every claim needs is the shift's."""
    with transaction.atomic():
        try:
            claims.begin(time.time())
        except claims.Shifting:
            return False
        assert ClockShift.objects.count() == 1
        waiting.delete()
        return True


class TestAnswers:
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("after", [timedelta(), SECOND], ids=["due", "tried again soon"])
    def test_leave_before_the_clock_moves(self, sandbox, at_once, after):
        waiting = an_answer(not_before=NOON + after)

        def work(number):
            if number == 0:
                return shift_to(NOON + HOUR, patience=20)
            time.sleep(0.3)
            while not let_out(waiting):
                time.sleep(0.01)

        at_once(work)
        assert ClockShift.objects.count() == 2

    def test_that_somebody_keeps_from_leaving_are_not_waited_for_without_end(
        self, sandbox, monkeypatch
    ):
        an_answer()
        monkeypatch.setattr(shifting, "ANSWERS_WAIT", 0.2)
        assert shift_to(NOON + HOUR, patience=20)

    @pytest.mark.parametrize(
        "expires_at", [NOON - HOUR, NOON + 2 * HOUR], ids=["already", "not by then"]
    )
    def test_that_it_makes_no_later_are_not_waited_for(self, sandbox, expires_at, monkeypatch):
        an_answer(expires_at=expires_at)
        monkeypatch.setattr(shifting, "POLL", -1)  # no sleep takes that
        assert shift_to(NOON + HOUR, patience=20)


class TestTheCommand:
    def test_moves_by_a_duration(self, sandbox, capsys):
        call_command("shift_clock", "03:00:00")
        assert capsys.readouterr().out.startswith("It is now 2035-03-07 20:00")

    def test_moves_to_a_time(self, sandbox):
        call_command("shift_clock", "2035-03-08T15:00Z")
        assert clock.now() >= datetime(2035, 3, 8, 15, tzinfo=UTC)

    @pytest.mark.parametrize(
        "to", ["soon", "-01:00:00", "2035-03-08T15:00", "2035-02-30T15:00Z", "2035-03-07T16:00Z"]
    )
    def test_says_why_it_cannot(self, sandbox, to):
        with pytest.raises(CommandError):
            call_command("shift_clock", "--", to)
        assert ClockShift.objects.count() == 1

    def test_says_that_it_is_for_sandboxes(self):
        make_installation(is_sandbox=False)
        with pytest.raises(CommandError, match="Only a sandbox"):
            call_command("shift_clock", "03:00:00")
        assert Installation.objects.count() == 1
