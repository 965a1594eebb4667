"""The small world the machine moves in, put back to how it began before each example.

Ids, the database's chance and its clock are put back as well: what an example does must depend on
nothing but its steps, or it could not be made smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from django.db import transaction

from brands.models import Brand, ClockShift, Installation
from campaigns.models import Campaign
from compliance.models import Person
from delivery import sql
from leads.models import ListEntry
from providers.models import SenderNumber
from tests.factories import (
    DAY,
    TWELVE,
    make_account,
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_person,
    make_places,
    make_route,
    open_slot,
)

TABLES = """
SELECT quote_ident(tablename) FROM pg_tables
WHERE schemaname = 'public' AND tablename !~ '^(django|auth)_'
"""
SEQUENCES = """
SELECT quote_ident(sequencename), coalesce(last_value, 1), last_value IS NOT NULL
FROM pg_sequences WHERE schemaname = 'public'
"""
SET_SEQUENCES = """
SELECT setval(name::regclass, value, is_used)
FROM unnest(%s::text[], %s::bigint[], %s::bool[]) AS s (name, value, is_used)
"""
AS_IT_BEGAN = "as_it_began_"

# Time stands still but for what the machine lets pass; no two moments are the same all the same.
THE_CLOCK = "SELECT pg_get_functiondef('sendonce_now'::regproc)"
STAND_STILL = """
CREATE SEQUENCE ticks;
CREATE OR REPLACE FUNCTION sendonce_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN timestamptz '{moment}' + nextval('ticks') * interval '1 microsecond'
        + make_interval(secs => (SELECT max(total_seconds) FROM brands_clockshift));
END $$
"""

PEOPLE = 7
BESIDE = [(0, -1), (1, -2)]  # whose leads name whom as well
NEWCOMERS = 2
DAILY_CAP = 9
GAP = 5  # minutes between two messages to one person
LOS_ANGELES = "America/Los_Angeles"


@contextmanager
def standing_clock() -> Iterator[None]:
    ((its_own,),) = sql.rows(THE_CLOCK)
    sql.rows(STAND_STILL.format(moment=datetime.now(UTC)))
    try:
        yield
    finally:
        sql.rows(its_own)
        sql.rows("DROP SEQUENCE ticks")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Two brands with people in common. One has two campaigns and two accounts with a number each.

    `linked`: by each person's id, whom their STOP is for: some leads name another person beside.
    `newcomers` are on no list yet.
    """

    installation: Installation
    brands: Sequence[Brand]
    lanes: Sequence[SenderNumber]
    campaigns: Sequence[Campaign]
    people: Sequence[Person]
    newcomers: Sequence[Person]
    linked: dict[int, set[int]]
    _tables: list[str] = field(default_factory=list)
    _full: list[str] = field(default_factory=list)
    _sequences: list[sql.Row] = field(default_factory=list)

    @property
    def everybody(self) -> list[Person]:
        return [*self.people, *self.newcomers]

    def remember(self) -> None:
        """From now on `put_back` leads to what is here now."""
        self._tables.extend(table for (table,) in sql.rows(TABLES))
        self._full.extend(t for t in self._tables if sql.rows(f"SELECT 1 FROM {t} LIMIT 1"))
        self._sequences.extend(sql.rows(SEQUENCES))
        for table in self._full:
            sql.rows(f"CREATE TEMP TABLE {AS_IT_BEGAN}{table} AS TABLE {table}")

    def put_back(self) -> None:
        with transaction.atomic():
            sql.rows("SET LOCAL session_replication_role = replica")  # triggers forbid most of this
            for table in self._tables:
                sql.rows(f"DELETE FROM {table}")
            for table in self._full:
                sql.rows(f"INSERT INTO {table} TABLE {AS_IT_BEGAN}{table}")
            sql.rows(SET_SEQUENCES, *map(list, zip(*self._sequences, strict=True)))
        sql.rows("SELECT setseed(0)")

    def pass_time(self, by: timedelta) -> None:
        """As time passes: nobody is asked, and what is under way stays so."""
        before = ClockShift.objects.latest("id").total_seconds
        seconds = int(by.total_seconds())
        ClockShift.objects.create(
            seconds=seconds, total_seconds=before + seconds, real_at=datetime.now(UTC)
        )

    def join(self, person: Person, campaign: Campaign) -> None:
        """The person becomes a lead of the campaign's brand and stands on its list."""
        lead = make_lead(campaign.brand, person)
        ListEntry.objects.create(lead_list=campaign.lead_list, lead=lead, places=lead.places)


def lay(installation: Installation) -> Ground:
    """It is noon; two campaigns are due now, another one in two hours, and one again tomorrow."""
    Installation.objects.update(person_gap_minutes=GAP)
    first, second = make_brand(daily_cap=DAILY_CAP), make_brand()
    people = [make_person() for _ in range(PEOPLE)]
    lanes = [make_number(make_account(), brand=brand) for brand in (first, first, second)]
    make_route(first, *lanes[:2])
    make_route(second, lanes[2])
    leads = [make_lead(first, person) for person in people[:-1]]
    for named, beside in BESIDE:
        leads[named].email_person = people[beside]
        leads[named].save()
    leads.append(make_lead(first, people[-1], places=make_places(LOS_ANGELES)))
    everybody = make_list(first, *leads)
    some = make_list(second, *(make_lead(second, person) for person in people[:3]))
    campaigns = [
        make_campaign(first, everybody, text="Hi {first_name|there}, see {link}"),
        make_campaign(first, everybody, text="{first_name|there}, have you seen this?"),
        make_campaign(second, some, text="Good news, {first_name|you}"),
    ]
    open_slot(campaigns[0], on=DAY, at=TWELVE, length_minutes=240)
    open_slot(campaigns[0], on=DAY + timedelta(days=1), at=TWELVE, length_minutes=120)
    open_slot(campaigns[1], on=DAY, at=time(14), length_minutes=120)
    open_slot(campaigns[2], on=DAY, at=TWELVE, length_minutes=60)
    newcomers = [make_person() for _ in range(NEWCOMERS)]
    linked = {person.pk: {person.pk} for person in [*people, *newcomers]}
    for named, beside in BESIDE:
        pair = {people[named].pk, people[beside].pk}
        linked.update(dict.fromkeys(pair, pair))
    return Ground(
        installation=installation,
        brands=[first, second],
        lanes=lanes,
        campaigns=campaigns,
        people=people,
        newcomers=newcomers,
        linked=linked,
    )
