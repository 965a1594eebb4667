"""Trials of an account that is out: one message at a time, of all workers together.

A trial that is lost costs its person a message, so the leases grow longer: from half a minute, each
as long as the account has been out, up to five. A lease is given back only where no message left;
what is answered brings the account back by `weighing`, and what is lost waits for the lease's end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from brands import clock
from delivery import routing, sql

ASK_EVERY = 1.0  # seconds between two questions of one worker about one account
LIVES = timedelta(minutes=1)  # that a message must have left to be a trial

# Whoever else writes the account's row in this moment is not waited for.
LEASE = """
WITH free AS (
    SELECT a.id, c.now FROM providers_provideraccount a,
           (SELECT sendonce_now() AS now) c
    WHERE a.id = %s AND a.halves = 0 AND coalesce(a.probe_until <= c.now, true)
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE providers_provideraccount a
SET probe_until = free.now + least(greatest(free.now - a.halves_since, interval '30 seconds'),
                                   interval '5 minutes')
FROM free WHERE a.id = free.id RETURNING a.probe_until
"""

RELEASE = """
UPDATE providers_provideraccount SET probe_until = NULL
WHERE id = %s AND halves = 0 AND probe_until = %s
"""

OUT = """
SELECT a.id, array_agg(n.id ORDER BY n.id)
FROM providers_provideraccount a JOIN providers_sendernumber n ON n.account_id = a.id
WHERE a.halves = 0 AND coalesce(a.probe_until <= %s, true)
  AND a.paused_at IS NULL AND a.retired_at IS NULL
  AND n.paused_at IS NULL AND n.retired_at IS NULL AND coalesce(n.rests_until <= %s, true)
GROUP BY a.id ORDER BY a.id
"""

# The oldest due rows of each other number of a route that has one of these, where none of their own
# waits in the same queue.
CANDIDATES = """
SELECT w.message_id, mine.number_id
FROM providers_routenumber mine
JOIN campaigns_slot s ON s.route_id = mine.route_id AND s.state = 'open'
JOIN campaigns_campaign c ON c.id = s.campaign_id AND c.paused_at IS NULL
JOIN brands_brand b ON b.id = c.brand_id AND b.paused_at IS NULL
JOIN providers_routenumber other ON other.route_id = mine.route_id
                                AND other.number_id <> ALL(%s::bigint[])
CROSS JOIN LATERAL (
    SELECT d.message_id FROM delivery_due d
    WHERE d.queue = c.id AND d.lane_id = other.number_id AND d.crashes = 0
      AND d.not_before <= %s AND d.expires_at > %s
    ORDER BY d.not_before, d.message_id LIMIT 3) w
JOIN delivery_message m ON m.id = w.message_id AND m.slot_id = s.id
WHERE mine.number_id = ANY(%s::bigint[]) AND mine.weight > 0
  AND NOT EXISTS (SELECT 1 FROM delivery_due d
                  WHERE d.queue = c.id AND d.lane_id = ANY(%s::bigint[]) AND d.crashes = 0
                    AND d.not_before <= %s AND d.expires_at > %s)
ORDER BY w.message_id, mine.number_id LIMIT 20
"""

SEED = """
UPDATE delivery_due d SET lane_id = %s WHERE d.message_id = (
    SELECT message_id FROM delivery_due WHERE message_id = %s AND crashes = 0
    FOR UPDATE SKIP LOCKED)
"""


class Probes:
    """One worker's leases, by account. It asks the database once a second and account at most."""

    def __init__(self) -> None:
        self._held: dict[int, datetime] = {}
        self._ask_at: dict[int, float] = {}

    def lease(self, account_id: int) -> bool:
        """Whether this worker, and nobody else, may now try the account with one message."""
        now = time.monotonic()
        if now < self._ask_at.get(account_id, now):
            return False
        self._ask_at[account_id] = now + ASK_EVERY
        for (until,) in sql.rows(LEASE, account_id):
            self._held[account_id] = until
            return True
        return False

    def release(self, account_id: int) -> None:
        """The message did not leave after all; without a lease there is nothing to do."""
        if until := self._held.pop(account_id, None):
            sql.count(RELEASE, account_id, until)

    def used(self, account_id: int) -> None:
        """The message leaves: the lease ends with its time, or when the account comes back."""
        self._held.pop(account_id, None)


def seed() -> int:
    """Give each account that may be tried, and has nothing to send, one message of its routes.

    What no worker takes within a second is moved off again like all that waits there. Returns how
    many rows were moved; two statements and a few, and one where no account is out.
    """
    now = clock.now()
    return sum(_seed(numbers, now) for _, numbers in sql.rows(OUT, now, now))


def _seed(numbers: Sequence[int], now: datetime) -> int:
    own, due = list(numbers), (now, now + LIVES)
    found = sql.rows(CANDIDATES, own, *due, own, own, *due)
    barred = routing.faulted([message_id for message_id, _ in found]) if found else {}
    for message_id, number_id in found:
        if message_id not in barred and sql.count(SEED, number_id, message_id):
            return 1
    return 0
