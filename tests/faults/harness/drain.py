"""After the faults: everybody works again, waits are passed over by the clock, the rest is sent.

In the end the clock moves past the end of every slot, so that the slots close and the oracle can
judge their audiences.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta

from brands import clock
from delivery import planning, settling, shifting, sql, tasks
from delivery.shifting import CannotShift
from tests.factories import set_clock
from tests.faults.harness.arena import Arena, NotSo

PATIENCE = 60.0  # seconds for all of it
STUCK_AFTER = 8.0  # nothing moves, though something is due: it is held, and will expire
ALONE_AFTER = 3.0  # nobody holds what is pending: a lost host did
LOOK_EVERY = 0.05
SHIFT_PATIENCE = 3.0
AT_ONCE = timedelta(minutes=45)  # waits that end within this are passed over in one step
BEYOND = timedelta(minutes=6)  # past the end of slots, and of what the sweep may take

STATE = """
SELECT (SELECT count(*) FROM delivery_due WHERE not_before <= (SELECT sendonce_now())),
       (SELECT count(*) FROM delivery_due),
       (SELECT count(*) FROM delivery_attempt WHERE outcome = ''),
       (SELECT count(*) FROM delivery_attempt),
       (SELECT coalesce(max(not_before) FILTER (WHERE not_before < (SELECT sendonce_now()) + %s),
                        min(not_before)) FROM delivery_due)
"""
ENDS = "SELECT max(expires_at) FROM delivery_message"


@dataclass(frozen=True, slots=True)
class State:
    due: int
    waiting: int
    pending: int
    attempts: int
    next_at: datetime | None


def drain(arena: Arena) -> None:
    """Raises NotSo when it does not come to an end."""
    arena.crew.go_on()
    until = time.monotonic() + PATIENCE
    state, since = _state(), time.monotonic()
    while state.waiting or state.pending:
        if time.monotonic() > until:
            raise NotSo(f"drained: {astuple(state)[:3]} due, waiting, pending")
        if state.due and not state.pending and time.monotonic() - since > STUCK_AFTER:
            break
        if not state.due:
            _pass_over(arena, state, time.monotonic() - since)
        time.sleep(LOOK_EVERY)
        before, state = state, _state()
        since = since if state == before else time.monotonic()
    _close_slots()


def _state() -> State:
    return State(*sql.one(STATE, AT_ONCE))


def _pass_over(arena: Arena, state: State, still_for: float) -> None:
    """Move the clock to the next message that waits, or past what nobody can settle any more."""
    if not state.pending and state.next_at is not None:
        _shift_to(state.next_at)
        tasks.dispatch()
    elif state.pending and still_for > ALONE_AFTER and not _is_held(arena):
        set_clock(clock.now() + settling.LOST_AFTER + timedelta(seconds=5))
        tasks.tidy()


def _is_held(arena: Arena) -> bool:
    """Whether a process that lives waits for an answer."""
    return any(arena.on_the_wire(name) for name in arena.crew.names() if arena.crew.is_up(name))


def _shift_to(moment: datetime) -> None:
    # It may be there already, or a message has just left; then it is looked at again.
    with contextlib.suppress(CannotShift):
        shifting.shift_to(moment, patience=SHIFT_PATIENCE)


def _close_slots() -> None:
    (ends_at,) = sql.one(ENDS)
    if ends_at is not None:
        _shift_to(ends_at + BEYOND)
    tasks.tidy()
    planning.plan_open_slots()
