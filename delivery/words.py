"""Words of reports that we do not know: counted, so that somebody looks them up.

What they mean is never guessed: the adapter takes no more from them than that the message is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from delivery import sql

LONGEST = 40
NOTE = """
INSERT INTO delivery_reportword AS w (account_id, word, count)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[])
ON CONFLICT (account_id, word) DO UPDATE
SET count = w.count + excluded.count, last_at = sendonce_now()
"""


def note(came: Iterable[tuple[int, str]]) -> None:
    """Count each (account, word)."""
    counts = Counter((account_id, word[:LONGEST]) for account_id, word in came)
    if counts:
        keys = sorted(counts)
        sql.count(
            NOTE, [key[0] for key in keys], [key[1] for key in keys], [counts[key] for key in keys]
        )
