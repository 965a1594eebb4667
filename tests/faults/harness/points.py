"""The named points of a message's walk at which a worker is killed, or made to stand still.

A point is a call of a function of ours, before or after; or a byte on the wire to the provider,
which a trap between the two knows. When a function is renamed, this table is what to change.
"""

from __future__ import annotations

import importlib
import itertools
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from delivery.journal import CannotWrite, Journal
from delivery.pipeline import WRITE_WITHIN
from providers.base import REQUEST_SECONDS
from tests.faults.child import Trick, wrap

COMMIT = "django.db.backends.base.base:BaseDatabaseWrapper.commit"
CLAIMED = ("delivery.claims:claim", "after")
WRITTEN = ("delivery.intents:write", "after")
RECORDING = ("delivery.pipeline:record_answers", "before")
STORED = ("delivery.outcomes:_store_attempts", "after")
IN_TRANSACTION = 5.0  # seconds; the server ends whoever stands still in one for longer
MARGIN = 1.0


class Part(Enum):
    """A stretch of the walk."""

    DECIDING = auto()
    COMMITTED = auto()
    SENDING = auto()
    STORING = auto()


LIMITS = {
    Part.DECIDING: IN_TRANSACTION,
    Part.COMMITTED: WRITE_WITHIN,
    Part.SENDING: REQUEST_SECONDS,
    Part.STORING: IN_TRANSACTION,
}


class Byte(Enum):
    """Where on the wire."""

    FIRST_OF_REQUEST = "first byte of the request"
    LAST_OF_REQUEST = "last byte of the request"
    FIRST_OF_ANSWER = "first byte of the answer"
    LAST_OF_ANSWER = "last byte of the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """`armed_by`: calls that come first, in this order, so that it is this batch and no other.

    Claiming arms the points of a decision: a row that is claimed alone, because a worker died with
    it in hand, is left in peace, or innocent rows would end as killers of workers.
    """

    name: str
    part: Part
    target: str = ""
    at: str = "after"
    armed_by: tuple[tuple[str, str], ...] = ()
    nth: int = 1
    byte: Byte | None = None
    also: tuple[Trick, ...] = ()

    @property
    def limit(self) -> float:
        """Seconds that a worker stands still here to be past every limit."""
        return LIMITS[self.part] + MARGIN


@dataclass(frozen=True)
class Strike:
    """A signal to its own process when the walk comes to a point."""

    point: Point
    signal: int

    def play(self) -> None:
        armed, seen = self._arm(), itertools.count(1)

        def strike(*_: object) -> None:
            if armed.is_set() and next(seen) == self.point.nth:
                signal.pthread_kill(threading.get_ident(), self.signal)

        wrap(self.point.target, self.point.at, strike)

    def _arm(self) -> threading.Event:
        """Set when the calls that come first have come, one after the other."""
        armed = threading.Event()
        armed.set()
        for target, at in self.point.armed_by:
            here = threading.Event()
            wrap(target, at, _passing_on(armed, here))
            armed = here
        return armed


def _passing_on(before: threading.Event, here: threading.Event) -> Callable[..., None]:
    def pass_on(*_: object) -> None:
        if before.is_set():
            here.set()

    return pass_on


@dataclass(frozen=True)
class Unwritten:
    """One line of a journal cannot be written, so that its message is not sent and goes back."""

    nth: int

    def play(self) -> None:
        leaving, seen = Journal.leaving, itertools.count(1)

        def wrapper(journal: Journal, *refs: str) -> None:
            if next(seen) == self.nth:
                raise CannotWrite("as a full disk would have it")
            leaving(journal, *refs)

        Journal.leaving = wrapper  # type: ignore[method-assign]


def deciding(name: str, target: str, **more: Any) -> Point:
    armed = {"armed_by": (CLAIMED,), **more}
    return Point(name=name, part=Part.DECIDING, target=target, **armed)


def sending(name: str, target: str, at: str) -> Point:
    return Point(name=name, part=Part.SENDING, target=target, at=at, nth=12)


def storing(name: str, target: str, **more: Any) -> Point:
    armed = {"armed_by": (RECORDING,), **more}
    return Point(name=name, part=Part.STORING, target=target, **armed)


def on_the_wire(byte: Byte) -> Point:
    return Point(name=byte.value, part=Part.SENDING, byte=byte)


NOT_SENT = (Unwritten(5),)
POINTS = (
    deciding("after the grant", "delivery.picking:Picker.grants", armed_by=()),
    deciding("after the claim", "delivery.claims:claim", armed_by=()),
    deciding("after the facts", "delivery.facts:gather"),
    deciding("after the decision", "delivery.pipeline:decide_all"),
    deciding("after the links", "delivery.intents:_write_links"),
    deciding("after the attempts", "delivery.intents:_write_attempts"),
    deciding("after the persons", "delivery.intents:_write_persons"),
    deciding("after the messages", "delivery.intents:_write_messages"),
    deciding("after the rows put back", "delivery.intents:_put_back"),
    deciding("after the numbers", "delivery.intents:_write_stickies"),
    deciding("after the counters", "delivery.intents:_count"),
    deciding("before the commit", COMMIT, at="before", armed_by=(CLAIMED, WRITTEN)),
    Point(
        name="after the commit",
        part=Part.COMMITTED,
        target=COMMIT,
        armed_by=(CLAIMED, WRITTEN),
    ),
    Point(
        name="before Redis is told",
        part=Part.COMMITTED,
        target="delivery.picking:Picker.witness",
        at="before",
        armed_by=(CLAIMED,),
    ),
    Point(
        name="before the hand-over",
        part=Part.COMMITTED,
        target="delivery.sender:Sender.submit",
        at="before",
        armed_by=(CLAIMED,),
    ),
    Point(
        name="before the first journal line",
        part=Part.COMMITTED,
        target="delivery.journal:Journal.leaving",
        at="before",
    ),
    sending("before a journal line", "delivery.journal:Journal.leaving", "before"),
    sending("after a journal line", "delivery.journal:Journal.leaving", "after"),
    on_the_wire(Byte.FIRST_OF_REQUEST),
    on_the_wire(Byte.LAST_OF_REQUEST),
    on_the_wire(Byte.FIRST_OF_ANSWER),
    sending("before an answer is read", "providers.connection:Connection.data_received", "before"),
    on_the_wire(Byte.LAST_OF_ANSWER),
    sending("before the line of an outcome", "delivery.journal:Journal.came_back", "before"),
    sending("after the line of an outcome", "delivery.journal:Journal.came_back", "after"),
    storing("before the record", "delivery.pipeline:record_answers", at="before", armed_by=()),
    storing("after the attempts' outcomes", STORED[0]),
    storing("after the messages' states", "delivery.outcomes:_move_messages"),
    storing("before what was not sent goes back", "delivery.outcomes:_undo",
            at="before", also=NOT_SENT),
    storing("after what was not sent went back", "delivery.outcomes:_undo", also=NOT_SENT),
    storing("before the outcomes' commit", COMMIT, at="before", armed_by=(RECORDING, STORED)),
    storing("after the outcomes' commit", COMMIT, armed_by=(RECORDING, STORED)),
    storing("after the record", "delivery.pipeline:record_answers", armed_by=()),
)  # fmt: skip


class Misnamed(Exception):
    """A target of this table is not there; a sentence that says which."""


def check() -> None:
    """Every name leads to something. Raises Misnamed."""
    for point in POINTS:
        for target in (point.target, *(target for target, _ in point.armed_by)):
            if target and not is_there(target):
                raise Misnamed(
                    f"points.py: {point.name!r} names {target}, which is not there (any more)."
                )


def is_there(target: str) -> bool:
    module, _, path = target.partition(":")
    try:
        owner: Any = importlib.import_module(module)
    except ImportError:
        return False
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return callable(owner)
