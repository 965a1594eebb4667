"""O4: everybody a slot was meant for has a message, or is counted among the suppressed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from reporting.oracle.checks import CannotCheck, Check, Found, Ids, Scope, compose, some, sql

EARLIEST_ON_EARTH = timedelta(hours=14)  # UTC+14: local times come first there

# One row for each entry of a closed slot's list: was it planned through, has its lead a message?
# A missing set of places is 0 on both sides, so that the join stays a hash join.
ENTRIES = """
    SELECT s.id AS slot_id, e.id AS entry_id, e.places_id, e.added_at, m.id AS message_id,
           m.created_at, l.status = 'active' AS is_active,
           coalesce(e.id <= p.through_entry_id, false) AS is_considered
    FROM campaigns_slot s
    JOIN campaigns_campaign c ON c.id = s.campaign_id
    JOIN leads_listentry e ON e.lead_list_id = c.lead_list_id
    JOIN leads_lead l ON l.id = e.lead_id
    LEFT JOIN delivery_planned p
           ON p.slot_id = s.id AND coalesce(p.places_id, 0) = coalesce(e.places_id, 0)
    LEFT JOIN delivery_message m ON m.slot_id = s.id AND m.lead_id = e.lead_id
    WHERE s.state = 'closed' AND coalesce(s.closed_at >= %(since)s, true)
"""

# Entries come and go after a slot was planned, so each side is held against what can still be seen:
# who was considered and has no message must be counted, and no more may be than have no message.
SUMS = """
    SELECT counted.*, (
        SELECT coalesce(sum(value::bigint), 0)::bigint
        FROM campaigns_slot s, jsonb_each_text(s.suppressed) WHERE s.id = slot_id) AS suppressed
    FROM (SELECT slot_id, count(*) FILTER (WHERE message_id IS NULL) AS without_message,
                 count(*) FILTER (WHERE message_id IS NULL AND is_considered AND is_active)
                     AS left_out
          FROM ($entries) entries GROUP BY slot_id) counted
"""

DOES_NOT_ADD_UP = """
    SELECT slot_id AS slot, without_message, left_out, suppressed
    FROM ($sums) sums WHERE left_out > suppressed OR suppressed > without_message
"""

BEYOND_PROGRESS = """
    SELECT slot_id AS slot, message_id AS message, entry_id AS entry
    FROM ($entries) entries
    WHERE message_id IS NOT NULL AND NOT is_considered AND added_at < created_at
"""

# When a slot was opened stands nowhere: the first one with its campaign, a later one before the
# first of its messages.
NOT_REACHED = """
    SELECT s.id, missed.places_id, missed.entry_id, missed.added_at, pl.zones, s.local_date,
           s.local_time, greatest(c.started_at, CASE WHEN EXISTS (
               SELECT 1 FROM campaigns_slot o WHERE o.campaign_id = c.id AND o.id <> s.id)
           THEN (SELECT min(created_at) FROM delivery_message m WHERE m.slot_id = s.id) END)
    FROM (SELECT slot_id, places_id, min(entry_id) AS entry_id, min(added_at) AS added_at
          FROM ($entries) entries
          WHERE NOT is_considered AND message_id IS NULL AND is_active
          GROUP BY slot_id, places_id) missed
    JOIN campaigns_slot s ON s.id = missed.slot_id
    JOIN campaigns_campaign c ON c.id = s.campaign_id
    LEFT JOIN compliance_places pl ON pl.id = missed.places_id
    ORDER BY s.id, missed.places_id
"""

TWICE_IN_A_SLOT = """
    SELECT slot_id AS slot, person_id AS person, count(*) AS messages
    FROM delivery_message WHERE slot_id IS NOT NULL
    GROUP BY slot_id, person_id HAVING count(*) > 1
"""

STILL_OPEN = """
    SELECT m.id AS message, m.slot_id AS slot, m.status
    FROM delivery_message m JOIN campaigns_slot s ON s.id = m.slot_id
    WHERE s.state = 'closed' AND m.status IN ('planned', 'sending')
      AND coalesce(s.closed_at, '-infinity') < %(now)s::timestamptz - interval '1 minute'
"""

NO_STATE = """
    SELECT id AS message, status FROM delivery_message
    WHERE status NOT IN ('planned', 'sending', 'accepted', 'sent', 'delivered', 'undelivered',
                         'failed', 'no_report', 'unknown', 'not_found', 'rejected', 'refused',
                         'expired', 'cancelled', 'dead')
"""

PARTS = {"entries": ENTRIES, "sums": compose(SUMS, entries=ENTRIES)}


def parts_never_planned(scope: Scope) -> Found:
    """Parts of a list that were there before their slot came due, and were never planned for."""
    return some("part of the list was never planned for", _not_reached(scope), scope)


def _not_reached(scope: Scope) -> Iterator[Ids]:
    with connection.cursor() as cursor:
        cursor.execute(compose(NOT_REACHED, **PARTS), {"since": scope.since})
        groups = cursor.fetchall()
    for slot, places, entry, added_at, zones, on, at, opened_at in groups:
        if opened_at is not None and max(added_at, opened_at) < _due(on, at, zones or []):
            yield {"slot": slot, "places": places or 0, "first_entry": entry}


def _due(on: date, at: time, zones: list[str]) -> datetime:
    """The latest of the local instants; for people without a zone the earliest there can be."""
    if not zones:
        return datetime.combine(on, at, tzinfo=ZoneInfo("UTC")) - EARLIEST_ON_EARTH
    try:
        return max(datetime.combine(on, at, tzinfo=ZoneInfo(zone)) for zone in zones)
    except (ValueError, KeyError, OSError) as error:  # an unknown name is a KeyError
        raise CannotCheck("a zone of a set of places cannot be read") from error


O4 = Check(
    "O4",
    "the audience of a slot is the sum of its messages' states",
    (
        sql("people on the list, messages and suppressed do not add up", DOES_NOT_ADD_UP, **PARTS),
        parts_never_planned,
        sql("a message beyond what its slot's progress says", BEYOND_PROGRESS, **PARTS),
        sql("a person has two messages of one slot", TWICE_IN_A_SLOT),
        sql("a closed slot has a message that is not at an end", STILL_OPEN),
        sql("a message in a state that nobody counts", NO_STATE),
    ),
)
