"""Sending in the usual way, one job for one message: what our delivery is compared with.

It does the same work on the same rows, and as well as that way can: objects and row locks, the
intent committed before the request, `requests` with a connection that it keeps, as the provider's
own package does it, no second try. It is written to be quick, not to lose: nothing is asked twice.
"""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from redis import Redis
from requests import RequestException, Session

from brands import clock
from brands.models import Brand, Installation
from campaigns.models import Slot
from campaigns.rendering import fill_in
from compliance.hours import SendingHours
from compliance.models import Person, Rejoin
from delivery.allowances import PersonLimits, cap_keys
from delivery.models import Attempt, CapCounter, Inbound, Message, Outcome, Sticky
from delivery.states import Reason, Status
from delivery.steps import hash_of_words
from leads.models import Lead
from links.codes import link_url, new_code
from links.models import ShortLink
from providers import segments
from providers.base import REQUEST_SECONDS
from providers.models import ProviderAccount, RouteNumber, SenderNumber
from providers.webhook_urls import status_url

RECENT = timedelta(days=8)
LONGEST_VALIDITY = 36_000


class NotNow(Exception):
    """The message may go later: the job fails, and nothing tries it again here."""


class Refused(Exception):
    """Our rules say no to this message; the argument is the reason."""


def send_one(message_id: int) -> None:
    """The job. Raises NotNow."""
    attempt = intend(message_id)
    if attempt is not None:
        record(attempt, hand_over(attempt))


def intend(message_id: int) -> Attempt | None:
    """Check, render and commit the intent; None where our rules refused it. Raises NotNow."""
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(of=("self",), no_key=True)
            .select_related("brand", "campaign", "lead__places", "slot__template_version")
            .get(pk=message_id, status=Status.PLANNED)
        )
        message.person = Person.objects.select_for_update(no_key=True).get(pk=message.person_id)
        assert message.lead is not None  # noqa: S101 - a campaign's message is complete
        assert message.slot is not None  # noqa: S101
        try:
            return _write(message, message.lead, message.slot, message.person)
        except Refused as refusal:
            message.status, message.reason = Status.REFUSED, str(refusal)
            message.save(update_fields=["status", "reason"])
            return None


def _write(message: Message, lead: Lead, slot: Slot, person: Person) -> Attempt:
    now, brand, installation = now_here(), message.brand, Installation.objects.get()
    _check_pauses(installation, message, now)
    _check_person(person, lead, brand)
    _check_hours(brand, lead, now)
    recent = _check_limits(installation, person, message, now)
    number = _number_for(person, brand, slot)
    _take_token(number)
    link = ShortLink.objects.create(
        code=new_code(), brand=brand, destination=message.campaign.destination
    )
    text, words = _render(slot, lead, brand, link)
    if [words, str(slot.local_date)] in [entry[2:4] for entry in recent]:
        raise Refused(Reason.SAME_WORDS)
    attempt = Attempt.objects.create(
        message=message,
        account=number.account,
        number=number,
        sender=sender(),
        ref=secrets.token_urlsafe(16),
        text=text,
        segments=segments.count(text).parts,
        brand_day=now.astimezone(ZoneInfo(brand.zone)).date(),
        intent_at=now,
    )
    person.recent = [*recent, [now.timestamp(), message.pk, words, str(slot.local_date)]]
    person.last_message_at = now
    person.save(update_fields=["recent", "last_message_at"])
    message.status, message.link = Status.SENDING, link
    message.save(update_fields=["status", "link"])
    _count(message, attempt)
    return attempt


# --- may it go? -----------------------------------------------------------------------------------


def _check_pauses(installation: Installation, message: Message, now: datetime) -> None:
    if installation.stopped_at or message.brand.paused_at or message.campaign.paused_at:
        raise NotNow
    if message.expires_at <= now:
        raise Refused(Reason.NO_CAPACITY)


def _check_person(person: Person, lead: Lead, brand: Brand) -> None:
    if person.opted_out_at is not None:
        since = Rejoin.objects.filter(person=person, brand=brand)
        if not since.filter(after_event_id__gte=person.opt_out_event_id).exists():
            raise Refused(Reason.OPTED_OUT)
    if person.held_at or Inbound.objects.filter(person=person, applied_at=None).exists():
        raise NotNow
    if lead.consent_id is None:
        raise Refused(Reason.NO_CONSENT)
    if person.undeliverable_at or lead.status != Lead.Status.ACTIVE:
        raise Refused(Reason.UNDELIVERABLE)


def _check_hours(brand: Brand, lead: Lead, now: datetime) -> None:
    if lead.places is None:
        raise Refused(Reason.NO_PLACE)
    hours = SendingHours(brand.opens, brand.closes, brand.sunday_opens)
    if not hours.is_open(now, lead.places.zones):
        raise NotNow


def _check_limits(
    installation: Installation, person: Person, message: Message, now: datetime
) -> list[list[object]]:
    """What the person got lately. Raises NotNow when that is enough."""
    limits = PersonLimits(
        installation.persons_per_day,
        installation.persons_per_week,
        timedelta(minutes=installation.person_gap_minutes),
    )
    oldest = (now - RECENT).timestamp()
    recent = [entry for entry in person.recent if entry[0] > oldest]
    if limits.allowed_at(recent, message.pk) > now.timestamp():
        raise NotNow
    return recent


def _take_token(number: SenderNumber) -> None:
    """A count of the number's second, in Redis. Raises NotNow when the second is full."""
    key = f"usual:{number.pk}:{int(datetime.now(UTC).timestamp())}"
    pipeline = redis().pipeline()
    pipeline.incr(key)
    pipeline.expire(key, 5)
    if pipeline.execute()[0] > number.segments_per_second:
        raise NotNow


def _count(message: Message, attempt: Attempt) -> None:
    """One more on the caps; last, for every job of the brand waits for these rows."""
    caps = (message.brand.daily_cap, message.campaign.daily_cap)
    keys = cap_keys(message.brand_id, message.campaign_id, attempt.brand_day)
    for key, cap in zip(keys, caps, strict=True):
        counter, _ = CapCounter.objects.select_for_update(no_key=True).get_or_create(key=key)
        if cap is not None and counter.used >= cap:
            raise NotNow
        counter.used += 1
        counter.save(update_fields=["used"])


# --- what, and from where -------------------------------------------------------------------------


def _number_for(person: Person, brand: Brand, slot: Slot) -> SenderNumber:
    """The number that the person knows, or else any of the route, known from then on."""
    number: SenderNumber
    known = Sticky.objects.filter(person=person, brand=brand).select_related("number__account")
    if (sticky := known.first()) is not None:
        number = sticky.number
    else:
        route = RouteNumber.objects.filter(route_id=slot.route_id or 0)
        numbers = route.select_related("number__account")
        number = random.choice(list(numbers)).number  # noqa: S311 - rotation, not secrecy
        Sticky.objects.create(person=person, brand=brand, number=number)
    return number


def _render(slot: Slot, lead: Lead, brand: Brand, link: ShortLink) -> tuple[str, str]:
    """The text, and the hash of its words."""
    assert slot.template_version is not None  # noqa: S101 - an open slot is pinned
    url = link_url(brand.short_domain, link.code, scheme=settings.SHORT_LINK_SCHEME)
    values = {
        "first_name": lead.first_name,
        "last_name": lead.last_name,
        "city": lead.city,
        "state": lead.state,
        "zip_code": lead.zip_code,
        "brand": brand.name,
        "link": url,
    }
    words = fill_in(slot.template_version.text, values).strip()
    return f"{words} {brand.opt_out_line}", hash_of_words(words, url, brand.opt_out_line)


# --- the request, and what came of it -------------------------------------------------------------


def hand_over(attempt: Attempt) -> str:
    """Their id of the message; empty where there was no answer that tells it."""
    account: ProviderAccount = attempt.account
    address, auth = address_of(account)
    left = attempt.message.expires_at - attempt.intent_at
    form = {
        "To": attempt.message.person.phone,
        "From": attempt.number.value,
        "Body": attempt.text,
        "StatusCallback": status_url(account.access(), account.pk, attempt.ref),
        "ValidityPeriod": min(int(left.total_seconds()), LONGEST_VALIDITY),
    }
    try:
        answer = session().post(address, data=form, auth=auth, timeout=REQUEST_SECONDS)
        answer.raise_for_status()
        return str(answer.json()["sid"])
    except (RequestException, KeyError):  # an answer that is no JSON is one of the former
        return ""


def record(attempt: Attempt, provider_ref: str) -> None:
    with transaction.atomic():
        attempt.outcome = Outcome.ACCEPTED if provider_ref else Outcome.UNKNOWN
        attempt.provider_refs = [provider_ref] if provider_ref else []
        attempt.answered_at = now_here()
        attempt.save(update_fields=["outcome", "provider_refs", "answered_at"])
        message = attempt.message
        message.status = Status.ACCEPTED if provider_ref else Status.UNKNOWN
        message.save(update_fields=["status"])


# --- kept by each process -------------------------------------------------------------------------


def address_of(account: ProviderAccount) -> tuple[str, tuple[str, str]]:
    """Where an account's messages are posted, and with which credentials."""
    return _address(account.base_url, bytes(account.sealed_credentials), account.kind)


@lru_cache(maxsize=16)
def _address(base_url: str, sealed: bytes, kind: str) -> tuple[str, tuple[str, str]]:
    account = ProviderAccount(kind=kind, base_url=base_url, sealed_credentials=sealed)
    secret = account.access().secrets
    sid = secret["account_sid"]
    return f"{base_url}/2010-04-01/Accounts/{sid}/Messages.json", (sid, secret["auth_token"])


@cache
def session() -> Session:
    return Session()


@cache
def redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL)


@cache
def sender() -> UUID:
    return uuid4()


def now_here() -> datetime:
    """The sandbox's time, without a query for each message."""
    return datetime.now(UTC) + _ahead()


@cache
def _ahead() -> timedelta:
    return clock.now() - datetime.now(UTC)
