"""The world outside a demo: what providers report, what people answer, and when providers fail.

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
from config import invented_accounts
from config.demo_accounts import FAILS, NAMES, THROTTLES
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
REFUSES, THROTTLED = "refuse_401", "429"
PAUSED_FOR = 5.0
THROTTLED_FOR = 2.0
HEAR_OUT = 40.0  # seconds in which nothing comes in
LONGEST = 300.0  # seconds; longer nobody waits
OBEYED_WITHIN = 60.0  # seconds; only on a crowded machine does an order take as long
POLL = 0.2
# What came in and was not applied, or is to be asked for by now; answers that wait to leave, and
# messages on the wire.
LEFT = """
SELECT (SELECT count(*) FROM delivery_webhookevent WHERE applied_at IS NULL)
       + (SELECT count(*) FROM delivery_inbound WHERE applied_at IS NULL)
       + (SELECT count(*) FROM delivery_lookup WHERE next_at <= sendonce_now()),
       (SELECT count(*) FROM delivery_due WHERE queue = %s)
       + (SELECT count(*) FROM delivery_attempt
          WHERE id > (SELECT attempt_id FROM delivery_frontier) AND outcome = '')
"""
TURNED_AWAY = """
SELECT EXISTS (SELECT 1 FROM delivery_attempt
               WHERE id > %s AND account_id = %s AND is_not_sent AND code = %s)
"""
LAST = "SELECT coalesce(max(id), 0) FROM delivery_attempt"


class Unheard(Exception):
    """What was not heard out in time; a sentence."""


@dataclass(slots=True, kw_only=True)
class Outside:
    """`simulator` and `web` are base addresses; `fails_at` and `throttles_at` count attempts.

    `paused_since` is monotonic; 0: the account that fails was not paused yet. So is
    `throttled_since`; None: it was not throttled yet, 0: it is over.
    """

    simulator: str
    web: str
    seed: int
    fails_at: int
    throttles_at: int
    paused_for: float = PAUSED_FOR  # seconds until somebody has put the account in order again
    throttled_for: float = THROTTLED_FOR  # seconds, or longer until it has turned a message away
    throttled_since: float | None = None
    throttled_after: int = 0  # the last attempt before
    has_failed: bool = False
    paused_since: float = 0.0
    is_mended: bool = False
    told: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """From now on messages are reported on, and people answer."""
        for account in ProviderAccount.objects.filter(name__in=NAMES):
            self.order(account=invented_accounts.introduction(account, self.web))
        self._resume()  # who ended an earlier demo may have left it refused
        self.order(retries=RETRIES)
        self.order(reports={**REPORTS, "seed": self.seed})
        self.order(replies={**REPLIES, "seed": self.seed})

    def tend(self, attempts: int) -> None:
        """Let one provider throttle us and another one fail; both are well some seconds later."""
        self._tend_throttling(attempts)
        self._tend_failing(attempts)

    def _tend_throttling(self, attempts: int) -> None:
        if self.throttled_since is None and attempts >= self.throttles_at:
            self.throttled_after = sql.one(LAST)[0]
            self.order(mode=THROTTLED, account=_name_of(THROTTLES))
            self.throttled_since = time.monotonic()
            self.told.append(f"{THROTTLES} throttles us from now on: its messages wait.")
        elif self.throttled_since and self._was_throttled_long(self.throttled_since):
            self.order(mode="normal", account=_name_of(THROTTLES))
            self.throttled_since = 0.0
            self.told.append(f"{THROTTLES} lets messages through again.")

    def _tend_failing(self, attempts: int) -> None:
        if self.is_mended:
            return
        if not self.has_failed and attempts >= self.fails_at:
            self.order(mode=REFUSES, account=_name_of(FAILS))
            self.has_failed = True
            self.told.append(
                f"{FAILS} refuses our credentials from now on: its messages leave by the others."
            )
        elif self.has_failed and self._was_paused_long():
            self.order(mode="normal", account=_name_of(FAILS))
            self._resume()
            self.is_mended = True
            self.told.append(f"{FAILS} takes them again, and was resumed.")

    def fail_again(self, attempts: int, more: int) -> None:
        """Once more, when so many more attempts were made, and the throttling half-way there."""
        if self.is_mended:
            self.fails_at, self.has_failed = attempts + more, False
            self.paused_since, self.is_mended = 0.0, False
        if self.throttled_since == 0.0:
            self.throttles_at, self.throttled_since = attempts + more // 2, None

    @property
    def _failing(self) -> ProviderAccount:
        return ProviderAccount.objects.get(name=FAILS)

    def _was_throttled_long(self, since: float) -> bool:
        """So long as was meant, and that anybody has noticed."""
        account = ProviderAccount.objects.get(name=THROTTLES)
        was_seen = sql.one(TURNED_AWAY, self.throttled_after, account.pk, THROTTLED)[0]
        return bool(was_seen) and time.monotonic() - since > self.throttled_for

    def _was_paused_long(self) -> bool:
        """So long that no refusal is on the wire any more, which would pause it again."""
        if not self.paused_since and self._failing.paused_at is not None:
            self.paused_since = time.monotonic()
        return bool(self.paused_since) and time.monotonic() - self.paused_since > self.paused_for

    def _resume(self) -> None:
        """As staff would; an account that they paused themselves has no fault and stays paused."""
        ours = ProviderAccount.objects.filter(name__in=NAMES)
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
        began = moved_at = time.monotonic()
        before, quiet = "", 0
        while quiet < 2:
            left, now = self.left(), time.monotonic()
            quiet = 0 if left else quiet + 1
            moved_at, before = (now, left) if left != before else (moved_at, before)
            if left and (now - moved_at > HEAR_OUT or now - began > LONGEST):
                raise Unheard(f"After {now - began:.0f} s there are still {left}.")
            tend()
            time.sleep(POLL)

    def order(self, **command: object) -> None:
        self._ask(json.dumps(command).encode())

    def _ask(self, body: bytes | None) -> dict[str, Any]:
        """Raises OSError with what the simulator says against it."""
        request = urllib.request.Request(f"{self.simulator}/control", data=body)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=OBEYED_WITHIN) as answer:  # noqa: S310
                said: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise OSError(f"The simulator refused an order: {error.read().decode()}") from error
        return said


def _name_of(account: str) -> str:
    """What the provider calls the account of this name of ours."""
    found = ProviderAccount.objects.get(name=account)
    return invented_accounts.known(found.kind, found.access().secrets).name
