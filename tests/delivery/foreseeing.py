"""A forecast, and the same campaign through the planner and the walk, in the same words."""

from __future__ import annotations

from collections import Counter
from datetime import time, timedelta

from campaigns.models import Slot
from campaigns.starting import start
from delivery.forecast import forecast
from delivery.models import Inbound, Message
from delivery.planning import plan_open_slots
from delivery.upkeep import sweep_expired
from providers.models import SenderNumber
from tests.delivery.walking import hand_over
from tests.factories import (
    DAY,
    NOON,
    make_account,
    make_brand,
    make_campaign,
    make_list,
    make_number,
    make_route,
    set_clock,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def acme():
    """A brand with one number, at half a cent a segment."""
    brand = make_brand(name="Acme", short_domain="go.example.com")
    make_route(brand, make_number(make_account(price_micros=5000)))
    return brand


def a_campaign(brand, *leads, **fields):
    """With one draft slot at 13:00, an hour from now, four hours long."""
    campaign = make_campaign(brand, make_list(brand, *leads), **fields)
    add_slot(campaign)
    return campaign


def add_slot(campaign, **fields):
    values = {"local_date": DAY, "local_time": time(13), "length_minutes": 240, **fields}
    return Slot.objects.create(campaign=campaign, **values)


def of_slot(campaign):
    (one,) = forecast(campaign).slots
    return one


def walk(campaign, journal, *, until):
    """Plan and hand over every ten minutes till then, and end what is left, as workers do."""
    moment = NOON
    while moment < until:
        set_clock(moment)
        plan_open_slots()
        hand_over(journal)
        moment += 10 * MINUTE
        sweep_expired()
    set_clock(until)
    plan_open_slots()
    sweep_expired()


def happened(slot):
    """What became of the people of a slot, in the words of a forecast."""
    slot.refresh_from_db()
    rows = Message.objects.filter(slot=slot).values_list("status", "reason")
    counts = Counter(rows)
    return {
        "suppressed": slot.suppressed,
        "refused": {reason: n for (status, reason), n in counts.items() if status == "refused"},
        "expired": {reason: n for (status, reason), n in counts.items() if status == "expired"},
        "leaving": sum(n for (status, _), n in counts.items() if status == "sending"),
        "audience": counts.total(),
    }


def foreseen(one):
    """Those who wait for a judgement expire, for nobody judges in these tests."""
    return {
        "suppressed": {reason.value: n for reason, n in one.suppressed.items()},
        "refused": {reason.value: n for reason, n in one.refused.items()},
        "expired": {reason.value: n for reason, n in (one.waiting + one.expiring).items()},
        "leaving": one.leaving,
        "audience": one.audience,
    }


def sent(*entries):
    """What a person's row says of messages sent to them."""
    return [[at.timestamp(), 900_000 + n, words, day] for n, (at, words, day) in enumerate(entries)]


def write_in(person):
    """A text of this person, not read yet."""
    number = SenderNumber.objects.first()
    Inbound.objects.create(
        account=number.account, number=number, person=person, provider_ref=f"in-{person.pk}"
    )


def check(campaign, journal, *, until=NOON + 10 * HOUR):
    """What is foreseen of each draft slot happens; returns it by slot."""
    said = {one.slot.pk: foreseen(one) for one in forecast(campaign).slots}
    start(campaign)
    walk(campaign, journal, until=until)
    assert {pk: happened(Slot.objects.get(pk=pk)) for pk in said} == said
    return said
