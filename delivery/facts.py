"""The facts of one batch, gathered by a fixed number of queries inside the claim's transaction.

It locks the persons, in id order, so that a committed STOP is seen and a later one waits; it
decides nothing. Sets of places never change, so their zones are kept for the process's life.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from campaigns.rendering import Mail
from compliance.hours import SendingHours, opening_instant
from delivery import limit_rows, replies, sql
from delivery.allowances import Budget, PersonLimits, cap_keys, warm_keys
from delivery.claims import Claimed
from delivery.limits import Limit, Owners
from delivery.states import Kind
from delivery.steps import (
    BrandFacts,
    Draft,
    Envelope,
    Facts,
    LaneFacts,
    Opening,
    PersonFacts,
    SingleFacts,
    SlotFacts,
)
from links.codes import new_codes
from providers.base import Access, Channel
from providers.models import ProviderAccount
from providers.registry import adapter

logger = logging.getLogger(__name__)

KEEP_RECENT = timedelta(days=8)
VALUES = ("first_name", "last_name", "city", "state", "zip_code")

# Whose text was not applied yet, and whoever a lead names beside them: of all brands, for what the
# text says may bind all. There are few such texts, so the set is made once.
MESSAGES = """
WITH waiting AS MATERIALIZED (
    SELECT person_id FROM delivery_inbound WHERE applied_at IS NULL AND person_id IS NOT NULL
), unheard AS MATERIALIZED (
    SELECT person_id FROM waiting
    UNION SELECT l.email_person_id FROM leads_lead l JOIN waiting USING (person_id)
    WHERE l.email_person_id IS NOT NULL
    UNION SELECT l.person_id FROM leads_lead l JOIN waiting w ON w.person_id = l.email_person_id
)
SELECT m.id, m.kind, m.slot_id, m.person_id, m.link_id, k.code,
       p.phone, p.recent,
       coalesce(greatest(p.opt_out_event_id, e.opt_out_event_id) > coalesce(r.after_event_id, -1),
                false),
       p.held_at IS NOT NULL OR e.held_at IS NOT NULL, p.undeliverable_at IS NOT NULL,
       p.id IN (SELECT person_id FROM unheard),
       l.places_id, l.consent_id IS NOT NULL, coalesce(l.status = 'active', true),
       l.first_name, l.last_name, l.city, l.state, l.zip_code, s.number_id, m.reply_kind, p.carrier
FROM delivery_message m
JOIN compliance_person p ON p.id = m.person_id
LEFT JOIN leads_lead l ON l.id = m.lead_id
LEFT JOIN compliance_person e ON e.id = l.email_person_id
LEFT JOIN links_shortlink k ON k.id = m.link_id
LEFT JOIN compliance_rejoin r ON r.person_id = m.person_id AND r.brand_id = m.brand_id
LEFT JOIN delivery_sticky s ON s.person_id = m.person_id AND s.brand_id = m.brand_id
WHERE m.id = ANY(%s::bigint[]) AND m.status = 'planned'
ORDER BY p.id FOR NO KEY UPDATE OF p
"""

BRANDS = """
SELECT i.stopped_at IS NOT NULL,
       i.persons_per_day, i.persons_per_week, i.person_gap_minutes,
       b.id, b.name, b.short_domain, b.opt_out_line, b.paused_at IS NOT NULL, b.zone, b.daily_cap,
       b.opens, b.closes, b.sunday_opens, b.stop_reply, b.help_reply, b.join_reply
FROM brands_brand b CROSS JOIN brands_installation i WHERE b.id = ANY(%s::bigint[])
"""

SLOTS = """
SELECT s.id, c.id, c.brand_id, c.paused_at IS NOT NULL, c.repeats_words, c.destination,
       s.local_date, c.daily_cap, c.channel, v.subject, v.text, v.html
FROM campaigns_slot s
JOIN campaigns_campaign c ON c.id = s.campaign_id
JOIN campaigns_templateversion v ON v.id = s.template_version_id
WHERE s.id = ANY(%s::bigint[])
"""

SINGLES = """
SELECT message_id, destination, values, is_test, to_a_lead, consent_id IS NOT NULL, channel,
       subject, text, html
FROM delivery_singletext WHERE message_id = ANY(%s::bigint[])
"""

# The person's own mailbox, else that of whom the lead names beside; it bounces for its owner. Of
# several of a slot to one mailbox the first goes, or the one that went already. That the person
# joined again ends no opt-out of somebody else.
MAILBOXES = """
SELECT m.id, o.email, o.id, o.email_undeliverable_at IS NOT NULL, EXISTS (
    SELECT 1 FROM (SELECT o.id AS person_id UNION
                   SELECT z.person_id FROM leads_lead z WHERE z.email_person_id = o.id) s
    JOIN delivery_message x ON x.person_id = s.person_id AND x.campaign_id = m.campaign_id
                           AND x.slot_id = m.slot_id AND x.id <> m.id
    JOIN compliance_person q ON q.id = x.person_id
    LEFT JOIN leads_lead y ON y.id = x.lead_id
    WHERE (q.id = o.id OR q.email IS NULL AND y.email_person_id = o.id)
      AND CASE x.status WHEN 'planned' THEN x.id < m.id
               ELSE x.status NOT IN ('refused', 'expired', 'cancelled', 'dead', 'rejected') END),
    coalesce(o.id <> p.id AND o.opt_out_event_id > coalesce(r.after_event_id, -1), false)
FROM delivery_message m
JOIN compliance_person p ON p.id = m.person_id
LEFT JOIN leads_lead l ON l.id = m.lead_id
LEFT JOIN compliance_person o ON o.id = CASE WHEN p.email IS NULL THEN l.email_person_id
                                             ELSE p.id END
LEFT JOIN compliance_rejoin r ON r.person_id = o.id AND r.brand_id = m.brand_id
WHERE m.id = ANY(%s::bigint[])
"""

LANES = """
SELECT n.id, a.id, n.value, n.kind, sendonce_pace(n, clock.now), a.in_flight,
       a.kind, a.base_url, a.sealed_credentials, a.is_simulated, a.definition,
       a.webhook_key, a.options::text,
       u.in_use AND coalesce(n.rests_until <= clock.now, true), u.in_use AND n.rests_because <> '',
       sendonce_warm_ceiling(n, clock.now), sendonce_warm_from(n, clock.now)
FROM (SELECT %s::timestamptz AS now) clock CROSS JOIN providers_sendernumber n
JOIN providers_provideraccount a ON a.id = n.account_id
CROSS JOIN LATERAL (SELECT n.paused_at IS NULL AND n.retired_at IS NULL AND a.paused_at IS NULL
                           AND a.retired_at IS NULL AS in_use) u
WHERE n.id = ANY(%s::bigint[])
"""

COUNTERS = "SELECT key, used FROM delivery_capcounter WHERE key = ANY(%s::text[])"
PLACES = "SELECT id, zones FROM compliance_places WHERE id = ANY(%s::bigint[])"

Rows = list[sql.Row]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Drafts in person order, and the facts to decide them by."""

    drafts: tuple[Draft, ...]
    facts: Facts
    links: dict[int, int]
    stickies: dict[int, int | None]


def gather(claimed: Sequence[Claimed], *, now: datetime) -> Gathered:
    """Lock the persons and read all that the steps may know; rows not planned are left out."""
    by_message = {row.message_id: row for row in claimed}
    rows = sql.rows(MESSAGES, list(by_message))
    brand_ids = {row.brand_id for row in claimed}
    lane_ids = {row.lane_id for row in claimed}
    slot_ids = {slot_id for _, _, slot_id, *_ in rows if slot_id is not None}
    brands, hours, caps, installation = _brands(brand_ids, now)
    slots, campaign_caps = _slots(slot_ids, brands)
    singles = _singles([row[0] for row in rows if row[1] == Kind.SINGLE])
    lanes = _lanes(lane_ids, now)
    day_limits = _day_limits(claimed, lanes, now)
    facts = Facts(
        now=now,
        is_stopped=bool(installation[0]),
        limits=PersonLimits(installation[1], installation[2], timedelta(minutes=installation[3])),
        brands=brands,
        slots=slots,
        singles=singles,
        link_scheme=settings.SHORT_LINK_SCHEME,
        lanes=lanes,
        persons=_persons(rows, now),
        openings=_openings(rows, by_message, hours, now),
        budget=_budget({**caps, **campaign_caps, **_ceilings(lanes)}, day_limits),
        day_limits=day_limits,
    )
    codes = iter(new_codes(len(rows)))
    drafts = tuple(
        _draft(row, by_message[row[0]], next(codes), singles.get(row[0])) for row in rows
    )
    mails = (*(slot.mail for slot in slots.values()), *(one.mail for one in singles.values()))
    if any(mails):
        drafts = _enveloped(drafts, facts)
    return Gathered(
        drafts,
        facts,
        links={row[0]: row[4] for row in rows if row[4] is not None},
        stickies={row[0]: row[20] for row in rows},
    )


def local_day(zone: str, now: datetime) -> tuple[date, datetime]:
    """The date in a zone, and the instant (UTC) at which its next day begins."""
    place = ZoneInfo(zone)
    today = now.astimezone(place).date()
    return today, opening_instant(today + timedelta(days=1), time(0), place)


def _brands(
    ids: Collection[int], now: datetime
) -> tuple[dict[int, BrandFacts], dict[int, SendingHours], dict[str, int], tuple[Any, ...]]:
    """Brands, their hours, their caps by counter key, and the installation's own columns."""
    brands, hours, caps = {}, {}, {}
    installation: tuple[Any, ...] = (True, 0, 0, 0)  # no row: nothing is sent
    for row in sql.rows(BRANDS, list(ids)):
        installation = tuple(row[:4])
        brand_id, name, domain, line, paused, zone, cap, *opening, stop, help_, join = row[4:]
        today, next_day_at = local_day(zone, now)
        texts = replies.texts(stop=stop, help_=help_, join=join)
        brands[brand_id] = BrandFacts(name, domain, line, paused, today, next_day_at, texts)
        hours[brand_id] = SendingHours(*opening)
        if cap is not None:
            caps[cap_keys(brand_id, None, today)[0]] = cap
    return brands, hours, caps, installation


def _slots(
    ids: Collection[int], brands: dict[int, BrandFacts]
) -> tuple[dict[int, SlotFacts], dict[str, int]]:
    slots, caps = {}, {}
    for slot_id, campaign_id, brand_id, paused, repeats, link, on, cap, channel, *said in sql.rows(
        SLOTS, list(ids)
    ):
        mail = Mail(*said)
        is_mail = channel == Channel.EMAIL
        slots[slot_id] = SlotFacts(paused, repeats, link, on, mail.text, mail if is_mail else None)
        if cap is not None:
            caps[cap_keys(brand_id, campaign_id, brands[brand_id].today)[1]] = cap
    return slots, caps


def _singles(message_ids: Sequence[int]) -> dict[int, SingleFacts]:
    """What single messages say; most batches have none and ask nothing."""
    found = sql.rows(SINGLES, message_ids) if message_ids else []
    return {message_id: _single(*row) for message_id, *row in found}


def _single(
    destination: str,
    values: Any,
    is_test: bool,
    to_a_lead: bool,
    has_consent: bool,
    channel: str,
    *words: str,
) -> SingleFacts:
    mail = Mail(*words)
    return SingleFacts(
        template=mail.text,
        destination=destination,
        values=sql.from_json(values),
        is_test=is_test,
        to_a_lead=to_a_lead,
        has_consent=has_consent,
        mail=mail if channel == Channel.EMAIL else None,
    )


def _lanes(ids: Collection[int], now: datetime) -> dict[int, LaneFacts]:
    return {row[0]: _lane(*row[1:]) for row in sql.rows(LANES, now, list(ids))}


def _lane(
    account_id: int,
    value: str,
    kind: str,
    rate: float,
    in_flight: int,
    provider: str,
    base_url: str,
    sealed: bytes,
    is_simulated: bool,
    definition: str,
    webhook_key: str,
    options: str,
    is_usable: bool,
    answers: bool,
    warm_ceiling: int | None,
    warm_from: datetime | None,
) -> LaneFacts:
    own = definition, webhook_key, options
    access = _access(provider, base_url, bytes(sealed), is_simulated, *own)
    speaks = adapter(provider, definition)
    return LaneFacts(
        account_id=account_id,
        value=value,
        kind=kind,
        segments_per_second=rate,
        in_flight=in_flight,
        max_chars=speaks.max_chars,
        is_usable=is_usable and access is not None,
        access=access,
        fit=speaks.fit,
        answers=answers and access is not None,
        warm_ceiling=warm_ceiling,
        warm_from=warm_from,
    )


def _ceilings(lanes: Mapping[int, LaneFacts]) -> dict[str, int]:
    """What numbers that warm up may send in this day of it, by counter key."""
    return {
        key: lane.warm_ceiling
        for number_id, lane in lanes.items()
        if lane.warm_ceiling is not None
        for key in warm_keys(number_id, lane.warm_from)
    }


@lru_cache(maxsize=256)
def _access(
    kind: str,
    base_url: str,
    sealed: bytes,
    is_simulated: bool,
    definition: str,
    webhook_key: str,
    options: str,
) -> Access | None:
    account = ProviderAccount(
        kind=kind,
        base_url=base_url,
        sealed_credentials=sealed,
        is_simulated=is_simulated,
        definition=definition,
        webhook_key=webhook_key,
        options=sql.from_json(options),
    )
    try:
        return account.access()
    except ImproperlyConfigured:
        logger.exception("credentials cannot be read")
        return None


DayLimits = dict[tuple[int, int], tuple[Limit, ...]]


def _day_limits(
    claimed: Sequence[Claimed], lanes: dict[int, LaneFacts], now: datetime
) -> DayLimits:
    """The limits a day, by number and brand."""
    pairs = sorted({(row.lane_id, row.brand_id) for row in claimed if row.lane_id in lanes})
    owners = [
        Owners(lane_id, lanes[lane_id].account_id, lanes[lane_id].kind, brand_id)
        for lane_id, brand_id in pairs
    ]
    bound = limit_rows.read(owners, now)
    return {
        (one.lane_id, one.brand_id): found
        for one in owners
        if (found := tuple(limit for limit in bound.of(one) if limit.is_daily))
    }


def _budget(caps: dict[str, int], day_limits: DayLimits) -> Budget:
    used: dict[str, int] = dict(sql.rows(COUNTERS, list(caps))) if caps else {}
    left = {key: cap - used.get(key, 0) for key, cap in caps.items()}
    found = {limit.key: limit for some in day_limits.values() for limit in some}
    return Budget(
        {**caps, **{key: limit.most for key, limit in found.items()}},
        {**left, **{key: limit.left for key, limit in found.items()}},
    )


def _persons(rows: Rows, now: datetime) -> dict[int, PersonFacts]:
    oldest = (now - KEEP_RECENT).timestamp()
    return {
        row[3]: PersonFacts(
            undeliverable=row[10],
            inbound_waits=row[11],
            recent=[tuple(entry) for entry in json.loads(row[7]) if entry[0] > oldest],
        )
        for row in rows
    }


_zones: dict[int, tuple[str, ...]] = {}


def zones_of(places_ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """The zones of each set of places; sets are never changed, so each is read once."""
    missing = [places_id for places_id in places_ids if places_id not in _zones]
    if missing:
        _zones.update((places_id, tuple(zones)) for places_id, zones in sql.rows(PLACES, missing))
    return _zones


def _openings(
    rows: Rows, claimed: dict[int, Claimed], hours: dict[int, SendingHours], now: datetime
) -> dict[tuple[int, int], Opening | None]:
    pairs = {(claimed[row[0]].brand_id, row[12]) for row in rows if row[12] is not None}
    zones = zones_of({places_id for _, places_id in pairs})
    return {
        (brand_id, places_id): _opening(hours[brand_id], zones[places_id], now)
        for brand_id, places_id in pairs
    }


def _opening(hours: SendingHours, zones: tuple[str, ...], now: datetime) -> Opening | None:
    opens_at = hours.next_opening(now, zones)
    closes_at = opens_at and hours.closing(opens_at, zones)
    return Opening(opens_at, closes_at.astimezone(UTC)) if opens_at and closes_at else None


def _is_mail(draft: Draft, facts: Facts) -> bool:
    if draft.slot_id is not None:
        return facts.slots[draft.slot_id].mail is not None
    single = facts.singles.get(draft.message_id)
    return single is not None and single.mail is not None


def _enveloped(drafts: Sequence[Draft], facts: Facts) -> tuple[Draft, ...]:
    """With the mailbox of each e-mail in the place of the phone; texts stay as they are."""
    mails = [draft.message_id for draft in drafts if _is_mail(draft, facts)]
    boxes = {message_id: box for message_id, *box in sql.rows(MAILBOXES, mails)}
    return tuple(
        _to_mailbox(draft, *boxes[draft.message_id]) if draft.message_id in boxes else draft
        for draft in drafts
    )


def _to_mailbox(
    draft: Draft,
    address: str | None,
    owner_id: int | None,
    bounces: bool,
    is_twin: bool,
    is_out: bool,
) -> Draft:
    mail = Envelope(owner_id=owner_id, bounces=bounces, is_twin=is_twin)
    return draft._replace(to=address or "", mail=mail, opted_out=draft.opted_out or is_out)


def _draft(row: tuple[Any, ...], claimed: Claimed, code: str, single: SingleFacts | None) -> Draft:
    test = single if single is not None and single.is_test else None
    is_free = test is not None and not test.to_a_lead  # no hours bind it, nor does their close
    return Draft(
        message_id=row[0],
        kind=Kind(row[1]),
        reply_kind=row[21] or "",
        brand_id=claimed.brand_id,
        campaign_id=claimed.campaign_id,
        slot_id=row[2],
        person_id=row[3],
        lane_id=claimed.lane_id,
        expires_at=claimed.expires_at,
        tries=claimed.tries,
        to=row[6] or "",
        places_id=None if is_free else row[12],
        opted_out=row[8],
        held=row[9],
        has_consent=bool(row[13] if test is None else test.has_consent),
        lead_is_active=row[14],
        values=dict(zip(VALUES, row[15:20], strict=True)),
        code=row[5] or code,
        is_test=test is not None,
        to_a_lead=test is not None and test.to_a_lead,
        carrier=row[22],
    )
