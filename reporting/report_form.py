"""What a person asks of the report, read from the address: days, brands, campaign, provider.

A value of another brand is a 404, as a missing one is; a wrong date is told by its field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.http import Http404, QueryDict

from brands import access
from brands.access import Ability, Visitor
from brands.models import Brand
from campaigns.models import Campaign, Slot
from reporting.report import NOBODY, Group, Scope, rows

LONGEST = 400  # days
USUAL = 7
CAMPAIGNS_OFFERED = 300
LONGEST_ID = 18  # digits
GROUPS = (
    (Group.DAY.value, "Day"),
    (Group.BRAND.value, "Brand"),
    (Group.PROVIDER.value, "Provider"),
    (Group.CAMPAIGN.value, "Campaign"),
    (Group.ALL.value, "Day, brand and provider"),
)

# Accounts that had a message of these brands, or that a STOP to them came to.
ACCOUNTS = """
SELECT a.id, a.name FROM providers_provideraccount a
WHERE EXISTS (SELECT 1 FROM reporting_slotfigure f
              WHERE f.brand_id = ANY(%(brands)s) AND f.account_id = a.id)
   OR EXISTS (SELECT 1 FROM reporting_stopfigure t
              WHERE t.brand_id = ANY(%(brands)s) AND t.account_id = a.id)
ORDER BY a.name
"""


class Days(forms.Form):
    """The part of the question that can be wrong."""

    first = forms.DateField(label="From", error_messages={"required": "Choose a day."})
    last = forms.DateField(label="To", error_messages={"required": "Choose a day."})
    group = forms.ChoiceField(label="One line for each", choices=GROUPS)
    page = forms.IntegerField(min_value=1, max_value=100_000)

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        first, last = found.get("first"), found.get("last")
        if first and last and first > last:
            self.add_error("last", "This day is before the first one.")
        elif first and last and (last - first).days >= LONGEST:
            self.add_error("last", f"Choose {LONGEST} days at most.")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question, and what there is to choose from. `scope` is None while a day is wrong."""

    form: Days
    scope: Scope | None
    group: Group
    page: int
    brands: dict[int, Brand]
    chosen: tuple[int, ...]  # brands; none chosen: all of them
    campaign: Campaign | None
    account_id: int | None
    accounts: dict[int, str]

    @property
    def day_fields(self) -> list[forms.BoundField]:
        return [self.form["first"], self.form["last"]]

    @property
    def chosen_label(self) -> str:
        if len(self.chosen) == 1:
            return self.brands[self.chosen[0]].name
        return f"{len(self.chosen)} of {len(self.brands)}" if self.chosen else "All"

    def address(self, **changes: Any) -> str:
        """The query string of this question with other values; None takes one out."""
        asked: dict[str, Any] = {
            "first": self.form["first"].value(),
            "last": self.form["last"].value(),
            "group": self.group.value,
            "brand": self.chosen,
            "campaign": self.campaign.pk if self.campaign else None,
            "account": self.account_id,
            **changes,
        }
        return urlencode({key: v for key, v in asked.items() if v not in (None, ())}, doseq=True)


def read(params: QueryDict, user: Visitor, ability: Ability, now: datetime) -> Asked:
    """Raises Http404 for a brand, campaign or account that is not there for this user."""
    brands = {brand.pk: brand for brand in access.brands(user, ability)}
    chosen = _chosen_brands(params.getlist("brand"), brands)
    account_id = _number(params.get("account"))
    accounts: dict[int, str] = dict(rows(ACCOUNTS, {"brands": list(brands)}))
    if account_id not in (None, NOBODY, *accounts):
        raise Http404("There is no such provider account.")
    campaign = _campaign(_number(params.get("campaign")), brands)
    form = Days(_with_defaults(params, brands.values(), now))
    scope = None
    if form.is_valid():
        scope = Scope(
            brand_ids=chosen or tuple(brands),
            first=form.cleaned_data["first"],
            last=form.cleaned_data["last"],
            campaign_id=campaign.pk if campaign else None,
            account_id=account_id,
        )
    return Asked(
        form=form,
        scope=scope,
        group=Group(form.cleaned_data.get("group", Group.DAY)),
        page=form.cleaned_data.get("page", 1),
        brands=brands,
        chosen=chosen,
        campaign=campaign,
        account_id=account_id,
        accounts=accounts,
    )


def _number(text: str | None) -> int | None:
    """An id; None where nothing is asked for."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_ID):
        raise Http404("That is no id.")
    return int(text)


def _chosen_brands(asked: Iterable[str], brands: Mapping[int, Brand]) -> tuple[int, ...]:
    chosen = {number for text in asked if (number := _number(text)) is not None}
    if not chosen <= set(brands):
        raise Http404("There is no such brand.")
    return tuple(sorted(chosen))


def _campaign(asked: int | None, brands: Mapping[int, Brand]) -> Campaign | None:
    if asked is None:
        return None
    found = Campaign.objects.filter(pk=asked, brand_id__in=list(brands)).first()
    if found is None:
        raise Http404("There is no such campaign.")
    return found


def _with_defaults(params: QueryDict, brands: Iterable[Brand], now: datetime) -> dict[str, Any]:
    """The last days up to today, which begins first in the brand that lies furthest east."""
    zones = {brand.zone for brand in brands} or {"UTC"}
    today = max(now.astimezone(ZoneInfo(zone)).date() for zone in zones)
    usual = {
        "first": (today - timedelta(days=USUAL - 1)).isoformat(),
        "last": today.isoformat(),
        "group": Group.DAY.value,
        "page": "1",
    }
    return {key: params.get(key, value) for key, value in usual.items()}


def campaigns_to_choose(asked: Asked) -> list[tuple[str, list[Campaign]]]:
    """Campaigns with a slot in these days, and the one chosen, under the names of their brands.

    Not more than a menu can hold: the newest.
    """
    found: list[Campaign] = [asked.campaign] if asked.campaign else []
    if asked.scope:
        slots = Slot.objects.filter(
            campaign__brand_id__in=asked.scope.brand_ids,
            local_date__range=(asked.scope.first, asked.scope.last),
        ).exclude(state=Slot.State.DRAFT)
        offered = Campaign.objects.filter(pk__in=slots.values("campaign_id")).order_by("-pk")
        found += [one for one in offered[:CAMPAIGNS_OFFERED] if one != asked.campaign]
    found.sort(key=lambda one: (asked.brands[one.brand_id].name, one.name.lower()))
    by_brand = groupby(found, key=lambda one: asked.brands[one.brand_id].name)
    return [(name, list(campaigns)) for name, campaigns in by_brand]
