"""How much a route can send in a minute, and which limit binds it.

Pure: a number passes its segments a second; its account, the brand and further limits pass so much
of what comes together there; and a daily limit lets out no more than its day has left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

SECONDS = 60.0
OWN_SPEED = "its numbers' own speed"
NO_NUMBER = "no number of it can send"


@dataclass(frozen=True, slots=True)
class Outlet:
    """A number that can send, in segments a second."""

    lane_id: int
    segments_per_second: float


@dataclass(frozen=True, slots=True)
class Bound:
    """What some numbers together may send: `most` in a second, or what is left of a day.

    `words` name it inside a sentence, as "the account East".
    """

    words: str
    lanes: Collection[int]
    most: float
    in_messages: bool = False
    is_daily: bool = False


@dataclass(frozen=True, slots=True)
class Most:
    """What leaves in the coming minute, in segments and messages, and what keeps it from more."""

    segments: float
    messages: float
    binds: str


def most_per_minute(
    outlets: Sequence[Outlet], bounds: Sequence[Bound], *, segments_each: float = 1.0
) -> Most:
    """What these numbers send in a minute, of messages with so many segments each.

    The limit that binds is the one that takes away most, once the others have taken theirs: without
    it the route would be faster. Bounds narrow from the first to the last.
    """
    if not outlets:
        return Most(0.0, 0.0, NO_NUMBER)
    every = _messages(outlets, bounds, segments_each)
    messages = sum(every.values())
    binds, gain = OWN_SPEED, 1e-9 * messages
    for bound in bounds:
        others = [other for other in bounds if other is not bound]
        more = sum(_messages(outlets, others, segments_each).values()) - messages
        if more > gain:
            binds, gain = bound.words, more
    return Most(messages * segments_each, messages, binds)


def _messages(
    outlets: Sequence[Outlet], bounds: Sequence[Bound], segments_each: float
) -> Mapping[int, float]:
    """Messages in a minute by number."""
    paces = {one.lane_id: one.segments_per_second * SECONDS / segments_each for one in outlets}
    for bound in bounds:
        together = sum(paces.get(lane_id, 0.0) for lane_id in set(bound.lanes))
        most = bound.most * (1.0 if bound.is_daily else SECONDS)
        most /= 1.0 if bound.in_messages else segments_each
        if together > most:
            less = {lane: paces[lane] * most / together for lane in set(bound.lanes) & paces.keys()}
            paces |= less
    return paces
