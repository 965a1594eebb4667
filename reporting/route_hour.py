"""How a route fares: its numbers and their shares, what accounts answered in the last hour, and why
their weights moved. It reads, by a fixed number of queries; it decides nothing and knows no page.

What an account answered is counted for all brands together. Who may not see all brands that send by
it gets shares instead of counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from brands import access
from brands.access import Ability, Visitor
from delivery import routing, sql
from delivery.routing import Lane
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber, WeightChange

HOUR = timedelta(hours=1)
BIN = timedelta(minutes=5)
BINS = HOUR // BIN
CHANGES_OF = timedelta(days=7)
MOST_CHANGES = 20
WORDS = ("accepted", "rejected", "not_sent", "throttled", "unreachable", "unknown")

TALLIES = """
SELECT account_id, date_bin('5 minutes', at, 'epoch'), sum(accepted)::bigint, sum(rejected)::bigint,
       sum(not_sent)::bigint, sum(throttled)::bigint, sum(unreachable)::bigint,
       sum(unknown)::bigint
FROM delivery_accounttally WHERE at >= %s AND account_id = ANY(%s::bigint[])
GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Sender:
    """A number of the route. `share` of what is planned now, from 0 to 1."""

    number: SenderNumber
    lane: Lane
    share: float


@dataclass(slots=True)
class AccountHour:
    """What an account answered since `begins`, in all and in spans of five minutes from then on."""

    account: ProviderAccount
    begins: datetime
    is_counted: bool  # for this visitor; else shares alone
    answers: Counter[str] = field(default_factory=Counter)
    spans: dict[datetime, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def requests(self) -> int:
        return self.answers.total()

    def share(self, word: str) -> float:
        """Of all that was answered or lost, from 0 to 1."""
        return self.answers[word] / self.requests if self.requests else 0.0

    def course(self) -> list[Counter[str]]:
        """Span by span, those in which nothing was sent too."""
        return [self.spans.get(self.begins + BIN * n, Counter()) for n in range(BINS + 1)]


def senders(route: Route, now: datetime) -> list[Sender]:
    """The numbers in the order in which they are turned to. Two queries."""
    lanes = routing.lanes_of([route.pk], now=now)[route.pk]
    rows = RouteNumber.objects.filter(route=route).select_related("number__account")
    numbers = {row.number_id: row.number for row in rows}
    first = [lane for lane in routing.candidates(lanes) if lane.is_usable and lane.weight]
    total = sum(lane.weight for lane in first)
    shares = {lane.number_id: lane.weight / total for lane in first}
    return [Sender(numbers[one.number_id], one, shares.get(one.number_id, 0.0)) for one in lanes]


def last_hour(
    accounts: Collection[ProviderAccount], user: Visitor, now: datetime
) -> list[AccountHour]:
    """The busiest first. Two queries at most."""
    begins = _bin_of(now - HOUR)
    hidden = _used_by_others([account.pk for account in accounts], user)
    hours = {
        account.pk: AccountHour(account, begins, account.pk not in hidden) for account in accounts
    }
    for account_id, at, *counts in sql.rows(TALLIES, begins, list(hours)):
        found = dict(zip(WORDS, counts, strict=True))
        hours[account_id].answers.update(found)
        hours[account_id].spans[at].update(found)
    return sorted(hours.values(), key=lambda hour: (-hour.requests, hour.account.name))


def _bin_of(at: datetime) -> datetime:
    return at - timedelta(seconds=at.timestamp() % BIN.total_seconds())


def _used_by_others(account_ids: Sequence[int], user: Visitor) -> set[int]:
    """Accounts that brands send by, of which this user sees nothing."""
    if access.may(user, Ability.OWN, None):
        return set()
    rows = RouteNumber.objects.filter(number__account__in=account_ids, route__retired_at=None)
    mine = access.brand_ids(user, Ability.FIGURES)
    if mine is not None:
        rows = rows.exclude(route__brand__in=mine)
    return set(rows.values_list("number__account", flat=True))


def changes(account_ids: Sequence[int], now: datetime) -> list[WeightChange]:
    """Why the weights of these accounts moved in the last seven days, the newest first."""
    rows = WeightChange.objects.filter(account__in=account_ids, at__gte=now - CHANGES_OF)
    return list(rows.select_related("account").order_by("-id")[:MOST_CHANGES])


def by_turn(found: Sequence[Sender]) -> Mapping[int, list[Sender]]:
    """The numbers of each turn; the next one sends only while none of those before it can."""
    turns: dict[int, list[Sender]] = defaultdict(list)
    for one in found:
        turns[one.lane.order].append(one)
    return turns
