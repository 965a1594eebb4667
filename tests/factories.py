"""Plain functions that make rows. Numbers are invented, in 555 exchanges."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from math import ceil

from brands.models import Brand, ClockShift, Installation
from campaigns.models import Campaign, Slot, Template, TemplateVersion
from campaigns.starting import start
from compliance.models import ConsentEvent, Person, Places
from config import invented_accounts
from delivery.models import Due, Message
from leads.models import Lead, LeadList, ListEntry
from providers.models import Limit, ProviderAccount, Route, RouteNumber, SenderNumber

EASTERN = ("212", "202", "215", "305", "404", "617", "717", "803")  # area codes
NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)  # in New York, on a Wednesday
DAY = NOON.date()
TWELVE = time(12)

numbers = count(1)


def phone() -> str:
    n = next(numbers)
    return f"+1{EASTERN[n // 10_000 % len(EASTERN)]}555{n % 10_000:04d}"


def set_clock(moment: datetime) -> None:
    """Move the sandbox's clock to this moment, or less than a second after it."""
    real = datetime.now(UTC)
    before = ClockShift.objects.order_by("-id").values_list("total_seconds", flat=True).first()
    total = max(ceil((moment - real).total_seconds()), before or 0)
    ClockShift.objects.create(seconds=total - (before or 0), total_seconds=total, real_at=real)


def make_installation(**fields: object) -> Installation:
    fields = {"is_sandbox": True, **fields}
    return Installation.objects.create(**fields)


def make_brand(**fields: object) -> Brand:
    n = next(numbers)
    fields = {
        "name": f"Brand {n}",
        "slug": f"brand-{n}",
        "zone": "America/New_York",
        "opens": time(8),
        "closes": time(21),
        "sunday_opens": time(8),
        "short_domain": f"go{n}.example.com",
        "link_hosts": ["jobs.example.com"],
        **fields,
    }
    return Brand.objects.create(**fields)


def make_account(**fields: object) -> ProviderAccount:
    n = next(numbers)
    account = ProviderAccount(
        **{
            "name": f"Account {n}",
            "kind": "twilio",
            "base_url": "http://127.0.0.1:9",
            "is_simulated": True,
            **fields,
        }
    )
    account.seal(invented_accounts.credentials(account.kind, n))
    account.save()
    return account


def make_number(account: ProviderAccount | None = None, **fields: object) -> SenderNumber:
    n = next(numbers)
    fields = {"value": f"+1202555{n % 10_000:04d}", "segments_per_second": 1000.0, **fields}
    return SenderNumber.objects.create(account=account or make_account(), **fields)


def make_limit(amount: float, **fields: object) -> Limit:
    """Messages a day in New York, unless said otherwise; its day is counted already."""
    fields = {"counted_at": NOON - timedelta(days=2), "amount": amount, **fields}
    if fields.get("per") != "second" and "brand" not in fields:
        fields.setdefault("zone", "America/New_York")
    return Limit.objects.create(**fields)


def make_route(brand: Brand, *lanes: SenderNumber, **fields: object) -> Route:
    fields = {"name": f"Route {next(numbers)}", "is_default": True, **fields}
    route = Route.objects.create(brand=brand, **fields)
    for lane in lanes:
        RouteNumber.objects.create(route=route, number=lane)
    return route


def make_places(*zones: str) -> Places:
    zones = zones or ("America/New_York",)
    key = ",".join(sorted(zones))
    return Places.objects.get_or_create(key=key, defaults={"zones": list(zones), "states": []})[0]


def make_person(**fields: object) -> Person:
    fields = {"phone": phone(), **fields}
    return Person.objects.create(**fields)


def make_lead(brand: Brand, person: Person | None = None, **fields: object) -> Lead:
    person = person or make_person()
    consent = ConsentEvent.objects.create(
        person=person,
        brand=brand,
        method="import",
        agreed_at=datetime.fromisoformat("2026-01-01T00:00Z"),
    )
    fields = {"consent": consent, "places": make_places(), "first_name": "Ada", **fields}
    return Lead.objects.create(brand=brand, person=person, **fields)


def make_list(brand: Brand, *leads: Lead, **fields: object) -> LeadList:
    fields = {"name": f"List {next(numbers)}", **fields}
    made = LeadList.objects.create(brand=brand, **fields)
    ListEntry.objects.bulk_create(
        ListEntry(lead_list=made, lead=lead, places=lead.places) for lead in leads
    )
    return made


def make_template(brand: Brand, text: str = "Hi {first_name|there}, see {link}") -> Template:
    template = Template.objects.create(brand=brand, name=f"Template {next(numbers)}")
    TemplateVersion.objects.create(template=template, number=1, text=text)
    return template


def make_campaign(
    brand: Brand,
    lead_list: LeadList,
    *,
    text: str = "Hi {first_name|there}, see {link}",
    **fields: object,
) -> Campaign:
    fields = {
        "name": f"Campaign {next(numbers)}",
        "template": make_template(brand, text),
        "destination": "https://jobs.example.com/",
        **fields,
    }
    return Campaign.objects.create(brand=brand, lead_list=lead_list, **fields)


def open_slot(campaign: Campaign, *, on: date, at: time, **fields: object) -> Slot:
    """A slot of the campaign, started in good time, be it over by now."""
    fields = {"length_minutes": 240, **fields}
    later = on + timedelta(days=36_525)
    slot = Slot.objects.create(campaign=campaign, local_date=later, local_time=at, **fields)
    start(campaign)
    Slot.objects.filter(pk=slot.pk).update(local_date=on)
    slot.refresh_from_db()
    return slot


def make_due(
    slot: Slot, lead: Lead, lane: SenderNumber, *, now: datetime, **fields: object
) -> Message:
    """A planned message with its queue row, due now for two hours."""
    expires = now + timedelta(hours=2)
    message = Message.objects.create(
        brand_id=lead.brand_id,
        campaign_id=slot.campaign_id,
        slot=slot,
        lead=lead,
        person_id=lead.person_id,
        kind="campaign",
        expires_at=fields.get("expires_at", expires),
    )
    fields = {
        "brand_id": lead.brand_id,
        "campaign_id": slot.campaign_id,
        "lane": lane,
        "queue": slot.campaign_id,
        "not_before": now - timedelta(seconds=1),
        "expires_at": expires,
        **fields,
    }
    Due.objects.create(message=message, **fields)
    return message


def make_slot(
    lane: SenderNumber | None = None,
    *leads: Lead,
    brand: Brand | None = None,
    on: date = DAY,
    at: time = TWELVE,
    length_minutes: int = 240,
    **fields: object,
) -> Slot:
    """An open slot of a campaign of its own, at noon, on the brand's default route."""
    brand = brand or make_brand()
    if lane is not None and not brand.route_set.exists():
        make_route(brand, lane)
    campaign = make_campaign(brand, make_list(brand, *leads), **fields)
    return open_slot(campaign, on=on, at=at, length_minutes=length_minutes)


def make_leads(brand: Brand, many: int, **fields: object) -> list[Lead]:
    """Leads with consent, each a person of its own, by a few statements."""
    persons = Person.objects.bulk_create(Person(phone=phone()) for _ in range(many))
    consents = ConsentEvent.objects.bulk_create(
        ConsentEvent(
            person=person,
            brand=brand,
            method="import",
            agreed_at=datetime.fromisoformat("2026-01-01T00:00Z"),
        )
        for person in persons
    )
    fields = {"places": make_places(), "first_name": "Ada", **fields}
    return Lead.objects.bulk_create(
        Lead(brand=brand, person=event.person, consent=event, **fields) for event in consents
    )


def fill_queue(
    slot: Slot, lane: SenderNumber, many: int, *, now: datetime, **fields: object
) -> list[Message]:
    """Planned messages to new people with their queue rows, due now for two hours."""
    leads = make_leads(slot.campaign.brand, many)
    expires = fields.pop("expires_at", now + timedelta(hours=2))
    messages = Message.objects.bulk_create(
        Message(
            brand_id=lead.brand_id,
            campaign_id=slot.campaign_id,
            slot=slot,
            lead=lead,
            person_id=lead.person_id,
            kind="campaign",
            expires_at=expires,
        )
        for lead in leads
    )
    fields = {"queue": slot.campaign_id, "not_before": now - timedelta(seconds=1), **fields}
    Due.objects.bulk_create(
        Due(
            message=message,
            brand_id=message.brand_id,
            campaign_id=slot.campaign_id,
            lane=lane,
            expires_at=expires,
            **fields,
        )
        for message in messages
    )
    return messages
