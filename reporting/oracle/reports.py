"""O11: what came back is what was recorded: reports, texts, and nothing that was forged.

Queries on `oracle_callback`, `oracle_report` and `oracle_event` need `ledger.laid_open`; O11_OWN
is what our own rows can show without a ledger.
"""

from __future__ import annotations

from reporting.oracle.checks import Check, sql

PARTS = {
    "ends": "('delivered', 'undelivered', 'failed')",
    "apply_time": "interval '15 seconds'",  # from the answer until the inbox is worked through
    "is_2xx": "answer BETWEEN 200 AND 299",
}

# A provider that refused a message at send has the last word on it.
NOT_FINAL = """
    SELECT m.id AS message, m.status, min(r.callback) AS callback
    FROM oracle_report r JOIN delivery_message m ON m.id = r.message_id
    WHERE r.counts AND r.heard AND r.answered_at < %(now)s::timestamptz - $apply_time
      AND m.status NOT IN $ends AND m.status <> 'rejected'
    GROUP BY m.id, m.status
"""

# What was reported after the reading began cannot be expected in what was read.
NOT_REPORTED = """
    SELECT m.id AS message, m.status
    FROM delivery_message m
    LEFT JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
    WHERE m.status IN $ends AND coalesce(a.reported_at, '-infinity') <= %(now)s
      AND NOT EXISTS (SELECT 1 FROM oracle_report r
                      WHERE r.message_id = m.id AND r.counts AND r.ends = m.status)
"""

# The inbox does not show a report's code, so of one word with several codes any may have been it.
NOT_THE_FIRST = """
    WITH several AS (
        SELECT message_id FROM oracle_report WHERE counts
        GROUP BY message_id HAVING count(DISTINCT ends) > 1
    ), recorded AS (
        SELECT DISTINCT r.message_id, r.ends, e.id AS event
        FROM several
        JOIN oracle_report r ON r.message_id = several.message_id AND r.counts
        JOIN oracle_event e ON e.provider_ref = r.provider_ref AND e.word = r.word
                           AND e.provider = r.provider AND e.recipient IN ('', r.recipient)
    ), first AS (
        SELECT message_id, min(event) AS event FROM recorded GROUP BY message_id
    )
    SELECT m.id AS message, m.status, f.event
    FROM first f JOIN delivery_message m ON m.id = f.message_id AND m.status IN $ends
    WHERE NOT EXISTS (SELECT 1 FROM recorded r WHERE r.message_id = f.message_id
                      AND r.event = f.event AND r.ends = m.status)
"""

# 503: nobody could look at it, as while the database is down. Nothing was taken either.
FORGERY_TAKEN = """
    SELECT callback, answer FROM oracle_callback
    WHERE NOT genuine AND answer NOT IN (0, 503) AND answer NOT BETWEEN 400 AND 499
"""

EVENTS = """
    SELECT e.id AS event FROM oracle_event e
    WHERE e.received_at <= %(now)s AND $forged EXISTS (
        SELECT 1 FROM oracle_callback c WHERE c.kind = 'report' AND NOT c.genuine
        AND c.provider_ref = e.provider_ref AND c.word = e.word AND c.provider = e.provider
        AND e.recipient IN ('', c.recipient))
      AND NOT EXISTS (
        SELECT 1 FROM oracle_callback c WHERE c.kind = 'report' AND c.genuine
        AND c.provider_ref = e.provider_ref AND c.word = e.word AND c.provider = e.provider
        AND e.recipient IN ('', c.recipient))
      AND EXISTS (SELECT 1 FROM oracle_callback)
"""

TEXTS = """
    SELECT i.id AS inbound
    FROM delivery_inbound i JOIN providers_provideraccount p ON p.id = i.account_id
    WHERE i.received_at <= %(now)s AND $forged EXISTS (
        SELECT 1 FROM oracle_callback c WHERE c.kind = 'inbound' AND NOT c.genuine
        AND c.provider_ref = i.provider_ref AND c.provider = p.kind)
      AND NOT EXISTS (
        SELECT 1 FROM oracle_callback c WHERE c.kind = 'inbound' AND c.genuine
        AND c.provider_ref = i.provider_ref AND c.provider = p.kind)
      AND EXISTS (SELECT 1 FROM oracle_callback)
"""

STORED = """
    SELECT heard.callback, coalesce(kept.times, 0) AS times
    FROM (SELECT provider, provider_ref, min(callback) AS callback FROM oracle_callback
          WHERE kind = 'inbound' AND genuine AND $is_2xx GROUP BY provider, provider_ref) heard
    LEFT JOIN (SELECT p.kind AS provider, i.provider_ref, count(*) AS times,
                      bool_and(i.applied_at IS NOT NULL) AS is_applied
               FROM delivery_inbound i JOIN providers_provideraccount p ON p.id = i.account_id
               GROUP BY p.kind, i.provider_ref) kept
           ON kept.provider_ref = heard.provider_ref AND kept.provider = heard.provider
    WHERE $fault
"""

NO_REPORT_KEPT = """
    SELECT m.id AS message, m.status, a.id AS attempt
    FROM delivery_message m JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
    WHERE m.status IN $ends AND a.reported_at IS NULL
"""

OTHER_END = """
    SELECT m.id AS message, m.status, a.id AS attempt, a.report_status AS report
    FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
    WHERE a.report_status IN ('delivered', 'undelivered', 'failed', 'rejected', 'expired')
      AND m.status NOT IN ('rejected', CASE a.report_status WHEN 'rejected' THEN 'failed'
                           WHEN 'expired' THEN 'undelivered' ELSE a.report_status END)
      AND (NOT a.is_not_sent OR NOT EXISTS (
           SELECT 1 FROM delivery_attempt o
           WHERE o.message_id = a.message_id AND NOT o.is_not_sent))
"""

NO_RESULT = """
    SELECT id AS event FROM delivery_webhookevent WHERE applied_at IS NOT NULL AND result = ''
"""

OWN = (
    sql("an end, but no report on the attempt", NO_REPORT_KEPT, **PARTS),
    sql("the attempt's report means another end", OTHER_END),
    sql("a report was applied without a result", NO_RESULT),
)

O11 = Check(
    "O11",
    "every end is what the reports say, forgeries changed nothing",
    (
        sql("an end was reported and answered 2xx, but not applied", NOT_FINAL, **PARTS),
        sql("an end that no provider reported", NOT_REPORTED, **PARTS),
        sql("an end that is not the first reported", NOT_THE_FIRST, **PARTS),
        sql("a forgery was not refused", FORGERY_TAKEN),
        sql("a forged report was recorded", EVENTS, forged=""),
        sql("a forged text was recorded", TEXTS, forged=""),
        sql("a report was recorded that nobody posted", EVENTS, forged="NOT"),
        sql("a text was recorded that nobody posted", TEXTS, forged="NOT"),
        sql(
            "a text was answered 2xx, but not recorded once",
            STORED,
            **PARTS,
            fault="coalesce(kept.times, 0) <> 1",
        ),
        sql(
            "a text was answered 2xx, but not applied",
            STORED,
            **PARTS,
            fault="NOT kept.is_applied",
        ),
        *OWN,
    ),
)
O11_OWN = Check("O11", O11.name, OWN)
