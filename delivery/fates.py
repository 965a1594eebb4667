"""What becomes of people of one kind in each slot of a campaign, by the planner's and walk's rules.

Pure. The order of the questions is the order in which the planner and the steps ask them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from campaigns.models import Slot
from delivery.allowances import PersonLimits
from delivery.audience import Alike, Coming
from delivery.planning import Share
from delivery.states import Reason
from delivery.steps import hash_of_words

HOLDS = frozenset({Reason.PERSON_HELD, Reason.INBOUND_WAITING})
Send = tuple[float, int, str, str]
THEIRS = -1  # the id of a message that is not the one in question


class End(Enum):
    """What a message comes to, as far as one can know."""

    SUPPRESSED = auto()  # none is made
    REFUSED = auto()
    WAITS = auto()  # until somebody judges a reply
    EXPIRES = auto()
    LEAVES = auto()


@dataclass(frozen=True, slots=True)
class Fate:
    """`at` is the first instant (UTC) at which it may leave; a reason there says why it is late."""

    end: End
    reason: Reason = Reason.NONE
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A slot's turn for one set of places; `opens_at` (UTC) is when it may begin to send there."""

    slot: Slot
    share: Share
    opens_at: datetime | None
    text: str

    @property
    def day(self) -> str:
        return self.slot.local_date.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides beside the person. `text` is what the draft slots say; `left_out` is of no
    account where words are compared."""

    now: datetime
    text: str
    limits: PersonLimits
    has_lanes: bool
    repeats_words: bool
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _Heard:
    """What such a person has been sent by then: before, and by the turns gone through so far.

    `coming` waits in the queue and counts from its own time on.
    """

    coming: deque[Coming]
    sends: list[Send]
    said: set[str]
    texts: set[tuple[str, str]]

    def add(self, at: float, day: str, text: str) -> None:
        self.sends.append((at, THEIRS, "", ""))
        self.texts.add((day, text))


def fates(alike: Alike, turns: Sequence[Turn], rules: Rules) -> Iterator[tuple[Turn, Fate]]:
    """What these people come to in each turn of their places, which is given in order of time."""
    ended = sorted(turn.share.expires_at for turn in turns if turn.share.expires_at <= rules.now)
    planned = {one.slot_id for one in alike.coming}
    sends = [(at, THEIRS, "", "") for at in alike.times]
    heard = _Heard(deque(alike.coming), sends, set(alike.said), set())
    for turn in turns:
        if turn.slot.pk in planned:
            continue  # theirs of this slot waits among the others
        if alike.late and turn.share.expires_at <= ended[alike.late - 1]:
            continue  # they came when it was over: the planner does not look at them
        fate = _fate(alike, turn, rules, heard)
        if fate.at is not None:
            heard.add(fate.at.timestamp(), turn.day, turn.text)
        yield turn, fate


def _fate(alike: Alike, turn: Turn, rules: Rules, heard: _Heard) -> Fate:
    if alike.suppressed:
        return Fate(End.SUPPRESSED, Reason(alike.suppressed))
    if turn.share.refusal or not rules.has_lanes:
        return Fate(End.REFUSED, turn.share.refusal or Reason.NO_ROUTE)
    if turn.share.expires_at <= rules.now:
        return Fate(End.EXPIRES, Reason.NO_CAPACITY)
    if alike.kept_out:
        reason = Reason(alike.kept_out)
        return Fate(End.WAITS if reason in HOLDS else End.REFUSED, reason)
    if turn.opens_at is None or turn.opens_at >= turn.share.expires_at:
        return Fate(End.EXPIRES, Reason.QUIET_HOURS)
    allowed = _allowed_at(turn.opens_at, rules, heard)
    if allowed >= turn.share.expires_at.timestamp():
        return Fate(End.EXPIRES, Reason.PERSON_LIMIT)
    return _said(alike, turn, rules, heard) or _leaves(turn.opens_at, allowed)


def _allowed_at(opens_at: datetime, rules: Rules, heard: _Heard) -> float:
    """When the limits let them have one, behind what is to leave before it (epoch seconds)."""
    at = max(opens_at.timestamp(), rules.limits.allowed_at(heard.sends, 0))
    while heard.coming and heard.coming[0].at <= at:
        first = heard.coming.popleft()
        heard.add(first.at, first.day, rules.text)
        at = max(at, rules.limits.allowed_at(heard.sends, 0))
    return at


def _said(alike: Alike, turn: Turn, rules: Rules, heard: _Heard) -> Fate | None:
    """Why the words are refused."""
    if alike.unsayable == Reason.CANNOT_RENDER:
        return Fate(End.REFUSED, Reason.CANNOT_RENDER)
    if not rules.repeats_words and _is_known(alike, turn, rules, heard):
        return Fate(End.REFUSED, Reason.SAME_WORDS)
    return Fate(End.REFUSED, Reason(alike.unsayable)) if alike.unsayable else None


def _is_known(alike: Alike, turn: Turn, rules: Rules, heard: _Heard) -> bool:
    if (turn.day, turn.text) in heard.texts:
        return True
    if not heard.said:
        return False
    words = hash_of_words(alike.words, *rules.left_out)
    return f"{turn.day} {words}" in heard.said


def _leaves(opens_at: datetime, allowed: float) -> Fate:
    if allowed <= opens_at.timestamp():
        return Fate(End.LEAVES, at=opens_at)
    return Fate(End.LEAVES, Reason.PERSON_LIMIT, datetime.fromtimestamp(allowed, UTC))
