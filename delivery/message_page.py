"""The page of one message: reads its rows, by a fixed number of queries, for `explain.py` to tell.

It shows nothing that the reader may not see: whole numbers and people's words ask for PEOPLE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q, QuerySet

from brands import access, clock
from brands.access import Ability, Visitor
from brands.models import Installation
from campaigns.rendering import (
    Mail,
    MissingValue,
    fill_in,
    fill_in_mail,
    framed,
    with_unsubscribe,
)
from delivery.explain import (
    Clicks,
    Clock,
    Step,
    Told,
    because,
    is_mail,
    kind_of_sending,
    means,
    passed,
    story,
)
from delivery.mail_steps import unsubscribe_url
from delivery.models import Attempt, Due, Inbound, Message, Outcome, Strike
from delivery.replies import texts
from delivery.rows import address_of
from delivery.states import Kind, Reason, Status
from delivery.wording import REPORTS, SENDINGS, TONES
from links.codes import link_url
from links.models import Click
from providers.models import Channel
from providers.segments import Segments, count

# A message's attempts have two partial indexes and no whole one: both must be named.
EITHER_INDEX = Q(is_not_sent=False) | Q(is_not_sent=True)
MOST_REPLIES = 3
OUTCOME_TONES: Mapping[Outcome, str] = {
    Outcome.PENDING: "",
    Outcome.ACCEPTED: "good",
    Outcome.REJECTED: "bad",
    Outcome.NOT_SENT: "warn",
    Outcome.UNKNOWN: "warn",
}
NOT_SHOWN = "What it says to everybody. Your role does not show what it said to this person."
NOT_FILLED_IN = "What it says to everybody. For this person it cannot be filled in."
NEVER_SENT = "Never sent. As things stand it would say this."
UNKNOWN_YET = unsubscribe_url("…")  # its letters are drawn with each try
NAMES = ("first_name", "last_name", "city", "state", "zip_code")


@dataclass(frozen=True, slots=True)
class Words:
    """What stands in the bubble. `note` says what it is, where it is not what was sent."""

    text: str
    note: str = ""
    is_template: bool = False
    is_made: bool = False
    mail: Mail | None = None  # of an e-mail: all that it says

    @property
    def size(self) -> Segments | None:
        """None for what was never tried, whose length is not certain, and for an e-mail."""
        return count(self.text) if self.is_made and self.mail is None else None

    @property
    def html(self) -> str:
        """As a page may show it: in a frame without any rights."""
        return framed(self.mail.html) if self.mail else ""


def page_of(message_id: int, user: Visitor) -> dict[str, Any]:
    """All that the template shows. Whether the user may see the message, the caller has asked."""
    message = read(message_id)
    may_read = access.may(user, Ability.PEOPLE, message.brand_id)
    attempts = list(attempts_of(message_id))
    told = told_of(message, attempts, may_read=may_read)
    status, due = Status(message.status), told.due
    tells = told.clock.exactly
    reason = Reason(message.reason or (due.reason if due is not None else ""))
    return {
        "message": message,
        "status": status,
        "tone": "warn" if due is not None and due.reason else TONES[status],
        "means": means(message),
        "reason": reason,
        "to": access.shown(user, address_of(message), message.brand_id),
        "channel": Channel.EMAIL.label if is_mail(message) else Channel.SMS.label,
        "may_read": may_read,
        "sending": SENDINGS.get(kind_of_sending(message), "A message"),
        "words": words(message, attempts, may_read=may_read),
        "lines": [(line, tells(line.at) if line.at else "") for line in story(told)],
        "attempts": [_row(attempt, told.clock) for attempt in attempts],
        "steps": steps_of(message, due, reason),
        "link": link_of(message) if message.link else "",
        "expires": told.clock.said(message.expires_at),
    }


def attempts_of(message_id: int) -> QuerySet[Attempt]:
    rows = Attempt.objects.filter(EITHER_INDEX, message_id=message_id)
    return rows.select_related("account", "number", "mail", "lookup").order_by("id")


def read(message_id: int) -> Message:
    """The message with all it points at. Raises Message.DoesNotExist."""
    return Message.objects.select_related(
        *("brand", "campaign__lead_list", "slot__template_version", "lead__places", "person"),
        "lead__email_person",
        *("link", "inbound", "single__asked_by", "due__lane__account"),
    ).get(pk=message_id)


def told_of(message: Message, attempts: Sequence[Attempt], *, may_read: bool) -> Told:
    """Reads what is beside the message: clicks, what the person wrote, and what is stopped now."""
    due: Due | None = getattr(message, "due", None)
    single = getattr(message, "single", None)
    now = clock.now()
    return Told(
        message=message,
        now=now,
        clock=clock_of(message),
        attempts=attempts,
        due=due,
        clicks=clicks_of(message),
        replies=replies_to(message, attempts),
        in_the_way=in_the_way(message, due, now),
        asked_by=str(single.asked_by or "") if single else "",
        may_read=may_read,
    )


def clock_of(message: Message) -> Clock:
    places = message.lead.places if message.lead else None
    return Clock(tuple(places.zones) if places else (), message.brand.zone)


def clicks_of(message: Message) -> Clicks:
    if message.link_id is None:
        return Clicks()
    found = Click.objects.filter(link_id=message.link_id).aggregate(
        hits=Count("id"),
        by_people=Count("id", filter=Q(verdict=Click.Verdict.HUMAN)),
        by_machines=Count("id", filter=Q(verdict=Click.Verdict.BOT)),
        first_at=Min("at"),
    )
    return Clicks(**found)


def replies_to(message: Message, attempts: Sequence[Attempt]) -> list[Inbound]:
    """The first texts of the person to the number it left from, after it left.

    Brands share numbers, and a text is its brand's own; until it is read it is nobody's.
    """
    left = [attempt for attempt in attempts if not attempt.is_not_sent]
    if not left:
        return []
    found = Inbound.objects.filter(
        person_id=message.person_id,
        brand_id=message.brand_id,
        number_id=left[-1].number_id,
        received_at__gte=left[-1].intent_at,
    )
    return list(found.order_by("received_at")[:MOST_REPLIES])


def in_the_way(message: Message, due: Due | None, now: datetime) -> list[Reason]:
    """What is stopped or paused right now, for a message that waits."""
    if due is None:
        return []
    installation = Installation.objects.first()
    campaign, lane, account = message.campaign, due.lane, due.lane.account
    is_answer = message.kind == Kind.REPLY  # a paused brand still answers
    out_of_use = (lane.paused_at, lane.retired_at, account.paused_at, account.retired_at)
    rests = lane.rests_until is not None and lane.rests_until > now
    rests = (rests and not (is_answer and lane.rests_because)) or not account.halves
    found = {
        Reason.STOP_ALL: installation is None or installation.stopped_at is not None,
        Reason.BRAND_PAUSED: message.brand.paused_at is not None and not is_answer,
        Reason.CAMPAIGN_PAUSED: campaign is not None and campaign.paused_at is not None,
        Reason.LANE_PAUSED: any(out_of_use) or rests,
    }
    return [reason for reason, holds in found.items() if holds]


def words(message: Message, attempts: Sequence[Attempt], *, may_read: bool) -> Words:
    """What was sent, else what would be; for who may not read it, the template of all."""
    if is_mail(message):
        return mail_words(message, attempts, may_read=may_read)
    if attempts and may_read:
        return Words(attempts[-1].text, _left(attempts), is_made=True)
    template, values, leads_to = _template(message)
    if not may_read:
        return Words(template, NOT_SHOWN, is_template=True)
    brand = message.brand
    link = link_of(message) if leads_to else ""
    try:
        filled = fill_in(template, {**values, "brand": brand.name, "link": link}).strip()
    except MissingValue:
        return Words(template, NOT_FILLED_IN, is_template=True)
    if message.kind != Kind.REPLY and brand.opt_out_line not in filled:
        filled = f"{filled} {brand.opt_out_line}"
    return Words(filled, NEVER_SENT)


def _left(attempts: Sequence[Attempt]) -> str:
    left = any(not attempt.is_not_sent for attempt in attempts)
    return "" if left else "No try of it left the house."


def mail_words(message: Message, attempts: Sequence[Attempt], *, may_read: bool) -> Words:
    """The same of an e-mail, with its subject and HTML."""
    if attempts and may_read:
        last = attempts[-1]
        said = Mail(last.mail.subject, last.text, last.mail.html)
        return Words(said.text, _left(attempts), is_made=True, mail=said)
    single = getattr(message, "single", None)
    version = message.slot.template_version if message.slot else None
    source = single or version
    template = Mail(source.subject, source.text, source.html) if source else Mail("", "")
    if not may_read:
        return Words(template.text, NOT_SHOWN, is_template=True, mail=template)
    values = single.values if single else {name: getattr(message.lead, name, "") for name in NAMES}
    ours = {"brand": message.brand.name, "link": link_of(message), "unsubscribe": UNKNOWN_YET}
    try:
        filled = with_unsubscribe(fill_in_mail(template, {**values, **ours}), UNKNOWN_YET)
    except MissingValue:
        return Words(template.text, NOT_FILLED_IN, is_template=True, mail=template)
    return Words(filled.text, NEVER_SENT, mail=filled)


def link_of(message: Message) -> str:
    """As it stands in the text; "…" for the letters that are not drawn yet."""
    code = message.link.code if message.link else "…"
    return link_url(message.brand.short_domain, code, scheme=settings.SHORT_LINK_SCHEME)


def _template(message: Message) -> tuple[str, dict[str, str], str]:
    """The text with its {names}, their values, and where its link leads."""
    brand = message.brand
    if message.reply_kind:
        own = texts(stop=brand.stop_reply, help_=brand.help_reply, join=brand.join_reply)
        return own.get(message.reply_kind, ""), {}, ""
    if single := getattr(message, "single", None):
        return single.text, single.values, single.destination
    if message.slot is None or message.slot.template_version is None:
        return "", {}, ""
    values = {name: getattr(message.lead, name, "") for name in NAMES}
    destination = message.campaign.destination if message.campaign else ""
    return message.slot.template_version.text, values, destination


def steps_of(message: Message, due: Due | None, reason: Reason) -> list[Step]:
    failed = ""
    if reason == Reason.STEP_FAILED:
        campaign = Q(campaign_id=message.campaign_id) if message.campaign_id else Q(campaign=None)
        strikes = Strike.objects.filter(campaign, message_id=message.pk).order_by("-ordinal")
        failed = strikes.values_list("step", flat=True).first() or ""
    return passed(message, due, failed_step=failed)


def _row(attempt: Attempt, at: Clock) -> dict[str, Any]:
    took = attempt.answered_at - attempt.intent_at if attempt.answered_at else None
    return {
        "attempt": attempt,
        "outcome": Outcome(attempt.outcome).label,
        "tone": OUTCOME_TONES[Outcome(attempt.outcome)],
        "why": because(attempt),
        "at": at.exactly(attempt.intent_at),
        "seconds": f"{max(took.total_seconds(), 0):.1f} s" if took is not None else "",
        "report": REPORTS.get(attempt.report_status, attempt.report_status),
    }
