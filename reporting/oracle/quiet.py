"""O6: nobody was texted in the quiet hours of any place they may be in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from reporting.oracle.checks import Check, Found, Ids, Scope, some
from reporting.oracle.places import zones_of

SUNDAY = 6
# The window's close is checked right before the write; this is what the request may take after it.
UNDER_WAY = timedelta(seconds=15)
CHUNK = 20_000

# Replies go out at any hour, but for more-jobs answers, and so do the tests that staff ask for on
# their own phones, unless the phone is on a list. Of an e-mail its reader's phone tells.
# `received_at` has the clock's shift in it.
RECEIVED = """
    SELECT w.seq, w.message_id, w.received_at,
           CASE WHEN strpos(w.recipient, '@') > 0 THEN coalesce(p.phone, '') ELSE w.recipient END,
           coalesce(l.zip_code, ''),
           coalesce(l.state, ''), b.opens, b.closes, b.sunday_opens
    FROM oracle_wire w
    JOIN brands_brand b ON b.id = w.brand_id
    LEFT JOIN leads_lead l ON l.id = w.lead_id
    LEFT JOIN compliance_person p ON p.id = w.person_id
    WHERE NOT w.is_test_at_will AND (NOT w.is_reply OR w.reply_kind = 'more-jobs')
"""


@dataclass(frozen=True, slots=True)
class Hours:
    """Local hours of a brand: from `opens` on, on Sundays from `sunday_opens`, until `closes`."""

    opens: time
    closes: time
    sunday_opens: time

    def allow(self, received_at: datetime, zone: ZoneInfo) -> bool:
        local = received_at.astimezone(zone)
        opens = self.sunday_opens if local.weekday() == SUNDAY else self.opens
        left_at = (received_at - UNDER_WAY).astimezone(zone)
        return opens <= local.time() and min(left_at.time(), local.time()) < self.closes


def in_quiet_hours(scope: Scope) -> Found:
    """Texts that arrived while a place the person may be in was closed."""
    return some("received in the person's quiet hours", _quiet(scope), scope)


def _quiet(scope: Scope) -> Iterator[Ids]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(RECEIVED)
        while rows := cursor.fetchmany(CHUNK):
            for seq, message, received_at, phone, zip_code, state, *hours in rows:
                zones, allow = zones_of(phone, zip_code, state), Hours(*hours).allow
                if not zones or not all(allow(received_at, zone) for zone in zones):
                    yield {"request": seq, "message": message}


O6 = Check("O6", "nobody was texted in their quiet hours", (in_quiet_hours,))
