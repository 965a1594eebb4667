"""O1, O2, O3 and O5: what providers received, against what we recorded and whom we may text.

Queries on `oracle_request` and `oracle_wire` need `ledger.laid_open`; O1_OWN and O5_OWN are what
our own rows can show without a ledger.
"""

from __future__ import annotations

from reporting.oracle.checks import Check, compose, sql

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
            PARTITION BY m.person_id, s.local_date, md5(btrim(regexp_replace(replace(
                regexp_replace(a.text, '(https?://)?' || replace(b.short_domain, '.', '\.')
                               || '/[A-Za-z0-9_-]*', ' ', 'g'),
                b.opt_out_line, ' '), '\s+', ' ', 'g')))
            ORDER BY a.id) AS place
        FROM delivery_attempt a
        JOIN delivery_message m ON m.id = a.message_id AND m.kind = 'campaign'
        JOIN campaigns_slot s ON s.id = m.slot_id
        JOIN campaigns_campaign c ON c.id = m.campaign_id
        JOIN brands_brand b ON b.id = m.brand_id
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
    WHERE NOT EXISTS (SELECT 1 FROM oracle_request r WHERE r.took AND r.ref = recorded.ref)
"""

OTHER_ID = """
    SELECT message_id AS message, id AS attempt FROM ($on_record) recorded
    WHERE (outcome = 'accepted' OR provider_ref IS NOT NULL)
      AND EXISTS (SELECT 1 FROM oracle_request r WHERE r.took AND r.ref = recorded.ref)
      AND NOT EXISTS (SELECT 1 FROM oracle_request r WHERE r.took AND r.ref = recorded.ref
                      AND r.provider_ref = recorded.provider_ref)
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
        sql("recorded under another provider id", OTHER_ID, **RECORDED),
    ),
)

# --- O5 -----------------------------------------------------------------------------------------
# Sends to a person whose opt-out was committed, and not lifted for that brand by then. Two persons
# that one lead names count as one. The confirmation of a STOP and HELP may go out.
AFTER_STOP = """
    SELECT send.id AS $label, send.message_id AS message, min(e.id) AS opt_out
    FROM ($sends) send
    JOIN compliance_optoutevent e ON e.person_id = send.whom AND send.at > e.at + $slack
    WHERE NOT coalesce(send.kind = 'reply' AND send.reply_kind IN ('stop', 'help'), false)
      AND NOT EXISTS (
          SELECT 1 FROM compliance_rejoin j
          WHERE j.person_id = e.person_id AND j.brand_id = send.brand_id
            AND j.after_event_id >= e.id AND j.at <= send.at)
      AND NOT EXISTS (
          SELECT 1 FROM delivery_inbound i
          WHERE i.person_id = e.person_id AND i.brand_id = send.brand_id AND i.label = 'join'
            AND i.applied_at > e.at AND i.applied_at <= send.at
            AND NOT EXISTS (SELECT 1 FROM delivery_inboundreview v WHERE v.inbound_id = i.id))
    GROUP BY send.id, send.message_id
"""

RECEIVED = """
    SELECT w.seq AS id, w.message_id, w.kind, w.reply_kind, w.brand_id, w.received_at AS at,
           p.id AS whom
    FROM oracle_wire w JOIN compliance_person p ON p.phone = w.recipient
    UNION ALL
    SELECT w.seq, w.message_id, w.kind, w.reply_kind, w.brand_id, w.received_at, l.email_person_id
    FROM oracle_wire w JOIN leads_lead l ON l.id = w.lead_id WHERE l.email_person_id IS NOT NULL
"""

DECIDED = """
    SELECT a.id, m.id AS message_id, m.kind, m.reply_kind, m.brand_id, a.intent_at AS at, whom
    FROM delivery_attempt a
    JOIN delivery_message m ON m.id = a.message_id
    LEFT JOIN leads_lead l ON l.id = m.lead_id
    CROSS JOIN LATERAL unnest(ARRAY[m.person_id, l.email_person_id]) AS persons (whom)
    WHERE a.intent_at >= %(since)s AND whom IS NOT NULL
"""

# 2 s from intent to write, then 15 s for the request.
BY_RECEIPT = {"label": "request", "sends": RECEIVED, "slack": "interval '17 seconds'"}
# The longest that an opt-out may take from its event to its COMMIT.
BY_INTENT = {"label": "attempt", "sends": DECIDED, "slack": "interval '10 seconds'"}

O5_OWN = sql("decided after the person's opt-out", AFTER_STOP, **BY_INTENT)
O5 = Check(
    "O5",
    "nothing reached a person after an opt-out",
    (sql("received after the person's opt-out", AFTER_STOP, **BY_RECEIPT), O5_OWN),
)
