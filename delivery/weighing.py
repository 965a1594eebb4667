"""How much of its weight an account gets, by what became of its requests in the last minute.

It keeps the tallies, and moves the halves of accounts with the reason on record. It chooses no
number and sends nothing. All times are the installation's, as those of `answered_at` are: a shift
of a sandbox's clock moves tallies and weigher alike, and nothing is in flight then.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from brands import clock
from delivery import sql
from providers.base import Accepted, NotSent, Outcome, Rejected
from providers.models import Halves

logger = logging.getLogger(__name__)

WINDOW = timedelta(seconds=60)
BUCKET = timedelta(seconds=10)
KEPT = timedelta(hours=2)  # an account's page shows the last one whole

ENOUGH = 10  # answers; a share of fewer says little
MANY_LOST = 5  # are enough where not one came back
OUT_AT, HALF_AT, WELL_BELOW = 0.50, 0.10, 0.02  # of the answers, lost

# Beside the statement that stores outcomes: `stored` has an attempt's account and sender, and the
# word by which it counts. A journal belongs to one process, so nobody waits for these rows.
TALLY = """
tallied AS (
    INSERT INTO delivery_accounttally AS t
        (account_id, at, sender, accepted, rejected, not_sent, throttled, unreachable, unknown)
    SELECT account_id, date_bin('10 seconds', %s, 'epoch'), sender,
           count(*) FILTER (WHERE word = 'accepted'), count(*) FILTER (WHERE word = 'rejected'),
           count(*) FILTER (WHERE word = 'not_sent'), count(*) FILTER (WHERE word = 'throttled'),
           count(*) FILTER (WHERE word = 'unreachable'), count(*) FILTER (WHERE word = 'unknown')
    FROM stored WHERE word <> '' GROUP BY account_id, sender ORDER BY account_id, sender
    ON CONFLICT (at, account_id, sender) DO UPDATE SET
        accepted = t.accepted + EXCLUDED.accepted, rejected = t.rejected + EXCLUDED.rejected,
        not_sent = t.not_sent + EXCLUDED.not_sent, throttled = t.throttled + EXCLUDED.throttled,
        unreachable = t.unreachable + EXCLUDED.unreachable, unknown = t.unknown + EXCLUDED.unknown
)
"""

# What came since the last change alone: what led to it must not lead to the next one.
HEARD = """
SELECT a.id, a.halves, a.halves_since,
       coalesce(sum(t.accepted + t.rejected), 0)::int, coalesce(sum(t.unknown), 0)::int
FROM providers_provideraccount a
LEFT JOIN delivery_accounttally t ON t.account_id = a.id AND t.at >= greatest(%s, a.halves_since)
WHERE a.retired_at IS NULL AND coalesce(a.pinned_until <= %s, true)
GROUP BY a.id ORDER BY a.id
"""

# Whoever of several weighers is second finds another `halves_since`, and changes nothing. The first
# trial waits for the next bucket: in the one of the change its answer would not be told apart.
MOVE = """
WITH moved AS (
    UPDATE providers_provideraccount SET halves = %s, halves_since = %s, probe_until = %s
    WHERE id = %s AND halves = %s AND halves_since IS NOT DISTINCT FROM %s
      AND coalesce(pinned_until <= %s, true)
    RETURNING id, weight
)
INSERT INTO providers_weightchange
    (account_id, before, after, halves_before, halves_after, reason, at)
SELECT id, weight, weight, %s, %s, %s, %s FROM moved
"""

FORGET = "DELETE FROM delivery_accounttally WHERE at < %s"


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of an account's requests since its last change, within the last minute at most.

    `answered` were taken or rejected; `lost` are 5xx, lost and unreadable answers. Throttles,
    refused connections and faults are in neither: they rest or pause an account by themselves.
    """

    answered: int = 0
    lost: int = 0

    @property
    def share(self) -> float:
        return self.lost / self.together if self.together else 0.0

    @property
    def together(self) -> int:
        return self.answered + self.lost


@dataclass(frozen=True, slots=True)
class Change:
    halves: Halves
    reason: str


def next_halves(halves: int, heard: Heard, *, since: timedelta) -> Change | None:
    """What an account gets from now on, and why, in words for staff; None: as before.

    `since`: how long ago the last change was. Down at 10 % and at 50 % of ten answers, or at five
    lost and none answered; up from out by the answer to a trial, and from half after a minute with
    answers of which less than 2 % were lost.
    """
    if halves == Halves.OUT:
        return Change(Halves.HALF, "a trial message was answered") if heard.answered else None
    if _is_mostly_lost(heard):
        return Change(Halves.OUT, _of_late(heard))
    if halves == Halves.FULL:
        is_bad = heard.together >= ENOUGH and heard.share >= HALF_AT
        return Change(Halves.HALF, _of_late(heard)) if is_bad else None
    if since >= WINDOW and heard.answered and heard.share < WELL_BELOW:
        return Change(Halves.FULL, _of_late(heard))
    return None


def _is_mostly_lost(heard: Heard) -> bool:
    if heard.together >= ENOUGH:
        return heard.share >= OUT_AT
    return heard.lost >= MANY_LOST and not heard.answered


def _of_late(heard: Heard) -> str:
    lost = f"{heard.lost:,}" if heard.lost else "none"
    verb = "was" if heard.lost == 1 else "were"
    return f"{lost} of {heard.together:,} answers in the last minute {verb} lost or 5xx"


def weigh() -> int:
    """Move what is to be moved; returns how many accounts that was.

    Two statements, and one more for each account that moves. Any number may run at once.
    """
    now = clock.now()
    moved = 0
    for account_id, halves, changed_at, answered, lost in sql.rows(HEARD, now - WINDOW, now):
        since = WINDOW if changed_at is None else now - changed_at
        change = next_halves(halves, Heard(answered, lost), since=since)
        if change is not None:
            moved += _move(account_id, halves, changed_at, change, now)
    return moved


def _move(
    account_id: int, halves: int, changed_at: datetime | None, change: Change, now: datetime
) -> int:
    to = change.halves.value
    probe_until = now + BUCKET if change.halves is Halves.OUT else None
    moved = sql.count(
        MOVE,
        *(to, now, probe_until),
        *(account_id, halves, changed_at, now),
        *(halves, to, change.reason, now),
    )
    if moved:
        extra = {"account_id": account_id, "halves": to, "reason": change.reason}
        logger.warning("an account's weight moved", extra=extra)
    return moved


def forget_old() -> int:
    """Remove tallies that nobody looks at any more."""
    return sql.count(FORGET, clock.now() - KEPT)


def word_of(outcome: Outcome) -> str:
    """The column in which an answer counts; none where it was we who did not send."""
    if isinstance(outcome, Accepted):
        return "accepted"
    if isinstance(outcome, Rejected):
        return "rejected"
    if isinstance(outcome, NotSent):
        return _word_of_not_sent(outcome)
    return "unknown"


def _word_of_not_sent(outcome: NotSent) -> str:
    if outcome.throttled:
        return "throttled"
    if outcome.unreachable:
        return "unreachable"
    return "not_sent" if outcome.fault else ""
