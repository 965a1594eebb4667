"""Single messages: a text of its own to one person, with its place in the queue.

So far these are the tests that staff send to their own phones and mailboxes. Whether one leaves is
not decided here: the walk takes it like any other message, by the steps of its kind of sending.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from brands import clock
from brands.models import Brand
from campaigns import sizing
from campaigns.models import Campaign
from campaigns.rendering import PLACEHOLDER, Mail, MissingValue, framed
from campaigns.starting import CannotStart, route_of, version_of
from compliance.models import ConsentEvent
from compliance.phones import Phone
from delivery import routing, sql
from delivery.models import Message, SingleText
from leads.intake import GaveUp, Intake, Result, Taken
from leads.models import Lead
from leads.rows import LeadRow
from providers import segments
from providers.models import Channel, Route

LIVES = timedelta(minutes=10)
TESTS_AN_HOUR = 20  # of a member of staff
TO_ONE_PHONE = 10  # an hour, of all staff together
TRIES = 3
SOURCE = "staff test"
# Classes of advisory locks; the second key is the user's id and the person's.
_ASKING, _ASKED = 0x5445_5355, 0x5445_5350

LOCK = "SELECT pg_advisory_xact_lock(%s, (%s %% 2147483647)::int)"

STICKY = """
SELECT s.number_id FROM delivery_sticky s JOIN leads_lead l ON l.person_id = s.person_id
WHERE l.id = %s AND s.brand_id = l.brand_id
"""

# Planned means exactly one queue row: all three rows stand or fall together.
PLAN = """
WITH planned AS (
    INSERT INTO delivery_message (brand_id, lead_id, person_id, kind, status, idempotency_key,
                                  expires_at)
    SELECT brand_id, id, person_id, 'single', 'planned', %(key)s, sendonce_now() + %(lives)s
    FROM leads_lead WHERE id = %(lead)s
    ON CONFLICT (brand_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, brand_id, person_id, expires_at
), said AS (
    INSERT INTO delivery_singletext (message_id, channel, subject, text, html, values, destination,
                                     is_test, to_a_lead, consent_id, route_id, asked_by_id)
    SELECT id, %(channel)s, %(subject)s, %(text)s, %(html)s, %(values)s::jsonb, %(destination)s,
           true,
           EXISTS (SELECT 1 FROM leads_lead l JOIN leads_listentry e ON e.lead_id = l.id
                   WHERE l.person_id = planned.person_id),
           %(consent)s, %(route)s, %(asked_by)s
    FROM planned
)
INSERT INTO delivery_due (message_id, brand_id, lane_id, queue, segments, priority, not_before,
                          expires_at, tries, strikes, crashes, reason)
SELECT id, brand_id, %(lane)s, -brand_id, %(segments)s, 0, sendonce_now(), expires_at, 0, 0, 0, ''
FROM planned
"""


class Mailbox(NamedTuple):
    """An e-mail address as `leads.rows.read_email` reads it."""

    email: str


Recipient: TypeAlias = Phone | Mailbox
Plan: TypeAlias = Callable[[Lead, int | None], None]  # for the lead, by the consent if there is one


class CannotTest(Exception):
    """Why no test can be sent, in a sentence that says what to do. `field` is what is at fault:
    phone or email, text, route, or value_ and a name of the text.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class _KnownByNow(Exception):
    """Somebody else took in the phone's owner meanwhile."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What the phone or the mailbox will show, but for the code at the end of its links.

    `mail` is all that an e-mail says; its HTML is fit for a frame.
    """

    text: str
    segments: int
    mail: Mail | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """A {name} of a text that a person's own value replaces; `fall_back` is None without one."""

    name: str
    fall_back: str | None


def agreement(brand: Brand, channel: str = Channel.SMS) -> str:
    """What whoever asks for a test agrees to; kept as the wording of their consent."""
    if channel == Channel.EMAIL:
        return f"This is my own e-mail address, and I agree to get test messages of {brand} there."
    return f"This is my own phone, and I agree to get test messages of {brand.name} on it."


def words_of(campaign: Campaign) -> Mail:
    """What the campaign says as of now; of a text message the text alone. Raises CannotTest."""
    if campaign.retired_at or campaign.brand.retired_at:
        raise CannotTest("text", "This campaign is retired; nothing of it is sent any more.")
    try:
        return version_of(campaign).mail
    except CannotStart as error:
        raise CannotTest("text", str(error)) from error


def names_in(words: Mail) -> list[Name]:
    """The names that want a value, in the order of the words; one without a fall-back wins."""
    found: dict[str, str | None] = {}
    for match in PLACEHOLDER.finditer("\n".join(words)):
        name, fall_back = match[1], match[2]
        if name in sizing.FROM_LEAD:
            found[name] = None if name in found and found[name] is None else fall_back
    return [Name(name, fall_back) for name, fall_back in found.items()]


def preview(campaign: Campaign, words: Mail, values: Mapping[str, str]) -> Preview:
    """The very words. Raises CannotTest where they cannot be filled in."""
    try:
        if campaign.channel == Channel.EMAIL:
            mail = sizing.said_by_mail(words, values, campaign.brand)
            return Preview(mail.text, 1, mail._replace(html=framed(mail.html)))
        said = sizing.said(words.text, values, campaign.brand)
    except MissingValue as error:
        raise CannotTest(f"value_{error}", "The text needs a value here.") from error
    return Preview(said, segments.count(said).parts)


def route_problem(campaign: Campaign) -> str:
    """Why no number could send it now; "" when one can."""
    try:
        _route_and_lanes(campaign)
    except CannotTest as error:
        return str(error)
    return ""


def last_address(user: AbstractBaseUser, channel: str = Channel.SMS) -> str:
    """Where this member of staff sent a test of the channel to last; "" before the first."""
    tests = SingleText.objects.filter(asked_by=user.pk, is_test=True, channel=channel)
    column = "email" if channel == Channel.EMAIL else "phone"
    addresses = tests.order_by("-message_id").values_list(f"message__person__{column}", flat=True)
    return addresses.first() or ""


def send_test(
    campaign: Campaign,
    *,
    to: Recipient,
    values: Mapping[str, str],
    asked_by: AbstractBaseUser,
    idempotency_key: str,
) -> Message:
    """Plan a test to the member of staff's own phone, who agreed to it (`agreement`); that of an
    e-mail to their mailbox.

    The same key with the same address and values plans it once and returns it again. Raises
    CannotTest.
    """
    said = words_of(campaign)
    size = preview(campaign, said, values).segments
    key = _key(idempotency_key, asked_by, _address(to), campaign, values)
    made = Message.objects.filter(brand=campaign.brand_id, idempotency_key=key)
    if before := made.first():
        return before
    route, lanes = _route_and_lanes(campaign)
    words = {
        "key": key,
        "channel": campaign.channel,
        **said._asdict(),
        "values": sql.json(dict(values)),
        "destination": campaign.destination,
        "route": route.pk,
        "segments": size,
    }
    return plan_test(
        campaign.brand,
        to,
        words,
        asked_by=asked_by,
        lane_for=lambda lead: _lane_for(lead, route, lanes),
    )


def plan_test(
    brand: Brand,
    to: Recipient,
    words: Mapping[str, object],
    *,
    asked_by: AbstractBaseUser | None,
    lane_for: Callable[[int], int],
) -> Message:
    """Plan what `words` say, with their route and key; `lane_for` names the number for a lead.

    `to` is a mailbox where their channel is e-mail. Nobody asked but a command where `asked_by` is
    None. Raises CannotTest.
    """
    channel = str(words["channel"])
    made = Message.objects.filter(brand=brand, idempotency_key=words["key"])
    wanted = {**words, "lives": LIVES, "asked_by": asked_by and asked_by.pk}

    def plan(lead: Lead, consent_id: int | None) -> None:
        _take_turns(asked_by, lead.person_id)
        if made.exists():
            return
        _refuse_too_many(asked_by, lead.person_id, to)
        lane = lane_for(lead.pk)
        own = {"lane": lane, "consent": consent_id or _agree(lead, brand, channel)}
        sql.count_named(PLAN, {**wanted, "lead": lead.pk, **own})

    _for_the_lead(brand, channel, to, plan=plan)
    return made.get()


def _address(to: Recipient) -> str:
    return to.email if isinstance(to, Mailbox) else to.e164


def _field(to: Recipient) -> str:
    return "email" if isinstance(to, Mailbox) else "phone"


def _key(
    token: str,
    asked_by: AbstractBaseUser,
    address: str,
    campaign: Campaign,
    values: Mapping[str, str],
) -> str:
    """Apart from the keys of others; what was changed before it was sent again is another test."""
    said = sql.json([token, address, campaign.pk, sorted(values.items())])
    digest = hashlib.blake2b(said.encode(), digest_size=24).hexdigest()
    return f"test:{asked_by.pk}:{digest}"


def _take_turns(asked_by: AbstractBaseUser | None, person_id: int) -> None:
    """Until the transaction ends nobody else plans for this user, or to this person."""
    if asked_by is not None:
        sql.rows(LOCK, _ASKING, asked_by.pk)
    sql.rows(LOCK, _ASKED, person_id)


def _refuse_too_many(asked_by: AbstractBaseUser | None, person_id: int, to: Recipient) -> None:
    """Counts what others committed: only after `_take_turns`."""
    since = clock.now() - timedelta(hours=1)
    lately = SingleText.objects.filter(is_test=True, message__created_at__gt=since)
    if asked_by and lately.filter(asked_by=asked_by.pk).count() >= TESTS_AN_HOUR:
        words = f"You sent {TESTS_AN_HOUR} tests within an hour; that is the most. Wait a bit."
        raise CannotTest(_field(to), words)
    if lately.filter(message__person=person_id).count() >= TO_ONE_PHONE:
        which = "mailbox" if isinstance(to, Mailbox) else "phone"
        words = f"This {which} got {TO_ONE_PHONE} tests within an hour; that is the most."
        raise CannotTest(_field(to), f"{words} Wait a bit.")


def _route_and_lanes(campaign: Campaign) -> tuple[Route, Sequence[routing.Lane]]:
    """The numbers that planning would spread over, without those that rest."""
    try:
        route = route_of(campaign)
    except CannotStart as error:
        raise CannotTest("route", str(error)) from error
    lanes = routing.candidates(routing.lanes_of([route.pk], now=clock.now())[route.pk])
    usable = [lane for lane in lanes if lane.is_usable and lane.weight]
    if not usable:
        raise CannotTest(
            "route", f"Route: no number of {route.name} can send now; resume one, or wait a bit."
        )
    return route, usable


def _lane_for(lead_id: int, route: Route, lanes: Sequence[routing.Lane]) -> int:
    """The number the person hears the brand from, if the route keeps it, else one by weight."""
    for (number_id,) in sql.rows(STICKY, lead_id) if route.keeps_number else ():
        if any(lane.number_id == number_id for lane in lanes):
            return int(number_id)
    chosen = routing.choose_again(lanes, (), ())
    assert chosen is not None  # noqa: S101 - there are usable ones, each with a weight
    return chosen


def _for_the_lead(brand: Brand, channel: str, to: Recipient, *, plan: Plan) -> None:
    """Plan for the brand's lead with this address, in one transaction; a new one gets a lead.

    The lead keeps the consent that campaigns rest on, or has none: to agree to tests is less.
    """
    for _ in range(TRIES):
        column = "email" if isinstance(to, Mailbox) else "phone"
        known = Lead.objects.filter(brand=brand, **{f"person__{column}": _address(to)})
        lead = known.exclude(status=Lead.Status.ERASED).first()
        try:
            if lead is None:
                _take_in(brand, channel, to, plan)
            else:
                with transaction.atomic():
                    plan(lead, None)
            return
        except (_KnownByNow, GaveUp):
            continue
    raise CannotTest(_field(to), "Others are taking in this person; try again.")


def _take_in(brand: Brand, channel: str, to: Recipient, plan: Plan) -> None:
    def also(results: Sequence[Result]) -> None:
        (result,) = results
        if not isinstance(result, Taken):
            raise CannotTest(_field(to), result.message)
        if not result.is_new:
            raise _KnownByNow
        lead = Lead.objects.get(pk=result.lead_id)
        Lead.objects.filter(pk=lead.pk).update(consent=None)
        plan(lead, lead.consent_id)

    intake = Intake(brand_id=brand.pk, list_id=None, method=ConsentEvent.Method.WEB)
    intake.take_in([_row(to, clock.now(), agreement(brand, channel))], also)


def _agree(lead: Lead, brand: Brand, channel: str) -> int:
    """Put the consent to a test on record, beside whatever the lead has."""
    event = ConsentEvent.objects.create(
        person_id=lead.person_id,
        brand=brand,
        channel=channel,
        method=ConsentEvent.Method.WEB,
        agreed_at=clock.now(),
        wording=agreement(brand, channel),
    )
    return event.pk


def _row(to: Recipient, agreed_at: datetime, wording: str) -> LeadRow:
    return LeadRow(
        phone=None if isinstance(to, Mailbox) else to.e164,
        email=to.email if isinstance(to, Mailbox) else None,
        first_name="",
        last_name="",
        city="",
        state="",
        zip_code="",
        consent_at=agreed_at,
        consent_wording=wording,
        consent_url="",
        external_ref="",
        source=SOURCE,
        fields={},
    )
