"""A pretend partner of the demo: posts invented leads to the API while somebody watches.

It comes in by the front door, with a key of its own for each brand; some of what it posts is bad.
"""

from __future__ import annotations

import csv
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from brands import keys
from brands.models import ApiKey, Brand
from config.demo_stage import BRANDS, LIST
from leads.invention import Inventor
from leads.models import Lead

NAME = "Demo partner"
EVERY = 3.0  # seconds between two posts
MOST = 6  # leads a post
SHARE_BAD = 0.08
BEYOND = 1_100_000  # the files of a demo begin with the first leads of the seed
FRESH = 800_000  # leads beyond, before it begins again with the first of them
PATIENCE = 10.0
WORTH_TELLING = 5  # failures one after the other


@dataclass(slots=True)
class Partner:
    """`tend` it all the time; it posts when it is time. What goes wrong is tried again later."""

    web: str
    keys: Sequence[str] = field(repr=False)
    rows: Iterator[dict[str, Any]] = field(repr=False)
    dice: random.Random = field(repr=False)
    posted: int = 0
    taken: int = 0
    told: list[str] = field(default_factory=list)
    _failures: int = 0  # one after the other
    _next_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, web: str, *, seed: int) -> Partner:
        """Keys for the demo's brands, the old ones revoked."""
        for old in ApiKey.objects.filter(name=NAME, revoked_at=None):
            keys.revoke(old)
        brands = Brand.objects.filter(slug__in=[plan.slug for plan in BRANDS]).order_by("id")
        made = [keys.make(brand, NAME).whole for brand in brands]
        dice = random.Random(f"{seed}:partner")  # noqa: S311 - invented people
        return cls(web, made, invented(seed, first=Lead.objects.count() % FRESH), dice)

    def tend(self) -> None:
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + EVERY
        try:
            self._post()
            self._failures = 0
        except OSError as error:  # the web is being started again, or is busy
            self._failures += 1
            if self._failures == WORTH_TELLING:
                self.told.append(f"The partner's posts fail: {error}")

    def _post(self) -> None:
        leads = [next(self.rows) for _ in range(self.dice.randint(1, MOST))]
        answer = self._ask(self.dice.choice(self.keys), leads)
        self.posted += len(leads)
        self.taken += int(answer["created"]) + int(answer["updated"])

    def _ask(self, key: str, leads: Sequence[dict[str, Any]]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own web
            f"{self.web}/api/v1/leads?list={LIST}",
            data=json.dumps(leads).encode(),
            headers={
                "Authorization": f"Bearer {key}",
                "Content-Type": "application/json",
                "Idempotency-Key": f"demo-{self.dice.getrandbits(64):016x}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            raise OSError(f"The API refused a post: {error.read().decode()[:300]}") from error
        return answer


def invented(seed: int, *, first: int) -> Iterator[dict[str, Any]]:
    """Leads as the API takes them, without end, from the `first`-th beyond the demo's files."""
    as_of = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    inventor = Inventor(seed, as_of=as_of, bad=SHARE_BAD)
    while True:
        lines = inventor.lines(FRESH - first, first=BEYOND + first)
        for row in csv.DictReader(lines):
            occupation = row.pop("occupation", None)
            lead: dict[str, Any] = {name: text for name, text in row.items() if text}
            yield {**lead, "fields": {"occupation": occupation}} if occupation else lead
        first = 0
