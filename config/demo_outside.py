"""The world outside a demo: what providers report, what people answer, and when a provider fails.

It talks to the simulator's control door and to nothing of ours but the accounts it speaks for.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from brands import clock
from config.demo_stage import ACCOUNTS
from delivery import inbox
from providers.models import ProviderAccount

REPORTS = {
    "delay_ms": 200,
    "jitter_ms": 400,
    "intermediate": False,
    "undelivered": 0.01,
    "failed": 0.005,
    "twice": 0.01,
    "reversed": 0.01,
    "forged": 0.005,
    "before_answer": 0.005,
    "v2": 0.05,
}
# What people text back, by the share of those who do. The third text asks for a judge.
REPLIES = {
    "STOP": 0.008,
    "Stop please": 0.002,
    "I can't stop laughing": 0.001,
    "HELP": 0.004,
    "START": 0.002,
    "is this in Boston?": 0.002,
    "delay_ms": 600,
    "forged": 0.0005,
}
FAILS = "refuse_401"
FAILS_FOR = 5.0  # seconds until somebody has put the account in order again
HEAR_OUT = 40.0
POLL = 0.2


class Unheard(Exception):
    """Callbacks that were not all answered and applied in time; a sentence."""


@dataclass(slots=True)
class Outside:
    """`simulator` and `web` are base addresses; `fails_at` is a count of attempts."""

    simulator: str
    web: str
    seed: int
    fails_at: int
    failed_at: float = 0.0
    is_mended: bool = False
    told: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """From now on messages are reported on, and people answer."""
        for account in ProviderAccount.objects.filter(name__in=ACCOUNTS):
            name, token = credentials(account)
            url = f"{self.web}/webhooks/{account.kind}/{account.pk}/inbound"
            self.order(account={"name": name, "token": token, "inbound_url": url})
        self.order(reports={**REPORTS, "seed": self.seed})
        self.order(replies={**REPLIES, "seed": self.seed})

    def tend(self, attempts: int) -> None:
        """Let the second provider fail half-way, and have it mended some seconds later."""
        if not self.failed_at and attempts >= self.fails_at:
            self.failed_at = time.monotonic()
            self.order(mode=FAILS, account=credentials(self._failing)[0])
            self.told.append(f"{ACCOUNTS[-1]} refuses our credentials from now on.")
        elif self.failed_at and not self.is_mended and self._is_time_to_mend():
            self.order(mode="normal", account=credentials(self._failing)[0])
            ProviderAccount.objects.filter(pk=self._failing.pk).update(
                paused_at=None, fault="", resumed_at=clock.now()
            )
            self.is_mended = True
            self.told.append(f"{ACCOUNTS[-1]} takes them again, and was resumed.")

    @property
    def _failing(self) -> ProviderAccount:
        return ProviderAccount.objects.get(name=ACCOUNTS[-1])

    def _is_time_to_mend(self) -> bool:
        is_late = time.monotonic() - self.failed_at > FAILS_FOR
        return is_late and self._failing.paused_at is not None

    def waiting(self) -> int:
        """Callbacks that have not been answered yet."""
        return int(self._ask(None)["callbacks"]["waiting"])

    def hear_out(self) -> None:
        """Wait until every report and text has come in and been applied. Raises Unheard."""
        until = time.monotonic() + HEAR_OUT
        while waiting := self.waiting() or inbox.is_waiting():
            if time.monotonic() > until:
                raise Unheard(f"{waiting} callbacks still wait after {HEAR_OUT:.0f} s.")
            time.sleep(POLL)

    def order(self, **command: object) -> None:
        self._ask(json.dumps(command).encode())

    def _ask(self, body: bytes | None) -> dict[str, Any]:
        """Raises OSError with what the simulator says against it."""
        request = urllib.request.Request(f"{self.simulator}/control", data=body)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                said: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise OSError(f"The simulator refused an order: {error.read().decode()}") from error
        return said


def credentials(account: ProviderAccount) -> tuple[str, str]:
    """What an account is called and signs with, at its provider."""
    secrets = account.access().secrets
    name = secrets.get("account_sid") or secrets["auth_id"]
    return name, secrets["auth_token"]
