"""Which attempt a report is about, where it names none of ours but only the provider's own id.

It knows no status. Providers whose reports carry our reference leave no row here.
"""

from __future__ import annotations

from collections.abc import Sequence

from delivery import sql
from providers.registry import ADAPTERS

BY_ID = [kind for kind, adapter in ADAPTERS.items() if not adapter.names_our_ref]

# Beside a statement that stored ids on attempts: `stored` has their id, account and ids of theirs.
KEEP = """
kept AS (
    INSERT INTO delivery_providerref (account_id, provider_ref, attempt_id)
    SELECT s.account_id, ref, s.id FROM stored s
    JOIN providers_provideraccount p ON p.id = s.account_id AND p.kind = ANY(%s::text[])
    CROSS JOIN LATERAL unnest(s.provider_refs) AS ref
    ON CONFLICT DO NOTHING
)
"""
FIND = """
SELECT p.account_id, p.provider_ref, a.ref
FROM unnest(%s::bigint[], %s::text[]) AS v (account_id, provider_ref)
JOIN delivery_providerref p USING (account_id, provider_ref)
JOIN delivery_attempt a ON a.id = p.attempt_id
"""

Id = tuple[int, str]  # an account, and what its provider calls a message


def find(ids: Sequence[Id]) -> dict[Id, str]:
    """Our references, by the ids that are known."""
    if not ids:
        return {}
    accounts, refs = zip(*ids, strict=True)
    found = sql.rows(FIND, list(accounts), list(refs))
    return {(account_id, provider_ref): ref for account_id, provider_ref, ref in found}
