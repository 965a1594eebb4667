"""Opting out: the event first, then the person's row, under the lock the decision takes too."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from compliance.models import OptOutEvent

OPT_OUT = """
WITH people AS (
    SELECT id FROM compliance_person WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
), events AS (
    INSERT INTO compliance_optoutevent (person_id, source, note)
    SELECT id, %s, %s FROM people ORDER BY id RETURNING id, person_id, at
)
UPDATE compliance_person p SET opted_out_at = e.at, opt_out_event_id = e.id
FROM events e WHERE p.id = e.person_id RETURNING p.id
"""


def opt_out(person_ids: Sequence[int], *, source: str, note: str = "") -> int:
    """Opt persons out of everything, for all brands; returns how many. Part of a transaction."""
    if source not in OptOutEvent.Source.values:
        raise ValueError(f"{source} is not a source of opt-outs")
    with connection.cursor() as cursor:
        cursor.execute(OPT_OUT, [sorted(set(person_ids)), source, note])
        return int(cursor.rowcount)
