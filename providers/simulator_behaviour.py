"""What a simulated provider does with a message: what the number, its orders or its rates say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from providers import segments
from providers.simulator_control import BadControl as BadControl
from providers.simulator_control import Order, number, only, text, whole
from providers.simulator_ledger import Submission


class Refusal(Enum):
    """Why a provider says no; each says it in its own words."""

    INVALID_RECIPIENT = auto()
    LANDLINE = auto()
    OPTED_OUT = auto()
    THROTTLED = auto()
    UNAUTHORISED = auto()
    SERVER_ERROR = auto()
    UNAVAILABLE = auto()


class Ending(Enum):
    ANSWER = auto()
    GARBAGE = auto()  # a success that nobody can read
    CLOSE = auto()  # no answer at all
    HALF = auto()  # the first half of the answer
    DRIP = auto()  # a byte at a time
    HUGE = auto()  # the answer, and megabytes more
    MOVED = auto()  # a redirection to where the request came
    ANOTHERS = auto()  # the answer to another message


@dataclass(frozen=True, slots=True)
class Verdict:
    """`took`: whether the message goes on its way.

    Where the answer leaves that open, it mostly does, so that a second send would show.
    """

    name: str
    took: bool
    refusal: Refusal | None = None
    ending: Ending = Ending.ANSWER
    delay: float = 0.0  # seconds, on top of the latency
    retry_after: int | None = None  # seconds, told with a refusal


ACCEPTED = Verdict("accepted", took=True)
THROTTLED = Verdict("throttled", took=False, refusal=Refusal.THROTTLED)

MODES = {
    "invalid": Verdict("refused_invalid", took=False, refusal=Refusal.INVALID_RECIPIENT),
    "landline": Verdict("refused_landline", took=False, refusal=Refusal.LANDLINE),
    "opted_out": Verdict("refused_opted_out", took=False, refusal=Refusal.OPTED_OUT),
    "refuse_401": Verdict("refused_401", took=False, refusal=Refusal.UNAUTHORISED),
    "429": THROTTLED,
    "429_retry_after": replace(THROTTLED, retry_after=2),
    "500": Verdict("accepted_500", took=True, refusal=Refusal.SERVER_ERROR),
    "503": Verdict("refused_503", took=False, refusal=Refusal.UNAVAILABLE),
    "hang": Verdict("accepted_hung", took=True, delay=60.0),
    "close_after_read": Verdict("accepted_closed", took=True, ending=Ending.CLOSE),
    "close_not_taken": Verdict("dropped_closed", took=False, ending=Ending.CLOSE),
    "half_answer": Verdict("accepted_half_answered", took=True, ending=Ending.HALF),
    "garbage": Verdict("accepted_garbage", took=True, ending=Ending.GARBAGE),
    "another_id": Verdict("accepted_another_id", took=True, ending=Ending.ANOTHERS),
    "huge": Verdict("accepted_huge", took=True, ending=Ending.HUGE),
    "drip": Verdict("accepted_dripped", took=True, ending=Ending.DRIP),
    "307": Verdict("accepted_307", took=True, ending=Ending.MOVED),
    "slow": Verdict("accepted", took=True, delay=2.0),
}
# The last four digits of the recipient, the same for every provider.
MAGIC = {
    "0001": "invalid",
    "0002": "landline",
    "0003": "opted_out",
    "0006": "500",
    "0007": "close_after_read",
    "0008": "hang",
    "0009": "garbage",
    "0013": "refuse_401",
    "0015": "slow",
}
THROTTLED_ONCE = "0005"


def ending_of(recipient: str) -> str:
    """The last four digits of a number, or what stands in their place before an @."""
    return recipient.partition("@")[0][-4:]


@dataclass(kw_only=True, slots=True)
class Rule:
    """Applies a mode to the requests of an account or number, every so many, so often."""

    mode: str
    account: str | None = None
    number: str | None = None
    count: int | None = None  # how often yet; None: for good
    every: int = 1
    seen: int = 0

    def applies(self, sent: Submission) -> bool:
        if self.account not in {None, sent.account} or self.number not in {None, sent.from_value}:
            return False
        self.seen += 1
        if self.count == 0 or self.seen % self.every:
            return False
        if self.count is not None:
            self.count -= 1
        return True


@dataclass(slots=True)
class Bucket:
    """Segments a second with a burst, each account or number for itself."""

    per_second: float
    burst: float
    tokens: float
    at: float

    def refill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_second)
        self.at = now


@dataclass(frozen=True, slots=True)
class Limit:
    per_second: float
    burst: float


@dataclass(slots=True)
class Behaviour:
    """`clock` is monotonic, in seconds."""

    clock: Callable[[], float]
    latency: float = 0.0
    rules: list[Rule] = field(default_factory=list)
    limits: dict[tuple[str, str | None], Limit] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    _buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)
    _throttled_once: set[str] = field(default_factory=set)

    def judge(
        self, sent: Sequence[Submission], *, learns_later: Collection[Refusal] = ()
    ) -> Verdict:
        """The verdict on a request: that on all it carries, or on one of them that is amiss.

        Rules and rates are those of its account and number, which all of them share.
        """
        verdict = self._ruled(sent[0]) or self._magic_of(sent, learns_later)
        if verdict is None:
            verdict = THROTTLED if self.limits and not self._has_room(sent) else ACCEPTED
        self.counters[verdict.name] += len(sent)
        return verdict

    def _ruled(self, sent: Submission) -> Verdict | None:
        for rule in self.rules:
            if rule.applies(sent):
                return MODES[rule.mode]
        return None

    def _magic_of(
        self, sent: Sequence[Submission], learns_later: Collection[Refusal]
    ) -> Verdict | None:
        for one in sent:
            verdict = self._magic(one.to)
            if verdict is not None and verdict.refusal not in learns_later:
                return verdict
        return None

    def _magic(self, to: str) -> Verdict | None:
        digits = ending_of(to)
        if digits == THROTTLED_ONCE and to not in self._throttled_once:
            self._throttled_once.add(to)
            return THROTTLED
        mode = MAGIC.get(digits)
        return MODES[mode] if mode else None

    def _has_room(self, sent: Sequence[Submission]) -> bool:
        """Take the request's segments from its account and its number, or from neither."""
        now, price = self.clock(), sum(segments.count(one.text).parts for one in sent)
        buckets = [
            bucket
            for scope, name in (("account", sent[0].account), ("number", sent[0].from_value))
            if (bucket := self._bucket(scope, name, now))
        ]
        # A text longer than the whole burst passes on a full bucket and leaves a debt.
        if any(bucket.tokens < min(price, bucket.burst) for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.tokens -= price
        return True

    def _bucket(self, scope: str, name: str, now: float) -> Bucket | None:
        limit = self.limits.get((scope, name)) or self.limits.get((scope, None))
        if limit is None:
            return None
        bucket = self._buckets.get((scope, name))
        if bucket is None:
            bucket = Bucket(limit.per_second, limit.burst, limit.burst, now)
            self._buckets[scope, name] = bucket
        bucket.refill(now)
        return bucket

    # --- what it is told --------------------------------------------------------------------

    def orders(self) -> dict[str, Order]:
        return {"latency_ms": self._set_latency, "throttle": self._throttle, "mode": self._rule}

    def _set_latency(self, command: dict[str, Any]) -> None:
        only(command, {"latency_ms"})
        self.latency = number(command, "latency_ms", at_least=0) / 1000

    def _throttle(self, command: dict[str, Any]) -> None:
        """{"throttle": "account" or "number", "name": …, "per_second": … or null, "burst": …}"""
        only(command, {"throttle", "name", "per_second", "burst"})
        scope, name = command["throttle"], text(command, "name")
        if scope not in ("account", "number"):
            raise BadControl("throttle must be account or number")
        if command.get("per_second") is None:
            self.limits.pop((scope, name), None)
        else:
            rate = number(command, "per_second", at_least=0)
            burst = number({"burst": max(1, rate), **command}, "burst", at_least=1)
            self.limits[scope, name] = Limit(rate, burst)
        self._buckets.clear()

    def _rule(self, command: dict[str, Any]) -> None:
        """{"mode": …, "account": …, "number": …, "count": …, "every": …}; "normal" ends rules."""
        only(command, {"mode", "account", "number", "count", "every"})
        mode, account, number = command["mode"], text(command, "account"), text(command, "number")
        if mode == "normal":
            self.rules = [
                rule
                for rule in self.rules
                if account not in {None, rule.account} or number not in {None, rule.number}
            ]
            return
        if not isinstance(mode, str) or mode not in MODES:
            raise BadControl(f"mode must be normal or one of {', '.join(MODES)}")
        count = whole(command, "count", at_least=1) if "count" in command else None
        every = whole(command, "every", at_least=1) if "every" in command else 1
        self.rules.append(Rule(mode=mode, account=account, number=number, count=count, every=every))
