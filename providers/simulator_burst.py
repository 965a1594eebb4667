"""One signed report for each line of a file, as fast as they are answered: for benchmarks."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.base import REF_FIELD
from providers.simulator_accounts import Account, Accounts, check_here
from providers.simulator_control import BadControl, members, only, required, text, whole
from providers.simulator_journey import report_callback
from providers.simulator_poster import Post, Poster
from providers.simulator_wire import Report, Taken

MAX_CONNECTIONS = 256
SENDER = "+15005550001"
MEMBERS = {"provider", "account", "url", "file", "word", "code", "from", "connections"}
_LINE = re.compile(r"([\w-]{1,64}),([\w-]{1,64}),(\+?[0-9]{3,15})", re.ASCII)


@dataclass(eq=False, kw_only=True, slots=True)
class Burst:
    """`run` posts; `state` says how far it is."""

    account: Account
    url: str
    file: Path
    report: Report
    sender: str
    connections: int
    answers: Counter[int] = field(default_factory=Counter)
    unreadable: int = 0  # lines
    started: float = 0.0
    seconds: float | None = None  # it took; None: not finished
    error: str = ""

    @property
    def is_running(self) -> bool:
        return self.seconds is None

    async def run(self, poster: Poster) -> None:
        """Raises LedgerBroken."""
        self.started = time.monotonic()
        try:
            with self.file.open(encoding="ascii", errors="replace") as lines:
                messages = self._messages(lines)
                posts = (self._post_all(messages, poster) for _ in range(self.connections))
                await asyncio.gather(*posts)
        except OSError as error:
            self.error = f"the file cannot be read: {error.strerror}"
        finally:
            self.seconds = time.monotonic() - self.started

    async def _post_all(self, messages: Iterator[Taken], poster: Poster) -> None:
        for message in messages:
            callback = report_callback(self.account.wire, message, self.report)
            self.answers[await poster.deliver(Post(callback), may_retry=False)] += 1

    def _messages(self, lines: Iterator[str]) -> Iterator[Taken]:
        mark, now = "&" if "?" in self.url else "?", time.time()
        for line in lines:
            found = _LINE.fullmatch(line.strip())
            if found is None:
                self.unreadable += 1
                continue
            ref, provider_ref, to = found.groups()
            yield Taken(
                account=self.account.name,
                ref=ref,
                provider_ref=provider_ref,
                sender=self.sender,
                to=to,
                url=f"{self.url}{mark}{REF_FIELD}={ref}",
                segments=1,
                request_ref="",
                taken_at=now,
            )

    def state(self) -> dict[str, object]:
        took = self.seconds if self.seconds is not None else time.monotonic() - self.started
        return {
            "running": self.is_running,
            "answered": sum(self.answers.values()),
            "answers": {str(answer): count for answer, count in self.answers.items()},
            "unreadable": self.unreadable,
            "seconds": round(took, 3),
            "error": self.error,
        }


def read_burst(command: dict[str, Any], accounts: Accounts) -> Burst:
    """{"burst": {"provider", "account", "url", "file", "word"}}. Raises BadControl."""
    told = members(command, "burst")
    only(told, MEMBERS)
    wire = accounts.wire_named(required(told, "provider"))
    account = accounts.named(required(told, "account"), provider=wire.name)
    if not account.can_sign:
        raise BadControl(f"the account {account.name} has no token known: give it one")
    url, file, word = (required(told, name) for name in ("url", "file", "word"))
    check_here(url, "url")
    if word not in wire.known_words:
        raise BadControl(f"word must be one of {', '.join(sorted(wire.known_words))}")
    connections = whole({"connections": 32, **told}, "connections", at_least=1)
    if connections > MAX_CONNECTIONS:
        raise BadControl(f"connections must be at most {MAX_CONNECTIONS}")
    if not Path(file).is_file():
        raise BadControl(f"there is no file {file}")
    return Burst(
        account=account,
        url=url,
        file=Path(file),
        report=Report(word, text(told, "code") or ""),
        sender=text(told, "from") or SENDER,
        connections=connections,
    )
