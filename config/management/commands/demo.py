"""The demo, `./dev demo`: the main job on invented people, against simulated providers."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError
from redis.exceptions import RedisError
from rich.console import Console

from config import demo
from config.demo_course import Stuck
from config.demo_outside import Unheard
from config.demo_processes import Broken
from config.demo_stage import CannotStage
from delivery.shifting import CannotShift
from leads.invention import CannotInvent

INTERRUPTED = 130


def whole(least: int, most: int) -> Any:
    """A whole number from `least` to `most`, for argparse."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least:,} to {most:,}"
            )
        return int(text)

    return number


class Command(BaseCommand):
    help = "Run three invented brands' campaigns in a sandbox whose clock moves on by itself."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="wipe the sandbox, run once, judge it, and exit 0 or 1",
        )
        parser.add_argument("--leads", type=whole(100, 1_000_000), default=20_000, metavar="N")
        parser.add_argument(
            "--workers", type=whole(1, 32), default=demo.default_workers(), metavar="N"
        )
        parser.add_argument("--seed", type=whole(0, 2**31), default=1, metavar="S")
        parser.add_argument(
            "--kill",
            type=whole(0, 100),
            default=0,
            metavar="N",
            help="kill N send workers at random moments while they send",
        )
        parser.add_argument(
            "--port",
            type=whole(1, 65_535),
            default=demo.WEB_PORT,
            metavar="P",
            help="the web's port, or the next one that is free",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = demo.Options(
            leads=options["leads"],
            workers=options["workers"],
            seed=options["seed"],
            kills=options["kill"],
            web_port=options["port"],
        )
        try:
            well = demo.run(chosen, check=options["check"], console=Console(file=sys.stdout))
        except ProgrammingError as error:
            raise CommandError("The tables are not there yet: run manage.py migrate.") from error
        except RedisError as error:
            raise CommandError(f"Redis cannot be used: {error}") from error
        except (CannotStage, CannotInvent, CannotShift, Broken, Stuck, Unheard, OSError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED if options["check"] else 0)
        if not well:
            sys.exit(1)
