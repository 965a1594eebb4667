"""Writing down a decided batch: one statement each for links, attempts, persons and the rest.

It runs inside the claim's transaction and decides nothing. When it has committed, and not before,
the intents it returns may go to the wire.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from campaigns.rendering import one_line
from delivery import sql, strikes
from delivery.allowances import cap_keys, warm_keys
from delivery.claims import Claimed, put_back
from delivery.facts import Gathered
from delivery.mail_steps import addressed, unsubscribe_url
from delivery.states import Status
from delivery.steps import Draft, Facts, Hold, LaneFacts, Refuse
from providers.base import Access, SendRequest, ref_in_batch
from providers.registry import adapter
from providers.webhook_urls import status_url

LINKS = """
INSERT INTO links_shortlink (code, brand_id, destination)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[]) RETURNING code, id
"""

ATTEMPTS = """
INSERT INTO delivery_attempt (message_id, account_id, number_id, sender, ref, request_ref, text,
                              segments, brand_day, counted_on, intent_at)
SELECT message_id, account_id, number_id, %s::uuid, ref, request_ref, text, segments, brand_day,
       string_to_array(counted_on, ' '), %s
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[],
            %s::int[], %s::date[], %s::text[])
     AS a (message_id, account_id, number_id, ref, request_ref, text, segments, brand_day,
           counted_on)
ORDER BY message_id RETURNING message_id, id
"""

MAILS = """
INSERT INTO delivery_mailcontent (attempt_id, owner_id, subject, html)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])
"""

PERSONS = """
UPDATE compliance_person p SET recent = v.recent, last_message_at = %s
FROM unnest(%s::bigint[], %s::jsonb[]) AS v (id, recent) WHERE p.id = v.id
"""

MESSAGES = """
UPDATE delivery_message m SET status = v.status, reason = v.reason,
       link_id = coalesce(v.link_id, m.link_id)
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[]) AS v (id, status, reason, link_id)
WHERE m.id = v.id AND m.status = 'planned'
"""

STICKIES = """
INSERT INTO delivery_sticky (person_id, brand_id, number_id)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (person_id, brand_id) DO UPDATE SET number_id = EXCLUDED.number_id
"""

COUNTERS = """
INSERT INTO delivery_capcounter AS c (key, used)
SELECT key, used FROM unnest(%s::text[], %s::bigint[]) AS v (key, used) ORDER BY key
ON CONFLICT (key) DO UPDATE SET used = c.used + EXCLUDED.used
RETURNING key, used
"""


class CapFull(Exception):
    """Another batch took the rest of a cap meanwhile: roll back and decide again."""


class Inconsistent(Exception):
    """A message that was claimed is not planned: somebody else wrote it, so nothing is sent."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A step raised; the message waits and is tried again."""

    step: str


Verdict = Draft | Hold | Refuse | Struck


@dataclass(frozen=True, slots=True)
class Decided:
    row: Claimed
    verdict: Verdict


class Refs(NamedTuple):
    """Our references of an attempt; that of its request is empty where it carries no other."""

    ref: str
    request_ref: str = ""


class Intent(NamedTuple):
    """A message that may go to the wire, once. Times are in the sandbox's clock, UTC."""

    attempt_id: int
    message_id: int
    queue: int
    brand_id: int
    lane_id: int
    account_id: int
    segments_per_second: float
    in_flight: int
    access: Access
    send: SendRequest
    window_closes_at: datetime | None
    goes_alone: bool = False


def write(
    decided: Sequence[Decided], gathered: Gathered, *, sender: UUID, now: datetime
) -> list[Intent]:
    """Write a batch. Raises CapFull and Inconsistent; the transaction must then roll back."""
    facts = gathered.facts
    drafts = sorted(
        (item for item in decided if isinstance(item.verdict, Draft)),
        key=lambda item: item.row.message_id,
    )
    pairs = [(item.row, item.verdict) for item in drafts if isinstance(item.verdict, Draft)]
    refs = _refs(pairs, facts)
    pairs = [
        (row, addressed(draft, one.ref)) for (row, draft), one in zip(pairs, refs, strict=True)
    ]
    links = _write_links([draft for _, draft in pairs], facts, gathered.links)
    attempt_ids = _write_attempts([draft for _, draft in pairs], refs, facts, sender, now)
    _write_mails([draft for _, draft in pairs], attempt_ids)
    _write_persons(facts, now)
    struck = strikes.apply(
        [(item.row, item.verdict.step) for item in decided if isinstance(item.verdict, Struck)], now
    )
    _write_messages(decided, links, struck)
    _put_back(decided, struck)
    _write_stickies([draft for _, draft in pairs], gathered.stickies)
    _count([draft for _, draft in pairs], decided, facts, now)
    return [
        _intent(row, draft, one, attempt_ids[draft.message_id], facts)
        for (row, draft), one in zip(pairs, refs, strict=True)
    ]


@dataclass(slots=True)
class Filling:
    """A request that is being filled, and whom it goes to."""

    ref: str
    recipients: set[str] = field(default_factory=set)


def _refs(pairs: Sequence[tuple[Claimed, Draft]], facts: Facts) -> list[Refs]:
    """The references of each, which say what goes in one request: of one number, until one moment.

    No request has two to one recipient, whom such a provider could not tell apart.
    """
    filling: dict[tuple[int, datetime], Filling] = {}
    refs = []
    for row, draft in pairs:
        access = _access(facts.lanes[draft.lane_id])
        most = adapter(access.kind, access.definition).max_batch
        if most == 1:
            refs.append(Refs(_new_ref()))
            continue
        key = (draft.lane_id, _ends_at(draft, facts))
        one = None if row.goes_alone else filling.get(key)
        if one is None or len(one.recipients) == most or draft.to in one.recipients:
            one = Filling(_new_ref())
            if not row.goes_alone:
                filling[key] = one
        one.recipients.add(draft.to)
        refs.append(Refs(ref_in_batch(one.ref, draft.to), one.ref))
    return refs


def _new_ref() -> str:
    return secrets.token_urlsafe(16)


def _ends_at(draft: Draft, facts: Facts) -> datetime:
    """The moment after which nobody may send it on."""
    opening = facts.openings.get((draft.brand_id, draft.places_id or 0))
    closes_at = opening.closes_at if opening else None
    return min(closes_at, draft.expires_at) if closes_at else draft.expires_at


def _access(lane: LaneFacts) -> Access:
    assert lane.access is not None  # noqa: S101 - a lane without it is not usable
    return lane.access


def _write_links(
    drafts: Sequence[Draft], facts: Facts, before: Mapping[int, int]
) -> dict[int, int]:
    """The link of each message, by message id. A message keeps the code of an earlier attempt."""
    new = [draft for draft in drafts if draft.code and draft.message_id not in before]
    if not new:
        return {}
    rows = sql.rows(
        LINKS,
        [draft.code for draft in new],
        [draft.brand_id for draft in new],
        [_destination(draft, facts) for draft in new],
    )
    ids: dict[str, int] = dict(rows)
    return {draft.message_id: ids[draft.code] for draft in new}


def _destination(draft: Draft, facts: Facts) -> str:
    if draft.slot_id is None:
        return facts.singles[draft.message_id].destination
    return facts.slots[draft.slot_id].destination


def _write_attempts(
    drafts: Sequence[Draft], refs: Sequence[Refs], facts: Facts, sender: UUID, now: datetime
) -> dict[int, int]:
    if not drafts:
        return {}
    return dict(
        sql.rows(
            ATTEMPTS,
            sender,
            now,
            [draft.message_id for draft in drafts],
            [facts.lanes[draft.lane_id].account_id for draft in drafts],
            [draft.lane_id for draft in drafts],
            [one.ref for one in refs],
            [one.request_ref for one in refs],
            [draft.text for draft in drafts],
            [draft.segments for draft in drafts],
            [facts.brands[draft.brand_id].today for draft in drafts],
            [_counted_on(draft, facts) for draft in drafts],
        )
    )


def _counted_on(draft: Draft, facts: Facts) -> str | None:
    """The counters of limits a day that it counts on; answers too, though none holds them."""
    return " ".join(limit.key for limit in facts.limits_of(draft)) or None


def _write_mails(drafts: Sequence[Draft], attempt_ids: Mapping[int, int]) -> None:
    """What e-mails say beside their text; a batch of texts has none and asks nothing."""
    mails = [(attempt_ids[draft.message_id], draft.mail) for draft in drafts if draft.mail]
    if mails:
        sql.count(
            MAILS,
            [attempt_id for attempt_id, _ in mails],
            [mail.owner_id for _, mail in mails],
            [mail.subject for _, mail in mails],
            [mail.html for _, mail in mails],
        )


def _write_persons(facts: Facts, now: datetime) -> None:
    changed = sorted(key for key, person in facts.persons.items() if person.changed)
    if changed:
        recents = [json.dumps(facts.persons[key].recent) for key in changed]
        sql.rows(PERSONS, now, changed, recents)


def _write_messages(
    decided: Sequence[Decided], links: Mapping[int, int], struck: Mapping[int, Hold | Refuse]
) -> None:
    rows = []
    for item in decided:
        verdict = struck.get(item.row.message_id, item.verdict)
        if isinstance(verdict, Draft):
            link_id = links.get(verdict.message_id)
            rows.append((verdict.message_id, Status.SENDING.value, "", link_id))
        elif isinstance(verdict, Refuse):
            reason = verdict.reason.value
            if verdict.status == Status.EXPIRED and item.row.reason:
                reason = item.row.reason
            rows.append((item.row.message_id, verdict.status.value, reason, None))
    if not rows:
        return
    rows.sort(key=lambda row: row[0])
    moved = sql.count(MESSAGES, *(list(column) for column in zip(*rows, strict=True)))
    if moved != len(rows):
        raise Inconsistent(f"{len(rows) - moved} claimed messages are not planned")


def _put_back(decided: Sequence[Decided], struck: Mapping[int, Hold | Refuse]) -> None:
    held = []
    for item in decided:
        verdict = struck.get(item.row.message_id, item.verdict)
        if isinstance(verdict, Hold):
            item.row.hold(verdict.reason, verdict.until)
            held.append(item.row)
    put_back(held)


def _write_stickies(drafts: Sequence[Draft], before: Mapping[int, int | None]) -> None:
    moved = {
        (draft.person_id, draft.brand_id): draft.lane_id
        for draft in drafts
        if draft.sticks and before.get(draft.message_id) != draft.lane_id
    }
    if moved:
        keys = sorted(moved)
        sql.rows(
            STICKIES,
            [person for person, _ in keys],
            [brand for _, brand in keys],
            [moved[key] for key in keys],
        )


def _count(
    drafts: Sequence[Draft], decided: Sequence[Decided], facts: Facts, now: datetime
) -> None:
    """Last of all, for these rows are the ones every batch of a brand must pass.

    Carriers and providers count answers too, which go out beside all caps: they alone may go past
    the end of a limit, so only what else was taken is checked.
    """
    counts: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    taken: set[str] = set()
    for draft in drafts:
        costs = {limit.key: limit.cost(draft.segments) for limit in facts.limits_of(draft)}
        counts.update(costs)
        if draft.counts:
            today = facts.brands[draft.brand_id].today
            caps = cap_keys(draft.brand_id, draft.campaign_id, today)
            caps += warm_keys(draft.lane_id, facts.lanes[draft.lane_id].warm_from)
            counts.update(caps)
            taken.update(caps, costs)
        else:
            answers.update(costs)
    for item in decided:
        if item.row.campaign_id is not None:
            counts[strikes.decided_key(item.row.campaign_id)] += 1
    if not counts:
        return
    keys = sorted(counts)
    used: dict[str, int] = dict(sql.rows(COUNTERS, keys, [counts[key] for key in keys]))
    for key, cap in facts.budget.caps.items():
        if key in taken and used.get(key, 0) - answers[key] > cap:
            raise CapFull(key)
    strikes.pause_failing(
        [item.row for item in decided if isinstance(item.verdict, Struck)], used, now
    )


def _intent(row: Claimed, draft: Draft, refs: Refs, attempt_id: int, facts: Facts) -> Intent:
    lane = facts.lanes[draft.lane_id]
    access, ends_at = _access(lane), _ends_at(draft, facts)
    return Intent(
        attempt_id=attempt_id,
        message_id=draft.message_id,
        queue=row.queue,
        brand_id=draft.brand_id,
        lane_id=draft.lane_id,
        account_id=lane.account_id,
        segments_per_second=lane.segments_per_second,
        in_flight=lane.in_flight,
        access=access,
        window_closes_at=ends_at,
        goes_alone=row.goes_alone,
        send=SendRequest(
            ref=refs.ref,
            request_ref=refs.request_ref,
            from_value=lane.value,
            from_kind=lane.kind,
            text=draft.text,
            segments=draft.segments,
            status_callback_url=status_url(access, lane.account_id, refs.request_ref or refs.ref),
            not_after=ends_at,
            decided_at=facts.now,
            **_recipient(draft, refs, facts),
        ),
    )


def _recipient(draft: Draft, refs: Refs, facts: Facts) -> dict[str, str]:
    """Whom it is for, and what only an e-mail has."""
    if draft.mail is None:
        return {"to_e164": draft.to}
    return {
        "to_email": draft.to,
        "from_name": one_line(facts.brands[draft.brand_id].name),
        "subject": draft.mail.subject,
        "html": draft.mail.html,
        "unsubscribe_url": unsubscribe_url(refs.ref),
    }


def strike(row: Claimed, *, step: str, now: datetime) -> None:
    """A row that could not even be written: a strike, on its own."""
    verdicts = strikes.apply([(row, step)], now)
    _write_messages([Decided(row, Struck(step))], {}, verdicts)
    _put_back([Decided(row, Struck(step))], verdicts)
    if row.campaign_id is not None:
        key = strikes.decided_key(row.campaign_id)
        strikes.pause_failing([row], dict(sql.rows(COUNTERS, [key], [1])), now)


def check_constraints() -> None:
    """Raise now what a deferred foreign key would raise at COMMIT, past every fall-back."""
    sql.rows("SET CONSTRAINTS ALL IMMEDIATE")
    sql.rows("SET CONSTRAINTS ALL DEFERRED")
