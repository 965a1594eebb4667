"""Tokens a worker did not use, or owes: they ride along with its next call to Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.rates import Pace, Returned, Want


@dataclass(slots=True)
class Tokens:
    """Segments by number, account and brand; and by further limit, in what that counts."""

    lanes: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    accounts: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    brands: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    paces: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, want: Want, *, rows: int, segments: int, paces: Mapping[int, Pace]) -> None:
        """So many rows of so many segments together; negative ones were used."""
        self.lanes[want.lane_id] += segments
        self.accounts[want.account_id] += segments
        if not want.is_reply:
            self.brands[want.brand_id] += segments
        for pace_id in want.paces:
            if pace := paces.get(pace_id):
                self.paces[pace_id] += rows if pace.in_messages else segments

    def owe(self, debts: Returned) -> None:
        """Take over what a call that failed was to pay."""
        for mine, theirs in (
            (self.lanes, debts.lanes),
            (self.accounts, debts.accounts),
            (self.brands, debts.brands),
            (self.paces, debts.paces),
        ):
            for key, tokens in theirs.items():
                mine[key] += tokens

    def as_returned(self) -> Returned:
        return Returned(
            lanes=dict(self.lanes),
            accounts=dict(self.accounts),
            brands=dict(self.brands),
            paces=dict(self.paces),
        )
