"""The provider of the machine: what it took, what it answered, and what it reports about it.

It stands in for all of the outside. What it holds is the truth that the tables are held against.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from delivery import inbox
from delivery.intents import Intent
from delivery.models import Attempt
from providers.base import (
    Accepted,
    Callback,
    DeliveryReport,
    ErrorClass,
    Fault,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
)
from providers.models import ProviderAccount
from providers.registry import ADAPTERS
from tests.delivery.callers import report_fields

TAKEN_ANSWERS = ["accepted", "accepted", "lost"]
REFUSALS: dict[str, Outcome] = {
    "refused": Rejected(ErrorClass.PERMANENT_CONTENT, "21617"),
    "no such number": Rejected(ErrorClass.PERMANENT_RECIPIENT, "21211"),
    "opted out": Rejected(ErrorClass.PERMANENT_RECIPIENT, "21610", opted_out=True),
    "throttled": NotSent("429", throttled=True),
    "come later": NotSent("429", throttled=True, retry_after=90.0),
    "no connection": NotSent("transport_connect", unreachable=True),
    "no funds": NotSent("20005", fault=Fault.ACCOUNT),
    "number not allowed": NotSent("21606", fault=Fault.SENDER),
    "500": Unknown("500"),
}
LIE = NotSent("429", throttled=True)

# A word of Twilio's with its code, and the end that it means for the message.
ENDS: dict[tuple[str, str], str] = {
    ("sent", ""): "",
    ("queued", ""): "",
    ("delivered", ""): "delivered",
    ("undelivered", "30003"): "undelivered",
    ("undelivered", "30005"): "undelivered",
    ("undelivered", "30036"): "undelivered",
    ("undelivered", "30007"): "failed",
    ("undelivered", "21610"): "failed",
    ("failed", "30008"): "failed",
}


@dataclass(kw_only=True)
class Request:
    """One that came in. `words`: what was reported about it, in the order it was first posted."""

    intent: Intent
    is_taken: bool
    provider_ref: str
    is_lie: bool = False
    words: list[tuple[str, str]] = field(default_factory=list)

    @property
    def message_id(self) -> int:
        return self.intent.message_id

    @property
    def ends(self) -> list[str]:
        return [end for word in self.words if (end := ENDS[word])]

    def answer(self, word: str) -> Outcome:
        """What the provider says to it, if it says anything."""
        if not self.is_taken:
            return REFUSALS[word]
        if word == "a lie":
            self.is_lie = True
            return LIE
        return Accepted(self.provider_ref) if word == "accepted" else Unknown("no answer")


class Provider:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._ids = count(1)

    @property
    def taken(self) -> list[Request]:
        return [request for request in self.requests if request.is_taken]

    @property
    def has_lied(self) -> bool:
        return any(request.is_lie for request in self.requests)

    def receive(self, intent: Intent, *, is_taken: bool) -> Request:
        """A request comes in: its intent is committed, and nothing was sent for it before."""
        ref = intent.send.ref
        assert Attempt.objects.filter(ref=ref).exists(), "a request without an intent"
        assert ref not in {one.intent.send.ref for one in self.requests}, "a second request"
        request = Request(intent=intent, is_taken=is_taken, provider_ref=f"SM{next(self._ids)}")
        self.requests.append(request)
        return request

    def report(self, request: Request, word: tuple[str, str]) -> None:
        """Post a report about what was taken; it is applied when somebody applies the inbox."""
        post(ProviderAccount.objects.get(pk=request.intent.account_id), request, word)
        if word not in request.words:
            request.words.append(word)

    def report_by_mistake(self, request: Request, word: tuple[str, str]) -> None:
        """A genuine report of another account that bears the reference of this request."""
        others = ProviderAccount.objects.exclude(pk=request.intent.account_id)
        post(others.order_by("id")[0], request, word)


def post(account: ProviderAccount, request: Request, word: tuple[str, str]) -> None:
    """Store a report as the webhook does."""
    status, code = word
    sent = request.intent.send
    fields = report_fields(
        account, provider_ref=request.provider_ref, word=status, to=sent.to_e164, ErrorCode=code
    )
    callback = Callback(
        method="POST", url="", headers={}, query={"ref": sent.ref}, form=fields, body=b""
    )
    report = ADAPTERS[account.kind].read_callback(callback)
    assert isinstance(report, DeliveryReport)
    inbox.append(account.pk, [(report, callback)])
