"""Messages that wait for one number and are taken as a worker takes them; what became of them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from delivery import claims, pipeline
from delivery.claims import Grant
from delivery.models import Due, Message
from providers.models import SenderNumber
from tests.factories import NOON, make_due, make_lead

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SOON = timedelta(seconds=30)  # tests are quicker than that


@pytest.fixture
def take(journal):
    """Take what waits in the queues of these slots, as a worker does."""

    def take(*slots, rows=500, into=journal):
        grants = [
            Grant(slot.campaign_id, number.pk, rows)
            for slot in slots
            for number in SenderNumber.objects.all()
        ]
        return pipeline.take(lambda now: claims.claim(grants, now=now), into)

    return take


def a_message(slot, **lead):
    to = make_lead(slot.campaign.brand, **lead)
    return make_due(slot, to, SenderNumber.objects.first(), now=NOON)


def state(message):
    message.refresh_from_db()
    return message.status, message.reason


def states():
    return Counter(Message.objects.values_list("status", flat=True))


def make_due_again():
    Due.objects.update(not_before=NOON - HOUR)


def sent_to(batch):
    return {intent.message_id for intent, _ in batch.intents}
