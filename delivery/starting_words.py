"""A forecast as staff read it: figures, times, money, and who gets the message or does not.

It puts into words and decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.urls import reverse

from brands.models import Installation
from brands.zones import city
from campaigns import sizing
from campaigns.models import Campaign
from campaigns.rendering import Mail, MissingValue, framed
from campaigns.starting import CannotStart
from delivery.forecast import Forecast, SlotForecast
from delivery.states import Reason
from providers.models import Route, RouteNumber

MICROS = 1_000_000

Said = TypeVar("Said")
Counts = Callable[[SlotForecast], Counter[Reason]]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: its words, and a number for each slot."""

    words: str
    counts: Sequence[str]
    kind: str = ""  # "sum", "part", or nothing


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stands in the way, and the page on which it is put right."""

    words: str
    url: str = ""


def number(count: int) -> str:
    return f"{count:,}"


def money(micros: int) -> str:
    """Dollars from millionths of one; cents are rounded up."""
    return f"${-(-micros // 10_000) / 100:,.2f}"


def costs(told: Forecast) -> str:
    """From the cheapest to the dearest of the accounts; empty where no price is set."""
    lowest, highest = told.costs_micros
    if not told.prices[1]:
        return ""
    return money(highest) if lowest == highest else f"{money(lowest)} to {money(highest)}"


def caps(told: Forecast) -> list[tuple[str, str]]:
    """What each sort of daily cap and limit has left: of numbers and accounts, all of them
    together."""
    left: dict[tuple[Reason, bool], int] = {}
    for cap in told.caps:
        key = cap.reason, cap.in_segments
        if cap.reason in (Reason.NUMBER_CAP, Reason.ACCOUNT_CAP, Reason.WARM_UP):
            left[key] = left.get(key, 0) + cap.left
        else:
            left[key] = min(left.get(key, cap.left), cap.left)
    return [
        (str(reason.label), f"{number(many)} segments" if in_segments else number(many))
        for (reason, in_segments), many in left.items()
    ]


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in the brand's own time and in UTC."""

    day: str
    short_day: str
    clock: str
    place: str
    utc: str

    def __str__(self) -> str:
        return f"{self.clock} on {self.day} in {self.place} ({self.utc} UTC)"


def moment(at: datetime | None, zone: str) -> Moment | None:
    if at is None:
        return None
    local, utc = at.astimezone(ZoneInfo(zone)), at.astimezone(UTC)
    also = "%H:%M" if local.date() == utc.date() else "%-d %b, %H:%M"
    place = city(zone)
    day = f"{local:%a %-d %b}"
    return Moment(f"{day} {local:%Y}", day, f"{local:%H:%M}", place, f"{utc:{also}}")


def slot_rows(told: Forecast, zone: str) -> list[dict[str, Any]]:
    return [
        {
            "slot": one.slot,
            "people": number(one.audience),
            "leaving": number(one.leaving),
            "first": moment(one.first_at, zone),
            "last": moment(one.last_at, zone),
        }
        for one in told.slots
    ]


def table(told: Forecast) -> list[Row]:
    """Who gets it and who does not, and why; the audience is the sum of what stands above it."""
    slots = told.slots
    rows = [Row("Get the message", [number(one.leaving) for one in slots], "sum")]
    if any(one.late for one in slots):
        words = "of them later: they had enough messages lately and may wait"
        rows.append(Row(words, [number(one.late) for one in slots], "part"))
    rows += _reasons("Refused by the rules", slots, lambda one: one.refused)
    rows += _reasons("Wait for somebody to judge a reply", slots, lambda one: one.waiting)
    rows += _reasons("Run out of time", slots, lambda one: one.expiring)
    rows.append(Row("Audience", [number(one.audience) for one in slots], "total"))
    return rows


def left_out(told: Forecast) -> list[Row]:
    """Those of the list who are no audience at all."""
    return _reasons("Left out beforehand", told.slots, lambda one: one.suppressed)


def _reasons(title: str, slots: Sequence[SlotForecast], counts_of: Counts) -> list[Row]:
    counts = [counts_of(one) for one in slots]
    total: Counter[Reason] = sum(counts, Counter())
    if not total:
        return []
    return [
        Row(title, [number(count.total()) for count in counts], "sum"),
        *(
            Row(str(reason.label), [number(count[reason]) for count in counts], "part")
            for reason, _ in total.most_common()
        ),
    ]


def blockers(found: Iterable[CannotStart], campaign: Campaign) -> list[Trouble]:
    """Each with the page that mends it."""
    return [Trouble(str(one), _where(one.field, campaign)) for one in found]


def _where(field: str, campaign: Campaign) -> str:
    here = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    pages = {
        "Template": ("admin:campaigns_template_change", campaign.template_id),
        "Brand": ("admin:brands_brand_change", campaign.brand_id),
        "List": ("admin:leads_leadlist_change", campaign.lead_list_id),
    }
    if field == "Route":
        return reverse("admin:providers_route_changelist")
    name, pk = pages.get(field, ("", 0))
    return reverse(name, args=[pk]) if name else here


def warnings(campaign: Campaign, route: Route | None, now: datetime) -> list[Trouble]:
    """What will hold messages back though nothing forbids the start."""
    brand = campaign.brand
    found = []
    if Installation.objects.filter(stopped_at__isnull=False).exists():
        found.append(Trouble("All sending is stopped.", reverse("stop-all")))
    if brand.paused_at:
        url = reverse("admin:brands_brand_change", args=[brand.pk])
        found.append(Trouble(f"The brand {brand} is paused.", url))
    if campaign.paused_at:
        why = f" ({campaign.pause_reason})" if campaign.pause_reason else ""
        url = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
        found.append(Trouble(f"The campaign is paused{why}.", url))
    if route is not None and (words := _resting(route, now)):
        found.append(Trouble(words, reverse("admin:providers_route_change", args=[route.pk])))
    return found


def _resting(route: Route, now: datetime) -> str:
    numbers = numbers_of(route)
    rest = [one for one in numbers if not is_usable(one, now)]
    if not rest:
        return ""
    if len(rest) == len(numbers):
        return f"Every number of the route {route.name} is paused or rests."
    values = ", ".join(one.number.value for one in rest[:5])
    return f"{len(rest)} of {len(numbers)} numbers of the route {route.name} rest: {values}."


def numbers_of(route: Route) -> list[RouteNumber]:
    """The numbers in use, in fallback order."""
    in_use = {"number__retired_at": None, "number__account__retired_at": None}
    return list(route.numbers.filter(**in_use).select_related("number__account"))


def is_usable(one: RouteNumber, now: datetime) -> bool:
    account, rests = one.number.account, one.number.rests_until
    weighs = one.weight * account.weight * account.halves
    paused = one.number.paused_at or account.paused_at or not weighs
    return not paused and (rests is None or rests <= now)


def largest_text(text: str, campaign: Campaign) -> str | None:
    """The text with the longest names of the list; None where they could not be found quickly."""
    return _largest(text, campaign, lambda values: sizing.said(text, values, campaign.brand))


def largest_mail(mail: Mail, campaign: Campaign) -> Mail:
    """The same of an e-mail, its HTML fit for a frame; with its {names} where they were not found
    quickly.
    """
    every = "\n".join(mail)
    found = _largest(every, campaign, lambda v: sizing.said_by_mail(mail, v, campaign.brand))
    said = found or mail
    return said._replace(html=framed(said.html))


def _largest(text: str, campaign: Campaign, said: Callable[[dict[str, str]], Said]) -> Said | None:
    """What is said with the longest value of each name in the text."""
    longest = sizing.longest_values_soon(campaign.lead_list_id, text)
    if longest is None:
        return None
    values = {
        name: max(longest.plain.get(name, ""), longest.wide.get(name, ""), key=len)
        for name in sizing.names_in(text)
    }
    try:
        return said(values)
    except MissingValue:  # nobody on the list has a value for one of the names
        return said({name: value.strip() or "-" for name, value in values.items()})
