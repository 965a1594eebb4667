"""Whom a campaign is for, before it starts: how many people of its list are alike in what matters.

One statement reads the list and judges each person by the rules of the planner and of the steps, as
far as they can be known beforehand; what hangs on a slot's time is `delivery/forecast.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple

from campaigns.models import Campaign
from campaigns.rendering import PLACEHOLDER, Mail
from campaigns.sizing import FROM_LEAD, sample_link
from delivery import spreading, sql
from delivery.allowances import PersonLimits
from delivery.mail_steps import UNSUBSCRIBE_MARK
from delivery.planning import UNDELIVERABLE
from delivery.routing import Lane
from delivery.steps import LINK_MARK
from providers.models import Channel, Route

MOST = 200_000  # kinds of people; beyond that nobody is served by an answer
BLANKS = "".join(map(chr, filter(lambda code: chr(code).isspace(), range(0x3001))))

# Sends stand in a person's row in order of time: three of them tell whether a limit may be near.
PEOPLE = """
WITH wrote AS MATERIALIZED (
    SELECT DISTINCT person_id AS id FROM delivery_inbound
    WHERE applied_at IS NULL AND person_id IS NOT NULL
), beside AS MATERIALIZED (
    SELECT DISTINCT x.email_person_id AS id FROM wrote JOIN leads_lead x ON x.person_id = wrote.id
    WHERE x.email_person_id IS NOT NULL
), queued AS MATERIALIZED (
    SELECT DISTINCT m.person_id AS id FROM delivery_due d
    JOIN delivery_message m ON m.id = d.message_id
    WHERE d.queue <> 0 AND d.expires_at > %(now)s
), ended AS MATERIALIZED (
    SELECT places_id, array_agg(at ORDER BY at) AS ends
    FROM unnest(%(ended_places)s::bigint[], %(ended_at)s::timestamptz[]) AS v (places_id, at)
    GROUP BY places_id
), people AS (
    SELECT e.places_id,
        coalesce(width_bucket(e.added_at, ended.ends), 0) AS late,
        {lane} AS lane_id,
        CASE WHEN p.opted_out_at IS NOT NULL
                  AND coalesce(r.after_event_id, -1) < p.opt_out_event_id THEN 'opted_out'
             WHEN {undeliverable} THEN 'undeliverable'
             WHEN p.sunset_at IS NOT NULL THEN 'sunset'
             WHEN l.status <> 'active' THEN 'lead_inactive' ELSE '' END AS suppressed,
        CASE WHEN greatest(p.opt_out_event_id, m.opt_out_event_id)
                  > coalesce(r.after_event_id, -1) THEN 'opted_out'
             WHEN p.id IN (SELECT id FROM wrote) OR m.id IN (SELECT id FROM wrote)
                  OR p.id IN (SELECT id FROM beside) THEN 'inbound_waiting'
             WHEN p.held_at IS NOT NULL OR m.held_at IS NOT NULL THEN 'person_held'
             WHEN l.consent_id IS NULL THEN 'no_consent'
             WHEN coalesce({address}, '') = '' THEN 'no_address'
             WHEN l.places_id IS NULL THEN 'no_place' ELSE '' END AS kept_out,
        w.words, q.messages AS coming,
        CASE WHEN (p.recent -> -1 ->> 0)::float8 > %(gap)s
                  OR (p.recent -> -greatest(%(of_a_day)s - c.many, 1) ->> 0)::float8 > %(day)s
                  OR (p.recent -> -greatest(%(of_a_week)s - c.many, 1) ->> 0)::float8 > %(week)s
             THEN (
            SELECT array_agg(ceil((x ->> 0)::float8 / 60) * 60)
            FROM jsonb_array_elements(p.recent) x
            WHERE (x ->> 0)::float8 > %(week)s) END AS times,
        CASE WHEN (p.recent -> -1 ->> 0)::float8 > %(lately)s THEN (
            SELECT array_agg((x ->> 3) || ' ' || (x ->> 2)) FROM jsonb_array_elements(p.recent) x
            WHERE x ->> 3 = ANY(%(days)s::text[])) END AS said
    FROM leads_listentry e
    JOIN leads_lead l ON l.id = e.lead_id
    JOIN compliance_person p ON p.id = l.person_id
    LEFT JOIN compliance_person m ON m.id = l.email_person_id
    LEFT JOIN compliance_rejoin r ON r.person_id = l.person_id AND r.brand_id = %(brand)s
    LEFT JOIN delivery_sticky s ON s.person_id = l.person_id AND s.brand_id = %(brand)s
    {near}
    LEFT JOIN ended ON ended.places_id = coalesce(e.places_id, 0)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN p.id IN (SELECT id FROM queued) THEN ({coming}) END AS messages OFFSET 0
    ) q
    CROSS JOIN LATERAL (SELECT coalesce(jsonb_array_length(q.messages), 0) AS many OFFSET 0) c
    CROSS JOIN LATERAL (
        SELECT CASE WHEN ({beside}) IS NOT NULL THEN btrim({words}, %(blanks)s) END AS words
        OFFSET 0
    ) w
    WHERE e.lead_list_id = %(list)s
)
SELECT places_id, lane_id, late, suppressed, kept_out,
       CASE WHEN coalesce(words, '') = '' THEN 'cannot_render'
            WHEN char_length(words) + %(longer)s
                 + CASE WHEN strpos(words, %(line)s) > 0 THEN 0 ELSE %(line_length)s END
                 > (%(lengths)s::int[])[array_position(%(lanes)s::bigint[], lane_id)]
                 THEN 'too_long' ELSE '' END AS unsayable,
       times, coming, said, CASE WHEN said IS NOT NULL THEN words END AS words, count(*)
FROM people GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 LIMIT %(most)s
"""

# Looked up for each who is in the queue at all: joined, a list that has just been taken in makes
# the database go through the whole queue for each of its people (seen: 20 s for 20,000).
COMING = """
SELECT jsonb_agg(jsonb_build_array(m.at, m.slot_id, m.day) ORDER BY m.at, m.slot_id) FROM (
    SELECT coalesce(m.slot_id, 0) AS slot_id,
        CASE WHEN d.not_before <= %(now)s THEN %(now_epoch)s
             ELSE ceil(extract(epoch FROM d.not_before) / 60) * 60 END AS at,
        CASE WHEN (t.subject, t.text) = (%(subject)s, %(text)s) AND d.brand_id = %(brand)s
             THEN s.local_date::text
             ELSE '' END AS day
    FROM delivery_message m
    JOIN delivery_due d ON d.message_id = m.id
    JOIN brands_brand b ON b.id = d.brand_id
    LEFT JOIN campaigns_campaign c ON c.id = d.queue
    LEFT JOIN campaigns_slot s ON s.id = m.slot_id
    LEFT JOIN campaigns_templateversion t ON t.id = s.template_version_id
    WHERE m.person_id = p.id AND m.status = 'planned'
      AND d.queue <> 0 AND d.expires_at > %(now)s
      AND (c.paused_at IS NULL OR c.id = %(campaign)s)
      AND (b.paused_at IS NULL OR b.id = %(brand)s)
) m
"""

# Where it would go, by channel.
ADDRESS = {Channel.SMS: "p.phone", Channel.EMAIL: "coalesce(p.email, m.email)"}


class TooMany(Exception):
    """The people of the list differ in more ways than can be gone through while one waits."""


class Coming(NamedTuple):
    """A message that is planned and not sent: when it may leave, in epoch seconds; of which slot,
    or 0; and the slot's day if it says what the campaign would say."""

    at: float
    slot_id: int
    day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """`people` of one list who differ in nothing that a forecast asks.

    `late` is how many of the slots that are over in their places ended before they came. `times`
    are sends to them, in epoch seconds rounded up to the minute, where a limit may ask for them;
    `said` are days and hashes of what they heard on the slots' days, and `words` what they would
    hear now. `coming` are messages that wait in the queue for them, in order of time.
    """

    places_id: int | None
    lane_id: int | None
    late: int
    suppressed: str
    kept_out: str
    unsayable: str
    times: tuple[float, ...]
    coming: tuple[Coming, ...]
    said: frozenset[str]
    words: str
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the campaign would say and by which numbers; and when its slots come, as far as it
    matters. `mail` is all that an e-mail would say. `first_at` is the first instant of sending,
    `slots` how many follow each other.
    """

    now: datetime
    text: str
    route: Route
    mail: Mail | None = None
    lanes: Sequence[Lane]
    max_chars: Mapping[int, int]
    limits: PersonLimits
    first_at: datetime
    slots: int
    days: Sequence[str]
    ended: Sequence[tuple[int | None, datetime]]


def people_of(campaign: Campaign, asked: Asked) -> list[Alike]:
    """The people of the campaign's list by kinds, in one statement. Raises TooMany."""
    channel = Channel.EMAIL if asked.mail else Channel.SMS
    values: dict[str, str] = {}
    parts = {
        "words": _words(_read_words(asked), campaign.brand.name, values),
        "beside": _words(asked.mail.html if asked.mail else "", campaign.brand.name, values),
        "coming": COMING,
        "undeliverable": UNDELIVERABLE[channel],
        "address": ADDRESS[channel],
        "lane": spreading.LANE,
        "near": spreading.NEAR,
    }
    arguments = {**_arguments(campaign, asked), **values}
    found = sql.rows_named(PEOPLE.format(**parts), arguments)
    if len(found) == MOST:
        raise TooMany
    return [_alike(*row) for row in found]


def _read_words(asked: Asked) -> str:
    """What a person must not get twice, as `hash_of_mail` puts it together for an e-mail."""
    return f"{asked.mail.subject}\n{asked.mail.text}" if asked.mail else asked.text


def _alike(
    places_id: int | None,
    lane_id: int | None,
    late: int,
    suppressed: str,
    kept_out: str,
    unsayable: str,
    times: Sequence[float] | None,
    coming: Any,
    said: Sequence[str] | None,
    words: str | None,
    people: int,
) -> Alike:
    return Alike(
        places_id=places_id,
        lane_id=lane_id,
        late=late,
        suppressed=suppressed,
        kept_out=kept_out,
        unsayable=unsayable,
        times=tuple(times or ()),
        coming=tuple(Coming(*one) for one in sql.from_json(coming) or ()),
        said=frozenset(said or ()),
        words=words or "",
        people=people,
    )


def _arguments(campaign: Campaign, asked: Asked) -> dict[str, Any]:
    limits, first_at = asked.limits, asked.first_at
    line = "" if asked.mail else campaign.brand.opt_out_line
    links = sum(match[1] == "link" for match in PLACEHOLDER.finditer(asked.text))
    # A limit can only be met by who is near it: the campaign's earlier slots add at most one each.
    before = asked.slots - 1
    return {
        "list": campaign.lead_list_id,
        "brand": campaign.brand_id,
        "campaign": campaign.pk,
        "now": asked.now,
        "now_epoch": asked.now.timestamp(),
        "text": asked.text,
        **spreading.values(asked.lanes, asked.route),
        "subject": asked.mail.subject if asked.mail else "",
        "lengths": [asked.max_chars[lane.number_id] for lane in asked.lanes],
        "ended_places": [places_id or 0 for places_id, _ in asked.ended],
        "ended_at": [at for _, at in asked.ended],
        "days": list(asked.days),
        "blanks": BLANKS,
        "line": line,
        "line_length": len(line) + 1 if line else 0,
        "longer": links * (len(sample_link(campaign.brand)) - len(LINK_MARK)),
        "gap": (first_at - limits.gap).timestamp(),
        "day": (first_at - timedelta(days=1)).timestamp(),
        "week": (first_at - timedelta(days=7)).timestamp(),
        "lately": _lately(asked.days),
        "of_a_day": max(limits.per_day - before, 1),
        "of_a_week": max(limits.per_week - before, 1),
        "most": MOST,
    }


def _lately(days: Sequence[str]) -> float:
    """Whoever heard something on one of these days had their last message after this second."""
    if not days:
        return inf
    first = datetime.fromisoformat(min(days)).replace(tzinfo=UTC)
    return (first - timedelta(days=2)).timestamp()


def _words(text: str, brand_name: str, values: dict[str, str]) -> str:
    """An expression for the filled-in text of a lead, NULL where a name has no value.

    Links stand in it as marks, as they do in the steps. Its values are added to the given ones.
    """

    def literal(value: str) -> str:
        values[f"w{len(values)}"] = value
        return f"%(w{len(values) - 1})s::text"

    parts, at = [], 0
    for match in PLACEHOLDER.finditer(text):
        parts.append(literal(text[at : match.start()]))
        parts.append(_value(match[1], match[2], brand_name, literal))
        at = match.end()
    parts.append(literal(text[at:]))
    return " || ".join(parts)


def _value(name: str, fall_back: str | None, brand_name: str, literal: Any) -> str:
    if name not in FROM_LEAD:
        ours = {"link": LINK_MARK, "unsubscribe": UNSUBSCRIBE_MARK, "brand": brand_name.strip()}
        return str(literal(ours[name]))
    filled = f"nullif(btrim(l.{name}, %(blanks)s), '')"
    return filled if fall_back is None else f"coalesce({filled}, {literal(fall_back)})"
