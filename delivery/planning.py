"""From open slots to messages: one row per lead, campaign and slot, and its place in the queue.

Just in time, place by place: a set of places is planned from half an hour before it is due until
its slot ends, so later leads join. The constraint drops repeats; nothing here talks to a provider.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection, transaction

from brands import clock
from campaigns.models import Slot
from campaigns.schedule import Moments, moments, planning_opens_at
from compliance.hours import SendingHours
from delivery import routing, spreading, sql
from delivery.facts import zones_of
from delivery.states import Reason, Status
from leads.intake import lock_list
from providers.models import Channel

logger = logging.getLogger(__name__)

CHUNK = 10_000

PLACES = """
WITH RECURSIVE sets AS (
    (SELECT places_id FROM leads_listentry WHERE lead_list_id = %(list)s AND places_id IS NOT NULL
     ORDER BY places_id LIMIT 1)
    UNION ALL
    SELECT next.places_id FROM sets CROSS JOIN LATERAL (
        SELECT places_id FROM leads_listentry
        WHERE lead_list_id = %(list)s AND places_id > sets.places_id
        ORDER BY places_id LIMIT 1) next
)
SELECT sets.places_id, newest.id FROM sets CROSS JOIN LATERAL (
    SELECT id FROM leads_listentry WHERE lead_list_id = %(list)s AND places_id = sets.places_id
    ORDER BY id DESC LIMIT 1) newest
UNION ALL
SELECT NULL, max(id) FROM leads_listentry WHERE lead_list_id = %(list)s AND places_id IS NULL
HAVING count(*) > 0
"""

PROGRESS = "SELECT places_id, through_entry_id FROM delivery_planned WHERE slot_id = %s"

TIMEOUTS = """
SELECT set_config('lock_timeout', '2s', true), set_config('statement_timeout', '30s', true)
"""

LOCK_SLOT = "SELECT state, suppressed FROM campaigns_slot WHERE id = %s FOR NO KEY UPDATE"

PLAN = """
WITH entries AS MATERIALIZED (
    SELECT id, lead_id FROM leads_listentry
    WHERE lead_list_id = %(list)s AND {places} AND added_at < %(expires)s AND id > coalesce(
        (SELECT through_entry_id FROM delivery_planned
         WHERE slot_id = %(slot)s AND places_id IS NOT DISTINCT FROM %(places)s), 0)
    ORDER BY id LIMIT %(chunk)s
), people AS MATERIALIZED (
    SELECT e.id AS entry_id, l.id AS lead_id, l.person_id,
        CASE WHEN p.opted_out_at IS NOT NULL
                  AND coalesce(r.after_event_id, -1) < p.opt_out_event_id THEN 'opted_out'
             WHEN {undeliverable} THEN 'undeliverable'
             WHEN p.sunset_at IS NOT NULL THEN 'sunset'
             WHEN l.status <> 'active' THEN 'lead_inactive' END AS suppressed,
        {lane} AS lane_id
    FROM entries e
    JOIN leads_lead l ON l.id = e.lead_id
    JOIN compliance_person p ON p.id = l.person_id
    LEFT JOIN compliance_rejoin r ON r.person_id = l.person_id AND r.brand_id = %(brand)s
    LEFT JOIN delivery_sticky s ON s.person_id = l.person_id AND s.brand_id = %(brand)s
    {near}
), planned AS (
    INSERT INTO delivery_message (brand_id, campaign_id, slot_id, lead_id, person_id, kind, status,
                                  reason, expires_at, created_at)
    SELECT %(brand)s, %(campaign)s, %(slot)s, lead_id, person_id, 'campaign', %(status)s,
           %(reason)s, %(expires)s, %(now)s
    FROM people WHERE suppressed IS NULL ORDER BY entry_id
    ON CONFLICT DO NOTHING RETURNING id, lead_id
), queued AS (
    INSERT INTO delivery_due (message_id, brand_id, campaign_id, lane_id, queue, priority, segments,
                              not_before, expires_at, tries, strikes, crashes, reason)
    SELECT planned.id, %(brand)s, %(campaign)s, people.lane_id, %(campaign)s, %(priority)s,
           %(segments)s, %(due)s, %(expires)s, 0, 0, 0, ''
    FROM planned JOIN people USING (lead_id) WHERE %(status)s = 'planned' ORDER BY planned.id
), progress AS (
    INSERT INTO delivery_planned (slot_id, places_id, through_entry_id)
    SELECT %(slot)s, %(places)s, max(id) FROM entries HAVING count(*) > 0
    ON CONFLICT (slot_id, places_id) DO UPDATE SET through_entry_id = EXCLUDED.through_entry_id
)
SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM planned),
       (SELECT coalesce(jsonb_object_agg(suppressed, n), '{{}}') FROM (
            SELECT suppressed, count(*) AS n FROM people WHERE suppressed IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM delivery_message m
                            WHERE m.slot_id = %(slot)s AND m.lead_id = people.lead_id)
            GROUP BY suppressed) counts)
"""

# What it takes to reach a person, by channel; a phone and a mailbox say nothing of each other.
UNDELIVERABLE = {
    Channel.SMS: "p.undeliverable_at IS NOT NULL",
    Channel.EMAIL: """(SELECT o.email_undeliverable_at FROM compliance_person o
                   WHERE o.id = CASE WHEN p.email IS NULL THEN l.email_person_id ELSE p.id END)
                   IS NOT NULL""",
}

SUPPRESSED = "UPDATE campaigns_slot SET suppressed = %s WHERE id = %s"

CLOSE = """
UPDATE campaigns_slot s SET state = 'closed', closed_at = %s
WHERE s.id = %s AND s.state = 'open' AND NOT EXISTS (
    SELECT 1 FROM delivery_due d JOIN delivery_message m ON m.id = d.message_id
    WHERE d.queue = s.campaign_id AND m.slot_id = s.id)
"""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a slot for one set of places. `refusal` ends its messages as they are planned.

    `newest_id` is the last entry of the list in these places.
    """

    places_id: int | None
    newest_id: int
    due_at: datetime
    expires_at: datetime
    refusal: Reason = Reason.NONE


def plan_open_slots(*, chunk: int = CHUNK) -> int:
    """Plan what is due within half an hour, in every open slot; returns messages planned."""
    slots = Slot.objects.filter(state=Slot.State.OPEN, campaign__started_at__isnull=False)
    slots = slots.select_related("campaign__brand", "route").order_by("id")
    return sum(_plan_or_log(slot, chunk) for slot in slots)


def _plan_or_log(slot: Slot, chunk: int) -> int:
    """A slot that cannot be planned leaves the others theirs; it is tried again each minute."""
    try:
        return plan_slot(slot, chunk=chunk)
    except OperationalError:
        logger.warning("planning waits for a lock", extra={"slot_id": slot.pk})
        return 0
    except Exception:
        logger.exception("slot not planned", extra={"slot_id": slot.pk})
        return 0


def plan_slot(slot: Slot, *, chunk: int = CHUNK) -> int:
    """Plan the shares of a slot whose time it is, in chunks; close the slot when all have ended.

    Where the planner came too late, people still get their message row: expired, for all to see.
    """
    now = clock.now()
    shares = shares_of(slot)
    through: dict[int | None, int] = dict(sql.rows(PROGRESS, slot.pk))
    planned = 0
    for share in shares:
        is_new = share.newest_id > through.get(share.places_id, 0)
        if is_new and planning_opens_at(share.due_at) <= now:
            planned += _plan_share(slot, share, now, chunk)
    if now >= end_of(slot, shares):
        _close(slot, now)
    return planned


def shares_of(slot: Slot) -> list[Share]:
    """The instants of a slot for each set of places on its list."""
    with connection.cursor() as cursor:
        cursor.execute(PLACES, {"list": slot.campaign.lead_list_id})
        newest = dict(cursor.fetchall())
    zones = zones_of([places_id for places_id in newest if places_id is not None])
    return [
        share_of(slot, places_id, newest_id, zones.get(places_id or 0, ()))
        for places_id, newest_id in newest.items()
    ]


def share_of(slot: Slot, places_id: int | None, newest_id: int, zones: Sequence[str]) -> Share:
    brand = slot.campaign.brand
    found = moments(
        slot.local_date,
        slot.local_time,
        zones=zones,
        window=slot.length,
        hours=SendingHours(brand.opens, brand.closes, brand.sunday_opens),
    )
    if isinstance(found, Moments):
        return Share(places_id, newest_id, found.due_at, found.expires_at)
    # nobody can say what time it is there: it is refused within the slot's time in the brand's zone
    fallback = moments(slot.local_date, slot.local_time, zones=[brand.zone], window=slot.length)
    assert isinstance(fallback, Moments)  # noqa: S101 - a brand's zone is checked by its form
    refusal = Reason.NO_PLACE if places_id is None else Reason.NO_COMMON_WINDOW
    return Share(places_id, newest_id, fallback.due_at, fallback.expires_at, refusal)


def end_of(slot: Slot, shares: Sequence[Share]) -> datetime:
    """When the last share ends; a slot without people ends in the brand's own zone."""
    if shares:
        return max(share.expires_at for share in shares)
    return share_of(slot, None, 0, ()).expires_at


def _plan_share(slot: Slot, share: Share, now: datetime, chunk: int) -> int:
    planned = 0
    while True:
        entries, messages = _plan_chunk(slot, share, now, chunk)
        planned += messages
        if entries < chunk:
            return planned


def _plan_chunk(slot: Slot, share: Share, now: datetime, chunk: int) -> tuple[int, int]:
    """One transaction: messages, queue, progress and suppressed counts stand or fall together."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TIMEOUTS)
        lock_list(slot.campaign.lead_list_id, exclusive=True)
        cursor.execute(LOCK_SLOT, [slot.pk])
        state, suppressed = cursor.fetchone()
        if state != Slot.State.OPEN:
            return 0, 0
        cursor.execute(_plan_sql(slot, share), _arguments(slot, share, now, chunk))
        entries, messages, left_out = cursor.fetchone()
        if left_out := json.loads(left_out):
            total = Counter(json.loads(suppressed)) + Counter(left_out)
            cursor.execute(SUPPRESSED, [json.dumps(total), slot.pk])
    return entries, messages


def _plan_sql(slot: Slot, share: Share) -> str:
    condition = "places_id IS NULL" if share.places_id is None else "places_id = %(places)s"
    channel = Channel(slot.campaign.channel)
    return PLAN.format(
        places=condition,
        undeliverable=UNDELIVERABLE[channel],
        lane=spreading.LANE,
        near=spreading.NEAR,
    )


def _arguments(slot: Slot, share: Share, now: datetime, chunk: int) -> dict[str, Any]:
    route = slot.route
    assert route is not None  # noqa: S101 - an open slot is pinned, by a constraint
    lanes = routing.candidates(routing.lanes_of([route.pk], now=now)[route.pk])
    status, reason = _beginning(share, now, has_lanes=bool(lanes))
    return {
        **spreading.values(lanes, route),
        "list": slot.campaign.lead_list_id,
        "slot": slot.pk,
        "places": share.places_id,
        "chunk": chunk,
        "brand": slot.campaign.brand_id,
        "campaign": slot.campaign_id,
        "status": status.value,
        "reason": reason.value,
        "due": share.due_at,
        "expires": share.expires_at,
        "now": now,
        "priority": slot.campaign.priority,
        "segments": slot.largest_segments,
    }


def _beginning(share: Share, now: datetime, *, has_lanes: bool) -> tuple[Status, Reason]:
    """The status and reason that the messages of a share begin with."""
    if share.refusal or not has_lanes:
        return Status.REFUSED, share.refusal or Reason.NO_ROUTE
    if now >= share.expires_at:
        return Status.EXPIRED, Reason.NO_CAPACITY
    return Status.PLANNED, Reason.NONE


def _close(slot: Slot, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, [now, slot.pk])
        if cursor.rowcount:
            logger.info("slot closed", extra={"slot_id": slot.pk})
