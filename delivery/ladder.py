"""When a send of unknown outcome is asked about, and that it is to be.

It asks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from delivery import sql

LADDER = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=6),
)  # after it was known to be unknown

WATCH = """
INSERT INTO delivery_lookup (attempt_id, since, next_at)
SELECT v.id, %s, %s FROM unnest(%s::bigint[]) AS v (id) ON CONFLICT DO NOTHING
"""


def watch(attempt_ids: Sequence[int], now: datetime) -> None:
    """Put attempts of unknown outcome on the ladder."""
    sql.count(WATCH, now, now + LADDER[0], list(attempt_ids))
