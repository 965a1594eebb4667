"""What a demo stands on: three invented brands, their numbers, people, templates and campaigns.

Everything is made through the doors that people use: set-up, the CSV import, Start.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

from django.core.management import call_command
from django.db import transaction

from brands import clock
from brands.models import Brand
from campaigns import starting
from campaigns.models import Campaign, Slot, Template, TemplateVersion
from compliance import consent
from config import demo_accounts, demo_mail
from delivery import shifting, sql
from leads.invention import Inventor
from leads.models import Lead, LeadList

LIST = "Everybody"
TEXT = "Hi {first_name|there}, new openings from {brand} near you: {link}"
FIRST_NUMBER, MOST_NUMBERS = 100, 20  # of the first brand, and of each
SLOT_MINUTES = 240
BEGINS = time(9, 50)
SHARE_OPTED_OUT = 0.01
SHARE_SHARED = 0.01  # of a brand's people, that the brand before it knows too
SHARE_BAD_ROWS = 0.005
SHARE_MAGIC = 0.004
# Endings that make the simulator refuse, throttle once, be slow, leave the outcome to its report,
# or report oddly. Left out are those that pause a whole account (0013) or hang a minute (0008).
NEVER_ACCEPTED = ("0001", "0002", "0003")
NEVER_REPORTED = ("0010",)
MAGIC = (
    *NEVER_ACCEPTED, *NEVER_REPORTED,
    "0004", "0005", "0006", "0007", "0009", "0011", "0012", "0014", "0015",
)  # fmt: skip
ALL_MAGIC = tuple(f"{ending:04d}" for ending in range(1, 16))

# What autovacuum does within a minute; without it the planner's skips over a new list are slow.
ANALYZE = "ANALYZE compliance_person, compliance_places, leads_lead, leads_listentry"
OPT_OUT_CANDIDATES = """
SELECT p.id FROM compliance_person p JOIN leads_lead l ON l.person_id = p.id
WHERE p.opted_out_at IS NULL GROUP BY p.id ORDER BY p.id
"""


class CannotStage(Exception):
    """Why the demo cannot be set up here; a sentence for whoever started it."""


@dataclass(frozen=True, slots=True)
class BrandPlan:
    """A brand of the demo. `share` of all leads; `local_time` is its campaign's."""

    name: str
    slug: str
    zone: str
    opens: time
    closes: time
    weight: int
    share: float
    local_time: time
    is_capped: bool = False


BRANDS = (
    BrandPlan(
        "Harbor Jobs", "harbor-jobs", "America/New_York", time(9), time(20), 3, 0.5, time(10), True
    ),
    BrandPlan(
        "Prairie Careers", "prairie-careers", "America/Chicago", time(8), time(21), 2, 0.3,
        time(10, 30),
    ),
    BrandPlan(
        "Summit Staffing", "summit-staffing", "America/Los_Angeles", time(9, 30), time(20, 30), 1,
        0.2, time(11),
    ),
)  # fmt: skip
MAILING = BRANDS[-1]  # who also sends e-mail


@dataclass(frozen=True, slots=True)
class Folder:
    """Where a demo keeps its files."""

    path: Path

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def leads(self) -> Path:
        return self.path / "leads"

    @property
    def run(self) -> Path:
        return self.path / "run"


def found(*, seed: int, simulator: str, mail_server: str, short_domain: str | None) -> None:
    """The sandbox at ten to ten on a morning in New York, its accounts, brands and numbers."""
    call_command("set_up", sandbox=True, stdout=StringIO())
    shifting.shift_to(next_morning(clock.now()))
    *accounts, relay = demo_accounts.make_accounts(seed, simulator, mail_server)
    for at, plan in enumerate(BRANDS):
        brand = make_brand(plan, short_domain)
        demo_accounts.make_route(brand, accounts, first=FIRST_NUMBER + at * MOST_NUMBERS)
        if plan is MAILING:
            demo_mail.make_route(brand, relay)


def next_morning(now: datetime) -> datetime:
    """The next time it is ten to ten in the first brand's zone, and no Sunday."""
    zone = ZoneInfo(BRANDS[0].zone)
    day = now.astimezone(zone).date()
    while True:
        morning = datetime.combine(day, BEGINS, tzinfo=zone)
        if morning > now + timedelta(seconds=2) and not is_sunday(day):
            return morning.astimezone(UTC)
        day += timedelta(days=1)


def is_sunday(day: date) -> bool:
    return day.isoweekday() == 7


def make_brand(plan: BrandPlan, short_domain: str | None) -> Brand:
    return Brand.objects.create(
        name=plan.name,
        slug=plan.slug,
        zone=plan.zone,
        opens=plan.opens,
        closes=plan.closes,
        sunday_opens=time(12),
        fairness_weight=plan.weight,
        short_domain=short_domain or f"go.{plan.slug}.example.com",
        link_hosts=["jobs.example.com"],
    )


def invent(folder: Folder, *, leads: int, seed: int) -> dict[str, int]:
    """A CSV file for each brand, and one of readers; returns how many rows each brand's has.

    Raises CannotInvent.
    """
    folder.leads.mkdir(parents=True, exist_ok=True)
    as_of = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    inventor = Inventor(seed, as_of=as_of, magic=SHARE_MAGIC, bad=SHARE_BAD_ROWS)
    rows = dict(zip((plan.slug for plan in BRANDS), sizes(leads), strict=True))
    begun = 0
    for slug, count in rows.items():
        first = max(begun - int(count * SHARE_SHARED), 0)
        more = count + count // 50 + len(ALL_MAGIC)
        passed_over = write(leads_file(folder, slug), inventor.lines(more, first=first), count)
        begun = first + count + passed_over
    readers = demo_mail.lines(Inventor(seed, as_of=as_of), leads // demo_mail.ONE_IN, first=begun)
    readers_file(folder).write_text("".join(readers), encoding="utf-8")
    return rows


def sizes(leads: int) -> list[int]:
    """The leads of each brand, by its share; the first has what rounding leaves."""
    rest = [int(leads * plan.share) for plan in BRANDS[1:]]
    return [leads - sum(rest), *rest]


def leads_file(folder: Folder, slug: str) -> Path:
    return folder.leads / f"{slug}.csv"


def readers_file(folder: Folder) -> Path:
    """Of the people to whom one brand sends e-mail."""
    return folder.leads / f"{MAILING.slug}-readers.csv"


def write(path: Path, lines: Iterator[str], count: int) -> int:
    """Write the header and so many wanted rows; returns how many were passed over."""
    kept, passed_over = [next(lines)], 0
    while len(kept) <= count:
        line = next(lines)
        if has_other_magic(line):
            passed_over += 1
        else:
            kept.append(line)
    path.write_text("".join(kept), encoding="utf-8")
    return passed_over


def has_other_magic(line: str) -> bool:
    """Whether its number makes the simulator do what the demo has no use for."""
    ending = line.partition(",")[0][-4:]
    return ending in ALL_MAGIC and ending not in MAGIC


def take_in(folder: Folder, plan: BrandPlan) -> None:
    """Import a brand's files, and give the capped brand a cap just above its list."""
    files = {LIST: leads_file(folder, plan.slug)}
    if plan is MAILING:
        files[demo_mail.LIST] = readers_file(folder)
    for name, file in files.items():
        call_command("import_leads", str(file), brand=plan.slug, list=name, stdout=StringIO())
    if plan.is_capped:
        brand = Brand.objects.filter(slug=plan.slug)
        brand.update(daily_cap=Lead.objects.filter(brand__slug=plan.slug).count())


def opt_out_some(seed: int, *, share: float) -> int:
    """Opt out a share of those who have not yet; returns how many."""
    people = [person_id for (person_id,) in sql.rows(OPT_OUT_CANDIDATES)]
    dice = random.Random(f"{seed}:{len(people)}")  # noqa: S311 - invented people
    with transaction.atomic():
        return consent.opt_out(dice.sample(people, int(len(people) * share)), source="import")


def make_campaigns() -> None:
    """A campaign of one slot for each brand, on the clock's day, started; and one of e-mail."""
    sql.rows(ANALYZE)
    on = today()
    for plan in BRANDS:
        brand = Brand.objects.get(slug=plan.slug)
        template = Template.objects.create(brand=brand, name="Openings")
        TemplateVersion.objects.create(template=template, number=1, text=TEXT)
        campaign = Campaign.objects.create(
            brand=brand,
            name="Morning openings",
            lead_list=LeadList.objects.get(brand=brand, name=LIST),
            template=template,
            destination=f"https://jobs.example.com/{plan.slug}",
        )
        open_slot(campaign, on, plan.local_time)
        if plan is MAILING:
            open_slot(demo_mail.make_campaign(brand), on, demo_mail.AT)


def today() -> date:
    return clock.now().astimezone(ZoneInfo(BRANDS[0].zone)).date()


def open_slot(campaign: Campaign, on: date, at: time) -> None:
    Slot.objects.create(
        campaign=campaign, local_date=on, local_time=at, length_minutes=SLOT_MINUTES
    )
    starting.start(campaign)


def open_next_day(brands: Sequence[BrandPlan] = BRANDS) -> date:
    """The next morning's slot of each of these brands' campaigns, with the clock moved there."""
    shifting.shift_to(next_morning(clock.now()))
    times = {plan.slug: plan.local_time for plan in brands}
    campaigns = Campaign.objects.filter(brand__slug__in=times)
    for campaign in campaigns.select_related("brand", "lead_list", "template"):
        is_mail = campaign.name == demo_mail.CAMPAIGN
        open_slot(campaign, today(), demo_mail.AT if is_mail else times[campaign.brand.slug])
    return today()


def point_at(*, simulator: str, mail_server: str, short_domain: str) -> None:
    """Where a demo that goes on finds its providers now, and people its links."""
    demo_accounts.point_at(simulator, mail_server)
    Brand.objects.filter(slug__in=[plan.slug for plan in BRANDS]).update(short_domain=short_domain)
