"""The thread that talks to providers: one event loop, paced per number, journal line by line.

It takes intents that are committed and gives back one outcome for each; it knows no database. What
cannot be written into the journal, or is too late, is not sent, and that is proven.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import uvloop

from delivery.intents import Intent
from delivery.journal import CannotWrite, Journal
from providers.base import Accepted, NotSent, Outcome, Rejected, Unknown, outcome_to_json
from providers.leaving import TOO_LATE
from providers.rates import Breaker
from providers.registry import adapter
from providers.transport import Transport

logger = logging.getLogger(__name__)

NOT_JOURNALED = NotSent("journal_not_written")

# Tokens set the rate; the pace only smoothes it. A burst is two seconds' worth, and what were paced
# past its deadline would be claimed anew, and would pace the next one further still.
LONGEST_PACE = 1.0  # seconds
LATE = 0.1  # seconds behind its pace: it stood still, and is paced among others that did
MOST_WAITING = 250  # for a place of an account; of a provider that hangs they become too late
STANDS_STILL = 1.0  # seconds without any answer of an account while it has requests on the wire
SWEEP_EVERY = 0.25  # seconds, while any wait for a place
FEWEST_PLACES = 4  # that are used, however many of their messages were too late
NARROWS_EVERY = 1.0  # seconds; what is too late at one moment says one thing
END_WITHIN = 5.0  # seconds for its connections to close; no process waits longer for its end
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


@dataclass(slots=True)
class Errand:
    """The intents of one request, on their way; of one account and number, mostly one intent.

    `was_announced`: from then on nobody may say that nothing left.
    """

    intents: Sequence[Intent]
    write_by: float
    journal: Journal
    start_at: float = 0.0  # monotonic; when it is to leave by the pace of its number
    was_late: bool = False
    was_announced: bool = False

    @property
    def first(self) -> Intent:
        return self.intents[0]

    def announce(self) -> NotSent | None:
        """The journal line before the request, or why there must be none."""
        if time.monotonic() > self.write_by:
            return TOO_LATE
        try:
            self.journal.leaving(*(intent.send.ref for intent in self.intents))
        except CannotWrite:
            return NOT_JOURNALED
        self.was_announced = True
        return None


@dataclass(slots=True)
class Places:
    """The requests in flight of one account, in this process, and what waits for a place.

    `on_wire` are the intents of those requests; `moved_at` is the monotonic second of the last
    answer, or of the first request after none was in flight. A request that is given up is none:
    else the next ones would follow it before the breaker has heard of enough.

    Of `most` places only `width` are used while messages become too late in them or for them: then
    more at once only make each other late, and all go round again for nothing. It halves with that,
    and grows by one with as many answers as there are places, as a TCP connection does (RFC 5681).
    """

    waiting: deque[Errand] = field(default_factory=deque)
    taken: int = 0
    most: int = 0
    on_wire: int = 0
    moved_at: float = 0.0
    is_swept: bool = False
    width: float = math.inf
    narrowed_at: float = -math.inf

    @property
    def used(self) -> float:
        return min(self.width, self.most)

    @property
    def room(self) -> int:
        """For how many more there is a place; negative where some wait for one."""
        return int(self.used) - self.taken - len(self.waiting)

    @property
    def may_wait(self) -> int:
        return MOST_WAITING * int(self.used) // self.most if self.most else MOST_WAITING

    def was_late(self, now: float) -> None:
        if now - self.narrowed_at >= NARROWS_EVERY:
            self.width, self.narrowed_at = max(self.used / 2, FEWEST_PLACES), now

    def was_answered(self, now: float) -> None:
        self.moved_at = now
        self.width = self.width + 1 / self.width if self.width < self.most else math.inf

    def stands_still(self, now: float) -> bool:
        return self.on_wire > 0 and now - self.moved_at > STANDS_STILL


class Sender:
    """Start it once a process; `submit` and `collect` are called from the deciding thread."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._answers: deque[Answered] = deque()
        self._came = threading.Event()
        self._submitted = self._collected = 0
        self._next_at: dict[int, float] = defaultdict(float)
        self._next_late_at: dict[int, float] = defaultdict(float)
        self._places: defaultdict[int, Places] = defaultdict(Places)
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
        return self._submitted - self._collected

    @property
    def hung(self) -> int:
        """Intents on the wire to accounts that stand still: nobody else should wait for those."""
        now, all_places = time.monotonic(), list(self._places.values())
        return sum(places.on_wire for places in all_places if places.stands_still(now))

    def room(self, account_id: int) -> int:
        """How many more of this account may be handed over, some of them to wait for a place.

        None wait for an account that stands still: they would only become too late.
        """
        places = self._places.get(account_id)
        if places is None:
            return MOST_WAITING
        waits = 0 if places.stands_still(time.monotonic()) else places.may_wait
        return max(places.room + waits, 0)

    def submit(self, parcel: Parcel) -> None:
        self._submitted += len(parcel.intents)
        self._loop.call_soon_threadsafe(self._take, parcel)

    def collect(self, *, wait: float) -> list[Answered]:
        """All outcomes that are there; waits up to `wait` seconds for the first."""
        if wait and not self._answers:
            self._came.clear()
            if not self._answers:
                self._came.wait(wait)
        answers = [self._answers.popleft() for _ in range(len(self._answers))]
        self._collected += len(answers)
        return answers

    def stop(self) -> None:
        """End the thread; call it when nothing is under way."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_WITHIN)

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
        for intents, write_by in _requests(parcel):
            start_at = _turn(intents, self._next_at, now)
            errand = Errand(intents, write_by, parcel.journal, start_at)
            if not self._is_put_off(errand, now):
                self._line_up(errand)

    def _is_put_off(self, errand: Errand, now: float) -> bool:
        wait = min(errand.start_at, errand.write_by) - now
        if wait <= SHORTEST_PAUSE:
            return False
        self._loop.call_later(wait, self._line_up, errand)
        return True

    def _line_up(self, errand: Errand) -> None:
        """Into a place of its account, or behind those that wait for one."""
        places = self._places[errand.first.account_id]
        places.waiting.append(errand)
        places.most = errand.first.in_flight
        if places.taken < places.used:
            places.taken += 1
            task = self._loop.create_task(self._serve(places))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif not places.is_swept:
            places.is_swept = True
            self._loop.call_later(SWEEP_EVERY, self._sweep, places)

    def _sweep(self, places: Places) -> None:
        """Who has become too late ends without a place: those that are taken may hang for long."""
        now = time.monotonic()
        while places.waiting and places.waiting[0].write_by < now:
            self._end_alike(places.waiting.popleft(), TOO_LATE)
        places.is_swept = bool(places.waiting)
        if places.is_swept:
            self._loop.call_later(SWEEP_EVERY, self._sweep, places)

    async def _serve(self, places: Places) -> None:
        """One place: an errand after the other, while any waits."""
        try:
            while places.waiting and places.taken <= max(places.used, 1):
                errand = places.waiting.popleft()
                if not self._is_put_off_again(errand, time.monotonic()):
                    await self._run_on_wire(errand, places)
        finally:
            places.taken -= 1

    async def _run_on_wire(self, errand: Errand, places: Places) -> None:
        if not places.on_wire:
            places.moved_at = time.monotonic()
        places.on_wire += len(errand.intents)
        try:
            await self._run_errand(errand)
        finally:
            places.on_wire -= len(errand.intents)

    def _is_put_off_again(self, errand: Errand, now: float) -> bool:
        """Put off once: a process or a provider that stood still lets go of all at one moment."""
        if errand.was_late or now - errand.start_at < LATE or now > errand.write_by:
            return False
        errand.was_late = True
        errand.start_at = _turn(errand.intents, self._next_late_at, now)
        return self._is_put_off(errand, now)

    async def _run_errand(self, errand: Errand) -> None:
        outcomes: Mapping[str, Outcome] | None = None
        try:
            outcomes = await self._send(errand)
        except (Exception, asyncio.CancelledError):
            logger.exception("sending failed", extra={"message_id": errand.first.message_id})
        finally:
            if outcomes is not None:
                self._end(errand, outcomes)
            elif errand.was_announced:
                self._end_alike(errand, Unknown("error_while_sending"))
            else:
                self._end_alike(errand, NotSent("error_before_sending"))

    def _end_alike(self, errand: Errand, outcome: Outcome) -> None:
        self._end(errand, dict.fromkeys([intent.send.ref for intent in errand.intents], outcome))

    def _end(self, errand: Errand, outcomes: Mapping[str, Outcome]) -> None:
        """The breaker hears of the request once: by what was taken or refused of it, if any was."""
        found = [outcomes[intent.send.ref] for intent in errand.intents]
        answered = (outcome for outcome in found if isinstance(outcome, Accepted | Rejected))
        self._tell_breaker(errand.first.account_id, next(answered, found[0]))
        places, now = self._places[errand.first.account_id], time.monotonic()
        if found[0] is TOO_LATE:
            places.was_late(now)
        elif errand.was_announced and not all(isinstance(outcome, Unknown) for outcome in found):
            places.was_answered(now)
        self._answers.extend(map(Answered, errand.intents, found))
        self._came.set()

    async def _send(self, errand: Errand) -> Mapping[str, Outcome]:
        assert self._transport is not None  # noqa: S101 - made before the thread is ready
        access = errand.first.access
        outcomes = await self._transport.send(
            adapter(access.kind, access.definition),
            [intent.send for intent in errand.intents],
            access,
            write_by=errand.write_by,
            announce=errand.announce,
        )
        if errand.was_announced:
            try:
                lines = {ref: outcome_to_json(outcome) for ref, outcome in outcomes.items()}
                errand.journal.came_back(lines)
            except CannotWrite:
                extra = {"attempt_id": errand.first.attempt_id}
                logger.warning("outcome not journaled", extra=extra)
        return outcomes

    def _tell_breaker(self, account_id: int, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted | Rejected):
            self._breaker.answered(account_id)
        elif isinstance(outcome, NotSent) and (outcome.throttled or outcome.unreachable):
            self._breaker.refused(
                account_id, now=time.monotonic(), retry_after=outcome.retry_after or 0.0
            )
        elif isinstance(outcome, Unknown):
            self._breaker.doubted(account_id, now=time.monotonic())
        else:
            self._breaker.unused(account_id)


def _requests(parcel: Parcel) -> Iterator[tuple[Sequence[Intent], float]]:
    """What goes in one request, in the order of the first of each, and when all may still leave."""
    together: dict[str, list[tuple[Intent, float]]] = {}
    for intent, write_by in parcel.intents:
        key = intent.send.request_ref or intent.send.ref
        together.setdefault(key, []).append((intent, write_by))
    for pairs in together.values():
        yield [intent for intent, _ in pairs], min(write_by for _, write_by in pairs)


def _turn(intents: Sequence[Intent], next_at: dict[int, float], now: float) -> float:
    """When they may leave by the pace of their number, a monotonic second; their time is taken."""
    lane_id, rate = intents[0].lane_id, intents[0].segments_per_second
    start_at = min(max(now, next_at[lane_id]), now + LONGEST_PACE)
    if rate > 0:  # it may have been set to none after the grant
        next_at[lane_id] = start_at + sum(intent.send.segments for intent in intents) / rate
    return start_at
