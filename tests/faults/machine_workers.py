"""The workers of the machine: a journal each and the product's own functions, but no thread.

What a worker's sender would do is a step of the machine of its own, and so is each way to die.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock
from uuid import UUID

from delivery import claims, pipeline
from delivery.claims import Claimed, Grant
from delivery.intents import Intent
from delivery.journal import CannotWrite, Journal
from delivery.models import Due
from delivery.outcomes import Settled, record
from providers.base import NotSent, Outcome, outcome_to_json
from tests.faults.machine_provider import Provider, Request


class Died(Exception):
    """In the middle of a decision: its transaction is gone with it."""


class Mortal(Journal):
    """A journal whose worker may die as soon as it has said what it claimed."""

    dies_deciding = False

    def claimed(self, message_ids: Iterable[int]) -> None:
        super().claimed(message_ids)
        if self.dies_deciding:
            self.close()
            raise Died


@dataclass(kw_only=True)
class Worker:
    journal: Mortal
    in_hand: list[Intent] = field(default_factory=list)
    on_the_wire: list[Request] = field(default_factory=list)
    answered: list[Settled] = field(default_factory=list)

    @classmethod
    def start(cls, journals: Path, installation: str) -> Worker:
        """Its name is of the chance that a repeat repeats: journals are settled in their order."""
        name = UUID(int=random.getrandbits(128), version=4)
        with mock.patch("uuid.uuid4", return_value=name):
            return cls(journal=Mortal.open(journals, installation))

    @property
    def is_free(self) -> bool:
        return not (self.in_hand or self.on_the_wire or self.answered)

    # --- deciding -------------------------------------------------------------------------------

    def claim(self, rows: int, meanwhile: Callable[[], None] = lambda: None) -> list[Intent]:
        """Claim a batch of at most so many rows of each lane, and commit its intents.

        `meanwhile` happens when the rows are taken and nothing is gathered yet.
        """
        pairs = Due.objects.order_by("queue", "lane").values_list("queue", "lane").distinct()
        grants = [Grant(queue, lane_id, rows) for queue, lane_id in pairs]
        return self._take(lambda now: claims.claim(grants, now=now), meanwhile)

    def claim_alone(self, message_id: int) -> list[Intent]:
        return self._take(lambda now: claims.claim_alone(message_id, now=now), lambda: None)

    def _take(self, claim: pipeline.Claim, meanwhile: Callable[[], None]) -> list[Intent]:
        turns = iter([meanwhile])  # a batch that is decided again finds nothing new

        def claimed(now) -> list[Claimed]:
            rows = claim(now)
            next(turns, lambda: None)()
            return rows

        intents = [intent for intent, _ in pipeline.take(claimed, self.journal).intents]
        self.in_hand += intents
        return intents

    def die_deciding(self, rows: int) -> None:
        self._die_in(lambda: self.claim(rows))

    def die_deciding_alone(self, message_id: int) -> None:
        self._die_in(lambda: self.claim_alone(message_id))

    def _die_in(self, claim: Callable[[], object]) -> None:
        self.journal.dies_deciding = True
        with contextlib.suppress(Died, CannotWrite):
            claim()
        self.journal.close()

    # --- sending --------------------------------------------------------------------------------

    def send(self, intent: Intent, provider: Provider, *, is_taken: bool) -> None:
        """The line of the journal, then the request."""
        self.in_hand.remove(intent)
        self.journal.leaving(intent.send.ref)
        self.on_the_wire.append(provider.receive(intent, is_taken=is_taken))

    def miss(self, intent: Intent) -> None:
        """It is too late for this one: no request is made."""
        self.in_hand.remove(intent)
        self._know(intent, NotSent("too_late"))

    def hear(self, request: Request, outcome: Outcome, *, is_journaled: bool) -> None:
        """The answer is there, and in the journal unless the disk is full."""
        self.on_the_wire.remove(request)
        if is_journaled:
            self.journal.came_back({request.intent.send.ref: outcome_to_json(outcome)})
        self._know(request.intent, outcome)

    def _know(self, intent: Intent, outcome: Outcome) -> None:
        self.answered.append(Settled(intent.attempt_id, intent.message_id, outcome))

    def store(self, many: int) -> None:
        stored, self.answered = self.answered[:many], self.answered[many:]
        record(stored)

    # --- ending ---------------------------------------------------------------------------------

    def end(self) -> None:
        """As asked: nothing is left to do."""
        self.journal.close(settled=True)

    def die(self) -> None:
        """What it wrote stays, and nobody holds it."""
        self.journal.close()

    def die_with_its_host(self) -> None:
        self.journal.close()
        self.journal.path.unlink()

    def die_of_a_power_loss(self, lines: int) -> None:
        """Another boot finds some of the lines: the last ones were never on the disk."""
        self.journal.close()
        header, *rest = self.journal.path.read_bytes().splitlines(keepends=True)
        boot = json.loads(header.partition(b" ")[2]) | {"boot": "another one"}
        body = json.dumps(boot).encode()
        header = b"%08x %s\n" % (zlib.crc32(body), body)
        self.journal.path.write_bytes(b"".join([header, *rest[:lines]]))


def make_old(journals: Path, *, by: float) -> None:
    """As if nothing had been written to any of them for so many seconds."""
    then = time.time() - by
    for path in journals.glob("*.journal"):
        os.utime(path, (then, then))
