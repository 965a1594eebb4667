"""What a simulated provider does with a message: what the number, its orders or its rates say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from providers import segments
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


ACCEPTED = Verdict("accepted", took=True)
THROTTLED = Verdict("throttled", took=False, refusal=Refusal.THROTTLED)

MODES = {
    "invalid": Verdict("refused_invalid", took=False, refusal=Refusal.INVALID_RECIPIENT),
    "landline": Verdict("refused_landline", took=False, refusal=Refusal.LANDLINE),
    "opted_out": Verdict("refused_opted_out", took=False, refusal=Refusal.OPTED_OUT),
    "refuse_401": Verdict("refused_401", took=False, refusal=Refusal.UNAUTHORISED),
    "429": THROTTLED,
    "500": Verdict("accepted_500", took=True, refusal=Refusal.SERVER_ERROR),
    "503": Verdict("refused_503", took=False, refusal=Refusal.UNAVAILABLE),
    "hang": Verdict("accepted_hung", took=True, delay=60.0),
    "close_after_read": Verdict("accepted_closed", took=True, ending=Ending.CLOSE),
    "close_not_taken": Verdict("dropped_closed", took=False, ending=Ending.CLOSE),
    "half_answer": Verdict("accepted_half_answered", took=True, ending=Ending.HALF),
    "garbage": Verdict("accepted_garbage", took=True, ending=Ending.GARBAGE),
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
MAX_NUMBER = 1_000_000


class BadControl(ValueError):
    """A command to the simulator that it does not understand; nothing was changed."""


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

    def judge(self, sent: Submission) -> Verdict:
        verdict = self._ruled(sent) or self._magic(sent.to)
        if verdict is None:
            verdict = THROTTLED if self.limits and not self._has_room(sent) else ACCEPTED
        self.counters[verdict.name] += 1
        return verdict

    def _ruled(self, sent: Submission) -> Verdict | None:
        for rule in self.rules:
            if rule.applies(sent):
                return MODES[rule.mode]
        return None

    def _magic(self, to: str) -> Verdict | None:
        digits = to[-4:]
        if digits == THROTTLED_ONCE and to not in self._throttled_once:
            self._throttled_once.add(to)
            return THROTTLED
        mode = MAGIC.get(digits)
        return MODES[mode] if mode else None

    def _has_room(self, sent: Submission) -> bool:
        """Take the message's segments from its account and its number, or from neither."""
        now, price = self.clock(), segments.count(sent.text).parts
        buckets = [
            bucket
            for scope, name in (("account", sent.account), ("number", sent.from_value))
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

    def obey(self, command: object) -> None:
        """Raises BadControl, and then nothing has changed."""
        if not isinstance(command, dict):
            raise BadControl("the command must be a JSON object")
        actions = {"latency_ms": self._set_latency, "throttle": self._throttle, "mode": self._rule}
        chosen = [name for name in actions if name in command]
        if len(chosen) != 1:
            raise BadControl(f"give exactly one of {', '.join(actions)}")
        actions[chosen[0]](command)

    def _set_latency(self, command: dict[str, Any]) -> None:
        _only(command, {"latency_ms"})
        self.latency = _number(command, "latency_ms", at_least=0) / 1000

    def _throttle(self, command: dict[str, Any]) -> None:
        """{"throttle": "account" or "number", "name": …, "per_second": … or null, "burst": …}"""
        _only(command, {"throttle", "name", "per_second", "burst"})
        scope, name = command["throttle"], _text(command, "name")
        if scope not in ("account", "number"):
            raise BadControl("throttle must be account or number")
        if command.get("per_second") is None:
            self.limits.pop((scope, name), None)
        else:
            rate = _number(command, "per_second", at_least=0)
            burst = _number({"burst": max(1, rate), **command}, "burst", at_least=1)
            self.limits[scope, name] = Limit(rate, burst)
        self._buckets.clear()

    def _rule(self, command: dict[str, Any]) -> None:
        """{"mode": …, "account": …, "number": …, "count": …, "every": …}; "normal" ends rules."""
        _only(command, {"mode", "account", "number", "count", "every"})
        mode, account, number = command["mode"], _text(command, "account"), _text(command, "number")
        if mode == "normal":
            self.rules = [
                rule
                for rule in self.rules
                if account not in {None, rule.account} or number not in {None, rule.number}
            ]
            return
        if not isinstance(mode, str) or mode not in MODES:
            raise BadControl(f"mode must be normal or one of {', '.join(MODES)}")
        count = _whole(command, "count", at_least=1) if "count" in command else None
        every = _whole(command, "every", at_least=1) if "every" in command else 1
        self.rules.append(Rule(mode=mode, account=account, number=number, count=count, every=every))


def _only(command: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(command) - known)
    if unknown:
        raise BadControl(f"not known here: {', '.join(unknown)}")


def _number(command: dict[str, Any], name: str, *, at_least: float) -> float:
    value = command[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not at_least <= value <= MAX_NUMBER:
        raise BadControl(f"{name} must be a number from {at_least} to {MAX_NUMBER}")
    return float(value)


def _whole(command: dict[str, Any], name: str, *, at_least: int) -> int:
    if not isinstance(command[name], int):
        raise BadControl(f"{name} must be a whole number of at least {at_least}")
    return int(_number(command, name, at_least=at_least))


def _text(command: dict[str, Any], name: str) -> str | None:
    value = command.get(name)
    if value is not None and not isinstance(value, str):
        raise BadControl(f"{name} must be a text")
    return value
