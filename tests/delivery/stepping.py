"""Messages on their way through the steps, and what the steps know of everything around them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from delivery.allowances import Budget, PersonLimits
from delivery.states import Kind, ReplyKind
from delivery.steps import (
    BrandFacts,
    Draft,
    Facts,
    LaneFacts,
    Opening,
    PersonFacts,
    SingleFacts,
    SlotFacts,
)

NOW = datetime(2026, 6, 3, 16, tzinfo=UTC)
TODAY = date(2026, 6, 3)
TOMORROW = datetime(2026, 6, 4, 4, tzinfo=UTC)  # midnight in New York
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

BRAND = BrandFacts("Acme", "go.example.com", "Reply STOP to opt out", False, TODAY, TOMORROW)
SLOT = SlotFacts(False, False, "https://jobs.example.com/", TODAY, "Hi {first_name}, see {link}")
SINGLE = SingleFacts(
    "{brand} for {first_name}: {link}", "https://jobs.example.com/", {"first_name": "Kim"}, True
)
LANE = LaneFacts(8, "+12025550100", "long_code", 10.0, 64, 1600, True, None)
OPEN = Opening(NOW, NOW + timedelta(hours=4))
BRAND_KEY = "brand:1:2026-06-03"


def a_draft(**changes):
    values = {
        "message_id": 5,
        "kind": Kind.CAMPAIGN,
        "brand_id": 1,
        "campaign_id": 2,
        "slot_id": 3,
        "person_id": 4,
        "lane_id": 6,
        "expires_at": NOW + timedelta(hours=2),
        "tries": 0,
        "to": "+12125550143",
        "places_id": 7,
        "opted_out": False,
        "held": False,
        "has_consent": True,
        "lead_is_active": True,
        "values": {"first_name": "Ada"},
        "code": "abcdefgh",
    }
    return Draft(**{**values, **changes})


def a_reply(kind=ReplyKind.STOP, **changes):
    """An answer to a text: no campaign, no slot, no lead and no place."""
    without = {"campaign_id": None, "slot_id": None, "places_id": None, "has_consent": False}
    return a_draft(kind=Kind.REPLY, reply_kind=kind.value, **{**without, "values": {}, **changes})


def a_test(**changes):
    """A test that a member of staff asked for: no campaign, no slot, and no place that binds it."""
    without = {"campaign_id": None, "slot_id": None, "places_id": None, "values": {}}
    return a_draft(kind=Kind.SINGLE, is_test=True, **{**without, **changes})


def with_single(found=None, **changes):
    return replace(found or facts(), singles={5: replace(SINGLE, **changes)})


def a_person(**changes):
    values = {"inbound_waits": False, "undeliverable": False}
    return PersonFacts(**{**values, "recent": [], **changes})


def facts(**changes):
    values = {
        "now": NOW,
        "is_stopped": False,
        "limits": PersonLimits(3, 6, timedelta(hours=2)),
        "brands": {1: BRAND},
        "slots": {3: SLOT},
        "lanes": {6: LANE},
        "persons": {4: a_person()},
        "openings": {(1, 7): OPEN},
        "budget": Budget(),
    }
    return Facts(**{**values, **changes})


def with_brand(**changes):
    return facts(brands={1: replace(BRAND, **changes)})


def with_slot(**changes):
    return facts(slots={3: replace(SLOT, **changes)})


def with_person(**changes):
    return facts(persons={4: a_person(**changes)})


def sent(ago, message_id=99, words="", on="2026-06-02"):
    return ((NOW - ago).timestamp(), message_id, words, on)
