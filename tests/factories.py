"""Plain functions that make rows. Numbers are invented, in 555 exchanges."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import count

from brands.models import Brand, Installation
from campaigns.models import Campaign, Slot, Template, TemplateVersion
from campaigns.starting import start
from compliance.models import ConsentEvent, Person, Places
from delivery.models import Due, Message
from leads.models import Lead, LeadList, ListEntry
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber

numbers = count(1)


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
    account.seal({"account_sid": f"AC{n:032x}", "auth_token": f"{n:032x}"})
    account.save()
    return account


def make_number(account: ProviderAccount | None = None, **fields: object) -> SenderNumber:
    n = next(numbers)
    fields = {"value": f"+1202555{n % 10_000:04d}", "segments_per_second": 1000.0, **fields}
    return SenderNumber.objects.create(account=account or make_account(), **fields)


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
    n = next(numbers)
    fields = {"phone": f"+1212555{n % 10_000:04d}", **fields}
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
    """A slot of the campaign, started."""
    fields = {"length_minutes": 240, **fields}
    slot = Slot.objects.create(campaign=campaign, local_date=on, local_time=at, **fields)
    start(campaign)
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
