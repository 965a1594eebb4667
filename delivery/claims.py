"""The Due queue: the claim, and putting back.

A claim deletes the rows it takes, under SKIP LOCKED, inside the transaction that decides them: a
worker that dies before the commit leaves everything as it was. There is no lease to expire.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter

from delivery import sql
from delivery.states import Reason

SHIFT_LOCK = 0x53484946  # held shared by every claim, exclusively by a shift of the sandbox's clock
REPLIES = 0  # the queue of replies; a campaign's is its id, a brand's single messages minus its id
MOST_CLOCK_SKEW = 30.0  # seconds between this process's clock and the database's

BEGIN_CLAIM = """
SELECT set_config('lock_timeout', '2s', true), set_config('statement_timeout', '5s', true),
       set_config('idle_in_transaction_session_timeout', '5s', true),
       pg_try_advisory_xact_lock_shared(%s),
       extract(epoch FROM clock_timestamp())::float8, sendonce_now()
"""

# The rows are deleted by an array of ids: joined, a LIMIT that is no constant makes the database
# expect a tenth of the queue, and read all of it (seen: 35 ms instead of 5 for 200,000 rows).
CLAIM = """
WITH grants AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::int[]) AS g (queue, lane_id, most)
), picked AS MATERIALIZED (
    SELECT d.message_id FROM grants g CROSS JOIN LATERAL (
        SELECT message_id FROM delivery_due
        WHERE queue = g.queue AND lane_id = g.lane_id AND crashes = 0
          AND not_before <= %s AND expires_at > %s
        ORDER BY not_before, message_id LIMIT g.most FOR UPDATE SKIP LOCKED) d
)
DELETE FROM delivery_due d WHERE d.message_id = ANY (ARRAY(SELECT message_id FROM picked))
RETURNING d.message_id, d.brand_id, d.campaign_id, d.lane_id, d.queue, d.priority, d.segments,
          d.not_before, d.expires_at, d.tries, d.strikes, d.crashes, d.reason, d.goes_alone
"""

CLAIM_ALONE = """
WITH picked AS MATERIALIZED (
    SELECT message_id FROM delivery_due
    WHERE message_id = %s AND crashes > 0 AND expires_at > %s FOR UPDATE SKIP LOCKED
)
DELETE FROM delivery_due d WHERE d.message_id = ANY (ARRAY(SELECT message_id FROM picked))
RETURNING d.message_id, d.brand_id, d.campaign_id, d.lane_id, d.queue, d.priority, d.segments,
          d.not_before, d.expires_at, d.tries, d.strikes, d.crashes, d.reason, d.goes_alone
"""

PUT_BACK = """
INSERT INTO delivery_due (message_id, brand_id, campaign_id, lane_id, queue, priority, segments,
                          not_before, expires_at, tries, strikes, crashes, reason, goes_alone)
SELECT * FROM unnest(
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::int[],
    %s::timestamptz[], %s::timestamptz[], %s::int[], %s::int[], %s::int[], %s::text[], %s::bool[])
"""


class ClockSkew(Exception):
    """This process's clock is too far from the database's to be trusted near a closing time."""


class Shifting(Exception):
    """The sandbox's clock is being moved: nothing is claimed meanwhile."""


@dataclass(slots=True)
class Claimed:
    """A row taken from the queue, in the order of the statements' columns.

    Put back unchanged or with a later time and a reason.
    """

    message_id: int
    brand_id: int
    campaign_id: int | None
    lane_id: int
    queue: int
    priority: int
    segments: int
    not_before: datetime
    expires_at: datetime
    tries: int
    strikes: int
    crashes: int
    reason: str
    goes_alone: bool

    def hold(self, reason: Reason, until: datetime) -> None:
        self.reason, self.not_before = reason, until


COLUMNS = tuple(field.name for field in fields(Claimed))


@dataclass(frozen=True, slots=True)
class Grant:
    queue: int
    lane_id: int
    rows: int


def begin(real_now: float) -> datetime:
    """Open a claim's transaction: time-outs, the shared shift lock, the two clocks compared.

    `real_now` is `time.time()`. Returns the decision's now (UTC). Raises ClockSkew and Shifting.
    """
    *_, free, database_epoch, now = sql.one(BEGIN_CLAIM, SHIFT_LOCK)
    if abs(database_epoch - real_now) > MOST_CLOCK_SKEW:
        raise ClockSkew(f"{database_epoch - real_now:+.0f} s")
    if not free:
        raise Shifting
    assert isinstance(now, datetime)  # noqa: S101 - narrows the driver's Any
    return now


def claim(grants: Sequence[Grant], *, now: datetime) -> list[Claimed]:
    """Take at most the granted rows of each lane out of the queue, oldest first."""
    columns = [[getattr(grant, name) for grant in grants] for name in Grant.__slots__]
    return [Claimed(*row) for row in sql.rows(CLAIM, *columns, now, now)]


def claim_alone(message_id: int, *, now: datetime) -> list[Claimed]:
    """Take one row that was in the hands of a worker that died."""
    return [Claimed(*row) for row in sql.rows(CLAIM_ALONE, message_id, now)]


def put_back(rows: Iterable[Claimed]) -> None:
    """Back into the queue, in one statement."""
    rows = sorted(rows, key=attrgetter("message_id"))
    if rows:
        sql.count(PUT_BACK, *([getattr(row, name) for row in rows] for name in COLUMNS))
