"""O9 and O12: nothing is stuck, every row has its counterpart, and no row leads nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from reporting.oracle.checks import Check, Probe, sql
from reporting.oracle.limits import counters_recounted

PARTS = {
    "stuck": "%(now)s::timestamptz - interval '15 minutes'",
    "swept": "%(now)s::timestamptz - interval '5 minutes'",
    "latest_on_earth": "interval '12 hours'",  # UTC-12: local times come last there
    "handed_over": """('sending', 'accepted', 'sent', 'delivered', 'undelivered', 'failed',
                       'no_report', 'unknown', 'not_found', 'rejected')""",
    "taken": "('accepted', 'sent', 'delivered', 'undelivered', 'failed', 'no_report')",
}

SENDING = """
    SELECT m.id AS message, a.id AS attempt
    FROM delivery_message m JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
    WHERE m.status = 'sending' AND a.intent_at < $stuck
"""
PENDING = """
    SELECT id AS attempt, message_id AS message
    FROM delivery_attempt WHERE outcome = '' AND intent_at < $stuck
"""
OVERDUE = """
    SELECT message_id AS message, lane_id AS number FROM delivery_due WHERE expires_at < $swept
"""
OPEN_SLOTS = """
    SELECT id AS slot, campaign_id AS campaign FROM campaigns_slot
    WHERE state = 'open'
      AND (local_date + local_time + make_interval(mins => length_minutes)) AT TIME ZONE 'UTC'
          + $latest_on_earth < $stuck
"""
INBOUND = """
    SELECT id AS inbound FROM delivery_inbound WHERE applied_at IS NULL AND received_at < $stuck
"""
REPORTS = """
    SELECT id AS event FROM delivery_webhookevent WHERE applied_at IS NULL AND received_at < $stuck
"""

O9 = Check(
    "O9",
    "nothing is stuck",
    (
        sql("sending for more than 15 minutes", SENDING, **PARTS),
        sql("an attempt without an answer for more than 15 minutes", PENDING, **PARTS),
        sql("waits 5 minutes after its expiry", OVERDUE, **PARTS),
        sql("a slot is open after its end everywhere", OPEN_SLOTS, **PARTS),
        sql("an inbound message was not applied for 15 minutes", INBOUND, **PARTS),
        sql("a report was not applied for 15 minutes", REPORTS, **PARTS),
    ),
)

PLANNED_NOT_DUE = """
    SELECT m.id AS message FROM delivery_message m
    LEFT JOIN delivery_due d ON d.message_id = m.id
    WHERE m.status = 'planned' AND d.message_id IS NULL
"""
DUE_NOT_PLANNED = """
    SELECT d.message_id AS message, m.status FROM delivery_due d
    LEFT JOIN delivery_message m ON m.id = d.message_id
    WHERE m.status IS DISTINCT FROM 'planned'
"""
DUE_ASTRAY = """
    SELECT d.message_id AS message, d.queue FROM delivery_due d
    JOIN delivery_message m ON m.id = d.message_id
    WHERE d.brand_id <> m.brand_id OR d.campaign_id IS DISTINCT FROM m.campaign_id
       OR d.expires_at <> m.expires_at
       OR d.queue <> CASE m.kind WHEN 'campaign' THEN m.campaign_id
                                 WHEN 'single' THEN -m.brand_id ELSE 0 END
"""
NO_LIVE_ATTEMPT = """
    SELECT m.id AS message, m.status FROM delivery_message m
    LEFT JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
    WHERE m.status IN $handed_over AND a.id IS NULL
"""
LIVE_ATTEMPT = """
    SELECT m.id AS message, m.status, a.id AS attempt FROM delivery_message m
    JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
    WHERE m.status NOT IN $handed_over
"""
# A report shows that the provider took the message, and says so on the attempt.
CONTRADICTION = """
    SELECT m.id AS message, m.status, a.id AS attempt, a.outcome FROM delivery_message m
    JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
    WHERE (m.status = 'sending' AND a.outcome <> '')
       OR (m.status = 'rejected') <> (a.outcome = 'rejected')
       OR (m.status IN ('unknown', 'not_found') AND a.outcome <> 'unknown')
       OR (m.status IN $taken AND a.outcome IN ('', 'unknown') AND a.reported_at IS NULL)
"""
FOREIGN = """
    SELECT m.id AS message FROM delivery_message m
    LEFT JOIN campaigns_slot s ON s.id = m.slot_id
    LEFT JOIN campaigns_campaign c ON c.id = m.campaign_id
    LEFT JOIN leads_lead l ON l.id = m.lead_id
    WHERE s.campaign_id <> m.campaign_id OR c.brand_id <> m.brand_id
       OR l.brand_id <> m.brand_id OR l.person_id <> m.person_id
"""
FOREIGN_LANE = """
    SELECT a.id AS attempt, a.number_id AS number FROM delivery_attempt a
    JOIN providers_sendernumber n ON n.id = a.number_id WHERE n.account_id <> a.account_id
"""
SINGLE_ASTRAY = """
    SELECT coalesce(m.id, t.message_id) AS message FROM delivery_message m
    FULL JOIN delivery_singletext t ON t.message_id = m.id
    WHERE (m.kind = 'single') IS DISTINCT FROM (t.message_id IS NOT NULL)
"""
FORGOTTEN_STOP = """
    SELECT e.person_id AS person, max(e.id) AS event FROM compliance_optoutevent e
    JOIN compliance_person p ON p.id = e.person_id
    GROUP BY e.person_id, p.opt_out_event_id HAVING max(e.id) IS DISTINCT FROM p.opt_out_event_id
"""


ORPHANS = """
    SELECT $id, concat_ws(' ', $named) AS "column" FROM $rows WHERE $missing
"""


def orphans(table: str, label: str, parents: Mapping[str, str], key: str = "id") -> Probe:
    """Rows of a table whose columns name rows that are not there, by column and parent table."""
    joins = "".join(
        f" LEFT JOIN {parent} p_{column} ON p_{column}.id = t.{column}"
        for column, parent in parents.items()
    )
    missing = {column: f"t.{column} IS NOT NULL AND p_{column}.id IS NULL" for column in parents}
    named = ", ".join(f"CASE WHEN {gone} THEN '{column}' END" for column, gone in missing.items())
    return sql(
        f"{label} without a parent",
        ORPHANS,
        id=f"t.{key} AS {label}",
        named=named,
        rows=f"{table} t{joins}",
        missing=" OR ".join(missing.values()),
    )


MESSAGE_PARENTS = {
    "brand_id": "brands_brand",
    "campaign_id": "campaigns_campaign",
    "slot_id": "campaigns_slot",
    "lead_id": "leads_lead",
    "person_id": "compliance_person",
    "link_id": "links_shortlink",
    "inbound_id": "delivery_inbound",
}
ATTEMPT_PARENTS = {
    "message_id": "delivery_message",
    "account_id": "providers_provideraccount",
    "number_id": "providers_sendernumber",
}
MAIL_PARENTS = {"attempt_id": "delivery_attempt"}
DUE_PARENTS = {
    "brand_id": "brands_brand",
    "campaign_id": "campaigns_campaign",
    "lane_id": "providers_sendernumber",
}
STICKY_PARENTS = {"brand_id": "brands_brand", "number_id": "providers_sendernumber"}
STRIKE_PARENTS = {"campaign_id": "campaigns_campaign", "message_id": "delivery_message"}

O12 = Check(
    "O12",
    "every row has its counterpart, and none leads nowhere",
    (
        sql("planned without a due row", PLANNED_NOT_DUE),
        sql("a due row without a planned message", DUE_NOT_PLANNED),
        sql("a due row differs from its message", DUE_ASTRAY),
        sql("handed over without a live attempt", NO_LIVE_ATTEMPT, **PARTS),
        sql("not handed over, but with a live attempt", LIVE_ATTEMPT, **PARTS),
        sql("message and attempt contradict each other", CONTRADICTION, **PARTS),
        sql("a message differs from its campaign, slot or lead", FOREIGN),
        sql("an attempt's number belongs to another account", FOREIGN_LANE),
        sql("a single message without its text, or such a text without one", SINGLE_ASTRAY),
        sql("a person does not show the last opt-out", FORGOTTEN_STOP),
        orphans("delivery_message", "message", MESSAGE_PARENTS),
        orphans("delivery_attempt", "attempt", ATTEMPT_PARENTS),
        orphans("delivery_mailcontent", "attempt", MAIL_PARENTS, key="attempt_id"),
        orphans("delivery_due", "message", DUE_PARENTS, key="message_id"),
        orphans("delivery_sticky", "sticky", STICKY_PARENTS),
        orphans("delivery_strike", "strike", STRIKE_PARENTS),
        orphans("delivery_planned", "planned", {"slot_id": "campaigns_slot"}),
        orphans("links_shortlink", "link", {"brand_id": "brands_brand"}),
        counters_recounted,
    ),
)
