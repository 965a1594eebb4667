"""Outcomes that come back for one message."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery import claims, pipeline
from delivery.claims import Grant
from delivery.models import Attempt, CapCounter, Due
from delivery.outcomes import Settled, record
from providers.base import NotSent
from providers.models import SenderNumber
from tests.factories import (
    NOON,
    make_due,
    make_lead,
)

NOT_SENT = NotSent("transport_closed")
THROTTLED = NotSent("429", throttled=True, retry_after=40.0)


@pytest.fixture
def hand_over(slot, journal):
    """Commit the intents of what waits, whenever it is due."""

    def hand_over():
        Due.objects.update(not_before=NOON - timedelta(hours=1))
        SenderNumber.objects.update(rests_until=None)
        grants = [Grant(slot.campaign_id, number.pk, 500) for number in SenderNumber.objects.all()]
        batch = pipeline.take(lambda now: claims.claim(grants, now=now), journal)
        return [intent for intent, _ in batch.intents]

    return hand_over


@pytest.fixture
def message(slot, lane):
    return make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON)


@pytest.fixture
def come_back(message, hand_over):
    """Hand the message over, and store what becomes of it; says how many were news."""

    def come_back(outcome):
        (intent,) = hand_over()
        return record([Settled(intent.attempt_id, message.pk, outcome)])

    return come_back


def state(message):
    message.refresh_from_db()
    return message.status, message.reason


def attempt():
    return Attempt.objects.latest("id")


def caps():
    return dict(CapCounter.objects.exclude(key__startswith="decided").values_list("key", "used"))
