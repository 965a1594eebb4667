"""What is well and what is not: accounts and their answers, troubles of late, replies to judge.

It counts attempts of the user's brands only, and names an account only where a route of theirs uses
it. Nothing here decides or changes anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import F, Q, Sum
from django.urls import reverse

from brands import access
from brands.access import Ability, Visitor
from campaigns.models import Campaign
from delivery.models import WebhookTally
from delivery.tallies import What
from leads.models import Import
from providers.models import Halves, ProviderAccount, SenderNumber
from reporting.live import Snapshot

FORGED_IN = timedelta(hours=3)
FAILED_IN = timedelta(days=1)
MOST = 10  # troubles of one kind

OUTCOMES = {
    "accepted": "accepted",
    "": "awaited",
    "rejected": "rejected",
    "unknown": "unknown",
    "not_sent": "not_sent",
}


@dataclass(slots=True)
class AccountPart:
    """One account: what it answered in the window, and what is wrong with it."""

    account: ProviderAccount
    answers: Counter[str] = field(default_factory=Counter)
    rate: float = 0.0
    numbers: list[SenderNumber] = field(default_factory=list)
    resting: int = 0  # of these, `away` cannot reach the provider
    away: int = 0
    paused: int = 0

    @property
    def attempts(self) -> int:
        return self.answers.total()

    @property
    def is_shut(self) -> bool:
        """Whether no number of it can send."""
        return self.account.paused_at is not None or self.resting + self.paused == len(self.numbers)

    @property
    def pill(self) -> tuple[str, str]:
        """How it stands, in a few words, and the class of their tone."""
        account, numbers = self.account, len(self.numbers)
        states = (
            (account.paused_at is not None, "Paused", "so-bad" if account.fault else "so-warn"),
            (self.is_shut, "No number can send", "so-bad"),
            (account.halves == Halves.OUT, "Out of use", "so-bad"),
            (self.resting == 1, f"1 of {numbers} numbers rests", "so-warn"),
            (self.resting > 1, f"{self.resting} of {numbers} numbers rest", "so-warn"),
            (account.halves == Halves.HALF, "Half weight", "so-warn"),
            (2 * self.answers["not_sent"] > self.attempts, "Sends most back", "so-warn"),
            (self.attempts > 0, "Answers", "so-good"),
        )
        return next(((words, tone) for holds, words, tone in states if holds), ("Idle", ""))


@dataclass(frozen=True, slots=True)
class Trouble:
    """A sentence staff may act on; `link` leads to where."""

    tone: str  # a class of pages.css: so-bad, so-warn
    words: str
    link: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replies:
    """Texts of today and what of them waits for a person; not `is_all`: at least so many."""

    texts: int
    stops: int
    to_judge: int
    is_all: bool


def accounts(user: Visitor, snapshot: Snapshot, now: datetime) -> list[AccountPart]:
    """The accounts that the user's brands send by, the busiest first. One query."""
    parts: dict[int, AccountPart] = {}
    for number in _numbers(user):
        part = parts.setdefault(number.account_id, AccountPart(number.account))
        part.numbers.append(number)
        part.paused += number.paused_at is not None
        rests = number.paused_at is None and _rests(number, now)
        part.resting += rests
        part.away += rests and not number.rests_because
    ids = access.brand_ids(user, Ability.FIGURES)
    for one in snapshot.tries:
        if one.account_id in parts and (ids is None or one.brand_id in ids):
            part = parts[one.account_id]
            part.answers[OUTCOMES[one.outcome]] += one.attempts
            part.rate += one.lately / snapshot.lately if one.outcome != "not_sent" else 0
    return sorted(parts.values(), key=lambda part: (-part.attempts, part.account.name))


def _numbers(user: Visitor) -> Iterable[SenderNumber]:
    """Those of a route of the user's brands that is in use."""
    numbers = SenderNumber.objects.filter(retired_at=None, account__retired_at=None)
    ids = access.brand_ids(user, Ability.FIGURES)
    routes = Q(routenumber__route__retired_at=None, routenumber__isnull=False)
    if ids is not None:
        routes &= Q(routenumber__route__brand__in=ids)
    return numbers.filter(routes).distinct().select_related("account").order_by("value")


def _rests(number: SenderNumber, now: datetime) -> bool:
    return number.rests_until is not None and number.rests_until > now


def troubles(user: Visitor, parts: Sequence[AccountPart], now: datetime) -> list[Trouble]:
    """What went wrong of late, the gravest first. Three queries, two for who owns not all."""
    found = [
        *_of_accounts(user, parts, now),
        *_of_campaigns(user),
        *_of_imports(user, now),
        *_of_callbacks(user, now),
    ]
    return sorted(found, key=lambda one: one.tone != "so-bad")


def _of_accounts(user: Visitor, parts: Sequence[AccountPart], now: datetime) -> Iterator[Trouble]:
    owns = access.may(user, Ability.OWN, None)
    for part in parts:
        account = part.account
        link = reverse("admin:providers_provideraccount_change", args=[account.pk]) if owns else ""
        if account.paused_at:
            said = f": the provider said {account.fault}" if account.fault else ""
            tone = "so-bad" if account.fault else "so-warn"
            yield Trouble(tone, f"Account {account.name} is paused{said}", link, account.paused_at)
            continue
        if account.halves != Halves.FULL:
            yield _of_weight(account, link)
        if part.away:
            words = f"{_many(part.away, 'number')} of {account.name} cannot reach the provider"
            yield Trouble("so-warn", f"{words} and will try again within seconds", link)
        yield from (_of_number(user, one) for one in part.numbers if one.paused_at and one.fault)
        yield from (_of_blocked(user, one) for one in part.numbers if _is_blocked(one, now))


def _is_blocked(number: SenderNumber, now: datetime) -> bool:
    is_blocked = number.rests_because == SenderNumber.Cause.BLOCKS
    return is_blocked and number.paused_at is None and _rests(number, now)


def _of_blocked(user: Visitor, number: SenderNumber) -> Trouble:
    words = f"Number {number.value} rests until {number.rests_until:%d %b, %H:%M} UTC:"
    link = _link_to(user, number)
    return Trouble("so-warn", f"{words} {number.rest_words}", link, number.rested_at)


def _link_to(user: Visitor, number: SenderNumber) -> str:
    may_look = access.may(user, Ability.ROWS, number.brand_id)
    return reverse("admin:providers_sendernumber_change", args=[number.pk]) if may_look else ""


def _of_weight(account: ProviderAccount, link: str) -> Trouble:
    if account.halves == Halves.OUT:
        words = f"Account {account.name} is out: most of its answers were lost or 5xx"
        return Trouble("so-bad", words, link, account.halves_since)
    words = f"Account {account.name} has half of its weight: answers were lost or 5xx"
    return Trouble("so-warn", words, link, account.halves_since)


def _of_number(user: Visitor, number: SenderNumber) -> Trouble:
    link = _link_to(user, number)
    words = f"Number {number.value} is paused: the provider said {number.fault}"
    return Trouble("so-bad", words, link, number.paused_at)


def _of_campaigns(user: Visitor) -> Iterator[Trouble]:
    """Campaigns that paused themselves, which says why."""
    rows = Campaign.objects.exclude(pause_reason="").exclude(paused_at=None)
    rows = access.visible(rows.filter(retired_at=None), user, Ability.FIGURES, path="brand")
    for campaign in rows.order_by("-paused_at")[:MOST]:
        link = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
        words = f"Campaign {campaign.name} paused itself: {campaign.pause_reason}"
        yield Trouble("so-bad", words, link, campaign.paused_at)


def _of_imports(user: Visitor, now: datetime) -> Iterator[Trouble]:
    rows = Import.objects.filter(state=Import.State.FAILED, finished_at__gt=now - FAILED_IN)
    rows = access.visible(rows, user, Ability.FIGURES, path="brand")
    for one in rows.order_by("-id")[:MOST]:
        link = reverse("import-progress", args=[one.pk])
        words = f"The import of {one.file_name} stopped: {one.problem or 'no reason is known'}"
        yield Trouble("so-warn", words, link, one.finished_at)


def _of_callbacks(user: Visitor, now: datetime) -> Iterator[Trouble]:
    """Forged callbacks are the whole installation's affair."""
    if not access.may(user, Ability.OWN, None):
        return
    rows = WebhookTally.objects.filter(what=What.FORGED, hour__gt=now - FORGED_IN)
    forged = rows.aggregate(many=Sum(F("count")))["many"]
    if forged:
        words = f"{_many(forged, 'callback')} with a wrong signature came in the last hours"
        yield Trouble("so-warn", words, reverse("admin:delivery_webhooktally_changelist"))


def replies(user: Visitor, snapshot: Snapshot) -> Replies:
    """What people wrote to the user's brands today."""
    ids = access.brand_ids(user, Ability.FIGURES)
    texts = [one for one in snapshot.texts if ids is None or one.brand_id in ids]
    judged = defaultdict(int, snapshot.to_judge)
    of_brands = judged if ids is None else ids
    return Replies(
        texts=sum(one.texts for one in texts),
        stops=sum(one.stops for one in texts),
        to_judge=sum(judged[brand_id] for brand_id in list(of_brands)),
        is_all=all(one.is_all for one in texts),
    )


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
