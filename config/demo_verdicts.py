"""Whether a demo went well: what must hold at its end, each thing in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from config.demo_outside import STOPS
from config.demo_stage import NEVER_ACCEPTED, NEVER_REPORTED
from config.demo_summary import STATES, TAKEN, Column
from delivery import sql

LEAST_ACCEPTED = 0.99
LEAST_REPORTED = 0.99
LEAST_CONFIRMED = 0.95  # of those who wrote STOP; a provider that is away keeps some from it
LEAST_WENT_OVER = 0.95  # of what the failing provider refused; some have written STOP meanwhile
SURE_FROM = 10.0  # so many expected stops cannot all fail to come
FINAL = ("delivered", "undelivered", "failed")
OPEN = ("planned", "sending")

MAGIC = """
SELECT m.status, count(*) FROM delivery_message m JOIN compliance_person p ON p.id = m.person_id
WHERE right(p.phone, 4) = ANY(%s) AND m.kind <> 'reply' GROUP BY 1
"""
CONFIRMED = """
SELECT count(*), count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM delivery_message m
    WHERE m.person_id = s.person_id AND m.campaign_id IS NULL AND m.kind = 'reply'
      AND m.reply_kind = 'stop' AND m.status = ANY(%s)))
FROM (SELECT DISTINCT person_id FROM delivery_inbound
      WHERE label = 'stop' AND person_id IS NOT NULL) s
"""
# How many are on the lists of second slots; who of them wrote STOP until the first slot had closed
# and did not join again; and how many of these got a message of the second slot all the same.
SKIPPED = """
WITH listed AS (
    SELECT DISTINCT second.id AS slot_id, l.person_id, first.closed_at
    FROM campaigns_slot second
    JOIN campaigns_slot first ON first.campaign_id = second.campaign_id
                             AND first.local_date < second.local_date
    JOIN campaigns_campaign c ON c.id = second.campaign_id
    JOIN leads_listentry y ON y.lead_list_id = c.lead_list_id
    JOIN leads_lead l ON l.id = y.lead_id
), stopped AS (
    SELECT DISTINCT n.slot_id, n.person_id
    FROM listed n
    JOIN compliance_optoutevent e ON e.person_id = n.person_id AND e.source = 'inbound'
                                 AND e.at < n.closed_at
    WHERE NOT EXISTS (SELECT 1 FROM compliance_rejoin r WHERE r.person_id = n.person_id)
)
SELECT (SELECT count(*) FROM listed), count(*), count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM delivery_message m JOIN delivery_attempt a ON a.message_id = m.id
        AND (a.is_not_sent OR NOT a.is_not_sent)
    WHERE m.slot_id = stopped.slot_id AND m.person_id = stopped.person_id))
FROM stopped
"""
# What a provider refused for a fault of the account, and how much of it left by another account.
WENT_OVER = """
SELECT count(*), count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM delivery_attempt a
    WHERE a.message_id = refused.message_id AND NOT a.is_not_sent
      AND a.account_id <> refused.account_id))
FROM (SELECT DISTINCT message_id, account_id FROM delivery_attempt
      WHERE is_not_sent AND fault = 'account') refused
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that must hold at the end, and whether it does."""

    says: str
    holds: bool

    def words(self) -> str:
        return f"{'ok    ' if self.holds else 'NOT OK'} {self.says}"


def verdicts(every: Column, *, most_unknown: int, ledger_is_clean: bool) -> list[Verdict]:
    """`most_unknown`: how many may be unknown by our own doing."""
    never = magic_ends(NEVER_ACCEPTED)
    in_doubt = unknown_for_good()
    never_came = min(in_doubt, most_unknown)  # whoever had them in flight was killed
    sendable = every.audience - every.count("refused") - never["rejected"] - never_came
    accepted, still_open = every.count(*TAKEN), every.count(*OPEN)
    share = accepted / sendable if sendable else 0.0
    return [
        Verdict("the ledger and the database agree (check_ledger)", ledger_is_clean),
        Verdict(f"every message has come to an end ({still_open:,} have not)", not still_open),
        Verdict(
            f"{accepted:,} of {sendable:,} sendable messages were accepted ({share:.2%})",
            share >= LEAST_ACCEPTED,
        ),
        Verdict(
            f"{in_doubt:,} are unknown that were in flight when a worker was killed"
            f" (at most {most_unknown:,} may be)",
            in_doubt <= most_unknown,
        ),
        on_reports(every),
        on_confirmations(),
    ]


def on_reports(every: Column) -> Verdict:
    silent = magic_ends(NEVER_REPORTED)
    expected = every.count(*TAKEN) - sum(silent[status] for status in TAKEN)
    reported = every.count(*FINAL)
    return Verdict(
        f"{reported:,} of {expected:,} accepted messages have their final report",
        reported >= expected * LEAST_REPORTED,
    )


def on_confirmations() -> Verdict:
    """Later than five minutes none leaves."""
    stopped, confirmed = sql.one(CONFIRMED, list(TAKEN))
    return Verdict(
        f"{confirmed:,} of {stopped:,} people who wrote STOP were told within five minutes that"
        " they are out",
        confirmed >= stopped * LEAST_CONFIRMED,
    )


def on_a_whole_check() -> list[Verdict]:
    """What holds only where a second slot was sent and a provider has failed."""
    return [on_the_second_slot(), on_the_failing_provider()]


def on_the_second_slot() -> Verdict:
    """On a short list nobody may have written STOP; on a long one somebody must have."""
    listed, stopped, texted = sql.one(SKIPPED)
    return Verdict(
        f"{stopped:,} on the second slot's list had written STOP; it texted {texted:,} of them",
        not texted and (stopped > 0 or listed * STOPS < SURE_FROM),
    )


def on_the_failing_provider() -> Verdict:
    refused, went_over = sql.one(WENT_OVER)
    return Verdict(
        f"{went_over:,} of {refused:,} messages that one provider refused left by the other",
        refused > 0 and went_over >= refused * LEAST_WENT_OVER,
    )


def unknown_for_good() -> int:
    """Messages with an unknown outcome: reports have settled all that a provider took."""
    states: Counter[str] = Counter(dict(sql.rows(STATES)))
    return states["unknown"] + states["not_found"]


def magic_ends(endings: Sequence[str]) -> Counter[str]:
    """How many messages there are to numbers of these endings, by status."""
    found: dict[str, int] = dict(sql.rows(MAGIC, list(endings)))
    return Counter(found)
