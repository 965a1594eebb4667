"""How many callbacks a provider posts to one address in a second, where there is a limit.

What comes faster waits for its turn; nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from providers.simulator_control import BadControl, members, number, only, required
from providers.simulator_wire import Wire


@dataclass(slots=True)
class Paces:
    """`clock` is monotonic, in seconds. `orders`: another pace than the provider's own, by name."""

    clock: Callable[[], float]
    orders: dict[str, float] = field(default_factory=dict)
    _next_at: dict[str, float] = field(default_factory=dict)

    def turn(self, wire: Wire, url: str) -> float:
        """Seconds until the next callback to this address may leave; its turn is taken."""
        per_second = self.orders.get(wire.name, wire.posts_a_second)
        if per_second is None:
            return 0.0
        now = self.clock()
        at = max(now, self._next_at.get(url, now))
        self._next_at[url] = at + 1 / per_second
        return at - now

    def order(self, command: dict[str, Any], wires: Sequence[Wire]) -> None:
        """{"pace": {"provider": …, "per_second": …}}; null: the provider's own."""
        told = members(command, "pace")
        only(told, {"provider", "per_second"})
        provider = required(told, "provider")
        if provider not in {wire.name for wire in wires}:
            raise BadControl(f"there is no provider {provider}")
        if told.get("per_second") is None:
            self.orders.pop(provider, None)
        else:
            self.orders[provider] = number(told, "per_second", at_least=0.1)
        self._next_at.clear()

    def reset(self) -> None:
        self.orders.clear()
        self._next_at.clear()
