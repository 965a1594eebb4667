"""A report on an attempt that was thought not sent: the provider took the message after all.

Its message leaves the queue, or a final state of ours, before anybody sends it again; if somebody
did already, that is an alarm and nothing else.
"""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import NamedTuple

from django.db import transaction

from delivery import people, sql
from delivery.allowances import cap_keys
from delivery.intents import COUNTERS
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
       s.local_date, b.opt_out_line, b.short_domain, k.code, a.report_status,
       NOT a.is_not_sent, EXISTS (SELECT 1 FROM delivery_attempt o WHERE o.message_id = m.id
                                  AND o.id <> a.id AND NOT o.is_not_sent)
FROM delivery_attempt a
JOIN delivery_message m ON m.id = a.message_id
JOIN brands_brand b ON b.id = m.brand_id
LEFT JOIN campaigns_slot s ON s.id = m.slot_id
LEFT JOIN links_shortlink k ON k.id = m.link_id
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
    report_status: str
    is_revived: bool
    is_sent_again: bool


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
    if found.kind != Kind.REPLY:
        _count(found)
    return True


def _count(found: Doubted) -> None:
    """It was sent, so it counts: on the person's allowance and on the caps of its day."""
    words = hash_of_words(found.text, *_links(found), found.opt_out_line)
    on = str(found.local_date or "")
    epoch = found.intent_at.timestamp()
    sql.count(REMEMBER, found.intent_at, epoch, found.message_id, words, on, found.person_id)
    keys = sorted(cap_keys(found.brand_id, found.campaign_id, found.brand_day))
    sql.rows(COUNTERS, keys, [1] * len(keys))


def _links(found: Doubted) -> list[str]:
    """Its link as it may stand in the text: the scheme may have been another when it was sent."""
    if found.code is None:
        return []
    return [link_url(found.short_domain, found.code, scheme=scheme) for scheme in SCHEMES]
