"""What must be true of the tables and of the provider's ledger whatever has died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from delivery import sql
from delivery.models import Attempt
from providers.simulator_ledger import LedgerEntry

# Against caps and the person's allowance; answers do not.
COUNTS = "a.outcome IN ('', 'accepted', 'unknown') AND m.kind <> 'reply'"
REPORTED = "'sent', 'delivered', 'undelivered', 'failed', 'no_report'"

ROWS = {
    "planned is not the same as a queue row": """
        SELECT coalesce(m.id, d.message_id), m.status FROM delivery_message m
        FULL JOIN delivery_due d ON d.message_id = m.id
        WHERE (m.status = 'planned') IS DISTINCT FROM (d.message_id IS NOT NULL)
    """,
    "not one live attempt for each message that was handed over, and none for any other": f"""
        SELECT m.id, m.status, count(a.id) FROM delivery_message m
        LEFT JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
        GROUP BY m.id, m.status
        HAVING count(a.id) <> (m.status IN ('sending', 'accepted', 'rejected', 'unknown',
                                            {REPORTED}))::int
    """,
    "message and attempt tell different stories": f"""
        SELECT m.id, m.status, a.outcome FROM delivery_message m
        JOIN delivery_attempt a ON a.message_id = m.id AND NOT a.is_not_sent
        WHERE CASE WHEN m.status IN ({REPORTED}) THEN 'accepted' ELSE m.status END
              <> CASE a.outcome WHEN '' THEN 'sending' ELSE a.outcome END
    """,
    "a cap's counter is not what a recount gives": f"""
        WITH recount AS (
            SELECT key, count(*) AS used FROM delivery_attempt a
            JOIN delivery_message m ON m.id = a.message_id
            CROSS JOIN LATERAL (VALUES
                ('brand:' || m.brand_id || ':' || a.brand_day),
                ('campaign:' || m.campaign_id || ':' || a.brand_day)) AS keys (key)
            WHERE {COUNTS} GROUP BY key
            UNION ALL
            SELECT key, sum(CASE WHEN key LIKE 'segments:%%' THEN a.segments ELSE 1 END)
            FROM delivery_attempt a CROSS JOIN LATERAL unnest(a.counted_on) AS keys (key)
            WHERE a.outcome IN ('', 'accepted', 'unknown') GROUP BY key)
        SELECT key, c.used, r.used FROM delivery_capcounter c FULL JOIN recount r USING (key)
        WHERE key NOT LIKE 'decided:%%' AND coalesce(c.used, 0) <> coalesce(r.used, 0)
    """,
    "a person's allowance is not what was sent to them": f"""
        WITH kept AS (
            SELECT p.id AS person_id, (entry->>1)::bigint AS message_id
            FROM compliance_person p CROSS JOIN LATERAL jsonb_array_elements(p.recent) entry
        ), used AS (
            SELECT m.person_id, m.id FROM delivery_attempt a
            JOIN delivery_message m ON m.id = a.message_id WHERE {COUNTS})
        (TABLE kept EXCEPT ALL TABLE used) UNION ALL (TABLE used EXCEPT ALL TABLE kept)
    """,
}
PENDING = "SELECT id, message_id FROM delivery_attempt WHERE outcome = ''"


def assert_consistent(ledger: Sequence[LedgerEntry], *, settled: bool = True) -> None:
    """`settled`: no worker is up and the dead ones were settled, so no answer is awaited."""
    broken = {says: rows for says, query in ROWS.items() if (rows := sql.rows(query))}
    assert broken == {}, broken
    if settled:
        assert sql.rows(PENDING) == [], "attempts without an answer"
    assert_the_ledger_agrees(ledger)


def assert_the_ledger_agrees(ledger: Sequence[LedgerEntry]) -> None:
    """What came without a reference of ours is told by its words and the provider's own id."""
    attempts = {attempt.ref: attempt for attempt in Attempt.objects.all()}
    refs = [entry.submission.ref for entry in ledger if entry.submission.ref]
    assert twice(refs) == {}, "requests of one attempt"
    assert set(refs) <= attempts.keys(), "requests without an intent"
    taken = [entry for entry in ledger if entry.took]
    named = [entry for entry in taken if entry.submission.ref]
    again = twice(attempts[entry.submission.ref].message_id for entry in named)
    assert again == {}, f"messages that were sent twice: {again}"
    again = twice((entry.submission.to, entry.submission.text) for entry in taken)
    assert again == {}, f"people who got the same text twice: {again}"
    ours = {ref: attempts[ref] for ref in (entry.submission.ref for entry in named)}
    denied = {ref: a.outcome for ref, a in ours.items() if a.outcome in {"rejected", "not_sent"}}
    assert denied == {}, f"taken, and we say otherwise: {denied}"
    # Some providers have no id of their own, and go by our reference.
    known = {entry.submission.ref: {entry.provider_ref} for entry in named}
    bare = {entry.provider_ref for entry in taken if not entry.submission.ref}
    accepted = [attempt for attempt in attempts.values() if attempt.outcome == "accepted"]
    strange = [a for a in accepted if not {a.ref, *known.get(a.ref, bare)} >= {*a.provider_refs}]
    assert strange == [], f"under another id: {[(a.ref, a.provider_refs) for a in strange]}"


def twice(things: object) -> dict[object, int]:
    return {thing: times for thing, times in Counter(things).items() if times > 1}
