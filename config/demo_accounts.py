"""The providers of a demo: six accounts of different kinds for texts, each brand's numbers on them,
and one that carries e-mail.

Of the six five send, each by its weight; the sixth stands by. All of it is simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from brands.models import Brand
from config import invented_accounts
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber

NUMBER_RATE = 500.0  # segments a second
ACCOUNT_RATE = 2600.0
IN_FLIGHT = 50  # requests at once, for each worker and account


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlan:
    """An account of the demo. `numbers` and `weight` are each brand's; lower `order` goes first."""

    name: str
    kind: str
    numbers: int = 2
    weight: int = 100  # of each number
    order: int = 0


ACCOUNTS = (
    AccountPlan(name="Twilio", kind="twilio"),
    AccountPlan(name="Plivo", kind="plivo"),
    AccountPlan(name="Sinch", kind="sinch", numbers=1, weight=200),
    AccountPlan(name="Vonage", kind="vonage"),
    # It posts at most 25 reports a second, so it gets as much as it can report in a demo.
    AccountPlan(name="SimpleTexting", kind="simpletexting", numbers=1, weight=16),
    AccountPlan(name="PineApple", kind="pineapple", numbers=1, order=1),
)
MAIL = AccountPlan(name="Mail relay", kind="smtp", numbers=1)  # one brand's alone
NAMES = tuple(plan.name for plan in (*ACCOUNTS, MAIL))
SENDING = tuple(plan.kind for plan in ACCOUNTS if not plan.order)
FAILS, THROTTLES = "Plivo", "Vonage"  # in the course of the demo

# What happens when, for who watches.
COURSE = (
    f"Five providers share each brand's texts: {', '.join(NAMES[:5])}. The sixth, {NAMES[5]},"
    " is in reserve: it would step in if none of them could send.",
    f"When a quarter of the messages has left, {THROTTLES} lets nothing through for a while: it"
    " answers 429, its messages wait, the others go on, and it comes back by itself.",
    f"When half has left, {FAILS} refuses our credentials (401): its account is paused at once, and"
    " what it refused leaves by the others. Some seconds later somebody has mended it.",
    "One brand also sends its newsletter, by a mail relay. Some of it bounces, and some readers"
    " unsubscribe; all of it lies in the pretend mailbox.",
)


def make_accounts(seed: int, simulator: str, mail_server: str) -> list[ProviderAccount]:
    """In the order of NAMES, at these two addresses of the simulator."""
    return [make_account(plan, seed, simulator, mail_server) for plan in (*ACCOUNTS, MAIL)]


def make_account(plan: AccountPlan, seed: int, simulator: str, mail_server: str) -> ProviderAccount:
    account = ProviderAccount(
        name=plan.name,
        kind=plan.kind,
        base_url=invented_accounts.base_url(plan.kind, simulator, mail_server),
        is_simulated=True,
        segments_per_second=ACCOUNT_RATE,
        in_flight=IN_FLIGHT,
        price_micros=7_900,
    )
    account.seal(invented_accounts.credentials(plan.kind, f"{seed}:{plan.name}"))
    account.save()
    return account


def make_route(brand: Brand, accounts: Sequence[ProviderAccount], *, first: int) -> None:
    """Numbers of the brand on all accounts of texts, counted from `first` on."""
    route = Route.objects.create(brand=brand, name="All numbers", is_default=True)
    places = count(first)
    for plan, account in zip(ACCOUNTS, accounts, strict=True):
        for _ in range(plan.numbers):
            kind, value = invented_accounts.sender(plan.kind, next(places))
            number = SenderNumber.objects.create(
                account=account,
                brand=brand,
                value=value,
                kind=kind,
                segments_per_second=NUMBER_RATE,
            )
            RouteNumber.objects.create(
                route=route, number=number, weight=plan.weight, order=plan.order
            )


def set_pace(segments_per_second: float) -> None:
    """How fast each number of the demo's brands may send."""
    ours = SenderNumber.objects.filter(account__name__in=NAMES)
    ours.update(segments_per_second=segments_per_second)


def point_at(simulator: str, mail_server: str) -> None:
    """Where a demo that goes on finds its providers now."""
    for plan in (*ACCOUNTS, MAIL):
        ours = ProviderAccount.objects.filter(name=plan.name)
        ours.update(base_url=invented_accounts.base_url(plan.kind, simulator, mail_server))
