"""A person texts one of our numbers, without a provider; and what can be seen of it afterwards."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest

from compliance.models import Person, Rejoin
from delivery import inbound
from delivery.models import Attempt, Inbound, Message
from providers.base import InboundMessage
from tests.delivery import walking
from tests.factories import (
    NOON,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_slot,
    set_clock,
)

MINUTE = timedelta(minutes=1)
DOUBTFUL = "please don't stop"  # holds a stop word, and is no STOP
ANY_TEXT = ["hello", "STOP", "HELP", "START", DOUBTFUL]

refs = count(1)


def store(lane, sender, text="hello", **fields):
    """Keep a text to this number; the sender is a person or what the provider calls it."""
    sender = getattr(sender, "phone", sender)
    own = {"provider_ref": f"SM{next(refs)}", "from_e164": sender, "to_value": lane.value}
    return inbound.store(lane.account_id, InboundMessage(**{**own, "text": text, **fields}), {})


def say(lane, sender, text, **fields):
    """Keep a text and apply it, as a webhook does; returns whether an answer waits."""
    return inbound.apply(store(lane, sender, text, **fields))


def on_hold(person):
    person.refresh_from_db()
    return person.held_at is not None


def is_out(person, brand):
    """Whether a message of this brand to the person would be refused."""
    person.refresh_from_db()
    rejoin = Rejoin.objects.filter(person=person, brand=brand).first()
    since = rejoin.after_event_id if rejoin else -1
    return person.opt_out_event_id is not None and person.opt_out_event_id > since


def answers():
    return list(Message.objects.order_by("id").values_list("reply_kind", flat=True))


def label():
    return Inbound.objects.latest("id").label


def later(span):
    set_clock(NOON + span)


def texted(person, lane, brand, journal):
    """The person was sent a message of the brand by this number."""
    slot = make_slot(lane, brand=brand, text=f"Offer {next(refs)}")
    message = make_due(slot, make_lead(brand, person), lane, now=NOON)
    Person.objects.update(recent=[])
    walking.hand_over(journal)
    assert Attempt.objects.filter(message=message).exists()
    return message


for_real = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lane(sandbox):
    """A number of a brand."""
    return make_number(brand=make_brand())


@pytest.fixture
def person(sandbox):
    return make_person()
