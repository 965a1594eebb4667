"""Messages as they stand at the end of their walk, made without walking, for reports of them."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from uuid import UUID

from delivery.models import Attempt, Inbound, Message
from delivery.states import Status
from links.models import Click, ShortLink
from reporting.figures import count_slot, count_stops
from reporting.report import PARTS, What
from tests.factories import NOON, make_lead

OURS = {*PARTS[What.REFUSED], *PARTS[What.WAITING]}  # nobody has such a message

numbers = count(1)


def make_message(slot, lane, status, *, reason="", clicks=0, at=NOON):
    """A message of the slot in this state, with its attempt on the lane where a provider has it."""
    n = next(numbers)
    brand = slot.campaign.brand
    lead = make_lead(brand)
    link = ShortLink.objects.create(code=f"c{n}", brand=brand, destination="https://example.com/")
    message = Message.objects.create(
        brand=brand,
        campaign=slot.campaign,
        slot=slot,
        lead=lead,
        person=lead.person,
        link=link,
        kind="campaign",
        status=status,
        reason=reason,
        expires_at=at + timedelta(hours=2),
    )
    for _ in range(clicks):
        Click.objects.create(link=link, method="GET")
    if status not in OURS:
        make_attempt(message, lane, at=at)
    return message


def make_attempt(message, lane, *, at=NOON, **fields):
    outcome = "rejected" if message.status == Status.REJECTED else "accepted"
    fields = {"outcome": outcome, "answered_at": at, **fields}
    return Attempt.objects.create(
        message=message,
        account=lane.account,
        number=lane,
        sender=UUID(int=1),
        ref=f"ref{next(numbers)}",
        text="Hi",
        segments=1,
        brand_day=at.date(),
        intent_at=at,
        **fields,
    )


def make_stop(brand, lane, *, at=NOON, label="stop", text="STOP"):
    """A text that came in at this moment, read as this label."""
    inbound = Inbound.objects.create(
        account=lane.account,
        number=lane,
        brand=brand,
        person=make_lead(brand).person,
        provider_ref=f"in{next(numbers)}",
        from_value="+12125550143",
        to_value=lane.value,
        text=text,
        label=label,
        applied_at=at,
    )
    Inbound.objects.filter(pk=inbound.pk).update(received_at=at)
    return inbound


def count_all(*slots):
    assert count_stops()
    for slot in slots:
        assert count_slot(slot.pk)
