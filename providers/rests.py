"""Whether a number rests, why, and how a person ends it. When a rest begins is not known here."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from providers.models import SenderNumber

COUNTED_FOR = timedelta(days=7)  # after that a further rest is a first one again
BLOCKS, WARM_UP = SenderNumber.Cause.BLOCKS, SenderNumber.Cause.WARM_UP


def rests(number: SenderNumber, now: datetime) -> bool:
    return number.rests_until is not None and number.rests_until > now


def can_be_ended(number: SenderNumber, now: datetime) -> bool:
    """A rest for blocks; the others end with their cause, and would begin again at once."""
    return rests(number, now) and number.rests_because == BLOCKS


def end(numbers: QuerySet[Any], now: datetime) -> int:
    """End the rests for blocks of these; returns how many. What was blocked before is forgiven."""
    resting = numbers.filter(rests_until__gt=now, rests_because=BLOCKS)
    return resting.update(rests_until=None, rests_because="", rested_at=now)


def in_words(number: SenderNumber, now: datetime) -> str:
    """Until when and why it rests; else when it last did because carriers blocked it."""
    if not rests(number, now):
        return _last(number) or "No"
    until = f"Until {number.rests_until:%d %b, %H:%M} UTC"
    if number.rests_because == BLOCKS:
        again = _again(number, now)
        return f"{until}: {number.rest_words}.{again} It still answers people."
    if number.rests_because == WARM_UP:
        return f"{until}: it warms up, and has sent what it may for now. It still answers people."
    return f"{until}: its provider could not be reached."


def _again(number: SenderNumber, now: datetime) -> str:
    is_lately = number.rested_at is not None and number.rested_at > now - COUNTED_FOR
    times = number.block_rests if is_lately else 0
    return f" This is rest number {times} in {COUNTED_FOR.days} days." if times > 1 else ""


def _last(number: SenderNumber) -> str:
    if number.rested_at is None:
        return ""
    why = f": {number.rest_words}" if number.rest_words else ""
    return f"Not now. The last time was from {number.rested_at:%d %b, %H:%M} UTC on{why}."
