"""What became of a message, in sentences: made of rows that were read already, and of nothing else.

Pure: it reads no database and no clock, and decides nothing. The words stand in `wording.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

from brands.zones import city
from compliance.hours import load_zone
from delivery.models import Attempt, Due, Inbound, Lookup, Message, Outcome, WatchEnd
from delivery.sendings import STEPS
from delivery.states import Kind, Reason, Status
from delivery.steps import EMAIL_CAMPAIGN_SENDING, refuse_expired, sending_of_test
from delivery.wording import (
    CLASSES,
    CODES,
    DO,
    FAULTS,
    LABELS,
    MAIL_MEANS,
    MEANS,
    NEVER_AGAIN,
    REPORTS,
    StepWords,
)
from delivery.wording import STEPS as STEP_WORDS
from providers import codes
from providers.models import Channel

Tone = Literal["did", "waits", "not"]
NOT_ARRIVED = frozenset({"undelivered", "failed", "rejected", "expired"})
STOPPED = (Status.REFUSED, Status.EXPIRED, Status.DEAD, Status.CANCELLED)
WENT_ROUND = frozenset(
    {Reason.THROTTLED, Reason.NOT_CONNECTED, Reason.ACCOUNT_FAULT, Reason.NOT_SENT}
)
TIME = refuse_expired.__name__
AT_PLANNING = frozenset({Reason.NO_PLACE, Reason.NO_COMMON_WINDOW, Reason.NO_ROUTE})


@dataclass(frozen=True, slots=True)
class Clock:
    """Tells times as the person's own clock shows them, or the brand's where that is not known."""

    zones: tuple[str, ...]
    brand_zone: str

    def said(self, at: datetime) -> str:
        """As in "Wed 7 Mar 2035, 12:00 in New York (17:00 UTC)"; `at` is aware."""
        zone, where = self._zone_at(at)
        local, utc = at.astimezone(zone), at.astimezone(UTC)
        far = "%H:%M" if utc.date() == local.date() else "%a %-d %b, %H:%M"
        return f"{local:%a %-d %b %Y, %H:%M} {where} ({utc:{far}} UTC)"

    def exactly(self, at: datetime) -> str:
        """The same to the second, for what happened."""
        zone, where = self._zone_at(at)
        return (
            f"{at.astimezone(zone):%a %-d %b, %H:%M:%S} {where} · {at.astimezone(UTC):%H:%M:%S} UTC"
        )

    def _zone_at(self, at: datetime) -> tuple[ZoneInfo, str]:
        known = [zone for name in self.zones if (zone := load_zone(name))]
        if known and len({at.astimezone(zone).utcoffset() for zone in known}) == 1:
            return known[0], f"in {city(known[0].key)}" if len(known) == 1 else "their time"
        return ZoneInfo(self.brand_zone), f"in {city(self.brand_zone)}"


def small(label: str) -> str:
    """A label inside a sentence."""
    return label[:1].lower() + label[1:]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, or that is so now (`at` is None)."""

    at: datetime | None
    words: str
    tone: Tone = "did"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Clicks:
    """The hits on the message's own link, those of machines too."""

    hits: int = 0
    by_people: int = 0
    by_machines: int = 0
    first_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that the story of one message is made of. `in_the_way` is what stops it right now.

    `may_read`: whether the reader may see what people write.
    """

    message: Message
    now: datetime
    clock: Clock
    attempts: Sequence[Attempt] = ()
    due: Due | None = None
    clicks: Clicks = Clicks()
    replies: Sequence[Inbound] = ()
    in_the_way: Collection[Reason] = ()
    asked_by: str = ""
    may_read: bool = False


def story(told: Told) -> list[Line]:
    """What happened, in order of time, and last how it stands."""
    happened = [_beginning(told)]
    for attempt in told.attempts:
        happened += _tried(attempt, told.clock)
    happened += _afterwards(told)
    happened.sort(key=lambda line: line.at or told.now)  # stable: of one instant, as they came
    return [*happened, *_asked_about(told), *_standing(told)]


def _beginning(told: Told) -> Line:
    message, clock = told.message, told.clock
    until = f"It may leave until {clock.said(message.expires_at)}."
    if message.kind == Kind.CAMPAIGN and message.slot is not None:
        slot = message.slot
        when = f"{slot.local_date:%a %-d %b %Y}, {slot.local_time:%H:%M}"
        return Line(message.created_at, f"Planned for {when}, the person's own time", detail=until)
    if message.kind == Kind.REPLY and message.inbound is not None:
        said = f" “{message.inbound.text}”" if told.may_read else ""
        words = f"The person texted{said}, and this is our answer"
        return Line(message.created_at, words, detail=until)
    by = told.asked_by or "a partner, through the API"
    return Line(message.created_at, f"Asked for by {by}", detail=until)


def _tried(attempt: Attempt, clock: Clock) -> Iterator[Line]:
    account = attempt.account.name
    parts = "1 segment" if attempt.segments == 1 else f"{attempt.segments} segments"
    if attempt.number.channel == Channel.EMAIL:
        parts = ""
    given = f"Given to {account}, to leave from {attempt.number}"
    yield Line(attempt.intent_at, given, "did", parts)
    at = attempt.answered_at or attempt.intent_at
    why = because(attempt)
    match attempt.outcome:
        case Outcome.ACCEPTED:
            yield Line(at, f"{account} took it")
        case Outcome.REJECTED:
            yield Line(at, f"{account} refused it{': ' if why else ''}{why}", "not")
        case Outcome.NOT_SENT:
            yield Line(at, f"It certainly did not leave{': ' if why else ''}{why}", "waits")
        case Outcome.UNKNOWN:
            yield Line(at, f"Nobody knows whether {account} took it", "waits", _unknown(why))
        case _:
            yield Line(at, "The answer is awaited", "waits")
    if attempt.report_status and attempt.reported_at:
        yield _reported(attempt)


def _asked_about(told: Told) -> Iterator[Line]:
    """What the provider says when it is asked whether it has the message."""
    for attempt in told.attempts:
        lookup: Lookup | None = getattr(attempt, "lookup", None)
        if lookup is None or not lookup.tries:
            continue
        times = "once" if lookup.tries == 1 else f"{lookup.tries} times"
        words = f"{attempt.account.name} was asked {times} whether it has it"
        again = f" Asked again {told.clock.said(lookup.next_at)}." if lookup.next_at else ""
        tone: Tone = "did" if lookup.ended_as == WatchEnd.FOUND else "waits"
        yield Line(None, words, tone, f"Its last answer: {lookup.said}.{again}")


def _unknown(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}. {NEVER_AGAIN}" if why else NEVER_AGAIN


def _reported(attempt: Attempt) -> Line:
    word = attempt.report_status
    tone: Tone = "not" if word in NOT_ARRIVED else "waits" if word == "unknown" else "did"
    said = f"{attempt.account.name} reported: {REPORTS.get(word, word)}"
    return Line(attempt.reported_at, said, tone, code_in_words(attempt, attempt.report_code))


def because(attempt: Attempt) -> str:
    """Why it was not let through, in words where there are any, with the code."""
    code = code_in_words(attempt, attempt.code)
    if code and not code.startswith("code "):
        return code
    general = FAULTS.get(attempt.fault) or CLASSES.get(attempt.error_class, "")
    return f"{general} ({code})" if general and code else general or code


def code_in_words(attempt: Attempt, code: str) -> str:
    """A code with its meaning; our own need no code beside."""
    if not code:
        return ""
    if ours := CODES.get(code):
        return ours
    theirs = codes.in_words(attempt.account.kind, code)
    return f"{theirs} (code {code})" if theirs else f"code {code}"


def _afterwards(told: Told) -> Iterator[Line]:
    """What the person did with it."""
    clicks = told.clicks
    if clicks.first_at is not None:
        yield Line(clicks.first_at, "Its link was opened for the first time", "did", _hits(clicks))
    for reply in told.replies:
        said = f"The person wrote “{reply.text}”" if told.may_read else "The person wrote back"
        yield Line(reply.received_at, said, "did", LABELS.get(reply.label, reply.label))


def _hits(clicks: Clicks) -> str:
    total = "1 hit in all" if clicks.hits == 1 else f"{clicks.hits} hits in all"
    open_ = clicks.hits - clicks.by_people - clicks.by_machines
    of_whom = (
        (clicks.by_people, "by a person"),
        (clicks.by_machines, "by machines"),
        (open_, "not judged yet"),
    )
    return ", ".join([total, *(f"{many} {whose}" for many, whose in of_whom if many)])


def _standing(told: Told) -> Iterator[Line]:
    """How it stands: what it waits for, or how it ended without being delivered."""
    message, status, reason = told.message, Status(told.message.status), Reason(told.message.reason)
    if status == Status.PLANNED:
        yield from _waiting(told)
    elif status in STOPPED:
        words = status.label if not reason else f"{status.label}: {small(reason.label)}"
        yield Line(None, words, "not", DO[reason] if reason else "")
    elif status in (Status.NO_REPORT, Status.NOT_FOUND):
        yield Line(None, status.label, "waits", means(message))
    elif message.status == Status.REJECTED:
        yield Line(None, "It is over: the person did not get it", "not", DO[Reason.REJECTED])


def _waiting(told: Told) -> Iterator[Line]:
    due, clock = told.due, told.clock
    if due is None:
        words = "It has no place in the queue: tell whoever runs Sendonce"
        yield Line(None, words, "not")
        return
    reason = Reason(due.reason)
    until = f"Its time ends {clock.said(due.expires_at)}."
    tries = f" Tried {due.tries} times so far." if due.tries > 1 else ""
    if due.not_before > told.now:
        words = "Waits" if not reason else f"Waits: {small(reason.label)}"
        to_do = f" {DO[reason]}" if reason and reason not in told.in_the_way else ""
        yield Line(
            None, f"{words}, until {clock.said(due.not_before)}", "waits", f"{until}{tries}{to_do}"
        )
    else:
        words = f" It waited before: {small(reason.label)}." if reason else ""
        yield Line(None, "It is due, and waits for its turn", "waits", f"{until}{words}{tries}")
    for one in told.in_the_way:
        yield Line(None, f"In its way right now: {small(one.label)}", "not", DO[one])


def means(message: Message) -> str:
    """What its state means, for a text message or an e-mail."""
    return (MAIL_MEANS if is_mail(message) else MEANS)[Status(message.status)]


def in_short(message: Message, due: Due | None, clock: Clock, *, now: datetime) -> str:
    """One sentence about a message, for a list of them."""
    status, reason = Status(message.status), Reason(message.reason)
    if status == Status.PLANNED and due is not None:
        if due.not_before <= now:
            return "It is due, and waits for its turn."
        why = f": {small(Reason(due.reason).label)}" if due.reason else ""
        return f"Waits{why}, until {clock.said(due.not_before)}."
    if reason and status in (*STOPPED, Status.REJECTED):
        return f"{status.label}: {small(reason.label)}."
    return means(message)


# --- the steps ----------------------------------------------------------------------------------


class State(StrEnum):
    """What became of one step: the words for it are its values."""

    PASSED = "passed"
    STOPPED = "stopped here"
    WAITS = "waits here"
    HELD = "held it"
    NOT_REACHED = "not reached"
    OPEN = "nobody can tell"


@dataclass(frozen=True, slots=True)
class Step:
    """One rule the message had to pass. `detail` says why it stopped there, or was held."""

    words: str
    state: State
    detail: str = ""


def passed(message: Message, due: Due | None, *, failed_step: str = "") -> list[Step]:
    """The steps of its kind of sending in their order, and how far the message came.

    `failed_step` is the name of the one in which an error of ours happened. OPEN are those that may
    not have been looked at: time ran out, or planning refused the message already. HELD is what a
    message waited for until its time ran out.
    """
    names = [step.__name__ for step in STEPS.get(kind_of_sending(message), ())]
    found = [STEP_WORDS.get(name, StepWords(name.replace("_", " "), frozenset())) for name in names]
    status = Status(message.status)
    waits = status == Status.PLANNED
    reason = Reason(due.reason if waits and due is not None else "" if waits else message.reason)
    if status == Status.EXPIRED:
        return _ran_out(names, found, reason)
    if waits and not reason:
        return [Step(one.asks, State.NOT_REACHED) for one in found]
    if (not waits and status not in STOPPED) or reason in WENT_ROUND:
        return [Step(one.asks, State.PASSED) for one in found]
    at = _stopped_at(names, found, reason, status, failed_step)
    if at is None:
        return [Step(one.asks, State.OPEN) for one in found]
    before = State.OPEN if reason in AT_PLANNING else State.PASSED
    stop = State.WAITS if waits else State.STOPPED
    return [
        Step(one.asks, before if n < at else State.NOT_REACHED)
        if n != at
        else Step(one.asks, stop, reason.label)
        for n, one in enumerate(found)
    ]


def _ran_out(names: Sequence[str], found: Sequence[StepWords], reason: Reason) -> list[Step]:
    """The steps of what expired. It may have come by often: none is known to be passed."""
    held = f". What held it: {reason.label}" if reason else ""
    at = next((name for name, one in zip(names, found, strict=True) if reason in one.gives), "")
    steps = []
    for name, one in zip(names, found, strict=True):
        if name == TIME:
            steps.append(Step(one.asks, State.STOPPED, f"Its time ran out{held}"))
        elif name == at:
            steps.append(Step(one.asks, State.HELD, reason.label))
        else:
            steps.append(Step(one.asks, State.OPEN))
    return steps


def kind_of_sending(message: Message) -> str:
    """What the walk chooses the steps by; `message` with its `single`, if it has one."""
    single = getattr(message, "single", None)
    if single and single.is_test:
        return sending_of_test(to_a_lead=single.to_a_lead, is_mail=is_mail(message))
    if message.kind == Kind.CAMPAIGN and is_mail(message):
        return EMAIL_CAMPAIGN_SENDING
    return message.reply_kind or message.kind


def is_mail(message: Message) -> bool:
    """Whether it is an e-mail; `message` with its campaign, or its `single`."""
    of_it = message.campaign or getattr(message, "single", None)
    return of_it is not None and of_it.channel == Channel.EMAIL


def _stopped_at(
    names: Sequence[str],
    found: Sequence[StepWords],
    reason: Reason,
    status: Status,
    failed_step: str,
) -> int | None:
    if failed_step:
        return names.index(failed_step) if failed_step in names else None
    giving = [n for n, one in enumerate(found) if reason in one.gives]
    return giving[0] if giving and status != Status.CANCELLED else None
