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
from delivery.models import Attempt, CapCounter, Message, Planned
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


class World:
    def __init__(self) -> None:
        self.real_now = datetime.now(UTC)
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
        **fields: object,
    ) -> Message:
        """A message as it stands after its send, with its attempt, its counters and its request."""
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
        link = f"https://{lead.brand.short_domain}/c{message.pk}"
        text = text or f"Job {slot.pk} for you: {link} Reply STOP to opt out"
        self.attempt(message, at, text=text, outcome=outcome)
        self.request(message, text=text)
        return message

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

    def real(self, moment: datetime) -> datetime:
        return moment - (NOW - self.real_now)

    def write(self, folder: Path, name: str = "ledger.jsonl") -> Path:
        path = folder / name
        path.write_text("".join(lines_of(entry) for entry in self.requests))
        return path

    def problems(self, folder: Path, *, since: datetime | None = None) -> dict[str, list[str]]:
        """What the checks with a ledger say is wrong, by the check's id."""
        scope = Scope(now=checks.installation_now(), since=since or checks.SINCE_EVER)
        with ledger.laid_open(self.write(folder)):
            return said(checks.run(answers.WITH_LEDGER, scope))


def lines_of(entry: dict[str, object]) -> str:
    asked = {name: entry[name] for name in ("seq", "received_at", "to", "text", "ref")}
    answer = {name: entry[name] for name in ("seq", "took", "provider_ref")}
    extra = {"provider": "twilio", "account": "AC1", "from": "+12025550100"}
    return f"{json.dumps({**asked, **extra})}\n{json.dumps({**answer, 'verdict': 'x'})}\n"


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
