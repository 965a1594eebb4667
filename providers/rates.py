"""How fast we may send: token buckets in Redis, the database's mark, and rests after throttles.

Everything here fails towards sending less. A bucket that Redis does not know is empty, so a flush,
a fail-over or a restart from an old file only slows; a call that fails grants nothing.

A message may leave once each of its buckets (number, account, brand, and whatever limits there are
beside) holds one token. It costs its segments, or one token where messages are counted; what it
costs beyond is debt. So no message is too long for its bucket, and long ones are
not starved by short ones, as they are where a bucket must first hold the whole price. Over any
stretch of time a bucket lets through its rate, its burst, the rest of one message and one reply.
"""

from __future__ import annotations

import json
import logging
import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from providers.rates_script import GRANT

logger = logging.getLogger(__name__)

TIMEOUT = 1.0  # seconds, to connect and again to be answered
LONGEST_WAIT = 60.0  # seconds; limits may change, so nobody is told to stay away longer
WAIT_AFTER_TROUBLE = 1.0
HIGHEST_LIMIT = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Rows that wait in one queue for one number, at `segments_each` a row.

    Replies do not count against the brand. `queue` is the caller's own; nothing here reads it.
    `paces`: the ids of further limits that bind it.
    """

    queue: int
    lane_id: int
    account_id: int
    brand_id: int
    rows: int
    segments_each: int
    is_reply: bool = False
    paces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """A further limit a second, in messages or in segments. `spare`: its last is for replies."""

    rate: float
    in_messages: bool = False
    spare: bool = True


NO_PACE = Pace(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Segments per second, for everything that is wanted or returned; and further limits, by id.

    A number always has a limit. An account or brand that is missing or None has none of its own.
    What is not a positive, finite number grants nothing, nor does a pace that a want names and that
    is missing.
    """

    lanes: Mapping[int, float]
    accounts: Mapping[int, float | None] = field(default_factory=dict)
    brands: Mapping[int, float | None] = field(default_factory=dict)
    paces: Mapping[int, Pace] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """Tokens since the last call: positive ones were not used, negative ones are to be paid.

    They are segments, but messages where a pace counts those.
    """

    lanes: Mapping[int, int] = field(default_factory=dict)
    accounts: Mapping[int, int] = field(default_factory=dict)
    brands: Mapping[int, int] = field(default_factory=dict)
    paces: Mapping[int, int] = field(default_factory=dict)

    def debts(self) -> Returned:
        """What to hand in again after a call that failed.

        It may have been carried out all the same: to pay twice is safe, to get back twice is not.
        """
        return Returned(
            lanes=_negative(self.lanes),
            accounts=_negative(self.accounts),
            brands=_negative(self.brands),
            paces=_negative(self.paces),
        )


def _negative(segments: Mapping[int, int]) -> dict[int, int]:
    return {key: number for key, number in segments.items() if number < 0}


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest ids the database has committed; 0 for an empty table."""

    attempt_id: int
    opt_out_id: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What may be sent now.

    `rows` and `waits` are in the order of the wants. A wait is the seconds until one message can be
    granted, at most a minute; it is 0 where rows were granted, and where the number has tokens but
    this call has given out a second's worth of them. `behind`: the database has forgotten what it
    had committed; claim nothing until a person confirms it (what was returned was not taken in).
    `trouble`: why there was no answer; hand in `Returned.debts()` again.
    """

    rows: tuple[int, ...]
    waits: tuple[float, ...]
    behind: bool = False
    trouble: str = ""


def connect(url: str) -> Redis:
    """A client that gives up after a second and never repeats a call: that gives back twice."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


def grant(
    redis: Redis,
    *,
    installation: str,
    wants: Sequence[Want],
    limits: Limits,
    returned: Returned,
    read_mark: Callable[[], Mark],
) -> Granted:
    """Take tokens for at most the wanted rows, in order; when Redis does not answer, for none.

    One call gives a number at most a second's worth, or one message if that is more. `read_mark`
    must read the database anew, outside a snapshot: it is asked again where the first reading was
    behind, for another worker may have committed and called since. What it raises is passed on.
    """
    for _ in range(2):
        call = _call(wants, limits, returned, read_mark())
        try:
            behind, *numbers = _ask(redis, installation, call)
        except (RedisError, OSError) as error:
            trouble = type(error).__name__
            logger.warning("no tokens: redis did not answer", extra={"error": trouble})
            return _nothing(wants, wait=WAIT_AFTER_TROUBLE, trouble=trouble)
        if not behind:
            return Granted(tuple(numbers[::2]), tuple(ms / 1000 for ms in numbers[1::2]))
    return _nothing(wants, wait=LONGEST_WAIT, behind=True)


RAISE_MARK = """
local known = tonumber(redis.call('HGET', KEYS[1], 'attempt') or 0)
if tonumber(ARGV[1]) > known then redis.call('HSET', KEYS[1], 'attempt', ARGV[1]) end
return 1
"""


def raise_mark(redis: Redis, *, installation: str, attempt_id: int) -> bool:
    """Tell Redis of intents that are committed, before they leave; False when it was not told.

    A database that loses them is then behind the mark, even when it is the last batch that is lost.
    """
    try:
        redis.register_script(RAISE_MARK)(keys=[_mark_key(installation)], args=[attempt_id])
    except (RedisError, OSError) as error:
        logger.warning("mark not raised", extra={"error": type(error).__name__})
        return False
    return True


def stored_mark(redis: Redis, installation: str) -> Mark | None:
    """The highest ids Redis was told of, for the person who must confirm. Raises RedisError."""
    attempt, opt_out = redis.hmget(_mark_key(installation), ["attempt", "opt_out"])
    return Mark(int(attempt), int(opt_out)) if attempt and opt_out else None


def confirm_database(redis: Redis, installation: str, mark: Mark) -> None:
    """A person has looked: go on from what this database holds. Raises RedisError."""
    values: list[str | int] = ["attempt", mark.attempt_id, "opt_out", mark.opt_out_id]
    redis.hset(_mark_key(installation), items=values)


def _mark_key(installation: str) -> str:
    return f"sendonce:{{{installation}}}:mark"


def _nothing(
    wants: Sequence[Want], *, wait: float, behind: bool = False, trouble: str = ""
) -> Granted:
    return Granted((0,) * len(wants), (wait,) * len(wants), behind, trouble)


def _ask(redis: Redis, installation: str, call: str) -> list[int]:
    answer = redis.register_script(GRANT)(keys=[_mark_key(installation)], args=[call])
    return [int(number) for number in answer]


def _call(wants: Sequence[Want], limits: Limits, returned: Returned, mark: Mark) -> str:
    """The call as the script reads it.

    A bucket is its name, rate, spare tokens, returned tokens, and whether it counts messages; a
    want is its rows, segments, whether it is a reply, and the places of its buckets, its number's
    first.
    """
    buckets = _buckets(wants, limits, returned)
    places = {name: place for place, (name, *_) in enumerate(buckets, start=1)}
    rows = [
        (
            max(want.rows, 0),
            max(want.segments_each, 1),
            want.is_reply,
            [places[name] for name in _names(want) if name in places],
        )
        for want in wants
    ]
    ids = {"attempt": mark.attempt_id, "opt_out": mark.opt_out_id}
    return json.dumps({**ids, "buckets": buckets, "wants": rows}, allow_nan=False)


def _names(want: Want) -> list[str]:
    names = [f"lane:{want.lane_id}", f"account:{want.account_id}"]
    names += [] if want.is_reply else [f"brand:{want.brand_id}"]
    return [*names, *(f"pace:{pace_id}" for pace_id in want.paces)]


Bucket = tuple[str, float, int, int, bool]


def _buckets(wants: Sequence[Want], limits: Limits, returned: Returned) -> list[Bucket]:
    lanes = {want.lane_id for want in wants} | returned.lanes.keys()
    accounts = {want.account_id for want in wants} | returned.accounts.keys()
    brands = {want.brand_id for want in wants if not want.is_reply} | returned.brands.keys()
    kinds = (
        ("lane", 1, {key: limits.lanes.get(key, 0.0) for key in lanes}, returned.lanes),
        ("account", 1, {key: limits.accounts.get(key) for key in accounts}, returned.accounts),
        ("brand", 0, {key: limits.brands.get(key) for key in brands}, returned.brands),
    )
    return [
        (f"{kind}:{key}", _readable(limit), spare, back.get(key, 0), False)
        for kind, spare, by_id, back in kinds
        for key, limit in by_id.items()
        if limit is not None or kind == "lane"
    ] + _paces(wants, limits, returned)


def _paces(wants: Sequence[Want], limits: Limits, returned: Returned) -> list[Bucket]:
    """What is wanted of a limit that is not there gets nothing; what is returned to it is lost."""
    wanted = {pace_id for want in wants for pace_id in want.paces}
    found = {key: limits.paces.get(key, NO_PACE) for key in wanted}
    found |= {key: limits.paces[key] for key in returned.paces if key in limits.paces}
    return [
        (
            f"pace:{key}",
            _readable(pace.rate),
            int(pace.spare),
            returned.paces.get(key, 0),
            pace.in_messages,
        )
        for key, pace in found.items()
    ]


def _readable(limit: object) -> float:
    """The limit, or 0, which grants nothing."""
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        return 0.0
    return min(float(limit), HIGHEST_LIMIT) if math.isfinite(limit) and limit > 0 else 0.0


class Breaker:
    """Rests accounts that throttle us, refuse connections or lose all answers, in one process.

    After `STRIKES` in a row, or `DOUBTS` lost answers in a row, an account rests for a second,
    then two, four and so on, up to a minute; a provider that asks for longer gets it, up to a
    quarter of an hour. Then one message at a time probes it, and the first that is answered ends
    the rest. `now` is `time.monotonic()`.
    """

    STRIKES = 3
    DOUBTS = 20  # no message of unknown fate is sent again, so what loses all must be left soon
    FIRST_REST = 1.0
    LONGEST_REST = 60.0
    LONGEST_ASKED = 900.0
    PROBE_LASTS = 30.0  # a probe whose answer was lost is given up, and another one made

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._accounts: dict[int, _Trouble] = {}
        self._lock = threading.Lock()  # asked before a claim, told by the thread that sends

    def room(self, account_id: int, wanted: int, *, now: float) -> int:
        """How many messages the account may get: `wanted`, none while it rests, one as a probe."""
        with self._lock:
            trouble = self._accounts.get(account_id)
            if trouble is None or not trouble.rests:
                return wanted
            if wanted < 1 or now < max(trouble.until, trouble.probe_until):
                return 0
            trouble.probe_until = now + self.PROBE_LASTS
            return 1

    def rest_left(self, account_id: int, *, now: float) -> float:
        """Seconds until the account may get a message; unlike `room`, takes no probe."""
        with self._lock:
            trouble = self._accounts.get(account_id)
            return max(trouble.until - now, trouble.probe_until - now, 0.0) if trouble else 0.0

    def unused(self, account_id: int) -> None:
        """The probe that `room` allowed was not made after all."""
        with self._lock:
            if trouble := self._accounts.get(account_id):
                trouble.probe_until = 0.0

    def doubted(self, account_id: int, *, now: float) -> None:
        """A message of unknown fate: one says nothing, but that a probe was not answered."""
        with self._lock:
            trouble = self._accounts.setdefault(account_id, _Trouble())
            trouble.doubts += 1
            if trouble.probe_until or (not trouble.rests and trouble.doubts >= self.DOUBTS):
                self._begin_rest(trouble, now)

    def answered(self, account_id: int) -> None:
        """The provider took or rejected a message. While the account rests, only a probe counts."""
        with self._lock:
            trouble = self._accounts.get(account_id)
            if trouble and (trouble.probe_until or not trouble.rests):
                del self._accounts[account_id]

    def refused(self, account_id: int, *, now: float, retry_after: float = 0.0) -> None:
        """A throttle or a refused connection; the provider may ask for `retry_after` seconds.

        What was on its way when the rest began lengthens it only by what it is asked for.
        """
        with self._lock:
            trouble = self._accounts.setdefault(account_id, _Trouble())
            trouble.strikes += 1
            if not trouble.rests and trouble.strikes < self.STRIKES:
                return
            asked = min(max(retry_after, 0.0), self.LONGEST_ASKED) * (1 + self._chance() / 10)
            if not trouble.rests or trouble.probe_until:
                self._begin_rest(trouble, now)
            trouble.until = max(trouble.until, now + asked)

    def _begin_rest(self, trouble: _Trouble, now: float) -> None:
        trouble.until = now + self._rest(trouble.rests)
        trouble.rests += 1
        trouble.probe_until = 0.0

    def _rest(self, earlier: int) -> float:
        """Half to all of the doubled time, so that processes do not come back in step."""
        doubled = self.FIRST_REST * 2.0 ** min(earlier, 16)
        return min(doubled, self.LONGEST_REST) * (1 + self._chance()) / 2


@dataclass(slots=True)
class _Trouble:
    strikes: int = 0
    doubts: int = 0
    rests: int = 0
    until: float = 0.0
    probe_until: float = 0.0  # 0 while no probe is under way
