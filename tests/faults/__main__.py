"""Faults, injected into a running installation: `python -m tests.faults [ROW …]`.

It starts servers of its own and runs itself once more on them: that one breaks things, this one
puts everything away, whatever became of the other.
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import argparse
import logging
import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import tests.faults.preload  # noqa: F401 - before anything that has models
from config.binaries import Trouble
from config.demo_processes import ended_by_signals
from config.management.commands.demo import whole
from config.processes import attend
from tests.faults.harness import ground, running, table
from tests.faults.harness.ground import Ground
from tests.faults.harness.rows import ROWS, NoSuchRow, chosen
from tests.faults.harness.running import Plan, run, say


class Refused(Exception):
    """Why it cannot be run as asked; a sentence."""


def main(words: Sequence[str]) -> int:
    options = parser().parse_args(words)
    if options.list:
        return tell_rows()
    try:
        plan = plan_of(options)
        return inside(plan, options.inside) if options.inside else outside(words, plan)
    except (Refused, NoSuchRow, Trouble) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="./dev faults", description="Break things, and judge.")
    made.add_argument("rows", nargs="*", metavar="ROW", help="only these; --list names them")
    made.add_argument("--list", action="store_true", help="say which rows there are")
    made.add_argument("--release", action="store_true", help="the large counts, for hours")
    made.add_argument("--seed", type=int, metavar="N", help="of a run before; else drawn by lot")
    many = whole(1, 1_000_000)
    made.add_argument("--trials", type=many, metavar="N", help="of each row, whatever it says")
    made.add_argument("--times", type=many, default=1, metavar="N", help="N times as many trials")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    made.add_argument("--resume", type=Path, metavar="FILE", help="go on with the run in this file")
    made.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return made


def tell_rows() -> int:
    for row in ROWS:
        say(f"{row.name:20} {row.short:6} {row.release:7}  {row.says}")
    return 0


def plan_of(options: argparse.Namespace) -> Plan:
    """Raises Refused and NoSuchRow."""
    for file in filter(None, (options.json, options.resume)):
        if not file.parent.is_dir():
            raise Refused(f"{file} cannot be written: there is no folder {file.parent}.")
    seed = random.randrange(10**9) if options.seed is None else options.seed
    plan = Plan(
        rows=chosen(options.rows),
        seed=seed,
        is_release=options.release,
        trials=options.trials,
        times=options.times,
        json=options.json or options.resume,
    )
    return resumed(plan, options.resume) if options.resume else plan


def resumed(plan: Plan, file: Path) -> Plan:
    """The same with what stands in the file: its seed and counts, and its results. Raises Refused.

    A file that is not there yet is begun.
    """
    if not file.exists():
        return plan
    try:
        settings, done = table.read(file)
        return Plan(
            rows=plan.rows,
            seed=settings["seed"],
            is_release=settings["release"],
            trials=settings["trials"],
            times=settings["times"],
            json=plan.json,
            done=done,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{file} cannot be gone on with: {error}") from error


def outside(words: Sequence[str], plan: Plan) -> int:
    """Start servers, break things on them in a process of its own, and remove them."""
    command = [sys.executable, "-m", "tests.faults", *words, "--seed", str(plan.seed)]
    with ended_by_signals(), ground.servers() as (folder, environment, keep_open):
        return attend(
            [*command, "--inside", str(folder)],
            {**os.environ, **environment},
            keep_open=keep_open,
            started=lambda _: None,
        )


def inside(plan: Plan, folder: Path) -> int:
    """Run the rows; 1 when any failed."""
    logging.disable(logging.INFO)  # what the product tells while the harness calls it
    with ended_by_signals(), ground.left_to_us(folder):
        stands = Ground(folder)
        stands.prepare()
        say(f"Seed {plan.seed}")
        results = run(plan, partial(running.on, stands))
    say("")
    for line in table.lines(results):
        say(line)
    return 0 if all(result.is_well for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
