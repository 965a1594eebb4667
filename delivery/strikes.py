"""Errors of ours while deciding: hold with back-off, end after too many, pause the campaign."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from delivery import sql
from delivery.claims import Claimed
from delivery.states import Reason, Status
from delivery.steps import Hold, Refuse

logger = logging.getLogger(__name__)

MOST = 5
FIRST_WAIT = timedelta(minutes=1)
WINDOW = 1000  # decisions of a campaign that are looked at
PAUSE_AT = 20  # strikes among them: 2 %, and at least 20

RECORD = """
INSERT INTO delivery_strike (campaign_id, message_id, ordinal, step)
SELECT v.campaign_id, v.message_id, coalesce(c.used, 0), v.step
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS v (campaign_id, message_id, step)
LEFT JOIN delivery_capcounter c ON c.key = 'decided:' || v.campaign_id
"""

PAUSE = """
UPDATE campaigns_campaign c SET paused_at = %s, pause_reason = %s
WHERE c.id = %s AND c.paused_at IS NULL AND %s <= (
    SELECT count(*) FROM delivery_strike s WHERE s.campaign_id = c.id AND s.ordinal > %s)
"""


def decided_key(campaign_id: int) -> str:
    """The counter of all decisions of a campaign; it has no cap and is never given back."""
    return f"decided:{campaign_id}"


def apply(struck: Sequence[tuple[Claimed, str]], now: datetime) -> dict[int, Hold | Refuse]:
    """Count a strike against each row, store it, and say what becomes of the message."""
    if not struck:
        return {}
    sql.rows(
        RECORD,
        [row.campaign_id for row, _ in struck],
        [row.message_id for row, _ in struck],
        [step[:60] for _, step in struck],
    )
    return {row.message_id: _strike(row, now) for row, _ in struck}


def _strike(row: Claimed, now: datetime) -> Hold | Refuse:
    row.strikes += 1
    if row.strikes >= MOST:
        return Refuse(Reason.STEP_FAILED, Status.DEAD)
    return Hold(Reason.STEP_FAILED, now + FIRST_WAIT * 2 ** (row.strikes - 1))


def pause_failing(rows: Sequence[Claimed], used: Mapping[str, int], now: datetime) -> None:
    """Pause each campaign of these rows with too many strikes in its last decisions."""
    for campaign_id in sorted({row.campaign_id for row in rows if row.campaign_id is not None}):
        decided = used[decided_key(campaign_id)]
        reason = f"{PAUSE_AT} of the last {WINDOW} messages failed by an error of ours"
        if sql.count(PAUSE, now, reason, campaign_id, PAUSE_AT, decided - WINDOW):
            logger.error("campaign paused: steps fail", extra={"campaign_id": campaign_id})
