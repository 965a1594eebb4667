"""Who kills send workers in a demo, as a crash would, at random moments of the sending."""

from __future__ import annotations

import random
from dataclasses import dataclass

from config import demo_processes as processes
from config.demo_processes import Children
from delivery import sql

KILLS_FROM, KILLS_TO = 0.05, 0.85  # of all messages, between which workers are killed
SENT = "SELECT count(*) FROM delivery_attempt"


@dataclass(slots=True)
class Killer:
    """Kills as many as it was asked for, and counts them."""

    dice: random.Random
    moments: list[int]  # when so many attempts were made, the last one first
    killed: int = 0

    @classmethod
    def of(cls, *, leads: int, kills: int, seed: int) -> Killer:
        dice = random.Random(seed)  # noqa: S311 - chaos, not secrecy
        begun: int = sql.one(SENT)[0]
        low, high = int(leads * KILLS_FROM), int(leads * KILLS_TO)
        moments = [begun + dice.randint(low, high) for _ in range(kills)]
        return cls(dice, sorted(moments, reverse=True))

    def look(self, children: Children) -> None:
        if self.moments and sql.one(SENT)[0] >= self.moments[-1]:
            self.moments.pop()
            children.kill(self.dice.choice(processes.send_workers(children.pids())))
            self.killed += 1
