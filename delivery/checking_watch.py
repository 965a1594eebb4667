"""What becomes of the message of a check, each step as it happens. It only reads.

Seconds are since the message was planned, by the installation's clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from delivery import inbox, sql
from delivery.explain import because, means
from delivery.models import Attempt, Due, Message, WebhookEvent
from delivery.states import Reason, Status
from delivery.testing_story import ADVICE, is_final
from delivery.wording import DO, REPORTS
from providers.base import Adapter, DeliveryReport

POLL = 0.1  # seconds
NOT_TAKEN_AFTER = 10.0
EVENTS_AT_ONCE = 500
NO_WORKER = (
    "No worker has taken it yet. Workers of the queues send and reports must run, and the scheduler"
    " (see the README, or ./dev demo)."
)
TAKEN = frozenset({Status.ACCEPTED, Status.SENT, Status.DELIVERED})


@dataclass(frozen=True, slots=True)
class Step:
    seconds: float
    words: str


@dataclass(slots=True)
class Watch:
    """A walk that is looked at; what was said of it already is not said again."""

    message: Message
    adapter: Adapter
    _said: set[str] = field(default_factory=set)
    _began: float = field(default_factory=time.monotonic)
    _event_id: int = field(default_factory=lambda: _last_event())

    def steps(self, *, seconds: float, until_taken: bool = False) -> Iterator[Step]:
        """Yield what happens until the message is at its end, or taken, or time is up."""
        yield Step(0.0, f"Queued as message {self.message.pk}.")
        until = self._began + seconds
        while True:
            self.message.refresh_from_db()
            yield from self._news()
            is_over = is_final(self.message) or (until_taken and self.message.status in TAKEN)
            if is_over or time.monotonic() > until:
                return
            time.sleep(POLL)

    def _news(self) -> Iterator[Step]:
        attempts = list(Attempt.objects.filter(message=self.message).order_by("pk"))
        yield from self._waiting(has_attempts=bool(attempts))
        for attempt in attempts:
            yield from self._handed_over(attempt)
        for attempt in attempts:
            if not attempt.is_not_sent:
                yield from self._own_words(attempt)
                yield from self._reported(attempt)
        status = Status(self.message.status)
        if is_final(self.message):
            why = _advice(self.message.reason)
            yield from self._once(f"{status.label}. {means(self.message)} {why}".strip())

    def _waiting(self, *, has_attempts: bool) -> Iterator[Step]:
        due = Due.objects.filter(message=self.message).first()
        if due is not None and due.reason:
            yield from self._once(f"It is held. {_advice(due.reason)}")
        elif due is not None and not has_attempts and self._elapsed() > NOT_TAKEN_AFTER:
            yield from self._once(NO_WORKER)

    def _handed_over(self, attempt: Attempt) -> Iterator[Step]:
        said = f"Intent written: attempt {attempt.pk}, our reference {attempt.ref}."
        yield from self._once(said, attempt.intent_at)
        if not attempt.outcome:
            return
        refs = (
            f" Its id of it: {', '.join(attempt.provider_refs)}." if attempt.provider_refs else ""
        )
        why = f" {because(attempt)}." if attempt.outcome != "accepted" else ""
        said = f"Answer to attempt {attempt.pk}: {attempt.get_outcome_display()}.{refs}{why}"
        yield from self._once(said, attempt.answered_at, key=f"answer {attempt.pk}")

    def _reported(self, attempt: Attempt) -> Iterator[Step]:
        if not attempt.report_status:
            return
        words = REPORTS.get(attempt.report_status, attempt.report_status)
        code = f" Code {attempt.report_code}." if attempt.report_code else ""
        yield from self._once(f"Report applied: {words}.{code}", attempt.reported_at)

    def _own_words(self, attempt: Attempt) -> Iterator[Step]:
        """What the account's reports on it say in the provider's own words."""
        events = WebhookEvent.objects.filter(account=attempt.account_id, pk__gt=self._event_id)
        for event in events.order_by("pk")[:EVENTS_AT_ONCE]:
            report = self._read(event)
            if report is None:
                continue
            if report.ref != attempt.ref and report.provider_ref not in attempt.provider_refs:
                continue
            code = f", code {report.code}" if report.code else ""
            said = f"Report came in: “{report.provider_status}”{code}."
            yield from self._once(said, event.received_at, key=f"event {event.pk}")

    def _read(self, event: WebhookEvent) -> DeliveryReport | None:
        try:
            report = self.adapter.read_callback(inbox.from_raw(sql.from_json(event.raw)))
        except Exception:  # noqa: BLE001 - another message's, which is none of ours
            return None
        return report if isinstance(report, DeliveryReport) else None

    def _once(self, words: str, at: datetime | None = None, *, key: str = "") -> Iterator[Step]:
        if (key or words) in self._said:
            return
        self._said.add(key or words)
        since = (at - self.message.created_at).total_seconds() if at else self._elapsed()
        yield Step(max(since, 0.0), words)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


def _last_event() -> int:
    last = WebhookEvent.objects.order_by("-pk").values_list("pk", flat=True).first()
    return last or 0


def _advice(reason: str) -> str:
    if not reason:
        return ""
    why = Reason(reason)
    return f"{why.label}. {ADVICE.get(why) or DO[why]}"
