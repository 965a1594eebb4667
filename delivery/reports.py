"""What a delivery report means for a message: our word for theirs, and the moves it makes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from delivery.states import MOVES, Status
from providers import base
from providers.base import DeliveryReport, ErrorClass, Rejected

LONGEST_REF = 64  # characters of a provider's id
FAILURES = {
    base.Status.UNDELIVERED,
    base.Status.FAILED,
    base.Status.REJECTED,
    base.Status.EXPIRED,
}
ENDS = {*FAILURES, base.Status.DELIVERED, base.Status.UNKNOWN}

WORDS: Mapping[base.Status, Status] = {
    base.Status.ACCEPTED: Status.ACCEPTED,
    base.Status.SENT: Status.SENT,
    base.Status.DELIVERED: Status.DELIVERED,
    base.Status.UNDELIVERED: Status.UNDELIVERED,
    base.Status.FAILED: Status.FAILED,
    base.Status.REJECTED: Status.FAILED,
    base.Status.EXPIRED: Status.UNDELIVERED,
    base.Status.UNKNOWN: Status.NO_REPORT,
}


def moves(status: Status, word: base.Status) -> tuple[Status, ...]:
    """The moves a report makes from a status; none where it says nothing new.

    That a provider reports at all shows that it took the message: from there the last word may be
    that nothing is known.
    """
    to = WORDS[word]
    if to in MOVES[status]:
        return (to,)
    if to == Status.NO_REPORT and Status.ACCEPTED in MOVES[status]:
        return (Status.ACCEPTED, Status.NO_REPORT)
    return ()


def is_undeliverable(said: Rejected | DeliveryReport) -> bool:
    """The number itself is at fault: it does not exist, or takes no texts."""
    is_the_number = said.error_class == ErrorClass.PERMANENT_RECIPIENT
    only_here = isinstance(said, Rejected) and said.only_here
    return is_the_number and not (said.opted_out or said.carrier_blocked or only_here)


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as it came into the inbox; `event_id` is its place there."""

    event_id: int
    account_id: int
    report: DeliveryReport


@dataclass(slots=True)
class Standing:
    """An attempt under its lock, and how its message stands as the reports go by."""

    attempt_id: int
    message_id: int
    account_id: int
    provider_refs: list[str]
    is_not_sent: bool
    report_status: str
    report_code: str
    segments: int = 1
    parts: dict[str, list[str]] = field(default_factory=dict)  # word and code, by their ids
    new_refs: list[str] = field(default_factory=list)
    phone: str = ""
    began: Status = Status.SENDING
    status: Status = Status.SENDING
    is_news: bool = False
    is_blocked: bool = False  # by a carrier

    def fits(self, item: Reported) -> bool:
        """A signature may leave out the query, and our reference with it (Plivo's V2)."""
        report, digits = item.report, item.report.recipient_e164.lstrip("+")
        return (
            item.account_id == self.account_id
            and (self._knows(report.provider_ref) or report.is_of_a_part)
            and (not digits.isdigit() or not self.phone or digits == self.phone.lstrip("+"))
            and len(report.provider_ref) <= LONGEST_REF
        )

    def _knows(self, provider_ref: str) -> bool:
        return not self.provider_refs or provider_ref in self.provider_refs

    def take(self, report: DeliveryReport) -> str:
        """Let one report move the message, if it may; returns what became of it."""
        report = self.whole(report)
        path = moves(self.status, report.status)
        if not path and self.status != Status.REJECTED:
            self._know_by(report)
            return "no_news"
        self.status = path[-1] if path else self.status
        self.note(report)
        return "applied" if path else "was_rejected"

    def note(self, report: DeliveryReport) -> None:
        """Keep what it says on the attempt: from now on it is known that it was taken.

        An end that was said stays, as on a message.
        """
        self._know_by(report)
        self.is_news = True
        self.is_blocked = self.is_blocked or report.carrier_blocked
        before = self.report_status
        if not before or moves(WORDS[base.Status(before)], report.status):
            self.report_status, self.report_code = report.status.value, report.code[:60]

    def whole(self, report: DeliveryReport) -> DeliveryReport:
        """What a report says of the message: of its parts all are delivered, or it is not."""
        if not report.is_of_a_part:
            return report
        before = self.parts.get(report.provider_ref)
        if before is None or moves(WORDS[base.Status(before[0])], report.status):
            self.parts[report.provider_ref] = [report.status.value, report.code[:60]]
            self.is_news = True
        words = [base.Status(word) for word, _ in self.parts.values()]
        failed = next((one for one in self.parts.values() if one[0] in FAILURES), None)
        if failed:
            return replace(report, status=base.Status(failed[0]), code=failed[1])
        if len(words) < self.segments or not set(words) <= ENDS:
            seen = {base.Status.SENT, base.Status.DELIVERED} & set(words)
            return replace(report, status=base.Status.SENT if seen else base.Status.ACCEPTED)
        is_whole = set(words) == {base.Status.DELIVERED}
        return replace(report, status=base.Status.DELIVERED if is_whole else base.Status.UNKNOWN)

    def _know_by(self, report: DeliveryReport) -> None:
        if not self._knows(report.provider_ref) or not self.provider_refs:
            self.provider_refs = [*self.provider_refs, report.provider_ref]
            self.new_refs.append(report.provider_ref)
            self.is_news = True
