"""What a provider's trouble does to its account or number: paused for a fault, rested when away."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from delivery import sql

logger = logging.getLogger(__name__)

REST_FOR = timedelta(seconds=10)

# An answer to what left before somebody resumed it says nothing about now.
PAUSE_ACCOUNTS = """
UPDATE providers_provideraccount a SET paused_at = %s, fault = t.code
FROM (SELECT DISTINCT ON (account_id) account_id, code, intent_at FROM delivery_attempt
      WHERE id = ANY(%s::bigint[]) AND fault = 'account' ORDER BY account_id, id DESC) t
WHERE a.id = t.account_id AND a.paused_at IS NULL
  AND coalesce(t.intent_at > a.resumed_at, true)
"""

PAUSE_NUMBERS = """
UPDATE providers_sendernumber n SET paused_at = %s, fault = t.code
FROM (SELECT DISTINCT ON (number_id) number_id, code, intent_at FROM delivery_attempt
      WHERE id = ANY(%s::bigint[]) AND fault = 'sender' ORDER BY number_id, id DESC) t
WHERE n.id = t.number_id AND n.paused_at IS NULL
  AND coalesce(t.intent_at > n.resumed_at, true)
"""

CODES = "SELECT DISTINCT code FROM delivery_attempt WHERE id = ANY(%s::bigint[]) ORDER BY code"

# A refused connection is the account's trouble: its numbers rest, and their rows go elsewhere.
REST = """
UPDATE providers_sendernumber n SET rests_until = %s, rests_because = ''
WHERE n.account_id = ANY(%s::bigint[]) AND coalesce(n.rests_until < %s, true)
"""


def pause(attempt_ids: Sequence[int], now: datetime) -> None:
    """A refusal that is the account's or the number's fault pauses it, and is said once."""
    if not attempt_ids:
        return
    ids = list(attempt_ids)
    if sql.count(PAUSE_ACCOUNTS, now, ids) + sql.count(PAUSE_NUMBERS, now, ids):
        codes = [code for (code,) in sql.rows(CODES, ids)]
        logger.error("paused after a fault", extra={"attempt_id": ids[0], "codes": codes})


def rest(account_ids: Collection[int], now: datetime) -> None:
    """The numbers of accounts that refused a connection rest for some seconds."""
    if account_ids:
        sql.count(REST, now + REST_FOR, sorted(account_ids), now + REST_FOR / 2)
