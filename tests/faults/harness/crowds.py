"""Many campaigns of one brand at once, each with a list of its own, by a few statements.

They are copies of a first one, whose list and messages are dealt out to them all: made and planned
one by one they would take a minute. Nobody may be sending meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from django.db import transaction

from brands.models import Brand
from delivery import planning, sql
from tests.faults.harness.load import Stage

COPIES = """
WITH lists AS (
    INSERT INTO leads_leadlist SELECT (jsonb_populate_record(l, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('leads_leadlist', 'id')),
        'name', l.name || ', ' || n))).*
    FROM leads_leadlist l CROSS JOIN generate_series(2, %(many)s) AS n WHERE l.id = %(list)s
    RETURNING id, name
), campaigns AS (
    INSERT INTO campaigns_campaign SELECT (jsonb_populate_record(c, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('campaigns_campaign', 'id')),
        'name', l.name, 'lead_list_id', l.id))).*
    FROM lists l CROSS JOIN campaigns_campaign c WHERE c.id = %(campaign)s
    RETURNING id, lead_list_id
), slots AS (
    INSERT INTO campaigns_slot SELECT (jsonb_populate_record(s, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('campaigns_slot', 'id')), 'campaign_id', c.id))).*
    FROM campaigns c CROSS JOIN campaigns_slot s WHERE s.campaign_id = %(campaign)s
    RETURNING id
), planned AS (
    INSERT INTO delivery_planned SELECT (jsonb_populate_record(p, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('delivery_planned', 'id')), 'slot_id', s.id))).*
    FROM slots s CROSS JOIN delivery_planned p JOIN campaigns_slot o ON o.id = p.slot_id
    WHERE o.campaign_id = %(campaign)s
)
SELECT id, lead_list_id FROM campaigns ORDER BY id
"""
ENTRIES = "SELECT id FROM leads_listentry WHERE lead_list_id = %s ORDER BY places_id, id"
DEAL = """
UPDATE leads_listentry e SET lead_list_id = v.list_id
FROM unnest(%s::bigint[], %s::bigint[]) AS v (id, list_id) WHERE e.id = v.id
"""
MESSAGES = """
UPDATE delivery_message m SET campaign_id = c.id, slot_id = s.id
FROM leads_listentry e JOIN campaigns_campaign c ON c.lead_list_id = e.lead_list_id
JOIN campaigns_slot s ON s.campaign_id = c.id
WHERE e.lead_id = m.lead_id AND m.campaign_id = %s AND c.id <> m.campaign_id
"""
DUE = """
UPDATE delivery_due d SET campaign_id = m.campaign_id, queue = m.campaign_id
FROM delivery_message m
WHERE m.id = d.message_id AND d.campaign_id = %s AND m.campaign_id <> d.campaign_id
"""


def add(stage: Stage, brand: Brand, sizes: Sequence[int]) -> list[int]:
    """A campaign to so many people for each size, planned and due; their ids."""
    first = stage._campaign(brand, stage._people(sum(sizes)))
    sql.rows("ANALYZE compliance_person, leads_lead, leads_listentry")
    planning.plan_open_slots()
    values = {"many": len(sizes), "list": first.lead_list_id, "campaign": first.pk}
    campaigns = [(first.pk, first.lead_list_id), *sql.rows_named(COPIES, values)]
    lists = chain.from_iterable(map(repeat, (list_id for _, list_id in campaigns), sizes))
    entries = [entry for (entry,) in sql.rows(ENTRIES, first.lead_list_id)]
    with transaction.atomic():
        sql.count(DEAL, entries, list(lists))
        sql.count(MESSAGES, first.pk)
        sql.count(DUE, first.pk)
    return [campaign for campaign, _ in campaigns]
