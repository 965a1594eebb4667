"""All that a brand's staff may know about one person, for the page that says why or why not.

It reads by a fixed number of queries and shows rows of the reader's brands only; that an opt-out
binds all brands is said without naming another's. The address itself is never logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q, QuerySet

from brands import access, clock
from brands.access import Ability, Visitor
from brands.models import Brand, Installation
from brands.zones import city
from campaigns.models import Slot
from compliance import phones
from compliance.models import OptOutEvent, Person, Rejoin
from delivery import absence
from delivery.absence import Absence, Suppression, suppressions
from delivery.allowances import PersonLimits
from delivery.explain import Clock, in_short, kind_of_sending, small
from delivery.facts import KEEP_RECENT
from delivery.models import Inbound, Message
from delivery.states import Reason, Status
from delivery.wording import BOUNCES, DO, LABELS, SENDINGS, TONES
from leads.models import Lead, ListEntry

MOST_MESSAGES, MOST_TEXTS, MOST_BRANDS = 20, 10, 20
BESIDE = "Somebody with the same e-mail address"
NOBODY = "Nobody with this number or address is known to your brands."


@dataclass(frozen=True, slots=True)
class Address:
    """A phone number as E.164, or an e-mail address in lower case."""

    value: str
    is_email: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Why what was typed is no address."""

    words: str


def read_address(typed: str) -> Address | Problem:
    """What was typed in any way people write a phone number, or an e-mail address."""
    text = typed.strip()
    if "@" in text:
        try:
            validate_email(text)
        except ValidationError:
            return Problem("This does not read as an e-mail address.")
        return Address(text.lower(), is_email=True)
    number = phones.parse(text)
    return Address(number.e164) if isinstance(number, phones.Phone) else Problem(number.reason)


@dataclass(frozen=True, slots=True)
class Keep:
    """Something that keeps messages from the person; `passes` where it ends by itself or by us."""

    words: str
    detail: str = ""
    passes: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the reader's brands know of the person."""

    person: Person
    leads: Sequence[Lead]
    messages: Sequence[Message]
    texts: Sequence[Inbound]
    entries: Sequence[ListEntry]
    rejoins: Mapping[int, Rejoin]


def look_up(address: Address, user: Visitor) -> Known | None:
    """None where nobody has the address, and as much where only others' brands know them."""
    column = "email" if address.is_email else "phone"
    person = Person.objects.filter(**{column: address.value}).first()
    if person is None:
        return None
    leads = _leads_of(person, user)
    messages, texts = _messages_of(person, user), _texts_of(person, user)
    sees_all = access.may(user, Ability.PEOPLE, None)
    if not (sees_all or leads or messages or texts):
        return None
    rejoins = {row.brand_id: row for row in Rejoin.objects.filter(person=person)}
    entries = absence.entries_of([lead.pk for lead in leads])
    return Known(person, leads, messages, texts, entries, rejoins)


def _leads_of(person: Person, user: Visitor) -> list[Lead]:
    rows = Lead.objects.filter(person=person).select_related(
        "brand", "places", "consent", "email_person"
    )
    return list(access.visible(rows, user, Ability.PEOPLE, path="brand").order_by("brand__name"))


def latest_messages(person_id: int) -> QuerySet[Message]:
    """By the index on the person: an order by id alone could walk through everybody's messages."""
    return Message.objects.filter(person=person_id).order_by("-created_at", "-pk")


def _messages_of(person: Person, user: Visitor) -> list[Message]:
    rows = latest_messages(person.pk).select_related(
        "brand", "campaign", "slot", "due", "single", "lead__places"
    )
    return list(access.visible(rows, user, Ability.PEOPLE, path="brand")[:MOST_MESSAGES])


def _texts_of(person: Person, user: Visitor) -> list[Inbound]:
    rows = Inbound.objects.filter(person=person).select_related("brand", "number")
    rows = access.visible(rows, user, Ability.PEOPLE, path="brand")
    return list(rows.order_by("-received_at", "-pk")[:MOST_TEXTS])


def page_of(known: Known, user: Visitor) -> dict[str, Any]:
    """All that the template shows about a person who is known."""
    now = clock.now()
    at = clock_of(known)
    return {
        "person": known.person,
        "brands": [_as_a_brand_knows(known, lead, at) for lead in known.leads],
        "strangers": _strangers(known, user),
        "keeps": keeps(known, user, at, now),
        "messages_to": [_told_shortly(message, now) for message in known.messages],
        "absences": absences(known, now),
        "texts": [_text(text, at) for text in known.texts],
        "lately": absence.LATELY.days,
    }


def clock_of(known: Known) -> Clock:
    """The person's own clock, where one of the brands knows where they are."""
    placed = next((lead for lead in known.leads if lead.places), None)
    brand = known.leads[0].brand if known.leads else None
    zones = tuple(placed.places.zones) if placed and placed.places else ()
    return Clock(zones, brand.zone if brand else "UTC")


def _as_a_brand_knows(known: Known, lead: Lead, at: Clock) -> dict[str, Any]:
    rejoin = known.rejoins.get(lead.brand_id)
    return {
        "lead": lead,
        "since": at.said(lead.created_at),
        "lists": [entry.lead_list for entry in known.entries if entry.lead_id == lead.pk],
        "consent": lead.consent,
        "rejoined": at.said(rejoin.at) if rejoin else "",
        "where": _where(lead),
    }


def _where(lead: Lead) -> str:
    if lead.places is None:
        return "Nothing tells where they are"
    if lead.places.is_assumed:
        return "Anywhere in the United States: nothing tells where they are"
    return ", ".join(sorted({city(zone) for zone in lead.places.zones}))


def _strangers(known: Known, user: Visitor) -> list[Brand]:
    """Brands of the reader that do not know the person, and so never text them."""
    mine = access.brands(user, Ability.PEOPLE).filter(retired_at=None)
    return list(mine.exclude(pk__in=[lead.brand_id for lead in known.leads])[:MOST_BRANDS])


# --- what keeps messages from them --------------------------------------------------------------


def keeps(known: Known, user: Visitor, at: Clock, now: datetime) -> list[Keep]:
    """What stands against a message now, whatever the campaign."""
    person = known.person
    found = [*_opt_outs(known, user, at), *_holds(known, at)]
    if person.undeliverable_at:
        words = f"{Reason.UNDELIVERABLE.label} for texts, since"
        found.append(Keep(f"{words} {at.said(person.undeliverable_at)}", DO[Reason.UNDELIVERABLE]))
    found += _bounces(known, at)
    if person.sunset_at:
        words = f"{Reason.SUNSET.label}, noticed {at.said(person.sunset_at)}"
        found.append(Keep(words, DO[Reason.SUNSET]))
    if not person.phone:
        found.append(Keep("Texts: there is no phone number", DO[Reason.NO_ADDRESS]))
    for lead in known.leads:
        found += _against_a_lead(lead)
    return [*found, *_limit(person, at, now)]


def _bounces(known: Known, at: Clock) -> list[Keep]:
    """Mailboxes of theirs that do not exist; a text may reach them all the same."""
    return [
        Keep(
            f"E-mail: {access.masked(one.email)} does not exist, since"
            f" {at.said(one.email_undeliverable_at)}",
            BOUNCES,
        )
        for one in (known.person, *_linked(known))
        if one.email and one.email_undeliverable_at
    ]


def _against_a_lead(lead: Lead) -> list[Keep]:
    against = [
        (lead.status != Lead.Status.ACTIVE, Reason.LEAD_INACTIVE),
        (lead.consent_id is None, Reason.NO_CONSENT),
        (lead.places_id is None, Reason.NO_PLACE),
    ]
    return [Keep(f"{one.label} ({lead.brand})", DO[one]) for holds, one in against if holds]


def _opt_outs(known: Known, user: Visitor, at: Clock) -> list[Keep]:
    everyone = [known.person, *_linked(known)]
    ids = [one.opt_out_event_id for one in everyone if one.opt_out_event_id]
    if not ids:
        return []
    events = OptOutEvent.objects.filter(pk__in=ids).select_related("brand").order_by("-pk")
    return [
        Keep(
            f"{_who_opted_out(event, known)} {at.said(event.at)}, {bound}",
            f"{_how(event, known, user)} {DO[Reason.OPTED_OUT]}",
        )
        for event in events
        if (bound := _bound(event, known))
    ]


def _linked(known: Known) -> list[Person]:
    """Whom a lead names beside: what they say about texts goes for both."""
    beside = {lead.email_person_id: lead.email_person for lead in known.leads}
    return [one for one in beside.values() if one is not None and one.pk != known.person.pk]


def _who_opted_out(event: OptOutEvent, known: Known) -> str:
    return "Opted out" if event.person_id == known.person.pk else f"{BESIDE} opted out"


def _bound(event: OptOutEvent, known: Known) -> str:
    """The brands that an opt-out binds; empty where they joined all of those again."""
    back = {
        lead.brand.name
        for lead in known.leads
        if (row := known.rejoins.get(lead.brand_id)) and row.after_event_id >= event.pk
    }
    if event.person_id != known.person.pk:
        return _only_for([one for one in _naming(known, event.person_id) if one not in back])
    but = f" but {', '.join(sorted(back))}, which they joined again" if back else ""
    return f"for all brands{but}"


def _naming(known: Known, person_id: int) -> list[str]:
    """The brands whose lead has the e-mail address of this other person: it binds no others."""
    return [lead.brand.name for lead in known.leads if lead.email_person_id == person_id]


def _only_for(brands: Sequence[str]) -> str:
    return f"only for {', '.join(brands)}, where the lead has that address" if brands else ""


def _how(event: OptOutEvent, known: Known, user: Visitor) -> str:
    told = ""
    if event.brand is not None:
        may = access.may(user, Ability.PEOPLE, event.brand_id)
        told = f" to {event.brand}" if may else " to another brand"
    note = f" ({event.note})" if event.note else ""
    if event.source == OptOutEvent.Source.INBOUND:
        said = _their_stop(event, known)
        return f"They texted “{said}”{told}{note}." if said else f"They texted so{told}{note}."
    return f"{OptOutEvent.Source(event.source).label}{told}{note}."


def _their_stop(event: OptOutEvent, known: Known) -> str:
    """The text that opted them out, if it is among those at hand: the last STOP up to the event."""
    if event.person_id != known.person.pk:
        return ""
    before = event.at + timedelta(seconds=1)
    stops = [text for text in known.texts if text.label == "stop" and text.received_at <= before]
    return stops[0].text if stops else ""


def _holds(known: Known, at: Clock) -> list[Keep]:
    found = []
    for one in (known.person, *_linked(known)):
        if one.held_at:
            why = f": {small(one.held_reason)}" if one.held_reason else ""
            of_whom = "On hold"
            if one.pk != known.person.pk:
                of_whom = f"{BESIDE} is on hold, {_only_for(_naming(known, one.pk))},"
            words = f"{of_whom} since {at.said(one.held_at)}{why}"
            found.append(Keep(words, DO[Reason.PERSON_HELD], passes=True))
    return [*found, *_being_read(known)]


def _being_read(known: Known) -> list[Keep]:
    """Texts that are not read yet hold messages of all brands. Whose words they are is not known
    before, so none is shown.
    """
    beside = {one.pk for one in _linked(known)}
    texted = Q(person_id__in={known.person.pk, *beside})
    named_by = Lead.objects.filter(email_person=known.person).values("person")
    rows = Inbound.objects.filter(texted | Q(person_id__in=named_by), applied_at=None)
    ids = set(rows.values_list("person_id", flat=True))
    found = []
    if ids - beside:
        whose = "theirs" if known.person.pk in ids else small(BESIDE)
        found.append(f"A text of {whose} is being read; nothing is sent until then")
    for person_id in sorted(ids & beside):
        bound = _only_for(_naming(known, person_id))
        found.append(f"A text of {small(BESIDE)} is being read; nothing is sent till then, {bound}")
    return [Keep(words, DO[Reason.INBOUND_WAITING], passes=True) for words in found]


def _limit(person: Person, at: Clock, now: datetime) -> list[Keep]:
    installation = Installation.objects.first()
    if installation is None:
        return []
    gap = timedelta(minutes=installation.person_gap_minutes)
    limits = PersonLimits(installation.persons_per_day, installation.persons_per_week, gap)
    oldest = (now - KEEP_RECENT).timestamp()
    recent = [tuple(entry) for entry in person.recent if entry[0] > oldest]
    allowed = limits.allowed_at(recent, message_id=0)
    if allowed <= now.timestamp():
        return []
    if allowed == float("inf"):
        return [Keep("The installation allows nobody any message", "See its settings.")]
    until = at.said(datetime.fromtimestamp(allowed, UTC))
    words = f"Had enough messages lately, all brands together: no other before {until}"
    return [Keep(words, DO[Reason.PERSON_LIMIT], passes=True)]


# --- messages, and why there are none -----------------------------------------------------------


def _told_shortly(message: Message, now: datetime) -> dict[str, Any]:
    places = message.lead.places if message.lead else None
    at = Clock(tuple(places.zones) if places else (), message.brand.zone)
    due = getattr(message, "due", None)
    status = Status(message.status)
    return {
        "message": message,
        "what": message.campaign or SENDINGS.get(kind_of_sending(message), "A message"),
        "label": status.label,
        "tone": "warn" if due is not None and due.reason else TONES[status],
        "words": in_short(message, due, at, now=now),
        "when": at.said(message.created_at),
    }


def _text(text: Inbound, at: Clock) -> tuple[Inbound, str, str]:
    return text, LABELS.get(text.label, text.label), at.said(text.received_at)


def absences(known: Known, now: datetime) -> list[Absence]:
    """Why each slot of the brands that know the person gave them no message."""
    brand_ids = {lead.brand_id for lead in known.leads}
    slots = absence.slots_without(known.person.pk, brand_ids, now)
    through = absence.progress_of(slots, known.entries)
    on_lists = {entry.lead_list_id: entry for entry in known.entries}
    found = []
    for slot in slots:
        entry = on_lists.get(slot.campaign.lead_list_id)
        so_far = through.get((slot.pk, entry.places_id or 0), 0) if entry else 0
        kept_out = _kept_out(known, slot, entry)
        found.append(absence.why_not(slot, entry, through=so_far, kept_out=kept_out, now=now))
    return found


def _kept_out(known: Known, slot: Slot, entry: ListEntry | None) -> list[Suppression]:
    if entry is None:
        return []
    rejoin = known.rejoins.get(slot.campaign.brand_id)
    after, channel = rejoin.after_event_id if rejoin else None, slot.campaign.channel
    return suppressions(known.person, entry.lead, after, channel)
