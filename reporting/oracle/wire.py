"""O1, O2 and O3: what providers received, against what we recorded.

Queries on `oracle_request` and `oracle_wire` need `ledger.laid_open`; O1_OWN is what our own rows
can show without a ledger.
"""

from __future__ import annotations

from reporting.oracle.checks import Check, compose, sql
from reporting.oracle.words import OUR_REF_IS_THE_ID

# --- O1 -----------------------------------------------------------------------------------------
MESSAGE_TWICE = """
    SELECT message_id AS message, count(*) AS times FROM oracle_wire
    WHERE took AND message_id IS NOT NULL GROUP BY message_id HAVING count(*) > 1
"""

# Of the same words on one slot date the first may stand, and so may what a schedule repeats. Sends
# that we know nothing of go by the day of their receipt.
WORDS_TWICE = """
    SELECT seq AS request, message_id AS message FROM (
        SELECT seq, message_id, repeats_words, row_number() OVER (
            PARTITION BY recipient, words,
                         coalesce(local_date, (received_at AT TIME ZONE 'UTC')::date)
            ORDER BY attempt_id NULLS LAST, seq) AS place
        FROM (SELECT DISTINCT ON (coalesce(message_id, -seq)) * FROM oracle_wire
              WHERE took AND coalesce(kind, 'campaign') = 'campaign'
              ORDER BY coalesce(message_id, -seq), seq) each_once
    ) sends WHERE place > 1 AND NOT repeats_words
"""

OWN_WORDS_TWICE = r"""
    SELECT message_id AS message, person_id AS person FROM (
        SELECT m.id AS message_id, m.person_id, c.repeats_words, row_number() OVER (
            PARTITION BY m.person_id, s.local_date, e.subject, md5(btrim(regexp_replace(replace(
                regexp_replace(a.text, '(https?://)?' || replace(b.short_domain, '.', '\.')
                               || '/[A-Za-z0-9_-]*|https?://[^ ]+/u/[A-Za-z0-9_-]{22}', ' ', 'g'),
                b.opt_out_line, ' '), '\s+', ' ', 'g')))
            ORDER BY a.id) AS place
        FROM delivery_attempt a
        JOIN delivery_message m ON m.id = a.message_id AND m.kind = 'campaign'
        JOIN campaigns_slot s ON s.id = m.slot_id
        JOIN campaigns_campaign c ON c.id = m.campaign_id
        JOIN brands_brand b ON b.id = m.brand_id
        LEFT JOIN delivery_mailcontent e ON e.attempt_id = a.id
        WHERE a.outcome IN ('', 'accepted', 'unknown') AND s.local_date >= %(since)s::date
    ) sends WHERE place > 1 AND NOT repeats_words
"""

O1_OWN = sql("the same words twice on one slot date, by our own rows", OWN_WORDS_TWICE)
O1 = Check(
    "O1",
    "nobody got the same words twice",
    (
        sql("a message was taken more than once", MESSAGE_TWICE),
        sql("the same words were taken twice on one slot date", WORDS_TWICE),
        O1_OWN,
    ),
)

# --- O2, O3 -------------------------------------------------------------------------------------
PARTS = {
    "in_flight": "interval '30 seconds'",  # a request's life, and the time to record its answer
    "taken": "('accepted', 'sent', 'delivered', 'undelivered', 'failed', 'no_report')",
    "perhaps_taken": "('unknown', 'not_found')",
    "our_ref_is_the_id": f"({', '.join(map(repr, OUR_REF_IS_THE_ID))})",
}

NO_INTENT = """
    SELECT seq AS request, CASE WHEN took THEN 'yes' ELSE 'no' END AS taken
    FROM oracle_wire WHERE attempt_id IS NULL
"""

NOT_RECORDED = """
    SELECT message_id AS message, attempt_id AS attempt, status, outcome FROM oracle_wire
    WHERE took AND attempt_id IS NOT NULL
      AND (coalesce(status, '') NOT IN $taken AND coalesce(status, '') NOT IN $perhaps_taken
           OR outcome IN ('rejected', 'not_sent'))
      AND NOT (status = 'sending' AND outcome = ''
               AND received_at > %(now)s::timestamptz - $in_flight)
"""

# What was answered after the reading began cannot be expected in what was read.
ON_RECORD = """
    SELECT a.id, a.message_id, a.ref, a.outcome, a.provider_refs[1] AS provider_ref
    FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
    WHERE (a.outcome = 'accepted' OR NOT a.is_not_sent AND m.status IN $taken)
      AND coalesce(a.answered_at, a.reported_at, a.intent_at) <= %(now)s
"""

NOT_RECEIVED = """
    SELECT message_id AS message, id AS attempt FROM ($on_record) recorded
    WHERE NOT EXISTS (SELECT 1 FROM oracle_wire w WHERE w.took AND w.attempt_id = recorded.id)
"""

OTHER_ID = """
    SELECT message_id AS message, id AS attempt FROM ($on_record) recorded
    WHERE (outcome = 'accepted' OR provider_ref IS NOT NULL)
      AND EXISTS (SELECT 1 FROM oracle_wire w WHERE w.took AND w.attempt_id = recorded.id)
      AND NOT EXISTS (
          SELECT 1 FROM oracle_wire w WHERE w.took AND w.attempt_id = recorded.id
          AND recorded.provider_ref = CASE WHEN w.provider IN $our_ref_is_the_id THEN recorded.ref
                                           ELSE w.provider_ref END)
"""

RECORDED = {"on_record": compose(ON_RECORD, **PARTS)}
O2 = Check(
    "O2",
    "what providers took is recorded as taken, or perhaps taken",
    (
        sql("a request without an intent", NO_INTENT),
        sql("taken, but recorded as not taken", NOT_RECORDED, **PARTS),
    ),
)
O3 = Check(
    "O3",
    "what is recorded as taken was taken, under the same id",
    (
        sql("recorded as taken, but no provider took it", NOT_RECEIVED, **RECORDED),
        sql("recorded under another provider id", OTHER_ID, **RECORDED, **PARTS),
    ),
)
