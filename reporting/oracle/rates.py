"""O8: no number, account or brand was faster than its limit and the burst that belongs to it.

A burst is two seconds' worth, at least two messages; a text longer than what is left of it passes
as a debt, and one more token is for a reply. Up to two seconds may lie between the tokens and the
write, as when a database or a provider stands still: what was let through meanwhile leaves together
with what is let through afterwards. So any span holds at most the burst, and the rate for two
seconds more. A limit that is broken for good shows over ten and sixty seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connection

from reporting.oracle.checks import Check, Found, Ids, Probe, Scope, compose, some

SPANS = (1, 10, 60)  # seconds
LATE = 2  # seconds from the tokens to the write
CHUNK = 20_000

Hit = tuple[float, int, bool]  # real time in seconds, segments, is it a reply

HITS = """
    SELECT w.$column, l.segments_per_second, extract(epoch FROM w.real_at)::float8, w.segments,
           w.is_reply
    FROM oracle_wire w JOIN $table l ON l.id = w.$column
    WHERE l.segments_per_second IS NOT NULL AND $counts
    ORDER BY w.$column, w.real_at
"""


def too_fast(label: str, table: str, counts: str = "true") -> Probe:
    query = compose(HITS, column=f"{label}_id", table=table, counts=counts)

    def probe(scope: Scope) -> Found:
        problems = (
            {label: key, **problem}
            for (key, rate), rows in groupby(_rows(query), key=itemgetter(0, 1))
            for problem in overruns(rate, [(at, size, reply) for _, _, at, size, reply in rows])
        )
        return some(f"more segments than the {label}'s limit lets through", problems, scope)

    return probe


def overruns(rate: float, hits: Sequence[Hit]) -> Iterator[Ids]:
    """The spans in which more arrived than the rate (segments/s) allows; hits are in order."""
    largest = max((size for _, size, is_reply in hits if not is_reply), default=1)
    reply = max((size for _, size, is_reply in hits if is_reply), default=0)
    burst = max(2 * rate + largest - 1, 2 * largest) + reply
    for span in SPANS:
        most, allowed = most_within(span, hits), rate * (span + LATE) + burst
        if most > allowed + 1e-6:
            yield {"seconds": span, "segments": most, "allowed": round(allowed)}


def most_within(span: float, hits: Sequence[Hit]) -> int:
    """The most segments in any stretch of less than `span` seconds."""
    first = inside = most = 0
    for at, size, _ in hits:
        inside += size
        while at - hits[first][0] >= span:
            inside -= hits[first][1]
            first += 1
        most = max(most, inside)
    return most


def _rows(query: str) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(CHUNK):
            yield from rows


O8 = Check(
    "O8",
    "no number, account or brand was too fast",
    (
        too_fast("number", "providers_sendernumber"),
        too_fast("account", "providers_provideraccount"),
        too_fast("brand", "brands_brand", "NOT w.is_reply"),
    ),
)
