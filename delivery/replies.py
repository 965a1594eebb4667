"""What we answer to STOP, HELP and JOIN: the words, how often at most, and the row that waits.

An answer is a message like any other: planned here, decided by its own steps, sent by the walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from delivery import routing, sql
from delivery.claims import REPLIES
from delivery.states import ReplyKind
from providers import segments
from providers.models import SenderNumber

# The brand's own texts replace these. What each must say: CTIA's handbook, compliance.md 1.3.
USUAL: Mapping[str, str] = {
    ReplyKind.STOP: "{brand}: you are opted out and will get no more messages from us."
    " Text START to rejoin.",
    ReplyKind.HELP: "{brand}: message frequency varies. Msg & data rates may apply."
    " Reply STOP to opt out.",
    ReplyKind.JOIN: "{brand}: welcome, you are in. Message frequency varies. Msg & data rates may"
    " apply. Reply HELP for help, STOP to opt out.",
}

# After five minutes a confirmation of an opt-out needs a justification (FCC 2012, SoundBite). An
# answer within 15 minutes to the person's own text is outside the limits of how often.
LIVES: Mapping[str, timedelta] = {
    ReplyKind.STOP: timedelta(minutes=5),
    ReplyKind.HELP: timedelta(minutes=5),
    ReplyKind.JOIN: timedelta(minutes=15),
}

# So that two machines that answer each other come to an end.
AT_MOST: Mapping[str, tuple[tuple[int, timedelta], ...]] = {
    ReplyKind.STOP: ((1, timedelta(days=30)),),
    ReplyKind.HELP: ((1, timedelta(minutes=10)), (5, timedelta(days=1))),
    ReplyKind.JOIN: ((1, timedelta(minutes=10)), (5, timedelta(days=1))),
}

NUMBER = """
SELECT n.kind, n.sends_stop_reply, n.sends_help_reply,
       n.paused_at IS NULL AND n.retired_at IS NULL AND a.paused_at IS NULL
       AND a.retired_at IS NULL AND a.halves > 0
       AND (coalesce(n.rests_until <= %s, true) OR n.rests_because <> ''),
       (SELECT id FROM providers_route WHERE brand_id = b.id AND is_default AND channel = 'sms'
        AND retired_at IS NULL),
       b.stop_reply, b.help_reply, b.join_reply
FROM providers_sendernumber n
JOIN providers_provideraccount a ON a.id = n.account_id CROSS JOIN brands_brand b
WHERE n.id = %s AND b.id = %s
"""

# A confirmation counts until the person joined again: who opts out anew is told so anew.
EARLIER = """
SELECT created_at FROM delivery_message
WHERE person_id = %s AND campaign_id IS NULL AND kind = 'reply' AND reply_kind = %s
  AND status NOT IN ('refused', 'expired', 'cancelled', 'dead')
  AND created_at > coalesce((SELECT max(at) FROM compliance_rejoin WHERE person_id = %s
                             AND %s = 'stop'), '-infinity')
"""

PLAN = """
WITH planned AS (
    INSERT INTO delivery_message (brand_id, person_id, kind, status, inbound_id, reply_kind,
                                  expires_at)
    VALUES (%(brand)s, %(person)s, 'reply', 'planned', %(inbound)s, %(kind)s, %(expires)s)
    ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO delivery_due (message_id, brand_id, lane_id, queue, priority, segments, not_before,
                          expires_at, tries, strikes, crashes, reason)
SELECT id, %(brand)s, %(number)s, %(queue)s, 0, %(segments)s, %(now)s, %(expires)s, 0, 0, 0, ''
FROM planned
"""


def texts(*, stop: str, help_: str, join: str) -> Mapping[str, str]:
    """A brand's words by kind of reply; the usual ones where it has none of its own."""
    own = {ReplyKind.STOP: stop, ReplyKind.HELP: help_, ReplyKind.JOIN: join}
    return {kind.value: text or USUAL[kind] for kind, text in own.items()}


def plan(
    kind: ReplyKind,
    *,
    inbound_id: int,
    person_id: int,
    brand_id: int,
    number_id: int,
    received_at: datetime,
    now: datetime,
) -> bool:
    """Put an answer into the queue, under the lock of the person; False when none is due.

    None is where the provider answers by itself, the person was answered lately, or it is too late.
    """
    expires_at = received_at + LIVES[kind]
    found = sql.rows(NUMBER, now, number_id, brand_id)
    if not found or expires_at <= now or _was_answered(kind, person_id, now):
        return False
    number_kind, sends_stop, sends_help, is_usable, route_id, *own = found[0]
    if _is_answered_upstream(kind, number_kind, sends_stop=sends_stop, sends_help=sends_help):
        return False
    words = texts(stop=own[0], help_=own[1], join=own[2])[kind]
    values = {
        "brand": brand_id,
        "person": person_id,
        "inbound": inbound_id,
        "kind": kind.value,
        "number": number_id if is_usable else _another(number_id, route_id, now),
        "queue": REPLIES,
        "segments": segments.count(words).parts,
        "now": now,
        "expires": expires_at,
    }
    return sql.count_named(PLAN, values) == 1


def _another(number_id: int, route_id: int | None, now: datetime) -> int:
    """Another number of the brand, where the one that was texted rests; else that one, later."""
    if route_id is None:
        return number_id
    lanes = routing.lanes_of([route_id], now=now)[route_id]
    return routing.choose_again(lanes, (), {number_id}) or number_id


def _was_answered(kind: ReplyKind, person_id: int, now: datetime) -> bool:
    earlier = [at for (at,) in sql.rows(EARLIER, person_id, kind.value, person_id, kind.value)]
    return any(sum(at > now - span for at in earlier) >= count for count, span in AT_MOST[kind])


def _is_answered_upstream(
    kind: ReplyKind, number_kind: str, *, sends_stop: bool, sends_help: bool
) -> bool:
    """Toll-free networks answer STOP and START themselves (compliance.md 1.2)."""
    if kind == ReplyKind.HELP:
        return sends_help
    is_toll_free = number_kind == SenderNumber.Kind.TOLL_FREE
    return is_toll_free or (kind == ReplyKind.STOP and sends_stop)
