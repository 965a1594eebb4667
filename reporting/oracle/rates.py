"""O8: no number, account or brand was faster than its limit and the burst that belongs to it.

A burst is two seconds' worth, at least two messages; a text longer than what is left of it passes
as a debt, and one more token is for a reply. So any one second holds at most rate and burst. Over
ten and sixty seconds, where a limit that is broken for good shows, the two seconds that may lie
between intent and write come on top.
"""

from __future__ import annotations

from reporting.oracle.checks import Check, Probe, sql

TOO_FAST = """
    WITH hits AS (
        SELECT w.$column AS id, l.segments_per_second AS rate, w.real_at, w.segments, w.is_reply
        FROM oracle_wire w JOIN $table l ON l.id = w.$column
        WHERE l.segments_per_second IS NOT NULL AND $counts
    ), loads AS (
        SELECT *, sum(segments) OVER second AS in_1, sum(segments) OVER ten AS in_10,
               sum(segments) OVER minute AS in_60
        FROM hits
        WINDOW lane AS (PARTITION BY id ORDER BY real_at),
               second AS (lane RANGE interval '0.999999 seconds' PRECEDING),
               ten AS (lane RANGE interval '9.999999 seconds' PRECEDING),
               minute AS (lane RANGE interval '59.999999 seconds' PRECEDING)
    ), most AS (
        SELECT id, rate, max(in_1) AS in_1, max(in_10) AS in_10, max(in_60) AS in_60,
               coalesce(max(segments) FILTER (WHERE NOT is_reply), 1) AS largest,
               coalesce(max(segments) FILTER (WHERE is_reply), 0) AS reply
        FROM loads GROUP BY id, rate
    ), judged AS (
        SELECT id, span, load, rate * (span + late)
               + greatest(2 * rate + largest - 1, 2 * largest) + reply AS allowed
        FROM most CROSS JOIN LATERAL (
            VALUES (1, 0, in_1), (10, 2, in_10), (60, 2, in_60)) AS v (span, late, load)
    )
    SELECT id AS $label, span AS seconds, load AS segments, round(allowed::numeric, 1) AS allowed
    FROM judged WHERE load > allowed + 0.000001
"""


def too_fast(label: str, table: str, counts: str = "true") -> Probe:
    return sql(
        f"more segments than the {label}'s limit lets through",
        TOO_FAST,
        label=label,
        column=f"{label}_id",
        table=table,
        counts=counts,
    )


O8 = Check(
    "O8",
    "no number, account or brand was too fast",
    (
        too_fast("number", "providers_sendernumber"),
        too_fast("account", "providers_provideraccount"),
        too_fast("brand", "brands_brand", "NOT w.is_reply"),
    ),
)
