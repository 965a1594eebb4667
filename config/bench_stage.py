"""What the benchmark of delivery sends: two brands, their numbers, and people in four time zones.

The rows are made by SQL, for importing is measured elsewhere. Nothing is made easier than in life:
person limits, caps, quiet hours, personal links and names are all on.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management import call_command
from django.db import connection, transaction

from brands import clock
from brands.models import Brand, Installation
from campaigns import starting
from campaigns.models import Campaign, Slot, Template, TemplateVersion
from compliance import consent, places
from compliance.models import Places
from config.demo_stage import is_sunday
from delivery import shifting, sql
from leads.invention import FIRST_NAMES, LAST_NAMES, LINES, MAGIC_ENDINGS, read_regions
from leads.models import LeadList
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber

GOAL = 10_000  # messages a second
RATE = 1.2 * GOAL  # of all numbers, of all accounts and of all brands together
BRANDS = 2
NUMBERS = 12
EVERY = 200
AT, MINUTES = time(11), 360  # of each person's own day; all have come due when it is noon
ZONES = "ECMP"  # all open at noon in the last of them
LAST_ZONE = "America/Los_Angeles"
TEXT = "Hi {first_name|there} {last_name}, {brand} has new openings near you: {link}"

PEOPLE = """
INSERT INTO compliance_person (phone)
SELECT '+1' || (%(codes)s::text[])[1 + i %% %(used)s] || '555'
       || lpad((%(first)s + i / %(used)s)::text, 4, '0')
FROM generate_series(0, %(people)s - 1) AS i
"""
CONSENTS = """
INSERT INTO compliance_consentevent (person_id, brand_id, method, agreed_at)
SELECT id, (%(brands)s::bigint[])[1 + id %% %(count)s], 'import', %(agreed)s FROM compliance_person
"""
LEADS = """
INSERT INTO leads_lead (brand_id, person_id, consent_id, places_id, first_name, last_name)
SELECT c.brand_id, p.id, c.id, k.places_id, (%(first_names)s::text[])[1 + p.id %% %(firsts)s],
       (%(last_names)s::text[])[1 + p.id / %(firsts)s %% %(lasts)s]
FROM compliance_person p JOIN compliance_consentevent c ON c.person_id = p.id
JOIN unnest(%(codes)s::text[], %(places)s::bigint[]) AS k (code, places_id)
  ON k.code = substr(p.phone, 3, 3)
ORDER BY p.id
"""
ENTRIES = """
INSERT INTO leads_listentry (lead_list_id, lead_id, places_id)
SELECT %s, id, places_id FROM leads_lead WHERE brand_id = %s ORDER BY id
"""
STICKIES = """
INSERT INTO delivery_sticky (person_id, brand_id, number_id)
SELECT person_id, brand_id, (%(numbers)s::bigint[])[1 + person_id / 2 %% %(count)s]
FROM leads_lead WHERE brand_id = %(brand)s AND person_id / 2 %% 2 = 0
"""
# What autovacuum has done by the time a list is sent to; the queue's own tables are still empty.
ANALYZE = """
ANALYZE compliance_person, compliance_consentevent, compliance_places, leads_lead,
        leads_listentry, delivery_sticky
"""
SOME_PEOPLE = "SELECT id FROM compliance_person WHERE id %% %s = %s"


def most_people() -> int:
    return LINES * len(area_codes())


def area_codes() -> list[str]:
    return [code for region in read_regions() if region.zone in ZONES for code in region.area_codes]


def make(people: int, *, simulator: str) -> None:
    """All up to started campaigns, with stop-all pulled, at noon of the west coast."""
    call_command("set_up", sandbox=True, stdout=StringIO())
    shifting.shift_to(next_noon(clock.now()))
    stop_all()
    brands = [make_brand(number, people) for number in range(1, BRANDS + 1)]
    make_people(people, brands)
    for brand, numbers in zip(brands, make_numbers(brands, simulator), strict=True):
        make_campaign(brand, numbers, people)
    opt_out_half(0)
    with connection.cursor() as cursor:
        cursor.execute(ANALYZE)


def next_noon(now: datetime) -> datetime:
    """The next noon on the west coast that is not on a Sunday, and not over at once."""
    zone = ZoneInfo(LAST_ZONE)
    day = now.astimezone(zone).date()
    while True:
        noon = datetime.combine(day, time(12), tzinfo=zone)
        if noon > now + timedelta(seconds=2) and not is_sunday(day):
            return noon.astimezone(UTC)
        day += timedelta(days=1)


def stop_all() -> None:
    Installation.objects.update(stopped_at=clock.now())


def release() -> datetime:
    """Let go of stop-all; returns the moment of the sandbox's clock."""
    Installation.objects.update(stopped_at=None)
    return clock.now()


def make_brand(number: int, people: int) -> Brand:
    return Brand.objects.create(
        name=f"Bench brand {number}",
        slug=f"bench-{number}",
        zone="America/New_York",
        opens=time(9),
        closes=time(20),
        sunday_opens=time(12),
        daily_cap=10 * people,
        segments_per_second=RATE / BRANDS,
        short_domain=f"go{number}.example.com",
        link_hosts=["jobs.example.com"],
    )


def make_numbers(brands: list[Brand], simulator: str) -> list[list[SenderNumber]]:
    """The numbers of each brand, half of them on each of two accounts."""
    accounts = [make_account(number, simulator) for number in (1, 2)]
    return [
        [
            SenderNumber.objects.create(
                account=accounts[place % len(accounts)],
                brand=brand,
                value=f"+1555555{1000 * at + place:04d}",
                segments_per_second=RATE / NUMBERS,
            )
            for place in range(NUMBERS // BRANDS)
        ]
        for at, brand in enumerate(brands)
    ]


def make_account(number: int, simulator: str) -> ProviderAccount:
    account = ProviderAccount(
        name=f"Bench account {number}",
        kind="twilio",
        base_url=simulator,
        is_simulated=True,
        segments_per_second=RATE / 2,
    )
    account.seal({"account_sid": f"AC{number:032x}", "auth_token": f"{number:032x}"})
    account.save()
    return account


def make_people(people: int, brands: list[Brand]) -> None:
    """People without magic endings, spread evenly over area codes, each a lead of one brand."""
    codes = area_codes()[: max(-(-people // LINES), 40)]
    ids = {code: places_id(f"+1{code}5550100") for code in codes}
    arguments: dict[str, Any] = {
        "codes": codes,
        "used": len(codes),
        "first": MAGIC_ENDINGS + 1,
        "people": people,
        "brands": [brand.pk for brand in brands],
        "count": len(brands),
        "agreed": clock.now() - timedelta(days=30),
        "places": list(ids.values()),
        "first_names": list(FIRST_NAMES),
        "firsts": len(FIRST_NAMES),
        "last_names": list(LAST_NAMES),
        "lasts": len(LAST_NAMES),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (PEOPLE, CONSENTS, LEADS):
            cursor.execute(statement, arguments)


def places_id(phone: str) -> int:
    found = places.places_for(phone, None, None)
    assert found is not None  # noqa: S101 - an area code of the United States
    row, _ = Places.objects.get_or_create(
        key=places.key(found),
        defaults={"zones": sorted(found.zones), "states": sorted(found.states)},
    )
    return row.pk


def make_campaign(brand: Brand, numbers: list[SenderNumber], people: int) -> None:
    route = Route.objects.create(brand=brand, name="All numbers", is_default=True)
    for number in numbers:
        RouteNumber.objects.create(route=route, number=number)
    lead_list = LeadList.objects.create(brand=brand, name="Everybody")
    with connection.cursor() as cursor:
        cursor.execute(ENTRIES, [lead_list.pk, brand.pk])
        ids = [number.pk for number in numbers]
        cursor.execute(STICKIES, {"brand": brand.pk, "numbers": ids, "count": len(ids)})
    template = Template.objects.create(brand=brand, name="Openings")
    TemplateVersion.objects.create(template=template, number=1, text=TEXT)
    campaign = Campaign.objects.create(
        brand=brand,
        name="Openings",
        lead_list=lead_list,
        template=template,
        destination="https://jobs.example.com/",
        daily_cap=10 * people,
    )
    on = clock.now().astimezone(ZoneInfo(LAST_ZONE)).date()
    Slot.objects.create(campaign=campaign, local_date=on, local_time=AT, length_minutes=MINUTES)
    starting.start(campaign)


def opt_out_half(remainder: int) -> int:
    """Opt out one of `EVERY` people: once before the planning and once after it makes 1 %."""
    people = [person_id for (person_id,) in sql.rows(SOME_PEOPLE, EVERY, remainder)]
    with transaction.atomic():
        return consent.opt_out(people, source="import")
