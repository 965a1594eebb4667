"""What the machine knows by itself, and holds the tables against after each step.

It knows what the provider took, who said STOP or JOIN and when, and how every message stood before
the step. It asks nobody for what it can know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from delivery import sql
from tests.faults.machine_ground import Ground
from tests.faults.machine_provider import Provider

TAKEN = {"accepted", "sent", "delivered", "undelivered", "failed", "no_report"}
ENDED = {"delivered", "undelivered", "failed"}
ON_THE_WAY = {"planned", "sending"}
OF_OURS = {"refused", "expired", "cancelled", "dead"}
JOIN_WAITS = timedelta(minutes=10)
JOIN_IS_LATE = timedelta(minutes=1)

# Where a message may be after a step, by where it was: never back, once a provider may have it.
ONWARDS: dict[str, set[str]] = {
    "planned": ON_THE_WAY | OF_OURS | TAKEN,
    "sending": ON_THE_WAY | OF_OURS | TAKEN | {"rejected", "unknown"},
    "unknown": TAKEN | {"unknown"},
    "rejected": {"rejected"},
    "accepted": TAKEN,
    "sent": TAKEN - {"accepted"},
    "no_report": ENDED | {"no_report"},
    **{end: {end} for end in ENDED},
    **{end: TAKEN | {end} for end in OF_OURS},  # by a report on an attempt thought not sent
}

MESSAGES = """
SELECT m.id, m.status, m.kind, coalesce(m.reply_kind, ''), m.brand_id, m.campaign_id, m.slot_id,
       m.person_id FROM delivery_message m
"""
ATTEMPTS = """
SELECT a.id, a.message_id, a.ref, a.outcome, a.number_id FROM delivery_attempt a ORDER BY a.id
"""
OPT_OUTS = "SELECT id, person_id, source, at FROM compliance_optoutevent ORDER BY id"
BRAKES = """
SELECT 'all', 0 FROM brands_installation WHERE stopped_at IS NOT NULL
UNION ALL SELECT 'brand', id FROM brands_brand WHERE paused_at IS NOT NULL
UNION ALL SELECT 'campaign', id FROM campaigns_campaign WHERE paused_at IS NOT NULL
UNION ALL SELECT 'lane', n.id FROM providers_sendernumber n
JOIN providers_provideraccount a ON a.id = n.account_id
WHERE n.paused_at IS NOT NULL OR a.paused_at IS NOT NULL
UNION ALL SELECT 'person', id FROM compliance_person
WHERE held_at IS NOT NULL OR undeliverable_at IS NOT NULL
"""
SUSPECTS = "SELECT message_id FROM delivery_due WHERE crashes > 0 ORDER BY message_id"


@dataclass(frozen=True)
class Message:
    id: int
    status: str
    kind: str
    reply_kind: str
    brand_id: int
    campaign_id: int | None
    slot_id: int | None
    person_id: int

    @property
    def answers_anybody(self) -> bool:
        """The confirmation of a STOP and HELP reach also who opted out."""
        return self.reply_kind in {"stop", "help"}

    @property
    def place(self) -> tuple[int, int, int] | None:
        if self.campaign_id is None or self.slot_id is None:
            return None
        return self.person_id, self.campaign_id, self.slot_id


@dataclass(frozen=True)
class Attempt:
    id: int
    message_id: int
    ref: str
    outcome: str
    lane_id: int


@dataclass(frozen=True)
class Text:
    """What a person texted, as it is stored."""

    inbound_id: int
    person_id: int
    brand_id: int
    words: str
    received_at: datetime


@dataclass
class Model:
    """`met` counts what happened, for whoever asks whether enough did."""

    ground: Ground
    provider: Provider
    met: Counter[str]
    messages: dict[int, Message] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    brakes: set[tuple[str, int]] = field(default_factory=set)
    suspects: list[int] = field(default_factory=list)  # messages to be claimed alone
    waiting: dict[int, Text] = field(default_factory=dict)  # texts that are stored and not applied
    out: dict[int, int] = field(default_factory=dict)  # the moment of the last STOP, by person
    joined: dict[tuple[int, int], int] = field(default_factory=dict)  # ... of a JOIN, and brand
    in_doubt: set[str] = field(default_factory=set)  # refs of whose journal nobody knows enough
    _opt_outs: list[sql.Row] = field(default_factory=list)
    _moments: Iterable[int] = field(default_factory=lambda: count(1))

    @property
    def pending(self) -> list[Attempt]:
        """Intents without an answer, as of the last step."""
        return [attempt for attempt in self.attempts.values() if attempt.outcome == ""]

    # --- what people say ------------------------------------------------------------------------

    def stored(self, text: Text) -> None:
        self.waiting[text.inbound_id] = text

    def applied(self, text: Text, now: datetime) -> None:
        is_new = self.waiting.pop(text.inbound_id, None) is not None
        if text.words == "STOP":
            self._stop(self.ground.linked[text.person_id])
            events = {(person, source) for _, person, source, _ in sql.rows(OPT_OUTS)}
            assert (text.person_id, "inbound") in events, "a STOP was applied and left no trace"
        elif text.words == "START" and is_new and self._may_join(text, now):
            self.joined[text.person_id, text.brand_id] = next(self._moments)
            self.met["joined again"] += 1

    def _stop(self, people: Iterable[int]) -> None:
        moment = next(self._moments)
        self.out.update(dict.fromkeys(people, moment))

    def _may_join(self, text: Text, now: datetime) -> bool:
        """Not soon after a STOP, and not late: a person must look at those first."""
        around = text.received_at - JOIN_WAITS
        everyone = self.ground.linked[text.person_id]
        is_near = any(person in everyone and at > around for _, person, _, at in self._opt_outs)
        return not is_near and now - text.received_at <= JOIN_IS_LATE

    def is_out(self, person_id: int, brand_id: int) -> bool:
        return self.out.get(person_id, 0) > self.joined.get((person_id, brand_id), 0)

    def is_waited_for(self, person_id: int) -> bool:
        """Whether a text of the person, or of whoever is named beside, is not applied yet."""
        return any(person_id in self.ground.linked[t.person_id] for t in self.waiting.values())

    # --- what holds after each step -------------------------------------------------------------

    def check(self) -> None:
        messages = {row[0]: Message(*row) for row in sql.rows(MESSAGES)}
        attempts = {row[0]: Attempt(*row) for row in sql.rows(ATTEMPTS)}
        self._hear_of_opt_outs()
        now_braked = set(sql.rows(BRAKES))
        for message in messages.values():
            self._check_move(self.messages.get(message.id), message)
        for attempt in attempts.values():
            if attempt.id not in self.attempts:
                self._check_intent(attempt, messages[attempt.message_id], self.brakes & now_braked)
        self.messages, self.attempts, self.brakes = messages, attempts, now_braked
        self._check_what_was_taken()
        self._check_doubts()
        self.suspects = [message_id for (message_id,) in sql.rows(SUSPECTS)]

    def _check_move(self, was: Message | None, message: Message) -> None:
        if was is not None and was.status != message.status:
            assert message.status in ONWARDS[was.status], f"{was} -> {message}"
            self.met[what_happened(was.status, message.status)] += 1

    def _hear_of_opt_outs(self) -> None:
        """Those that a provider told of, with its answer or a report."""
        events = sql.rows(OPT_OUTS)
        for _, person, source, _ in events[len(self._opt_outs) :]:
            if source == "provider":
                self._stop([person])
        self._opt_outs = events

    def _check_intent(
        self, attempt: Attempt, message: Message, brakes: set[tuple[str, int]]
    ) -> None:
        who = f"{message} {attempt}"
        assert ("all", 0) not in brakes, f"an intent while all is stopped: {who}"
        assert ("lane", attempt.lane_id) not in brakes, f"an intent on a paused lane: {who}"
        if message.answers_anybody:
            return
        person, brand = message.person_id, message.brand_id
        assert not self.is_out(person, brand), f"an intent after a STOP: {who}"
        assert not self.is_waited_for(person), f"an intent before a text was applied: {who}"
        assert ("person", person) not in brakes, f"an intent to a person on hold: {who}"
        if message.kind == "campaign":
            assert ("brand", brand) not in brakes, f"an intent of a paused brand: {who}"
            assert ("campaign", message.campaign_id) not in brakes, f"... paused campaign: {who}"

    def _check_what_was_taken(self) -> None:
        """Each message once, each person once in a slot; and the tables say so, or doubt it."""
        sound = [one for one in self.provider.taken if not one.is_lie]
        taken = Counter(one.message_id for one in sound)
        assert not taken or max(taken.values()) == 1, f"sent twice: {taken}"
        places = Counter(place for id_ in taken if (place := self.messages[id_].place))
        assert not places or max(places.values()) == 1, f"sent twice to one person: {places}"
        ever_taken = {one.message_id for one in self.provider.taken}
        for message in self.messages.values():
            if message.status in TAKEN:
                assert message.id in ever_taken, f"nobody took {message}"
            elif message.status not in {"sending", "unknown"}:
                assert message.id not in taken, f"it was taken: {message}"

    def _check_doubts(self) -> None:
        """Unknown is only what left without an answer, or what nobody can know any more."""
        left = {one.intent.send.ref for one in self.provider.requests}
        for attempt in self.attempts.values():
            if attempt.outcome == "unknown":
                assert attempt.ref in left | self.in_doubt, f"no doubt about {attempt}"

    def check_ends(self) -> None:
        """When the inbox is worked through: the first end that was reported is the end.

        Where an attempt came after the one that was reported on, there is only an alarm.
        """
        attempts = Counter(attempt.message_id for attempt in self.attempts.values())
        for request in self.provider.taken:
            message = self.messages[request.message_id]
            if attempts[message.id] == 1 and request.ends:
                assert message.status == request.ends[0], f"{request.ends} were said of {message}"


def what_happened(was: str, became: str) -> str:
    if {was, became} <= TAKEN:
        return "reported"
    if became in TAKEN and was in {"planned", *OF_OURS}:
        return "revived"
    if became in TAKEN - {"accepted"} and was == "sending":
        return "reported early"
    if became in TAKEN and was == "unknown":
        return "no doubt any more"
    return f"{was} -> {became}"
