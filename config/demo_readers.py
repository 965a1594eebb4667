"""Pretend readers of the demo: some of those whose message was delivered follow its link."""

from __future__ import annotations

import http.client
import random
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from delivery import sql

EVERY = 1.0  # seconds between two looks
SHARE = 0.06  # of those whose message was delivered
AT_ONCE = 10  # clicks a look, at most
PATIENCE = 5.0
AGENT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36"
NEW = """
SELECT a.id, k.code FROM delivery_attempt a
JOIN delivery_message m ON m.id = a.message_id JOIN links_shortlink k ON k.id = m.link_id
WHERE a.id > %s AND m.status = 'delivered' ORDER BY a.id LIMIT 500
"""
LATEST = "SELECT coalesce(max(id), 0) FROM delivery_attempt"


@dataclass(slots=True)
class Readers:
    """`tend` them all the time. A click that fails is not made again: people do not insist."""

    web: str
    dice: random.Random = field(repr=False)
    through: int  # the attempt up to which they have read
    clicks: int = 0
    _next_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, web: str, *, seed: int) -> Readers:
        dice = random.Random(f"{seed}:readers")  # noqa: S311 - invented people
        return cls(web, dice, through=sql.one(LATEST)[0])

    def tend(self) -> None:
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + EVERY
        found = sql.rows(NEW, self.through)
        self.through = max((attempt for attempt, _ in found), default=self.through)
        chosen = [code for _, code in found if self.dice.random() < SHARE]
        for code in chosen[:AT_ONCE]:
            self._follow(code)

    def _follow(self, code: str) -> None:
        """As a browser would, up to where the link leads: that page is nobody's."""
        host = urlsplit(self.web).netloc
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        try:
            connection.request("GET", f"/{code}", headers={"User-Agent": AGENT})
            self.clicks += connection.getresponse().status == http.HTTPStatus.FOUND
        except (OSError, http.client.HTTPException):  # the web is being started again, or is busy
            pass
        finally:
            connection.close()
