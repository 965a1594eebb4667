"""The figures of the report: what each column means, and its sums by day, brand or provider.

It reads counted figures (reporting/figures.py) and slots, in a fixed number of statements; it never
reads messages. Days are local: a message's is its slot's date, a text's is
the day in its brand's zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from django.db import OperationalError, connection, transaction

from delivery.states import Status

S = Status
NOBODY = 0  # the account of messages that no provider has
QUERY_CANCELED = "57014"


class What(StrEnum):
    """The columns. Planned = refused + waiting + sent; sent = its four parts."""

    PLANNED = "planned"
    REFUSED = "refused"
    WAITING = "waiting"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    AWAITING = "awaiting"
    CLICKS = "clicks"
    STOPS = "stops"
    SUPPRESSED = "suppressed"


PARTS: Mapping[What, tuple[Status, ...]] = {
    What.REFUSED: (S.REFUSED, S.EXPIRED, S.CANCELLED, S.DEAD),
    What.WAITING: (S.PLANNED,),
    What.DELIVERED: (S.DELIVERED,),
    What.FAILED: (S.REJECTED, S.UNDELIVERED, S.FAILED),
    What.UNKNOWN: (S.UNKNOWN, S.NOT_FOUND, S.NO_REPORT),
    What.AWAITING: (S.SENDING, S.ACCEPTED, S.SENT),
}
OF_SENT = (What.DELIVERED, What.FAILED, What.UNKNOWN, What.AWAITING)


def statuses_of(what: What) -> tuple[Status, ...] | None:
    """The statuses a column counts; None for those that count whatever the status."""
    if what == What.SENT:
        return tuple(status for part in OF_SENT for status in PARTS[part])
    return PARTS.get(what)


class Group(StrEnum):
    """What a line of the table stands for."""

    DAY = "day"
    BRAND = "brand"
    PROVIDER = "provider"
    CAMPAIGN = "campaign"
    ALL = "all"


# The columns each grouping goes by, and its order after the total.
KEYS: Mapping[Group, tuple[str, ...]] = {
    Group.DAY: ("day",),
    Group.BRAND: ("brand_id",),
    Group.PROVIDER: ("account_id",),
    Group.CAMPAIGN: ("campaign_id",),
    Group.ALL: ("day", "brand_id", "account_id"),
}
ORDER: Mapping[Group, str] = {
    Group.DAY: "day DESC",
    Group.BRAND: "planned DESC, brand_id",
    Group.PROVIDER: "account_id = 0, planned DESC, account_id",
    Group.CAMPAIGN: "campaign_id = 0, planned DESC, campaign_id DESC",
    Group.ALL: "day DESC, brand_id, account_id = 0, account_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a report is about: days from first to last, both included, of these brands."""

    brand_ids: tuple[int, ...]
    first: date
    last: date
    campaign_id: int | None = None
    account_id: int | None = None  # NOBODY: what no provider has

    def arguments(self) -> dict[str, Any]:
        return {
            "brands": list(self.brand_ids),
            "first": self.first,
            "last": self.last,
            "campaign": self.campaign_id,
            "account": self.account_id,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what it stands for, None for what it goes not by, and its sums."""

    day: date | None
    brand_id: int | None
    account_id: int | None
    campaign_id: int | None
    planned: int
    refused: int
    waiting: int
    delivered: int
    failed: int
    unknown: int
    awaiting: int
    clicks: int
    stops: int
    suppressed: int

    @property
    def sent(self) -> int:
        return self.delivered + self.failed + self.unknown + self.awaiting

    @property
    def delivery_rate(self) -> float | None:
        """Delivered of those sent, in percent."""
        return 100 * self.delivered / self.sent if self.sent else None

    @property
    def stop_rate(self) -> float | None:
        """Opt-outs for each hundred delivered."""
        return 100 * self.stops / self.delivered if self.delivered else None

    def of(self, what: What) -> int:
        return int(getattr(self, what.value))


@dataclass(frozen=True, slots=True)
class Table:
    """Some lines out of `many`, and the sum of all of them."""

    total: Line
    lines: list[Line]
    many: int


# Suppressed people have no message, and opt-outs no campaign; both have lines of their own where
# the table goes by what they lack, so that every column adds up to its total.
FACTS = """
facts AS (
    SELECT f.local_date AS day, f.brand_id, coalesce(f.account_id, 0) AS account_id,
           f.campaign_id, f.status, f.messages, f.clicked, 0 AS stops, 0 AS suppressed
    FROM reporting_slotfigure f
    WHERE f.brand_id = ANY(%(brands)s) AND f.local_date BETWEEN %(first)s AND %(last)s
      AND (%(campaign)s IS NULL OR f.campaign_id = %(campaign)s)
      AND (%(account)s IS NULL OR coalesce(f.account_id, 0) = %(account)s)
    UNION ALL
    SELECT s.local_date, c.brand_id, 0, s.campaign_id, '', 0, 0, 0, e.value::int
    FROM campaigns_slot s JOIN campaigns_campaign c ON c.id = s.campaign_id,
         jsonb_each_text(s.suppressed) e
    WHERE c.brand_id = ANY(%(brands)s) AND s.local_date BETWEEN %(first)s AND %(last)s
      AND (%(campaign)s IS NULL OR s.campaign_id = %(campaign)s)
      AND (%(account)s IS NULL OR %(account)s = 0)
    UNION ALL
    SELECT t.local_date, t.brand_id, t.account_id, 0, '', 0, 0, t.texts, 0
    FROM reporting_stopfigure t
    WHERE t.brand_id = ANY(%(brands)s) AND t.local_date BETWEEN %(first)s AND %(last)s
      AND %(campaign)s IS NULL AND (%(account)s IS NULL OR t.account_id = %(account)s)
)
"""

TABLE = """
WITH {facts}, sums AS (
    SELECT {keys}, grouping({keys}) > 0 AS is_total,
           coalesce(sum(messages), 0) AS planned, {parts},
           coalesce(sum(clicked), 0) AS clicks, coalesce(sum(stops), 0) AS stops,
           coalesce(sum(suppressed), 0) AS suppressed
    FROM facts GROUP BY GROUPING SETS (({keys}), ())
), ranked AS (
    SELECT *, row_number() OVER (ORDER BY is_total DESC, {order}) - 1 AS n,
           count(*) OVER () - 1 AS many
    FROM sums
)
SELECT many, {line}, planned, {names}, clicks, stops, suppressed
FROM ranked WHERE n = 0 OR (n > %(after)s AND n <= %(after)s + %(limit)s) ORDER BY n
"""

REASONS = """
SELECT f.reason, f.status, sum(f.messages) FROM reporting_slotfigure f
WHERE f.brand_id = ANY(%(brands)s) AND f.local_date BETWEEN %(first)s AND %(last)s
  AND (%(campaign)s IS NULL OR f.campaign_id = %(campaign)s)
  AND (%(account)s IS NULL OR coalesce(f.account_id, 0) = %(account)s)
  AND f.status = ANY(%(statuses)s)
GROUP BY f.reason, f.status
"""

SUPPRESSED = """
SELECT e.key, sum(e.value::bigint)
FROM campaigns_slot s JOIN campaigns_campaign c ON c.id = s.campaign_id,
     jsonb_each_text(s.suppressed) e
WHERE c.brand_id = ANY(%(brands)s) AND s.local_date BETWEEN %(first)s AND %(last)s
  AND (%(campaign)s IS NULL OR s.campaign_id = %(campaign)s)
  AND (%(account)s IS NULL OR %(account)s = 0)
GROUP BY e.key ORDER BY 2 DESC, 1
"""

COUNTED = """
SELECT min(k.counted_at), max(k.counted_at), count(*) FILTER (WHERE k.slot_id IS NULL)
FROM campaigns_slot s JOIN campaigns_campaign c ON c.id = s.campaign_id
LEFT JOIN reporting_slotcount k ON k.slot_id = s.id
WHERE c.brand_id = ANY(%(brands)s) AND s.local_date BETWEEN %(first)s AND %(last)s
  AND s.state <> 'draft' AND (%(campaign)s IS NULL OR s.campaign_id = %(campaign)s)
"""

LIMITS = """
SELECT set_config('statement_timeout', %s, true), set_config('jit', 'off', true),
       set_config('work_mem', '64MB', true)
"""


class TooSlow(Exception):
    """The database needed longer than a page may."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """A transaction whose statements may take so long; raises TooSlow for one that takes longer."""
    try:
        with transaction.atomic():
            rows(LIMITS, [f"{int(seconds * 1000)}ms"])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
            raise
        raise TooSlow from error


def rows(statement: str, arguments: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return list(cursor.fetchall())


def table(scope: Scope, group: Group, *, after: int = 0, limit: int) -> Table:
    """The lines that follow the first `after` ones, and the total of all; one statement."""
    found = rows(_table_sql(group), {**scope.arguments(), "after": after, "limit": limit})
    (many, *total), *lines = found
    return Table(_line(total), [_line(values) for _, *values in lines], int(many))


def _line(values: Sequence[Any]) -> Line:
    return Line(*values[:4], *(int(value) for value in values[4:]))


def _table_sql(group: Group) -> str:
    """Only constants of this module are put in."""
    keys = KEYS[group]
    sums = (
        f"coalesce(sum(messages) FILTER (WHERE status IN ({_quoted(statuses)})), 0) AS {part}"
        for part, statuses in PARTS.items()
    )
    every = ("day", "brand_id", "account_id", "campaign_id")
    return TABLE.format(
        facts=FACTS,
        keys=", ".join(keys),
        parts=", ".join(sums),
        order=ORDER[group],
        line=", ".join(key if key in keys else "NULL" for key in every),
        names=", ".join(PARTS),
    )


def _quoted(statuses: Sequence[Status]) -> str:
    return ", ".join(f"'{status.value}'" for status in statuses)


def refused(scope: Scope) -> dict[tuple[str, str], int]:
    """Messages that our rules, time or a person ended, by reason and status."""
    wanted = [status.value for status in PARTS[What.REFUSED]]
    found = rows(REASONS, {**scope.arguments(), "statuses": wanted})
    return {(reason, status): int(many) for reason, status, many in found}


def suppressed(scope: Scope) -> dict[str, int]:
    """People left out before planning, by reason, the most frequent first."""
    return {reason: int(many) for reason, many in rows(SUPPRESSED, scope.arguments())}


def counted(scope: Scope) -> tuple[datetime | None, datetime | None, int]:
    """When the first and the last of the slots were counted (UTC), and how many never were."""
    ((first, last, uncounted),) = rows(COUNTED, scope.arguments())
    return first, last, int(uncounted)
