"""The people behind the phones: who answers a text, and with which word."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from providers.simulator_behaviour import ending_of
from providers.simulator_control import BadControl, members, only, seconds, share, whole
from providers.simulator_fates import draws

ANSWERS_STOP = "0014"  # the last four digits of who does, when reports are on
REPLY_SECONDS = 0.5
MAX_CHARS = 1_600
ROUNDING = 1e-9
HEARD_OF_ONE = 200  # texts of one phone that are remembered
HEARD_PHONES = 10_000


@dataclass(slots=True)
class Heard:
    """A text that a phone sent: `at` by the real Unix clock; `answer` 0: none, or none yet."""

    at: float
    to: str
    text: str
    answer: int = 0


class Memory:
    """What the phones sent; of so many phones, the last ones."""

    def __init__(self) -> None:
        self._by_phone: OrderedDict[str, deque[Heard]] = OrderedDict()

    def add(self, phone: str, heard: Heard) -> None:
        self._by_phone.setdefault(phone, deque(maxlen=HEARD_OF_ONE)).append(heard)
        self._by_phone.move_to_end(phone)
        if len(self._by_phone) > HEARD_PHONES:
            self._by_phone.popitem(last=False)

    def of(self, phone: str) -> list[Heard]:
        return list(self._by_phone.get(phone, ()))


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    is_forged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyOrders:
    """`words`: texts, each with the share of the phones that answer so."""

    words: tuple[tuple[str, float], ...]
    delay: float  # seconds
    forged: float  # the share of the other phones in whose name somebody else writes STOP
    seed: int


class People:
    """Each person answers at most once, whatever they get; the number and the seed decide."""

    def __init__(self, orders: ReplyOrders | None = None) -> None:
        self.orders = orders
        self.delay = orders.delay if orders else REPLY_SECONDS
        self._answered: set[str] = set()

    def reply_of(self, phone: str, *, has_magic: bool) -> Reply | None:
        if phone in self._answered:
            return None
        answers_stop = has_magic and ending_of(phone) == ANSWERS_STOP
        reply = Reply("STOP") if answers_stop else self._drawn(phone)
        if reply is not None:
            self._answered.add(phone)
        return reply

    def _drawn(self, phone: str) -> Reply | None:
        if self.orders is None:
            return None
        draw, forged, *_ = draws(f"{self.orders.seed} {phone}")
        bounds = accumulate(part for _, part in self.orders.words)
        for (text, _), bound in zip(self.orders.words, bounds, strict=True):
            if draw < bound:
                return Reply(text)
        return Reply("STOP", is_forged=True) if forged < self.orders.forged else None


def read_reply_orders(command: dict[str, Any]) -> ReplyOrders | None:
    """{"replies": {"STOP": 0.01, ..., "delay_ms": 500}}, or null for none. Raises BadControl."""
    if command["replies"] is None:
        only(command, {"replies"})
        return None
    told = members(command, "replies")
    words = {text: told[text] for text in told if text not in {"delay_ms", "forged", "seed"}}
    shares = tuple((checked_text(text), share(words, text)) for text in words)
    if sum(part for _, part in shares) > 1 + ROUNDING:
        raise BadControl("the shares of the replies together must be a share from 0 to 1")
    return ReplyOrders(
        words=shares,
        delay=seconds(told, "delay_ms", default_ms=REPLY_SECONDS * 1000),
        forged=share(told, "forged"),
        seed=whole({"seed": 1, **told}, "seed", at_least=0),
    )


def checked_text(text: str) -> str:
    """A text as a phone can send it. Raises BadControl."""
    if len(text) > MAX_CHARS:
        raise BadControl(f"a text has at most {MAX_CHARS:,} characters, this one has {len(text):,}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadControl("the text holds half a character") from None
    return text
