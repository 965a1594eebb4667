"""A message's way to the wire and back, step by step and without a provider."""

from __future__ import annotations

from itertools import count

from brands import clock
from delivery import claims, pipeline, replies, sql
from delivery.claims import Grant
from delivery.models import Attempt, CapCounter, Due, Inbound, Message
from delivery.outcomes import Settled, record
from delivery.reports import Reported
from delivery.states import ReplyKind
from providers.base import DeliveryReport
from providers.base import Status as Word
from tests.faults.invariants import ROWS

event_ids = count(1)


def hand_over(journal):
    """Commit the intents of all that is due, as a worker does."""
    pairs = Due.objects.order_by("queue", "lane").values_list("queue", "lane").distinct()
    grants = [Grant(queue, lane_id, 500) for queue, lane_id in pairs]
    batch = pipeline.take(lambda now: claims.claim(grants, now=now), journal)
    return [intent for intent, _ in batch.intents]


def make_reply(person, brand, lane, kind=ReplyKind.STOP):
    """An answer of this kind, planned and due now; the text it answers came to this number."""
    now = clock.now()
    inbound = Inbound.objects.create(
        account=lane.account, number=lane, person=person, provider_ref=f"SM-in-{next(event_ids)}"
    )
    assert replies.plan(
        kind,
        inbound_id=inbound.pk,
        person_id=person.pk,
        brand_id=brand.pk,
        number_id=lane.pk,
        received_at=now,
        now=now,
    )
    Inbound.objects.update(applied_at=now)
    return Message.objects.get(inbound=inbound)


def come_back(intents, outcome):
    """Store this outcome for each; returns how many were news."""
    return record([Settled(one.attempt_id, one.message_id, outcome) for one in intents])


def reported(intent, word=Word.DELIVERED, *, account_id=None, **fields):
    """An entry of the inbox about this intent. The provider's id is made of our reference."""
    values = {"ref": intent.send.ref, "provider_ref": f"SM{intent.send.ref}", "status": word}
    report = DeliveryReport(**{**values, **fields})
    return Reported(next(event_ids), account_id or intent.account_id, report)


def snapshot():
    """All that an answer may change of messages, attempts, queue and caps."""
    return [
        sql.rows(f"SELECT * FROM {table} ORDER BY 1")
        for table in (
            "delivery_message",
            "delivery_attempt",
            "delivery_due",
            "delivery_capcounter",
            "compliance_person",
        )
    ]


def caps():
    """The counters of caps by key."""
    return dict(CapCounter.objects.exclude(key__startswith="decided").values_list("key", "used"))


def last_attempt():
    return Attempt.objects.latest("id")


RECOUNTED = "a cap's counter is not what a recount gives"
REMEMBERED = "a person's allowance is not what was sent to them"
QUEUED = "planned is not the same as a queue row"


def assert_all_adds_up():
    """A queue row for what is planned and for nothing else; counters as a recount gives them."""
    for says in (QUEUED, RECOUNTED, REMEMBERED):
        assert sql.rows(ROWS[says]) == [], says
    twice = Attempt.objects.filter(is_not_sent=False).values_list("message_id", flat=True)
    assert len(twice) == len(set(twice))
