"""A small world in which everything is right, with the ledger that belongs to it.

It is 12:30 on a Wednesday in New York; three people got a text at noon, and the slot is closed. The
clock is ahead of the real one, so that a check that forgets the shift is seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from brands.models import ClockShift
from campaigns.models import Slot
from delivery.models import Attempt, CapCounter, Inbound, Message, Planned, SingleText, WebhookEvent
from leads.models import ListEntry
from reporting.oracle import answers, checks, ledger
from reporting.oracle.checks import Scope
from tests.factories import (
    make_account,
    make_brand,
    make_campaign,
    make_installation,
    make_lead,
    make_list,
    make_number,
    make_route,
    open_slot,
)

DAY = date(2035, 3, 7)
NOW = datetime(2035, 3, 7, 17, 30, tzinfo=UTC)  # 12:30 in New York, a Wednesday
NOON = NOW - timedelta(minutes=30)
SENDER = UUID(int=1)
NEW_YORK = ZoneInfo("America/New_York")
ENDS = {"delivered", "undelivered", "failed"}


class World:
    def __init__(self) -> None:
        self.real_now = datetime.now(UTC).replace(microsecond=0)  # a shift has whole seconds
        self.installation = make_installation()
        self.shift_by(NOW - self.real_now, since=self.real_now - timedelta(days=1))
        self.brand = make_brand()
        self.number = make_number(make_account())
        make_route(self.brand, self.number)
        self.leads = [make_lead(self.brand) for _ in range(3)]
        self.campaign = make_campaign(self.brand, make_list(self.brand, *self.leads))
        self.slot = open_slot(self.campaign, on=DAY, at=time(12), length_minutes=15)
        ListEntry.objects.update(added_at=NOON - timedelta(days=1))
        self.campaign.started_at = NOON - timedelta(hours=3)
        self.campaign.save()
        self.requests: list[dict[str, object]] = []
        self.callbacks: list[dict[str, object]] = []
        self.messages = [self.send(lead, NOON + timedelta(seconds=1)) for lead in self.leads]
        self.planned = Planned.objects.create(
            slot=self.slot,
            places=self.leads[0].places,
            through_entry_id=ListEntry.objects.latest("id").pk,
        )
        Slot.objects.filter(pk=self.slot.pk).update(
            state="closed", closed_at=NOW - timedelta(minutes=10)
        )

    def shift_by(self, ahead: timedelta, *, since: datetime) -> None:
        seconds = int(ahead.total_seconds())
        ClockShift.objects.create(seconds=seconds, total_seconds=seconds, real_at=since)

    def another_slot(self, **fields: object) -> Slot:
        """An open slot of another campaign to the same list."""
        campaign = make_campaign(self.brand, self.campaign.lead_list, **fields)
        return open_slot(campaign, on=DAY, at=time(12))

    def send(
        self,
        lead=None,
        at: datetime = NOON,
        *,
        slot=None,
        text: str = "",
        status: str = "accepted",
        outcome: str = "accepted",
        kind: str = "campaign",
        is_test: bool = False,
        **fields: object,
    ) -> Message:
        """A message as it stands after its send, with its attempt, its counters and its request; if
        it came to an end, with the report of that.
        """
        lead, slot = lead or make_lead(self.brand), slot or self.slot
        campaign_parts = {"campaign": slot.campaign, "slot": slot, "lead": lead}
        message = Message.objects.create(
            brand=lead.brand,
            person=lead.person,
            kind=kind,
            status=status,
            expires_at=at + timedelta(hours=1),
            created_at=at - timedelta(minutes=5),
            **(campaign_parts if kind == "campaign" else {}),
            **fields,
        )
        if kind == "single":
            SingleText.objects.create(message=message, text="Work for you", is_test=is_test)
        link = f"https://{lead.brand.short_domain}/c{message.pk}"
        text = text or f"Job {slot.pk} for you: {link} Reply STOP to opt out"
        self.attempt(message, at, text=text, outcome=outcome)
        self.request(message, text=text)
        if status in ENDS:
            self.report(message, status)
            self.reported(message, status)
        return message

    def reported(self, message: Message, word: str) -> None:
        """What a report leaves on the attempt of its message."""
        at = message.attempts.latest("id").intent_at + timedelta(seconds=3)
        message.attempts.update(reported_at=at, report_status=word)

    def attempt(self, message: Message, at: datetime, *, text: str = "Hi", outcome: str) -> Attempt:
        day = at.astimezone(NEW_YORK).date()
        ref = f"ref{message.pk}x{message.attempts.count()}"
        attempt = Attempt.objects.create(
            message=message,
            account=self.number.account,
            number=self.number,
            sender=SENDER,
            ref=ref,
            provider_refs=[f"SM{ref}"] if outcome == "accepted" else [],
            text=text,
            segments=1,
            brand_day=day,
            outcome=outcome,
            is_not_sent=outcome == "not_sent",
            intent_at=at,
            answered_at=at + timedelta(seconds=1) if outcome else None,
        )
        if outcome in ("", "accepted", "unknown") and message.kind != "reply":
            self.count(f"brand:{message.brand_id}:{day}")
            if message.campaign_id:
                self.count(f"campaign:{message.campaign_id}:{day}")
        return attempt

    def count(self, key: str) -> None:
        counter, _ = CapCounter.objects.get_or_create(key=key)
        counter.used += 1
        counter.save()

    def request(self, message: Message, **fields: object) -> dict[str, object]:
        """What the provider wrote down of a message's last attempt."""
        attempt = message.attempts.latest("id")
        received = self.real(attempt.intent_at) + timedelta(seconds=0.2)
        seq = len(self.requests) + 1
        taken = {"took": attempt.outcome in ("accepted", "unknown"), "provider_ref": ""}
        if taken["took"]:
            taken["provider_ref"] = f"SM{attempt.ref}"
        entry = {
            "seq": seq,
            "received_at": received.timestamp(),
            "to": message.person.phone,
            "text": attempt.text,
            "ref": attempt.ref,
            **taken,
            **fields,
        }
        self.requests.append(entry)
        return entry

    def report(
        self, message: Message, word: str = "delivered", *, recorded: bool = True, **fields: object
    ) -> dict[str, object]:
        """What its provider posts of a message's last attempt, as it stands in the inbox, too."""
        attempt = message.attempts.latest("id")
        usual = {
            "at": attempt.intent_at + timedelta(seconds=2),
            "ref": attempt.ref,
            "provider_ref": f"SM{attempt.ref}",
            "code": "",
        }
        fields = {**usual, **fields, "word": word, "to": message.person.phone}
        post = self.post(kind="report", **fields)
        if recorded:
            self.event(post)
        return post

    def event(self, post: dict[str, object], **fields: object) -> WebhookEvent:
        """In the inbox; without a key of its provider's own it has that of Twilio."""
        key = f"{post['provider_ref']}:{post['word']}:{post['code']}"
        return WebhookEvent.objects.create(
            account=self.number.account,
            **{"dedupe_key": key, "raw": {}, **fields},
            received_at=NOON,
            applied_at=NOON,
            result="applied",
        )

    def text(
        self, sender: str, text: str = "STOP", *, recorded: bool = True, **fields: object
    ) -> dict[str, object]:
        """A text somebody sends us, as it stands in our rows, too."""
        ref = f"SMin{len(self.callbacks)}"
        post = self.post(
            **{"at": NOON, "kind": "inbound", "provider_ref": ref, **fields},
            **{"from": sender, "to": self.number.value, "text": text},
        )
        if recorded:
            self.inbound(post)
        return post

    def inbound(self, post: dict[str, object], **fields: object) -> Inbound:
        usual = {"account": self.number.account, "received_at": NOON, "applied_at": NOON}
        fields = {**usual, "provider_ref": post["provider_ref"], **fields}
        return Inbound.objects.create(from_value="x", to_value="y", **fields)

    def post(
        self, *, at: datetime, answer: int | None = 200, **fields: object
    ) -> dict[str, object]:
        """A callback that leaves at a time of the installation's clock and takes 20 ms."""
        posted_at = self.real(at).timestamp()
        post = {
            "callback": len(self.callbacks) + 1,
            "posted_at": posted_at,
            "provider": "twilio",
            "account": "AC1",
            "genuine": True,
            "copy": 1,
            **fields,
            "answered_at": posted_at + 0.02,
            "answer": answer,
        }
        self.callbacks.append(post)
        return post

    def real(self, moment: datetime) -> datetime:
        return moment - (NOW - self.real_now)

    def write(self, folder: Path, name: str = "ledger.jsonl") -> Path:
        path = folder / name
        requests = "".join(lines_of(entry) for entry in self.requests)
        path.write_text(requests + posts_of(self.callbacks))
        return path

    def problems(self, folder: Path, *, since: datetime | None = None) -> dict[str, list[str]]:
        """What the checks with a ledger say is wrong, by the check's id."""
        scope = Scope(now=checks.installation_now(), since=since or checks.SINCE_EVER)
        with ledger.laid_open(self.write(folder)):
            return said(checks.run(answers.WITH_LEDGER, scope))


def lines_of(entry: dict[str, object]) -> str:
    asked = {name: entry[name] for name in ("seq", "received_at", "to", "text", "ref")}
    answer = {name: entry[name] for name in ("seq", "took", "provider_ref")}
    usual = {"provider": "twilio", "account": "AC1", "from": "+12025550100"}
    extra = {name: entry.get(name, value) for name, value in usual.items()}
    extra |= {name: entry[name] for name in ("mail",) if name in entry}
    return f"{json.dumps({**asked, **extra})}\n{json.dumps({**answer, 'verdict': 'x'})}\n"


def posts_of(callbacks: Sequence[dict[str, object]]) -> str:
    """All posts, then the answers in the opposite order; none where the answer is None."""
    posted = [
        {name: value for name, value in post.items() if not name.startswith("answer")}
        for post in callbacks
    ]
    answered = [
        {name: post[name] for name in ("callback", "answered_at", "answer")}
        for post in reversed(callbacks)
        if post["answer"] is not None
    ]
    return "".join(f"{json.dumps(line)}\n" for line in (*posted, *answered))


def said(results) -> dict[str, list[str]]:
    return {
        result.check.id: [found.says for found in result.found if found.total]
        for result in results
        if result.problems
    }


def raw(sql: str, parameters: Sequence[object] = ()) -> None:
    """Write past every trigger and foreign key, as a bug or a restored backup would."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, parameters)
        cursor.execute("SET LOCAL session_replication_role = origin")
