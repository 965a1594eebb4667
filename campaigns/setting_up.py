"""Setting up a campaign: what must be true of its parts, and the one transaction that makes it.

It starts nothing. Whoever turns a form into a draft has asked `brands.access` what may be chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.dateformat import format as in_words

from brands import clock
from brands.models import Brand
from brands.zones import city
from campaigns.models import Campaign, Slot, Template
from campaigns.rendering import Mail, mail_troubles, trouble
from campaigns.versions import add_version
from compliance.hours import SendingHours, opening_instant
from leads.models import LeadList
from providers.models import Channel, Route

USUAL_TIME = time(10)
FARTHEST = timedelta(days=400)
TWICE_A_DAY = "There is a time on this day already; nobody gets the same words twice a day."
Errors = dict[str, list[ValidationError]]


@dataclass(frozen=True, slots=True)
class SlotDraft:
    """A sending: at this local time of each person, and for so many minutes."""

    local_date: date
    local_time: time
    length_minutes: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignDraft:
    """A saved template, or a new `text`. Without a `text_name` it is saved like the campaign.

    Without a route the brand's default is taken at Start. None stands where nothing was chosen or
    what was typed could not be read: such a draft has faults, and the others are found as well.
    """

    brand: Brand
    name: str
    channel: Channel = Channel.SMS
    lead_list: LeadList | None
    template: Template | None = None
    subject: str = ""
    text: str = ""
    html: str = ""
    text_name: str = ""
    destination: str = ""
    route: Route | None = None
    slots: tuple[SlotDraft | None, ...] = ()


def set_up(draft: CampaignDraft) -> Campaign:
    """The campaign with its draft slots, and its template if that is new.

    Raises ValidationError by field; those of the slots stand under `slot-<place>`.
    """
    if errors := faults(draft, clock.now()):
        raise ValidationError(errors)
    try:
        with transaction.atomic():
            return _made(draft)
    except IntegrityError as error:  # somebody else took the name meanwhile
        name = "campaign_names_are_unique" in str(error)
        words = "This name has just been taken; choose another one."
        raise ValidationError({"name" if name else "text_name": words}) from error


def _made(draft: CampaignDraft) -> Campaign:
    assert draft.lead_list is not None  # noqa: S101 - else it had faults
    campaign = Campaign.objects.create(
        brand=draft.brand,
        name=draft.name,
        channel=draft.channel,
        lead_list=draft.lead_list,
        template=draft.template or _new_template(draft),
        destination=draft.destination,
        route=draft.route,
    )
    Slot.objects.bulk_create(
        Slot(
            campaign=campaign,
            local_date=slot.local_date,
            local_time=slot.local_time,
            length_minutes=slot.length_minutes,
        )
        for slot in draft.slots
        if slot is not None
    )
    return campaign


def _new_template(draft: CampaignDraft) -> Template:
    name = draft.text_name or free_name(Template, draft.brand, draft.name)
    template = Template.objects.create(brand=draft.brand, name=name, channel=draft.channel)
    add_version(template, draft.text, subject=draft.subject, html=draft.html)
    return template


def faults(draft: CampaignDraft, now: datetime) -> Errors:
    """What speaks against the draft, by field: all of it at once."""
    errors: Errors = {}

    def add(name: str, words: str) -> None:
        if words:
            errors.setdefault(name, []).append(ValidationError(words))

    parts = {"lead_list": draft.lead_list, "template": draft.template, "route": draft.route}
    for found in (
        strangers(draft.brand.pk, **parts),
        misfits(draft.channel, draft.template, draft.route),
        _wrong_words_of(draft),
        _wrong_slots(draft, now),
    ):
        for name, words in found.items():
            add(name, words)
    if draft.lead_list is None:
        add("lead_list", "Choose the list of people to write to.")
    add("name", _taken(Campaign, draft.brand, draft.name))
    if draft.template is None and draft.text_name:
        add("text_name", _taken(Template, draft.brand, draft.text_name))
    return errors


def _wrong_words_of(draft: CampaignDraft) -> dict[str, str]:
    """What is wrong with the words, and with where their link leads; a saved text is one field."""
    mail = words_of(draft)
    wrong = wrong_words(draft.channel, mail)
    if draft.template is not None:
        wrong = {"template": next(iter(wrong.values()), "")}
    leads_to = wrong_destination(draft.brand, mail.text + mail.html, draft.destination)
    return {**wrong, "destination": leads_to}


def _wrong_slots(draft: CampaignDraft, now: datetime) -> dict[str, str]:
    """The same words reach a person once a day, so a second time on it would reach nobody."""
    if not draft.slots:
        return {"slots": "Add at least one time to send at."}
    wrong, days = {}, set()
    for place, slot in enumerate(draft.slots):
        if slot is None:
            wrong[f"slot-{place}"] = "This time cannot be read."
            continue
        again = TWICE_A_DAY if slot.local_date in days else ""
        wrong[f"slot-{place}"] = wrong_slot(draft.brand, slot, now) or again
        days.add(slot.local_date)
    return wrong


def words_of(draft: CampaignDraft) -> Mail:
    """What the campaign will say; a text message has a text alone."""
    if draft.template is None:
        return Mail(draft.subject, draft.text, draft.html)
    latest = draft.template.latest()
    return latest.mail if latest else Mail("", "")


def strangers(brand_id: int, **parts: LeadList | Template | Route | None) -> dict[str, str]:
    """A brand speaks to its own people, in its own words, over its own numbers: who is not its."""
    return {
        name: f"{part} belongs to another brand, {part.brand}."
        for name, part in parts.items()
        if part is not None and part.brand_id != brand_id
    }


def misfits(channel: str, template: Template | None, route: Route | None) -> dict[str, str]:
    """A campaign, its text and its route are of one channel: which of the parts is not, by name."""
    is_for = {
        Channel.SMS: "is for text messages, and this campaign is an e-mail",
        Channel.EMAIL: "is for e-mail, and this campaign is a text message",
    }
    return {
        name: f"{part} {is_for[Channel(part.channel)]}; choose another one."
        for name, part in (("template", template), ("route", route))
        if part is not None and part.channel != channel
    }


def wrong_words(channel: str, mail: Mail) -> dict[str, str]:
    """Why nobody could be sent these words, by part; empty if they can be filled in."""
    if channel == Channel.SMS:
        wrong = wrong_text(mail.text)
        return {"text": wrong} if wrong else {}
    found = mail_troubles(mail)
    if not mail.subject.strip():
        found["subject"] = "There is no subject yet; write what people see in their list of mail."
    if not mail.text.strip():
        found["text"] = "There is no plain text yet; write it, also beside HTML."
    return found


def wrong_text(text: str) -> str:
    """Why nobody could be sent this text; empty if it can be filled in."""
    if not text.strip():
        return "There is no text yet; write what people will read."
    return trouble(text)


def wrong_destination(brand: Brand, text: str, destination: str) -> str:
    """Why the text's {link} cannot lead there; empty if it can, or if there is no link."""
    if not destination:
        return "The text has a {link}; say where it leads." if "{link" in text else ""
    host = urlsplit(destination).hostname
    if host in brand.link_hosts:
        return ""
    hosts = ", ".join(brand.link_hosts)
    known = f"Links of {brand} may lead to {hosts}." if hosts else f"{brand} has no link hosts yet."
    return f"{host} is not among the brand's link hosts. {known}"


def hours_of(brand: Brand) -> SendingHours:
    return SendingHours(brand.opens, brand.closes, brand.sunday_opens)


def wrong_slot(brand: Brand, slot: SlotDraft, now: datetime) -> str:
    """Why nothing could be sent then; empty if it can."""
    zone = ZoneInfo(brand.zone)
    here = now.astimezone(zone)
    if slot.local_date > here.date() + FARTHEST:
        return f"This is more than {FARTHEST.days} days away; is the year right?"
    if slot.local_date < here.date() or _end(slot, zone) <= now:
        place = city(brand.zone)
        return f"This time is over in {place}, where it is {in_words(here, 'j M Y, H:i')}."
    hours = hours_of(brand).on(slot.local_date)
    day = in_words(slot.local_date, "l")
    if hours is None:
        return f"{brand} sends nothing on a {day}; choose another day."
    if not hours[0] <= slot.local_time < hours[1]:
        return f"On a {day} {brand} sends from {hours[0]:%H:%M} to {hours[1]:%H:%M}."
    return ""


def _end(slot: SlotDraft, zone: ZoneInfo) -> datetime:
    begins = opening_instant(slot.local_date, slot.local_time, zone)
    return begins + timedelta(minutes=slot.length_minutes)


def _taken(model: type[Campaign] | type[Template], brand: Brand, name: str) -> str:
    if name and model.objects.filter(brand=brand, name=name).exists():
        return f"{brand} has a {model._meta.verbose_name} of this name already; choose another one."
    return ""


def free_name(model: type[Campaign] | type[Template], brand: Brand, wanted: str) -> str:
    """The name itself, or with a number that is not taken."""
    wanted = wanted[:110]
    rows = model.objects.filter(brand=brand, name__startswith=wanted)
    taken = set(rows.values_list("name", flat=True))
    names = (wanted if n == 1 else f"{wanted} {n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def tomorrow(brand: Brand, now: datetime) -> date:
    """In the brand's own zone."""
    return now.astimezone(ZoneInfo(brand.zone)).date() + timedelta(days=1)


def usual_slot(brand: Brand, day: date) -> SlotDraft:
    """Mid-morning, or as soon as the brand may send on that day."""
    hours = hours_of(brand).on(day) or (brand.opens, brand.closes)
    fits = hours[0] <= USUAL_TIME < hours[1]
    return SlotDraft(day, USUAL_TIME if fits else hours[0])


def copy(campaign: Campaign, now: datetime) -> Campaign:
    """A draft with the same parts under a free name; its one slot is tomorrow at the same time."""
    slot = campaign.slots.order_by("local_date", "ordinal").first()
    day = tomorrow(campaign.brand, now)
    with transaction.atomic():
        made = Campaign.objects.create(
            brand=campaign.brand,
            name=free_name(Campaign, campaign.brand, f"{campaign.name} (copy)"),
            channel=campaign.channel,
            lead_list=campaign.lead_list,
            template=campaign.template,
            destination=campaign.destination,
            route=campaign.route,
            daily_cap=campaign.daily_cap,
            priority=campaign.priority,
            repeats_words=campaign.repeats_words,
        )
        usual = usual_slot(campaign.brand, day)
        Slot.objects.create(
            campaign=made,
            local_date=day,
            local_time=slot.local_time if slot else usual.local_time,
            length_minutes=slot.length_minutes if slot else usual.length_minutes,
        )
    return made
