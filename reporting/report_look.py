"""How the report looks: its words, the cells with their links, the reasons and the chart.

It asks report.py for sums and knows no request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from campaigns.models import Campaign
from delivery.states import Reason, Status
from reporting import report
from reporting.report import NOBODY, OF_SENT, PARTS, Group, Line, Scope, Table, What
from reporting.report_form import Asked

TITLES = {
    What.PLANNED: ("Planned", "Everybody a message was made for: refused, waiting and sent."),
    What.REFUSED: ("Refused", "Our rules, its time or a person ended it; nothing was sent."),
    What.WAITING: ("Waiting", "Not sent yet."),
    What.SENT: ("Sent", "Handed to a provider: delivered, failed, unknown and awaiting."),
    What.DELIVERED: ("Delivered", "The carrier says that it arrived."),
    What.FAILED: ("Failed", "The provider or the carrier says that it did not arrive."),
    What.UNKNOWN: (
        "Unknown",
        "Perhaps it arrived: no report came in time, or nobody knows whether the provider took it."
        " Never sent again.",
    ),
    What.AWAITING: ("Awaiting", "Handed to the provider; its final report should still come."),
    What.CLICKS: ("Clicks", "Messages whose link was opened at least once."),
    What.STOPS: ("Opt-outs", "Texts read as STOP that came in on that day."),
    What.SUPPRESSED: ("Left out", "People who were never planned: opted out, or unreachable."),
}
KEY_TITLES = {
    Group.DAY: ["Day"],
    Group.BRAND: ["Brand"],
    Group.PROVIDER: ["Provider"],
    Group.CAMPAIGN: ["Campaign"],
    Group.ALL: ["Day", "Brand", "Provider"],
}
COLOURS = {
    What.DELIVERED: "#2f9e66",
    What.FAILED: "#e0525a",
    What.UNKNOWN: "#e5a02e",
    What.AWAITING: "#7f9cf5",
}
BEGIN = (What.DELIVERED, What.CLICKS, What.SUPPRESSED)  # each begins a group of columns
DASH = mark_safe('<span class="so-zero" title="Not told apart by campaign">&ndash;</span>')
ZERO = mark_safe(' class="so-zero"')
NO_PROVIDER = "No provider"
NO_CAMPAIGN = "Opt-outs, of no campaign"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure, its rows' address if there are any to see, and a percentage of it."""

    what: What
    number: int | None  # None: it cannot be told
    address: str = ""
    rate: str = ""

    @property
    def shown(self) -> str:
        return f"{self.number:,}"

    def html(self) -> SafeString:
        """A thousand of these stand in a table: no template could be as quick."""
        rate = format_html("<small>{}</small>", self.rate) if self.rate and self.number else ""
        return format_html(
            '<td class="so-num{}" data-what="{}">{}{}</td>',
            " so-edge" if self.what in BEGIN else "",
            self.what.value,
            self._figure(),
            rate,
        )

    def _figure(self) -> SafeString:
        if self.number is None:
            return DASH
        if self.address:
            return format_html('<a href="{}">{}</a>', self.address, self.shown)
        return format_html("<span{}>{}</span>", "" if self.number else ZERO, self.shown)


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few figures people look for first, and what part of another one it is."""

    title: str
    help: str
    cell: Cell
    share: str


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column."""

    what: What
    title: str
    help: str

    @property
    def begins(self) -> bool:
        return self.what in BEGIN


@dataclass(frozen=True, slots=True)
class Names:
    """How a line is called."""

    asked: Asked
    campaigns: dict[int, str]

    def labels(self, line: Line) -> list[str]:
        found = []
        if line.day is not None:
            found.append(day_label(line.day))
        if line.brand_id is not None:
            found.append(self.asked.brands[line.brand_id].name)
        if line.account_id is not None:
            names = {NOBODY: NO_PROVIDER, **self.asked.accounts}
            found.append(names.get(line.account_id, f"Account {line.account_id}"))
        if line.campaign_id is not None:
            found.append(self.campaigns.get(line.campaign_id, NO_CAMPAIGN))
        return found


def day_label(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def moment_label(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M %Z}"


def names_of(asked: Asked, table: Table) -> Names:
    ids = {line.campaign_id for line in table.lines if line.campaign_id}
    found = Campaign.objects.filter(pk__in=ids).values_list("pk", "name", "brand_id")
    if len(asked.brands) == 1:
        return Names(asked, {pk: name for pk, name, _ in found})
    return Names(asked, {pk: f"{name} ({asked.brands[own].name})" for pk, name, own in found})


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the cells of lines, each with the address of its rows where the user may see those."""

    asked: Asked
    may_see_rows: bool

    def cells(self, line: Line) -> list[Cell]:
        return [self._cell(line, what) for what in What]

    def _cell(self, line: Line, what: What) -> Cell:
        has_campaign = self.asked.campaign is not None or line.campaign_id
        if what == What.STOPS and has_campaign:
            return Cell(what, None)
        rates = {What.DELIVERED: line.delivery_rate, What.STOPS: line.stop_rate}
        rate = rates.get(what)
        address = self.to(what, line.of(what), **_narrow(line))
        return Cell(what, line.of(what), address, "" if rate is None else f"{rate:.1f}%")

    def suppressed(self, number: int, reason: str) -> Cell:
        address = self.to(What.SUPPRESSED, number, group=None, reason=reason)
        return Cell(What.SUPPRESSED, number, address)

    def to(self, what: What, number: int, **narrow: Any) -> str:
        if not (self.may_see_rows and number):
            return ""
        return f"{reverse('report-rows')}?{self.asked.address(what=what.value, **narrow)}"


def _narrow(line: Line) -> dict[str, Any]:
    narrow: dict[str, Any] = {"group": None}
    if line.day is not None:
        narrow |= {"first": line.day, "last": line.day}
    if line.brand_id is not None:
        narrow["brand"] = line.brand_id
    if line.account_id is not None:
        narrow["account"] = line.account_id
    if line.campaign_id:
        narrow["campaign"] = line.campaign_id
    return narrow


def tiles(links: Links, total: Line) -> list[Tile]:
    """The figures people look for first."""
    shares = {
        What.SENT: (total.sent, total.planned, "of planned"),
        What.DELIVERED: (total.delivered, total.sent, "of sent"),
        What.FAILED: (total.failed, total.sent, "of sent"),
        What.CLICKS: (total.clicks, total.delivered, "of delivered"),
        What.STOPS: (total.stops, total.delivered, "of delivered"),
        What.REFUSED: (total.refused, total.planned, "of planned"),
    }
    cells = {cell.what: cell for cell in links.cells(total)}
    return [
        Tile(*TITLES[what], cells[what], f"{100 * part / whole:.1f}% {word}" if whole else "")
        for what, (part, whole, word) in shares.items()
    ]


def reasons(links: Links, scope: Scope) -> dict[str, Any]:
    """Refused by reason and how it ended, and who was left out by reason."""
    found = report.refused(scope)
    statuses = [s for s in PARTS[What.REFUSED] if any(status == s for _, status in found)]
    left_out = report.suppressed(scope)
    sums = {r: sum(n for (reason, _), n in found.items() if reason == r) for r, _ in found}

    def cell(number: int, reason: str | None, status: Status | None) -> Cell:
        narrow = {"group": None, "reason": "-" if reason == "" else reason, "status": status}
        return Cell(What.REFUSED, number, links.to(What.REFUSED, number, **narrow))

    lines = []
    for reason in sorted(sums, key=lambda one: (-sums[one], one)):
        parts = [cell(found.get((reason, s.value), 0), reason, s) for s in statuses]
        lines.append((reason_label(reason), [cell(sums[reason], reason, None), *parts]))
    totals = [sum(n for (_, status), n in found.items() if status == s) for s in statuses]
    return {
        "refused_statuses": [status.label for status in statuses],
        "refused": lines,
        "refused_total": [
            cell(sum(totals), None, None),
            *(cell(n, None, s) for n, s in zip(totals, statuses, strict=True)),
        ],
        "left_out": [
            (reason_label(reason), links.suppressed(n, reason))
            for reason, n in left_out.items()
            if n
        ],
    }


def reason_label(reason: str) -> str:
    if not reason:
        return "No reason noted"
    return str(Reason(reason).label) if reason in Reason.values else reason


def chart(scope: Scope, days: Table) -> dict[str, str]:
    """What was sent each day, in its four parts, as the admin's charts take it."""
    by_day = {line.day: line for line in days.lines}
    every = [scope.first + timedelta(days=n) for n in range((scope.last - scope.first).days + 1)]
    sets = [
        {
            "label": TITLES[what][0],
            "data": [by_day[day].of(what) if day in by_day else 0 for day in every],
            "backgroundColor": COLOURS[what],
            "maxBarThickness": 56,
            "borderRadius": 2,
        }
        for what in OF_SENT
    ]
    labels = [f"{day.day} {day:%b}" for day in every]
    return {"data": json.dumps({"labels": labels, "datasets": sets}), "options": CHART_OPTIONS}


TICKS = {"color": "#8a94a6", "maxRotation": 0, "autoSkipPadding": 12}
CHART_OPTIONS = json.dumps(
    {
        "maintainAspectRatio": False,
        "animation": False,
        "interaction": {"mode": "index", "intersect": False},
        "scales": {
            "x": {"stacked": True, "grid": {"display": False}, "ticks": TICKS},
            "y": {
                "stacked": True,
                "beginAtZero": True,
                "border": {"display": False},
                "grid": {"color": "#d0d5dd"},
                "ticks": {**TICKS, "precision": 0, "maxTicksLimit": 6},
            },
        },
        "plugins": {
            "legend": {
                "align": "end",
                "labels": {"boxWidth": 10, "boxHeight": 10, "color": "#8a94a6"},
            }
        },
    }
)
