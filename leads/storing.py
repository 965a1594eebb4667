"""Writes a batch of leads and consents: rows into a temporary table, then one statement each.

Only `leads.intake` calls this. The rows of existing leads are locked first, so what follows sees
what others committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.backends.utils import CursorWrapper

from compliance.places import Places, key, places_for
from leads.models import Lead
from leads.people import Overtaken, Party, array
from leads.rows import LeadRow

LOCK_LEADS = """
SELECT person_id, id, status, state, zip_code FROM leads_lead
WHERE brand_id = %s AND person_id = ANY(%s::bigint[]) ORDER BY person_id FOR NO KEY UPDATE
"""
LOCK_LEADS_ELSEWHERE = """
SELECT id, person_id, state, zip_code FROM leads_lead
WHERE brand_id <> %s AND person_id = ANY(%s::bigint[]) ORDER BY person_id, id FOR NO KEY UPDATE
"""
MOVE_LEADS = """
UPDATE leads_lead l SET places_id = moved.places_id
FROM unnest(%s::bigint[], %s::bigint[]) AS moved (id, places_id)
WHERE l.id = moved.id AND l.places_id IS DISTINCT FROM moved.places_id
"""
INTERN = """
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(%s) AS w (key text, zones text[], states text[], assumed bool)
), added AS (
    INSERT INTO compliance_places (key, zones, states, is_assumed)
    SELECT key, zones, states, assumed FROM wanted w
    WHERE NOT EXISTS (SELECT 1 FROM compliance_places p WHERE p.key = w.key) ORDER BY key
    ON CONFLICT DO NOTHING RETURNING id, key
)
SELECT key, id FROM added
UNION ALL SELECT key, p.id FROM compliance_places p JOIN wanted USING (key)
"""
PREPARE = """
CREATE TEMPORARY TABLE IF NOT EXISTS intake_row (
    person_id bigint NOT NULL, was_known boolean NOT NULL, email_person_id bigint, lead_id bigint,
    places_id bigint, channel text NOT NULL, consent_at timestamptz NOT NULL,
    consent_wording text NOT NULL, consent_url text NOT NULL, first_name text NOT NULL,
    last_name text NOT NULL, city text NOT NULL, state text NOT NULL, zip_code text NOT NULL,
    external_ref text NOT NULL, source text NOT NULL, fields jsonb NOT NULL,
    consent_id bigint NOT NULL DEFAULT nextval('compliance_consentevent_id_seq'),
    is_known_consent boolean NOT NULL DEFAULT false
) ON COMMIT DELETE ROWS;
TRUNCATE intake_row;
"""
COPY = """
COPY intake_row (person_id, was_known, email_person_id, lead_id, places_id, channel, consent_at,
                 consent_wording, consent_url, first_name, last_name, city, state, zip_code,
                 external_ref, source, fields) FROM STDIN
"""
FIND_CONSENTS = """
UPDATE intake_row r SET consent_id = e.id, is_known_consent = true
FROM compliance_consentevent e
WHERE r.was_known AND e.person_id = r.person_id AND e.brand_id = %s AND e.agreed_at = r.consent_at
"""
ADD_CONSENTS = """
INSERT INTO compliance_consentevent (id, person_id, brand_id, channel, method, agreed_at, wording,
                                     page_url, partner_ref, at)
SELECT consent_id, person_id, %s, channel, %s, consent_at, consent_wording, consent_url,
       external_ref, %s
FROM intake_row WHERE NOT is_known_consent ORDER BY consent_id
"""
ADD_LEADS = """
INSERT INTO leads_lead (brand_id, person_id, email_person_id, places_id, consent_id, external_ref,
                        first_name, last_name, city, state, zip_code, fields, source, created_at)
SELECT %s, person_id, email_person_id, places_id, consent_id, external_ref, first_name, last_name,
       city, state, zip_code, fields, source, %s
FROM intake_row WHERE lead_id IS NULL ORDER BY person_id
ON CONFLICT DO NOTHING RETURNING person_id, id
"""
# Blank cells and older consents change nothing; the source stays the first one.
UPDATE_LEADS = """
UPDATE leads_lead l
SET email_person_id = new.email_person_id, places_id = new.places_id, consent_id = new.consent_id,
    external_ref = new.external_ref, first_name = new.first_name, last_name = new.last_name,
    city = new.city, state = new.state, zip_code = new.zip_code, fields = new.fields,
    source = new.source
FROM (
    SELECT l.id, coalesce(r.email_person_id, l.email_person_id) AS email_person_id, r.places_id,
           CASE WHEN r.consent_at > e.agreed_at OR e.id IS NULL THEN r.consent_id
                ELSE l.consent_id END AS consent_id,
           coalesce(nullif(r.external_ref, ''), l.external_ref) AS external_ref,
           coalesce(nullif(r.first_name, ''), l.first_name) AS first_name,
           coalesce(nullif(r.last_name, ''), l.last_name) AS last_name,
           coalesce(nullif(r.city, ''), l.city) AS city, r.state, r.zip_code,
           l.fields || r.fields AS fields, coalesce(nullif(l.source, ''), r.source) AS source
    FROM intake_row r JOIN leads_lead l ON l.id = r.lead_id
    LEFT JOIN compliance_consentevent e ON e.id = l.consent_id
) new
WHERE l.id = new.id
  AND (l.email_person_id, l.places_id, l.consent_id, l.external_ref, l.first_name, l.last_name,
       l.city, l.state, l.zip_code, l.fields, l.source)
      IS DISTINCT FROM
      (new.email_person_id, new.places_id, new.consent_id, new.external_ref, new.first_name,
       new.last_name, new.city, new.state, new.zip_code, new.fields, new.source)
"""


@dataclass(slots=True)
class Work:
    """A row on its way to being a lead; `place` is its place in the batch."""

    place: int
    row: LeadRow
    person: Party
    person_id: int
    email_person_id: int | None
    state: str
    zip_code: str
    lead_id: int = 0
    is_new: bool = False
    is_erased: bool = False
    places_id: int | None = None


PlacesIds = dict[Places, int]


def find_leads(cursor: CursorWrapper, brand_id: int, work: Sequence[Work]) -> None:
    """Lock the leads that exist. State and ZIP go together: a row without either keeps both."""
    known = [item for item in work if not item.person.is_new]
    cursor.execute(LOCK_LEADS, [brand_id, array(item.person_id for item in known)])
    found = {person_id: lead for person_id, *lead in cursor.fetchall()}
    for item in known:
        if lead := found.get(item.person_id):
            item.lead_id, status, state, zip_code = lead
            item.is_erased = status == Lead.Status.ERASED
            if not (item.state or item.zip_code):
                item.state, item.zip_code = state, zip_code


def find_places(cursor: CursorWrapper, work: Sequence[Work], ids: PlacesIds) -> None:
    """Set the places of each row, adding to `ids` what was not stored there."""
    found = [places_for(item.person.phone, item.zip_code, item.state) for item in work]
    _intern(cursor, {where for where in found if where}.difference(ids), ids)
    for item, where in zip(work, found, strict=True):
        item.places_id = ids[where] if where else None


def move_leads_elsewhere(
    cursor: CursorWrapper, brand_id: int, phones: Mapping[int, str | None], ids: PlacesIds
) -> list[int]:
    """Persons who just got a phone may be in more places, for the other brands' leads too."""
    cursor.execute(LOCK_LEADS_ELSEWHERE, [brand_id, array(phones)])
    leads = {
        lead_id: places_for(phones[person_id], zip_code, state)
        for lead_id, person_id, state, zip_code in cursor.fetchall()
    }
    _intern(cursor, {where for where in leads.values() if where}.difference(ids), ids)
    where = (ids[found] if found else None for found in leads.values())
    cursor.execute(MOVE_LEADS, [array(leads), array(where)])
    return list(leads)


def _intern(cursor: CursorWrapper, missing: Iterable[Places], ids: PlacesIds) -> None:
    by_key = {key(places): places for places in missing}
    if not by_key:
        return
    sets = [
        {"key": name, "zones": sorted(it.zones), "states": sorted(it.states), "assumed": it.assumed}
        for name, it in by_key.items()
    ]
    cursor.execute(INTERN, [json.dumps(sets)])
    stored = dict(cursor.fetchall())
    if len(stored) < len(by_key):
        raise Overtaken
    ids.update({places: stored[name] for name, places in by_key.items()})


def store_leads(
    cursor: CursorWrapper, work: Sequence[Work], *, brand_id: int, method: str, now: datetime
) -> None:
    """Consents, new leads and changed leads; every piece of work has its lead's id afterwards."""
    cursor.execute(PREPARE)
    _copy(cursor, work)
    cursor.execute(FIND_CONSENTS, [brand_id])
    cursor.execute(ADD_CONSENTS, [brand_id, method, now])
    cursor.execute(UPDATE_LEADS)
    cursor.execute(ADD_LEADS, [brand_id, now])
    added = dict(cursor.fetchall())
    for item in work:
        if not item.lead_id:
            if item.person_id not in added:
                raise Overtaken
            item.lead_id, item.is_new = added[item.person_id], True


def _copy(cursor: CursorWrapper, work: Sequence[Work]) -> None:
    with cursor.copy(COPY) as copy:
        for item in work:
            copy.write_row(_cells(item))


def _cells(item: Work) -> tuple[object, ...]:
    row = item.row
    return (
        item.person_id,
        not item.person.is_new,
        item.email_person_id,
        item.lead_id or None,
        item.places_id,
        "sms" if row.phone else "email",
        row.consent_at,
        row.consent_wording,
        row.consent_url,
        row.first_name,
        row.last_name,
        row.city,
        item.state,
        item.zip_code,
        row.external_ref,
        row.source,
        json.dumps(row.fields) if row.fields else "{}",
    )
