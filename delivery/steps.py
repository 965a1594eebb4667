"""The steps of a send. Which a kind of sending has, and in which order, is in `sendings.py`.

A step takes the draft of one message and the facts gathered for its batch. It returns the draft,
changed or not, to go on, or Hold or Refuse to stop. All it may know is in its arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple, TypeAlias

from campaigns.rendering import Mail, MissingValue, fill_in
from delivery.allowances import Budget, PersonLimits, cap_keys, warm_keys
from delivery.limits import Limit
from delivery.states import Kind, Reason, Status
from links.codes import link_url
from providers import segments
from providers.base import Access, SenderKind

MAX_TRIES = 5
TEST_SENDING = "test"  # the kind of sending of a test, a single message to the sender's own phone
TEST_TO_A_LEAD = "test-to-a-lead"  # and of one to a phone whose owner stands on a list
EMAIL_CAMPAIGN_SENDING = "email-campaign"
EMAIL_TEST_SENDING = "email-test"
EMAIL_TEST_TO_A_LEAD = "email-test-to-a-lead"
LINK_MARK = "\ue000"  # a private character: stands for the link until the words are hashed
RECHECK = timedelta(minutes=1)
RECHECK_PERSON = timedelta(minutes=10)
WARM_DAY = timedelta(hours=24)  # a day of a warm-up has no zone


@dataclass(frozen=True, slots=True)
class Hold:
    """Back into the queue until `until` (UTC)."""

    reason: Reason
    until: datetime


@dataclass(frozen=True, slots=True)
class Refuse:
    """The end of this message, by our rules."""

    reason: Reason
    status: Status = Status.REFUSED


class Envelope(NamedTuple):
    """What an e-mail has beside its text. `owner_id`: the person whose mailbox it goes to;
    `bounces`: that is known not to exist; `is_twin`: another lead names the same one, and its
    message of the slot goes there.
    """

    subject: str = ""
    html: str = ""
    owner_id: int | None = None
    bounces: bool = False
    is_twin: bool = False


class Draft(NamedTuple):
    """One message on its way from the queue to an intent.

    A tuple, for each step that changes something copies it: a quarter of a frozen dataclass's cost.
    """

    message_id: int
    kind: Kind
    brand_id: int
    campaign_id: int | None
    slot_id: int | None
    person_id: int
    lane_id: int
    expires_at: datetime
    tries: int
    to: str
    places_id: int | None
    opted_out: bool  # of this brand's messages, the person or whom the lead names beside
    held: bool  # the person, or whom the lead names beside
    has_consent: bool
    lead_is_active: bool
    values: Mapping[str, str]
    code: str  # of its short link, made before or offered now
    reply_kind: str = ""
    is_test: bool = False
    to_a_lead: bool = False
    carrier: str = ""
    words_hash: str = ""
    text: str = ""
    segments: int = 0
    mail: Envelope | None = None  # of an e-mail; a text message has none

    @property
    def sending(self) -> str:
        """The kind of sending, which decides the steps."""
        if self.is_test:
            return sending_of_test(to_a_lead=self.to_a_lead, is_mail=self.mail is not None)
        if self.mail is not None:
            return EMAIL_CAMPAIGN_SENDING
        return self.reply_kind or self.kind.value

    @property
    def counts(self) -> bool:
        """Whether it counts on caps and the person's limits; replies do neither."""
        return self.kind != Kind.REPLY

    @property
    def sticks(self) -> bool:
        """Whether it moves the person to its number: an e-mail sender is nobody's number."""
        return self.counts and self.mail is None


@dataclass(frozen=True, slots=True)
class BrandFacts:
    name: str
    short_domain: str
    opt_out_line: str
    is_paused: bool
    today: date
    next_day_at: datetime
    replies: Mapping[str, str] = field(default_factory=dict)  # their texts, by kind of reply


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """A slot with its campaign: what is said, where the link leads, and what holds it."""

    campaign_paused: bool
    repeats_words: bool
    destination: str
    local_date: date
    template: str
    mail: Mail | None = None  # all that an e-mail says; its text is the template, too


@dataclass(frozen=True, slots=True)
class SingleFacts:
    """What a single message says: its own text, the values of its names, where its link leads.

    `has_consent` is of a test, which rests on a consent of its own.
    """

    template: str
    destination: str
    values: Mapping[str, str]
    is_test: bool
    to_a_lead: bool = False
    has_consent: bool = False
    mail: Mail | None = None


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """A number with its account. `access` is None when its credentials cannot be read.

    `answers`: people's texts are answered by it even while it rests. A number that warms up has a
    ceiling of messages for the day of it that began at `warm_from`.
    """

    account_id: int
    value: str
    kind: str
    segments_per_second: float
    in_flight: int
    max_chars: int
    is_usable: bool
    access: Access | None
    fit: Callable[[str], str | None] = lambda text: text  # its provider's: None, it cannot be said
    answers: bool = False
    warm_ceiling: int | None = None
    warm_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """When a brand may text a set of places: next opening (UTC), and the close of that window."""

    opens_at: datetime
    closes_at: datetime


@dataclass(slots=True)
class PersonFacts:
    """A locked person. `recent` is a budget of the batch: only `take` may add to it."""

    inbound_waits: bool
    undeliverable: bool
    recent: list[tuple[float, int, str, str]]
    changed: bool = False

    def take(self, at: datetime, message_id: int, words_hash: str, slot_date: str) -> None:
        self.recent.append((at.timestamp(), message_id, words_hash, slot_date))
        self.changed = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one batch knows. Only `persons` and `budget` change, and only by `take`."""

    now: datetime
    is_stopped: bool
    limits: PersonLimits
    brands: Mapping[int, BrandFacts]
    slots: Mapping[int, SlotFacts]
    singles: Mapping[int, SingleFacts] = field(default_factory=dict)  # by message
    link_scheme: str = "https"
    lanes: Mapping[int, LaneFacts]
    persons: Mapping[int, PersonFacts]
    openings: Mapping[tuple[int, int], Opening | None]
    budget: Budget
    day_limits: Mapping[tuple[int, int], tuple[Limit, ...]] = field(default_factory=dict)

    def limits_of(self, draft: Draft) -> list[Limit]:
        """The limits a day that a message counts on, by its number, its brand and its person."""
        found = self.day_limits.get((draft.lane_id, draft.brand_id), ())
        return [limit for limit in found if limit.counts(draft.carrier)]


def sending_of_test(*, to_a_lead: bool, is_mail: bool = False) -> str:
    """The kind of sending of a test."""
    if is_mail:
        return EMAIL_TEST_TO_A_LEAD if to_a_lead else EMAIL_TEST_SENDING
    return TEST_TO_A_LEAD if to_a_lead else TEST_SENDING


Result: TypeAlias = Draft | Hold | Refuse
Step: TypeAlias = Callable[[Draft, Facts], Result]


def hold_while_stopped(draft: Draft, facts: Facts) -> Result:
    reason = Reason.NONE
    if facts.is_stopped:
        reason = Reason.STOP_ALL
    elif facts.brands[draft.brand_id].is_paused:
        reason = Reason.BRAND_PAUSED
    elif draft.slot_id is not None and facts.slots[draft.slot_id].campaign_paused:
        reason = Reason.CAMPAIGN_PAUSED
    return Hold(reason, facts.now + RECHECK) if reason else draft


def hold_while_all_is_stopped(draft: Draft, facts: Facts) -> Result:
    """A paused brand still answers; only stop-all holds an answer."""
    return Hold(Reason.STOP_ALL, facts.now + RECHECK) if facts.is_stopped else draft


def refuse_expired(draft: Draft, facts: Facts) -> Result:
    if draft.expires_at <= facts.now:
        return Refuse(Reason.NO_CAPACITY, Status.EXPIRED)
    return draft


def refuse_out_of_tries(draft: Draft, facts: Facts) -> Result:
    if draft.tries >= MAX_TRIES:
        return Refuse(Reason.OUT_OF_TRIES, Status.DEAD)
    return draft


def refuse_opted_out(draft: Draft, facts: Facts) -> Result:
    return Refuse(Reason.OPTED_OUT) if draft.opted_out else draft


def hold_for_the_person(draft: Draft, facts: Facts) -> Result:
    if facts.persons[draft.person_id].inbound_waits:
        return Hold(Reason.INBOUND_WAITING, facts.now + RECHECK)
    if draft.held:
        return Hold(Reason.PERSON_HELD, facts.now + RECHECK_PERSON)
    return draft


def refuse_without_consent(draft: Draft, facts: Facts) -> Result:
    return draft if draft.has_consent else Refuse(Reason.NO_CONSENT)


def refuse_bad_address(draft: Draft, facts: Facts) -> Result:
    if not draft.to:
        return Refuse(Reason.NO_ADDRESS)
    if facts.persons[draft.person_id].undeliverable:
        return Refuse(Reason.UNDELIVERABLE)
    return draft if draft.lead_is_active else Refuse(Reason.LEAD_INACTIVE)


def hold_in_quiet_hours(draft: Draft, facts: Facts) -> Result:
    if draft.places_id is None:
        return Refuse(Reason.NO_PLACE)
    opening = facts.openings[draft.brand_id, draft.places_id]
    if opening is None:
        return Refuse(Reason.NO_COMMON_WINDOW)
    if opening.opens_at > facts.now:
        return Hold(Reason.QUIET_HOURS, until=opening.opens_at)
    return draft


def hold_for_person_limit(draft: Draft, facts: Facts) -> Result:
    recent = facts.persons[draft.person_id].recent
    allowed = facts.limits.allowed_at(recent, draft.message_id)
    if allowed <= facts.now.timestamp():
        return draft
    wait = min(allowed - facts.now.timestamp(), 8 * 86_400.0)
    return Hold(Reason.PERSON_LIMIT, facts.now + timedelta(seconds=wait))


def fill_in_text(draft: Draft, facts: Facts) -> Result:
    """Raises KeyError for a message without a slot: only campaigns have this step."""
    slot = facts.slots[draft.slot_id or 0]
    return _filled_in(draft, facts, slot.template, draft.values, slot.destination)


def fill_in_single(draft: Draft, facts: Facts) -> Result:
    """Its own text and values. Raises KeyError for any other message."""
    single = facts.singles[draft.message_id]
    return _filled_in(draft, facts, single.template, single.values, single.destination)


def _filled_in(
    draft: Draft, facts: Facts, template: str, values: Mapping[str, str], destination: str
) -> Result:
    """The words, with a mark for the link; their hash is what a person must not get twice."""
    brand = facts.brands[draft.brand_id]
    try:
        words = fill_in(template, {**values, "brand": brand.name, "link": LINK_MARK}).strip()
    except MissingValue:
        return Refuse(Reason.CANNOT_RENDER)
    if not words or (LINK_MARK in words and not destination):
        return Refuse(Reason.CANNOT_RENDER)
    return draft._replace(
        text=words, words_hash=hash_of_words(words, LINK_MARK, brand.opt_out_line)
    )


def hash_of_words(text: str, *left_out: str) -> str:
    """What a person must not get twice: the words without the link and the opt-out line."""
    for part in filter(None, left_out):
        text = text.replace(part, "")
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=8).hexdigest()


def fill_in_reply(draft: Draft, facts: Facts) -> Result:
    """The brand's own words for this reply, or the usual ones."""
    brand = facts.brands[draft.brand_id]
    try:
        words = fill_in(brand.replies[draft.reply_kind], {"brand": brand.name}).strip()
    except MissingValue:
        return Refuse(Reason.CANNOT_RENDER)
    return draft._replace(text=words, code="") if words else Refuse(Reason.CANNOT_RENDER)


def refuse_same_words(draft: Draft, facts: Facts) -> Result:
    """Raises KeyError for a message without a slot: only campaigns have this step."""
    slot = facts.slots[draft.slot_id or 0]
    if draft.mail is not None and draft.mail.is_twin:
        return Refuse(Reason.SAME_WORDS)
    if slot.repeats_words:
        return draft
    on = slot.local_date.isoformat()
    for _, owner, words, day in facts.persons[draft.person_id].recent:
        if words == draft.words_hash and day == on and owner != draft.message_id:
            return Refuse(Reason.SAME_WORDS)
    return draft


def add_link(draft: Draft, facts: Facts) -> Result:
    if LINK_MARK not in draft.text:
        return draft._replace(code="")
    domain = facts.brands[draft.brand_id].short_domain
    link = link_url(domain, draft.code, scheme=facts.link_scheme)
    return draft._replace(text=draft.text.replace(LINK_MARK, link))


def add_opt_out_line(draft: Draft, facts: Facts) -> Result:
    line = facts.brands[draft.brand_id].opt_out_line
    return draft if line in draft.text else draft._replace(text=f"{draft.text} {line}")


def refuse_unfit(draft: Draft, facts: Facts) -> Result:
    """Some providers carry few letters, and none that a person chose may be left out."""
    lane = facts.lanes.get(draft.lane_id)
    text = draft.text if lane is None else lane.fit(draft.text)
    if text is None:
        return Refuse(Reason.UNSAYABLE)
    if lane is not None and len(text) > lane.max_chars:
        return Refuse(Reason.TOO_LONG)
    return draft._replace(text=text, segments=segments.count(text).parts)


def hold_without_a_number(draft: Draft, facts: Facts) -> Result:
    """The number came with the lane; a resting one keeps its rows until routing moves them.

    No text leaves by an e-mail sender, and no e-mail by a number.
    """
    lane = facts.lanes.get(draft.lane_id)
    if lane is None or not lane.is_usable or not _carries(lane, draft):
        return Hold(Reason.LANE_PAUSED, facts.now + RECHECK)
    return draft


def _carries(lane: LaneFacts, draft: Draft) -> bool:
    return (lane.kind == SenderKind.EMAIL) == (draft.mail is not None)


def hold_without_a_number_that_answers(draft: Draft, facts: Facts) -> Result:
    """What rests from campaigns, because carriers blocked those, may still confirm a STOP."""
    lane = facts.lanes.get(draft.lane_id)
    if lane is None or not (lane.is_usable or lane.answers) or not _carries(lane, draft):
        return Hold(Reason.LANE_PAUSED, facts.now + RECHECK)
    return draft


def reserve(draft: Draft, facts: Facts) -> Result:
    """Person and caps, all or nothing. Tokens are already granted; a longer text is a debt."""
    held = hold_for_person_limit(draft, facts)
    return held if isinstance(held, Hold) else reserve_beside_the_limit(draft, facts)


def reserve_beside_the_limit(draft: Draft, facts: Facts) -> Result:
    """Caps and limits a day, and one more on the person's list, however many stand there."""
    brand = facts.brands[draft.brand_id]
    lane, limits = facts.lanes[draft.lane_id], facts.limits_of(draft)
    costs = [(limit.key, limit.cost(draft.segments)) for limit in limits]
    keys = cap_keys(draft.brand_id, draft.campaign_id, brand.today)
    warm = warm_keys(draft.lane_id, lane.warm_from)
    full = facts.budget.take((*keys, *warm), costs)
    if full is not None and full in warm:
        return Hold(Reason.WARM_UP, (lane.warm_from or facts.now) + WARM_DAY)
    if full is not None:
        for limit in limits:
            if limit.key == full:
                return Hold(reason_of(limit), limit.held_until(facts.now))
        reason = Reason.BRAND_CAP if full.startswith("brand:") else Reason.CAMPAIGN_CAP
        return Hold(reason, brand.next_day_at)
    on = facts.slots[draft.slot_id].local_date.isoformat() if draft.slot_id else ""
    facts.persons[draft.person_id].take(facts.now, draft.message_id, draft.words_hash, on)
    return draft


def reason_of(limit: Limit) -> Reason:
    """Why a message waits that finds no room in this limit."""
    if limit.carrier:
        return Reason.CARRIER_CAP
    if limit.brand_id is not None:
        return Reason.BRAND_CAP
    return Reason.ACCOUNT_CAP if limit.number_id is None else Reason.NUMBER_CAP
