"""What becomes of the messages that were taken, and in which order and form it is reported.

The recipient's number, the seed and how many texts that number got decide: each run is the same.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.simulator_behaviour import ending_of
from providers.simulator_control import BadControl, flag, members, only, seconds, share, whole
from providers.simulator_poster import Seal
from providers.simulator_wire import Fate

# The last four digits of the recipient, the same for every provider, when reports are on.
ENDINGS = {"0004": Fate.BLOCKED, "0012": Fate.EXPIRED}
NEVER_REPORTED = "0010"
NOTHING: Mapping[str, Fate] = {}
OUT_OF_ORDER_AND_TWICE = "0011"
FORGERIES = (Seal.WRONG, Seal.NONE, Seal.CHANGED)
_DRAWS = struct.Struct(">8I")
_SHARES = (
    *("undelivered", "failed", "twice", "reversed", "forged", "before_answer", "v2"),
    *("truncated", "repeated"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOrders:
    """Times in seconds; shares from 0 to 1, each drawn for a message."""

    delay: float
    jitter: float
    intermediate: bool  # "sent" before the final word
    undelivered: float
    failed: float
    twice: float
    reversed: float  # the final word before "sent"
    forged: float  # a forgery with another final word besides
    before_answer: float  # the reports leave before the answer to the send
    v2: float  # signed by the provider's older scheme
    truncated: float  # half of it came before, where that does not fit the signature
    repeated: float  # the last one comes once more, letter by letter
    seed: int


@dataclass(frozen=True, slots=True)
class Step:
    """Reports that leave together; the next ones when they were answered."""

    fate: Fate
    copies: int = 1
    seal: Seal = Seal.GENUINE


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    steps: tuple[Step, ...]
    pause: float  # before each step, in seconds
    is_before_answer: bool
    arrives: bool  # the person has the text


def read_report_orders(command: dict[str, Any]) -> ReportOrders | None:
    """{"reports": {...}}, or null for none. Raises BadControl."""
    if command["reports"] is None:
        only(command, {"reports"})
        return None
    told = members(command, "reports")
    only(told, {"delay_ms", "jitter_ms", "intermediate", "seed", *_SHARES})
    shares = {name: share(told, name) for name in _SHARES}
    if shares["undelivered"] + shares["failed"] > 1 + 1e-9:
        raise BadControl("undelivered and failed together must be a share from 0 to 1")
    return ReportOrders(
        delay=seconds(told, "delay_ms", default_ms=0),
        jitter=seconds(told, "jitter_ms", default_ms=0),
        intermediate=flag(told, "intermediate", default=True),
        seed=whole({"seed": 1, **told}, "seed", at_least=0),
        **shares,
    )


def draws(what: str) -> tuple[float, ...]:
    """Eight numbers from 0 to below 1 that follow from the text alone."""
    digest = hashlib.blake2b(what.encode(), digest_size=_DRAWS.size).digest()
    return tuple(number / 2**32 for number in _DRAWS.unpack(digest))


def course_of(
    orders: ReportOrders,
    to: str,
    *,
    nth: int,
    has_old_signature: bool,
    later: Mapping[str, Fate] = NOTHING,
) -> Course:
    """What is reported of the nth text to this number. `later`: further endings by its digits."""
    word, jitter, twice, turned, forged, forgery, early, old = draws(f"{orders.seed} {to} {nth}")
    digits = ending_of(to)
    is_magic = digits == OUT_OF_ORDER_AND_TWICE
    final = later.get(digits) or ENDINGS.get(digits) or _final(orders, word)
    seal = Seal.OLD if has_old_signature and old < orders.v2 else Seal.GENUINE
    copies = 2 if is_magic or twice < orders.twice else 1
    steps = [Step(final, copies, seal)]
    is_reversed = is_magic or turned < orders.reversed
    if is_reversed or orders.intermediate:
        position = len(steps) if is_reversed else 0
        steps.insert(position, Step(Fate.SENT, 2 if is_magic else 1, seal))
    if forged < orders.forged:
        _add_forgery(
            steps, final, FORGERIES[int(forgery * len(FORGERIES))], is_old=seal is Seal.OLD
        )
    _add_mishaps(orders, steps, final, f"{orders.seed} {to} {nth} mishaps", is_old=seal is Seal.OLD)
    if digits == NEVER_REPORTED:
        steps = []
    is_before_answer = early < orders.before_answer
    wait = 0.0 if is_before_answer else orders.delay + jitter * orders.jitter
    return Course(
        steps=tuple(steps),
        pause=wait / max(1, len(steps)),
        is_before_answer=is_before_answer,
        arrives=final is Fate.DELIVERED,
    )


def _final(orders: ReportOrders, draw: float) -> Fate:
    if draw < orders.undelivered:
        return Fate.UNDELIVERED
    return Fate.FAILED if draw < orders.undelivered + orders.failed else Fate.DELIVERED


def _add_forgery(steps: list[Step], final: Fate, seal: Seal, *, is_old: bool) -> None:
    """Before the genuine word, where it would do most harm.

    The older scheme covers no fields: what was changed carries the headers of a genuine report
    that we have had, so that it can only come after it.
    """
    lie = Fate.FAILED if final is Fate.DELIVERED else Fate.DELIVERED
    if is_old and seal is Seal.CHANGED:
        steps.append(Step(lie, seal=Seal.COPIED))
    else:
        steps.insert(0, Step(lie, seal=seal))


def _add_mishaps(
    orders: ReportOrders, steps: list[Step], final: Fate, what: str, *, is_old: bool
) -> None:
    """Half a report passes for a whole one where the signature covers no fields: there is none."""
    cut, again, *_ = draws(what)
    if cut < orders.truncated and not is_old:
        steps.insert(0, Step(final, seal=Seal.TRUNCATED))
    if again < orders.repeated:
        steps.append(Step(final, seal=Seal.REPEATED))
