"""What the benchmarks send: two brands, their numbers, and people in four time zones.

The rows are made by SQL, for importing is measured elsewhere. Person limits, caps, quiet hours,
personal links and names are all on; they are asked for each message, and hold nobody back.
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
from config import invented_accounts
from config.demo_stage import is_sunday
from delivery import shifting, sql
from leads.invention import FIRST_NAMES, LAST_NAMES, LINES, MAGIC_ENDINGS, read_regions
from leads.models import LeadList
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber
from providers.registry import adapter

GOAL = 10_000  # messages a second
RATE = 1.2 * GOAL  # of all numbers, of all accounts and of all brands together
BRANDS = 2
NUMBERS = 12
SHORT_CODES = 2  # where one request carries many messages, all of one sender
EVERY = 200
AT, MINUTES = time(11), 360  # of each person's own day; all have come due when it is noon
ZONES = "ECMP"  # all open at noon in the last of them
LAST_ZONE = "America/Los_Angeles"
TEXT = "Hi {first_name|there} {last_name}, {brand} has new openings near you: {link}"

PEOPLE = """
INSERT INTO compliance_person (phone)
SELECT '+1' || (%(codes)s::text[])[1 + i %% %(used)s] || '555'
       || lpad((%(first)s + i / %(used)s)::text, 4, '0')
FROM generate_series(%(there)s, %(there)s + %(people)s - 1) AS i
"""
CONSENTS = """
INSERT INTO compliance_consentevent (person_id, brand_id, method, agreed_at)
SELECT id, (%(brands)s::bigint[])[1 + id %% %(count)s], 'import', %(agreed)s
FROM compliance_person p WHERE NOT EXISTS (SELECT 1 FROM leads_lead l WHERE l.person_id = p.id)
"""
LEADS = """
INSERT INTO leads_lead (brand_id, person_id, consent_id, places_id, first_name, last_name)
SELECT c.brand_id, p.id, c.id, k.places_id, (%(first_names)s::text[])[1 + p.id %% %(firsts)s],
       (%(last_names)s::text[])[1 + p.id / %(firsts)s %% %(lasts)s]
FROM compliance_person p JOIN compliance_consentevent c ON c.person_id = p.id
JOIN unnest(%(codes)s::text[], %(places)s::bigint[]) AS k (code, places_id)
  ON k.code = substr(p.phone, 3, 3)
WHERE NOT EXISTS (SELECT 1 FROM leads_lead l WHERE l.person_id = p.id)
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
    """An odd number of them, of all zones: else each would have people of one brand alone."""
    codes = [
        code for region in read_regions() if region.zone in ZONES for code in region.area_codes
    ]
    return codes[: len(codes) - (len(codes) + 1) % BRANDS]


def make(people: int, *, simulator: str, provider: str = "twilio") -> None:
    """All up to started campaigns, with stop-all pulled, at noon of the west coast."""
    brands = found(simulator=simulator, daily_cap=10 * people, provider=provider)
    make_people(people, brands)
    for brand in brands:
        lead_list = LeadList.objects.create(brand=brand, name="Everybody")
        sql.rows(ENTRIES, lead_list.pk, brand.pk)
        make_stickies(brand)
        start_campaign(lead_list, daily_cap=10 * people)
    opt_out_half(0)
    sql.rows(ANALYZE)


def found(*, simulator: str, daily_cap: int, provider: str = "twilio") -> list[Brand]:
    """A sandbox with stop-all pulled, and in it the brands, their numbers and what they say."""
    found_empty()
    accounts = [make_account(number, simulator, provider) for number in (1, 2)]
    brands = [make_brand(number, daily_cap) for number in range(1, BRANDS + 1)]
    for at, brand in enumerate(brands):
        make_route(brand, accounts, first=1000 * at)
        template = Template.objects.create(brand=brand, name="Openings")
        TemplateVersion.objects.create(template=template, number=1, text=TEXT)
    return brands


def found_empty() -> None:
    """A sandbox with stop-all pulled, at noon of the west coast."""
    call_command("set_up", sandbox=True, stdout=StringIO())
    shifting.shift_to(next_noon(clock.now()))
    stop_all()


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


def make_brand(number: int, daily_cap: int) -> Brand:
    return Brand.objects.create(
        name=f"Bench brand {number}",
        slug=f"bench-{number}",
        zone="America/New_York",
        opens=time(9),
        closes=time(20),
        sunday_opens=time(12),
        daily_cap=daily_cap,
        segments_per_second=RATE / BRANDS,
        short_domain=f"go{number}.example.com",
        link_hosts=["jobs.example.com"],
    )


def make_route(brand: Brand, accounts: list[ProviderAccount], *, first: int) -> None:
    """The numbers of a brand, spread over the accounts, and the route by which it sends."""
    route = Route.objects.create(brand=brand, name="All numbers", is_default=True)
    numbers = SHORT_CODES if is_batched(accounts[0].kind) else NUMBERS
    for place in range(numbers // BRANDS):
        account = accounts[(first // 1000 + place) % len(accounts)]
        kind, value = invented_accounts.sender(account.kind, first + place)
        number = SenderNumber.objects.create(
            account=account,
            brand=brand,
            value=value,
            kind=kind,
            segments_per_second=RATE / numbers,
        )
        RouteNumber.objects.create(route=route, number=number)


def is_batched(kind: str) -> bool:
    """Whether one request carries many messages."""
    return adapter(kind).max_batch > 1


def make_account(
    number: int, simulator: str, provider: str, mail_server: str = ""
) -> ProviderAccount:
    account = ProviderAccount(
        name=f"Bench account {number}",
        kind=provider,
        base_url=invented_accounts.base_url(provider, simulator, mail_server),
        definition=invented_accounts.definition(provider),
        is_simulated=True,
        segments_per_second=RATE / 2,
    )
    account.seal(invented_accounts.credentials(provider, number))
    account.save()
    return account


def make_people(people: int, brands: list[Brand], *, there: int = 0) -> None:
    """So many more people than are `there`, without magic endings, each a lead of one brand."""
    codes = area_codes()
    wanted = {"first": MAGIC_ENDINGS + 1, "there": there, "people": people}
    sql.count_named(PEOPLE, {"codes": codes, "used": len(codes), **wanted})
    make_leads(brands)


def make_leads(brands: list[Brand]) -> None:
    """Of each person who is none yet a lead of one brand, the brands in turn by the person's id."""
    codes = area_codes()
    arguments: dict[str, Any] = {
        "codes": codes,
        "brands": [brand.pk for brand in brands],
        "count": len(brands),
        "agreed": clock.now() - timedelta(days=30),
        "places": places_of(codes),
        "first_names": list(FIRST_NAMES),
        "firsts": len(FIRST_NAMES),
        "last_names": list(LAST_NAMES),
        "lasts": len(LAST_NAMES),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (CONSENTS, LEADS):
            cursor.execute(statement, arguments)


def places_of(codes: list[str]) -> list[int]:
    """Where the people of each area code may be, by the id of the row."""
    ids: dict[str, int] = {}
    keys = []
    for code in codes:
        found = places.places_for(f"+1{code}5550100", None, None)
        assert found is not None  # noqa: S101 - an area code of the United States
        keys.append(places.key(found))
        if keys[-1] not in ids:
            known = {"zones": sorted(found.zones), "states": sorted(found.states)}
            row, _ = Places.objects.get_or_create(key=keys[-1], defaults=known)
            ids[keys[-1]] = row.pk
    return [ids[key] for key in keys]


def make_stickies(brand: Brand) -> None:
    """Half of the brand's people know a number of it."""
    ids = numbers_of(brand)
    values = {"brand": brand.pk, "numbers": ids, "count": len(ids)}
    sql.count_named(STICKIES, values)


def numbers_of(brand: Brand) -> list[int]:
    return list(
        SenderNumber.objects.filter(brand=brand).order_by("id").values_list("id", flat=True)
    )


def start_campaign(lead_list: LeadList, *, daily_cap: int, name: str = "Openings") -> None:
    """A campaign to the list, in one slot that has come due everywhere."""
    brand = lead_list.brand
    template = Template.objects.get(brand=brand)
    campaign = Campaign.objects.create(
        brand=brand,
        name=name,
        channel=template.channel,
        lead_list=lead_list,
        template=template,
        destination="https://jobs.example.com/",
        daily_cap=daily_cap,
    )
    on = clock.now().astimezone(ZoneInfo(LAST_ZONE)).date()
    Slot.objects.create(campaign=campaign, local_date=on, local_time=AT, length_minutes=MINUTES)
    starting.start(campaign)


def opt_out_half(remainder: int) -> int:
    """Opt out one of `EVERY` people: once before the planning and once after it makes 1 %."""
    people = [person_id for (person_id,) in sql.rows(SOME_PEOPLE, EVERY, remainder)]
    with transaction.atomic():
        return consent.opt_out(people, source="import")
