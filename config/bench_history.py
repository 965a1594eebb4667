"""What a busy installation has in its tables: people, and for each of many a message of last week.

It is made by SQL, as sending would have left it: closed slots, delivered messages with their
attempts, links, numbers that people know, lists of what they got lately, counted caps. The oracle
finds nothing wrong with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import DatabaseError, connection, transaction

from brands import clock
from brands.models import Brand
from campaigns.models import Campaign, Slot, Template
from config import bench_stage as stage
from delivery import sql
from leads.models import LeadList
from links.codes import new_codes
from providers.models import Route

AGO = timedelta(days=4)
SLOT_LENGTH = timedelta(minutes=stage.MINUTES)

# Each gets its number, and the ids that its rows will have.
CHOOSE = """
CREATE TEMPORARY TABLE earlier AS
SELECT nextval('delivery_message_id_seq') AS message_id,
       nextval('links_shortlink_id_seq') AS link_id, lead.*, c.code, k.id AS campaign_id,
       k.lead_list_id, s.id AS slot_id, n.id AS number_id, n.account_id
FROM (SELECT l.id AS lead_id, l.brand_id, l.person_id, l.places_id,
             row_number() OVER (ORDER BY l.id) AS place
      FROM leads_lead l
      WHERE NOT EXISTS (SELECT 1 FROM delivery_message m WHERE m.person_id = l.person_id)
      ORDER BY l.id LIMIT %(count)s) lead
JOIN unnest(%(codes)s::text[]) WITH ORDINALITY AS c (code, place) USING (place)
JOIN campaigns_campaign k ON k.brand_id = lead.brand_id
JOIN campaigns_slot s ON s.campaign_id = k.id AND s.id = ANY(%(slots)s::bigint[])
JOIN (SELECT brand_id, array_agg(id ORDER BY id) AS ids FROM providers_sendernumber
      GROUP BY brand_id) numbers ON numbers.brand_id = lead.brand_id
JOIN providers_sendernumber n ON n.id = ids[1 + lead.person_id / 2 %% cardinality(ids)]
"""
ENTRIES = """
INSERT INTO leads_listentry (lead_list_id, lead_id, places_id)
SELECT lead_list_id, lead_id, places_id FROM earlier ORDER BY lead_id
"""
PLANNED = """
INSERT INTO delivery_planned (slot_id, places_id, through_entry_id)
SELECT e.slot_id, e.places_id, max(t.id) FROM earlier e
JOIN leads_listentry t ON t.lead_list_id = e.lead_list_id AND t.lead_id = e.lead_id
GROUP BY e.slot_id, e.places_id
"""
LINKS = """
INSERT INTO links_shortlink (id, code, brand_id, destination)
SELECT link_id, code, brand_id, 'https://jobs.example.com/' FROM earlier ORDER BY link_id
"""
MESSAGES = """
INSERT INTO delivery_message (id, brand_id, campaign_id, slot_id, lead_id, person_id, link_id, kind,
                              status, reason, expires_at, created_at)
SELECT message_id, brand_id, campaign_id, slot_id, lead_id, person_id, link_id, 'campaign',
       'delivered', '', %(closes)s, %(at)s
FROM earlier ORDER BY message_id
"""
ATTEMPTS = """
INSERT INTO delivery_attempt (message_id, account_id, number_id, sender, ref, provider_refs, text,
                              segments, brand_day, outcome, report_status, intent_at, answered_at,
                              reported_at)
SELECT message_id, account_id, number_id, gen_random_uuid(),
       translate(left(encode(uuid_send(gen_random_uuid()), 'base64'), 22), '+/', '-_'),
       ARRAY['SM' || md5(message_id::text)],
       'Hi there, we have openings near you: https://go.example.com/' || code
       || ' Reply STOP to opt out',
       1, %(on)s, 'accepted', 'delivered', %(at)s, %(at)s, %(at)s
FROM earlier ORDER BY message_id
"""
PERSONS = """
UPDATE compliance_person p SET last_message_at = %(at)s, recent = jsonb_build_array(
    jsonb_build_array(extract(epoch FROM %(at)s::timestamptz)::float8, e.message_id,
                      left(md5('earlier'), 16), %(on)s::text))
FROM earlier e WHERE p.id = e.person_id
"""
STICKIES = """
INSERT INTO delivery_sticky (person_id, brand_id, number_id)
SELECT person_id, brand_id, number_id FROM earlier ORDER BY person_id
"""
COUNTERS = """
INSERT INTO delivery_capcounter AS c (key, used)
SELECT 'brand:' || brand_id || ':' || %(on)s::text, count(*) FROM earlier GROUP BY brand_id
UNION ALL
SELECT 'campaign:' || campaign_id || ':' || %(on)s::text, count(*)
FROM earlier GROUP BY campaign_id
ON CONFLICT (key) DO UPDATE SET used = c.used + EXCLUDED.used
"""
FRONTIER = "UPDATE delivery_frontier SET attempt_id = (SELECT max(id) FROM delivery_attempt)"
LEFT_BEHIND = (ENTRIES, PLANNED, LINKS, MESSAGES, ATTEMPTS, PERSONS, STICKIES, COUNTERS, FRONTIER)

THERE = """
SELECT (SELECT count(*) FROM compliance_person), (SELECT count(*) FROM delivery_message)
"""
# Anywhere in the tables, and nobody who got a message today.
RECIPIENTS = """
INSERT INTO leads_listentry (lead_list_id, lead_id, places_id)
SELECT %s, id, places_id FROM (
    SELECT l.id, l.places_id FROM leads_lead l JOIN compliance_person p ON p.id = l.person_id
    WHERE l.brand_id = %s AND coalesce(p.last_message_at < %s, true)
    ORDER BY hashint8(l.id) LIMIT %s) chosen
ORDER BY id
"""


def grow(brands: Sequence[Brand], *, messages: int, people: int) -> None:
    """Make people and earlier messages until there are so many; the tables are then at rest."""
    people_there, messages_there = sql.one(THERE)
    if people > people_there:
        stage.make_people(people - people_there, list(brands), there=people_there)
    if messages > messages_there:
        add_earlier(brands, messages - messages_there)
    come_to_rest()


def add_earlier(brands: Sequence[Brand], count: int) -> None:
    """A message of last week to so many who never had one, in a closed slot of each brand."""
    at = clock.now() - AGO
    on = at.astimezone(ZoneInfo(brands[0].zone)).date()
    values: dict[str, Any] = {
        "count": count,
        "codes": new_codes(count),
        "at": at,
        "on": on,
        "closes": at + SLOT_LENGTH,
    }
    with transaction.atomic():
        values["slots"] = [closed_slot(brand, on, at).pk for brand in brands]
        sql.count_named(CHOOSE, values)
        sql.rows("ANALYZE earlier")
        for statement in LEFT_BEHIND:
            sql.count_named(statement, values)
        sql.rows("DROP TABLE earlier")


def closed_slot(brand: Brand, on: date, at: datetime) -> Slot:
    name = f"Earlier {Campaign.objects.filter(brand=brand).count() + 1}"
    template = Template.objects.get(brand=brand)
    campaign = Campaign.objects.create(
        brand=brand,
        name=name,
        lead_list=LeadList.objects.create(brand=brand, name=name),
        template=template,
        destination="https://jobs.example.com/",
        started_at=at,
    )
    return Slot.objects.create(
        campaign=campaign,
        local_date=on,
        local_time=stage.AT,
        length_minutes=stage.MINUTES,
        state=Slot.State.CLOSED,
        closed_at=at + SLOT_LENGTH,
        template_version=template.latest(),
        route=Route.objects.get(brand=brand),
    )


def come_to_rest() -> None:
    """What autovacuum and the next checkpoint have done long before the next campaign."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        with contextlib.suppress(DatabaseError):  # not everybody may ask for one
            cursor.execute("CHECKPOINT")


def start_campaigns(brands: Sequence[Brand], messages: int, name: str) -> None:
    """To so many people in all, none of whom got a message today."""
    midnight = clock.now() - timedelta(hours=12)
    for brand in brands:
        lead_list = LeadList.objects.create(brand=brand, name=name)
        sql.rows(RECIPIENTS, lead_list.pk, brand.pk, midnight, messages // len(brands))
        stage.start_campaign(lead_list, daily_cap=10 * messages, name=name)
