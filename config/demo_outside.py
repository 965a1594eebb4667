"""The world outside a demo: what providers report, what people answer, and when a provider fails.

It talks to the simulator's control door. Of ours it touches only the accounts it speaks for, and
counts what is still on its way.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from brands import clock
from config.demo_stage import ACCOUNTS
from delivery import claims, sql
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
STOPS = 0.008 + 0.002  # the share of those who answer STOP
# Providers try again after a minute or an hour; in a demo an hour is over in seconds.
RETRIES = {"after_ms": [500, 1000, 2000, 4000]}
FAILS = "refuse_401"
PAUSED_FOR = 5.0
HEAR_OUT = 40.0
POLL = 0.2
# What came in and was not applied; answers that wait to leave, and messages on the wire.
LEFT = """
SELECT (SELECT count(*) FROM delivery_webhookevent WHERE applied_at IS NULL)
       + (SELECT count(*) FROM delivery_inbound WHERE applied_at IS NULL),
       (SELECT count(*) FROM delivery_due WHERE queue = %s)
       + (SELECT count(*) FROM delivery_attempt
          WHERE id > (SELECT attempt_id FROM delivery_frontier) AND outcome = '')
"""


class Unheard(Exception):
    """What was not heard out in time; a sentence."""


@dataclass(slots=True, kw_only=True)
class Outside:
    """`simulator` and `web` are base addresses; `fails_at` is a count of attempts.

    `paused_since` is monotonic; 0: the account that fails was not paused yet.
    """

    simulator: str
    web: str
    seed: int
    fails_at: int
    paused_for: float = PAUSED_FOR  # seconds until somebody has put the account in order again
    has_failed: bool = False
    paused_since: float = 0.0
    is_mended: bool = False
    told: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """From now on messages are reported on, and people answer."""
        for account in ProviderAccount.objects.filter(name__in=ACCOUNTS):
            name, token = credentials(account)
            url = f"{self.web}/webhooks/{account.kind}/{account.pk}/inbound"
            self.order(account={"name": name, "token": token, "inbound_url": url})
        self._resume()  # who ended an earlier demo may have left it refused
        self.order(retries=RETRIES)
        self.order(reports={**REPORTS, "seed": self.seed})
        self.order(replies={**REPLIES, "seed": self.seed})

    def tend(self, attempts: int) -> None:
        """Let the second provider fail half-way, and have it mended some seconds later."""
        if self.is_mended:
            return
        if not self.has_failed and attempts >= self.fails_at:
            self.order(mode=FAILS, account=credentials(self._failing)[0])
            self.has_failed = True
            self.told.append(f"{ACCOUNTS[-1]} refuses our credentials from now on.")
        elif self.has_failed and self._was_paused_long():
            self.order(mode="normal", account=credentials(self._failing)[0])
            self._resume()
            self.is_mended = True
            self.told.append(f"{ACCOUNTS[-1]} takes them again, and was resumed.")

    def fail_again(self, at: int) -> None:
        """Let it fail once more, when so many attempts were made."""
        if self.is_mended:
            self.fails_at, self.has_failed = at, False
            self.paused_since, self.is_mended = 0.0, False

    @property
    def _failing(self) -> ProviderAccount:
        return ProviderAccount.objects.get(name=ACCOUNTS[-1])

    def _was_paused_long(self) -> bool:
        """So long that no refusal is on the wire any more, which would pause it again."""
        if not self.paused_since and self._failing.paused_at is not None:
            self.paused_since = time.monotonic()
        return bool(self.paused_since) and time.monotonic() - self.paused_since > self.paused_for

    def _resume(self) -> None:
        """As staff would; an account that they paused themselves has no fault and stays paused."""
        ours = ProviderAccount.objects.filter(name__in=ACCOUNTS)
        ours.exclude(fault="").update(paused_at=None, fault="", resumed_at=clock.now())

    def left(self) -> str:
        """What is still on its way, in words; empty when nothing is."""
        callbacks = self._ask(None)["callbacks"]
        unheard = sum(callbacks[place] for place in ("waiting", "retrying", "in_flight"))
        unapplied, unanswered = sql.one(LEFT, claims.REPLIES)
        if not unheard + unapplied + unanswered:
            return ""
        return (
            f"{unheard:,} callbacks not answered, {unapplied:,} not applied,"
            f" {unanswered:,} answers to people not sent"
        )

    def hear_out(self, tend: Callable[[], None]) -> None:
        """Wait until all reports and texts are in and applied, and answered. Raises Unheard.

        Nothing may be left twice in a row: what has left one place may not be at the next yet.
        """
        until, quiet = time.monotonic() + HEAR_OUT, 0
        while quiet < 2:
            left = self.left()
            quiet = 0 if left else quiet + 1
            if left and time.monotonic() > until:
                raise Unheard(f"After {HEAR_OUT:.0f} s there are still {left}.")
            tend()
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
