"""Numbers that rest though they could send: blocked by carriers, or warm enough for the day.

It says until when and why on the number's row; what waits for the number, `routing` moves. While it
rests for such a cause a number still answers people. Thresholds are the account's.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from brands import clock
from delivery import sql

logger = logging.getLogger(__name__)

JUDGED = timedelta(hours=1)
MOST_JUDGED = 1_000_000  # attempts of all numbers, the newest

# Judged are the messages of the last hour, and since its last such rest began, that have an end.
# Whoever has too few blocks is left alone without a look at the attempts, and those are read from
# the newest down to the first of the hour before (`delivery/health.py` knows its id).
#
# A further rest within seven days takes the next of the account's lengths; then it begins anew.
REST_BLOCKED = """
WITH suspects AS MATERIALIZED (
    SELECT n.id, greatest(%(since)s, n.rested_at) AS since, c.blocks_least, c.blocks_percent,
           c.block_rest_hours
    FROM delivery_attempt a
    JOIN providers_sendernumber n ON n.id = a.number_id
    JOIN providers_provideraccount c ON c.id = n.account_id
    WHERE a.blocked_at > %(since)s AND a.intent_at > greatest(%(since)s, n.rested_at)
      AND n.paused_at IS NULL AND n.retired_at IS NULL
      AND coalesce(n.rests_until <= %(now)s, true)
    GROUP BY n.id, c.id HAVING count(*) >= c.blocks_least
), newest AS MATERIALIZED (
    SELECT number_id, intent_at, blocked_at, outcome, report_status FROM delivery_attempt
    WHERE EXISTS (SELECT 1 FROM suspects)
      AND id >= coalesce((SELECT first_id FROM delivery_attempthour
                          WHERE hour >= date_trunc('hour', %(since)s, 'UTC')
                          ORDER BY hour LIMIT 1), 0)
    ORDER BY id DESC LIMIT %(most)s
), judged AS (
    SELECT s.id, s.block_rest_hours, count(*) AS ended, count(a.blocked_at) AS blocked
    FROM suspects s JOIN newest a ON a.number_id = s.id AND a.intent_at > s.since
    WHERE a.blocked_at IS NOT NULL OR a.outcome = 'rejected'
       OR a.report_status IN ('delivered', 'undelivered', 'failed', 'rejected', 'expired')
    GROUP BY s.id, s.blocks_least, s.blocks_percent, s.block_rest_hours
    HAVING count(a.blocked_at) >= s.blocks_least
       AND 100 * count(a.blocked_at) >= s.blocks_percent * count(*)
), rests AS (
    SELECT j.*, CASE WHEN n.rested_at > %(now)s - interval '7 days' THEN n.block_rests
                     ELSE 0 END + 1 AS which
    FROM judged j JOIN providers_sendernumber n ON n.id = j.id
)
UPDATE providers_sendernumber n SET rests_because = 'blocks', block_rests = r.which,
    rested_at = %(now)s, rests_until = %(now)s + interval '1 hour' * coalesce(
        r.block_rest_hours[least(r.which, cardinality(r.block_rest_hours))], 24),
    rest_words = 'carriers blocked ' || r.blocked || ' of ' || r.ended
        || ' messages within an hour'
FROM rests r WHERE n.id = r.id AND coalesce(n.rests_until <= %(now)s, true)
RETURNING n.id, n.block_rests
"""

# A rest for blocks is the longer word: until it is over the other one says nothing.
REST_WARMING = """
UPDATE providers_sendernumber n SET rests_until = v.until, rests_because = 'warm_up'
FROM (SELECT w.id, sendonce_warm_from(w, %(now)s) + interval '24 hours' AS until,
             sendonce_warm_ceiling(w, %(now)s) AS ceiling
      FROM providers_sendernumber w WHERE w.warms_up_since IS NOT NULL) v
JOIN delivery_capcounter c ON c.key = 'warm:' || v.id || ':'
    || floor(extract(epoch FROM v.until - interval '24 hours'))::bigint
WHERE n.id = v.id AND c.used >= v.ceiling AND coalesce(n.rests_until < v.until, true)
  AND NOT (n.rests_because = 'blocks' AND n.rests_until > %(now)s)
"""

# Somebody ended the warm-up, or allowed more.
END_WARMING = """
UPDATE providers_sendernumber n SET rests_until = NULL, rests_because = ''
WHERE n.rests_because = 'warm_up' AND n.rests_until > %(now)s AND NOT EXISTS (
    SELECT 1 FROM delivery_capcounter c
    WHERE c.key = 'warm:' || n.id || ':'
          || floor(extract(epoch FROM sendonce_warm_from(n, %(now)s)))::bigint
      AND c.used >= sendonce_warm_ceiling(n, %(now)s))
"""


def rest_blocked() -> int:
    """Let numbers rest of whose recent messages carriers blocked too many; returns how many."""
    now = clock.now()
    asked = {"now": now, "since": now - JUDGED, "most": MOST_JUDGED}
    resting = sql.rows_named(REST_BLOCKED, asked)
    for number_id, times in resting:
        logger.warning("a number rests", extra={"number_id": number_id, "times": times})
    return len(resting)


def rest_warming() -> int:
    """Numbers that sent what their warm-up allows rest until its next day; returns how many."""
    now = {"now": clock.now()}
    sql.count_named(END_WARMING, now)
    return sql.count_named(REST_WARMING, now)
