"""A check of one account: a message by it, and by no other, to the phone of whoever sets it up, or
to their mailbox where it carries e-mail.

It looks for all that would keep the message here, plans it as a test, and leaves the rest to the
walk. So that nothing leads it to another account, its route has one number of this one alone; the
route is retired, and no campaign can choose it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Q, QuerySet

from brands import clock
from brands.models import Brand, Installation
from campaigns import sizing
from campaigns.rendering import Mail, MissingValue
from compliance import phones
from delivery import singles, worker
from delivery.models import Message
from delivery.singles import Mailbox, Recipient
from leads import rows
from providers import segments
from providers.addresses import AddressRefused, allowed
from providers.base import Access, Adapter, Channel
from providers.declared import UNDEFINED
from providers.models import ProviderAccount, Route, RouteNumber, SenderNumber
from providers.registry import adapter

LONGEST_ID = 10  # digits


class CannotCheck(Exception):
    """Why nothing can be sent, in a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All that the message needs."""

    account: ProviderAccount
    access: Access
    adapter: Adapter
    number: SenderNumber
    brand: Brand
    to: Recipient

    @property
    def base_url(self) -> str:
        return self.access.base_url or self.adapter.base_url

    @property
    def address(self) -> str:
        return self.to.email if isinstance(self.to, Mailbox) else self.to.e164

    def steps(self) -> Iterator[str]:
        """What was found, a sentence each."""
        whose = "simulated" if self.access.simulated else "real"
        yield f"Account: {self.account} ({self.adapter.label}, {whose}), at {self.base_url}."
        yield f"Credentials can be read: {', '.join(sorted(self.access.secrets)) or 'none needed'}."
        what = "Sender" if isinstance(self.to, Mailbox) else "Number"
        yield f"{what}: {self.number}, for {self.brand}."
        yield from self._doubts()

    def _doubts(self) -> Iterator[str]:
        if self.access.simulated:
            return
        try:
            allowed(settings.PUBLIC_BASE_URL, simulated=False)
        except AddressRefused:
            yield (
                f"Reports cannot come back: PUBLIC_BASE_URL is {settings.PUBLIC_BASE_URL}, which"
                " no provider can reach."
            )


def ready(account: str, to: str, *, number: str = "", brand: str = "") -> Ready:
    """What a check of the account of this name or id needs. Raises CannotCheck."""
    found = _account(account)
    access, speaks = _access(found)
    recipient = _recipient(speaks, to)
    lane = _number(found, number, channel=speaks.channel)
    whose = _brand(lane, brand)
    _refuse_while_stopped(whose)
    return Ready(found, access, speaks, lane, whose, recipient)


def start(check: Ready, text: str = "") -> Message:
    """Plan the message. Raises CannotCheck, or CannotTest for the address."""
    channel = check.adapter.channel
    is_mail = channel == Channel.EMAIL
    mail = Mail(
        subject=f"Test message of {check.brand.name}" if is_mail else "",
        text=text or f"Test message of {check.brand.name}.",
    )
    words = {
        "key": f"check:{secrets.token_urlsafe(16)}",
        "channel": channel.value,
        **mail._asdict(),
        "values": "{}",
        "destination": "",
        "segments": _segments(mail, check.brand, is_mail=is_mail),
        "route": _route_by(check.number, check.brand, channel).pk,
    }
    return singles.plan_test(
        check.brand, check.to, words, asked_by=None, lane_for=lambda _: check.number.pk
    )


def _segments(mail: Mail, brand: Brand, *, is_mail: bool) -> int:
    """What it takes of the limits. Raises CannotCheck for a name that nothing fills in."""
    try:
        if is_mail:
            sizing.said_by_mail(mail, {}, brand)
            return 1
        return segments.count(sizing.said(mail.text, {}, brand)).parts
    except MissingValue as error:
        raise CannotCheck(f"--text: nothing fills in {{{error}}}; write it out.") from error


def _recipient(speaks: Adapter, to: str) -> Recipient:
    if speaks.channel == Channel.EMAIL:
        email = rows.read_email(to)
        if email is None or isinstance(email, rows.Problem):
            raise CannotCheck(f"--to {to}: {speaks.label} sends to an e-mail address; type one.")
        return Mailbox(email)
    phone = phones.parse(to)
    if isinstance(phone, phones.BadPhone):
        raise CannotCheck(f"--to {to}: {phone.reason}")
    return phone


def _account(wanted: str) -> ProviderAccount:
    accounts = ProviderAccount.objects.order_by("pk")
    found = accounts.filter(name=wanted).first()
    if found is None and wanted.isascii() and wanted.isdigit() and len(wanted) < LONGEST_ID:
        found = accounts.filter(pk=int(wanted)).first()
    if found is None:
        raise CannotCheck(f"There is no account {wanted}. There are: {_names()}.")
    if found.retired_at:
        raise CannotCheck(f"The account {found} is retired; bring it back on its page.")
    if found.paused_at:
        why = f", for the provider refused it: {found.fault}" if found.fault else ""
        raise CannotCheck(f"The account {found} is paused{why}; resume it on its page.")
    return found


def _names() -> str:
    names = ProviderAccount.objects.filter(retired_at=None).order_by("name")
    return ", ".join(names.values_list("name", flat=True)[:20]) or "none"


def _access(account: ProviderAccount) -> tuple[Access, Adapter]:
    try:
        access = account.access()
    except ImproperlyConfigured as error:
        raise CannotCheck("Type its credentials again on its page: they cannot be read.") from error
    speaks = adapter(account.kind, account.definition)
    if speaks is UNDEFINED:
        raise CannotCheck("Its definition cannot be used: correct it on its page.")
    missing = [name for name in speaks.credentials if not access.secrets.get(name)]
    wrong = [f"{name}: {problem}" for name, problem in speaks.problems(access).items()]
    if missing or wrong:
        problems = "; ".join([*(f"{name} is missing" for name in missing), *wrong])
        raise CannotCheck(f"Its credentials are not right: {problems}. Correct them on its page.")
    return access, speaks


def _number(account: ProviderAccount, value: str, *, channel: Channel) -> SenderNumber:
    is_fit = Q(kind=SenderNumber.Kind.EMAIL)
    numbers = account.numbers.filter(
        is_fit if channel == Channel.EMAIL else ~is_fit, retired_at=None
    )
    if value:
        numbers = numbers.filter(value=value)
    if not numbers.exists():
        what = f"no number {value}" if value else "no number"
        raise CannotCheck(f"The account {account} has {what}: add it on the page of numbers.")
    usable = _usable(numbers).select_related("brand").order_by("pk").first()
    if usable is None:
        why = "is paused or rests; resume it on its page, or wait a bit"
        raise CannotCheck(f"Each number of the account that could send {why}.")
    return usable


def _usable(numbers: QuerySet[SenderNumber]) -> QuerySet[SenderNumber]:
    is_awake = Q(rests_until=None) | Q(rests_until__lte=clock.now())
    return numbers.filter(is_awake, paused_at=None)


def _brand(number: SenderNumber, slug: str) -> Brand:
    if number.brand is not None and slug in ("", number.brand.slug):
        return number.brand
    if number.brand is not None:
        raise CannotCheck(f"The number {number} belongs to {number.brand}: leave --brand out.")
    brands = Brand.objects.filter(retired_at=None).order_by("slug")
    chosen = list(brands.filter(slug=slug) if slug else brands)
    if len(chosen) != 1:
        known = ", ".join(brands.values_list("slug", flat=True)[:20]) or "none yet"
        raise CannotCheck(f"The number belongs to no brand: give --brand, one of {known}.")
    return chosen[0]


def _refuse_while_stopped(brand: Brand) -> None:
    installation = Installation.objects.first()
    if installation is None:
        raise CannotCheck("There is no installation yet: run `manage.py set_up`.")
    if installation.stopped_at:
        raise CannotCheck("All sending is stopped; end the stop at the head of any page.")
    if not worker.knows_database(installation):
        raise CannotCheck("Nobody confirmed this database: run `manage.py confirm_database`.")
    if brand.retired_at or brand.paused_at:
        state = "retired" if brand.retired_at else "paused"
        raise CannotCheck(f"{brand} is {state}; change that on the page of the brand.")


def _route_by(number: SenderNumber, brand: Brand, channel: Channel) -> Route:
    """The route of checks of this account, with this number alone."""
    with transaction.atomic():
        route, _ = Route.objects.get_or_create(
            brand=brand,
            name=f"Check of account {number.account_id}",
            defaults={"retired_at": clock.now(), "channel": channel.value},
        )
        if route.is_default or not route.retired_at:
            raise CannotCheck(f"Rename the route {route} of {brand}: checks need that name.")
        route.numbers.exclude(number=number).delete()
        RouteNumber.objects.get_or_create(route=route, number=number)
    return route
