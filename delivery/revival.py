"""A report on an attempt that was thought not sent: the provider took the message after all.

Its message leaves the queue, or a final state of ours, before anybody sends it again; if somebody
did already, that is an alarm and nothing else.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import date, datetime
from typing import NamedTuple

from django.db import transaction

from campaigns.rendering import UNSUBSCRIBE_LINE
from delivery import limits, people, sql
from delivery.allowances import cap_keys, warm_keys
from delivery.intents import COUNTERS
from delivery.mail_steps import hash_of_mail, unsubscribe_url
from delivery.reports import moves
from delivery.states import Kind, Status
from delivery.steps import hash_of_words
from delivery.transactions import begin, retried
from links.codes import SCHEMES, link_url
from providers import base

logger = logging.getLogger(__name__)

LOCK_DUE = """
SELECT d.message_id FROM delivery_due d JOIN delivery_attempt a ON a.message_id = d.message_id
WHERE a.id = %s FOR UPDATE OF d
"""

FORGET_DUE = "DELETE FROM delivery_due WHERE message_id = %s"

MESSAGE = "SELECT message_id FROM delivery_attempt WHERE id = %s"

THOUGHT_NOT_SENT = """
SELECT m.id, m.kind, m.brand_id, m.campaign_id, m.person_id, a.brand_day, a.intent_at, a.text,
       s.local_date, b.opt_out_line, b.short_domain, k.code, a.ref, e.subject, a.report_status,
       NOT a.is_not_sent, EXISTS (SELECT 1 FROM delivery_attempt o WHERE o.message_id = m.id
                                  AND o.id <> a.id AND NOT o.is_not_sent),
       coalesce(a.counted_on, '{}'), a.segments, a.number_id,
       CASE WHEN n.warms_up_since <= a.intent_at THEN sendonce_warm_from(n, a.intent_at) END
FROM delivery_attempt a
JOIN providers_sendernumber n ON n.id = a.number_id
JOIN delivery_message m ON m.id = a.message_id
JOIN brands_brand b ON b.id = m.brand_id
LEFT JOIN campaigns_slot s ON s.id = m.slot_id
LEFT JOIN links_shortlink k ON k.id = m.link_id
LEFT JOIN delivery_mailcontent e ON e.attempt_id = a.id
WHERE a.id = %s FOR NO KEY UPDATE OF a
"""

TAKEN = "UPDATE delivery_attempt SET outcome = 'accepted', is_not_sent = false WHERE id = %s"
MOVE = "UPDATE delivery_message SET status = %s, reason = '' WHERE id = %s"

REMEMBER = """
UPDATE compliance_person SET last_message_at = greatest(last_message_at, %s),
       recent = recent || jsonb_build_array(jsonb_build_array(
           %s::float8, %s::bigint, %s::text, %s::text))
WHERE id = %s
"""


class Doubted(NamedTuple):
    """The attempt with its message. `is_revived`: an earlier call's COMMIT went through unheard."""

    message_id: int
    kind: str
    brand_id: int
    campaign_id: int | None
    person_id: int
    brand_day: date
    intent_at: datetime
    text: str
    local_date: date | None
    opt_out_line: str
    short_domain: str
    code: str | None
    ref: str
    subject: str | None  # of an e-mail
    report_status: str
    is_revived: bool
    is_sent_again: bool
    counted_on: list[str]
    segments: int
    number_id: int
    warm_from: datetime | None  # when the day of its number's warm-up began that it counted in


def revive(attempt_id: int) -> bool:
    """Take the message out of whatever was to become of it; False when it was sent again already.

    Either way an alarm. Raises OperationalError when the locks cannot be had.
    """
    revived = retried(lambda: _revive(attempt_id)) == 1
    extra = {"attempt_id": attempt_id, "sent_again": not revived}
    logger.error("a message that was thought not sent was taken after all", extra=extra)
    return revived


def _revive(attempt_id: int) -> int:
    with transaction.atomic():
        begin()
        sql.rows(LOCK_DUE, attempt_id)
        people.lock(people.of_messages([sql.one(MESSAGE, attempt_id)[0]]))
        return int(_restore(Doubted(*sql.one(THOUGHT_NOT_SENT, attempt_id)), attempt_id))


def restore(attempt_id: int) -> None:
    """The same where the locks are held already: the queue row's, if any, and the person's.

    Its reports were settled while another attempt was live, and move the message now.
    """
    found = Doubted(*sql.one(THOUGHT_NOT_SENT, attempt_id))
    if _restore(found, attempt_id) and found.report_status:
        for status in moves(Status.ACCEPTED, base.Status(found.report_status)):
            sql.count(MOVE, status.value, found.message_id)


def _restore(found: Doubted, attempt_id: int) -> bool:
    if found.is_revived or found.is_sent_again:
        return found.is_revived
    sql.count(TAKEN, attempt_id)
    sql.count(MOVE, Status.ACCEPTED.value, found.message_id)
    sql.count(FORGET_DUE, found.message_id)
    counts = Counter(limits.given_back(found.counted_on, found.segments))
    if found.kind != Kind.REPLY:
        _remember(found)
        counts.update(cap_keys(found.brand_id, found.campaign_id, found.brand_day))
        counts.update(warm_keys(found.number_id, found.warm_from))
    if counts:
        keys = sorted(counts)
        sql.rows(COUNTERS, keys, [counts[key] for key in keys])
    return True


def _remember(found: Doubted) -> None:
    """It was sent, so it counts on the person's allowance, as it does on the caps of its day."""
    words = _hash_of(found)
    on = str(found.local_date or "")
    epoch = found.intent_at.timestamp()
    sql.count(REMEMBER, found.intent_at, epoch, found.message_id, words, on, found.person_id)


def _hash_of(found: Doubted) -> str:
    """Of the words as the steps hashed them."""
    links = _links(found)
    if found.subject is None:
        return hash_of_words(found.text, *links, found.opt_out_line)
    out = unsubscribe_url(found.ref)
    return hash_of_mail(found.subject, found.text, *links, f"{UNSUBSCRIBE_LINE}{out}", out)


def _links(found: Doubted) -> list[str]:
    """Its link as it may stand in the text: the scheme may have been another when it was sent."""
    if found.code is None:
        return []
    return [link_url(found.short_domain, found.code, scheme=scheme) for scheme in SCHEMES]
