"""Whether a demo went well: what must hold at its end, each thing in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from config.demo_accounts import SENDING, THROTTLES
from config.demo_outside import STOPS, THROTTLED
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
# How many are on the lists of second slots; who of them got out (wrote STOP, or unsubscribed from
# e-mail) until the first slot had closed, or the second one was planned, and did not join again;
# and how many of these got a message of the second slot all the same.
SKIPPED = """
WITH listed AS (
    SELECT DISTINCT second.id AS slot_id, l.person_id, greatest(first.closed_at, (
               SELECT min(m.created_at) FROM delivery_message m WHERE m.slot_id = second.id)
           ) AS until
    FROM campaigns_slot second
    JOIN campaigns_slot first ON first.campaign_id = second.campaign_id
                             AND first.local_date < second.local_date
    JOIN campaigns_campaign c ON c.id = second.campaign_id
    JOIN leads_listentry y ON y.lead_list_id = c.lead_list_id
    JOIN leads_lead l ON l.id = y.lead_id
), stopped AS (
    SELECT DISTINCT n.slot_id, n.person_id
    FROM listed n
    JOIN compliance_optoutevent e ON e.person_id = n.person_id AND e.source <> 'import'
                                 AND e.at < n.until
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
ACCEPTED_BY = """
SELECT DISTINCT p.kind FROM delivery_attempt a
JOIN providers_provideraccount p ON p.id = a.account_id WHERE a.outcome = 'accepted'
"""
# What the throttling provider turned away, how much of it left later, and whether it took anything
# again. Left out are the people whom every provider of the simulator turns away once.
THROTTLING = """
WITH turned AS (
    SELECT t.message_id, max(t.id) AS last_id FROM delivery_attempt t
    JOIN providers_provideraccount p ON p.id = t.account_id AND p.name = %s
    JOIN delivery_message m ON m.id = t.message_id
    JOIN compliance_person q ON q.id = m.person_id AND right(q.phone, 4) <> '0005'
    WHERE t.is_not_sent AND t.code = %s GROUP BY t.message_id
)
SELECT count(*), count(*) FILTER (WHERE EXISTS (
           SELECT 1 FROM delivery_attempt a
           WHERE a.message_id = turned.message_id AND a.id > last_id AND NOT a.is_not_sent)),
       EXISTS (SELECT 1 FROM delivery_attempt a
               JOIN providers_provideraccount p ON p.id = a.account_id AND p.name = %s
               WHERE a.outcome = 'accepted' AND a.id > (SELECT max(last_id) FROM turned))
FROM turned
"""


# The e-mails that left, how many were taken, how many of these have their report, and how many
# readers are out since.
MAIL = """
SELECT count(*) FILTER (WHERE m.status <> 'refused'), count(*) FILTER (WHERE m.status = ANY(%s)),
       count(*) FILTER (WHERE m.status = ANY(%s)),
       count(DISTINCT m.person_id) FILTER (WHERE m.status = 'delivered' AND EXISTS (
           SELECT 1 FROM compliance_optoutevent e
           WHERE e.person_id = m.person_id AND e.source IN ('provider', 'unsubscribe')))
FROM delivery_message m
JOIN campaigns_campaign c ON c.id = m.campaign_id AND c.channel = 'email'
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
    """What holds only where a second slot was sent and providers have failed."""
    return [
        on_the_second_slot(),
        on_the_mix(),
        on_the_failing_provider(),
        on_the_throttling_provider(),
        on_email(),
    ]


def on_the_mix() -> Verdict:
    kinds = [kind for (kind,) in sql.rows(ACCEPTED_BY)]
    there = [kind for kind in SENDING if kind in kinds]
    return Verdict(
        f"{len(there)} of {len(SENDING)} kinds of providers accepted messages"
        f" ({', '.join(there) or 'none'})",
        len(there) == len(SENDING),
    )


def on_the_throttling_provider() -> Verdict:
    turned, left, is_back = sql.one(THROTTLING, THROTTLES, THROTTLED, THROTTLES)
    return Verdict(
        f"{left:,} of {turned:,} messages that {THROTTLES} throttled left later;"
        f" it {'came back' if is_back else 'did not come back'}",
        turned > 0 and left >= turned * LEAST_WENT_OVER and bool(is_back),
    )


def on_email() -> Verdict:
    left, taken, reported, out = sql.one(MAIL, list(TAKEN), list(FINAL))
    return Verdict(
        f"{taken:,} of {left:,} e-mails were accepted, {reported:,} have their final report;"
        f" {out:,} who got one unsubscribed",
        left > 0 and min(taken, reported) >= left * LEAST_ACCEPTED,
    )


def on_the_second_slot() -> Verdict:
    """On a short list nobody may have written STOP; on a long one somebody must have."""
    listed, stopped, texted = sql.one(SKIPPED)
    return Verdict(
        f"{stopped:,} on the second slots' lists had written STOP or unsubscribed; it reached"
        f" {texted:,} of them",
        not texted and (stopped > 0 or listed * STOPS < SURE_FROM),
    )


def on_the_failing_provider() -> Verdict:
    refused, went_over = sql.one(WENT_OVER)
    return Verdict(
        f"{went_over:,} of {refused:,} messages that one provider refused left by others",
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
