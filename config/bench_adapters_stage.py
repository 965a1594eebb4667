"""What the benchmark of adapters sends: for each kind of provider a brand, two accounts and people.

Who is to get e-mail has an address with the digits of the phone, so that both end alike.

Most people are plain ones. Some have numbers by whose endings the simulator refuses, throttles,
loses its answer or reports what did not go well: they are on a list and in a campaign of their own,
so that no request with many messages is spoilt by them. The second account stands in for the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from brands import clock
from brands.models import Brand, Installation
from campaigns.models import Campaign, Template, TemplateVersion
from compliance.models import Person
from config import bench_stage as stage
from config import invented_accounts
from delivery import sql
from leads.models import LeadList
from providers.models import Channel, ProviderAccount, Route, RouteNumber, SenderNumber

PLAIN, ODD = "Everybody", "Oddities"
NUMBERS = 2  # of each account; but one where a request carries many messages
# All but 0013, whose every account would be paused: the simulator is told to say 401 once instead.
ENDINGS = tuple(f"{ending:04d}" for ending in range(1, 16) if ending != 13)
EACH = 4  # people with each ending, for each kind
# A mail server that says 451 each time is tried for minutes; it is told to say it now and then.
PUT_OFF = ("0006",)
# An e-mail takes a worker milliseconds to write, and its relay six round trips: what is let go
# faster than that is too late when its turn comes, and goes round again.
MAIL_RATE = 100.0  # messages a second, of each sender
HANGS = "0008"  # for so long that one is enough

LIST_THE_REST = """
INSERT INTO leads_listentry (lead_list_id, lead_id, places_id)
SELECT %s, l.id, l.places_id FROM leads_lead l
WHERE l.brand_id = %s AND NOT EXISTS (SELECT 1 FROM leads_listentry e WHERE e.lead_id = l.id)
ORDER BY l.id
"""
SUBJECT = "{first_name|there}, new openings from {brand}"
HTML = '<p>Hi {first_name|there},</p><p><a href="{link}">New openings near you</a></p>'
GIVE_MAILBOXES = """
UPDATE compliance_person p SET email = ltrim(p.phone, '+')
    || CASE WHEN right(p.phone, 4) = ANY(%s::text[]) THEN '-' ELSE '' END || '@example.com'
FROM leads_lead l WHERE l.person_id = p.id AND l.brand_id = ANY(%s::bigint[]) AND p.email IS NULL
"""
PAUSE_ODD = "UPDATE campaigns_campaign SET paused_at = sendonce_now() WHERE name = %s"


def make(kinds: Sequence[str], messages: int, *, simulator: str, mail_server: str) -> None:
    """All up to started campaigns, with stop-all pulled; so many plain messages for each kind."""
    stage.found_empty()
    brands = [make_brand(at, kind, simulator, mail_server) for at, kind in enumerate(kinds, 1)]
    mailing = [
        brand.pk
        for brand, kind in zip(brands, kinds, strict=True)
        if invented_accounts.carries_mail(kind)
    ]
    Brand.objects.update(daily_cap=10 * messages)
    stage.make_people(messages * len(kinds), brands)
    give_mailboxes(mailing)
    start(brands, PLAIN)
    Person.objects.bulk_create(Person(phone=phone) for phone in odd_phones(len(brands)))
    stage.make_leads(brands)
    give_mailboxes(mailing)
    start(brands, ODD)
    sql.rows(stage.ANALYZE)


def give_mailboxes(brands: Sequence[int]) -> None:
    sql.count(GIVE_MAILBOXES, list(PUT_OFF), list(brands))


def odd_phones(brands: int) -> list[str]:
    """In the order in which their leads go round the brands; no number twice."""
    codes, turns = stage.area_codes(), [(end, n) for end in ENDINGS for n in range(each(end))]
    return [
        f"+1{codes[(n * brands + brand) % len(codes)]}555{end}"
        for end, n in turns
        for brand in range(brands)
    ]


def each(ending: str) -> int:
    return 1 if ending == HANGS else EACH


def odd_messages() -> int:
    """For each kind."""
    return sum(map(each, ENDINGS))


def make_brand(number: int, kind: str, simulator: str, mail_server: str) -> Brand:
    """A brand that sends by accounts of this kind alone."""
    brand = stage.make_brand(number, daily_cap=0)
    Brand.objects.filter(pk=brand.pk).update(name=f"Bench {kind}")
    is_mail = invented_accounts.carries_mail(kind)
    channel = Channel.EMAIL if is_mail else Channel.SMS
    route = Route.objects.create(brand=brand, name="All numbers", channel=channel, is_default=True)
    for order in (0, 1):
        account = stage.make_account(2 * number - 1 + order, simulator, kind, mail_server)
        for lane in numbers_of(account, brand):
            RouteNumber.objects.create(route=route, number=lane, order=order)
    template = Template.objects.create(brand=brand, name="Openings", channel=channel)
    said = {"subject": SUBJECT, "html": HTML} if is_mail else {}
    TemplateVersion.objects.create(template=template, number=1, text=stage.TEXT, **said)
    return brand


def numbers_of(account: ProviderAccount, brand: Brand) -> list[SenderNumber]:
    many = 1 if stage.is_batched(account.kind) else NUMBERS
    is_mail = invented_accounts.carries_mail(account.kind)
    senders = [
        invented_accounts.sender(account.kind, NUMBERS * account.pk + n) for n in range(many)
    ]
    return [
        SenderNumber.objects.create(
            account=account,
            brand=brand,
            value=value,
            kind=sender,
            segments_per_second=MAIL_RATE if is_mail else stage.RATE / stage.BRANDS / many,
        )
        for sender, value in senders
    ]


def start(brands: Sequence[Brand], name: str) -> None:
    """A list of this name of each brand's leads that are on none yet, and its campaign."""
    for brand in brands:
        lead_list = LeadList.objects.create(brand=brand, name=name)
        sql.rows(LIST_THE_REST, lead_list.pk, brand.pk)
        cap = 10 * max(lead_list.listentry_set.count(), 1)
        stage.start_campaign(lead_list, daily_cap=cap, name=name)


def hold() -> None:
    """Every brand, and every campaign to odd numbers; and let go of stop-all."""
    Brand.objects.update(paused_at=clock.now())
    sql.rows(PAUSE_ODD, ODD)
    Installation.objects.update(stopped_at=None)


def release(kind: str) -> None:
    """What plain people of this kind are to get."""
    of_kind = SenderNumber.objects.filter(account__kind=kind).values("brand")
    Brand.objects.filter(pk__in=of_kind).update(paused_at=None)


def release_odd() -> None:
    Campaign.objects.filter(name=ODD).update(paused_at=None)


def first_accounts() -> list[ProviderAccount]:
    """Of each kind the one that is tried first."""
    return list(ProviderAccount.objects.order_by("kind", "id").distinct("kind"))
