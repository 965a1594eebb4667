"""Limits of numbers, accounts and brands as rows: which bind a message, and what a day has left.

Pure. A day's counter stands under a key of its limit and its day, which is written on the attempt
too, so that a give-back finds it whatever became of the limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from providers import carriers
from providers.rates import Pace

RECHECK = timedelta(minutes=1)  # of a limit whose day is still to be counted


class Owners(NamedTuple):
    """Whose limits bind a message: its number's with its kind, its account's, its brand's."""

    lane_id: int
    account_id: int
    kind: str
    brand_id: int


@dataclass(frozen=True, slots=True)
class Limit:
    """One row, with its day at a moment: when the next one begins (UTC), how much of it is used."""

    id: int
    number_id: int | None
    account_id: int | None
    brand_id: int | None
    kind: str
    unit: str
    per: str
    amount: float
    carrier: str
    counts_unknown: bool
    is_counted: bool
    day: str
    next_day_at: datetime | None
    zone: str | None
    used: int

    @property
    def key(self) -> str:
        """Of the day's counter."""
        return f"{self.unit}:{self.id}:{self.day}"

    @property
    def is_daily(self) -> bool:
        return self.per == "day"

    @property
    def most(self) -> int:
        """In a day: nothing while what went out before the limit was set is not counted."""
        return int(self.amount) if self.is_counted else 0

    @property
    def left(self) -> int:
        return max(self.most - self.used, 0)

    def cost(self, segments: int) -> int:
        """Of one message."""
        return 1 if self.unit == "messages" else segments

    def binds(self, owners: Owners) -> bool:
        """Whether what this brand sends by this number counts on it."""
        if self.carrier and owners.kind == "email":
            return False
        ours = (owners.lane_id, owners.account_id, owners.brand_id)
        is_theirs = any(
            mine is not None and mine == other
            for mine, other in zip(
                (self.number_id, self.account_id, self.brand_id), ours, strict=True
            )
        )
        return is_theirs and is_of_kind(self.kind, owners.kind)

    def counts(self, carrier: str) -> bool:
        """Whether a person of this carrier counts on it; empty where nobody knows it."""
        return carriers.counts(self.carrier, carrier, counts_unknown=self.counts_unknown)

    def held_until(self, now: datetime) -> datetime:
        """When to try again what finds no room (UTC)."""
        if self.next_day_at is None or not self.is_counted:
            return now + RECHECK
        return self.next_day_at


def is_of_kind(wanted: str, kind: str) -> bool:
    """Whether numbers of a kind are bound by a limit for one, as `OF_THE_KIND` says it."""
    return wanted in ("", kind) or (wanted == "long_code" and kind == "service")


class Bound:
    """Which of these limits bind what."""

    def __init__(self, found: Sequence[Limit] = ()) -> None:
        self.limits = found
        self._owned: defaultdict[tuple[int | None, ...], list[Limit]] = defaultdict(list)
        for one in found:
            self._owned[one.number_id, one.account_id, one.brand_id].append(one)

    def of(self, owners: Owners) -> list[Limit]:
        """Those that bind what this brand sends by this number; asked for each pair of a pick."""
        its_own = (owners.lane_id, None, None)
        account, brand = (None, owners.account_id, None), (None, None, owners.brand_id)
        found = (one for key in (its_own, account, brand) for one in self._owned.get(key, ()))
        return [one for one in found if one.binds(owners)]

    def pace_ids(self, owners: Owners, *, is_reply: bool) -> tuple[int, ...]:
        """Of those the limits a second; a brand's only for what is no reply."""
        return tuple(
            one.id
            for one in self.of(owners)
            if not one.is_daily and (one.brand_id is None or not is_reply)
        )

    def paces(self) -> dict[int, Pace]:
        """The limits a second, for the grant. A brand's does not bind replies, so it keeps none."""
        return {
            one.id: Pace(one.amount, one.unit == "messages", spare=one.brand_id is None)
            for one in self.limits
            if not one.is_daily
        }


def given_back(counted_on: Sequence[str], segments: int) -> dict[str, int]:
    """What an attempt took of its counters, by their keys, for when it came to nothing."""
    return {key: 1 if key.startswith("messages:") else segments for key in counted_on}
