"""The rows behind a figure of the report: messages, texts read as STOP, or slots.

Every list begins with the slots of the days, those whose figures say that they hold such rows, and
reads them in the order of an index: page by page, never counted beyond a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from delivery.sql import from_json
from reporting.report import Scope, What, rows, statuses_of

COUNT_TO = 10_000
PAGE = 100
LAST = 9_223_372_036_854_775_807

# The figures say which slots hold such messages; a slot that moves, or was never counted, may.
SLOTS = """
slots AS MATERIALIZED (
    SELECT s.id FROM campaigns_slot s JOIN campaigns_campaign c ON c.id = s.campaign_id
    WHERE c.brand_id = ANY(%(brands)s) AND s.local_date BETWEEN %(first)s AND %(last)s
      AND (%(campaign)s IS NULL OR s.campaign_id = %(campaign)s)
      AND s.state <> 'draft' AND s.id <= %(slot)s
      AND (s.state = 'open'
           OR NOT EXISTS (SELECT 1 FROM reporting_slotcount k WHERE k.slot_id = s.id)
           OR EXISTS (
               SELECT 1 FROM reporting_slotfigure f WHERE f.slot_id = s.id
               AND (%(statuses)s::text[] IS NULL OR f.status = ANY(%(statuses)s::text[]))
               AND (%(reason)s IS NULL OR f.reason = %(reason)s)
               AND (%(account)s IS NULL OR coalesce(f.account_id, 0) = %(account)s)
               AND (NOT %(clicked)s OR f.clicked > 0)))
)
"""

MESSAGES = """
WITH {slots}
SELECT s.id, m.lead_id, m.id FROM (SELECT id FROM slots ORDER BY id DESC) s
CROSS JOIN LATERAL (
    SELECT m.id, m.lead_id FROM delivery_message m
    LEFT JOIN delivery_attempt a ON a.message_id = m.id AND a.is_not_sent = false
    WHERE m.slot_id = s.id AND m.lead_id > CASE WHEN s.id = %(slot)s THEN %(lead)s ELSE 0 END
      AND (%(statuses)s::text[] IS NULL OR m.status = ANY(%(statuses)s::text[]))
      AND (%(reason)s IS NULL OR m.reason = %(reason)s)
      AND (%(account)s IS NULL OR coalesce(a.account_id, 0) = %(account)s)
      AND (NOT %(clicked)s OR EXISTS (SELECT 1 FROM links_click k WHERE k.link_id = m.link_id))
    ORDER BY m.lead_id LIMIT %(limit)s
) m
ORDER BY s.id DESC, m.lead_id LIMIT %(limit)s
"""

STOPS = """
SELECT i.id FROM brands_brand b JOIN delivery_inbound i ON i.brand_id = b.id AND i.label = 'stop'
 AND i.received_at >= %(first)s::timestamp AT TIME ZONE b.zone
 AND i.received_at < (%(last)s::date + 1)::timestamp AT TIME ZONE b.zone
WHERE b.id = ANY(%(brands)s) AND %(campaign)s IS NULL AND i.id < %(before)s
  AND (%(account)s IS NULL OR i.account_id = %(account)s)
ORDER BY i.id DESC LIMIT %(limit)s
"""

LEFT_OUT = """
SELECT s.id, s.local_date, c.brand_id, s.campaign_id,
       (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(s.suppressed) e
        WHERE %(reason)s IS NULL OR e.key = %(reason)s)
FROM campaigns_slot s JOIN campaigns_campaign c ON c.id = s.campaign_id
WHERE c.brand_id = ANY(%(brands)s) AND s.local_date BETWEEN %(first)s AND %(last)s
  AND (%(campaign)s IS NULL OR s.campaign_id = %(campaign)s) AND s.id < %(before)s
  AND (%(account)s IS NULL OR %(account)s = 0)
  AND EXISTS (SELECT 1 FROM jsonb_object_keys(s.suppressed) e (key)
              WHERE %(reason)s IS NULL OR e.key = %(reason)s)
ORDER BY s.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows: those of one figure. A status or reason narrows it to a part of its column."""

    scope: Scope
    what: What
    status: str | None = None
    reason: str | None = None

    def arguments(self) -> dict[str, Any]:
        statuses = [self.status] if self.status else statuses_of(self.what)
        return {
            **self.scope.arguments(),
            "statuses": statuses if statuses is None else list(statuses),
            "reason": self.reason,
            "clicked": self.what == What.CLICKS,
        }


class Place(NamedTuple):
    """Where a page of rows begins: after this slot's lead, or before this id."""

    slot_or_id: int = LAST
    lead_id: int = 0


class LeftOut(NamedTuple):
    """A slot with people left out before planning, by reason."""

    slot_id: int
    local_date: date
    brand_id: int
    campaign_id: int
    suppressed: dict[str, int]


def messages(wanted: Wanted, place: Place, limit: int) -> list[tuple[int, Place]]:
    """The ids of messages from there on, each with the place after it: newest slot first."""
    found = rows(MESSAGES.format(slots=SLOTS), _arguments(wanted, place, limit))
    return [(message_id, Place(slot_id, lead_id)) for slot_id, lead_id, message_id in found]


def stops(wanted: Wanted, place: Place, limit: int) -> list[tuple[int, Place]]:
    """The ids of texts read as STOP, the newest first, each with the place after it."""
    return [(id_, Place(id_)) for (id_,) in rows(STOPS, _arguments(wanted, place, limit))]


def left_out(wanted: Wanted, place: Place, limit: int) -> list[LeftOut]:
    """Slots that have suppressed people, the newest first; those people have no rows."""
    found = rows(LEFT_OUT, _arguments(wanted, place, limit))
    return [LeftOut._make((*row[:4], from_json(row[4]))) for row in found]


def count(wanted: Wanted) -> int:
    """How many rows there are; COUNT_TO + 1 where there are more."""
    listed = stops if wanted.what == What.STOPS else messages
    return len(listed(wanted, Place(), COUNT_TO + 1))


def _arguments(wanted: Wanted, place: Place, limit: int) -> dict[str, Any]:
    return {
        **wanted.arguments(),
        "slot": place.slot_or_id,
        "before": place.slot_or_id,
        "lead": place.lead_id,
        "limit": limit,
    }
