"""The report's page: the table with a link under every figure, the chart, and the file of it.

What the figures mean is said in report.py, and what a person may ask in report_form.py.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from brands import access, clock, pages
from brands.access import Ability
from leads.refused import safe
from reporting import report
from reporting.report import NOBODY, Group, Line, Scope, Table, TooSlow, What
from reporting.report_form import GROUPS, LONGEST, Asked, campaigns_to_choose, read
from reporting.report_look import (
    KEY_TITLES,
    TITLES,
    Column,
    Links,
    Names,
    chart,
    moment_label,
    names_of,
    reasons,
    tiles,
)

PAGE = 50
SECONDS = 8.0
EVERYTHING = 10_000_000


@pages.staff_page(Ability.FIGURES)
@require_safe
def report_page(request: HttpRequest) -> HttpResponse:
    now = clock.now()
    asked = read(request.GET, request.user, Ability.FIGURES, now)
    context: dict[str, Any] = {
        "asked": asked,
        "groups": _groups(asked),
        "campaigns": campaigns_to_choose(asked),
        "shortcuts": _shortcuts(asked, now),
        "nobody": NOBODY,
    }
    if asked.scope is not None:
        try:
            with report.at_most(SECONDS):
                context |= _figures(asked, asked.scope, _may_see_rows(request, asked.scope))
        except TooSlow:
            context["is_too_slow"] = True
    return pages.show(request, "reporting/report.html", title="Report", **context)


@pages.staff_page(Ability.FIGURES)
@require_safe
def report_csv(request: HttpRequest) -> HttpResponse:
    """All lines of the table that is shown, as a file for a spreadsheet."""
    asked = read(request.GET, request.user, Ability.FIGURES, clock.now())
    if asked.scope is None:
        return HttpResponseRedirect(f"{reverse('report')}?{request.GET.urlencode()}")
    try:
        with report.at_most(SECONDS):
            table = report.table(asked.scope, asked.group, limit=EVERYTHING)
            names = names_of(asked, table)
    except TooSlow:
        return HttpResponseRedirect(f"{reverse('report')}?{request.GET.urlencode()}")
    name = f"report-{asked.scope.first}-{asked.scope.last}.csv"
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response.write("\ufeff")  # so that spreadsheets read it as UTF-8
    csv.writer(response).writerows(_csv_rows(asked, table, names))
    return response


def _may_see_rows(request: HttpRequest, scope: Scope) -> bool:
    ids = access.brand_ids(request.user, Ability.ROWS)
    return ids is None or ids.issuperset(scope.brand_ids)


def _figures(asked: Asked, scope: Scope, may_see_rows: bool) -> dict[str, Any]:
    """Everything under the filters; the number of statements does not depend on what is found."""
    days = report.table(scope, Group.DAY, limit=LONGEST)
    after = (asked.page - 1) * PAGE
    if asked.group == Group.DAY:
        table = Table(days.total, days.lines[after : after + PAGE], days.many)
    else:
        table = report.table(scope, asked.group, after=after, limit=PAGE)
    names = names_of(asked, table)
    first, last, uncounted = report.counted(scope)
    zone = _zone(asked, scope)
    links = Links(asked, may_see_rows)
    return {
        "key_titles": KEY_TITLES[asked.group],
        "title_of_table": f"By {dict(GROUPS)[asked.group].lower()}",
        "columns": [Column(what, *TITLES[what]) for what in What],
        "lines": [(names.labels(line), links.cells(line)) for line in table.lines],
        "total": links.cells(table.total),
        "tiles": tiles(links, table.total),
        "is_empty": not any(table.total.of(what) for what in What),
        "many": table.many,
        "pages": _pages(asked, table.many),
        "chart": chart(scope, days),
        "counted_from": first and moment_label(first, zone),
        "counted_to": last and moment_label(last, zone),
        "uncounted": uncounted,
        "file": f"{reverse('report-csv')}?{asked.address()}",
        **reasons(links, scope),
    }


def _pages(asked: Asked, many: int) -> dict[str, Any]:
    last = max(1, -(-many // PAGE))
    page = asked.page
    return {
        "first": (page - 1) * PAGE + 1,
        "last": min(page * PAGE, many),
        "before": f"?{asked.address(page=page - 1)}" if page > 1 else "",
        "after": f"?{asked.address(page=page + 1)}" if page < last else "",
    }


def _shortcuts(asked: Asked, now: datetime) -> list[tuple[str, str, bool]]:
    """Usual spans of days: their name, address, and whether it is the one shown."""
    zones = {brand.zone for brand in asked.brands.values()} or {"UTC"}
    today = max(now.astimezone(ZoneInfo(zone)).date() for zone in zones)
    month = today.replace(day=1)
    spans: Sequence[tuple[str, date, date]] = (
        ("Today", today, today),
        ("7 days", today - timedelta(days=6), today),
        ("30 days", today - timedelta(days=29), today),
        ("This month", month, today),
        ("Last month", (month - timedelta(days=1)).replace(day=1), month - timedelta(days=1)),
    )
    shown = (asked.scope.first, asked.scope.last) if asked.scope else None
    return [
        (name, f"?{asked.address(first=first, last=last)}", shown == (first, last))
        for name, first, last in spans
    ]


def _groups(asked: Asked) -> list[tuple[str, str, bool]]:
    """What a line may stand for: its name, address, and whether it is the one shown."""
    return [(name, f"?{asked.address(group=one)}", one == asked.group) for one, name in GROUPS]


def _zone(asked: Asked, scope: Scope) -> ZoneInfo:
    """The zone of the brands shown, if they share one."""
    zones = {asked.brands[pk].zone for pk in scope.brand_ids}
    return ZoneInfo(zones.pop() if len(zones) == 1 else "UTC")


def _csv_rows(asked: Asked, table: Table, names: Names) -> Iterator[list[object]]:
    keys = KEY_TITLES[asked.group]
    rates = ["Delivered of sent, %", "Opt-outs for 100 delivered"]
    yield [*keys, *(TITLES[what][0] for what in What), *rates]
    for line in table.lines:
        yield [*map(safe, names.labels(line)), *_csv_numbers(line)]
    yield ["Total", *[""] * (len(keys) - 1), *_csv_numbers(table.total)]


def _csv_numbers(line: Line) -> list[object]:
    rates = (line.delivery_rate, line.stop_rate)
    return [
        *(line.of(what) for what in What),
        *("" if rate is None else f"{rate:.2f}" for rate in rates),
    ]
