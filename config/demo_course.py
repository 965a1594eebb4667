"""The course of a demo: its clock goes from one due instant to the next, zone by zone.

It moves the clock only when nothing is left to do at the present time: all that is due has been
planned, sent or ended, and nothing is in flight. It sends nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from brands import clock
from campaigns.models import Slot
from delivery import planning, shifting, sql
from delivery.planning import Share

POLL = 0.2  # seconds
SHORT = timedelta(seconds=2)  # not worth a shift
TOGETHER = timedelta(minutes=1)  # what is held until about the same time is waited for at once
STALLED_AFTER = 20.0  # seconds without any progress while work is due
STUCK_AFTER = 120.0  # seconds without progress and with nowhere to go
SHIFT_PATIENCE = 5.0

PLANNED = "SELECT places_id, through_entry_id FROM delivery_planned WHERE slot_id = %s"

# Rows to claim or to end now, intents without an outcome or texts that are not applied, and a
# figure that moves with any of them.
PRESENT = """
SELECT EXISTS (SELECT 1 FROM delivery_due WHERE not_before <= %s AND expires_at > %s),
       EXISTS (SELECT 1 FROM delivery_due WHERE expires_at <= %s),
       EXISTS (SELECT 1 FROM delivery_attempt
               WHERE id > (SELECT attempt_id FROM delivery_frontier) AND outcome = '')
       OR EXISTS (SELECT 1 FROM delivery_inbound WHERE applied_at IS NULL),
       (SELECT count(*) FROM delivery_due),
       coalesce((SELECT max(id) FROM delivery_attempt), 0)
"""
HELD_UNTIL = """
SELECT max(not_before) FROM delivery_due WHERE not_before > %s AND not_before <= (
    SELECT min(not_before) FROM delivery_due WHERE not_before > %s) + %s
"""
HELD = "SELECT count(*) FROM delivery_due WHERE not_before > %s"
NEXT_EXPIRY = "SELECT min(expires_at) FROM delivery_due WHERE expires_at > %s"


class Stuck(Exception):
    """Nothing moves any more; the message says what is left."""


@dataclass(frozen=True, slots=True)
class Present:
    """What is left to do now, and two figures that move when anything does."""

    is_due: bool
    has_expired: bool
    is_in_flight: bool
    waiting: int
    last_attempt: int

    @property
    def is_busy(self) -> bool:
        return self.is_due or self.has_expired or self.is_in_flight


@dataclass(slots=True)
class Leg:
    """One open slot, its shares as its list stands now, and when it ends."""

    slot: Slot
    shares: list[Share]
    ends_at: datetime

    @classmethod
    def of(cls, slot: Slot) -> Leg:
        shares = planning.shares_of(slot)
        return cls(slot, shares, planning.end_of(slot, shares))

    def is_unplanned(self, now: datetime) -> bool:
        """Whether a part that is due now was not planned to its end."""
        planned: dict[int | None, int] = dict(sql.rows(PLANNED, self.slot.pk))
        return any(
            share.due_at <= now and planned.get(share.places_id, 0) < share.newest_id
            for share in self.shares
        )


@dataclass(slots=True)
class Course:
    """From now until all open slots are closed, those that somebody opens meanwhile too."""

    legs: list[Leg]
    worth_a_stop: int = 1  # rows held for a time to come, fewer are passed over
    stalls: int = 0
    shifts: int = 0
    _seen: Present | None = None
    _seen_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of_open_slots(cls, *, worth_a_stop: int = 1) -> Course:
        slots = Slot.objects.filter(state=Slot.State.OPEN).order_by("id")
        legs = [Leg.of(slot) for slot in slots.select_related("campaign__brand")]
        return cls(legs, worth_a_stop)

    @property
    def is_over(self) -> bool:
        return not Slot.objects.filter(
            pk__in=[leg.slot.pk for leg in self.legs], state=Slot.State.OPEN
        ).exists()

    def run(self, tend: Callable[[], None]) -> None:
        """Go on until all slots are closed. `tend` is called all the time. Raises Stuck."""
        while not self.is_over:
            tend()
            if not self.step():
                time.sleep(POLL)

    def step(self) -> bool:
        """Move the clock if nothing is left to do at its present time; returns whether it did."""
        self._join_new()
        now = clock.now()
        present = Present(*sql.one(PRESENT, now, now, now))
        quiet_for = self._quiet_for(present)
        busy = present.is_busy or any(leg.is_unplanned(now) for leg in self.legs)
        if busy and quiet_for < STALLED_AFTER:
            return False
        target = self.next_instant(now)
        if target is None or target - now < SHORT:
            self._refuse_to_wait_for_ever(present, quiet_for)
            return False
        self.stalls += busy
        return self._shift(target)

    def _join_new(self) -> None:
        """Else the clock would leap past the hour of a campaign that a visitor started."""
        known = [leg.slot.pk for leg in self.legs]
        new = Slot.objects.filter(state=Slot.State.OPEN).exclude(pk__in=known).order_by("id")
        self.legs += [Leg.of(slot) for slot in new.select_related("campaign__brand")]

    def next_instant(self, now: datetime) -> datetime | None:
        """When there will be something to do again: due, held until, expired, or a slot's end."""
        instants = [share.due_at for leg in self.legs for share in leg.shares]
        instants += [leg.ends_at for leg in self.legs]
        instants.append(sql.one(NEXT_EXPIRY, now)[0])
        if sql.one(HELD, now)[0] >= self.worth_a_stop:
            instants.append(sql.one(HELD_UNTIL, now, now, TOGETHER)[0])
        return min((instant for instant in instants if instant and instant > now), default=None)

    def _quiet_for(self, present: Present) -> float:
        """For how many seconds nothing has moved."""
        if present != self._seen:
            self._seen, self._seen_at = present, time.monotonic()
        return time.monotonic() - self._seen_at

    def _shift(self, target: datetime) -> bool:
        try:
            shifting.shift_to(target, patience=SHIFT_PATIENCE)
        except shifting.CannotShift:
            return False  # a worker took one more row, or died: its intents are settled first
        self.shifts += 1
        self._seen_at = time.monotonic()
        return True

    def _refuse_to_wait_for_ever(self, present: Present, quiet_for: float) -> None:
        if quiet_for > STUCK_AFTER:
            raise Stuck(
                f"Nothing has moved for {quiet_for:.0f} s, and slots are still open;"
                f" {present.waiting} messages wait."
            )
