"""How many rows daily caps and limits leave to pick, of pairs that share counters."""

from __future__ import annotations

from dataclasses import dataclass, field

Pair = tuple[int, int]  # queue and number


@dataclass(slots=True)
class Room:
    """What is left under each counter's key, and what a row of each pair costs there."""

    left: dict[str, int] = field(default_factory=dict)
    costs: dict[Pair, list[tuple[str, int]]] = field(default_factory=dict)

    def bind(self, pair: Pair, key: str, *, left: int, cost: int = 1) -> None:
        self.left[key] = left
        self.costs.setdefault(pair, []).append((key, max(cost, 1)))

    def most(self, pair: Pair, rows: int) -> int:
        """As many of these rows as all its counters have room for."""
        return min([rows, *(self.left[key] // cost for key, cost in self.costs.get(pair, ()))])

    def take(self, pair: Pair, rows: int) -> None:
        for key, cost in self.costs.get(pair, ()):
            self.left[key] -= rows * cost

    def copy(self) -> Room:
        """To try what would be left; what rows cost is shared."""
        return Room(dict(self.left), self.costs)
