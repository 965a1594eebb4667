"""About how many people are on a list, for pages that show many lists.

Entries of a list are counted up to a limit; a bigger one is estimated from what Postgres knows of
the table, so that no page reads millions of rows. Never decide anything by these numbers.
"""

from __future__ import annotations

from django.db.models import BigIntegerField, QuerySet
from django.db.models.expressions import RawSQL

from leads.models import LeadList

COUNTED = 10_000

COUNT = """(
    SELECT count(*) FROM (
        SELECT 1 FROM leads_listentry e WHERE e.lead_list_id = leads_leadlist.id LIMIT %s
    ) few
)"""
# Lists that are a good share of all entries are among the common values; others have no estimate.
ESTIMATE = """(
    SELECT (v.share * greatest(c.reltuples, 0))::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname,
    unnest(s.most_common_vals::text::bigint[], s.most_common_freqs) AS v (list_id, share)
    WHERE c.oid = 'leads_listentry'::regclass AND s.attname = 'lead_list_id' AND NOT s.inherited
      AND v.list_id = leads_leadlist.id
)"""


def with_sizes(lists: QuerySet[LeadList]) -> QuerySet[LeadList]:
    """The lists with `counted`, at most one more than COUNTED, and `estimated` or None."""
    number = BigIntegerField()
    return lists.annotate(
        counted=RawSQL(COUNT, [COUNTED + 1], output_field=number),  # noqa: S611 - constants
        estimated=RawSQL(ESTIMATE, [], output_field=number),  # noqa: S611
    )


def in_words(counted: int, estimated: int | None) -> str:
    """How a page says it: exactly while that is cheap, else in two digits."""
    if counted <= COUNTED:
        return f"{counted:,}"
    if estimated is None or estimated <= COUNTED:
        return f"more than {COUNTED:,}"
    unit = 10 ** (len(str(estimated)) - 2)
    return f"about {round(estimated / unit) * unit:,}"
