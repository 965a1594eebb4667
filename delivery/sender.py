"""The thread that talks to providers: one event loop, paced per number, journal line by line.

It takes intents that are committed and gives back one outcome for each; it knows no database. What
cannot be written into the journal, or is too late, is not sent, and that is proven.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

from delivery.intents import Intent
from delivery.journal import CannotWrite, Journal
from providers.base import Accepted, Adapter, NotSent, Outcome, Rejected, Unknown, outcome_to_json
from providers.rates import Breaker
from providers.registry import adapter
from providers.transport import Transport

logger = logging.getLogger(__name__)

# Tokens set the rate; the pace only smoothes it. A burst is two seconds' worth, and what were paced
# past its deadline would be claimed anew, and would pace the next one further still.
LONGEST_PACE = 1.0  # seconds
SHORTEST_PAUSE = 0.001  # seconds; a shorter one is not worth a turn of the loop


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one intent."""

    intent: Intent
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Parcel:
    """Intents of one batch. `write_by` is the monotonic second after which none may leave."""

    intents: Sequence[tuple[Intent, float]]
    journal: Journal


class Sender:
    """Start it once a process; `submit` and `collect` are called from the deciding thread."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._answers: queue.SimpleQueue[Answered] = queue.SimpleQueue()
        self._under_way = 0
        self._count = threading.Lock()
        self._next_at: dict[int, float] = defaultdict(float)
        self._places: dict[int, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = uvloop.new_event_loop()
        self._transport: Transport | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()

    @property
    def under_way(self) -> int:
        """Intents handed over whose outcome was not collected yet."""
        return self._under_way

    def submit(self, parcel: Parcel) -> None:
        with self._count:
            self._under_way += len(parcel.intents)
        self._loop.call_soon_threadsafe(self._take, parcel)

    def collect(self, *, wait: float) -> list[Answered]:
        """All outcomes that are there; waits up to `wait` seconds for the first."""
        answers: list[Answered] = []
        try:
            answers.append(self._answers.get(timeout=wait) if wait else self._answers.get_nowait())
            while True:
                answers.append(self._answers.get_nowait())
        except queue.Empty:
            pass
        with self._count:
            self._under_way -= len(answers)
        return answers

    def stop(self) -> None:
        """End the thread; call it when nothing is under way."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()
        if self._transport is not None:
            self._loop.run_until_complete(self._transport.close())
        self._loop.close()

    async def _open(self) -> None:
        self._transport = Transport()

    def _take(self, parcel: Parcel) -> None:
        now = time.monotonic()
        for intent, write_by in parcel.intents:
            start_at = min(max(now, self._next_at[intent.lane_id]), now + LONGEST_PACE)
            if intent.segments_per_second > 0:  # it may have been set to none after the grant
                pause = intent.send.segments / intent.segments_per_second
                self._next_at[intent.lane_id] = start_at + pause
            task = self._loop.create_task(self._send(intent, write_by, start_at, parcel.journal))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(
        self, intent: Intent, write_by: float, start_at: float, journal: Journal
    ) -> None:
        outcome: Outcome = NotSent("error_before_sending")
        try:
            pause = min(start_at, write_by) - time.monotonic()
            if pause > SHORTEST_PAUSE:
                await asyncio.sleep(pause)
            async with self._place(intent):
                provider = adapter(intent.access.kind)
                outcome = _announce(intent, write_by, journal)
                if isinstance(outcome, Unknown):
                    outcome = await self._exchange(provider, intent, write_by, journal)
        except Exception:
            logger.exception("sending failed", extra={"message_id": intent.message_id})
        finally:
            self._tell_breaker(intent.account_id, outcome)
            self._answers.put(Answered(intent, outcome))

    def _place(self, intent: Intent) -> asyncio.Semaphore:
        """Places in flight are each process's own."""
        if intent.account_id not in self._places:
            self._places[intent.account_id] = asyncio.Semaphore(intent.in_flight)
        return self._places[intent.account_id]

    async def _exchange(
        self, provider: Adapter, intent: Intent, write_by: float, journal: Journal
    ) -> Outcome:
        """Deadline, then the write, with no await between the two; then the journal again."""
        assert self._transport is not None  # noqa: S101 - made before the thread is ready
        ref = intent.send.ref
        if time.monotonic() > write_by:
            outcome: Outcome = NotSent("too_late")
        else:
            outcomes = await self._transport.send(
                provider, [intent.send], intent.access, write_by=write_by
            )
            outcome = outcomes[ref]
        try:
            journal.came_back(ref, outcome_to_json(outcome))
        except CannotWrite:
            logger.warning("outcome not journaled", extra={"attempt_id": intent.attempt_id})
        return outcome

    def _tell_breaker(self, account_id: int, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted | Rejected):
            self._breaker.answered(account_id)
        elif isinstance(outcome, NotSent) and (outcome.throttled or outcome.unreachable):
            self._breaker.refused(
                account_id, now=time.monotonic(), retry_after=outcome.retry_after or 0.0
            )


def _announce(intent: Intent, write_by: float, journal: Journal) -> NotSent | Unknown:
    """The journal line before the request. From it on nobody may say that nothing left."""
    if time.monotonic() > write_by:
        return NotSent("too_late")
    try:
        journal.leaving(intent.send.ref)
    except CannotWrite:
        return NotSent("journal_not_written")
    return Unknown("error_while_sending")
