"""A campaign under load: two brands, people in four zones, and all that may say no.

Everybody is in one campaign and some are in one of each brand. Rates, caps, limits of persons,
quiet hours, opt-outs, names and personal links are all on. Rows are made by SQL, planned by the
planner's own function, and due at once: it is noon on the west coast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import time, timedelta
from itertools import count
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.db import transaction

from brands import clock
from brands.models import Brand, Installation
from campaigns import starting
from campaigns.models import Campaign, Slot, Template, TemplateVersion
from compliance import consent, places
from compliance.models import Places
from config import invented_accounts
from config.bench_stage import next_noon
from delivery import planning, shifting, sql
from leads.invention import MAGIC_ENDINGS, read_regions
from leads.models import LeadList
from providers.models import Channel, ProviderAccount, Route, RouteNumber, SenderNumber

T = TypeVar("T")

ZONES = "ECMP"
AREA_CODES = 40
LAST_ZONE = "America/Los_Angeles"
AT, MINUTES = time(11), 360  # of each person's own day
GAP_MINUTES = 30  # between two messages to a person, so that the second one is due the same day
OUT_OF = 100  # one of so many opts out
TEXT = "Hi {first_name|there} {last_name}, {brand} has new openings near you: {link}"
SUBJECT = "{first_name|there}, new openings from {brand}"
MAIL_RATE = 3.0  # messages a second, so that there is e-mail on the wire all the while

PEOPLE = """
INSERT INTO compliance_person (phone)
SELECT '+1' || (%(codes)s::text[])[1 + i %% %(used)s] || '555'
       || lpad((%(first)s + i / %(used)s)::text, 4, '0')
FROM generate_series(%(from)s, %(from)s + %(people)s - 1) AS i RETURNING id
"""
LEADS = """
WITH chosen AS (
    SELECT p.id, k.places_id FROM compliance_person p
    JOIN unnest(%(codes)s::text[], %(places)s::bigint[]) AS k (code, places_id)
      ON k.code = substr(p.phone, 3, 3)
    WHERE p.id = ANY(%(people)s::bigint[])
), agreed AS (
    INSERT INTO compliance_consentevent (person_id, brand_id, method, agreed_at)
    SELECT id, %(brand)s, 'import', %(agreed)s FROM chosen RETURNING id, person_id
), leads AS (
    INSERT INTO leads_lead (brand_id, person_id, consent_id, places_id, first_name, last_name)
    SELECT %(brand)s, c.id, a.id, c.places_id, 'Ada', 'Example'
    FROM chosen c JOIN agreed a ON a.person_id = c.id RETURNING id, places_id
)
INSERT INTO leads_listentry (lead_list_id, lead_id, places_id)
SELECT %(list)s, id, places_id FROM leads ORDER BY id
"""
GIVE_MAILBOXES = """
UPDATE compliance_person SET email = ltrim(phone, '+') || '@example.com'
WHERE id = ANY(%s::bigint[])
"""
# What autovacuum has done by the time a list is sent to; the queue's own tables are left alone.
ANALYZE = "ANALYZE compliance_person, compliance_consentevent, leads_lead, leads_listentry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`rate`: messages a second of all numbers together; `twice`: the share in both campaigns.

    `kinds`: of the accounts that carry texts; `readers`: people who get one brand's e-mail.
    """

    people: int
    rate: float
    latency_ms: float = 60.0
    twice: float = 0.1
    in_flight: int = 200  # of one worker and account
    numbers: int = 6
    is_planned: bool = True  # or left to the planner
    kinds: tuple[str, ...] = ("twilio", "twilio")
    readers: int = 0


@dataclass(slots=True)
class Stage:
    """What stands on the ground, and can be added to."""

    load: Load
    simulator: str
    mail_server: str
    brands: list[Brand] = field(default_factory=list)
    accounts: list[ProviderAccount] = field(default_factory=list)
    numbers: list[SenderNumber] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    people: int = 0
    _count: count[int] = field(default_factory=lambda: count(1))

    def make(self) -> None:
        shifting.shift_to(next_noon(clock.now()))
        Installation.objects.update(person_gap_minutes=GAP_MINUTES)
        self.codes = {code: places_id(f"+1{code}5550100") for code in area_codes()}
        self.brands = [self._brand(number) for number in (1, 2)]
        self.accounts = [
            self._account(number, kind) for number, kind in enumerate(self.load.kinds, 1)
        ]
        self.numbers = [self._number(place) for place in range(self.load.numbers)]
        for brand in self.brands:
            route = Route.objects.create(brand=brand, name="All numbers", is_default=True)
            for number in self.numbers_of(brand):
                RouteNumber.objects.create(route=route, number=number)
        if self.load.readers:
            self._mail(self.brands[0])
        self.campaigns = self.add(self.load.people)

    def add(self, people: int) -> list[Campaign]:
        """So many more people, in a new campaign of each brand, planned and due."""
        return self._with_people(people, self._campaign)

    def join(self, people: int) -> None:
        """So many more people on the lists of the first campaigns, planned and due."""
        first = {campaign.brand_id: campaign for campaign in self.campaigns}
        self._with_people(people, lambda brand, share: self._list(first[brand.pk], share))

    def _with_people(self, people: int, do: Callable[[Brand, list[int]], T]) -> list[T]:
        """Do it for each brand with its share of so many new people, some of them in both."""
        ids = self._people(people)
        half, both = len(ids) // 2, int(len(ids) * self.load.twice / 2)
        shares = (ids[: half + both], ids[half - both :])
        done = [do(brand, share) for brand, share in zip(self.brands, shares, strict=True)]
        opt_out(ids[::OUT_OF][::2])
        if not self.campaigns:
            sql.rows(ANALYZE)
        if self.load.is_planned:
            planning.plan_open_slots()
        opt_out(ids[::OUT_OF][1::2])
        return done

    def numbers_of(self, brand: Brand) -> list[SenderNumber]:
        return [number for number in self.numbers if number.brand_id == brand.pk]

    def _people(self, people: int) -> list[int]:
        values = {
            "codes": list(self.codes),
            "used": len(self.codes),
            "first": MAGIC_ENDINGS + 1,
            "from": self.people,
            "people": people,
        }
        self.people += people
        return [key for (key,) in sql.rows_named(PEOPLE, values)]

    def _brand(self, number: int) -> Brand:
        return Brand.objects.create(
            name=f"Brand {number}",
            slug=f"brand-{number}",
            zone="America/New_York",
            opens=time(9),
            closes=time(20),
            sunday_opens=time(12),
            daily_cap=1_000_000,
            segments_per_second=self.load.rate / 2,
            short_domain=f"go{number}.example.com",
            link_hosts=["jobs.example.com"],
        )

    def _account(self, number: int, kind: str) -> ProviderAccount:
        account = ProviderAccount(
            name=f"Account {number}",
            kind=kind,
            base_url=invented_accounts.base_url(kind, self.simulator, self.mail_server),
            definition=invented_accounts.definition(kind),
            is_simulated=True,
            in_flight=self.load.in_flight,
            segments_per_second=self.load.rate / 2,
        )
        account.seal(invented_accounts.credentials(kind, number))
        account.save()
        return account

    def _number(self, place: int) -> SenderNumber:
        account = self.accounts[place // 2 % len(self.accounts)]
        kind, value = invented_accounts.sender(account.kind, 1000 + place)
        return SenderNumber.objects.create(
            account=account,
            brand=self.brands[place % 2],
            value=value,
            kind=kind,
            segments_per_second=self.load.rate / self.load.numbers,
        )

    def _mail(self, brand: Brand) -> None:
        """An account that carries e-mail, and the brand's campaign by it."""
        account = self._account(len(self.accounts) + 1, "smtp")
        self.accounts.append(account)
        kind, value = invented_accounts.sender(account.kind, 0)
        number = SenderNumber.objects.create(
            account=account, brand=brand, value=value, kind=kind, segments_per_second=MAIL_RATE
        )
        route = Route.objects.create(
            brand=brand, name="E-mail", channel=Channel.EMAIL, is_default=True
        )
        RouteNumber.objects.create(route=route, number=number)
        readers = self._people(self.load.readers)
        sql.count(GIVE_MAILBOXES, readers)
        self._campaign(brand, readers, channel=Channel.EMAIL)

    def _campaign(
        self, brand: Brand, people: list[int], *, channel: Channel = Channel.SMS
    ) -> Campaign:
        name = f"Openings {next(self._count)}"
        template = Template.objects.create(brand=brand, name=name, channel=channel)
        subject = SUBJECT if channel == Channel.EMAIL else ""
        TemplateVersion.objects.create(template=template, number=1, subject=subject, text=TEXT)
        campaign = Campaign.objects.create(
            brand=brand,
            name=name,
            channel=channel,
            lead_list=LeadList.objects.create(brand=brand, name=name),
            template=template,
            destination="https://jobs.example.com/",
            daily_cap=1_000_000,
        )
        on = clock.now().astimezone(ZoneInfo(LAST_ZONE)).date()
        Slot.objects.create(campaign=campaign, local_date=on, local_time=AT, length_minutes=MINUTES)
        self._list(campaign, people)
        starting.start(campaign)
        return campaign

    def _list(self, campaign: Campaign, people: list[int]) -> None:
        values: dict[str, Any] = {
            "people": people,
            "codes": list(self.codes),
            "places": list(self.codes.values()),
            "brand": campaign.brand_id,
            "list": campaign.lead_list_id,
            "agreed": clock.now() - timedelta(days=30),
        }
        sql.count_named(LEADS, values)


def area_codes() -> list[str]:
    """As many of each zone."""
    each = AREA_CODES // len(ZONES)
    return [
        code
        for zone in ZONES
        for code in [c for r in read_regions() if r.zone == zone for c in r.area_codes][:each]
    ]


def places_id(phone: str) -> int:
    found = places.places_for(phone, None, None)
    assert found is not None
    row, _ = Places.objects.get_or_create(
        key=places.key(found),
        defaults={"zones": sorted(found.zones), "states": sorted(found.states)},
    )
    return int(row.pk)


def opt_out(people: list[int]) -> None:
    if people:
        with transaction.atomic():
            consent.opt_out(people, source="import")


def stop_all() -> None:
    Installation.objects.update(stopped_at=clock.now())


def let_go() -> None:
    Installation.objects.update(stopped_at=None)
