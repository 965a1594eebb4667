"""Where and when a message that certainly did not leave goes round again.

It makes queue rows and puts them back; whether a message may go round at all is not decided here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from delivery import routing, sql
from delivery.claims import REPLIES, Claimed, put_back
from delivery.states import Kind, Reason
from providers.base import NotSent

THROTTLE_WAIT = 5.0  # seconds
OWN_DELAY_WAIT = 0.5  # seconds, after a delay of our own
RETRY_WAIT = 10.0  # seconds, doubled with each try
LONGEST_WAIT = 300.0
# Of our own making: the message is not to blame, so its tries do not count them.
NOT_COUNTED = frozenset(
    {"too_late", "journal_not_written", "error_before_sending", "worker_died_before_sending"}
)

ROWS = """
SELECT m.id, m.kind, m.brand_id, m.campaign_id, m.expires_at,
       CASE WHEN x.is_test THEN 0 ELSE coalesce(c.priority, 100) END,
       coalesce(s.route_id, x.route_id, r.id), a.account_id, a.number_id, a.segments, a.brand_day,
       (SELECT count(*) FROM delivery_attempt t WHERE t.message_id = m.id AND t.is_not_sent
        AND t.error_class <> 'throttled' AND t.code <> ALL(%s::text[])),
       (SELECT min(t.id) FROM delivery_attempt t WHERE t.message_id = m.id AND t.is_not_sent
        AND t.report_status <> ''), coalesce(a.counted_on, '{}'),
       CASE WHEN n.warms_up_since <= a.intent_at THEN sendonce_warm_from(n, a.intent_at) END
FROM delivery_message m
JOIN delivery_attempt a ON a.message_id = m.id AND a.id = ANY(%s::bigint[])
JOIN providers_sendernumber n ON n.id = a.number_id
LEFT JOIN campaigns_campaign c ON c.id = m.campaign_id
LEFT JOIN campaigns_slot s ON s.id = m.slot_id
LEFT JOIN delivery_singletext x ON x.message_id = m.id
LEFT JOIN providers_route r ON r.brand_id = m.brand_id AND r.is_default AND r.channel = 'sms'
                           AND r.retired_at IS NULL
WHERE m.id = ANY(%s::bigint[]) ORDER BY m.id
"""


class Undone(NamedTuple):
    """A message whose attempt came to nothing, as it may wait again."""

    message_id: int
    kind: str
    brand_id: int
    campaign_id: int | None
    expires_at: datetime
    priority: int
    route_id: int | None
    account_id: int
    number_id: int
    segments: int
    brand_day: date
    tries: int
    taken_id: int | None  # an attempt before this one that a report showed to be taken
    counted_on: list[str]  # keys of counters of limits a day
    warm_from: datetime | None  # when the day of its number's warm-up began that it counted in


def undone(message_ids: Sequence[int], attempt_ids: Sequence[int]) -> list[Undone]:
    rows = sql.rows(ROWS, sorted(NOT_COUNTED), list(attempt_ids), list(message_ids))
    return [Undone(*row) for row in rows]


def go_round(rows: Sequence[Undone], outcomes: Mapping[int, NotSent], *, now: datetime) -> None:
    """Back into the queue: at once by another account where one is at hand, else later."""
    if not rows:
        return
    barred = routing.faulted([row.message_id for row in rows])
    routes = routing.lanes_of({row.route_id for row in rows if row.route_id is not None}, now=now)
    put_back(
        _again(
            row,
            outcomes[row.message_id],
            barred.get(row.message_id, (set(), set())),
            routes.get(row.route_id or 0, []),
            now,
        )
        for row in rows
    )


def _again(
    row: Undone,
    outcome: NotSent,
    barred: tuple[set[int], set[int]],
    lanes: Sequence[routing.Lane],
    now: datetime,
) -> Claimed:
    reason, wait = _reason_and_wait(outcome, row.tries)
    accounts, numbers = barred
    lane_id = row.number_id
    if outcome.unreachable:
        accounts = accounts | {row.account_id}
    if outcome.fault or outcome.unreachable:
        other = routing.choose_again(lanes, accounts, numbers)
        lane_id, wait = (lane_id, wait) if other is None else (other, 0.0)
    return Claimed(
        message_id=row.message_id,
        brand_id=row.brand_id,
        campaign_id=row.campaign_id,
        lane_id=lane_id,
        queue=queue_of(row.kind, row.brand_id, row.campaign_id),
        priority=row.priority,
        segments=row.segments,
        not_before=now + timedelta(seconds=wait),
        expires_at=row.expires_at,
        tries=row.tries,
        strikes=0,
        crashes=0,
        reason=reason,
        goes_alone=outcome.goes_alone,
    )


def queue_of(kind: str, brand_id: int, campaign_id: int | None) -> int:
    """The queue a message waits in: its campaign's, its brand's single messages, or the replies."""
    if kind == Kind.CAMPAIGN and campaign_id is not None:
        return campaign_id
    return REPLIES if kind == Kind.REPLY else -brand_id


def _reason_and_wait(outcome: NotSent, tries: int) -> tuple[Reason, float]:
    """Why it waits, and for how many seconds: as asked, or exponential, with jitter."""
    jitter = 1 + random.random() / 4  # noqa: S311
    if outcome.throttled:
        return Reason.THROTTLED, min(outcome.retry_after or THROTTLE_WAIT, LONGEST_WAIT) * jitter
    if outcome.unreachable:
        return Reason.NOT_CONNECTED, THROTTLE_WAIT * jitter
    if outcome.code in NOT_COUNTED:
        return Reason.NOT_SENT, OWN_DELAY_WAIT * jitter
    if outcome.goes_alone and not outcome.fault and tries <= 1:  # not to blame as yet
        return Reason.NOT_SENT, 0.0
    reason = Reason.ACCOUNT_FAULT if outcome.fault else Reason.NOT_SENT
    return reason, min(RETRY_WAIT * 2 ** max(tries - 1, 0), LONGEST_WAIT) * jitter
