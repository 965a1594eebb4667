"""O5: nothing reaches a person after an opt-out, and no STOP that we answered is lost.

Two persons that one lead names count as one. The confirmation of a STOP and HELP may go out. A
complaint about an e-mail, and either way to unsubscribe from one, is a STOP. O5_OWN is what our own
rows can show without a ledger.
"""

from __future__ import annotations

from reporting.oracle.checks import Check, compose, sql
from reporting.oracle.words import DEEDS

PARTS = {
    "is_answer": "coalesce(send.kind = 'reply' AND send.reply_kind IN ('stop', 'help'), false)",
}

# Was the opt-out `$event` of `$person` lifted for the brand when it sent? A brand keeps the last
# JOIN only; an earlier one shows in the text that was applied as such.
LIFTED = """
    SELECT 1 FROM compliance_rejoin j
    WHERE j.person_id IN ($person, send.person_id) AND j.brand_id = send.brand_id
      AND j.after_event_id >= $event AND j.at <= send.at
    UNION ALL
    SELECT 1 FROM delivery_inbound i
    WHERE i.person_id IN ($person, send.person_id) AND i.brand_id = send.brand_id
      AND i.label = 'join' AND i.applied_at > $since AND i.applied_at <= send.at
      AND NOT EXISTS (SELECT 1 FROM delivery_inboundreview v WHERE v.inbound_id = i.id)
"""

# Sends to a person whose opt-out was committed, and not lifted for that brand by then. They are
# gathered first: else, with statistics that are behind, all of them meet all events by their times.
AFTER_STOP = """
    WITH send AS MATERIALIZED ($sends)
    SELECT send.id AS $label, send.message_id AS message, min(e.id) AS opt_out
    FROM send
    JOIN compliance_optoutevent e ON e.person_id = send.whom AND send.at > e.at + $slack
    WHERE NOT $is_answer AND NOT EXISTS ($lifted)
    GROUP BY send.id, send.message_id
"""

RECEIVED = """
    SELECT w.seq AS id, w.message_id, w.kind, w.reply_kind, w.brand_id, w.received_at AS at,
           w.person_id, p.id AS whom
    FROM oracle_wire w JOIN compliance_person p ON p.phone = w.recipient
    UNION ALL
    SELECT w.seq, w.message_id, w.kind, w.reply_kind, w.brand_id, w.received_at, w.person_id, p.id
    FROM oracle_wire w JOIN compliance_person p ON p.email = lower(w.recipient)
    WHERE strpos(w.recipient, '@') > 0
    UNION ALL
    SELECT w.seq, w.message_id, w.kind, w.reply_kind, w.brand_id, w.received_at, w.person_id,
           l.email_person_id
    FROM oracle_wire w JOIN leads_lead l ON l.id = w.lead_id WHERE l.email_person_id IS NOT NULL
"""

DECIDED = """
    SELECT a.id, m.id AS message_id, m.kind, m.reply_kind, m.brand_id, a.intent_at AS at,
           m.person_id, whom
    FROM delivery_attempt a
    JOIN delivery_message m ON m.id = a.message_id
    LEFT JOIN leads_lead l ON l.id = m.lead_id
    CROSS JOIN LATERAL unnest(ARRAY[m.person_id, l.email_person_id]) AS persons (whom)
    WHERE a.intent_at >= %(since)s AND whom IS NOT NULL
"""

BY_EVENT = {**PARTS, "lifted": compose(LIFTED, person="e.person_id", event="e.id", since="e.at")}
# 2 s from intent to write, then 15 s for the request.
BY_RECEIPT = {"label": "request", "sends": RECEIVED, "slack": "interval '17 seconds'"}
# The longest that an opt-out may take from its event to its COMMIT.
BY_INTENT = {"label": "attempt", "sends": DECIDED, "slack": "interval '10 seconds'"}

# The STOPs that were answered 2xx, with their person and the opt-out that stood by then. What comes
# as a report is done a bit after its answer.
ANSWERED = """
    SELECT said.*, (
        SELECT max(e.id) FROM compliance_optoutevent e
        WHERE e.person_id = said.person_id
          AND (e.at <= said.answered_at + interval '1 second' OR NOT said.is_done)) AS event_id
    FROM (SELECT c.callback, c.answered_at, true AS is_done, p.id AS person_id
          FROM oracle_callback c LEFT JOIN compliance_person p ON p.phone = c.sender
          WHERE c.kind = 'inbound' AND c.genuine AND c.asks = 'stop'
            AND c.answer BETWEEN 200 AND 299 AND c.sender ~ '^[+][1-9][0-9]{6,14}$$'
          UNION ALL
          SELECT c.callback, c.answered_at, c.word = 'one-click', p.id
          FROM oracle_callback c LEFT JOIN compliance_person p ON p.email = lower(c.recipient)
          WHERE c.kind = 'report' AND c.genuine AND c.word IN $deeds
            AND c.answer BETWEEN 200 AND 299) said
"""

NOT_RECORDED = """
    SELECT callback, person_id AS person FROM ($stops) stops
    WHERE event_id IS NULL AND (is_done OR answered_at < %(now)s::timestamptz - $apply_time)
"""

AFTER_ANSWER = """
    WITH send AS MATERIALIZED ($sends)
    SELECT send.id AS attempt, send.message_id AS message, min(s.callback) AS callback
    FROM send
    JOIN ($stops) s ON s.person_id = send.whom AND send.at > s.answered_at AND s.is_done
    WHERE NOT $is_answer AND NOT EXISTS ($lifted)
    GROUP BY send.id, send.message_id
"""

STOPS = {
    "stops": compose(ANSWERED, deeds=f"({', '.join(map(repr, DEEDS))})"),
    "apply_time": "interval '15 seconds'",  # from the answer until the inbox is worked through
}
BY_ANSWER = {
    **PARTS,
    **STOPS,
    "sends": DECIDED,
    "lifted": compose(LIFTED, person="s.person_id", event="s.event_id", since="s.answered_at"),
}

O5_OWN = sql("decided after the person's opt-out", AFTER_STOP, **BY_EVENT, **BY_INTENT)
O5 = Check(
    "O5",
    "nothing reached a person after an opt-out",
    (
        sql("received after the person's opt-out", AFTER_STOP, **BY_EVENT, **BY_RECEIPT),
        O5_OWN,
        sql("a STOP was answered 2xx but not recorded", NOT_RECORDED, **STOPS),
        sql("decided after a STOP was answered", AFTER_ANSWER, **BY_ANSWER),
    ),
)
